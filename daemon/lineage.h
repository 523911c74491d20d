/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * lineage - what this store has already of a guest that comes from a peer: its newest checkpoint, what came of it before the connection was lost
 * (kept.h), and its owner's other guests. One thread.
 */
#ifndef FLIC_DAEMON_LINEAGE_H
#define FLIC_DAEMON_LINEAGE_H

#include "common/uuid.h"
#include "daemon/checkpoint/arrival.h"
#include "daemon/checkpoint/load.h"

struct fd_daemon;
struct ar_kept;

struct fd_lineage {
    struct fd_daemon *daemon;
    struct flic_uuid guest;
    const struct ck_loaded *base;       /* the newest checkpoint that can be read, in use until close; NULL: none */
    struct ck_arrival *earlier;         /* NULL: none */
    struct ar_kept *earlier_disks;      /* the same; who takes them says NULL here */
    struct ck_loaded loaded;
    struct nv_name name;
    bool in_use;
};
/* None is no error. Without `disks` those that were kept are gone. */
void fd_lineage_open(struct fd_daemon *daemon, const struct flic_uuid *guest, bool disks, struct fd_lineage *ret_lineage);

/* Where there is no base: calls back with the newest checkpoint of each guest, loaded and in use meanwhile. Only for a peer that showed that it is of
 * the same owner group. The first non-zero answer ends it. */
int fd_lineage_others(struct fd_lineage *lineage, int (*know)(void *arg, const struct ck_loaded *other, struct flic_err *err), void *arg,
                      struct flic_err *err);

/* An arrival began with all of it, and is noted from here on; it has what came earlier. */
void fd_lineage_begun(struct fd_lineage *lineage, struct ck_arrival *arrival);
/* What came earlier, and nothing began with, is kept again. Accepts zeros. */
void fd_lineage_close(struct fd_lineage *lineage);

#endif
