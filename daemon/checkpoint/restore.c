/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/restore.h"

#include "daemon/checkpoint/save_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct job {
    struct ck_store *store;
    const struct ck_loaded *loaded;
    const struct ck_restore_params *params;
    struct ck_restore_figures *figures;
    struct ck_map *map;
    uint64_t *present;
    size_t next_delta;          /* walks loaded->root.delta beside the gfns */
    uint64_t done;
};

struct window {
    struct job *job;
    uint64_t gfns[CK_WINDOW];
    size_t n;
    uint8_t *base;
    struct flic_id ids[CK_WINDOW];      /* those to read from packs ... */
    uint32_t page_of[CK_WINDOW];        /* ... and where they go */
    size_t n_flash;
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

/* The delta entry of this gfn, if it has one. Gfns come in ascending order. */
static const struct ck_delta *delta_of(struct job *job, uint64_t gfn)
{
    const struct ck_root *root = &job->loaded->root;

    while (job->next_delta < root->n_delta && root->delta[job->next_delta].gfn < gfn)
        job->next_delta++;
    if (job->next_delta < root->n_delta && root->delta[job->next_delta].gfn == gfn)
        return &root->delta[job->next_delta];
    return NULL;
}

/* Fills page `i` from NVRAM or with zeros at once, or notes it for the packs. Nothing is taken from what the fresh frame held. */
static int place_page(struct window *w, size_t i, struct flic_err *err)
{
    struct job *job = w->job;
    const struct ck_delta *delta = delta_of(job, w->gfns[i]);
    struct flic_id id = ck_map_get(job->map, w->gfns[i]);
    uint8_t *to = w->base + i * FLIC_PAGE_SIZE;
    const void *from;

    if (flic_id_equal(&id, &FLIC_ID_ZERO)) {
        memset(to, 0, FLIC_PAGE_SIZE);
        job->figures->zero_pages++;
        return 0;
    }
    if (delta && delta->frame != CK_NO_FRAME) {
        from = ck_delta_page(job->store, job->loaded, delta, err);
        if (!from)
            return FLIC_E_DAMAGED;
        memcpy(to, from, FLIC_PAGE_SIZE);
        job->figures->nvram_pages++;
        return 0;
    }
    w->ids[w->n_flash] = id;
    w->page_of[w->n_flash++] = (uint32_t)i;
    return 0;
}

static int got_page(size_t tag, const void *page, void *arg)
{
    struct window *w = arg;

    memcpy(w->base + (size_t)w->page_of[tag] * FLIC_PAGE_SIZE, page, FLIC_PAGE_SIZE);
    w->job->figures->flash_pages++;
    return 0;
}

/* Packs know places, not gfns: which page of the window it was is found by asking for each alone. */
static int name_the_page(const struct window *w, int code, struct flic_err *err)
{
    uint8_t page[FLIC_PAGE_SIZE];
    struct flic_err one = { 0 };
    size_t len;

    for (size_t i = 0; i < w->n_flash; i++) {
        int rc = pk_read(ck_packs(w->job->store), &w->ids[i], page, sizeof(page), &len, &one);

        if (rc)
            return flic_err_set(err, rc, "gfn 0x%llx: %s", (unsigned long long)w->gfns[w->page_of[i]], one.text);
    }
    return code;        /* it can be read now: what was said first stands */
}

static int fill_window(struct window *w, struct flic_err *err)
{
    struct job *job = w->job;
    uint8_t kind[CK_WINDOW];
    struct flx_map *map;
    int rc = flx_map_pages(job->params->dom, w->gfns, w->n, true, &map, kind, err);

    if (rc)
        return rc;
    w->base = flx_map_base(map);
    w->n_flash = 0;
    for (size_t i = 0; !rc && i < w->n; i++) {
        if (kind[i] == FLX_PAGE_HOLE || kind[i] == FLX_PAGE_SKIP)
            rc = flic_err_set(err, FLIC_E_XEN, "restore: gfn 0x%llx was populated but cannot be mapped",
                              (unsigned long long)w->gfns[i]);
        else
            rc = place_page(w, i, err);
    }
    if (!rc)
        rc = pk_read_pages(ck_packs(job->store), w->ids, w->n_flash, got_page, w, err);
    if (rc == FLIC_E_DAMAGED && w->n_flash)
        rc = name_the_page(w, rc, err);
    flx_unmap(map);
    return rc;
}

static int fill_all(struct job *job, struct flic_err *err)
{
    struct window w = { .job = job };
    uint64_t end = job->loaded->root.facts.gfn_end, total = job->figures->ram_pages * FLIC_PAGE_SIZE;
    uint64_t gfn = 0;
    int rc = 0;

    while (!rc && gfn < end) {
        for (w.n = 0; gfn < end && w.n < CK_WINDOW; gfn++)
            if (ck_bit(job->present, gfn))
                w.gfns[w.n++] = gfn;
        if (job->params->cancelled(job->params->arg))
            return flic_err_set(err, FLIC_E_CANCELLED, "restore was cancelled; the checkpoint is untouched");
        if (w.n)
            rc = fill_window(&w, err);
        job->done += w.n;
        job->params->progress(job->params->arg, "pages", job->done * FLIC_PAGE_SIZE, total);
    }
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
        rc = flx_build_populate(dom, job->present, root->facts.gfn_end, err);
    now = ck_now_us();
    job->figures->populate_us = now - mark;
    if (!rc)
        rc = fill_all(job, err);
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
    free(job.present);
    ck_map_free(job.map);
    return rc ? flic_err_wrap(err, rc, "restore %s@%llu", loaded->root.facts.name,
                              (unsigned long long)loaded->root.facts.seq) : 0;
}
