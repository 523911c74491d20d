/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * heat - which pages were written just now, and so will be again before the guest is gone: sending them while it runs is sending
 * them twice. Fed with the bitmaps of log-dirty and the time of each. Pure.
 */
#ifndef FLIC_DAEMON_MIGRATE_HEAT_H
#define FLIC_DAEMON_MIGRATE_HEAT_H

#include <stddef.h>
#include <stdint.h>

struct mt_heat {
    size_t words;               /* of 64 pages each */
    uint64_t window_us;         /* 0: all that was ever written is warm */
    uint64_t began_us;          /* when `young` began to be filled */
    uint64_t *young, *old;      /* written since; in the window before */
    uint64_t *warm;             /* their union */
};

/* Nothing was written yet. -ENOMEM. */
int mt_heat_init(struct mt_heat *heat, uint64_t gfn_end, uint64_t now_us);
void mt_heat_fini(struct mt_heat *heat);

/* From now on a page that was not written for a window, and less than two, has cooled down. Before, none does. */
void mt_heat_window(struct mt_heat *heat, uint64_t window_us, uint64_t now_us);

/* These pages were written between the last call and now. At most heat->words are looked at. */
void mt_heat_wrote(struct mt_heat *heat, const uint64_t *bitmap, size_t words, uint64_t now_us);

/* heat->words words: the warm pages. Borrowed until the next call. */
const uint64_t *mt_heat_warm(const struct mt_heat *heat);

#endif
