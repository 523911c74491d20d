/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * retention - which checkpoints the rules of flicd.conf(5) no longer keep. Pure.
 *
 * Whatever the rules say, the newest checkpoint of each guest stays: it may be all that there is of it. So do those that somebody
 * holds (pinned, in a FILE, or protect's own); they do not use up what the rules keep.
 */
#ifndef FLIC_DAEMON_RETENTION_H
#define FLIC_DAEMON_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/uuid.h"

struct rt_rules {
    unsigned keep_last, keep_hourly, keep_daily;    /* all 0: age drops nothing */
    uint64_t guest_bytes, total_bytes;              /* 0: no limit */
};

struct rt_item {
    struct flic_uuid guest;
    uint64_t seq, taken_ns;
    bool held;
    size_t tag;                 /* the caller's */
    bool newest;                /* of its guest; set by rt_begin() */
    bool drop;                  /* the answer */
};

bool rt_any(const struct rt_rules *rules);

/* Puts the items in the order in which they are worth keeping: newest ones and held ones first, then by age. Nothing is dropped yet. */
void rt_begin(struct rt_item *items, size_t n);

/* By age: each guest keeps the newest `keep_last`, and the newest of each of the last `keep_hourly` hours and `keep_daily` days (of UTC)
 * in which there is one. */
void rt_by_age(const struct rt_rules *rules, struct rt_item *items, size_t n);

/* By size: `add` is told of the items one after the other, those dropped already left out, and answers how many bytes all that it was
 * told since `reset` take together, or a negative error, which ends it and is returned. */
struct rt_sizer {
    void (*reset)(void *arg);
    int (*add)(const struct rt_item *item, uint64_t *ret_bytes, void *arg);
    void *arg;
};
int rt_by_size(const struct rt_rules *rules, struct rt_item *items, size_t n, const struct rt_sizer *sizer);

#endif
