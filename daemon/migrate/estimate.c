/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/estimate.h"

#include "daemon/checkpoint/store.h"

#define KNOWS_LINK (2u << 20)   /* bytes of pages after which the link's speed is known */
#define SLOW_LINK (4u << 20)    /* bytes a second, until then: Wi-Fi with a wall in between */

static uint64_t rate(uint64_t bytes, uint64_t us) { return us ? bytes * 1000000 / us : 0; }

bool me_is_enough(const struct me_seen *seen) { return seen->page_bytes >= KNOWS_LINK; }

/* Little was sent: that says more of the first packets than of the link, which is taken to be a slow one. */
uint64_t me_bytes_per_s(const struct me_seen *seen)
{
    uint64_t all = rate(seen->page_bytes, seen->busy_us), waits_us = seen->waits * seen->least_wait_us;

    if (!me_is_enough(seen))
        return all < SLOW_LINK ? SLOW_LINK : all;
    return waits_us < seen->busy_us ? rate(seen->page_bytes, seen->busy_us - waits_us) : all;
}

uint64_t me_time_us(const struct me_seen *seen, uint64_t pages)
{
    uint64_t page = seen->pages ? seen->page_bytes / seen->pages : FLIC_PAGE_SIZE, bytes_per_s = me_bytes_per_s(seen);

    return seen->least_wait_us + pages * (page + 8) * 1000000 / (bytes_per_s ? bytes_per_s : 1);
}
