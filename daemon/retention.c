/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/retention.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_NS 3600000000000ull
#define DAY_NS (24 * HOUR_NS)

bool rt_any(const struct rt_rules *rules)
{
    return rules->keep_last || rules->keep_hourly || rules->keep_daily || rules->guest_bytes || rules->total_bytes;
}

static bool must_stay(const struct rt_item *item)
{
    return item->newest || item->held;
}

/* By number within a guest, whose clock may have gone back; by time between guests. */
static int newer_first(const struct rt_item *x, const struct rt_item *y)
{
    uint64_t a = x->taken_ns, b = y->taken_ns;

    if (flic_uuid_equal(&x->guest, &y->guest)) {
        a = x->seq;
        b = y->seq;
    }
    if (a != b)
        return a > b ? -1 : 1;
    return memcmp(x->guest.b, y->guest.b, sizeof(x->guest.b));
}

static int order(const void *a, const void *b)
{
    const struct rt_item *x = a, *y = b;

    if (must_stay(x) != must_stay(y))
        return must_stay(x) ? -1 : 1;
    return newer_first(x, y);
}

void rt_begin(struct rt_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        items[i].newest = true;
        items[i].drop = false;
        for (size_t k = 0; k < n; k++)
            if (items[k].seq > items[i].seq && flic_uuid_equal(&items[k].guest, &items[i].guest))
                items[i].newest = false;
    }
    qsort(items, n, sizeof(*items), order);
}

/* How many of the guest's own that nobody holds are newer than this one, and how many hours (or days) they fill. */
struct rank {
    unsigned newer, hours, days;
    bool first_of_hour, first_of_day;
};

/* Counts a period once: by its newest checkpoint. */
static bool fills(const struct rt_item *items, size_t n, size_t which, uint64_t period)
{
    for (size_t i = 0; i < n; i++)
        if (!items[i].held && items[i].seq > items[which].seq && items[i].taken_ns / period == items[which].taken_ns / period &&
            flic_uuid_equal(&items[i].guest, &items[which].guest))
            return false;
    return true;
}

static struct rank rank_of(const struct rt_item *items, size_t n, size_t which)
{
    struct rank r = { .first_of_hour = fills(items, n, which, HOUR_NS), .first_of_day = fills(items, n, which, DAY_NS) };

    for (size_t i = 0; i < n; i++) {
        if (items[i].held || items[i].seq <= items[which].seq || !flic_uuid_equal(&items[i].guest, &items[which].guest))
            continue;
        r.newer++;
        r.hours += fills(items, n, i, HOUR_NS);
        r.days += fills(items, n, i, DAY_NS);
    }
    return r;
}

void rt_by_age(const struct rt_rules *rules, struct rt_item *items, size_t n)
{
    if (!rules->keep_last && !rules->keep_hourly && !rules->keep_daily)
        return;
    for (size_t i = 0; i < n; i++) {
        struct rank r;

        if (must_stay(&items[i]))
            continue;
        r = rank_of(items, n, i);
        items[i].drop = r.newer >= rules->keep_last && !(r.first_of_hour && r.hours < rules->keep_hourly) &&
                        !(r.first_of_day && r.days < rules->keep_daily);
    }
}

/* From the first that does not fit on, all that need not stay go; `guest` NULL: of all guests. */
static int fit(struct rt_item *items, size_t n, const struct flic_uuid *guest, uint64_t limit, const struct rt_sizer *sizer)
{
    uint64_t bytes = 0;
    bool full = false;
    int rc = 0;

    sizer->reset(sizer->arg);
    for (size_t i = 0; !rc && i < n; i++) {
        if (items[i].drop || (guest && !flic_uuid_equal(&items[i].guest, guest)))
            continue;
        if (full && !must_stay(&items[i])) {
            items[i].drop = true;
            continue;
        }
        rc = sizer->add(&items[i], &bytes, sizer->arg);
        if (!rc && bytes > limit && !must_stay(&items[i]))
            full = items[i].drop = true;
    }
    return rc;
}

int rt_by_size(const struct rt_rules *rules, struct rt_item *items, size_t n, const struct rt_sizer *sizer)
{
    int rc = 0;

    for (size_t i = 0; !rc && rules->guest_bytes && i < n; i++)
        if (items[i].newest)        /* one of each guest */
            rc = fit(items, n, &items[i].guest, rules->guest_bytes, sizer);
    if (!rc && rules->total_bytes)
        rc = fit(items, n, NULL, rules->total_bytes, sizer);
    return rc;
}
