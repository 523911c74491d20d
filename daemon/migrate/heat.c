/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/heat.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int mt_heat_init(struct mt_heat *heat, uint64_t gfn_end, uint64_t now_us)
{
    size_t words = (gfn_end + 63) / 64 + 1;

    *heat = (struct mt_heat){ .words = words, .began_us = now_us };
    heat->young = calloc(words, sizeof(*heat->young));
    heat->old = calloc(words, sizeof(*heat->old));
    heat->warm = calloc(words, sizeof(*heat->warm));
    if (heat->young && heat->old && heat->warm)
        return 0;
    mt_heat_fini(heat);
    return -ENOMEM;
}

void mt_heat_fini(struct mt_heat *heat)
{
    free(heat->young);
    free(heat->old);
    free(heat->warm);
    *heat = (struct mt_heat){ 0 };
}

/* What is young becomes old, and what was old is forgotten. */
static void turn(struct mt_heat *heat, uint64_t now_us)
{
    uint64_t *forgotten = heat->old;

    heat->old = heat->young;
    heat->young = forgotten;
    memset(heat->young, 0, heat->words * sizeof(*heat->young));
    heat->began_us = now_us;
}

void mt_heat_window(struct mt_heat *heat, uint64_t window_us, uint64_t now_us)
{
    heat->window_us = window_us;
    turn(heat, now_us);
}

void mt_heat_wrote(struct mt_heat *heat, const uint64_t *bitmap, size_t words, uint64_t now_us)
{
    bool full = heat->window_us && now_us - heat->began_us >= heat->window_us;

    for (size_t i = 0; i < heat->words; i++) {
        if (i < words)
            heat->young[i] |= bitmap[i];
        heat->warm[i] = heat->young[i] | (full ? 0 : heat->old[i]);
    }
    if (full)
        turn(heat, now_us);
}

const uint64_t *mt_heat_warm(const struct mt_heat *heat) { return heat->warm; }
