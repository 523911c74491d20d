/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * arrive - the disks of a guest that comes from another phone (docs/decisions/disks-that-travel.md). The other side of leave.h.
 *
 *   ar_new      whether they can be here, where the guest's configuration names them
 *   ar_place    they are: new files, which begin as what is known of an older state. What stood there before is kept (swap.h)
 *   ar_begin    the peer may tell about them
 *   ar_message  ... which it does
 *   ar_settle   all of it came: the disks as they are now are the checkpoint's, durable; gives its disk list
 *   ar_commit   the guest is ours, and these are its disks
 *   ar_undo     unless that was said, all is as it was
 *
 * The offer's disks are JSON text, an entry for each disk of the configuration, in its order:
 *   [{"vdev":"xvda","how":"copy","size":268435456,"allocated":104857600}, {"vdev":"xvdb","how":"there","size":4096,"allocated":0}]
 *
 * The peer is hostile: files are made only in flicd.conf's disk_folders, where nothing is but what is known to be this guest's, and others'
 * are opened only in its shared_disk_folders, and only as raw. The offer's configuration is what peer_config.h made of it.
 */
#ifndef FLIC_DAEMON_ARRIVE_H
#define FLIC_DAEMON_ARRIVE_H

#include "daemon/migrate/disk_take.h"
#include "daemon/migrate/hello.h"
#include "daemon/snapshot.h"

struct fd_daemon;
struct json_t;

struct ar_disks;
int ar_new(struct fd_daemon *daemon, const struct mh_offer *offer, struct ar_disks **ret_disks, struct flic_err *err);
/* Unless the guest is ours, all is as it was; harmless twice. */
void ar_undo(struct ar_disks *disks);
void ar_free(struct ar_disks *disks);           /* accepts NULL; does that too */

/* What came of this guest's disks before the connection was lost, last time; ar_place() begins with it where it can. Files without a name: they
 * are gone with it. */
struct ar_kept;
struct ar_kept *ar_keep(struct ar_disks *disks);        /* before ar_free(); NULL: nothing */
void ar_kept_free(struct ar_kept *kept);        /* accepts NULL */

/* seq: of the checkpoint that it will be. */
int ar_place(struct ar_disks *disks, uint64_t seq, const struct ar_kept *kept, struct flic_err *err);
/* Bit i: an older state of the i-th disk that is copied is here. */
uint32_t ar_has(const struct ar_disks *disks);
int ar_begin(struct ar_disks *disks, struct mw_wire *wire, const struct md_key *key, struct flic_err *err);
int ar_message(struct ar_disks *disks, const struct mw_message *m, struct flic_err *err);
/* How far it is: bytes that came, of how many. */
void ar_progress(const struct ar_disks *disks, uint64_t *ret_done, uint64_t *ret_total);
int ar_settle(struct ar_disks *disks, char **ret_list, struct flic_err *err);
int ar_commit(struct ar_disks *disks, struct flic_err *err);

void ar_add_figures(const struct ar_disks *disks, struct json_t *figures);

/* Disks of guests that were ours already stay, also where ar_commit() failed. Of all guests at start, before sw_settle(); of one before another swap of
 * its disks begins. Both would put them back: after a failure they must not be called. */
int ar_tidy(struct fd_daemon *daemon);
int ar_tidy_guest(struct fd_daemon *daemon, const struct flic_uuid *guest, struct flic_err *err);

#endif
