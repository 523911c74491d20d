/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "gap.h"
#include "clocks.h"
#include "part.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define LOOP_NS INT64_C(1000000)

static _Atomic uint64_t longest; /* in the counter's unit */
static uint64_t hz;              /* 0: nobody watches */

static void *watch(void *arg)
{
    struct sched_param first = { .sched_priority = 1 };
    uint64_t last = clocks_counter();

    pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
    for (;;) {
        uint64_t now;

        sleep_ns(LOOP_NS);
        now = clocks_counter();
        if (now - last > longest)
            longest = now - last;
        last = now;
    }
    return arg;
}

void gap_watch(void)
{
    pthread_t thread;

    hz = clocks_now().frequency;
    if (hz != 0 && pthread_create(&thread, NULL, watch, NULL) == 0)
        pthread_detach(thread);
    else
        hz = 0;
}

int64_t gap_longest_us(void)
{
    return hz == 0 ? -1 : (int64_t)((double)atomic_exchange(&longest, 0) * 1e6 / (double)hz);
}
