/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct leaf {
    struct flic_id page[CK_LEAF_PAGES];
};
static_assert(sizeof(struct leaf) == 8192, "a leaf object is 8 KiB on flash");

struct slot {
    struct leaf *leaf;          /* NULL: all its pages are `stored`, holes or zeros, and it is not dirty */
    struct flic_id stored;      /* its id, while not dirty */
    bool dirty;
};

struct ck_map {
    uint64_t gfn_end;
    size_t n;
    struct slot *slots;
};

int ck_map_new(uint64_t gfn_end, struct ck_map **ret_map, struct flic_err *err)
{
    struct ck_map *map = calloc(1, sizeof(*map));

    if (map) {
        map->gfn_end = gfn_end;
        map->n = ck_leaf_count(gfn_end);
        map->slots = calloc(map->n ? map->n : 1, sizeof(*map->slots));
    }
    if (!map || !map->slots) {
        free(map);
        return flic_err_set(err, -ENOMEM, "page map of %llu pages: out of memory", (unsigned long long)gfn_end);
    }
    for (size_t i = 0; i < map->n; i++)
        map->slots[i].stored = FLIC_ID_HOLE;
    *ret_map = map;
    return 0;
}

void ck_map_free(struct ck_map *map)
{
    if (!map)
        return;
    for (size_t i = 0; i < map->n; i++)
        free(map->slots[i].leaf);
    free(map->slots);
    free(map);
}

struct flic_id ck_map_get(const struct ck_map *map, uint64_t gfn)
{
    const struct slot *slot;

    if (gfn >= map->gfn_end)
        return FLIC_ID_HOLE;
    slot = &map->slots[gfn / CK_LEAF_PAGES];
    return slot->leaf ? slot->leaf->page[gfn % CK_LEAF_PAGES] : slot->stored;
}

static struct leaf *leaf_new(const struct flic_id *fill)
{
    struct leaf *leaf = malloc(sizeof(*leaf));

    for (size_t i = 0; leaf && i < CK_LEAF_PAGES; i++)
        leaf->page[i] = *fill;
    return leaf;
}

static bool all_equal(const struct leaf *leaf, const struct flic_id *id)
{
    for (size_t i = 0; i < CK_LEAF_PAGES; i++)
        if (!flic_id_equal(&leaf->page[i], id))
            return false;
    return true;
}

static bool is_plain(const struct flic_id *id)
{
    return flic_id_equal(id, &FLIC_ID_HOLE) || flic_id_equal(id, &FLIC_ID_ZERO);
}

/* Of a leaf of holes or zeros alone its array says nothing that `stored` does not. Leaves are mostly filled from their first page to their last:
 * it is enough to look when that one is set. */
static void drop_plain(struct slot *slot, const struct flic_id *id)
{
    if (!is_plain(id) || !all_equal(slot->leaf, id))
        return;
    free(slot->leaf);
    *slot = (struct slot){ .stored = *id };
}

int ck_map_set(struct ck_map *map, uint64_t gfn, const struct flic_id *id)
{
    struct slot *slot;
    struct flic_id *at;

    if (gfn >= map->gfn_end)
        return -EINVAL;
    slot = &map->slots[gfn / CK_LEAF_PAGES];
    if (!slot->leaf && flic_id_equal(id, &slot->stored))
        return 0;
    if (!slot->leaf && !(slot->leaf = leaf_new(&slot->stored)))
        return -ENOMEM;
    at = &slot->leaf->page[gfn % CK_LEAF_PAGES];
    if (!flic_id_equal(at, id)) {
        *at = *id;
        slot->dirty = true;
    }
    if (gfn % CK_LEAF_PAGES == CK_LEAF_PAGES - 1)
        drop_plain(slot, id);
    return 0;
}

uint64_t ck_map_pages(const struct ck_map *map, uint64_t *ret_zero)
{
    uint64_t pages = 0, zero = 0;

    for (size_t i = 0; i < map->n; i++) {
        bool zeros = !map->slots[i].leaf && flic_id_equal(&map->slots[i].stored, &FLIC_ID_ZERO);

        pages += zeros ? CK_LEAF_PAGES : 0;
        zero += zeros ? CK_LEAF_PAGES : 0;
        for (size_t k = 0; map->slots[i].leaf && k < CK_LEAF_PAGES; k++) {
            pages += !flic_id_equal(&map->slots[i].leaf->page[k], &FLIC_ID_HOLE);
            zero += flic_id_equal(&map->slots[i].leaf->page[k], &FLIC_ID_ZERO);
        }
    }
    *ret_zero = zero;
    return pages;
}

uint64_t ck_map_bytes(const struct ck_map *map)
{
    uint64_t bytes = map->n * sizeof(*map->slots);

    for (size_t i = 0; i < map->n; i++)
        bytes += map->slots[i].leaf ? sizeof(struct leaf) : 0;
    return bytes;
}

static int store_leaf(struct slot *slot, struct pk_writer *writer, struct flic_err *err)
{
    int rc = 0;

    if (!slot->dirty)
        return 0;
    if (all_equal(slot->leaf, &FLIC_ID_HOLE))
        slot->stored = FLIC_ID_HOLE;
    else if (all_equal(slot->leaf, &FLIC_ID_ZERO))
        slot->stored = FLIC_ID_ZERO;
    else
        rc = pk_put(writer, PK_LEAF, slot->leaf, sizeof(*slot->leaf), &slot->stored, NULL, err);
    slot->dirty = rc != 0;
    return rc;
}

int ck_map_store(struct ck_map *map, struct pk_writer *writer, struct flic_id **ret_leaves, size_t *ret_n, struct flic_err *err)
{
    struct flic_id *leaves = calloc(map->n ? map->n : 1, sizeof(*leaves));
    int rc = leaves ? 0 : flic_err_set(err, -ENOMEM, "leaf table: out of memory");

    for (size_t i = 0; !rc && i < map->n; i++) {
        rc = store_leaf(&map->slots[i], writer, err);
        leaves[i] = map->slots[i].stored;
    }
    if (rc) {
        free(leaves);
        return rc;
    }
    *ret_leaves = leaves;
    *ret_n = map->n;
    return 0;
}

static int keep(struct pk_writer *writer, const struct flic_id *id, struct flic_err *err)
{
    bool there;
    int rc;

    if (is_plain(id))
        return 0;
    rc = pk_keep(writer, id, &there, err);
    return rc || there ? rc : flic_err_set(err, -ENOENT, "a page map names what is not in the store");
}

int ck_map_keep(const struct ck_map *map, struct pk_writer *writer, struct flic_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < map->n; i++) {
        const struct slot *slot = &map->slots[i];

        if (!slot->dirty)
            rc = keep(writer, &slot->stored, err);
        for (size_t k = 0; !rc && slot->leaf && k < CK_LEAF_PAGES; k++)
            rc = keep(writer, &slot->leaf->page[k], err);
    }
    return rc;
}

static bool is_lost(struct pk_store *packs, const struct flic_id *id)
{
    return !flic_id_equal(id, &FLIC_ID_HOLE) && !flic_id_equal(id, &FLIC_ID_ZERO) && !pk_has(packs, id);
}

static uint64_t find_lost_pages(const struct ck_map *map, size_t which, struct pk_store *packs, uint64_t *dirty)
{
    const struct leaf *leaf = map->slots[which].leaf;
    uint64_t n = 0;

    for (size_t i = 0; leaf && i < CK_LEAF_PAGES; i++) {
        uint64_t gfn = which * CK_LEAF_PAGES + i, bit = 1ull << (gfn % 64);

        if (gfn >= map->gfn_end || dirty[gfn / 64] & bit || !is_lost(packs, &leaf->page[i]))
            continue;
        dirty[gfn / 64] |= bit;
        n++;
    }
    return n;
}

uint64_t ck_map_find_lost(struct ck_map *map, struct pk_store *packs, uint64_t *dirty)
{
    uint64_t n = 0;

    for (size_t i = 0; i < map->n; i++) {
        struct slot *slot = &map->slots[i];
        bool lost = !slot->dirty && is_lost(packs, &slot->stored);

        slot->dirty |= lost;
        n += lost + find_lost_pages(map, i, packs, dirty);
    }
    return n;
}

static int load_leaf(struct pk_store *packs, const struct flic_id *id, struct slot *slot, struct flic_err *err)
{
    size_t len;
    int rc;

    slot->stored = *id;
    if (is_plain(id))
        return 0;
    slot->leaf = malloc(sizeof(*slot->leaf));
    if (!slot->leaf)
        return flic_err_set(err, -ENOMEM, "page map: out of memory");
    rc = pk_read(packs, id, slot->leaf, sizeof(*slot->leaf), &len, err);
    if (!rc && len != sizeof(*slot->leaf))
        rc = flic_err_set(err, FLIC_E_DAMAGED, "a page-map leaf is %zu bytes long, not %zu", len, sizeof(*slot->leaf));
    return rc;
}

int ck_map_load(struct pk_store *packs, const struct flic_id *leaves, size_t n, uint64_t gfn_end,
                struct ck_map **ret_map, struct flic_err *err)
{
    struct ck_map *map;
    int rc = ck_map_new(gfn_end, &map, err);

    if (!rc && n != map->n)
        rc = flic_err_set(err, FLIC_E_DAMAGED, "the checkpoint has %zu page-map leaves, its size asks for %zu", n, map->n);
    else if (rc)
        return rc;
    for (size_t i = 0; !rc && i < n; i++)
        rc = load_leaf(packs, &leaves[i], &map->slots[i], err);
    if (rc) {
        ck_map_free(map);
        return rc;
    }
    *ret_map = map;
    return 0;
}
