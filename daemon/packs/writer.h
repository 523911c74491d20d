/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * writer - what the writer's files share. Private to daemon/packs.
 *
 * writer.c decides what is stored and seals; file.c turns objects into frames and frames into one pack file.
 */
#ifndef FLIC_DAEMON_PACKS_WRITER_H
#define FLIC_DAEMON_PACKS_WRITER_H

#include "daemon/packs/compare.h"
#include "daemon/packs/store.h"

/* The pack file being written. */
struct pk_out {
    int fd;                         /* -1: none */
    uint32_t pos;                   /* where the next frame goes; a multiple of PK_ALIGN */
    uint32_t cleaned, started;      /* write-back: done with, started, up to here */
    uint32_t frames, roots;
    uint64_t raw_bytes;
    struct pk_disk_entry *entries;  /* of this pack, the pending frame's included */
    uint32_t n_entries, room_entries;
};

/* The frame being filled. */
struct pk_pending {
    uint32_t n;
    uint32_t len;
    uint32_t list[PK_FRAME_OBJECTS];    /* length | kind << 24 */
    uint8_t data[PK_FRAME_RAW];
};

struct pk_writer {
    struct pk_store *store;         /* borrowed */
    int failed;                     /* the error that ended it */
    bool moves;                     /* pk_mover_new(): packs that are leaving hold no copies for it */
    struct pk_put_stats stats;
    struct pk_table own;            /* unsealed objects; the place's pack is an index into packs */
    struct pk_pack *packs;          /* unsealed; the last is being written while out.fd >= 0 */
    uint32_t n_packs, room_packs;
    struct pk_out out;
    struct pk_pending pending;
    void *cctx;                     /* ZSTD_CCtx */
    uint8_t *frame;                 /* one frame as it goes to flash; room for a pending one */
    size_t frame_room;
    uint8_t *pinned;                /* a bit per pack slot of the store */
    uint32_t pinned_room;           /* in bits */
};

/* Stores an object under the id that it has, unless this writer or a pack that nobody moves has it. */
int pk_put_again(struct pk_writer *w, const struct flic_id *id, const struct pk_object *mine, bool *ret_new, struct flic_err *err);
/* Whether a copy that verifies lies in a pack that nobody moves; that pack is kept then. */
int pk_has_whole(struct pk_writer *w, const struct flic_id *id, bool *ret_there, struct flic_err *err);

/* Makes room in the current pack for one more object, starting the next pack or frame where needed. */
int pk_out_prepare(struct pk_writer *w, size_t len, struct flic_err *err);
/* Adds an object where pk_out_prepare() made room; *ret_place is where it will lie. */
int pk_out_add(struct pk_writer *w, const struct flic_id *id, enum pk_kind kind, const void *data, size_t len,
               uint64_t *ret_place, struct flic_err *err);
/* Completes the current pack, if any: pending frame, footer, fsync; its name still ends in ".new". */
int pk_out_finish(struct pk_writer *w, struct flic_err *err);
/* Forgets the current pack and the pending frame; the file stays for the caller to remove. */
void pk_out_drop(struct pk_writer *w);

#endif
