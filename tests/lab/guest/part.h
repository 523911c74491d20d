/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * A part of the guest's load: it owns some data, keeps changing it, and can tell at any time whether it is right.
 *
 * Each part has one thread, the only one that touches its data. The thread calls step() for ever, paced by the part
 * itself, and verify() in between when somebody asked for it.
 */
#ifndef FLIC_LAB_PART_H
#define FLIC_LAB_PART_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct load_config {
    uint64_t seed, cold_seed; /* the second of what is written once: equal in guests that have the same files */
    unsigned memory_mib; /* of the guest; memory sizes scale with it, 512 being 1 */
    double rate;         /* 1, or 0.5 in the mixed workload */
    const char *workload;
};

struct part {
    const char *name;
    void (*start)(struct part *p);
    void (*step)(struct part *p);
    void (*verify)(struct part *p); /* whole data set; errors through part_error() */
    const struct load_config *config;
    bool on;
    _Atomic bool started;
    _Atomic uint64_t work, checks, errors; /* work is in the part's own unit */
    _Atomic int64_t beat;                  /* monotonic ns of the last finished step */
    char summary[192];                     /* JSON members about the last verify(), guarded by lock */
    pthread_mutex_t lock;
    pthread_cond_t turn;
    unsigned asked, answered; /* verify() calls wanted and done, guarded by lock */
    int64_t due;              /* pace(): when the next unit may start */
};

extern struct part memory_part, cold_part, disk_part, database_part, net_part;

int64_t monotonic_ns(void);
void sleep_ns(int64_t ns);

/* Counts an error, keeps the first one, and says it on the console. */
void part_error(struct part *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Describes the last verify() in JSON members without braces. */
void part_summary(struct part *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sleeps so that UNITS of work take at least UNITS / PER_SECOND on average. A late part does not catch up in a burst. */
void pace(struct part *p, double units, double per_second);

void part_run(struct part *p, const struct load_config *config);
/* Waits until the part has verified everything once more; false when it did not within the limit. */
bool part_ask(struct part *p, unsigned seconds);

/* Text of the first error of any part, or "". */
const char *first_error(void);

#endif
