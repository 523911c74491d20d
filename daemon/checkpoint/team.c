/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct team {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    unsigned started, working;
    unsigned long job;          /* counts jobs, so that a thread takes part in each once */
    bool over;
    size_t n, chunk;
    atomic_size_t next;
    void (*work)(size_t item, void *arg);
    void *arg;
    pthread_t threads[16];
};

static void take_part(struct team *team)
{
    size_t first;

    while ((first = atomic_fetch_add(&team->next, team->chunk)) < team->n)
        for (size_t i = first; i < first + team->chunk && i < team->n; i++)
            team->work(i, team->arg);
}

static void *member(void *arg)
{
    struct team *team = arg;
    unsigned long seen = 0;

    (void)pthread_mutex_lock(&team->lock);
    while (!team->over) {
        if (team->job == seen) {
            (void)pthread_cond_wait(&team->wake, &team->lock);
            continue;
        }
        seen = team->job;
        (void)pthread_mutex_unlock(&team->lock);
        take_part(team);
        (void)pthread_mutex_lock(&team->lock);
        if (--team->working == 0)
            (void)pthread_cond_signal(&team->done);
    }
    (void)pthread_mutex_unlock(&team->lock);
    return NULL;
}

struct team *team_new(unsigned threads)
{
    struct team *team = threads > 1 ? calloc(1, sizeof(*team)) : NULL;

    if (!team)
        return NULL;
    (void)pthread_mutex_init(&team->lock, NULL);
    (void)pthread_cond_init(&team->wake, NULL);
    (void)pthread_cond_init(&team->done, NULL);
    while (team->started < threads - 1 && team->started < 16 &&
           !pthread_create(&team->threads[team->started], NULL, member, team))
        team->started++;
    return team;
}

void team_free(struct team *team)
{
    if (!team)
        return;
    (void)pthread_mutex_lock(&team->lock);
    team->over = true;
    (void)pthread_cond_broadcast(&team->wake);
    (void)pthread_mutex_unlock(&team->lock);
    for (unsigned i = 0; i < team->started; i++)
        (void)pthread_join(team->threads[i], NULL);
    (void)pthread_cond_destroy(&team->done);
    (void)pthread_cond_destroy(&team->wake);
    (void)pthread_mutex_destroy(&team->lock);
    free(team);
}

void team_run(struct team *team, size_t n, size_t chunk, void (*work)(size_t item, void *arg), void *arg)
{
    if (!team || n <= chunk) {
        for (size_t i = 0; i < n; i++)
            work(i, arg);
        return;
    }
    (void)pthread_mutex_lock(&team->lock);
    team->n = n;
    team->chunk = chunk;
    team->work = work;
    team->arg = arg;
    atomic_store(&team->next, 0);
    team->working = team->started;
    team->job++;
    (void)pthread_cond_broadcast(&team->wake);
    (void)pthread_mutex_unlock(&team->lock);
    take_part(team);
    (void)pthread_mutex_lock(&team->lock);
    while (team->working)
        (void)pthread_cond_wait(&team->done, &team->lock);
    (void)pthread_mutex_unlock(&team->lock);
}
