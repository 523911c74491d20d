/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * nvram-recorder - a medium in RAM that remembers every store, flush and fence (link it in the place of
 * daemon/nvram/media.c), and a walk over what a power cut could have left of them.
 *
 * The model is the one that nv_media.h states: per cache line, any version between the last one that a completed
 * flush and fence made durable and the newest; lines are independent; within a line, 8-byte words are
 * whole. A site is a place in the code that flushes, fences or streams, told apart by its two callers.
 *
 * For one thread.
 */
#ifndef FLIC_TESTS_UNIT_NVRAM_RECORDER_H
#define FLIC_TESTS_UNIT_NVRAM_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The medium holds a copy of `image` (NULL: zeros) from now on, and the trace is empty. */
void rec_load(const uint8_t *image, size_t size);
/* As the CPU sees it: every store applied. */
uint8_t *rec_view(void);
size_t rec_size(void);

/* Puts another image in the medium's place, borrowed, and gives the one that was there. Not while recording. */
uint8_t *rec_swap(uint8_t *image);

void rec_record(bool on);
/* "An operation has returned": whatever it promised must hold from here on. Numbers count from 0. */
void rec_mark(void);
size_t rec_ops(void);

/* Sets the trace aside, and what it started from, for any number of kills. */
void rec_stash(void);
/* The process of the stashed trace dies after `ops` calls: the medium shows the stores so far, flushed or not, and the
 * trace goes on from there. Gives the marks that were passed. */
unsigned rec_kill_after(size_t ops);

/* ---- mutation: one site does nothing ---- */
int rec_sites(void);                    /* seen so far, over all recordings */
void rec_mute(int site);                /* -1: none */
const char *rec_site_kind(int site);
/* Offsets in the program of the site and of its caller, for addr2line. */
void rec_site_places(int site, uintptr_t ret_at[2]);

/* The n-th fence from now fails with EIO, and every one after it; 0: none does. */
void rec_fail_fence(unsigned nth);

/* ---- the walk ---- */

struct rec_walk {
    size_t from;            /* the first call at which the power may go */
    unsigned per_point;     /* images per point, at most about */
    uint64_t seed;
    /* Looks at one image after mark `marks - 1` was passed; it may write to it. False stops the walk. */
    bool (*check)(uint8_t *image, size_t size, unsigned marks, void *arg);
    void *arg;
    uint64_t images;        /* shown to check, out */
    uint64_t points;        /* out */
};

/* True when every check was. The trace is taken as it stands and left alone by what check does. */
bool rec_walk(struct rec_walk *walk);

uint64_t rec_random(uint64_t *state);

#endif
