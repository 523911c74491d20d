/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Giving space back: whole packs that nothing refers to. */
#include "daemon/packs/store.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct collection {
    struct pk_store *store;
    bool (*used)(const struct flic_id *id, void *arg);
    void *arg;
    uint64_t bytes;
    int packs;
};

static struct flic_id id_of(const struct pk_disk_entry *e)
{
    struct flic_id id;

    memcpy(id.b, e->id, sizeof(id.b));
    return id;
}

static bool any_used(const struct collection *c, const struct pk_footer *footer)
{
    for (uint32_t i = 0; i < footer->trailer.entries; i++) {
        struct flic_id id = id_of(&footer->entries[i]);

        if (c->used(&id, c->arg))
            return true;
    }
    return false;
}

/* Takes a pack out of table and list unless a writer began to use it. From here on nobody finds it. */
static bool take_out(struct pk_store *store, uint32_t slot, const struct pk_footer *footer)
{
    struct pk_pack *pack;
    bool free_to_go;

    pthread_mutex_lock(&store->lock);
    pack = store->packs[slot];
    free_to_go = !pack->pins;
    for (uint32_t i = 0; free_to_go && i < footer->trailer.entries; i++) {
        const struct pk_disk_entry *e = &footer->entries[i];
        struct flic_id id = id_of(e);
        struct pk_slot gone = pk_slot_of(&id, pk_place_of(slot, le32toh(e->offset), le16toh(e->index)));

        pk_table_remove(&store->table, &gone);
    }
    if (free_to_go) {
        store->packs[slot] = NULL;
        store->stats.packs--;
        store->stats.objects -= pack->objects;
        store->stats.bytes -= pack->bytes;
        free(pack);
    }
    pthread_mutex_unlock(&store->lock);
    return free_to_go;
}

static int remove_pack(struct collection *c, uint32_t number, uint64_t bytes, struct flic_err *err)
{
    char name[PK_NAME];

    pk_cache_forget(&c->store->cache, number);
    pk_name(name, number, true);
    if (unlinkat(c->store->dir_fd, name, 0))
        return flic_err_errno(err, "remove '%s/%s'", c->store->dir, name);
    c->packs++;
    c->bytes += bytes;
    return 0;
}

static int collect_slot(struct collection *c, uint32_t slot, struct flic_err *err)
{
    struct pk_footer footer;
    struct pk_pack pack = { 0 };
    bool there = false;
    int rc;

    pthread_mutex_lock(&c->store->lock);
    if (c->store->packs[slot]) {
        pack = *c->store->packs[slot];
        there = !pack.pins;
    }
    pthread_mutex_unlock(&c->store->lock);
    if (!there)
        return 0;
    rc = pk_load_footer(c->store, pack.number, &footer, NULL);
    if (rc == -ENOMEM)
        return flic_err_set(err, rc, "look through pack %08x: out of memory", pack.number);
    if (rc)
        return 0;           /* what it holds is not known now, so it stays */
    if (!any_used(c, &footer) && take_out(c->store, slot, &footer))
        rc = remove_pack(c, pack.number, pack.bytes, err);
    free(footer.entries);
    return rc;
}

int pk_collect(struct pk_store *store, bool (*used)(const struct flic_id *id, void *arg), void *arg,
               uint64_t *ret_bytes, struct flic_err *err)
{
    struct collection c = { .store = store, .used = used, .arg = arg };
    uint32_t n;
    int rc = 0;

    pthread_mutex_lock(&store->seal);       /* so no pack is added, and the list does not move */
    pthread_mutex_lock(&store->lock);
    n = store->n_packs;
    pthread_mutex_unlock(&store->lock);
    for (uint32_t slot = 0; !rc && slot < n && c.packs < INT_MAX; slot++)
        rc = collect_slot(&c, slot, err);
    if (c.packs && fsync(store->dir_fd) && !rc)
        rc = flic_err_errno(err, "sync the folder '%s'", store->dir);
    pthread_mutex_unlock(&store->seal);
    *ret_bytes = c.bytes;
    return rc ? rc : c.packs;
}
