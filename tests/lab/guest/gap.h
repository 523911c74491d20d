/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * How long the guest stood still, by its own counter: a loop that wakes every millisecond, ahead of all other work, and
 * keeps the longest time between two looks at CNTVCT or TSC. Linux's own clocks are no use for it: CLOCK_MONOTONIC stops
 * while the guest is suspended.
 */
#ifndef FLIC_LAB_GAP_H
#define FLIC_LAB_GAP_H

#include <stdint.h>

void gap_watch(void);
/* The longest gap since the last call, in microseconds; -1 when nobody watches. */
int64_t gap_longest_us(void);

#endif
