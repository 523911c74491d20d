/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Watches that no clock of the guest ever runs backwards, on any of its CPUs. */
#ifndef FLIC_LAB_CLOCKS_H
#define FLIC_LAB_CLOCKS_H

#include <stdint.h>

struct clocks {
    int64_t wall, monotonic, boot; /* ns */
    uint64_t counter, frequency;   /* CNTVCT_EL0, CNTFRQ_EL0; on x86 TSC and what Xen says of it */
};

struct clocks clocks_now(void);
uint64_t clocks_counter(void); /* only the counter: CNTVCT_EL0 or TSC */
void clocks_watch(void);

/* Times a clock was seen to go back; the wall clock counts too, nobody sets it in this guest. */
uint64_t clocks_errors(void);
/* Longest time between two samples since the last call, in ms of CLOCK_MONOTONIC and of CLOCK_REALTIME. */
void clocks_gap(int64_t *ret_monotonic_ms, int64_t *ret_wall_ms);

#endif
