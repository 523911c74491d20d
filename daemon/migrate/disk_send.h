/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * disk_send - a guest's disks to a peer: a snapshot while it runs, then what differs between one snapshot and the next, the last in the pause.
 *
 * Knows files, not where they come from. Blocks of zeros are told, not sent; where the peer has an older state of a disk it is asked leaf by leaf,
 * as about memory. One thread, which has the wire to itself during a call.
 */
#ifndef FLIC_DAEMON_MIGRATE_DISK_SEND_H
#define FLIC_DAEMON_MIGRATE_DISK_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/migrate/digest.h"
#include "daemon/migrate/disk_wire.h"
#include "daemon/migrate/wire.h"

struct ds_params {
    struct mw_wire *wire;       /* borrowed, as all */
    const struct md_key *key;
    size_t n;                   /* disks, at most DW_DISKS_MAX */
    const uint64_t *sizes;      /* bytes, at most DW_SIZE_MAX; copied */
    uint32_t peer_has;          /* bit i: an older state of disk i is there */
    void (*progress)(void *arg, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
    void *arg;
};

struct ds_figures {             /* blocks of DM_BLOCK */
    uint64_t there_blocks;      /* with data, and there already */
    uint64_t sent_blocks, zero_blocks;
    uint64_t last_blocks;       /* of both, in the pause */
    uint64_t block_bytes;       /* the blocks as they were on the wire */
};

struct ds_sender;
int ds_new(const struct ds_params *params, struct ds_sender **ret_sender, struct flic_err *err);
void ds_free(struct ds_sender *sender);         /* accepts NULL */

/* All of disk i, as `fd` has it; nobody writes that. */
int ds_whole(struct ds_sender *sender, size_t i, int fd, struct flic_err *err);
/* What may differ between two states of it (dm_differ()), read from `from`, which may be `now`. *ret_blocks: how much that was. */
int ds_changed(struct ds_sender *sender, size_t i, int before, int now, int from, uint64_t *ret_blocks, struct flic_err *err);
/* Until all that was sent is durable there. */
int ds_sync(struct ds_sender *sender, struct flic_err *err);
/* From here on what is sent is sent in the pause; and: that was all. */
void ds_pause(struct ds_sender *sender);
int ds_end(struct ds_sender *sender, struct flic_err *err);

void ds_get_figures(const struct ds_sender *sender, struct ds_figures *ret_figures);

#endif
