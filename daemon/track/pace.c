/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/track/pace.h"

#include "common/clock.h"

#include <time.h>

static uint64_t real_now(void *arg)
{
    (void)arg;
    return flic_now_us();
}

static uint64_t real_cpu(void *arg)
{
    (void)arg;
    return flic_clock_ns(CLOCK_THREAD_CPUTIME_ID) / 1000;
}

static uint64_t real_wall(void *arg)
{
    (void)arg;
    return flic_wall_ns();
}

const struct tk_clock tk_real_clock = { .now_us = real_now, .cpu_us = real_cpu, .wall_ns = real_wall };

void tk_pace_charge(struct tk_pace *pace, uint64_t began_us, uint64_t cpu_us, uint64_t bytes)
{
    uint64_t by_bytes = began_us + bytes * 1000000 / (pace->bytes_per_s ? pace->bytes_per_s : 1);
    uint64_t by_cpu = began_us + cpu_us * 100 / (pace->cpu_percent ? pace->cpu_percent : 1);
    uint64_t until = by_bytes > by_cpu ? by_bytes : by_cpu;

    if (until > pace->free_us)
        pace->free_us = until;
}
