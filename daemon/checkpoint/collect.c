/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/collect.h"

#include "daemon/checkpoint/load.h"
#include "daemon/checkpoint/store_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A set of ids: open addressing, the id's first bytes are the hash. HOLE marks a free slot; it names no object. */
struct marks {
    struct flic_id *slot;
    size_t size, used;          /* size is a power of two */
};

static size_t place(const struct marks *m, const struct flic_id *id)
{
    uint64_t h;
    size_t at;

    memcpy(&h, id->b, sizeof(h));
    for (at = h & (m->size - 1);; at = (at + 1) & (m->size - 1))
        if (flic_id_equal(&m->slot[at], id) || flic_id_equal(&m->slot[at], &FLIC_ID_HOLE))
            return at;
}

static int grow(struct marks *m)
{
    struct marks bigger = { .size = m->size ? m->size * 2 : 4096 };

    bigger.slot = malloc(bigger.size * sizeof(*bigger.slot));
    if (!bigger.slot)
        return -ENOMEM;
    memset(bigger.slot, 0xff, bigger.size * sizeof(*bigger.slot));
    for (size_t i = 0; i < m->size; i++)
        if (!flic_id_equal(&m->slot[i], &FLIC_ID_HOLE))
            bigger.slot[place(&bigger, &m->slot[i])] = m->slot[i];
    bigger.used = m->used;
    free(m->slot);
    *m = bigger;
    return 0;
}

static int mark(struct marks *m, const struct flic_id *id)
{
    size_t at;

    if (flic_id_equal(id, &FLIC_ID_HOLE) || flic_id_equal(id, &FLIC_ID_ZERO))
        return 0;
    if (m->used * 4 >= m->size * 3 && grow(m))
        return -ENOMEM;
    at = place(m, id);
    if (flic_id_equal(&m->slot[at], &FLIC_ID_HOLE)) {
        m->slot[at] = *id;
        m->used++;
    }
    return 0;
}

static bool marked(const struct flic_id *id, void *arg)
{
    struct marks *m = arg;

    return m->size && flic_id_equal(&m->slot[place(m, id)], id);
}

static int mark_map(struct marks *m, const struct ck_map *map, uint64_t gfn_end)
{
    int rc = 0;

    for (uint64_t gfn = 0; !rc && gfn < gfn_end; gfn++) {
        struct flic_id id = ck_map_get(map, gfn);

        rc = mark(m, &id);
    }
    return rc;
}

static int mark_one(struct ck_store *store, const struct ck_entry *entry, struct marks *m, struct flic_err *err)
{
    struct ck_loaded loaded;
    struct ck_map *map;
    int rc = ck_load(store, entry, &loaded, err);

    if (rc)
        return rc;
    rc = ck_load_map(store, &loaded, &map, err);
    if (!rc) {
        rc = mark_map(m, map, loaded.root.facts.gfn_end);
        ck_map_free(map);
    }
    for (size_t i = 0; !rc && i < loaded.root.n_leaves; i++)
        rc = mark(m, &loaded.root.leaves[i]);
    if (!rc && entry->info.places & IX_FLASH)
        rc = mark(m, &entry->flash_root);
    ck_unload(store, &loaded);
    return rc == -ENOMEM ? flic_err_set(err, rc, "collect: out of memory") : rc;
}

/* A destaged checkpoint has two sets of leaves: the arena form's base and the flash form's. Both must stay. */
static int mark_flash_form(struct ck_store *store, const struct ck_entry *entry, struct marks *m, struct flic_err *err)
{
    struct ck_root root;
    size_t len;
    void *data;
    int rc;

    if (!(entry->info.places & IX_FLASH))
        return 0;
    data = malloc(PK_OBJECT_MAX);
    rc = data ? pk_read(store->packs, &entry->flash_root, data, PK_OBJECT_MAX, &len, err) : -ENOMEM;
    if (!rc)
        rc = ck_root_parse_flash(data, len, &root, err);
    free(data);
    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < root.n_leaves; i++)
        rc = mark(m, &root.leaves[i]);
    ck_root_fini(&root);
    return rc;
}

/* A tombstone stays as long as the root it buries is in a pack that cannot be removed yet; simplest and safe: always. */
static int mark_tombstone(enum pk_kind kind, const struct flic_id *id, const void *data, size_t len, void *arg)
{
    (void)data;
    (void)len;
    return kind == PK_TOMBSTONE ? mark(arg, id) : 0;
}

static int mark_all(struct ck_store *store, const struct nv_name *without, struct marks *m, struct flic_err *err)
{
    struct ck_entry *entries;
    size_t n;
    int rc = ck_list(store, &entries, &n, err);

    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < n; i++) {
        if (without && entries[i].info.seq == without->seq && flic_uuid_equal(&entries[i].info.guest, &without->guest))
            continue;
        rc = mark_one(store, &entries[i], m, err);
        if (!rc)
            rc = mark_flash_form(store, &entries[i], m, err);
    }
    free(entries);
    return rc ? rc : pk_each_root(store->packs, mark_tombstone, m, err);
}

/* What pk_collect() would remove: packs without a marked id. */
struct would_free {
    struct marks *m;
    uint64_t bytes;
};

static int add_unused(const struct pk_pack_info *pack, void *arg)
{
    struct would_free *would = arg;

    for (size_t at = 0; at + sizeof(struct flic_id) <= pack->run_len; at += sizeof(struct flic_id))
        if (marked((const struct flic_id *)(pack->run + at), would->m))
            return 0;
    would->bytes += pack->bytes;
    return 0;
}

static int remove_or_count(struct ck_store *store, struct marks *m, bool dry_run, uint64_t *ret_freed_bytes,
                           struct flic_err *err)
{
    struct would_free would = { .m = m };
    int rc;

    if (!dry_run) {
        ck_work_begin(store);
        rc = pk_collect(store->packs, marked, m, ret_freed_bytes, err);
        ck_work_end(store);
        return rc;
    }
    rc = pk_each_pack(store->packs, add_unused, &would);
    *ret_freed_bytes = would.bytes;
    return rc;
}

int ck_collect(struct ck_store *store, const struct nv_name *without, bool dry_run, uint64_t *ret_freed_bytes,
               struct flic_err *err)
{
    struct marks m = { 0 };
    int rc;

    *ret_freed_bytes = 0;
    (void)pthread_rwlock_wrlock(&store->ending);
    rc = mark_all(store, without, &m, err);
    if (!rc)
        rc = remove_or_count(store, &m, dry_run, ret_freed_bytes, err);
    (void)pthread_rwlock_unlock(&store->ending);
    free(m.slot);
    return rc < 0 ? rc : 0;
}
