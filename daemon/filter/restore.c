/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/filter/restore.h"

#include "common/clock.h"
#include "daemon/filter/format.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct job {
    struct ck_source from;
    const struct lf_restore_params *params;
    struct ck_restore_figures *figures;
    struct lf_kept kept;
    size_t next_table;          /* walks kept.tables beside the pfns */
    uint64_t *present;
    struct ck_stretch pages;
    uint64_t entries[CK_WINDOW];
    uint64_t done;
};

int lf_restore_kept(const struct ck_loaded *loaded, struct lf_kept *ret_kept, struct flic_err *err)
{
    const struct ck_root *root = &loaded->root;
    int rc = lf_kept_fits(root->facts.arch, err);

    return rc ? rc : lf_kept_parse(root->state, root->state_len, ret_kept, err);
}

/* In the order of the pfns. */
static unsigned type_of(struct job *job, uint64_t pfn)
{
    const struct lf_kept *kept = &job->kept;

    while (job->next_table < kept->n_tables && lf_table_pfn(kept, job->next_table) < pfn)
        job->next_table++;
    return job->next_table < kept->n_tables && lf_table_pfn(kept, job->next_table) == pfn ? lf_table_type(kept, job->next_table) : LF_PLAIN;
}

static int give_pages(struct job *job, struct flic_err *err)
{
    uint32_t n = (uint32_t)job->pages.n;
    uint32_t count[2] = { htole32(n), 0 };
    uint8_t head[LF_RECORD];
    int rc = ck_fill(&job->from, &job->pages, err);

    for (uint32_t i = 0; i < n; i++)
        job->entries[i] = htole64(job->pages.gfns[i] | (uint64_t)type_of(job, job->pages.gfns[i]) << 60);
    lf_put_head(head, LF_PAGE_DATA, LF_PAGE_HEAD + n * 8 + n * FLIC_PAGE_SIZE);
    if (!rc)
        rc = lf_pipe_write(job->params->to, head, sizeof(head), err);
    if (!rc)
        rc = lf_pipe_write(job->params->to, count, sizeof(count), err);
    if (!rc)
        rc = lf_pipe_write(job->params->to, job->entries, n * sizeof(job->entries[0]), err);
    if (!rc)
        rc = lf_pipe_write(job->params->to, job->pages.base, (size_t)n * FLIC_PAGE_SIZE, err);
    ck_count_filled(job->figures, &job->pages.filled);
    job->done += n;
    return rc;
}

static int give_all(struct job *job, struct flic_err *err)
{
    uint64_t mark = flic_now_us(), gfn = 0;
    int rc = lf_pipe_write(job->params->to, job->kept.head, job->kept.head_len, err);

    while (!rc && ck_next_stretch(job->from.loaded, job->present, &gfn, &job->pages)) {
        rc = give_pages(job, err);
        job->params->progress(job->params->arg, "pages", job->done * FLIC_PAGE_SIZE, job->figures->ram_pages * FLIC_PAGE_SIZE);
    }
    job->figures->pages_us = flic_now_us() - mark;
    return rc ? rc : lf_pipe_write(job->params->to, job->kept.tail, job->kept.tail_len, err);
}

/* A table where there is no page: the checkpoint's parts are not of one guest. */
static int check_tables(const struct job *job, struct flic_err *err)
{
    uint64_t end = job->from.loaded->root.facts.gfn_end;

    for (size_t i = 0; i < job->kept.n_tables; i++) {
        uint64_t pfn = lf_table_pfn(&job->kept, i);

        if (pfn >= end || !ck_bit(job->present, pfn))
            return flic_err_set(err, FLIC_E_DAMAGED, "its page table at pfn 0x%llx is no page of it", (unsigned long long)pfn);
    }
    return 0;
}

static int run(struct job *job, struct flic_err *err)
{
    const struct ck_loaded *loaded = job->from.loaded;
    uint64_t began = flic_now_us();
    struct ck_map *map = NULL;
    int rc = lf_restore_kept(loaded, &job->kept, err);

    if (!rc)
        rc = ck_load_map(job->from.store, loaded, &map, err);
    job->from.map = map;
    job->figures->map_us = flic_now_us() - began;
    if (!rc)
        rc = ck_present(loaded, map, &job->present, &job->figures->ram_pages, err);
    if (!rc)
        rc = check_tables(job, err);
    if (!rc)
        rc = give_all(job, err);
    job->figures->total_us = flic_now_us() - began;
    ck_map_free(map);
    return rc;
}

int lf_restore(struct ck_store *store, const struct ck_loaded *loaded, const struct lf_restore_params *params,
               struct ck_restore_figures *figures, struct flic_err *err)
{
    struct job *job = calloc(1, sizeof(*job));
    int rc;

    *figures = (struct ck_restore_figures){ 0 };
    if (job)
        job->pages.base = malloc((size_t)CK_WINDOW * FLIC_PAGE_SIZE);
    if (!job || !job->pages.base) {
        free(job);
        return flic_err_set(err, -ENOMEM, "restore: out of memory");
    }
    job->from = (struct ck_source){ store, loaded, NULL };
    job->params = params;
    job->figures = figures;
    rc = run(job, err);
    free(job->pages.base);
    free(job->present);
    free(job);
    return rc ? flic_err_wrap(err, rc, "restore %s@%llu", loaded->root.facts.name, (unsigned long long)loaded->root.facts.seq) : 0;
}
