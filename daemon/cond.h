/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* cond - conditions whose time limits no change of the wall clock moves. */
#ifndef FLIC_DAEMON_COND_H
#define FLIC_DAEMON_COND_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* For fd_cond_wait_until(). */
static inline void fd_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);    /* none of these can fail for this clock */
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

/* Until somebody signals, or flic_now_us() is that. */
static inline void fd_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_us)
{
    const struct timespec t = { .tv_sec = (time_t)(until_us / 1000000), .tv_nsec = (long)(until_us % 1000000) * 1000 };

    (void)pthread_cond_timedwait(cond, lock, &t);
}

#endif
