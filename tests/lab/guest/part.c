/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "part.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static char error_text[160];
static _Atomic bool have_error;

int64_t monotonic_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void sleep_ns(int64_t ns)
{
    struct timespec t = { ns / 1000000000, ns % 1000000000 };

    while (ns > 0 && nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

const char *first_error(void)
{
    return have_error ? error_text : "";
}

void part_error(struct part *p, const char *format, ...)
{
    char text[sizeof(error_text)];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (!have_error) {
        snprintf(error_text, sizeof(error_text), "%.12s: %.140s", p->name, text);
        have_error = true;
    }
    if (++p->errors <= 20) {
        printf("FLIC-GUEST-ERROR part=%s %s\n", p->name, text);
        fflush(stdout);
    }
}

void part_summary(struct part *p, const char *format, ...)
{
    va_list ap;

    pthread_mutex_lock(&p->lock);
    va_start(ap, format);
    vsnprintf(p->summary, sizeof(p->summary), format, ap);
    va_end(ap);
    pthread_mutex_unlock(&p->lock);
}

void pace(struct part *p, double units, double per_second)
{
    int64_t now = monotonic_ns();

    if (p->due < now - INT64_C(1000000000))
        p->due = now;
    p->due += (int64_t)(units / per_second * 1e9);
    sleep_ns(p->due - now);
}

static void answer(struct part *p)
{
    unsigned wanted;

    pthread_mutex_lock(&p->lock);
    wanted = p->asked;
    pthread_mutex_unlock(&p->lock);
    if (wanted == p->answered)
        return;
    p->verify(p);
    pthread_mutex_lock(&p->lock);
    p->answered = wanted;
    pthread_cond_broadcast(&p->turn);
    pthread_mutex_unlock(&p->lock);
}

static void *part_thread(void *arg)
{
    struct part *p = arg;

    p->start(p);
    p->beat = monotonic_ns();
    p->started = true;
    for (;;) {
        p->step(p);
        p->beat = monotonic_ns();
        answer(p);
    }
    return NULL;
}

void part_run(struct part *p, const struct load_config *config)
{
    pthread_t thread;

    p->config = config;
    p->on = true;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->turn, NULL);
    if (pthread_create(&thread, NULL, part_thread, p) != 0)
        abort();
    pthread_detach(thread);
}

bool part_ask(struct part *p, unsigned seconds)
{
    struct timespec limit;
    unsigned mine;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += seconds;
    pthread_mutex_lock(&p->lock);
    mine = ++p->asked;
    while ((int)(p->answered - mine) < 0 && rc == 0)
        rc = pthread_cond_timedwait(&p->turn, &p->lock, &limit);
    pthread_mutex_unlock(&p->lock);
    return rc == 0;
}
