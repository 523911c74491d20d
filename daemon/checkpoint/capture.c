/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * capture - the pause: from the last bitmap to the switch.
 *
 * Nothing here writes flash (but the spill), compresses, deduplicates or asks SQLite. A page is read once: streamed to its
 * frame, hashed on the way.
 */
#include "common/clock.h"
#include "daemon/checkpoint/ending.h"
#include "daemon/checkpoint/save_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COPY_CHUNK 16   /* pages that a thread takes at a time: 64 KiB */

static uint64_t lap(uint64_t *mark)
{
    uint64_t now = flic_now_us(), took = now - *mark;

    *mark = now;
    return took;
}

/* ---- one window of dirty pages ---- */

struct window {
    struct ck_save *save;
    struct nv_room *room;
    const uint64_t *gfns;
    const uint8_t *page[CK_WINDOW];
    uint8_t kind[CK_WINDOW];
    uint32_t frame[CK_WINDOW];  /* where page i went, or CK_NO_FRAME */
    struct flic_id id[CK_WINDOW];
};

/* Zero pages, rings and holes need no frame. A page that got none with another id than these spills. */
static void copy_one(size_t i, void *arg)
{
    struct window *w = arg;

    w->frame[i] = CK_NO_FRAME;
    if (w->kind[i] == FLX_PAGE_RAM)
        w->id[i] = nv_txn_add_page(w->save->txn, w->room, w->page[i], ck_secret(w->save->store), &w->frame[i]);
    else
        w->id[i] = w->kind[i] == FLX_PAGE_RING ? FLIC_ID_ZERO : FLIC_ID_HOLE;
}

/* From a private copy: a backend with a grant may write on, and what is hashed must be what is stored. */
static int spill_window(struct window *w, size_t n, struct flic_err *err)
{
    struct ck_save *save = w->save;
    int rc = 0;

    for (size_t i = 0; !rc && i < n; i++) {
        if (w->kind[i] != FLX_PAGE_RAM || w->frame[i] != CK_NO_FRAME || flic_id_equal(&w->id[i], &FLIC_ID_ZERO))
            continue;
        memcpy(save->window, w->page[i], FLIC_PAGE_SIZE);
        w->id[i] = FLIC_ID_ZERO;
        if (flic_is_zero(save->window, FLIC_PAGE_SIZE))
            continue;
        rc = pk_put(save->writer, PK_PAGE, save->window, FLIC_PAGE_SIZE, &w->id[i], NULL, err);
        save->figures.spilled_pages++;
    }
    return rc;
}

static int note_delta(struct window *w, size_t n, struct flic_err *err)
{
    struct ck_save *save = w->save;

    for (size_t i = 0; i < n; i++) {
        struct ck_delta entry = { .gfn = w->gfns[i], .frame = w->frame[i], .id = w->id[i] };
        struct flic_id before = ck_map_get(save->map, w->gfns[i]);
        bool was_hole = flic_id_equal(&before, &FLIC_ID_HOLE), is_hole = flic_id_equal(&w->id[i], &FLIC_ID_HOLE);
        bool was_zero = flic_id_equal(&before, &FLIC_ID_ZERO), is_zero = flic_id_equal(&w->id[i], &FLIC_ID_ZERO);

        if (was_hole && is_hole)
            continue;
        if (save->n_delta == save->delta_room)
            return flic_err_set(err, FLIC_E_NOSPACE, "save '%s': more pages changed than it had", save->info.name);
        ck_delta_put(save->delta + save->n_delta++ * CK_DELTA_ENTRY, &entry);
        save->facts.pages = save->facts.pages + was_hole - is_hole;
        save->figures.zero_pages = save->figures.zero_pages + is_zero - was_zero;
        if (is_zero || is_hole)
            save->figures.ws_zero_pages++;
        else
            save->facts.ws_pages++;
    }
    return 0;
}

/* Frames left for pages once the parts have theirs. */
static uint32_t page_room(const struct ck_save *save)
{
    struct ck_root parts = { .state_len = save->state_len, .config_len = save->params.config_len, .n_leaves = save->n_leaves };
    uint32_t fixed = ck_root_frames(&parts, save->delta_room), all = nv_txn_frames(save->txn);

    return all > fixed ? all - fixed : 0;
}

/* Finds the window's pages among those mapped ahead, and maps the others. */
static int map_window(struct window *w, size_t n, struct flic_err *err)
{
    struct ck_save *save = w->save;
    uint64_t gfns[CK_WINDOW];
    uint16_t place[CK_WINDOW];
    uint8_t kind[CK_WINDOW];
    const uint8_t *base;
    size_t missing = 0;
    int rc;

    for (size_t i = 0; i < n; i++) {
        if (ck_ahead_find(save->ahead, w->gfns[i], &w->page[i], &w->kind[i]))
            continue;
        place[missing] = (uint16_t)i;
        gfns[missing++] = w->gfns[i];
    }
    save->figures.ahead_pages += n - missing;
    if (!missing)
        return 0;
    rc = ck_save_map(save, gfns, missing, &base, kind, err);
    for (size_t k = 0; !rc && k < missing; k++) {
        w->page[place[k]] = base + k * FLIC_PAGE_SIZE;
        w->kind[place[k]] = kind[k];
    }
    return rc;
}

static int capture_window(struct ck_save *save, const uint64_t *gfns, size_t n, struct nv_room *room, struct flic_err *err)
{
    struct window w = { .save = save, .gfns = gfns, .room = room };
    uint64_t mark = flic_now_us();
    int rc = map_window(&w, n, err);

    if (rc)
        return rc;
    save->figures.map_us += lap(&mark);
    team_run(save->team, n, COPY_CHUNK, copy_one, &w);
    save->figures.copy_us += lap(&mark);
    rc = room->next > room->end ? spill_window(&w, n, err) : 0;
    save->figures.spill_us += lap(&mark);
    return rc ? rc : note_delta(&w, n, err);
}

static int capture_pages(struct ck_save *save, uint32_t frames, uint32_t *ret_next, struct flic_err *err)
{
    uint64_t gfns[CK_WINDOW], gfn = 0;
    struct nv_room room = { .end = frames };
    size_t n;
    int rc = 0;

    save->facts.pages = save->base_pages;
    ck_ahead_check(save->ahead, save->params.dom);
    while (!rc && (n = ck_save_next_window(save, NULL, &gfn, gfns)))
        rc = capture_window(save, gfns, n, &room, err);
    if (!rc && save->figures.spilled_pages) {
        struct pk_put_stats stats;

        rc = pk_seal(save->writer, err);
        pk_get_put_stats(save->writer, &stats);
        save->figures.flash_bytes_in_pause = stats.flash_bytes - save->flash_before - save->figures.flash_bytes;
    }
    *ret_next = room.next < room.end ? room.next : room.end;
    return rc;
}

/* ---- the parts and the switch ---- */

static int commit(struct ck_save *save, uint32_t next, struct flic_err *err)
{
    struct nv_name name = { .guest = save->facts.guest, .seq = save->facts.seq };
    const struct ck_contents contents = { save->state, save->state_len, save->params.config, save->params.config_len, save->leaves,
                                          save->n_leaves, save->delta, save->n_delta };
    struct ck_parts parts;
    uint64_t mark = flic_now_us();
    void *record;
    size_t len;
    int rc;

    ck_put_parts(save->txn, &contents, &next, &parts);
    save->figures.nvram_bytes = (uint64_t)next * FLIC_PAGE_SIZE;
    rc = ck_root_encode_record(&save->facts, &parts, &record, &len);
    if (rc)
        return flic_err_set(err, rc, "save '%s': out of memory", save->info.name);
    save->figures.parts_us = lap(&mark);
    rc = nv_txn_commit(save->txn, &name, next, record, len, err);
    save->figures.switch_us = lap(&mark);
    free(record);
    if (!rc) {
        save->txn = NULL;
        save->committed = true;
    }
    return rc;
}

/* The state first, then at once the mark that makes any later resume an in-place one, whoever does it. */
static int take_state(struct ck_save *save, struct flic_err *err)
{
    int rc = flx_state_save(save->params.dom, &save->state, &save->state_len, err);

    save->facts.taken_ns = flic_wall_ns();
    return rc ? rc : flx_mark_resume(save->params.dom, err);
}

/* Bitmaps and map end where the guest ended at the start: a page beyond (a balloon, a hotplug) would be left out. */
static int check_not_grown(struct ck_save *save, struct flic_err *err)
{
    struct flx_info now;
    int rc = flx_info(save->params.dom, &now, err);

    if (!rc && now.gfn_end > save->info.gfn_end)
        rc = flic_err_set(err, FLIC_E_REFUSED, "save '%s': its memory grew meanwhile, up to gfn 0x%llx: save it again",
                          save->info.name, (unsigned long long)now.gfn_end - 1);
    return rc;
}

static int from_suspended(struct ck_save *save, struct flic_err *err)
{
    uint64_t mark = flic_now_us();
    uint32_t next = 0;
    int rc = take_state(save, err);

    if (!rc)
        rc = check_not_grown(save, err);
    save->figures.state_us = lap(&mark);
    if (!rc)
        rc = ck_save_fetch_dirty(save, true, err);
    save->figures.bitmap_us = lap(&mark);
    if (!rc)
        rc = capture_pages(save, page_room(save), &next, err);
    if (!rc)
        rc = commit(save, next, err);
    return rc;
}

static void sum_up(struct ck_save *save)
{
    save->figures.ws_pages = save->facts.ws_pages;
    save->figures.ram_pages = save->facts.pages;
    save->figures.hole_pages = save->info.gfn_end - save->facts.pages;
}

static void end_quiet(struct ck_save *save, uint64_t written)
{
    save->figures.device_bytes_in_pause = ck_flash_written(save->store) - written;
    ck_quiet_end(save->store);
}

int ck_save_capture(struct ck_save *save, struct flic_err *err)
{
    uint64_t asked, suspended, captured, written;
    int rc;

    ck_quiet_begin(save->store);
    asked = flic_now_us();
    rc = save->params.suspend(save->params.arg, err);
    suspended = flic_now_us();
    written = ck_flash_written(save->store);
    if (!rc) {
        rc = from_suspended(save, err);
        if (rc)     /* the state may have failed before its mark: whoever resumes the guest now must do it in place */
            (void)flx_mark_resume(save->params.dom, NULL);
    }
    captured = flic_now_us();
    if (save->params.captured_waits)
        end_quiet(save, written);
    if (!rc && save->params.captured)
        rc = save->params.captured(save->params.arg, err);
    save->figures.suspend_us = suspended - asked;
    save->figures.captured_us = captured - suspended;
    save->figures.end_us = save->params.captured ? flic_now_us() - captured : 0;
    save->figures.pause_us = flic_now_us() - asked;
    if (!save->params.captured_waits)
        end_quiet(save, written);
    ck_save_unmap(save);
    if (!rc)
        sum_up(save);
    return rc;
}
