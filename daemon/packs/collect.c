/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Giving space back: which packs are worth what, and taking one out. */
#include "daemon/packs/store.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t pk_moment(struct pk_store *store)
{
    uint64_t now;

    pthread_mutex_lock(&store->lock);
    now = store->clock;
    pthread_mutex_unlock(&store->lock);
    return now;
}

/* With the lock held: nobody needs this pack now, nor has since that moment. */
static bool is_idle(const struct pk_pack *pack, uint64_t since)
{
    return pack && !pack->pins && pack->let_go <= since;
}

bool pk_is_idle(struct pk_store *store, uint64_t since, const struct pk_use *use)
{
    bool idle;

    pthread_mutex_lock(&store->lock);
    idle = is_idle(store->packs[use->slot], since);
    pthread_mutex_unlock(&store->lock);
    return idle;
}

/* ---- survey ---- */

/* A pack that is not there, needed, or being moved by another is passed by: false. */
static bool look_at(struct pk_store *store, uint32_t slot, uint64_t since, struct pk_use *ret_use)
{
    const struct pk_pack *pack;
    bool there;

    pthread_mutex_lock(&store->lock);
    pack = store->packs[slot];
    there = pack && !pack->leaving;
    if (there)
        *ret_use = (struct pk_use){ .slot = slot, .number = pack->number, .bytes = pack->bytes,
                                    .objects = pack->objects, .idle = is_idle(pack, since) };
    pthread_mutex_unlock(&store->lock);
    return there;
}

static int survey_pack(struct pk_store *store, struct pk_use *use, bool (*claim)(const struct flic_id *, void *), void *arg,
                       struct flic_err *err)
{
    struct pk_footer footer;
    int rc = pk_load_footer(store, use->number, &footer, NULL);

    use->known = !rc;
    if (rc == -ENOMEM)
        return flic_err_set(err, rc, "look through pack %08x: out of memory", use->number);
    if (rc)
        return 0;           /* what it holds is not known now, so it stays */
    for (uint32_t i = 0; i < footer.trailer.entries; i++) {
        struct flic_id id = pk_entry_id(&footer.entries[i]);

        use->used += claim(&id, arg);
    }
    free(footer.entries);
    return 0;
}

int pk_survey(struct pk_store *store, uint64_t since, bool (*claim)(const struct flic_id *id, void *arg), void *arg,
              struct pk_use **ret_uses, size_t *ret_n, struct flic_err *err)
{
    struct pk_use *uses;
    uint32_t slots;
    size_t n = 0;
    int rc = 0;

    pthread_mutex_lock(&store->lock);
    slots = store->n_packs;
    pthread_mutex_unlock(&store->lock);
    uses = calloc(slots + 1, sizeof(*uses));
    if (!uses)
        return flic_err_set(err, -ENOMEM, "look through %u packs: out of memory", slots);
    for (uint32_t slot = slots; !rc && slot--;) {
        if (!look_at(store, slot, since, &uses[n]))
            continue;
        rc = survey_pack(store, &uses[n], claim, arg, err);
        n += !rc && uses[n].known;
    }
    if (rc) {
        free(uses);
        return rc;
    }
    *ret_uses = uses;
    *ret_n = n;
    return 0;
}

int pk_list(struct pk_store *store, struct pk_use **ret_uses, size_t *ret_n, struct flic_err *err)
{
    struct pk_use *uses;
    uint32_t slots;
    size_t n = 0;

    pthread_mutex_lock(&store->lock);
    slots = store->n_packs;
    pthread_mutex_unlock(&store->lock);
    uses = calloc(slots + 1, sizeof(*uses));
    if (!uses)
        return flic_err_set(err, -ENOMEM, "list %u packs: out of memory", slots);
    for (uint32_t slot = 0; slot < slots; slot++)
        n += look_at(store, slot, 0, &uses[n]);
    *ret_uses = uses;
    *ret_n = n;
    return 0;
}

/* ---- removing ---- */

void pk_drop(struct pk_store *store, uint32_t slot, const struct pk_footer *footer)
{
    struct pk_pack *pack = store->packs[slot];

    for (uint32_t i = 0; i < footer->trailer.entries; i++) {
        const struct pk_disk_entry *e = &footer->entries[i];
        struct flic_id id = pk_entry_id(e);
        struct pk_slot gone = pk_slot_of(&id, pk_place_of(slot, le32toh(e->offset), le16toh(e->index)));

        pk_table_remove(&store->table, &gone);
    }
    store->packs[slot] = NULL;
    store->stats.packs--;
    store->stats.objects -= pack->objects;
    store->stats.bytes -= pack->bytes;
    free(pack);
}

/* Takes a pack out unless somebody needs it. From here on nobody finds it. */
static bool take_out(struct pk_store *store, uint32_t slot, uint64_t since, const struct pk_footer *footer)
{
    bool free_to_go;

    pthread_mutex_lock(&store->lock);
    free_to_go = is_idle(store->packs[slot], since);
    if (free_to_go)
        pk_drop(store, slot, footer);
    pthread_mutex_unlock(&store->lock);
    return free_to_go;
}

int pk_remove(struct pk_store *store, uint64_t since, const struct pk_use *use, bool *ret_gone, struct flic_err *err)
{
    struct pk_footer footer;
    char name[PK_NAME];
    int rc = pk_load_footer(store, use->number, &footer, NULL);

    *ret_gone = false;
    if (rc == -ENOMEM)
        return flic_err_set(err, rc, "remove pack %08x: out of memory", use->number);
    if (rc)
        return 0;           /* removed by another meanwhile, or no longer readable: then it stays */
    *ret_gone = take_out(store, use->slot, since, &footer);
    free(footer.entries);
    if (!*ret_gone)
        return 0;
    pk_cache_forget(&store->cache, use->number);
    pk_name(name, use->number, true);
    if (unlinkat(store->dir_fd, name, 0))
        return flic_err_errno(err, "remove '%s/%s'", store->dir, name);
    return 0;
}

int pk_sync(struct pk_store *store, struct flic_err *err)
{
    return fsync(store->dir_fd) ? flic_err_errno(err, "sync the folder '%s'", store->dir) : 0;
}
