/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * leave - the disks of a guest that goes to another phone (docs/decisions/disks-that-travel.md). The other side of arrive.h.
 *
 *   lv_new      every disk can go the way that was asked for; FLIC_E_DISK names the one that cannot, and what to do
 *   lv_prepare  once the checkpoint has its number: the disks can be cloned
 *   lv_send     guest runs: a snapshot of each, then what changed meanwhile, until little is left
 *   lv_again    guest runs, just before its pause: what changed since
 *   lv_last     in the pause: the rest; the disks as they are now are the checkpoint's
 *   lv_settle   these are durable: the checkpoint's disk list
 *   lv_keep     the checkpoint was published: its snapshots stay
 *
 * The disks themselves are only read. Once the guest runs on the other phone lv_remove() takes their names away: the checkpoint has them.
 */
#ifndef FLIC_DAEMON_LEAVE_H
#define FLIC_DAEMON_LEAVE_H

#include "daemon/migrate/disk_send.h"
#include "daemon/snapshot.h"

struct fd_daemon;
struct json_t;

struct lv_disks;
/* `way`: "copy", "shared" or "" as it was typed; a guest without disks goes in any way. */
int lv_new(const char *way, const char *config, struct lv_disks **ret_disks, struct flic_err *err);
void lv_free(struct lv_disks *disks);           /* accepts NULL */
/* What the peer is told: JSON text of arrive.h; borrowed. */
const char *lv_offer(const struct lv_disks *disks);

struct lv_link {
    struct mw_wire *wire;       /* borrowed, as the key */
    const struct md_key *key;
    uint32_t peer_has;          /* bit i: an older state of the i-th disk that is copied */
    unsigned max_downtime_ms;
    void (*progress)(void *arg, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
    void *arg;
};
int lv_prepare(struct lv_disks *disks, const struct sn_where *where, const struct sn_name *name, struct flic_err *err);
int lv_send(struct lv_disks *disks, const struct lv_link *link, struct flic_err *err);
int lv_again(struct lv_disks *disks, struct flic_err *err);
int lv_last(struct lv_disks *disks, struct flic_err *err);
int lv_settle(struct lv_disks *disks, char **ret_list, struct flic_err *err);
void lv_keep(struct lv_disks *disks);

void lv_add_figures(const struct lv_disks *disks, struct json_t *figures);

/* The guest is gone with its disks: the files of this checkpoint's disks go too, as long as they are what it was made of and the checkpoint has
 * them. Harmless twice; what cannot be done is logged: such a file is known again when the guest comes back. */
void lv_remove(struct fd_daemon *daemon, const struct sn_name *name);

#endif
