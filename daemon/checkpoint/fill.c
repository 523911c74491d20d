/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/fill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ck_present(const struct ck_loaded *loaded, const struct ck_map *map, uint64_t **ret_present, uint64_t *ret_pages,
               struct flic_err *err)
{
    const struct ck_facts *facts = &loaded->root.facts;
    uint64_t *present = calloc(ck_words(facts->gfn_end) + 1, sizeof(uint64_t)), pages = 0;

    if (!present)
        return flic_err_set(err, -ENOMEM, "restore: out of memory");
    for (uint64_t gfn = 0; gfn < facts->gfn_end; gfn++) {
        struct flic_id id = ck_map_get(map, gfn);

        if (flic_id_equal(&id, &FLIC_ID_HOLE))
            continue;
        present[gfn / 64] |= 1ull << (gfn % 64);
        pages++;
    }
    if (pages != facts->pages) {
        free(present);
        return flic_err_set(err, FLIC_E_DAMAGED, "checkpoint %s@%llu: its map has %llu pages, its root says %llu", facts->name,
                            (unsigned long long)facts->seq, (unsigned long long)pages, (unsigned long long)facts->pages);
    }
    *ret_present = present;
    *ret_pages = pages;
    return 0;
}

size_t ck_next_stretch(const struct ck_loaded *loaded, const uint64_t *present, uint64_t *gfn, struct ck_stretch *s)
{
    s->filled = (struct ck_filled){ 0 };
    for (s->n = 0; *gfn < loaded->root.facts.gfn_end && s->n < CK_WINDOW; ++*gfn)
        if (ck_bit(present, *gfn))
            s->gfns[s->n++] = *gfn;
    return s->n;
}

/* Which entry of the delta is the first that is not before this gfn. */
static size_t delta_from(const struct ck_root *root, uint64_t gfn)
{
    size_t low = 0, high = root->n_delta;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (root->delta[mid].gfn < gfn)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The delta entry of this gfn, if it has one. Gfns come in ascending order. */
static const struct ck_delta *delta_of(const struct ck_root *root, struct ck_stretch *s, uint64_t gfn)
{
    while (s->next_delta < root->n_delta && root->delta[s->next_delta].gfn < gfn)
        s->next_delta++;
    return s->next_delta < root->n_delta && root->delta[s->next_delta].gfn == gfn ? &root->delta[s->next_delta] : NULL;
}

/* From its frame: 0. A damaged frame is no loss when the packs have the page too, whose id says that it is the same: 1. */
static int place_captured(const struct ck_source *from, struct ck_stretch *s, const struct ck_delta *delta, void *to,
                          struct flic_err *err)
{
    struct flic_err why = { 0 };
    const void *page = ck_delta_page(from->store, from->loaded, delta, &why);

    if (page) {
        memcpy(to, page, FLIC_PAGE_SIZE);
        s->filled.nvram_pages++;
        return 0;
    }
    if (!pk_has(ck_packs(from->store), &delta->id))
        return flic_err_set(err, FLIC_E_DAMAGED, "%s", why.text);
    s->filled.repaired_pages++;
    return 1;
}

/* Fills page `i` from NVRAM or with zeros at once, or notes it for the packs. */
static int place_page(const struct ck_source *from, struct ck_stretch *s, size_t i, struct flic_err *err)
{
    const struct ck_delta *delta = delta_of(&from->loaded->root, s, s->gfns[i]);
    struct flic_id id = ck_map_get(from->map, s->gfns[i]);
    uint8_t *to = s->base + i * FLIC_PAGE_SIZE;

    if (flic_id_equal(&id, &FLIC_ID_ZERO)) {
        memset(to, 0, FLIC_PAGE_SIZE);
        s->filled.zero_pages++;
        return 0;
    }
    if (delta && delta->frame != CK_NO_FRAME) {
        int rc = place_captured(from, s, delta, to, err);

        if (rc <= 0)
            return rc;
    }
    s->ids[s->n_flash] = id;
    s->page_of[s->n_flash++] = (uint32_t)i;
    return 0;
}

static int got_page(size_t tag, const void *page, void *arg)
{
    struct ck_stretch *s = arg;

    memcpy(s->base + (size_t)s->page_of[tag] * FLIC_PAGE_SIZE, page, FLIC_PAGE_SIZE);
    s->filled.flash_pages++;
    return 0;
}

/* Packs know places, not gfns: which page of the stretch it was is found by asking for each alone. */
static int name_the_page(const struct ck_source *from, const struct ck_stretch *s, int code, struct flic_err *err)
{
    uint8_t page[FLIC_PAGE_SIZE];
    struct flic_err one = { 0 };
    size_t len;

    for (size_t i = 0; i < s->n_flash; i++) {
        int rc = pk_read(ck_packs(from->store), &s->ids[i], page, sizeof(page), &len, &one);

        if (rc)
            return flic_err_set(err, rc, "gfn 0x%llx: %s", (unsigned long long)s->gfns[s->page_of[i]], one.text);
    }
    return code;        /* it can be read now: what was said first stands */
}

int ck_fill(const struct ck_source *from, struct ck_stretch *s, struct flic_err *err)
{
    int rc = 0;

    s->filled = (struct ck_filled){ 0 };
    s->next_delta = delta_from(&from->loaded->root, s->gfns[0]);
    s->n_flash = 0;
    for (size_t i = 0; !rc && i < s->n; i++)
        rc = place_page(from, s, i, err);
    if (!rc)
        rc = pk_read_pages(ck_packs(from->store), s->ids, s->n_flash, got_page, s, err);
    if (rc == FLIC_E_DAMAGED && s->n_flash)
        rc = name_the_page(from, s, rc, err);
    return rc;
}
