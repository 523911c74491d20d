/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/track/history.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define REGION_PAGES 512u       /* 2 MiB */
#define KEEP_BITS UINT64_C(0x7f7f7f7f7f7f7f7f)

int tk_history_init(struct tk_history *history, uint64_t gfn_end)
{
    history->words = (size_t)((gfn_end + 63) / 64);
    history->page = calloc(history->words + 1, 64);
    return history->page ? 0 : -ENOMEM;
}

void tk_history_fini(struct tk_history *history)
{
    free(history->page);
    *history = (struct tk_history){ 0 };
}

/* Eight pages at a time; most of a guest's pages have nothing to shift. */
static void shift(uint8_t *pages)
{
    for (size_t i = 0; i < 64; i += 8) {
        uint64_t eight;

        memcpy(&eight, pages + i, sizeof(eight));
        if (!eight)
            continue;
        eight = (eight & KEEP_BITS) << 1;
        memcpy(pages + i, &eight, sizeof(eight));
    }
}

static void add(uint8_t *pages, uint64_t bits)
{
    for (; bits; bits &= bits - 1)
        pages[__builtin_ctzll(bits)] |= 1;
}

void tk_history_epoch(struct tk_history *history, const uint64_t *written)
{
    for (size_t i = 0; i < history->words; i++) {
        shift(history->page + 64 * i);
        add(history->page + 64 * i, written[i]);
    }
}

void tk_history_add(struct tk_history *history, const uint64_t *written)
{
    for (size_t i = 0; i < history->words; i++)
        add(history->page + 64 * i, written[i]);
}

static void measure_page(uint8_t h, struct tk_measure *m)
{
    m->written_pages += h & 1;
    m->ws_pages += tk_written_twice(h);
    m->stable_pages += (h & 0x0f) == 0x0f;
}

/* Counts one region's pages, a multiple of eight. */
static void measure_region(const uint8_t *pages, size_t n, struct tk_measure *m)
{
    uint32_t before = m->ws_pages;

    for (size_t i = 0; i < n; i += 8) {
        uint64_t eight;

        memcpy(&eight, pages + i, sizeof(eight));
        for (size_t k = 0; eight && k < 8; k++)
            measure_page(pages[i + k], m);
    }
    m->ws_regions += m->ws_pages > before;
}

void tk_history_measure(const struct tk_history *history, struct tk_measure *ret_measure)
{
    size_t pages = history->words * 64;

    *ret_measure = (struct tk_measure){ 0 };
    for (size_t at = 0; at < pages; at += REGION_PAGES)
        measure_region(history->page + at, pages - at < REGION_PAGES ? pages - at : REGION_PAGES, ret_measure);
}

void tk_history_hot(const struct tk_history *history, uint64_t *hot)
{
    for (size_t i = 0; i < history->words * 64; i++) {
        bool is_hot = tk_written_twice(history->page[i] & 0x0f);

        if (i % 64 == 0)
            hot[i / 64] = 0;
        hot[i / 64] |= (uint64_t)is_hot << (i % 64);
    }
}
