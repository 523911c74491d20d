/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/fsck.h"

#include "daemon/checkpoint/store_priv.h"
#include "daemon/checkpoint/unseen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct walk {
    const struct ck_entry *entries;
    size_t n;
    uint64_t rows, right;
};

static bool says_the_same(const struct ix_checkpoint *a, const struct ix_checkpoint *b)
{
    return a->taken_ns == b->taken_ns && a->ram_bytes == b->ram_bytes && a->working_set_bytes == b->working_set_bytes &&
           a->restored == b->restored && !strcmp(a->name, b->name) && !strcmp(a->arch, b->arch);
}

/* In which places it lies changes without the index's being told: a cache in NVRAM is given up when room is needed. */
static int see_row(const struct ix_checkpoint *row, void *arg)
{
    struct walk *w = arg;

    w->rows++;
    for (size_t i = 0; i < w->n; i++)
        if (w->entries[i].info.seq == row->seq && flic_uuid_equal(&w->entries[i].info.guest, &row->guest)) {
            w->right += says_the_same(&w->entries[i].info, row);
            break;
        }
    return 0;
}

static int compare(struct ck_store *store, struct ck_fsck_figures *f, struct flic_err *err)
{
    struct walk w = { .rows = 0 };
    struct ck_entry *entries;
    int rc = ck_list(store, &entries, &w.n, err);

    if (rc)
        return rc;
    w.entries = entries;
    rc = ix_each_checkpoint(store->index, NULL, see_row, &w, err);
    f->checkpoints = w.n;
    f->missing = w.n - w.right;
    f->stray = w.rows - w.right;
    for (size_t i = 0; i < w.n; i++)
        f->damaged += entries[i].damaged;
    free(entries);
    return rc;
}

static int rebuild_index(struct ck_store *store, struct ck_fsck_figures *f, struct flic_err *err)
{
    int rc = 0;

    ck_work_begin(store);
    if (!f->index_sound) {
        rc = ix_replace(store->index, err);
        f->index_replaced = !rc;
    }
    if (f->index_sound)         /* else somebody asks for a sound one, and it gets their rows */
        ck_unseen_give_up(store);
    if (!rc)
        rc = ck_mirror_all(store, err);
    ck_work_end(store);
    f->index_rebuilt = !rc;
    return rc;
}

int ck_fsck(struct ck_store *store, bool rebuild, struct ck_fsck_figures *figures, struct flic_err *err)
{
    struct flic_err why = { 0 };
    struct pk_stats packs;
    int rc;

    *figures = (struct ck_fsck_figures){ 0 };
    rc = ix_check(store->index, &why);
    if (rc && rc != FLIC_E_DAMAGED)
        return flic_err_set(err, rc, "%s", why.text);
    figures->index_sound = !rc;
    (void)snprintf(figures->why, sizeof(figures->why), "%s", rc ? why.text : "");
    pk_get_stats(store->packs, &packs);
    figures->packs = packs.packs;
    figures->packs_quarantined = packs.quarantined;
    (void)pthread_mutex_lock(&store->lock);
    figures->tombstones = store->n_tombs;
    figures->checkpoints = store->n_entries;
    figures->unseen = store->n_unseen;
    (void)pthread_mutex_unlock(&store->lock);
    rc = figures->index_sound ? compare(store, figures, err) : 0;
    return rc || !rebuild ? rc : rebuild_index(store, figures, err);
}
