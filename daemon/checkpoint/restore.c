/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/restore.h"

#include "common/clock.h"
#include "daemon/checkpoint/fill.h"
#include "daemon/checkpoint/team.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    struct ck_stretch pages;
    struct flx_map *map;
    uint8_t kind[CK_WINDOW];
    int rc;
    struct flic_err err;
};

void ck_count_filled(struct ck_restore_figures *figures, const struct ck_filled *filled)
{
    figures->zero_pages += filled->zero_pages;
    figures->nvram_pages += filled->nvram_pages;
    figures->flash_pages += filled->flash_pages;
    figures->repaired_pages += filled->repaired_pages;
}

/* Nothing is taken from what the fresh frames held. */
static int fill_window(struct window *w)
{
    const struct job *job = w->job;
    const struct ck_source from = { job->store, job->loaded, job->map };

    for (size_t i = 0; i < w->pages.n; i++)
        if (w->kind[i] == FLX_PAGE_HOLE || w->kind[i] == FLX_PAGE_SKIP)
            return flic_err_set(&w->err, FLIC_E_XEN, "restore: gfn 0x%llx was populated but cannot be mapped",
                                (unsigned long long)w->pages.gfns[i]);
    return ck_fill(&from, &w->pages, &w->err);
}

static void fill_one(size_t i, void *arg)
{
    struct window *w = (struct window *)arg + i;

    w->rc = fill_window(w);
}

/* The next windows from *gfn on, which moves, mapped; how many is in *ret_n, also when mapping the last of them failed. */
static int map_windows(struct job *job, uint64_t *gfn, size_t *ret_n, struct flic_err *err)
{
    size_t n = 0;
    int rc = 0;

    for (; !rc && n < AT_ONCE; n++) {
        struct window *w = &job->windows[n];

        w->job = job;
        w->err = (struct flic_err){ 0 };
        if (!ck_next_stretch(job->loaded, job->present, gfn, &w->pages))
            break;
        w->map = NULL;
        rc = flx_map_pages(job->params->dom, w->pages.gfns, w->pages.n, true, &w->map, w->kind, err);
        if (!rc)
            w->pages.base = flx_map_base(w->map);
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
        ck_count_filled(job->figures, &w->pages.filled);
        job->done += w->pages.n;
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
    uint64_t mark = flic_now_us(), now;
    int rc = map_windows(job, gfn, ret_n, err), fill_rc;

    now = flic_now_us();
    job->figures->install_us += now - mark;
    if (!rc)
        team_run(job->team, *ret_n, 1, fill_one, job->windows);
    mark = flic_now_us();
    job->figures->fill_us += mark - now;
    fill_rc = end_windows(job, *ret_n, rc ? NULL : err);
    job->figures->install_us += flic_now_us() - mark;
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
    uint64_t now = flic_wall_ns();

    figures->clock_went_back = now < taken_ns;
    figures->elapsed_ns = now < taken_ns ? 0 : now - taken_ns;
    return figures->elapsed_ns;
}

static int build(struct job *job, struct flx_built *ret_built, struct flic_err *err)
{
    const struct ck_root *root = &job->loaded->root;
    struct flx_dom *dom = job->params->dom;
    uint64_t mark = flic_now_us(), now;
    int rc = flx_build_begin(dom, root->state, root->state_len, err);

    if (!rc)
        rc = flx_build_populate(dom, job->present, 0, root->facts.gfn_end, err);
    now = flic_now_us();
    job->figures->populate_us = now - mark;
    if (!rc) {
        job->team = team_new(job->params->threads);
        rc = fill_all(job, err);
        team_free(job->team);
    }
    mark = flic_now_us();
    job->figures->pages_us = mark - now;
    if (!rc)
        rc = flx_build_finish(dom, root->state, root->state_len, &job->params->ports,
                              elapsed_since(root->facts.taken_ns, job->figures), ret_built, err);
    job->figures->state_us = flic_now_us() - mark;
    return rc;
}

int ck_restore(struct ck_store *store, const struct ck_loaded *loaded, const struct ck_restore_params *params,
               struct flx_built *ret_built, struct ck_restore_figures *figures, struct flic_err *err)
{
    struct job job = { .store = store, .loaded = loaded, .params = params, .figures = figures };
    uint64_t began = flic_now_us();
    int rc;

    *figures = (struct ck_restore_figures){ 0 };
    rc = ck_load_map(store, loaded, &job.map, err);
    figures->map_us = flic_now_us() - began;
    if (!rc)
        rc = ck_present(loaded, job.map, &job.present, &figures->ram_pages, err);
    if (!rc)
        rc = build(&job, ret_built, err);
    figures->total_us = flic_now_us() - began;
    free(job.windows);
    free(job.present);
    ck_map_free(job.map);
    return rc ? flic_err_wrap(err, rc, "restore %s@%llu", loaded->root.facts.name,
                              (unsigned long long)loaded->root.facts.seq) : 0;
}
