/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t ck_count_bits(const uint64_t *bits, uint64_t n)
{
    uint64_t count = 0;

    for (size_t i = 0; i < ck_words(n); i++)
        count += (uint64_t)__builtin_popcountll(bits[i]);
    return count;
}

int ck_base_new(struct ck_store *store, uint64_t gfn_end, struct ck_base **ret_base, struct flic_err *err)
{
    struct ck_base *base = calloc(1, sizeof(*base));
    size_t words = ck_words(gfn_end) ? ck_words(gfn_end) : 1;
    int rc = 0;

    if (base) {
        base->gfn_end = gfn_end;
        base->losses = pk_losses(ck_packs(store));
        base->dirty = calloc(words, sizeof(uint64_t));
        base->fetched = calloc(words, sizeof(uint64_t));
    }
    if (!base || !base->dirty || !base->fetched)
        rc = flic_err_set(err, -ENOMEM, "note %llu pages: out of memory", (unsigned long long)gfn_end);
    if (!rc)
        rc = ck_map_new(gfn_end, &base->map, err);
    if (!rc)
        rc = pk_writer_new(ck_packs(store), &base->writer, err);
    if (rc) {
        ck_base_free(store, base);
        return rc;
    }
    *ret_base = base;
    return 0;
}

void ck_base_free(struct ck_store *store, struct ck_base *base)
{
    if (!base)
        return;
    ck_end_writer(store, base->writer);
    ck_map_free(base->map);
    free(base->hot);
    free(base->fetched);
    free(base->dirty);
    free(base);
}

/* A frame in NVRAM is no copy on flash. */
static void mark_captured(struct ck_base *base, const struct ck_root *root)
{
    for (size_t i = 0; i < root->n_delta; i++)
        base->dirty[root->delta[i].gfn / 64] |= 1ull << (root->delta[i].gfn % 64);
}

int ck_base_of(struct ck_store *store, const struct ck_loaded *loaded, struct ck_base **ret_base, struct flic_err *err)
{
    const struct ck_root *root = &loaded->root;
    struct ck_map *map = NULL;
    struct ck_base *base;
    int rc = ck_base_new(store, root->facts.gfn_end, &base, err);

    if (rc)
        return rc;
    rc = ck_map_load(ck_packs(store), root->leaves, root->n_leaves, root->facts.gfn_end, &map, err);
    if (!rc) {
        ck_map_free(base->map);
        base->map = map;
        mark_captured(base, root);
        rc = ck_map_keep(map, base->writer, err);       /* what stands under captured pages is there with the leaf */
    }
    if (rc) {
        ck_base_free(store, base);
        return rc;
    }
    *ret_base = base;
    return 0;
}

int ck_base_renew(struct ck_base *base, struct ck_store *store, struct flic_err *err)
{
    struct pk_writer *writer = NULL;
    int rc = pk_writer_new(ck_packs(store), &writer, err);

    if (!rc)
        rc = ck_map_keep(base->map, writer, err);
    if (rc) {
        ck_end_writer(store, writer);
        return rc;
    }
    ck_end_writer(store, base->writer);
    base->writer = writer;
    return 0;
}

int ck_base_look_again(struct ck_base *base, struct ck_store *store, uint64_t *ret_lost, struct flic_err *err)
{
    uint64_t losses = pk_losses(ck_packs(store)), lost = 0;
    int rc = 0;

    if (losses != base->losses) {
        ck_work_begin(store);
        rc = pk_seal(base->writer, err);        /* what it has not sealed is in no pack yet */
        ck_work_end(store);
        base->lost |= rc != 0;
        if (!rc)
            lost = ck_map_find_lost(base->map, ck_packs(store), base->dirty);
        base->losses = losses;
    }
    if (ret_lost)
        *ret_lost = lost;
    return rc;
}

void ck_base_mark_all(struct ck_base *base, struct flx_dom *dom, const struct flx_info *info)
{
    struct flx_range ranges[16];
    size_t n = flx_ranges(info, ranges);

    for (size_t i = 0; i < n; i++)
        for (uint64_t gfn = ranges[i].first_gfn; gfn < ranges[i].first_gfn + ranges[i].pages; gfn++)
            if (gfn < base->gfn_end)
                base->dirty[gfn / 64] |= 1ull << (gfn % 64);
    flx_drop_holes(dom, base->dirty, base->gfn_end);
}

/* Unknown means copy it. */
static void add_unreported(struct ck_base *base, uint64_t reported)
{
    uint64_t end = base->gfn_end;

    for (uint64_t gfn = reported; gfn < end; gfn++)
        base->fetched[gfn / 64] |= 1ull << (gfn % 64);
    if (end % 64)
        base->fetched[end / 64] &= (1ull << (end % 64)) - 1;
}

int ck_base_fetch(struct ck_base *base, struct flx_dom *dom, enum flx_clean how, struct flic_err *err)
{
    uint64_t reported = 0;
    int rc = flx_track_clean(dom, how, base->fetched, base->gfn_end, &reported, err);

    if (rc)
        base->lost = true;
    else
        add_unreported(base, reported);
    return rc;
}

int ck_base_fetch_last(struct ck_base *base, struct flx_dom *dom, struct flic_err *err)
{
    uint64_t reported = 0;
    int rc = flx_track_peek(dom, base->fetched, base->gfn_end, &reported, err);

    if (!rc)
        add_unreported(base, reported);
    return rc;
}

/* ---- copying ---- */

/* One page's place in the map. `page` is a private copy. */
static int store_page(struct ck_base *base, uint64_t gfn, const void *page, struct ck_copied *copied, struct flic_err *err)
{
    struct flic_id id = FLIC_ID_ZERO;
    bool is_new;
    int rc = 0;

    if (!flic_is_zero(page, FLIC_PAGE_SIZE)) {
        rc = pk_put(base->writer, PK_PAGE, page, FLIC_PAGE_SIZE, &id, &is_new, err);
        if (!rc)
            *(is_new ? &copied->new_pages : &copied->dedup_pages) += 1;
    }
    if (!rc && ck_map_set(base->map, gfn, &id))
        rc = flic_err_set(err, -ENOMEM, "note a page: out of memory");
    copied->pages++;
    return rc;
}

static int store_window(struct ck_base *base, const uint64_t *gfns, size_t n, const uint8_t *kind, const uint8_t *window,
                        struct ck_copied *copied, struct flic_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < n; i++) {
        struct flic_id none = kind[i] == FLX_PAGE_RING ? FLIC_ID_ZERO : FLIC_ID_HOLE;

        if (kind[i] == FLX_PAGE_RAM)
            rc = store_page(base, gfns[i], window + i * FLIC_PAGE_SIZE, copied, err);
        else if (ck_map_set(base->map, gfns[i], &none))
            rc = flic_err_set(err, -ENOMEM, "note a page: out of memory");
    }
    return rc;
}

int ck_base_copy(struct ck_base *base, struct ck_store *store, struct flx_dom *dom, const uint64_t *gfns, size_t n,
                 uint8_t *window, struct ck_copied *copied, struct flic_err *err)
{
    uint8_t kind[CK_WINDOW];
    struct flx_map *map;
    const uint8_t *from;
    int rc = flx_map_pages(dom, gfns, n, false, &map, kind, err);

    if (rc)
        return rc;
    from = flx_map_base(map);
    for (size_t i = 0; i < n; i++)
        if (kind[i] == FLX_PAGE_RAM)
            memcpy(window + i * FLIC_PAGE_SIZE, from + i * FLIC_PAGE_SIZE, FLIC_PAGE_SIZE);
    flx_unmap(map);
    ck_work_begin(store);
    rc = store_window(base, gfns, n, kind, window, copied, err);
    ck_work_end(store);
    if (rc)
        base->lost = true;      /* the writer may have dropped what it had not sealed */
    return rc;
}
