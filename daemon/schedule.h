/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * schedule - when a protected guest's next checkpoint is due, and which are then too many. Pure: the caller brings the time (any clock, in microseconds).
 *
 * Beats are `every` apart. One at a time: beats that pass while a checkpoint is still being made are left out and counted, and the
 * next one is made at the next beat. After a failure the wait doubles, up to a minute (or one beat, if that is longer).
 */
#ifndef FLIC_DAEMON_SCHEDULE_H
#define FLIC_DAEMON_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sc_plan {
    uint64_t every_us, due_us;
    uint64_t left_out;          /* beats that passed while one was being made */
    unsigned failures;          /* in a row */
};

void sc_begin(struct sc_plan *plan, uint64_t every_us, uint64_t now_us);        /* the first is due at once */
bool sc_is_due(const struct sc_plan *plan, uint64_t now_us);
/* The one that was due has ended; returns how many beats it left out. */
uint64_t sc_end(struct sc_plan *plan, uint64_t now_us, bool ok);
/* It could not be tried (the guest is not there, or somebody else is saving it): look again soon. */
void sc_postpone(struct sc_plan *plan, uint64_t now_us);

/* Which of the checkpoints `made` are more than the newest `keep`: how many, moved to the front, oldest first. */
size_t sc_surplus(uint64_t *made, size_t n, unsigned keep);

#endif
