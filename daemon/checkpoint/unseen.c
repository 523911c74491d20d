/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/unseen.h"

#include "common/log.h"
#include "daemon/checkpoint/store_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int note_row(const struct ix_checkpoint *row, void *arg)
{
    struct nv_name name = { .guest = row->guest, .seq = row->seq };
    struct ck_store *store = arg;
    struct ix_checkpoint *grown;

    if (ck_catalog_has(store, &name) || ck_was_forgotten(store, &name.guest, name.seq))
        return 0;
    grown = realloc(store->unseen, (store->n_unseen + 1) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    store->unseen = grown;
    store->unseen[store->n_unseen++] = *row;
    return 0;
}

int ck_unseen_find(struct ck_store *store, struct flic_err *err)
{
    struct flic_err why = { 0 };
    int rc;

    store->n_unseen = 0;
    rc = ix_each_checkpoint(store->index, NULL, note_row, store, &why);
    if (rc == -ENOMEM)
        return flic_err_set(err, rc, "read the index: out of memory");
    if (rc != FLIC_E_DAMAGED)
        return rc ? flic_err_set(err, rc, "%s", why.text) : 0;
    flic_warn("%s; it is set aside and rebuilt", why.text);
    store->n_unseen = 0;
    store->recovery.index_rebuilt = true;
    return ix_replace(store->index, err);
}

int ck_unseen_check_arena(struct ck_store *store, const char *path, struct flic_err *err)
{
    if (!store->n_unseen || !access(path, F_OK))
        return 0;
    return flic_err_set(err, FLIC_E_NVRAM, "there is no arena at '%s', and %zu checkpoints that are not found on flash may be in it, such as %s@%llu: "
                        "mount it, or load its driver, and restart flicd; if it is lost for good, make an empty file there: flicd begins a "
                        "new one in it, of 'nvram_size_mib'", path, store->n_unseen, store->unseen[0].name,
                        (unsigned long long)store->unseen[0].seq);
}

/* A copy, as ck_mirror_all() makes one of the catalog: the index may keep us waiting. */
int ck_unseen_mirror(struct ck_store *store, struct flic_err *err)
{
    struct ix_checkpoint *rows;
    int rc = 0;
    size_t n;

    (void)pthread_mutex_lock(&store->lock);
    n = store->n_unseen;
    rows = malloc(n * sizeof(*rows) + 1);
    if (rows && n)
        memcpy(rows, store->unseen, n * sizeof(*rows));
    (void)pthread_mutex_unlock(&store->lock);
    if (!rows)
        return flic_err_set(err, -ENOMEM, "mirror the catalog: out of memory");
    for (size_t i = 0; !rc && i < n; i++)
        rc = ix_put_checkpoint(store->index, &rows[i], err);
    free(rows);
    return rc;
}

void ck_unseen_give_up(struct ck_store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    store->n_unseen = 0;
    (void)pthread_mutex_unlock(&store->lock);
}

/* ---- asking ---- */

/* One that is known to need more than can be named: not all of its leaves can be read. */
static bool find_half_known(const struct ck_store *store, struct ck_entry *ret_entry)
{
    for (size_t i = 0; i < store->n_entries; i++)
        if (store->entries[i].damaged && store->entries[i].lost_leaf) {
            *ret_entry = store->entries[i];
            return true;
        }
    return false;
}

#define OR_ANYHOW "; 'flic gc' frees it all the same"

int ck_check_all_seen(struct ck_store *store, struct flic_err *err)
{
    const struct ck_recovery *r = &store->recovery;
    struct ix_checkpoint row = { .seq = 0 };
    struct ck_entry half;
    bool is_half;
    size_t n;

    (void)pthread_mutex_lock(&store->lock);
    is_half = find_half_known(store, &half);
    n = store->n_unseen;
    if (n)
        row = store->unseen[0];
    (void)pthread_mutex_unlock(&store->lock);
    if (r->packs_unread)
        return flic_err_set(err, FLIC_E_REFUSED, "%u packs could not be read when flicd was started, and what checkpoints in them need is not "
                            "freed: restart flicd once they can be, or when they were renamed to '*.pack.bad'" OR_ANYHOW, r->packs_unread);
    if (r->roots_unread)
        return flic_err_set(err, FLIC_E_REFUSED, "%u checkpoint roots on flash could not be read when flicd was started, and what they need is "
                            "not freed: 'flic verify' sets their packs aside; then restart flicd" OR_ANYHOW, r->roots_unread);
    if (n)
        return flic_err_set(err, FLIC_E_REFUSED, "%zu checkpoints that there were are not found, such as %s@%llu, and what they need is not "
                            "freed: bring back their NVRAM or packs and restart flicd, or give them up with 'flic fsck --rebuild'" OR_ANYHOW,
                            n, row.name, (unsigned long long)row.seq);
    if (is_half)
        return flic_err_set(err, FLIC_E_REFUSED, "checkpoint %s@%llu is damaged, and what else it needs cannot be told and is not freed: put "
                            "its packs back and restart flicd, or forget it" OR_ANYHOW, half.info.name, (unsigned long long)half.info.seq);
    return 0;
}
