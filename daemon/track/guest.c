/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/track/track.h"

#include "common/log.h"
#include "daemon/track/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64u                   /* pages copied at a time: 256 KiB */
#define SEAL_BYTES (8u << 20)       /* new and unsealed: becomes durable at once */
#define SEAL_LEAST (1u << 20)       /* when there is nothing else to do; less waits for more, or for the save */

#define RENEW_FACTOR 2u

struct tk_guest {
    struct ck_store *store;
    struct tk_pace *pace;
    struct tk_conf conf;
    struct flx_dom *dom;
    struct flx_info info;           /* as of the last epoch */
    bool tracking;

    struct ck_base *base;
    uint64_t *pending;              /* copied since the last CLEAN; these are dirty until it confirms them */
    struct tk_history history;
    unsigned seen_epochs;           /* by the history, as far as it matters: a page is clean for no longer than that */
    uint64_t began_us, epoch_us;    /* of this epoch; epoch_us is its length to be */
    uint64_t cursor, to_look;       /* next gfn to look at for copying, and at how many in this epoch; goes round and round */
    uint64_t sealed_bytes;          /* of the writer's new bytes */
    uint64_t flash_before;          /* by writers of ours that are gone */

    struct tk_status status;
    struct tk_sample series[TK_SERIES];
    size_t n_samples;               /* ever */
    uint8_t window[BATCH * FLIC_PAGE_SIZE];
};

static uint64_t now_us(const struct tk_guest *g)
{
    return g->pace->clock->now_us(g->pace->clock->arg);
}

/* ---- beginning and ending ---- */

/* Before the writer goes. */
static void count_flash(struct tk_guest *g)
{
    struct pk_put_stats stats;

    pk_get_put_stats(g->base->writer, &stats);
    g->flash_before += stats.flash_bytes;
    g->sealed_bytes = 0;
}

static void drop_knowledge(struct tk_guest *g)
{
    if (g->base)
        count_flash(g);
    ck_base_free(g->store, g->base);
    g->base = NULL;
    free(g->pending);
    g->pending = NULL;
    tk_history_fini(&g->history);
}

/* What is kept beside the base, whose dirty bits say what is unknown. */
static int begin_beside(struct tk_guest *g, struct flic_err *err)
{
    g->base->hot = calloc(ck_words(g->info.gfn_end) + 1, sizeof(uint64_t));
    g->pending = calloc(ck_words(g->info.gfn_end) + 1, sizeof(uint64_t));
    if (!g->base->hot || !g->pending || tk_history_init(&g->history, g->info.gfn_end))
        return flic_err_set(err, -ENOMEM, "track '%s': out of memory", g->info.name);
    g->seen_epochs = 0;
    g->cursor = g->to_look = 0;
    g->status.unknown_pages = ck_count_bits(g->base->dirty, g->base->gfn_end);
    g->status.pending_pages = 0;
    return 0;
}

/* Every page is unknown. */
static int start_over(struct tk_guest *g, struct flic_err *err)
{
    int rc;

    drop_knowledge(g);
    if (g->info.gfn_end > CK_GFN_END_MAX)
        return flic_err_set(err, FLIC_E_REFUSED, "track '%s': it reaches gfn 0x%llx: too large", g->info.name,
                            (unsigned long long)g->info.gfn_end);
    rc = ck_base_new(g->store, g->info.gfn_end, &g->base, err);
    if (rc)
        return rc;
    ck_base_mark_all(g->base, g->dom, &g->info);
    return begin_beside(g, err);
}

/* A page that the checkpoint does not know of would be in no bitmap, and one that the guest has run on may be in none. */
static int start_filled(struct tk_guest *g, const struct ck_loaded *from, struct flic_err *err)
{
    const struct ck_facts *facts = &from->root.facts;
    int rc;

    if (g->info.run != FLX_PAUSED || g->info.gfn_end != facts->gfn_end || g->info.pages != facts->pages)
        return flic_err_set(err, FLIC_E_MISMATCH, "track '%s' from %s@%llu on: it is not what was restored (%llu pages up to gfn 0x%llx, "
                            "the checkpoint has %llu up to 0x%llx)", g->info.name, facts->name, (unsigned long long)facts->seq,
                            (unsigned long long)g->info.pages, (unsigned long long)g->info.gfn_end,
                            (unsigned long long)facts->pages, (unsigned long long)facts->gfn_end);
    rc = ck_base_of(g->store, from, &g->base, err);
    return rc ? rc : begin_beside(g, err);
}

/* From nothing, or from what it was filled from. */
static int make(struct ck_store *store, uint32_t domid, const struct tk_conf *conf, struct tk_pace *pace,
                const struct ck_loaded *from, struct tk_guest **ret_guest, struct flic_err *err)
{
    struct tk_guest *g = calloc(1, sizeof(*g));
    int rc;

    if (!g)
        return flic_err_set(err, -ENOMEM, "track domain %u: out of memory", domid);
    g->store = store;
    g->pace = pace;
    g->conf = *conf;
    g->epoch_us = (uint64_t)conf->epoch_min_ms * 1000;
    rc = flx_open(domid, &g->dom, err);
    if (!rc)
        rc = flx_info(g->dom, &g->info, err);
    if (!rc)
        rc = flx_can_save(g->dom, err);
    if (!rc) {
        rc = flx_track_on(g->dom, err);     /* what a dead flicd left switched on is begun anew */
        g->tracking = !rc;
    }
    if (!rc)
        rc = from ? start_filled(g, from, err) : start_over(g, err);
    if (rc) {
        tk_free(g);
        return rc;
    }
    g->status.info = g->info;
    g->began_us = now_us(g);
    *ret_guest = g;
    return 0;
}

int tk_new(struct ck_store *store, uint32_t domid, const struct tk_conf *conf, struct tk_pace *pace, struct tk_guest **ret_guest,
           struct flic_err *err)
{
    return make(store, domid, conf, pace, NULL, ret_guest, err);
}

int tk_new_filled(struct ck_store *store, uint32_t domid, const struct tk_conf *conf, struct tk_pace *pace,
                  const struct ck_loaded *from, struct tk_guest **ret_guest, struct flic_err *err)
{
    return make(store, domid, conf, pace, from, ret_guest, err);
}

void tk_free(struct tk_guest *g)
{
    struct flic_err err = { 0 };

    if (!g)
        return;
    if (g->tracking && flx_track_off(g->dom, &err))
        flic_debug("after tracking: %s", err.text);     /* the domain may be gone by now */
    drop_knowledge(g);
    flx_close(g->dom);
    free(g);
}

/* ---- the end of an epoch ---- */

/* A domid is given to another guest in the end: then this one is gone. What resizes its memory makes all pages unknown; where
 * its number of pages changed, the bitmap should tell which, but nothing is built on that. */
static int look_again(struct tk_guest *g, struct flic_err *err)
{
    struct flx_info now;
    bool same;
    int rc = flx_info(g->dom, &now, err);

    if (rc)
        return rc;
    if (now.run == FLX_DYING || !flic_uuid_equal(&now.uuid, &g->info.uuid))
        return flic_err_set(err, FLIC_E_NODOMAIN, "domain %u ('%s') is gone", g->info.domid, g->info.name);
    same = now.gfn_end == g->info.gfn_end && now.pages == g->info.pages && !g->base->lost;
    g->info = now;
    g->status.info = now;
    if (same)
        return 0;
    g->status.started_over++;
    return start_over(g, err);
}

/* CLEAN. A pending copy whose page it does not name counts from here on; everything it names is unknown, and so is what the store lost. */
static int clean(struct tk_guest *g, enum flx_clean how, struct flic_err *err)
{
    struct ck_base *base = g->base;
    int rc = ck_base_fetch(base, g->dom, how, err);

    if (rc)
        return rc;
    for (size_t i = 0; i < ck_words(base->gfn_end); i++) {
        base->dirty[i] &= ~(g->pending[i] & ~base->fetched[i]);
        base->dirty[i] |= base->fetched[i];
        g->pending[i] = 0;
    }
    rc = ck_base_look_again(base, g->store, NULL, err);
    g->status.unknown_pages = ck_count_bits(base->dirty, base->gfn_end);
    g->status.pending_pages = 0;
    return rc;
}

/* Short while it writes much, long while it is idle. */
static void adapt(struct tk_guest *g, uint32_t written)
{
    uint64_t pages = g->info.pages, least = (uint64_t)g->conf.epoch_min_ms * 1000, most = (uint64_t)g->conf.epoch_max_ms * 1000;
    uint64_t busy = pages / 256 > 64 ? pages / 256 : 64, idle = pages / 1024 > 16 ? pages / 1024 : 16;

    if (written >= busy)
        g->epoch_us /= 2;
    else if (written < idle)
        g->epoch_us *= 2;
    if (g->epoch_us < least)
        g->epoch_us = least;
    if (g->epoch_us > most)
        g->epoch_us = most;
}

static void note_sample(struct tk_guest *g, uint64_t took_us)
{
    const struct tk_clock *clock = g->pace->clock;
    struct tk_measure m;

    tk_history_measure(&g->history, &m);
    g->status.last = (struct tk_sample){ .at_ns = clock->wall_ns(clock->arg), .epoch_ms = (uint32_t)(took_us / 1000),
                                         .written_pages = m.written_pages, .ws_pages = m.ws_pages,
                                         .stable_pages = m.stable_pages, .ws_regions = m.ws_regions };
    g->series[g->n_samples++ % TK_SERIES] = g->status.last;
}

static int seal_from(struct tk_guest *g, uint64_t least, struct flic_err *err)
{
    struct pk_put_stats stats;
    int rc;

    pk_get_put_stats(g->base->writer, &stats);
    if (stats.new_bytes - g->sealed_bytes < least)
        return 0;
    ck_work_begin(g->store);
    rc = pk_seal(g->base->writer, err);
    ck_work_end(g->store);
    g->sealed_bytes = stats.new_bytes;
    return rc;
}

/* What the writer sealed is kept from collections as long as it lives. Once that is more than the guest's pages can still need,
 * a new one takes over with what the map names now. */
static int renew(struct tk_guest *g, struct flic_err *err)
{
    struct pk_put_stats stats;
    int rc;

    pk_get_put_stats(g->base->writer, &stats);
    if (stats.new_bytes < RENEW_FACTOR * g->info.pages * FLIC_PAGE_SIZE)
        return 0;
    rc = seal_from(g, 0, err);
    if (rc)
        return rc;
    count_flash(g);         /* whether or not it is renewed: an error ends the tracking */
    return ck_base_renew(g->base, g->store, err);
}

static int end_epoch(struct tk_guest *g, struct flic_err *err)
{
    uint64_t now = now_us(g), took = now - g->began_us;
    int rc = look_again(g, err);

    if (!rc)
        rc = clean(g, FLX_SPARE_HOT, err);
    if (rc)
        return rc;
    tk_history_epoch(&g->history, g->base->fetched);
    note_sample(g, took);
    adapt(g, g->status.last.written_pages);
    g->status.epochs++;
    g->began_us = now;
    if (g->seen_epochs < g->conf.clean_epochs)
        g->seen_epochs++;
    g->to_look = g->seen_epochs == g->conf.clean_epochs ? g->base->gfn_end : 0;
    return renew(g, err);
}

/* ---- copying in the background ---- */

/* Clean for long enough, and not one that is written again and again with rests in between: its copies would all be in vain. */
static bool is_due(const struct tk_guest *g, uint64_t gfn)
{
    uint8_t clean_mask = (uint8_t)((1u << g->conf.clean_epochs) - 1);

    return ck_bit(g->base->dirty, gfn) && !ck_bit(g->pending, gfn) && !(g->history.page[gfn] & clean_mask) &&
           !tk_written_twice(g->history.page[gfn]);
}

/* How many gfns from the cursor on need no look: those of a whole word of which nothing is to be copied, else none. */
static uint64_t nothing_here(const struct tk_guest *g)
{
    uint64_t word = g->cursor / 64, left = g->base->gfn_end - g->cursor;

    if (g->cursor % 64 || g->base->dirty[word] & ~g->pending[word])
        return 0;
    left = left < 64 ? left : 64;
    return left < g->to_look ? left : g->to_look;
}

/* From where the last one ended, whichever epoch that was: what is written all the time at low addresses does not keep the
 * others waiting. */
static size_t next_batch(struct tk_guest *g, uint64_t gfns[BATCH])
{
    size_t n = 0;

    while (g->to_look && n < BATCH) {
        uint64_t skip = nothing_here(g);

        if (!skip && is_due(g, g->cursor))
            gfns[n++] = g->cursor;
        g->cursor += skip ? skip : 1;
        g->to_look -= skip ? skip : 1;
        if (g->cursor >= g->base->gfn_end)
            g->cursor = 0;
    }
    return n;
}

static int copy_batch(struct tk_guest *g, const uint64_t *gfns, size_t n, struct flic_err *err)
{
    struct ck_copied copied = { 0 };
    int rc = ck_base_copy(g->base, g->store, g->dom, gfns, n, g->window, &copied, err);

    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        g->pending[gfns[i] / 64] |= 1ull << (gfns[i] % 64);
    g->status.pending_pages += n;
    g->status.copied.pages += copied.pages;
    g->status.copied.new_pages += copied.new_pages;
    g->status.copied.dedup_pages += copied.dedup_pages;
    return seal_from(g, SEAL_BYTES, err);
}

/* A suspended or crashed guest is about to go, or in the middle of somebody's save. */
static int copy_some(struct tk_guest *g, struct flic_err *err)
{
    const struct tk_clock *clock = g->pace->clock;
    uint64_t began = now_us(g), cpu = clock->cpu_us(clock->arg), stored = g->status.copied.new_pages + g->status.copied.dedup_pages;
    uint64_t gfns[BATCH];
    size_t n = 0;
    int rc;

    if (g->info.run == FLX_RUNNING || g->info.run == FLX_PAUSED)
        n = next_batch(g, gfns);
    else
        g->to_look = 0;
    rc = n ? copy_batch(g, gfns, n, err) : seal_from(g, SEAL_LEAST, err);
    stored = g->status.copied.new_pages + g->status.copied.dedup_pages - stored;
    tk_pace_charge(g->pace, began, clock->cpu_us(clock->arg) - cpu, stored * FLIC_PAGE_SIZE);
    return rc;
}

uint64_t tk_due_us(const struct tk_guest *g)
{
    uint64_t end = g->began_us + g->epoch_us;

    if (g->to_look && g->pace->free_us < end)
        return g->pace->free_us;
    return end;
}

int tk_step(struct tk_guest *g, struct flic_err *err)
{
    uint64_t now = now_us(g);

    if (now >= g->began_us + g->epoch_us)
        return end_epoch(g, err);
    if (g->to_look && now >= g->pace->free_us)
        return copy_some(g, err);
    return 0;
}

/* ---- lending ---- */

int tk_lend(struct tk_guest *g, struct ck_base **ret_base, struct flic_err *err)
{
    int rc = look_again(g, err);

    if (!rc)
        rc = clean(g, FLX_EXACT, err);
    if (rc)
        return rc;
    tk_history_add(&g->history, g->base->fetched);
    tk_history_hot(&g->history, g->base->hot);
    *ret_base = g->base;
    return 0;
}

/* What the save captured is not in the map and stays unknown; should the guest run on, the next CLEAN tells of it. */
void tk_give_back(struct tk_guest *g)
{
    g->status.unknown_pages = ck_count_bits(g->base->dirty, g->base->gfn_end);
    g->began_us = now_us(g);
    g->to_look = 0;
}

/* ---- looking ---- */

void tk_get_status(const struct tk_guest *g, struct tk_status *ret_status)
{
    struct pk_put_stats stats;

    *ret_status = g->status;
    ret_status->epoch_ms = g->epoch_us / 1000;
    pk_get_put_stats(g->base->writer, &stats);
    ret_status->flash_bytes = g->flash_before + stats.flash_bytes;
}

size_t tk_series(const struct tk_guest *g, struct tk_sample *ret_samples, size_t max)
{
    size_t n = g->n_samples < TK_SERIES ? g->n_samples : TK_SERIES;

    if (n > max)
        n = max;
    for (size_t i = 0; i < n; i++)
        ret_samples[i] = g->series[(g->n_samples - n + i) % TK_SERIES];
    return n;
}
