/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/destage.h"

#include "common/clock.h"
#include "daemon/checkpoint/load.h"
#include "daemon/checkpoint/save_priv.h"

#include <errno.h>
#include <stdlib.h>

#define PASSED_BY_S 600     /* until one whose moving failed is tried again */

static bool any(const struct ck_entry *entry, void *arg)
{
    (void)entry;
    (void)arg;
    return true;
}

bool ck_destage_next(struct ck_store *store, struct ck_entry *ret_entry)
{
    return ck_destage_next_of(store, any, NULL, ret_entry);
}

bool ck_destage_next_of(struct ck_store *store, bool (*wanted)(const struct ck_entry *entry, void *arg), void *arg,
                        struct ck_entry *ret_entry)
{
    uint64_t now = flic_now_us();
    struct ck_entry *entries;
    bool found = false;
    size_t n;

    if (ck_list(store, &entries, &n, NULL))
        return false;
    for (size_t i = 0; i < n; i++) {        /* newest first: the last match is the oldest */
        if (entries[i].destaged || entries[i].stuck_until_us > now || !wanted(&entries[i], arg))
            continue;
        *ret_entry = entries[i];
        found = true;
    }
    free(entries);
    return found;
}

bool ck_destage_passes_by(int rc)
{
    return rc && rc != FLIC_E_CANCELLED && rc != FLIC_E_NOSPACE && rc != -ENOMEM;
}

/* The younger ones are not to wait for it. Damage stays as long as flicd runs; a failing read or write may not. */
static void pass_by(struct ck_store *store, const struct nv_name *name, int rc)
{
    if (ck_destage_passes_by(rc))
        ck_cannot_move(store, name, rc == FLIC_E_DAMAGED ? UINT64_MAX : flic_now_us() + PASSED_BY_S * 1000000ull);
}

struct job {
    struct ck_store *store;
    struct ck_loaded loaded;
    struct ck_map *map;
    struct pk_writer *writer;
    struct ck_destage_figures *figures;
};

/* A frame that is damaged is no loss when a pack has the page. */
static const void *page_of(struct job *job, const struct ck_delta *delta, uint8_t room[FLIC_PAGE_SIZE], struct flic_err *err)
{
    const void *page = ck_delta_page(job->store, &job->loaded, delta, err);
    size_t len;

    if (page || pk_read(ck_packs(job->store), &delta->id, room, FLIC_PAGE_SIZE, &len, NULL) || len != FLIC_PAGE_SIZE)
        return page;
    if (err)
        *err = (struct flic_err){ 0 };
    return room;
}

/* A frame's page goes to a pack; under another secret's id if its own is taken by other bytes. */
static int move_page(struct job *job, const struct ck_delta *delta, struct flic_err *err)
{
    uint8_t room[FLIC_PAGE_SIZE];
    const void *page = page_of(job, delta, room, err);
    struct flic_id id;
    bool is_new;
    int rc;

    if (!page)
        return FLIC_E_DAMAGED;
    rc = pk_put_hashed(job->writer, PK_PAGE, &delta->id, page, FLIC_PAGE_SIZE, &id, &is_new, err);
    if (rc)
        return rc;
    job->figures->pages++;
    *(is_new ? &job->figures->new_pages : &job->figures->dedup_pages) += 1;
    if (ck_map_set(job->map, delta->gfn, &id))
        return flic_err_set(err, -ENOMEM, "destage: out of memory");
    return 0;
}

#define STEP 256    /* pages written between two looks at whether a pause is on */

static int move_pages(struct job *job, bool (*cancelled)(void *arg), void *arg, struct flic_err *err)
{
    const struct ck_root *root = &job->loaded.root;
    int rc = 0;

    for (size_t i = 0; !rc && i < root->n_delta;) {
        if (cancelled(arg))
            return flic_err_set(err, FLIC_E_CANCELLED, "destage was stopped; it starts over later");
        ck_work_begin(job->store);
        for (size_t k = 0; !rc && k < STEP && i < root->n_delta; k++, i++)
            if (root->delta[i].frame != CK_NO_FRAME)
                rc = move_page(job, &root->delta[i], err);
        ck_work_end(job->store);
    }
    return rc;
}

static int put_root(struct job *job, struct flic_id *ret_id, struct flic_err *err)
{
    struct ck_root *root = &job->loaded.root;
    void *data;
    size_t len;
    int rc;

    free(root->leaves);
    root->leaves = NULL;
    rc = ck_map_store(job->map, job->writer, &root->leaves, &root->n_leaves, err);
    if (rc)
        return rc;
    rc = ck_root_encode_flash(root, &data, &len);
    if (rc)
        return flic_err_set(err, rc, "destage: out of memory");
    rc = pk_put(job->writer, PK_ROOT, data, len, ret_id, NULL, err);
    free(data);
    return rc ? rc : pk_seal(job->writer, err);
}

static int run(struct job *job, bool (*cancelled)(void *arg), void *arg, struct flic_err *err)
{
    struct pk_put_stats stats;
    struct flic_id root;
    int rc = ck_load_map(job->store, &job->loaded, &job->map, err);

    if (!rc)
        rc = pk_writer_new(ck_packs(job->store), &job->writer, err);
    if (!rc)
        rc = move_pages(job, cancelled, arg, err);
    if (rc)
        return rc;
    ck_work_begin(job->store);
    rc = put_root(job, &root, err);
    if (!rc)
        rc = nv_note_add(ck_arena(job->store), &job->loaded.name, NV_NOTE_DESTAGED, NULL, 0, err);
    ck_work_end(job->store);
    if (!rc)
        ck_moved_to_flash(job->store, &job->loaded.name, &root);
    pk_get_put_stats(job->writer, &stats);
    job->figures->flash_bytes = stats.flash_bytes;
    return rc;
}

int ck_destage(struct ck_store *store, const struct ck_entry *entry, bool (*cancelled)(void *arg), void *arg,
               struct ck_destage_figures *figures, struct flic_err *err)
{
    struct job job = { .store = store, .figures = figures };
    struct nv_name name = { .guest = entry->info.guest, .seq = entry->info.seq };
    uint64_t began = flic_now_us();
    int rc = ck_use(store, &name, err);

    *figures = (struct ck_destage_figures){ 0 };
    if (rc) {
        pass_by(store, &name, rc);
        return rc;
    }
    rc = ck_load(store, entry, &job.loaded, err);
    if (!rc) {
        rc = run(&job, cancelled, arg, err);
        ck_end_writer(store, job.writer);
        ck_map_free(job.map);
        ck_unload(store, &job.loaded);
    }
    pass_by(store, &name, rc);
    ck_unuse(store, &name);
    figures->took_us = flic_now_us() - began;
    return rc;
}
