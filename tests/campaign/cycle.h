/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * cycle - what the campaigns interrupt: a guest saved five times, checkpoints moved to flash, forgotten, packs compacted, the store
 * closed and opened in between. It writes down what it was promised, where a process that dies leaves it to be read, and what
 * is left can be held against that.
 *
 * Deterministic: one thread, contents that follow from numbers.
 */
#ifndef FLIC_TESTS_CAMPAIGN_CYCLE_H
#define FLIC_TESTS_CAMPAIGN_CYCLE_H

#include "tests/unit/checkpoint-scene.h"

#define CYCLE_SAVES 5
#define CYCLE_ARENA (2 * MIB)
#define CYCLE_PAGES 128u
#define CYCLE_STEPS 21

enum cycle_state { CYCLE_NONE, CYCLE_SAVING, CYCLE_PUBLISHED, CYCLE_FORGETTING, CYCLE_FORGOTTEN };

struct cycle {                  /* plain: copied, and shared with a child */
    struct nv_name names[CYCLE_SAVES];
    enum cycle_state state[CYCLE_SAVES];
    unsigned note;              /* number in a file that is published beside */
    uint64_t flash_bytes;       /* of packs when room was given back just now; 0: nothing is said */
    unsigned steps;             /* gone through, failed or not */
    unsigned failed;
};

/* The guest's memory at each save: set by the run in this process. */
extern struct image cycle_images[CYCLE_SAVES];

/* Once: a folder for the store, which is empty after cycle_wipe(). */
void cycle_begin(void);
void cycle_end(void);
void cycle_wipe(void);
void cycle_wipe_flash(void);    /* all but the arena, if there is one */

/* Opens the store and runs all steps; one that fails is counted and the rest go on. `after` (may be NULL) is called after each, with
 * the store open unless that is what failed. Ends with the store closed. False when the store does not open. */
bool cycle_run(struct cycle *c, void (*after)(struct cycle *c));

/* Opens the store in scene_dir, as flicd's start does, and looks: every published checkpoint is offered and comes back byte by byte,
 * a forgotten one is not there, nor anything else. In every other call NVRAM gives its caches up before. Then, in one call of four, a
 * save, its restore and its forgetting work. The store is closed. False: `why` says what is not so. */
bool cycle_holds(const struct cycle *c, char why[SCENE_WHY], int64_t *ret_open_us);
/* The same of the store as it stands open; it stays open. */
bool cycle_agrees(const struct cycle *c, char why[SCENE_WHY]);

#endif
