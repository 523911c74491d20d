/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/restore.h"

#include "daemon/checkpoint/save_priv.h"
#include "daemon/checkpoint/team.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AT_ONCE 4u      /* windows filled side by side: 16 MiB of the guest */

struct job {
    struct ck_store *store;
    const struct ck_loaded *loaded;
    const struct ck_restore_params *params;
    struct ck_restore_figures *figures;
    struct ck_map *map;
    uint64_t *present;
    struct team *team;
    struct window *windows;     /* AT_ONCE of them */
    uint64_t done;
};

/* A stretch of the guest's pages. Mapped and unmapped by the restore's own thread, filled by any one of the team's. */
struct window {
    const struct job *job;
    uint64_t gfns[CK_WINDOW];
    size_t n;
    struct flx_map *map;
    uint8_t kind[CK_WINDOW];
    uint8_t *base;
    size_t next_delta;          /* walks the root's delta beside the gfns */
    struct flic_id ids[CK_WINDOW];      /* those to read from packs ... */
    uint32_t page_of[CK_WINDOW];        /* ... and where they go */
    size_t n_flash;
    struct ck_restore_figures figures;  /* pages only */
    int rc;
    struct flic_err err;
};

static int build_present(struct job *job, struct flic_err *err)
{
    uint64_t end = job->loaded->root.facts.gfn_end;

    job->present = calloc(ck_words(end), sizeof(uint64_t));
    if (!job->present)
        return flic_err_set(err, -ENOMEM, "restore: out of memory");
    for (uint64_t gfn = 0; gfn < end; gfn++) {
        struct flic_id id = ck_map_get(job->map, gfn);

        if (flic_id_equal(&id, &FLIC_ID_HOLE))
            continue;
        job->present[gfn / 64] |= 1ull << (gfn % 64);
        job->figures->ram_pages++;
    }
    if (job->figures->ram_pages != job->loaded->root.facts.pages)
        return flic_err_set(err, FLIC_E_DAMAGED, "checkpoint %s@%llu: its map has %llu pages, its root says %llu",
                            job->loaded->root.facts.name, (unsigned long long)job->loaded->root.facts.seq,
                            (unsigned long long)job->figures->ram_pages,
                            (unsigned long long)job->loaded->root.facts.pages);
    return 0;
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
static const struct ck_delta *delta_of(struct window *w, uint64_t gfn)
{
    const struct ck_root *root = &w->job->loaded->root;

    while (w->next_delta < root->n_delta && root->delta[w->next_delta].gfn < gfn)
        w->next_delta++;
    return w->next_delta < root->n_delta && root->delta[w->next_delta].gfn == gfn ? &root->delta[w->next_delta] : NULL;
}

/* From its frame: 0. A damaged frame is no loss when the packs have the page too, whose id says that it is the same: 1. */
static int place_captured(struct window *w, const struct ck_delta *delta, void *to)
{
    const struct job *job = w->job;
    const void *from = ck_delta_page(job->store, job->loaded, delta, &w->err);

    if (from) {
        memcpy(to, from, FLIC_PAGE_SIZE);
        w->figures.nvram_pages++;
        return 0;
    }
    if (!pk_has(ck_packs(job->store), &delta->id))
        return FLIC_E_DAMAGED;
    w->err = (struct flic_err){ 0 };
    w->figures.repaired_pages++;
    return 1;
}

/* Fills page `i` from NVRAM or with zeros at once, or notes it for the packs. Nothing is taken from what the fresh frame held. */
static int place_page(struct window *w, size_t i)
{
    const struct ck_delta *delta = delta_of(w, w->gfns[i]);
    struct flic_id id = ck_map_get(w->job->map, w->gfns[i]);
    uint8_t *to = w->base + i * FLIC_PAGE_SIZE;

    if (flic_id_equal(&id, &FLIC_ID_ZERO)) {
        memset(to, 0, FLIC_PAGE_SIZE);
        w->figures.zero_pages++;
        return 0;
    }
    if (delta && delta->frame != CK_NO_FRAME) {
        int rc = place_captured(w, delta, to);

        if (rc <= 0)
            return rc;
    }
    w->ids[w->n_flash] = id;
    w->page_of[w->n_flash++] = (uint32_t)i;
    return 0;
}

static int got_page(size_t tag, const void *page, void *arg)
{
    struct window *w = arg;

    memcpy(w->base + (size_t)w->page_of[tag] * FLIC_PAGE_SIZE, page, FLIC_PAGE_SIZE);
    w->figures.flash_pages++;
    return 0;
}

/* Packs know places, not gfns: which page of the window it was is found by asking for each alone. */
static int name_the_page(struct window *w, int code)
{
    uint8_t page[FLIC_PAGE_SIZE];
    struct flic_err one = { 0 };
    size_t len;

    for (size_t i = 0; i < w->n_flash; i++) {
        int rc = pk_read(ck_packs(w->job->store), &w->ids[i], page, sizeof(page), &len, &one);

        if (rc)
            return flic_err_set(&w->err, rc, "gfn 0x%llx: %s", (unsigned long long)w->gfns[w->page_of[i]], one.text);
    }
    return code;        /* it can be read now: what was said first stands */
}

static int fill_window(struct window *w)
{
    int rc = 0;

    w->next_delta = delta_from(&w->job->loaded->root, w->gfns[0]);
    w->n_flash = 0;
    for (size_t i = 0; !rc && i < w->n; i++) {
        if (w->kind[i] == FLX_PAGE_HOLE || w->kind[i] == FLX_PAGE_SKIP)
            rc = flic_err_set(&w->err, FLIC_E_XEN, "restore: gfn 0x%llx was populated but cannot be mapped",
                              (unsigned long long)w->gfns[i]);
        else
            rc = place_page(w, i);
    }
    if (!rc)
        rc = pk_read_pages(ck_packs(w->job->store), w->ids, w->n_flash, got_page, w, &w->err);
    if (rc == FLIC_E_DAMAGED && w->n_flash)
        rc = name_the_page(w, rc);
    return rc;
}

static void fill_one(size_t i, void *arg)
{
    struct window *w = (struct window *)arg + i;

    w->rc = fill_window(w);
}

/* The next windows from *gfn on, which moves, mapped; how many is in *ret_n, also when mapping the last of them failed. */
static int map_windows(struct job *job, uint64_t *gfn, size_t *ret_n, struct flic_err *err)
{
    uint64_t end = job->loaded->root.facts.gfn_end;
    size_t n = 0;
    int rc = 0;

    for (; !rc && n < AT_ONCE; n++) {
        struct window *w = &job->windows[n];

        w->job = job;
        w->figures = (struct ck_restore_figures){ 0 };
        w->err = (struct flic_err){ 0 };
        for (w->n = 0; *gfn < end && w->n < CK_WINDOW; ++*gfn)
            if (ck_bit(job->present, *gfn))
                w->gfns[w->n++] = *gfn;
        if (!w->n)
            break;
        w->map = NULL;
        rc = flx_map_pages(job->params->dom, w->gfns, w->n, true, &w->map, w->kind, err);
        if (!rc)
            w->base = flx_map_base(w->map);
    }
    *ret_n = n;
    return rc;
}

/* Unmaps and sums up; the first thing that went wrong is told. */
static int end_windows(struct job *job, size_t n, struct flic_err *err)
{
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        struct window *w = &job->windows[i];

        flx_unmap(w->map);
        job->figures->zero_pages += w->figures.zero_pages;
        job->figures->nvram_pages += w->figures.nvram_pages;
        job->figures->flash_pages += w->figures.flash_pages;
        job->figures->repaired_pages += w->figures.repaired_pages;
        job->done += w->n;
        if (!rc && w->rc) {
            rc = w->rc;
            if (err)
                *err = w->err;
        }
        w->rc = 0;
    }
    return rc;
}

static int fill_some(struct job *job, uint64_t *gfn, size_t *ret_n, struct flic_err *err)
{
    uint64_t mark = ck_now_us(), now;
    int rc = map_windows(job, gfn, ret_n, err), fill_rc;

    now = ck_now_us();
    job->figures->install_us += now - mark;
    if (!rc)
        team_run(job->team, *ret_n, 1, fill_one, job->windows);
    mark = ck_now_us();
    job->figures->fill_us += mark - now;
    fill_rc = end_windows(job, *ret_n, rc ? NULL : err);
    job->figures->install_us += ck_now_us() - mark;
    return rc ? rc : fill_rc;
}

static int fill_all(struct job *job, struct flic_err *err)
{
    uint64_t total = job->figures->ram_pages * FLIC_PAGE_SIZE, gfn = 0;
    size_t n;
    int rc;

    job->windows = calloc(AT_ONCE, sizeof(*job->windows));
    if (!job->windows)
        return flic_err_set(err, -ENOMEM, "restore: out of memory");
    do {
        if (job->params->cancelled(job->params->arg))
            return flic_err_set(err, FLIC_E_CANCELLED, "restore was cancelled; the checkpoint is untouched");
        rc = fill_some(job, &gfn, &n, err);
        job->params->progress(job->params->arg, "pages", job->done * FLIC_PAGE_SIZE, total);
    } while (!rc && n == AT_ONCE);
    return rc;
}

/* Host time since the checkpoint, never negative. */
static uint64_t elapsed_since(uint64_t taken_ns, struct ck_restore_figures *figures)
{
    struct timespec t;
    uint64_t now;

    (void)clock_gettime(CLOCK_REALTIME, &t);    /* cannot fail for this clock */
    now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    figures->clock_went_back = now < taken_ns;
    figures->elapsed_ns = now < taken_ns ? 0 : now - taken_ns;
    return figures->elapsed_ns;
}

static int build(struct job *job, struct flx_built *ret_built, struct flic_err *err)
{
    const struct ck_root *root = &job->loaded->root;
    struct flx_dom *dom = job->params->dom;
    uint64_t mark = ck_now_us(), now;
    int rc = flx_build_begin(dom, root->state, root->state_len, err);

    if (!rc)
        rc = flx_build_populate(dom, job->present, 0, root->facts.gfn_end, err);
    now = ck_now_us();
    job->figures->populate_us = now - mark;
    if (!rc) {
        job->team = team_new(job->params->threads);
        rc = fill_all(job, err);
        team_free(job->team);
    }
    mark = ck_now_us();
    job->figures->pages_us = mark - now;
    if (!rc)
        rc = flx_build_finish(dom, root->state, root->state_len, &job->params->ports,
                              elapsed_since(root->facts.taken_ns, job->figures), ret_built, err);
    job->figures->state_us = ck_now_us() - mark;
    return rc;
}

int ck_restore(struct ck_store *store, const struct ck_loaded *loaded, const struct ck_restore_params *params,
               struct flx_built *ret_built, struct ck_restore_figures *figures, struct flic_err *err)
{
    struct job job = { .store = store, .loaded = loaded, .params = params, .figures = figures };
    uint64_t began = ck_now_us();
    int rc;

    *figures = (struct ck_restore_figures){ 0 };
    rc = ck_load_map(store, loaded, &job.map, err);
    figures->map_us = ck_now_us() - began;
    if (!rc)
        rc = build_present(&job, err);
    if (!rc)
        rc = build(&job, ret_built, err);
    figures->total_us = ck_now_us() - began;
    free(job.windows);
    free(job.present);
    ck_map_free(job.map);
    return rc ? flic_err_wrap(err, rc, "restore %s@%llu", loaded->root.facts.name,
                              (unsigned long long)loaded->root.facts.seq) : 0;
}
