/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/leaf.h"

#include <string.h>

struct reading {
    struct ck_store *store;
    const struct ck_loaded *loaded;
    uint64_t first;
    uint8_t *pages;
    struct flic_id ids[CK_LEAF_PAGES];  /* those to read from packs ... */
    unsigned at[CK_LEAF_PAGES];         /* ... and where they go */
    size_t n;
};

static const struct ck_delta *captured_at(const struct ck_root *root, uint64_t gfn)
{
    size_t low = 0, high = root->n_delta;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (root->delta[mid].gfn < gfn)
            low = mid + 1;
        else
            high = mid;
    }
    return low < root->n_delta && root->delta[low].gfn == gfn && root->delta[low].frame != CK_NO_FRAME ? &root->delta[low] : NULL;
}

/* From its frame, or noted for the packs: also where the frame is damaged and the packs have the page. */
static int place(struct reading *r, unsigned i, const struct flic_id *id, struct flic_err *err)
{
    const struct ck_delta *delta = captured_at(&r->loaded->root, r->first + i);
    const void *page = delta ? ck_delta_page(r->store, r->loaded, delta, err) : NULL;

    if (page) {
        memcpy(r->pages + (size_t)i * FLIC_PAGE_SIZE, page, FLIC_PAGE_SIZE);
        return 0;
    }
    if (delta && !pk_has(ck_packs(r->store), id))
        return FLIC_E_DAMAGED;
    r->ids[r->n] = *id;
    r->at[r->n++] = i;
    return 0;
}

static int got(size_t tag, const void *page, void *arg)
{
    struct reading *r = arg;

    memcpy(r->pages + (size_t)r->at[tag] * FLIC_PAGE_SIZE, page, FLIC_PAGE_SIZE);
    return 0;
}

/* Packs know places, not gfns: which page it was is found by asking for each alone. */
static int name_it(struct reading *r, int code, struct flic_err *err)
{
    struct flic_err one = { 0 };
    size_t len;

    for (size_t k = 0; k < r->n; k++) {
        int rc = pk_read(ck_packs(r->store), &r->ids[k], r->pages + (size_t)r->at[k] * FLIC_PAGE_SIZE, FLIC_PAGE_SIZE, &len, &one);

        if (rc)
            return flic_err_set(err, rc, "checkpoint %s@%llu: gfn 0x%llx: %s", r->loaded->root.facts.name,
                                (unsigned long long)r->loaded->root.facts.seq, (unsigned long long)(r->first + r->at[k]), one.text);
    }
    return code;        /* it can be read now: what was said first stands */
}

int ck_read_leaf(struct ck_store *store, const struct ck_loaded *loaded, const struct ck_map *map, uint64_t first,
                 enum ck_kind kind[CK_LEAF_PAGES], uint8_t *pages, struct flic_err *err)
{
    struct reading r = { .store = store, .loaded = loaded, .first = first, .pages = pages };
    int rc = 0;

    for (unsigned i = 0; !rc && i < CK_LEAF_PAGES; i++) {
        struct flic_id id = ck_map_get(map, first + i);

        kind[i] = flic_id_equal(&id, &FLIC_ID_HOLE) ? CK_HOLE : flic_id_equal(&id, &FLIC_ID_ZERO) ? CK_ZERO : CK_PAGE;
        if (kind[i] == CK_PAGE)
            rc = place(&r, i, &id, err);
    }
    if (!rc && r.n)
        rc = pk_read_pages(ck_packs(store), r.ids, r.n, got, &r, err);
    if (rc == FLIC_E_DAMAGED && r.n)
        rc = name_it(&r, rc, err);
    return rc;
}
