/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * fill - the bytes of a stretch of a checkpoint's pages, each verified, wherever the caller wants them: in a fresh domain, or in a
 * stream. Different stretches by different threads at once.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_FILL_H
#define FLIC_DAEMON_CHECKPOINT_FILL_H

#include "daemon/checkpoint/base.h"
#include "daemon/checkpoint/load.h"

struct ck_source {              /* borrowed, all of it */
    struct ck_store *store;
    const struct ck_loaded *loaded;
    const struct ck_map *map;   /* of `loaded`, its delta applied */
};

/* Which gfns of `map`, the checkpoint's, have a page: gives *ret_present, bits over its gfn_end. FLIC_E_DAMAGED when they are not as many as its
 * root says. */
int ck_present(const struct ck_loaded *loaded, const struct ck_map *map, uint64_t **ret_present, uint64_t *ret_pages,
               struct flic_err *err);

struct ck_filled { uint64_t zero_pages, nvram_pages, flash_pages, repaired_pages; };

struct ck_stretch {
    uint64_t gfns[CK_WINDOW];   /* ascending, none of them a hole in the map */
    size_t n;
    uint8_t *base;              /* page i goes to base + i * FLIC_PAGE_SIZE */
    struct ck_filled filled;    /* by ck_fill(): where they were read */
    size_t next_delta;          /* these four are its own: walks the root's delta beside the gfns */
    struct flic_id ids[CK_WINDOW];      /* those to read from packs ... */
    uint32_t page_of[CK_WINDOW];        /* ... and where they go */
    size_t n_flash;
};

/* The next up to CK_WINDOW present gfns from *gfn on, which moves; nothing filled yet. Returns how many, 0: the end. */
size_t ck_next_stretch(const struct ck_loaded *loaded, const uint64_t *present, uint64_t *gfn, struct ck_stretch *s);
/* FLIC_E_DAMAGED names the gfn and the place. What a page held before does not count, whatever the result is. */
int ck_fill(const struct ck_source *from, struct ck_stretch *s, struct flic_err *err);

#endif
