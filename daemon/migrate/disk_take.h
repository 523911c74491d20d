/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * disk_take - a guest's disks from a peer, into files that the caller made. The other side of disk_send.h.
 *
 * The peer is hostile: what it tells lands in these files, below their size, or the connection ends; and it learns which blocks of a file it
 * knows already only of files that the caller says hold an older state of this very guest's disk. One thread.
 */
#ifndef FLIC_DAEMON_MIGRATE_DISK_TAKE_H
#define FLIC_DAEMON_MIGRATE_DISK_TAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/migrate/digest.h"
#include "daemon/migrate/disk_wire.h"
#include "daemon/migrate/wire.h"

struct dt_disk {
    const char *name;           /* for messages; borrowed */
    int fd;                     /* of `size` bytes; borrowed. Zeros all over unless `has` */
    uint64_t size;
    bool has;                   /* an older state, which the peer may ask about */
};

struct dt_figures { uint64_t same_blocks, received_blocks, zero_blocks, sync_us; };

struct dt_taker;
int dt_new(struct mw_wire *wire, const struct md_key *key, const struct dt_disk *disks, size_t n, struct dt_taker **ret_taker, struct flic_err *err);
void dt_free(struct dt_taker *taker);           /* accepts NULL */

/* One message of the types MW_DISK_*; any other is an error, as is one that is out of bounds or out of order. */
int dt_message(struct dt_taker *taker, const struct mw_message *m, struct flic_err *err);
/* The end was told, what came is what was sent, and it is durable in the files. */
bool dt_is_whole(const struct dt_taker *taker);
void dt_get_figures(const struct dt_taker *taker, struct dt_figures *ret_figures);

#endif
