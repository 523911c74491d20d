/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * upkeep - what keeps the store small and whole: giving space back and dropping what the rules no longer keep, by itself and when asked.
 *
 * One thread, beside the one that looks after guests every second. By itself it works only while no operation is under
 * way, paced, and steps back as soon as one begins.
 */
#ifndef FLIC_DAEMON_UPKEEP_H
#define FLIC_DAEMON_UPKEEP_H

#include "daemon/daemon.h"

int fd_upkeep_start(struct fd_daemon *daemon, struct flic_err *err);
/* What runs, asked for or not, ends soon; nothing new begins. Any thread. */
void fd_upkeep_close(struct fd_daemon *daemon);
void fd_upkeep_stop(struct fd_daemon *daemon);

/* Something was forgotten: there may be space to give back; or published: the rules may drop another. Any thread. */
void fd_upkeep_forgot(struct fd_daemon *daemon);
void fd_upkeep_published(struct fd_daemon *daemon);
/* Something was forgotten without a ck_collect(): upkeep does it within a minute, for all of that time; at once if there was no room
 * for an operation. Any thread. */
void fd_upkeep_left_packs(struct fd_daemon *daemon);
void fd_upkeep_no_room(struct fd_daemon *daemon);

/* Whether that was said; `arg` is the daemon. For what runs long. */
bool fd_upkeep_closing(void *arg);

/* Questions; each in a thread of its own. */
json_t *fd_gc(struct fd_daemon *daemon, json_t *request);

#endif
