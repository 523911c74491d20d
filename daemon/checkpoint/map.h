/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * map - which content stands at each gfn of a checkpoint: gfn -> id, in leaves of CK_LEAF_PAGES.
 *
 * A gfn without a page has FLIC_ID_HOLE. A leaf is stored as one PK_LEAF object of 512 ids; leaves with equal content
 * are one object, so an incremental checkpoint adds only the leaves that changed. All-hole and all-zero
 * leaves are not stored, and take no memory: their id is FLIC_ID_HOLE / FLIC_ID_ZERO. For one thread at a time.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_MAP_H
#define FLIC_DAEMON_CHECKPOINT_MAP_H

#include <stdint.h>

#include "common/err.h"
#include "common/id.h"
#include "daemon/checkpoint/root.h"
#include "daemon/packs/packs.h"

struct ck_map;

int ck_map_new(uint64_t gfn_end, struct ck_map **ret_map, struct flic_err *err);
void ck_map_free(struct ck_map *map);       /* accepts NULL */

/* FLIC_ID_HOLE beyond the end. */
struct flic_id ck_map_get(const struct ck_map *map, uint64_t gfn);
/* -ENOMEM, or -EINVAL beyond the end. */
int ck_map_set(struct ck_map *map, uint64_t gfn, const struct flic_id *id);
/* Pages that are not holes; of these, *ret_zero are zero pages. */
uint64_t ck_map_pages(const struct ck_map *map, uint64_t *ret_zero);
/* What it takes of this machine's memory. */
uint64_t ck_map_bytes(const struct ck_map *map);

/* Puts every leaf changed since the map was made or loaded; gives the ids of all leaves. */
int ck_map_store(struct ck_map *map, struct pk_writer *writer, struct flic_id **ret_leaves, size_t *ret_n, struct flic_err *err);
/* Has `writer` keep all that the map names, its stored leaves included, in the place of the writer that put it: -ENOENT when
 * something is not in the store (any more). */
int ck_map_keep(const struct ck_map *map, struct pk_writer *writer, struct flic_err *err);
/* A page that is in no pack (any more) and whose bit in `dirty` (gfn_end bits) is clear gets it set; a stored leaf that is in none is put
 * again by the next ck_map_store(). Returns how many of both. */
uint64_t ck_map_find_lost(struct ck_map *map, struct pk_store *packs, uint64_t *dirty);
/* Loads all leaves, verified. */
int ck_map_load(struct pk_store *packs, const struct flic_id *leaves, size_t n, uint64_t gfn_end,
                struct ck_map **ret_map, struct flic_err *err);

#endif
