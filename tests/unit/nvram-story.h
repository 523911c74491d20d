/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * nvram-story - what an arena should hold: a small model that every operation of a test advances, one state per
 * returned operation, and the comparison of an arena with a state. Contents follow from an object's number.
 */
#ifndef FLIC_TESTS_UNIT_NVRAM_STORY_H
#define FLIC_TESTS_UNIT_NVRAM_STORY_H

#include "daemon/nvram/nvram.h"

#define STORY_OBJECTS 96        /* numbers 1 .. STORY_OBJECTS - 1 */

struct story_object {
    bool present, published, destaged, forgotten, restored;
    uint32_t frames;
    uint32_t root_len, published_len, restored_len;
};

struct story_state {
    struct story_object o[STORY_OBJECTS];
};

struct story {
    struct story_state *states;     /* states[k]: after k operations have returned */
    size_t n, room;
    void (*returned)(void);         /* called after each operation, may be NULL */
};

extern const struct flic_uuid STORY_STORE;

void story_begin(struct story *s);                                      /* one state: nothing */
void story_fini(struct story *s);
const struct story_state *story_now(const struct story *s);

struct nv_name story_name(unsigned number);
/* Content number `i` of object `number`: frames, root, notes all come from here. */
void story_bytes(unsigned number, unsigned i, void *to, size_t len);

/* Each carries an operation out and adds a state; the code that the arena gave is returned. */
int story_commit(struct story *s, struct nv_arena *a, unsigned number, uint32_t frames, uint32_t root_len);
/* The same in two steps, with other operations between them. */
int story_txn_begin(struct story *s, struct nv_arena *a, uint32_t frames, struct nv_txn **ret_txn);
int story_txn_commit(struct story *s, struct nv_txn *txn, unsigned number, uint32_t frames, uint32_t root_len);
int story_abort(struct story *s, struct nv_arena *a, uint32_t frames);
int story_note(struct story *s, struct nv_arena *a, unsigned number, enum nv_note note, uint32_t len);
int story_drop_note(struct story *s, struct nv_arena *a, unsigned number, enum nv_note note);
int story_drop(struct story *s, struct nv_arena *a, unsigned number);

/* Is each object of the arena as in one of the two states, whole, and nothing else there? Says in `why` what is not. The
 * state found is put in ret_found (may be NULL). */
bool story_holds(struct nv_arena *a, const struct story_state *before, const struct story_state *after,
                 struct story_state *ret_found, char *why, size_t why_len);

#endif
