/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * protect - checkpoints of guests that run on, one every so often, the newest few kept.
 *
 * One thread decides when (schedule.h) and starts the worker flic-guest, which asks flicd for the checkpoint as xl would: flicd
 * never links libxl. What is protected, and which checkpoints protect made, stands in STORE/protected.json, written before a
 * checkpoint is published; so protect drops its own only, also after a restart. A guest that is gone keeps its setting: it is
 * protected again when it is back, restored or not.
 */
#ifndef FLIC_DAEMON_PROTECT_H
#define FLIC_DAEMON_PROTECT_H

#include "daemon/checkpoint/save.h"
#include "daemon/daemon.h"

int fd_protect_start(struct fd_daemon *daemon, struct flic_err *err);
/* No new checkpoints, and whoever waits for one is answered. */
void fd_protect_close(struct fd_daemon *daemon);
void fd_protect_stop(struct fd_daemon *daemon);

/* Questions; each in a thread of its own. `protect` answers when the first checkpoint is published, or why there is none. */
json_t *fd_protect_on(struct fd_daemon *daemon, json_t *request);
json_t *fd_protect_off(struct fd_daemon *daemon, json_t *request);
json_t *fd_protect_status(struct fd_daemon *daemon);

/* From a save that protect asked for: its number, before it is published; and how it ended. */
int fd_protect_note(struct fd_daemon *daemon, const struct flic_uuid *guest, uint64_t seq, struct flic_err *err);
void fd_protect_result(struct fd_daemon *daemon, const struct flic_uuid *guest, int rc, const struct ck_save_figures *figures,
                       const struct flic_err *err);

/* Whether this guest is protected (NULL: any guest), there or not. Any thread. */
bool fd_protects(struct fd_daemon *daemon, const struct flic_uuid *guest);
/* Whether it is one that protect made and drops in time: its guest is there and being protected. Any thread. */
bool fd_protect_will_drop(struct fd_daemon *daemon, const struct flic_uuid *guest, uint64_t seq);

#endif
