/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Which checkpoints refer to what is no longer there. */
#include "daemon/checkpoint/damage.h"

#include "daemon/checkpoint/load.h"
#include "daemon/checkpoint/verify.h"

#include <errno.h>
#include <stdlib.h>

struct look {
    struct ck_store *store;
    const struct ck_root *root;
    struct marks *whole;            /* leaves of which everything is there */
    size_t next_delta;              /* walks the delta beside the gfns */
    struct ck_damage *damage;
};

static void lost(struct look *l, uint64_t gfn)
{
    if (!l->damage->pages++)
        l->damage->first_gfn = gfn;
}

/* Whether the pause captured this one, so that the leaf's does not matter. Gfns come in ascending order. */
static bool is_captured(struct look *l, uint64_t gfn)
{
    const struct ck_root *root = l->root;

    while (l->next_delta < root->n_delta && root->delta[l->next_delta].gfn < gfn)
        l->next_delta++;
    return l->next_delta < root->n_delta && root->delta[l->next_delta].gfn == gfn;
}

static bool is_there(const struct look *l, const struct flic_id *id)
{
    return flic_id_equal(id, &FLIC_ID_HOLE) || flic_id_equal(id, &FLIC_ID_ZERO) || pk_has(ck_packs(l->store), id);
}

/* A leaf that cannot be read loses all of its pages that the pause did not capture: how many there were is not known then. */
static int look_at_leaf(struct look *l, size_t which, struct flic_err *err)
{
    const struct flic_id *leaf = &l->root->leaves[which];
    struct flic_id ids[CK_LEAF_PAGES];
    bool readable, whole = true;
    size_t len;
    int rc;

    if (flic_id_equal(leaf, &FLIC_ID_HOLE) || flic_id_equal(leaf, &FLIC_ID_ZERO) || marks_has(leaf, l->whole))
        return 0;
    rc = pk_read(ck_packs(l->store), leaf, ids, sizeof(ids), &len, NULL);
    if (rc == -ENOMEM)
        return flic_err_set(err, rc, "look for damage: out of memory");
    readable = !rc && len == sizeof(ids);
    l->damage->leaf |= !readable;
    for (size_t i = 0; i < CK_LEAF_PAGES; i++) {
        uint64_t gfn = which * CK_LEAF_PAGES + i;

        if (gfn >= l->root->facts.gfn_end || (readable && is_there(l, &ids[i])))
            continue;
        whole = false;
        if (!is_captured(l, gfn))
            lost(l, gfn);
    }
    return whole && marks_add(l->whole, leaf, NULL) ? flic_err_set(err, -ENOMEM, "look for damage: out of memory") : 0;
}

static int look_at_root(struct ck_store *store, const struct ck_root *root, struct marks *whole, struct ck_damage *damage,
                        struct flic_err *err)
{
    struct look l = { .store = store, .root = root, .whole = whole, .damage = damage };
    int rc = 0;

    for (size_t i = 0; !rc && i < root->n_leaves; i++)
        rc = look_at_leaf(&l, i, err);
    for (size_t i = 0; !rc && i < root->n_delta; i++)
        if (root->delta[i].frame == CK_NO_FRAME && !is_there(&l, &root->delta[i].id))
            lost(&l, root->delta[i].gfn);
    return rc;
}

/* As many lost pages in both forms are the same ones: to move it again would bring none of them back. */
static int look_at_flash_form(struct ck_store *store, const struct ck_entry *entry, struct marks *whole, struct ck_damage *damage,
                              struct flic_err *err)
{
    struct ck_damage flash = { .pages = 0 };
    struct ck_root root;
    int rc = ck_load_flash_root(store, entry, &root, NULL);

    if (rc == -ENOMEM)
        return flic_err_set(err, rc, "look for damage: out of memory");
    damage->flash = rc != 0;
    if (rc)
        return 0;
    rc = look_at_root(store, &root, whole, &flash, err);
    damage->flash = flash.pages > damage->pages;
    ck_root_fini(&root);
    return rc;
}

int ck_look_for_damage(struct ck_store *store, const struct ck_entry *entry, struct marks *whole, struct ck_damage *ret_damage,
                       struct flic_err *err)
{
    struct ck_loaded loaded;
    struct flic_err why = { 0 };
    int rc = ck_load(store, entry, &loaded, &why);

    *ret_damage = (struct ck_damage){ .root = rc == FLIC_E_DAMAGED };
    if (rc)
        return rc == FLIC_E_DAMAGED ? 0 : flic_err_set(err, rc, "%s", why.text);
    rc = look_at_root(store, &loaded.root, whole, ret_damage, err);
    if (!rc && loaded.in_arena && entry->info.places & IX_FLASH)
        rc = look_at_flash_form(store, entry, whole, ret_damage, err);
    ck_unload(store, &loaded);
    return rc;
}

int ck_find_damaged(struct ck_store *store, struct flic_err *err)
{
    struct marks whole = { 0 };
    struct ck_entry *entries;
    size_t n;
    int rc = ck_list(store, &entries, &n, err);

    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < n; i++) {
        struct nv_name name = { .guest = entries[i].info.guest, .seq = entries[i].info.seq };
        struct ck_damage damage;

        rc = ck_look_for_damage(store, &entries[i], &whole, &damage, err);
        if (!rc)
            ck_set_damage(store, &name, &damage);
        if (!rc && damage.flash)
            ck_lost_flash(store, &name);
    }
    marks_fini(&whole);
    free(entries);
    return rc;
}
