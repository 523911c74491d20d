/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * checkpoint-scene - what the tests of daemon/checkpoint share: a store in a folder of its own, guests of the Xen twin with known
 * contents, a save as flicd would run it, a restore into a fresh domain, and the comparison of both.
 */
#ifndef FLIC_TESTS_UNIT_CHECKPOINT_SCENE_H
#define FLIC_TESTS_UNIT_CHECKPOINT_SCENE_H

#include "daemon/checkpoint/destage.h"
#include "daemon/checkpoint/load.h"
#include "daemon/checkpoint/restore.h"
#include "daemon/checkpoint/save.h"
#include "daemon/checkpoint/store.h"
#include "daemon/checkpoint/verify.h"
#include "tests/fake/flx_fake.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE FLIC_PAGE_SIZE
#define MIB (1ull << 20)
#define OK(call) do { err = (struct flic_err){ 0 }; int ok_rc = (call); \
                      ck_assert_msg(!ok_rc, "%s: %d, %s", #call, ok_rc, err.text); } while (0)

#define GUEST 7u                /* domid of the usual guest, "web" */
#define FRESH 20u               /* first domid that restores get */
#define GUEST_PAGES 1536u       /* 3 leaves */
#define RING_GFN 9u
#define HOLE_GFN 100u
#define SKIP_GFN 101u

extern struct ck_store *store;
extern _Thread_local struct flic_err err;
extern char scene_dir[64], scene_arena[80];
extern unsigned scene_threads;          /* of saves and restores: 3 */

/* A new folder, store and arena of that size, no guests. */
void scene_begin(uint64_t arena_bytes);
void scene_end(void);
void scene_remove(const char *folder);     /* with all that is in it */
void scene_open(void);
int scene_try_open(void);               /* the code of ck_open(), for a store that may be damaged */
void scene_reopen(void);
/* Between a close and an open: what a broken machine loses. */
void scene_close(void);
void scene_lose_arena(void);
void scene_resize_arena(uint64_t bytes);        /* of the one that the next open makes */
void scene_lose_index(void);
uint64_t scene_flash_bytes(void);       /* of all pack files */

/* A running guest with every kind of page: text, random bytes, zeros, doubles, a ring, a hole, a page to skip. */
struct flic_uuid scene_uuid(uint8_t number);
void scene_guest(uint32_t domid, const char *name, uint8_t number, uint64_t pages);
/* Pages [first, first + n) get new contents that depend on `seed` alone. */
void scene_dirty(uint32_t domid, uint64_t first, uint64_t n, uint32_t seed);

/* What a guest's memory is: kept to compare a restored one with. */
struct image {
    uint64_t gfns;
    uint8_t *kind;
    uint8_t *bytes;
};
void image_take(struct image *image, uint32_t domid, uint64_t gfns);
void image_free(struct image *image);
#define SCENE_WHY 160
/* Says the first difference: every page equal, rings and zero pages zero, nothing where the original had nothing. */
bool image_differs(const struct image *image, uint32_t restored_domid, char why[SCENE_WHY]);
void image_compare(const struct image *image, uint32_t restored_domid);

/* What a guest writes right before it suspends, as scene_dirty() does: these pages the pause captures. */
struct scene_work {
    uint64_t first, n;
    uint32_t seed;
};

/* A save, step by step or whole. `at_suspend` runs in the place of the toolstack; NULL: the guest suspends. */
struct saving {
    struct flx_dom *dom;
    struct ck_save *save;
    struct ck_base *base;       /* lent by a tracker; NULL: a save from nothing */
    uint32_t domid;
    struct scene_work work;     /* n is 0: none */
    struct image image;         /* taken when the guest was suspended */
    int (*at_suspend)(struct saving *s, struct flic_err *err);
    int (*captured)(void *arg, struct flic_err *err);
    bool captured_waits;
    bool cancel;
    unsigned cancel_after;      /* cancelled() says yes from this call on; 0: never */
    unsigned asked, suspends;
    uint64_t stop_pages;
    unsigned rounds_max;
    unsigned threads;
    struct nv_name name;
    struct ck_save_figures figures;
    struct ck_facts facts;
};
void saving_init(struct saving *s, uint32_t domid);
int saving_new(struct saving *s);
/* All up to published; what went wrong is returned and in `err`. */
int saving_run(struct saving *s);
void saving_end(struct saving *s);              /* as flicd ends it, at any point; keeps the image */
int saving_suspend(struct saving *s, struct flic_err *why);     /* behind its work */
/* Saves and must succeed; the guest is running again afterwards. */
struct nv_name scene_save(uint32_t domid, struct image *ret_image, struct ck_save_figures *ret_figures);
struct nv_name scene_save_with_work(uint32_t domid, const struct scene_work *work, struct image *ret_image, struct ck_save_figures *ret_figures);

/* Into a new fresh domain with frames of 0xc2, whose domid is given. */
int scene_restore(const struct nv_name *name, uint32_t *ret_domid, struct ck_restore_figures *ret_figures);
/* The same into a domain of that id, which is not alive; `filled` (may be NULL) runs at its end, the checkpoint still loaded. */
int scene_restore_into(const struct nv_name *name, uint32_t domid, void (*filled)(const struct ck_loaded *from),
                       struct ck_restore_figures *ret_figures);
/* Restores, must succeed, compares. */
void scene_restore_and_compare(const struct nv_name *name, const struct image *image);
int scene_destage(const struct nv_name *name, struct ck_destage_figures *ret_figures);
/* Flips a bit on flash in the oldest pack's pages, or in the newest one's leaves, and verifies: at least one is lost. What memory has of it is
 * not lost: nothing there was read since it was written, or the store was opened since. */
struct ck_verify_figures scene_lose_objects(struct ck_store *of, const char *folder, bool leaves);
size_t scene_count(void);               /* checkpoints offered */
bool scene_offers(const struct nv_name *name);

/* Nobody cancels, nobody follows. */
static inline bool scene_never(void *arg)
{
    (void)arg;
    return false;
}

static inline void scene_no_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    (void)arg, (void)phase, (void)done, (void)total;
}

/* Runs one suite; the program's exit status. */
int scene_run(Suite *suite);

#endif
