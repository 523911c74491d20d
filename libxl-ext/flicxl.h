/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * libflicxl - save and restore through FLIC, for programs that use libxl.
 *
 * Call these where you would call libxl_domain_suspend() / libxl_domain_create_restore(). They use your libxl_ctx, the stock
 * libxl, and a running flicd. Not thread-safe with other threads that change the environment: libxl learns of
 * FLIC's save helper through LIBXL_SAVE_HELPER, which these calls set for their own duration.
 *
 * They drive libxl's event loop with the descriptors that libxl_osevent_beforepoll() gives, so `ctx` must not have hooks of
 * libxl_osevent_register_hooks(). Events of other domains stay queued in the ctx.
 *
 * Return: 0, or a libxl error (ERROR_*); `info->code` (a FLIC code) and `info->text` say what happened, to which domain and
 * what to do next. Every struct has _init; there is nothing to dispose unless said.
 */
#ifndef FLICXL_H
#define FLICXL_H

#include <libxl.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct flicxl_info {            /* out: filled by every call */
    int code;                   /* 0 or FLIC_E_* / -errno (man flic) */
    char text[512];             /* one sentence; "" on success */
    uint64_t seq;               /* the checkpoint's sequence number */
    uint32_t domid;             /* restore: the new domain */
    char *figures;              /* JSON object of the journal entry, or NULL; free() */
};

/* Called from within the call below; phase: "live", "suspend", "capture", "publish", "populate", "pages" ... total 0: unknown. */
typedef void flicxl_progress(void *user, const char *phase, uint64_t done_bytes, uint64_t total_bytes);

enum flicxl_after {             /* what becomes of the domain after a published checkpoint */
    FLICXL_AFTER_DESTROY = 0,
    FLICXL_AFTER_PAUSE,         /* stays suspended and paused (xl save -p) */
    FLICXL_AFTER_RUN,           /* runs on from the moment it is captured, before the checkpoint is published (xl save -c) */
};

struct flicxl_save_params {
    const char *file;           /* also write a reference there; NULL: none. A file of someone else's is never overwritten */
    enum flicxl_after after;
    uint32_t timeout_s;         /* 0: no limit but libxl's own for the guest's suspend */
    bool ram_only;              /* do not identify disks */
    bool protect;               /* only flicd's own worker: the checkpoint is one of 'flic protect'; with FLICXL_AFTER_RUN */
    const char *socket;         /* NULL: default */
    const volatile int *cancel; /* NULL, or becomes non-zero (from a signal handler) to cancel */
    flicxl_progress *progress;  void *user;
};
void flicxl_save_params_init(struct flicxl_save_params *params);
/* `ao_how` must be NULL: these calls are synchronous (docs/decisions). */
int flicxl_domain_save(libxl_ctx *ctx, uint32_t domid, const struct flicxl_save_params *params,
                       struct flicxl_info *info, const libxl_asyncop_how *ao_how);

struct flicxl_restore_params {
    const char *what;           /* DOMAIN, DOMAIN@N, uuid[@N], or a FILE */
    bool clone;                 /* a new identity beside the living one */
    bool ram_only;              /* do not check disks */
    bool paused;                /* do not unpause */
    uint32_t timeout_s;
    const char *socket;
    const volatile int *cancel;
    flicxl_progress *progress;  void *user;
};
void flicxl_restore_params_init(struct flicxl_restore_params *params);
int flicxl_domain_restore(libxl_ctx *ctx, const struct flicxl_restore_params *params,
                          struct flicxl_info *info, const libxl_asyncop_how *ao_how);

/* ---- to and from another phone ---- */

/*
 * The two sides meet over a stream that the caller provides: `attach` gets a connected socket, which it hands to a transport (ssh's stdin and
 * stdout, for one) that ends in the other side's attach. It takes the socket, returns 0 or -errno, and does not wait. If the transport is a
 * child process, tell libxl before that it has not all children for itself: libxl_childproc_setmode(), see libxl_event.h.
 */
typedef int flicxl_attach(void *user, int socket);

struct flicxl_migrate_params {
    const char *peer;           /* its name, for messages and for flicd, which asks it should its last answer be lost */
    const char *command;        /* what reaches it, as flicd would run it ("ssh -p 2222"); NULL: ssh */
    const char *disks;          /* "copy": taken along; "shared": the peer reaches them too; NULL: a guest with disks is refused */
    uint32_t max_downtime_ms;   /* 0: as flicd is configured */
    bool auto_converge;         /* slow the guest down if what is left would take longer */
    uint32_t timeout_s;
    const char *socket;
    const volatile int *cancel;
    flicxl_progress *progress;
    flicxl_attach *attach;
    void *user;                 /* of both */
};
void flicxl_migrate_params_init(struct flicxl_migrate_params *params);
/* 0: the guest runs on the peer, and its domain here is destroyed. FLIC_E_UNSURE in info->code: it is suspended, and must stay so until
 * flicd has heard from the peer. Any other failure: it runs on here. */
int flicxl_domain_migrate(libxl_ctx *ctx, uint32_t domid, const struct flicxl_migrate_params *params,
                          struct flicxl_info *info, const libxl_asyncop_how *ao_how);

struct flicxl_receive_params {
    uint32_t timeout_s;
    const char *socket;
    const volatile int *cancel;
    flicxl_progress *progress;
    flicxl_attach *attach;
    void *user;
};
void flicxl_receive_params_init(struct flicxl_receive_params *params);
/* 0: it runs, as info->domid. */
int flicxl_domain_receive(libxl_ctx *ctx, const struct flicxl_receive_params *params,
                          struct flicxl_info *info, const libxl_asyncop_how *ao_how);

/* True when the file's content is a FLIC reference (so that xl knows without --flic). */
bool flicxl_is_reference_file(const char *path);

#ifdef __cplusplus
}
#endif
#endif
