/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/reach.h"

#include "daemon/checkpoint/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct flic_err *err)
{
    return flic_err_set(err, -ENOMEM, "find out what checkpoints refer to: out of memory");
}

static int reach_leaf(struct ck_store *store, const struct flic_id *leaf, struct marks *m, struct flic_err *err)
{
    struct flic_id ids[CK_LEAF_PAGES];
    size_t len;
    int rc;

    if (flic_id_equal(leaf, &FLIC_ID_HOLE) || flic_id_equal(leaf, &FLIC_ID_ZERO) || marks_has(leaf, m))
        return 0;
    rc = pk_read(ck_packs(store), leaf, ids, sizeof(ids), &len, err);
    if (!rc && len != sizeof(ids))
        rc = flic_err_set(err, FLIC_E_DAMAGED, "a page-map leaf is %zu bytes long, not %zu", len, sizeof(ids));
    for (size_t i = 0; !rc && i < CK_LEAF_PAGES; i++)
        if (marks_add(m, &ids[i], NULL))
            rc = out_of_memory(err);
    if (!rc && marks_add(m, leaf, NULL))        /* last: it says that all it names is there */
        rc = out_of_memory(err);
    return rc;
}

/* Of a checkpoint that is known to be damaged, what can be read counts. */
static int reach_root(struct ck_store *store, const struct ck_root *root, bool damaged, struct marks *m, struct flic_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < root->n_leaves; i++) {
        rc = reach_leaf(store, &root->leaves[i], m, err);
        if (damaged && rc == FLIC_E_DAMAGED)
            rc = 0;
    }
    for (size_t i = 0; !rc && i < root->n_delta; i++)
        if (marks_add(m, &root->delta[i].id, NULL))
            rc = out_of_memory(err);
    return rc;
}

/* A destaged checkpoint has two sets of leaves: the arena form's base and the flash form's. Both must stay. */
static int reach_flash_form(struct ck_store *store, const struct ck_entry *entry, struct marks *m, struct flic_err *err)
{
    struct ck_root root;
    size_t len;
    void *data;
    int rc;

    if (!(entry->info.places & IX_FLASH))
        return 0;
    data = malloc(PK_OBJECT_MAX);
    if (!data || marks_add(m, &entry->flash_root, NULL)) {
        free(data);
        return out_of_memory(err);
    }
    rc = pk_read(ck_packs(store), &entry->flash_root, data, PK_OBJECT_MAX, &len, err);
    if (!rc)
        rc = ck_root_parse_flash(data, len, &root, err);
    free(data);
    if (rc)
        return rc;
    rc = reach_root(store, &root, entry->damaged, m, err);
    ck_root_fini(&root);
    return rc;
}

static int reach_forms(struct ck_store *store, const struct ck_entry *entry, struct marks *marks, struct flic_err *err)
{
    struct ck_loaded loaded;
    int rc = ck_load(store, entry, &loaded, err);

    if (rc)
        return rc;
    rc = reach_root(store, &loaded.root, entry->damaged, marks, err);
    ck_unload(store, &loaded);
    if (!rc)
        rc = reach_flash_form(store, entry, marks, err);
    return rc ? flic_err_wrap(err, rc, "checkpoint %s@%llu", entry->info.name, (unsigned long long)entry->info.seq) : 0;
}

int ck_reach(struct ck_store *store, const struct ck_entry *entry, struct marks *marks, struct flic_err *err)
{
    struct flic_err why = { 0 };
    int rc = reach_forms(store, entry, marks, &why);

    if (rc == FLIC_E_DAMAGED)
        return flic_err_set(err, rc, "%s; 'flic verify' finds out what of it is lost, and then the rest is seen to without that", why.text);
    return rc ? flic_err_set(err, rc, "%s", why.text) : 0;
}

int ck_reach_what_is_there(struct ck_store *store, struct ck_entry *entry, struct marks *marks, struct flic_err *err)
{
    struct flic_err why = { 0 };
    bool changed = true;
    int rc;

    do
        rc = ck_reach(store, entry, marks, &why);
    while (rc == FLIC_E_DAMAGED && ck_find_again(store, entry, &changed) && changed);
    if (!rc || ck_was_forgotten(store, &entry->info.guest, entry->info.seq) || (entry->damaged && rc == FLIC_E_DAMAGED))
        return 0;
    return flic_err_set(err, rc, "%s", why.text);
}

/* A tombstone stays as long as the root it buries is in a pack that cannot be removed yet; simplest and safe: always. */
static int reach_tombstone(enum pk_kind kind, const struct flic_id *id, const void *data, size_t len, void *arg)
{
    (void)data;
    (void)len;
    return kind == PK_TOMBSTONE ? marks_add(arg, id, NULL) : 0;
}

static bool is_among(const struct nv_name *names, size_t n, const struct ix_checkpoint *info)
{
    for (size_t i = 0; i < n; i++)
        if (names[i].seq == info->seq && flic_uuid_equal(&names[i].guest, &info->guest))
            return true;
    return false;
}

/* A checkpoint whose last note NVRAM failed to take is not in the catalog, and yet the next start may find the note: what it refers
 * to must be there then. */
static int all_is_known(struct ck_store *store, struct flic_err *err)
{
    struct nv_info info;

    nv_get_info(ck_arena(store), &info);
    return info.broken ? flic_err_set(err, -EIO, "the arena failed to take a write: nothing is freed until flicd is started again") : 0;
}

int ck_reach_all(struct ck_store *store, const struct nv_name *without, size_t n_without, struct marks *marks, struct flic_err *err)
{
    struct ck_entry *entries;
    size_t n;
    int rc = all_is_known(store, err);

    if (!rc)
        rc = ck_list(store, &entries, &n, err);
    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < n; i++)
        if (!is_among(without, n_without, &entries[i].info))
            rc = ck_reach_what_is_there(store, &entries[i], marks, err);
    free(entries);
    return rc ? rc : pk_each_root(ck_packs(store), reach_tombstone, marks, err);
}
