/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* plot - values over time as columns of text, the newest at the right. Pure. */
#ifndef FLIC_CLI_PLOT_H
#define FLIC_CLI_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PLOT_COLUMNS 60u
#define PLOT_ROWS 8u

/* Bytes per value, labelled at the left with the highest and the lowest row's. More values than columns: each column shows the
 * largest of its share. `blocks`: eighths of a row as block characters (UTF-8); else '#'. */
void plot_bytes(const uint64_t *values, size_t n, bool blocks, FILE *to);

#endif
