/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * campaign - what the programs here share: how large a run is, how it counts, and the lines it prints. Each is a test of
 * libcheck that runs in one process; small by default, so that `make check` has it, and as large as CAMPAIGN in the
 * environment says.
 */
#ifndef FLIC_TESTS_CAMPAIGN_CAMPAIGN_H
#define FLIC_TESTS_CAMPAIGN_CAMPAIGN_H

#include <check.h>
#include <stdint.h>

/* CAMPAIGN in the environment, or `usual`. */
uint64_t campaign_size(uint64_t usual);
uint64_t campaign_random(uint64_t *state);

/* {"name","unit","value","runs"} on stdout, as every benchmark prints. */
void campaign_figure(const char *name, const char *unit, uint64_t value);
/* A loss: told on stderr, counted; the first ten in words. */
void campaign_lost(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint64_t campaign_losses(void);

/* Runs the one test in this process and gives the program's exit status: 0 when it passed and nothing was lost. */
int campaign_run(const char *name, const TTest *test);

#endif
