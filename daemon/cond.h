/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* cond - conditions whose time limits no change of the wall clock moves. */
#ifndef FLIC_DAEMON_COND_H
#define FLIC_DAEMON_COND_H

#include <pthread.h>
#include <time.h>

/* For pthread_cond_timedwait() by CLOCK_MONOTONIC. */
static inline void fd_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);    /* none of these can fail for this clock */
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

#endif
