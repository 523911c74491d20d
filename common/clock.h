/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* clock - how long something takes, and when it was. */
#ifndef FLIC_COMMON_CLOCK_H
#define FLIC_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t flic_clock_ns(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);     /* cannot fail for the clocks used */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Goes on evenly while the host is up. */
static inline uint64_t flic_now_us(void) { return flic_clock_ns(CLOCK_MONOTONIC) / 1000; }
static inline uint64_t flic_now_s(void) { return flic_now_us() / 1000000; }

/* Since 1970; may be set, back too. */
static inline uint64_t flic_wall_ns(void) { return flic_clock_ns(CLOCK_REALTIME); }

#endif
