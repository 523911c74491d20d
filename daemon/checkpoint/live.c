/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* live - the rounds of a save that run beside the guest. */
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

/* One page's place in the map. `page` is a private copy. */
static int store_page(struct ck_save *save, uint64_t gfn, const void *page, struct flic_err *err)
{
    struct flic_id id = FLIC_ID_ZERO;
    bool is_new;
    int rc = 0;

    if (!flic_is_zero(page, FLIC_PAGE_SIZE)) {
        rc = pk_put(save->writer, PK_PAGE, page, FLIC_PAGE_SIZE, &id, &is_new, err);
        if (!rc)
            *(is_new ? &save->figures.new_pages : &save->figures.dedup_pages) += 1;
    }
    if (!rc && ck_map_set(save->map, gfn, &id))
        rc = flic_err_set(err, -ENOMEM, "save '%s': out of memory", save->info.name);
    save->figures.live_pages++;
    return rc;
}

static int store_window(struct ck_save *save, const uint64_t *gfns, size_t n, const uint8_t *kind, struct flic_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < n; i++) {
        struct flic_id none = kind[i] == FLX_PAGE_RING ? FLIC_ID_ZERO : FLIC_ID_HOLE;

        save->dirty[gfns[i] / 64] &= ~(1ull << (gfns[i] % 64));
        if (kind[i] == FLX_PAGE_RAM)
            rc = store_page(save, gfns[i], save->window + i * FLIC_PAGE_SIZE, err);
        else if (ck_map_set(save->map, gfns[i], &none))
            rc = flic_err_set(err, -ENOMEM, "save '%s': out of memory", save->info.name);
    }
    return rc;
}

static int copy_window(struct ck_save *save, const uint64_t *gfns, size_t n, struct flic_err *err)
{
    uint8_t kind[CK_WINDOW];
    struct flx_map *map;
    const uint8_t *base;
    int rc = flx_map_pages(save->params.dom, gfns, n, false, &map, kind, err);

    if (rc)
        return rc;
    base = flx_map_base(map);
    for (size_t i = 0; i < n; i++)
        if (kind[i] == FLX_PAGE_RAM)
            memcpy(save->window + i * FLIC_PAGE_SIZE, base + i * FLIC_PAGE_SIZE, FLIC_PAGE_SIZE);
    flx_unmap(map);
    ck_work_begin(save->store);
    rc = store_window(save, gfns, n, kind, err);
    ck_work_end(save->store);
    return rc;
}

static int one_round(struct ck_save *save, struct flic_err *err)
{
    uint64_t total = ck_count_bits(save->dirty, save->info.gfn_end), done = 0, gfn = 0;
    uint64_t gfns[CK_WINDOW];
    size_t n;
    int rc = 0;

    while (!rc && (n = ck_save_next_window(save, &gfn, gfns))) {
        rc = check_cancelled(save, err);
        if (!rc)
            rc = copy_window(save, gfns, n, err);
        done += n;
        save->params.progress(save->params.arg, "live", done * FLIC_PAGE_SIZE, total * FLIC_PAGE_SIZE);
    }
    save->figures.rounds++;
    return rc ? rc : ck_save_fetch_dirty(save, false, err);
}

static void mark_all(struct ck_save *save)
{
    struct flx_range ranges[16];
    size_t n = flx_ranges(&save->info, ranges);

    for (size_t i = 0; i < n; i++)
        for (uint64_t gfn = ranges[i].first_gfn; gfn < ranges[i].first_gfn + ranges[i].pages; gfn++)
            if (gfn < save->info.gfn_end)
                save->dirty[gfn / 64] |= 1ull << (gfn % 64);
}

/* Rounds go on while each leaves clearly less than the one before. */
static int all_rounds(struct ck_save *save, struct flic_err *err)
{
    uint64_t left = UINT64_MAX, before;
    int rc;

    mark_all(save);
    do {
        before = left;
        rc = one_round(save, err);
        if (rc)
            return rc;
        left = ck_count_bits(save->dirty, save->info.gfn_end);
    } while (save->figures.rounds < save->params.live_rounds_max && left > save->params.live_stop_pages &&
             left < before - before / 8);
    save->figures.dirty_live_last = left;
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
    while ((rc = nv_txn_begin(ck_arena(save->store), fixed + (uint32_t)pages, &save->txn, err)) == FLIC_E_NOSPACE && pages)
        pages = pages > 256 ? pages / 2 : 0;
    if (!rc && err)
        *err = (struct flic_err){ 0 };      /* a try that was too large is no error */
    return rc ? flic_err_wrap(err, rc, "save '%s'", save->info.name) : 0;
}

static int finish_live(struct ck_save *save, struct flic_err *err)
{
    struct pk_put_stats stats;
    int rc;

    ck_work_begin(save->store);
    rc = ck_map_store(save->map, save->writer, &save->leaves, &save->n_leaves, err);
    if (!rc)
        rc = pk_seal(save->writer, err);
    ck_work_end(save->store);
    if (rc)
        return rc;
    pk_get_put_stats(save->writer, &stats);
    save->figures.flash_bytes = stats.flash_bytes;
    save->base_pages = ck_map_pages(save->map, &save->figures.zero_pages);
    save->team = team_new(save->params.threads);
    return reserve_nvram(save, err);
}

int ck_save_live(struct ck_save *save, struct flic_err *err)
{
    uint64_t began = ck_now_us();
    int rc = flx_track_on(save->params.dom, err);

    if (rc)
        return rc;
    save->tracking = true;
    rc = all_rounds(save, err);
    if (!rc)
        rc = finish_live(save, err);
    save->figures.live_us = ck_now_us() - began;
    return rc;
}
