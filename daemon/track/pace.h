/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * pace - how fast background copying may go: so many bytes a second and such a share of one CPU, over all tracked guests.
 *
 * After each batch the next one waits until both are kept. There is no saved-up credit: an idle minute buys no burst.
 */
#ifndef FLIC_DAEMON_TRACK_PACE_H
#define FLIC_DAEMON_TRACK_PACE_H

#include <stdint.h>

struct tk_clock {
    uint64_t (*now_us)(void *arg);      /* monotonic */
    uint64_t (*cpu_us)(void *arg);      /* CPU time of the calling thread */
    uint64_t (*wall_ns)(void *arg);     /* CLOCK_REALTIME */
    void *arg;
};
extern const struct tk_clock tk_real_clock;

struct tk_pace {
    const struct tk_clock *clock;
    uint64_t bytes_per_s;
    unsigned cpu_percent;               /* 1..100 */
    uint64_t free_us;                   /* private: no batch before this */
};

/* Charges a batch that began at `began_us`, took `cpu_us` of CPU time and moved `bytes`. */
void tk_pace_charge(struct tk_pace *pace, uint64_t began_us, uint64_t cpu_us, uint64_t bytes);

#endif
