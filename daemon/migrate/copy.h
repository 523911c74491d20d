/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * copy - the words with which a stored checkpoint is asked for and offered (flic push, flic pull). Behind them give.h and take.h use
 * those of a migration.
 */
#ifndef FLIC_DAEMON_MIGRATE_COPY_H
#define FLIC_DAEMON_MIGRATE_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid.h"
#include "daemon/migrate/digest.h"
#include "daemon/migrate/wire.h"

#define MC_NAME 256u
/* How this phone calls itself to a peer: its host name, or another word where it has none. */
void mc_own_name(char out[MC_NAME]);

/* Of one who pulls: which checkpoint, and as what. */
struct mc_want {
    char domain[256];           /* name or uuid */
    uint64_t seq;               /* 0: the newest */
    char from[MC_NAME];         /* how the receiver calls itself: for people only */
    bool backup;                /* the right to bring the guest up stays where it is */
    bool ram_only;              /* without its disks, if it has any */
};
int mc_send_want(struct mw_wire *wire, const struct mc_want *want, struct flic_err *err);
int mc_get_want(struct mw_wire *wire, struct mc_want *ret_want, struct flic_err *err);

struct mc_offer {
    struct flic_uuid push, guest;       /* `push`: drawn for this copy */
    char name[256], arch[16];
    char from[MC_NAME];         /* how the sender calls itself */
    uint64_t seq;               /* the checkpoint's number there */
    uint64_t gfn_end, pages;
    struct md_digest group;     /* mh_prove_group() */
    bool handed;                /* the sender gives up the right to bring the guest up */
    char *config;               /* libxl JSON */
};
void mc_offer_fini(struct mc_offer *offer);
int mc_send_offer(struct mw_wire *wire, const struct mc_offer *offer, struct flic_err *err);
/* Everything within bounds; that it makes sense here is the caller's to see. */
int mc_get_offer(struct mw_wire *wire, struct mc_offer *ret_offer, struct flic_err *err);

/* Whether two JSON texts say the same. Text that came from a peer is written anew, that of an own save is as libxl wrote it. */
bool mc_same_config(const char *a, const char *b);

#endif
