/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/nvram/layout.h"

#include <string.h>

#define LOG_MIN (96ull << 10)   /* one largest object, its PUBLISHED note and some live records */
#define LOG_MAX (16ull << 20)

/* A half gets a 64th of the arena for roots and notes, and four bytes per page: the extents of an arena whose
 * every second frame is in use. */
bool nvl_geometry_of(uint64_t media_bytes, struct nvl_geometry *ret_geo)
{
    uint64_t size = media_bytes & ~(uint64_t)(FLIC_PAGE_SIZE - 1);
    struct nvl_geometry geo;
    uint64_t log;

    if (size < NVL_SIZE_MIN)
        return false;
    if (size > NVL_SIZE_MAX)
        size = NVL_SIZE_MAX;
    log = size / 64;
    log = log < LOG_MIN ? LOG_MIN : log > LOG_MAX ? LOG_MAX : log;
    log += size / FLIC_PAGE_SIZE * sizeof(uint32_t);
    log = (log + FLIC_PAGE_SIZE - 1) & ~(uint64_t)(FLIC_PAGE_SIZE - 1);
    geo.size_bytes = size;
    geo.log_bytes = log;
    geo.frames_at = NVL_LOG_AT + 2 * log;
    geo.frames = (uint32_t)((size - geo.frames_at) / FLIC_PAGE_SIZE);
    *ret_geo = geo;
    return true;
}

uint64_t nvl_head_sum(uint64_t salt, const struct nvl_head *head)
{
    struct nvl_head salted = *head;

    salted.sw = salt;
    return flic_checksum(&salted, offsetof(struct nvl_head, head_sum));
}

/* Far from zero, which means "not yet": no damage within NVL_FLIPS takes one for the other. */
static uint64_t far_from_zero(uint64_t sw)
{
    return __builtin_popcountll(sw) > 2 * NVL_FLIPS ? sw : ~sw;
}

uint64_t nvl_record_switch(uint64_t head_sum)
{
    return far_from_zero(flic_checksum(&head_sum, sizeof(head_sum)));
}

uint64_t nvl_log_switch(uint64_t salt, uint32_t generation, unsigned half)
{
    uint64_t words[3] = { salt, generation, half };

    if (generation == 1 && half == 0)
        return 0;
    return far_from_zero(flic_checksum(words, sizeof(words)));
}
