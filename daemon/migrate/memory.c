/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* memory - a guest's pages to the peer: all of them leaf by leaf, then those that are chosen of what is unsent. */
#include "common/clock.h"
#include "daemon/migrate/send_priv.h"

#include <string.h>

static void set_bit(uint64_t *bits, uint64_t n) { bits[n / 64] |= 1ull << (n % 64); }
static void clear_bit(uint64_t *bits, uint64_t n) { bits[n / 64] &= ~(1ull << (n % 64)); }

static bool is_page(uint8_t kind) { return kind == FLX_PAGE_RAM || kind == FLX_PAGE_RING; }

/* `page` NULL: zeros. It is a private copy: a running guest's page may change between its sum and its being sent. */
static int put(struct ms_sender *s, uint64_t gfn, const void *page, struct flic_err *err)
{
    s->sum[gfn] = mp_sum(page);
    clear_bit(s->unsent, gfn);
    set_bit(s->raced, gfn);
    s->figures.last_pages += s->in_pause && page;
    s->figures.last_zero_pages += s->in_pause && !page;
    if (page) {
        s->figures.resent_pages += ck_bit(s->sent_once, gfn);
        set_bit(s->sent_once, gfn);
    }
    return ls_put(&s->link, gfn, page, err);
}

/* ---- the first time: leaf by leaf ---- */

/* Where a guest can have pages, of one leaf. */
static size_t ask_for(const struct ms_sender *s, uint64_t first, uint64_t gfns[MD_LEAF_PAGES])
{
    struct flx_range ranges[16];
    size_t n_ranges = flx_ranges(&s->info, ranges), n = 0;

    for (uint64_t gfn = first; gfn < first + MD_LEAF_PAGES && gfn < s->info.gfn_end; gfn++)
        for (size_t i = 0; i < n_ranges; i++)
            if (gfn >= ranges[i].first_gfn && gfn - ranges[i].first_gfn < ranges[i].pages) {
                gfns[n++] = gfn;
                break;
            }
    return n;
}

/* `from` is what the guest has there now. */
static void found(struct ms_sender *s, uint64_t gfn, uint8_t kind, const void *from)
{
    unsigned i = (unsigned)(gfn - s->leaf.first);
    uint8_t *page = s->link.room + (size_t)i * FLIC_PAGE_SIZE;

    set_bit(s->present, gfn);
    set_bit(s->unsent, gfn);
    if (kind == FLX_PAGE_RAM)
        memcpy(page, from, FLIC_PAGE_SIZE);
    ls_found(&s->link, &s->leaf, i, kind == FLX_PAGE_RING || flic_is_zero(page, FLIC_PAGE_SIZE) ? NULL : page);
}

/* Copies the leaf and says of each page what it is. */
static int look_at(struct ms_sender *s, uint64_t first, struct flic_err *err)
{
    uint64_t gfns[MD_LEAF_PAGES];
    uint8_t kind[MD_LEAF_PAGES];
    size_t n = ask_for(s, first, gfns);
    struct flx_map *map;
    const uint8_t *from;
    int rc;

    ls_begin(&s->leaf, first);
    if (!n)
        return 0;
    rc = flx_map_pages(s->params.dom, gfns, n, false, &map, kind, err);
    if (rc)
        return rc;
    from = flx_map_base(map);
    for (size_t i = 0; i < n; i++)
        if (is_page(kind[i]))
            found(s, gfns[i], kind[i], from + i * FLIC_PAGE_SIZE);
    flx_unmap(map);
    return 0;
}

static int send_leaf(struct ms_sender *s, const uint64_t *later, struct flic_err *err)
{
    uint8_t need[MP_BITS];
    int rc = ls_ask(&s->link, &s->leaf, need, err);

    for (unsigned i = 0; !rc && i < MD_LEAF_PAGES; i++) {
        uint64_t gfn = s->leaf.first + i;

        if (!mp_bit(s->leaf.told.present, i) || (mp_bit(need, i) && ck_bit(later, gfn)))
            continue;
        if (mp_bit(need, i)) {
            rc = put(s, gfn, s->link.room + (size_t)i * FLIC_PAGE_SIZE, err);
        } else {
            s->sum[gfn] = s->leaf.sum[i];
            clear_bit(s->unsent, gfn);
        }
    }
    return rc ? rc : ls_flush(&s->link, err);
}

int ms_send_all(struct ms_sender *s, const uint64_t *later, struct flic_err *err)
{
    int rc = 0;

    memset(s->unsent, 0, ck_words(s->info.gfn_end) * 8);
    for (uint64_t first = 0; !rc && first < s->info.gfn_end; first += MD_LEAF_PAGES) {
        rc = look_at(s, first, err);
        if (!rc && s->leaf.pages)
            rc = send_leaf(s, later, err);
        s->params.progress(s->params.arg, "send", s->link.figures.ram_pages * FLIC_PAGE_SIZE, s->info.pages * FLIC_PAGE_SIZE);
    }
    return rc;
}

/* ---- what is unsent ---- */

/* What became of a page that was there, or not: its memory was resized, which the peer cannot follow. */
static int check_kind(const struct ms_sender *s, uint64_t gfn, uint8_t kind, struct flic_err *err)
{
    if (is_page(kind) == ck_bit(s->present, gfn))
        return 0;
    return flic_err_set(err, FLIC_E_BUSY, "migrate '%s': its memory was resized just now: migrate it again", s->info.name);
}

static int send_some(struct ms_sender *s, const uint64_t *gfns, size_t n, struct flic_err *err)
{
    uint8_t kind[MP_BATCH], page[FLIC_PAGE_SIZE];
    struct flx_map *map;
    const uint8_t *from;
    int rc = flx_map_pages(s->params.dom, gfns, n, false, &map, kind, err);

    if (rc)
        return rc;
    from = flx_map_base(map);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = check_kind(s, gfns[i], kind[i], err);
        if (rc || !is_page(kind[i])) {
            clear_bit(s->unsent, gfns[i]);
            continue;
        }
        if (kind[i] == FLX_PAGE_RAM)
            memcpy(page, from + i * FLIC_PAGE_SIZE, FLIC_PAGE_SIZE);
        rc = put(s, gfns[i], kind[i] == FLX_PAGE_RING || flic_is_zero(page, FLIC_PAGE_SIZE) ? NULL : page, err);
    }
    if (s->in_pause && s->n_maps < MS_MAPS_MAX)
        s->maps[s->n_maps++] = map;     /* unmapping costs more than mapping */
    else
        flx_unmap(map);
    return rc;
}

static uint64_t chosen(const struct ms_sender *s, const struct ms_choice *c, size_t word)
{
    return s->unsent[word] & (c->only ? c->only[word] : ~0ull) & ~(c->but ? c->but[word] : 0);
}

int ms_send_chosen(struct ms_sender *s, const struct ms_choice *c, struct flic_err *err)
{
    uint64_t total = ms_left(s), done = 0, gfns[MP_BATCH];
    size_t n = 0;
    int rc = 0;

    for (size_t word = 0; !rc && word < ck_words(s->info.gfn_end); word++) {
        for (uint64_t bits = chosen(s, c, word); !rc && bits; bits &= bits - 1) {
            gfns[n++] = word * 64 + (uint64_t)__builtin_ctzll(bits);
            if (n == MP_BATCH) {
                rc = send_some(s, gfns, n, err);
                done += n;
                n = 0;
                s->params.progress(s->params.arg, s->in_pause ? "last" : "send", done * FLIC_PAGE_SIZE, total * FLIC_PAGE_SIZE);
            }
        }
        if (c->until_us && done + n && flic_now_us() >= c->until_us)
            break;
    }
    if (!rc && n)
        rc = send_some(s, gfns, n, err);
    return rc ? rc : ls_flush(&s->link, err);
}
