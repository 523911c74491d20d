/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* lineage - what this store has already of a guest that comes from a peer: its newest checkpoint, and those of its owner's other guests. */
#ifndef FLIC_DAEMON_LINEAGE_H
#define FLIC_DAEMON_LINEAGE_H

#include "common/uuid.h"
#include "daemon/checkpoint/load.h"

struct fd_daemon;

struct fd_lineage {
    struct ck_loaded base;
    struct nv_name name;
    bool in_use, loaded;        /* loaded: there is a base */
};
/* The newest checkpoint of this guest that can be read. None is no error. In use until it is closed. */
void fd_lineage_open(struct fd_daemon *daemon, const struct flic_uuid *guest, struct fd_lineage *ret_lineage);
void fd_lineage_close(struct fd_daemon *daemon, struct fd_lineage *lineage);

/* Calls back with the newest checkpoint of each guest, loaded and in use meanwhile: only for a peer that showed that it is of the same owner
 * group. The first non-zero answer ends it. */
int fd_lineage_others(struct fd_daemon *daemon, int (*know)(void *arg, const struct ck_loaded *other, struct flic_err *err), void *arg,
                      struct flic_err *err);

#endif
