/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * flash - remembers what a program did to the files of a folder (calls.h), and walks over what a power cut could have left of it.
 *
 * The model, as unkind as POSIX allows: a file's bytes are durable after an fsync of it, a name after an fsync of its folder. What came
 * later is there or not, each write and each name for itself; the last write of a file may have got through in some of its
 * sectors of 512 bytes only; a file may have its new length before its bytes, which are zeros then. The arena is a plain file
 * here: its stores are durable after the msync that covers them, torn at 64 bytes.
 *
 * Between two syncs the choice only grows, so the power goes just before each of them and where a promise was written down.
 */
#ifndef FLIC_TESTS_CAMPAIGN_FLASH_H
#define FLIC_TESTS_CAMPAIGN_FLASH_H

#include "tests/campaign/calls.h"

/* `folder` is empty but for the folder of `arena`, which is the file that stands for NVRAM. `told` is copied at each call: what had been promised by then. */
void flash_begin(const char *folder, const char *arena, const void *told, size_t told_len);
void flash_end(void);
/* For calls_hook: notes it; a muted fsync is skipped. */
int flash_note(const struct call *call);
/* A promise was made: the power may go right here. */
void flash_mark(void);

/* Places in the engine that call fsync, seen so far, over all recordings; those of shared libraries are not counted. */
struct flash_site {
    enum call_kind kind;
    uintptr_t at[2];
};
int flash_sites(void);
const struct flash_site *flash_site(int site);
void flash_mute(int site);      /* -1: none */

struct flash_walk {
    const char *into;           /* an image is put into this folder */
    void (*wipe)(void);         /* empties it; the arena may stay: it is written over */
    unsigned per_point;         /* images */
    unsigned every;             /* point counts; 1: all */
    uint64_t seed;
    /* Looks at one image; false stops the walk. */
    bool (*check)(const void *told, void *arg);
    void *arg;
    uint64_t images;            /* distinct ones shown to check, out */
    uint64_t points;            /* out */
};

bool flash_walk(struct flash_walk *walk);

#endif
