/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * history - in which of the last eight epochs each page was written: one byte a page, bit 0 the last epoch. Pure.
 */
#ifndef FLIC_DAEMON_TRACK_HISTORY_H
#define FLIC_DAEMON_TRACK_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tk_history {
    uint8_t *page;              /* gfn_end bytes, rounded up to whole words of a bitmap */
    size_t words;               /* of 64 pages each */
};

struct tk_measure {
    uint32_t written_pages, ws_pages, stable_pages, ws_regions;     /* as in struct tk_sample */
};

/* Nothing written yet. -ENOMEM. */
int tk_history_init(struct tk_history *history, uint64_t gfn_end);
void tk_history_fini(struct tk_history *history);

/* A new epoch with these pages written. */
void tk_history_epoch(struct tk_history *history, const uint64_t *written);
/* Adds pages to the last epoch. */
void tk_history_add(struct tk_history *history, const uint64_t *written);

/* Of one page's byte: written in at least two of its epochs. Of all eight, that is the write set. */
static inline bool tk_written_twice(uint8_t page)
{
    return page & (page - 1);
}

void tk_history_measure(const struct tk_history *history, struct tk_measure *ret_measure);
/* Sets in `hot` the pages written in at least two of the last four epochs. */
void tk_history_hot(const struct tk_history *history, uint64_t *hot);

#endif
