/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * human - sizes, durations and points in time as people read them. Pure but for the time zone.
 *
 * Every function fills `out` and returns it, so that it can stand in an argument list.
 */
#ifndef FLIC_CLI_HUMAN_H
#define FLIC_CLI_HUMAN_H

#include <stdint.h>

#define HUMAN_ROOM 40

/* Binary units, three significant figures: "0 B", "4 KiB", "1.5 MiB", "512 MiB". */
const char *human_bytes(uint64_t bytes, char out[HUMAN_ROOM]);
/* "312 us", "4.08 ms", "1.20 s", "3 min 20 s". */
const char *human_us(uint64_t us, char out[HUMAN_ROOM]);
/* Local time to the second from nanoseconds of CLOCK_REALTIME; "-" for 0. */
const char *human_time(uint64_t ns, char out[HUMAN_ROOM]);
/* Decimal digits in groups of three: "131,072". */
const char *human_count(uint64_t count, char out[HUMAN_ROOM]);

#endif
