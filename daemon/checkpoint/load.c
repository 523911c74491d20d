/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Gathers a part from its frames and checks it: gives, with a NUL behind the end. */
static void *gather(struct ck_store *store, const struct nv_name *name, const struct ck_part *part, const char *what,
                    struct flic_err *err)
{
    char *data = malloc(part->len + 1);

    if (!data) {
        (void)flic_err_set(err, -ENOMEM, "read a checkpoint's %s: out of memory", what);
        return NULL;
    }
    for (uint64_t at = 0; at < part->len; at += FLIC_PAGE_SIZE) {
        uint64_t n = part->len - at < FLIC_PAGE_SIZE ? part->len - at : FLIC_PAGE_SIZE;

        memcpy(data + at, nv_object_frame(ck_arena(store), name, part->frame + (uint32_t)(at / FLIC_PAGE_SIZE)), n);
    }
    data[part->len] = '\0';
    if (flic_checksum(data, part->len) != part->checksum) {
        free(data);
        (void)flic_err_set(err, FLIC_E_DAMAGED, "its %s in NVRAM (frame %u) fails its checksum", what, part->frame);
        return NULL;
    }
    return data;
}

static int copy_disks(const struct nv_object *obj, struct ck_root *root, struct flic_err *err)
{
    size_t len = obj->published_len;

    if (len > CK_DISKS_MAX)
        return flic_err_set(err, FLIC_E_DAMAGED, "its disk list in NVRAM is too long");
    root->disks = malloc(len + 1);
    if (!root->disks)
        return flic_err_set(err, -ENOMEM, "read a checkpoint's disks: out of memory");
    if (len)
        memcpy(root->disks, obj->published_note, len);
    root->disks[len] = '\0';
    root->disks_len = len;
    return 0;
}

static int load_parts(struct ck_store *store, const struct nv_object *obj, struct ck_root *root, struct flic_err *err)
{
    struct ck_parts parts;
    void *delta;
    int rc = ck_root_parse_record(obj->root, obj->root_len, obj->frames, &root->facts, &parts, err);

    if (rc)
        return rc;
    rc = copy_disks(obj, root, err);
    if (rc)
        return rc;
    root->state_len = parts.state.len;
    root->config_len = parts.config.len;
    root->n_leaves = parts.leaves.len / sizeof(struct flic_id);
    if (!(root->state = gather(store, &obj->name, &parts.state, "machine state", err)) ||
        !(root->config = gather(store, &obj->name, &parts.config, "configuration", err)) ||
        !(root->leaves = gather(store, &obj->name, &parts.leaves, "page map", err)) ||
        !(delta = gather(store, &obj->name, &parts.delta, "page delta", err)))
        return err && err->code ? err->code : FLIC_E_DAMAGED;
    rc = ck_delta_parse(delta, parts.delta.len, &root->facts, obj->frames, &root->delta, &root->n_delta, err);
    free(delta);
    return rc;
}

int ck_load_flash_root(struct ck_store *store, const struct ck_entry *entry, struct ck_root *root, struct flic_err *err)
{
    void *data = malloc(PK_OBJECT_MAX);
    size_t len;
    int rc = data ? pk_read(ck_packs(store), &entry->flash_root, data, PK_OBJECT_MAX, &len, err)
                  : flic_err_set(err, -ENOMEM, "read a checkpoint's root: out of memory");

    if (!rc)
        rc = ck_root_parse_flash(data, len, root, err);
    free(data);
    return rc;
}

int ck_load(struct ck_store *store, const struct ck_entry *entry, struct ck_loaded *ret_loaded, struct flic_err *err)
{
    struct ck_loaded loaded = { .name = { .guest = entry->info.guest, .seq = entry->info.seq } };
    struct flic_err why = { 0 };
    struct nv_object obj;
    int rc = FLIC_E_DAMAGED;

    ck_root_init(&loaded.root);
    if (nv_pin(ck_arena(store), &loaded.name, &obj)) {
        rc = load_parts(store, &obj, &loaded.root, &why);
        loaded.in_arena = !rc;
        if (rc) {
            nv_unpin(ck_arena(store), &loaded.name);
            ck_root_fini(&loaded.root);
        }
    } else {
        (void)flic_err_set(&why, FLIC_E_DAMAGED, "its root is neither in NVRAM nor on flash");
    }
    if (rc && entry->info.places & IX_FLASH)    /* also the second copy of a damaged NVRAM one */
        rc = ck_load_flash_root(store, entry, &loaded.root, &why);
    if (rc) {
        ck_root_fini(&loaded.root);
        return flic_err_set(err, rc, "checkpoint %s@%llu: %s", entry->info.name,
                            (unsigned long long)entry->info.seq, why.text);
    }
    *ret_loaded = loaded;
    return 0;
}

void ck_unload(struct ck_store *store, struct ck_loaded *loaded)
{
    if (loaded->in_arena)
        nv_unpin(ck_arena(store), &loaded->name);
    loaded->in_arena = false;
    ck_root_fini(&loaded->root);
}

int ck_load_map(struct ck_store *store, const struct ck_loaded *loaded, struct ck_map **ret_map, struct flic_err *err)
{
    const struct ck_root *root = &loaded->root;
    struct ck_map *map;
    int rc = ck_map_load(ck_packs(store), root->leaves, root->n_leaves, root->facts.gfn_end, &map, err);

    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < root->n_delta; i++)
        rc = ck_map_set(map, root->delta[i].gfn, &root->delta[i].id);
    if (rc) {
        ck_map_free(map);
        return flic_err_set(err, rc, "page map: out of memory");
    }
    *ret_map = map;
    return 0;
}

const void *ck_delta_page(struct ck_store *store, const struct ck_loaded *loaded, const struct ck_delta *delta,
                          struct flic_err *err)
{
    const void *page = nv_object_frame(ck_arena(store), &loaded->name, delta->frame);

    if (flic_id_matches(ck_secret(store), &delta->id, page, FLIC_PAGE_SIZE))
        return page;
    (void)flic_err_set(err, FLIC_E_DAMAGED, "checkpoint %s@%llu: gfn 0x%llx in NVRAM frame %u fails its hash",
                       loaded->root.facts.name, (unsigned long long)loaded->root.facts.seq,
                       (unsigned long long)delta->gfn, delta->frame);
    return NULL;
}
