/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * kept - what arrived of guests before the connection, or flicd, was lost: for the next try to begin with. A few guests, for an hour.
 *
 * A file for each in STORE/arrivals says what it is (ck_arrival_note()), and is found by the flicd that starts next. Any thread.
 */
#ifndef FLIC_DAEMON_KEPT_H
#define FLIC_DAEMON_KEPT_H

#include "common/uuid.h"
#include "daemon/checkpoint/arrival.h"

struct fd_daemon;
struct ar_kept;

/* At start: what an earlier flicd noted is kept from collections again; what would take too much memory is forgotten. */
void fd_kept_load(struct fd_daemon *daemon);
/* Has a new arrival noted as it goes on. */
void fd_kept_note(struct fd_daemon *daemon, const struct flic_uuid *guest, struct ck_arrival *arrival);

/* Gives it, or NULL. ret_disks: what is kept of its disks, or NULL; one who has no use for that gives NULL, and it is gone. */
struct ck_arrival *fd_kept_take(struct fd_daemon *daemon, const struct flic_uuid *guest, struct ar_kept **ret_disks);
/* Takes both. `arrival` NULL: nothing is kept. `disks` may be NULL; they have no names, and do not outlive flicd. Older ones give way as far as all
 * together would take more memory than lt_room(). */
void fd_kept_put(struct fd_daemon *daemon, const struct flic_uuid *guest, struct ck_arrival *arrival, struct ar_kept *disks);
/* It is here: nothing is to be found any more. */
void fd_kept_drop(struct fd_daemon *daemon, const struct flic_uuid *guest);
/* Those that nobody came back for. */
void fd_kept_expire(struct fd_daemon *daemon);
/* At the end: none is held in memory any longer; the files stay. */
void fd_kept_release(void);

#endif
