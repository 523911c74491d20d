/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * progress - how far a save or restore is, on stderr.
 *
 * On a terminal one line that is redrawn ten times a second at most; elsewhere a plain line when a phase begins and every five
 * seconds. Fed from libflicxl's callback; for one thread.
 */
#ifndef FLIC_CLI_PROGRESS_H
#define FLIC_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
    /* in */
    const char *verb, *name;            /* borrowed */
    const volatile int *cancel;         /* non-zero: says that it is cancelling */
    /* out */
    bool suspending;                    /* the guest was asked to suspend, at least */
    /* private */
    bool quiet, redraw, drawn;
    char phase[32];
    uint64_t phase_began_us, last_us, first_bytes;
};

void progress_init(struct progress *p, const char *verb, const char *name, const volatile int *cancel, bool quiet);
/* A flicxl_progress; `user` is the struct progress. */
void progress_show(void *user, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
/* Takes the redrawn line away; before any other output. */
void progress_end(struct progress *p);

#endif
