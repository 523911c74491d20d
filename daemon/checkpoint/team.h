/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * team - a few threads that share the items of one job; started ahead, so that a pause only wakes them.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_TEAM_H
#define FLIC_DAEMON_CHECKPOINT_TEAM_H

#include <stddef.h>

struct team;

/* `threads` counts the caller too; fewer are started when the system gives fewer. Never fails: NULL is a team of one. */
struct team *team_new(unsigned threads);
void team_free(struct team *team);      /* accepts NULL */

/* Calls work(item, arg) for every item in 0..n-1, in any order, from any of the threads, each taking `chunk` items at a time; returns
 * when all are done. */
void team_run(struct team *team, size_t n, size_t chunk, void (*work)(size_t item, void *arg), void *arg);

#endif
