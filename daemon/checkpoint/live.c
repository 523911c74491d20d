/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* live - the rounds of a save that run beside the guest. */
#include "common/clock.h"
#include "daemon/checkpoint/ending.h"
#include "daemon/checkpoint/save_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int check_cancelled(const struct ck_save *save, struct flic_err *err)
{
    if (!save->params.cancelled(save->params.arg))
        return 0;
    return flic_err_set(err, FLIC_E_CANCELLED, "save '%s' was cancelled; the guest runs on", save->info.name);
}

static int copy_window(struct ck_save *save, const uint64_t *gfns, size_t n, struct flic_err *err)
{
    struct ck_copied copied = { 0 };
    int rc = ck_base_copy(save->base, save->store, save->params.dom, gfns, n, save->window, &copied, err);

    for (size_t i = 0; !rc && i < n; i++)
        save->dirty[gfns[i] / 64] &= ~(1ull << (gfns[i] % 64));
    save->figures.live_pages += copied.pages;
    save->figures.new_pages += copied.new_pages;
    save->figures.dedup_pages += copied.dedup_pages;
    return rc ? flic_err_wrap(err, rc, "save '%s'", save->info.name) : 0;
}

/* What a round copies: a page that will be written again anyway is left to the pause. */
static uint64_t count_cold(const struct ck_save *save)
{
    const uint64_t *hot = save->base->hot;
    uint64_t n = 0;

    for (size_t i = 0; i < ck_words(save->info.gfn_end); i++)
        n += (uint64_t)__builtin_popcountll(save->dirty[i] & ~(hot ? hot[i] : 0));
    return n;
}

static int one_round(struct ck_save *save, struct flic_err *err)
{
    uint64_t total, done = 0, gfn = 0;
    uint64_t gfns[CK_WINDOW];
    size_t n;
    int rc = ck_base_look_again(save->base, save->store, NULL, err);

    total = count_cold(save);
    while (!rc && (n = ck_save_next_window(save, save->base->hot, &gfn, gfns))) {
        rc = check_cancelled(save, err);
        if (!rc)
            rc = copy_window(save, gfns, n, err);
        done += n;
        save->params.progress(save->params.arg, "live", done * FLIC_PAGE_SIZE, total * FLIC_PAGE_SIZE);
    }
    save->figures.rounds++;
    return rc ? rc : ck_save_fetch_dirty(save, false, err);
}

/* Hot pages go to NVRAM in the pause as long as they fit there twice; else they are copied like the others. */
static void leave_hot(struct ck_save *save)
{
    struct nv_info info;
    uint64_t hot = 0;

    if (!save->base->hot)
        return;
    for (size_t i = 0; i < ck_words(save->info.gfn_end); i++)
        hot += (uint64_t)__builtin_popcountll(save->dirty[i] & save->base->hot[i]);
    nv_get_info(ck_arena(save->store), &info);
    if (hot > (info.frames_free + info.frames_cached) / 2)
        memset(save->base->hot, 0, ck_words(save->info.gfn_end) * sizeof(uint64_t));
}

/* Rounds go on while each leaves clearly less than the one before. */
static int all_rounds(struct ck_save *save, struct flic_err *err)
{
    uint64_t left = UINT64_MAX, before;
    int rc;

    do {
        before = left;
        rc = one_round(save, err);
        if (rc)
            return rc;
        left = count_cold(save);
    } while (save->figures.rounds < save->params.live_rounds_max && left > save->params.live_stop_pages &&
             left < before - before / 8);
    return 0;
}

/* What the guest may dirty until it is suspended: as much again as is left, and some. Falls back to what there is. */
static int reserve_nvram(struct ck_save *save, struct flic_err *err)
{
    uint64_t pages = save->figures.dirty_live_last * 2 + 4096;
    struct ck_root parts = { .state_len = FLX_STATE_MAX, .config_len = save->params.config_len, .n_leaves = save->n_leaves };
    uint32_t fixed = ck_root_frames(&parts, save->delta_room);
    int rc;

    if (pages > save->info.pages)
        pages = save->info.pages;
    rc = ck_reserve_frames(save->store, fixed, &pages, &save->txn, err);
    return rc ? flic_err_wrap(err, rc, "save '%s'", save->info.name) : 0;
}

/* What is dirty now will be, but for little, what is dirty when the guest is suspended. What cannot be mapped now is mapped then. */
static struct ck_ahead *map_ahead(struct ck_save *save)
{
    struct ck_ahead *ahead = ck_ahead_begin(save->params.dom, save->figures.dirty_live_last);
    uint64_t gfns[CK_WINDOW], gfn = 0;
    uint8_t kind[CK_WINDOW];
    const uint8_t *base;
    size_t n;

    while (ahead && (n = ck_save_next_window(save, NULL, &gfn, gfns)) && !ck_save_map(save, gfns, n, &base, kind, NULL))
        ck_ahead_add(ahead, gfns, n, base, kind);
    return ahead;
}

/* As many frames are expected to be needed as pages are dirty, and some for the parts. */
static void prepare_pause(struct ck_save *save)
{
    struct ck_root parts = { .state_len = 65536, .config_len = save->params.config_len, .n_leaves = save->n_leaves };
    uint64_t dirty = save->figures.dirty_live_last;

    nv_txn_expect(save->txn, (uint32_t)(dirty + dirty / 8 + 64) + ck_root_frames(&parts, dirty));
    save->ahead = map_ahead(save);
}

int ck_save_settle(struct ck_save *save, struct flic_err *err)
{
    struct pk_put_stats stats;
    int rc = ck_base_look_again(save->base, save->store, NULL, err);

    if (rc)
        return rc;
    save->figures.dirty_live_last = ck_count_bits(save->dirty, save->info.gfn_end);
    ck_work_begin(save->store);
    rc = ck_map_store(save->map, save->writer, &save->leaves, &save->n_leaves, err);
    if (!rc)
        rc = pk_seal(save->writer, err);
    ck_work_end(save->store);
    if (rc)
        return rc;
    pk_get_put_stats(save->writer, &stats);
    save->figures.flash_bytes = stats.flash_bytes - save->flash_before;
    save->base_pages = ck_map_pages(save->map, &save->figures.zero_pages);
    save->team = team_new(save->params.threads);
    rc = reserve_nvram(save, err);
    if (!rc)
        prepare_pause(save);
    return rc;
}

/* A save from nothing: every page is to be copied. */
static int start_tracking(struct ck_save *save, struct flic_err *err)
{
    int rc = flx_track_on(save->params.dom, err);

    save->tracking = !rc;
    if (!rc)
        ck_base_mark_all(save->base, save->params.dom, &save->info);
    return rc;
}

int ck_save_rounds(struct ck_save *save, struct flic_err *err)
{
    int rc = save->params.base ? 0 : start_tracking(save, err);

    if (rc)
        return rc;
    leave_hot(save);
    return all_rounds(save, err);
}

int ck_save_round(struct ck_save *save, uint64_t *ret_left, struct flic_err *err)
{
    int rc = one_round(save, err);

    *ret_left = count_cold(save);
    return rc;
}

int ck_save_clean(struct ck_save *save, struct flic_err *err)
{
    return ck_save_fetch_dirty(save, false, err);
}

int ck_save_live(struct ck_save *save, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    int rc = ck_save_rounds(save, err);

    if (!rc)
        rc = ck_save_settle(save, err);
    save->figures.live_us = flic_now_us() - began;
    return rc;
}
