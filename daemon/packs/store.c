/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/packs/store.h"

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static const char sealed_end[] = ".pack";
static const char new_end[] = ".pack.new";

void pk_name(char out[PK_NAME], uint32_t number, bool sealed)
{
    (void)snprintf(out, PK_NAME, "%08x%s", number, sealed ? sealed_end : new_end);     /* 17 characters at most */
}

int pk_io_error(struct flic_err *err, int rc, const struct pk_store *store, const char *what, uint32_t number,
                uint64_t len)
{
    if (rc == -ENOSPC || rc == -EDQUOT)
        return flic_err_set(err, FLIC_E_NOSPACE,
                            "%s pack %08x: %llu bytes do not fit '%s'; "
                            "make room there, or forget checkpoints (flic forget)",
                            what, number, (unsigned long long)len, store->dir);
    errno = -rc;
    return flic_err_errno(err, "%s pack %08x in '%s'", what, number, store->dir);
}

/* ---- opening ---- */

/* The number in a pack's file name, exactly as pk_name() makes it. */
static bool parse_name(const char *name, uint32_t *ret_number, bool *ret_sealed)
{
    char again[PK_NAME];
    unsigned number;

    if (sscanf(name, "%8x", &number) != 1)
        return false;
    for (int sealed = 0; sealed < 2; sealed++) {
        pk_name(again, number, sealed);
        if (!strcmp(name, again)) {
            *ret_number = number;
            *ret_sealed = sealed;
            return true;
        }
    }
    return false;
}

/* "0000002a.pack.bad": its number is never used again. */
static bool is_set_aside(const char *name, uint32_t *ret_number)
{
    unsigned number;
    int end = 0;

    if (sscanf(name, "%8x.pack.bad%n", &number, &end) != 1 || end != 17 || name[end])
        return false;
    *ret_number = number;
    return true;
}

static void skip_number(struct pk_store *store, uint32_t number)
{
    if (number >= store->next_number)
        store->next_number = number == UINT32_MAX ? number : number + 1;
}

struct numbers {
    uint32_t *list;
    size_t n, room;
};

static int note_number(struct numbers *found, uint32_t number)
{
    if (found->n == found->room) {
        size_t room = found->room ? found->room * 2 : 64;
        uint32_t *grown = realloc(found->list, room * sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        found->list = grown;
        found->room = room;
    }
    found->list[found->n++] = number;
    return 0;
}

static int number_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* One file of the folder: sealed packs are noted, unfinished ones removed, everything else is not ours to touch. */
static int see_file(struct pk_store *store, const char *name, struct numbers *found, struct flic_err *err)
{
    uint32_t number;
    bool sealed;

    if (is_set_aside(name, &number)) {
        store->stats.quarantined++;
        skip_number(store, number);
        return 0;
    }
    if (!parse_name(name, &number, &sealed))
        return 0;
    skip_number(store, number);
    if (sealed)
        return note_number(found, number) ? flic_err_set(err, -ENOMEM, "open the packs: out of memory") : 0;
    if (unlinkat(store->dir_fd, name, 0))
        return flic_err_errno(err, "remove the unfinished pack '%s/%s'", store->dir, name);
    store->stats.unfinished++;
    return 0;
}

static int scan_folder(struct pk_store *store, struct numbers *found, struct flic_err *err)
{
    int fd = openat(store->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    int rc = 0;

    if (!dir) {
        rc = flic_err_errno(err, "read the folder '%s'", store->dir);
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    for (errno = 0; !rc && (entry = readdir(dir)); errno = 0)
        rc = see_file(store, entry->d_name, found, err);
    if (!rc && errno)
        rc = flic_err_errno(err, "read the folder '%s'", store->dir);
    (void)closedir(dir);
    if (found->n)
        qsort(found->list, found->n, sizeof(*found->list), number_order);
    return rc;
}

static int add_pack(struct pk_store *store, const struct pk_footer *footer, struct flic_err *err)
{
    const struct pk_disk_trailer *t = &footer->trailer;
    struct pk_pack *pack;
    int rc = pk_reserve(store, 1, t->entries, err);

    if (rc)
        return rc;
    pack = malloc(sizeof(*pack));
    if (!pack)
        return flic_err_set(err, -ENOMEM, "open pack %08x: out of memory", t->number);
    *pack = (struct pk_pack){ .number = t->number, .footer_offset = (uint32_t)t->footer_offset,
                              .objects = t->entries, .roots = t->roots, .bytes = footer->size };
    for (uint32_t i = 0; i < t->entries; i++) {
        const struct pk_disk_entry *e = &footer->entries[i];
        struct flic_id id;
        struct pk_slot slot;

        memcpy(id.b, e->id, sizeof(id.b));
        slot = pk_slot_of(&id, pk_place_of(store->n_packs, le32toh(e->offset), le16toh(e->index)));
        (void)pk_table_add(&store->table, &slot);   /* there is room */
    }
    store->packs[store->n_packs++] = pack;
    store->stats.packs++;
    store->stats.objects += t->entries;
    store->stats.bytes += footer->size;
    return 0;
}

/* A pack that cannot be used is set aside; only what would make us lose or misread data stops the opening. */
static int load_pack(struct pk_store *store, uint32_t number, struct flic_err *err)
{
    struct pk_footer footer;
    struct flic_err why = { .code = 0 };
    int rc = pk_load_footer(store, number, &footer, &why);

    switch (rc) {
    case 0:
        rc = add_pack(store, &footer, err);
        free(footer.entries);
        return rc;
    case FLIC_E_FOREIGN:
        store->stats.foreign++;
        break;
    case FLIC_E_DAMAGED:
    case -EIO:
    case -ELOOP:
        store->stats.quarantined++;
        store->stats.unread++;
        break;
    default:
        return flic_err_set(err, rc, "open the store '%s': %s", store->dir, why.text);
    }
    flic_debug("pack %08x set aside: %s", number, why.text);
    return 0;
}

static int open_folder(struct pk_store *store, struct flic_err *err)
{
    int rc = flic_make_folder(store->dir, 0700, err);

    if (rc)
        return rc;
    store->dir_fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir_fd < 0)
        return flic_err_errno(err, "open the folder '%s'", store->dir);
    if (!flock(store->dir_fd, LOCK_EX | LOCK_NB))
        return 0;
    if (errno == EWOULDBLOCK)
        return flic_err_set(err, FLIC_E_BUSY, "'%s' is in use by another process; is flicd running already?",
                            store->dir);
    return flic_err_errno(err, "lock the folder '%s'", store->dir);
}

static struct pk_store *store_new(const char *dir, const struct flic_secret *secret)
{
    struct pk_store *store = calloc(1, sizeof(*store));

    if (!store)
        return NULL;
    store->dir_fd = -1;
    store->secret = secret;
    store->mark = pk_store_mark(secret);
    (void)pthread_mutex_init(&store->seal, NULL);   /* a default mutex cannot fail on Linux */
    (void)pthread_mutex_init(&store->lock, NULL);
    pk_cache_init(&store->cache);
    store->dir = strdup(dir);
    if (!store->dir) {
        pk_close(store);
        return NULL;
    }
    return store;
}

int pk_open(const char *dir, const struct flic_secret *secret, struct pk_store **ret_store, struct flic_err *err)
{
    struct pk_store *store = store_new(dir, secret);
    struct numbers found = { 0 };
    int rc;

    if (!store)
        return flic_err_set(err, -ENOMEM, "open the store '%s': out of memory", dir);
    rc = open_folder(store, err);
    if (!rc)
        rc = scan_folder(store, &found, err);
    for (size_t i = 0; !rc && i < found.n; i++)
        rc = load_pack(store, found.list[i], err);
    free(found.list);
    if (rc)
        pk_close(store);
    else
        *ret_store = store;
    return rc;
}

void pk_close(struct pk_store *store)
{
    if (!store)
        return;
    for (uint32_t i = 0; i < store->n_packs; i++)
        free(store->packs[i]);
    free(store->packs);
    pk_table_fini(&store->table);
    pk_cache_fini(&store->cache);
    if (store->dir_fd >= 0)
        (void)close(store->dir_fd);
    (void)pthread_mutex_destroy(&store->lock);
    (void)pthread_mutex_destroy(&store->seal);
    free(store->dir);
    free(store);
}

/* ---- what the other files ask ---- */

void pk_get_stats(struct pk_store *store, struct pk_stats *ret_stats)
{
    pthread_mutex_lock(&store->lock);
    *ret_stats = store->stats;
    ret_stats->table_bytes = store->table.room * sizeof(struct pk_slot);
    pthread_mutex_unlock(&store->lock);
}

int pk_reserve(struct pk_store *store, uint32_t packs, size_t objects, struct flic_err *err)
{
    uint64_t need = (uint64_t)store->n_packs + packs;
    uint32_t room = store->room_packs ? store->room_packs : 64;
    struct pk_pack **grown;

    if (need > PK_PLACE_PACKS)
        return flic_err_set(err, FLIC_E_FULL_TABLE, "more than %u packs since flicd was started; restart flicd",
                            PK_PLACE_PACKS);
    while (room < need)
        room *= 2;
    if (room > store->room_packs) {
        grown = realloc(store->packs, room * sizeof(*grown));
        if (!grown)
            return flic_err_set(err, -ENOMEM, "list %u packs: out of memory", room);
        store->packs = grown;
        store->room_packs = room;
    }
    if (pk_table_reserve(&store->table, objects))
        return flic_err_set(err, -ENOMEM, "look-up table for %zu more objects: out of memory", objects);
    return 0;
}

size_t pk_find_slot(struct pk_store *store, const struct pk_slot *key, struct pk_spot spots[PK_COPIES])
{
    uint64_t places[PK_COPIES];
    size_t n;

    pthread_mutex_lock(&store->lock);
    n = pk_table_find(&store->table, key, places, PK_COPIES);
    for (size_t i = 0; i < n; i++)
        spots[i] = (struct pk_spot){ .file = pk_sealed_file(store, store->packs[pk_place_pack(places[i])]),
                                     .place = places[i], .offset = pk_place_offset(places[i]),
                                     .index = pk_place_index(places[i]) };
    pthread_mutex_unlock(&store->lock);
    return n;
}

uint64_t pk_first_place(struct pk_store *store, const struct flic_id *id)
{
    struct pk_slot key = pk_slot_of(id, 0);
    uint64_t place = 0;

    pthread_mutex_lock(&store->lock);
    (void)pk_table_find(&store->table, &key, &place, 1);    /* stays 0 when there is none */
    pthread_mutex_unlock(&store->lock);
    return place;
}

bool pk_file_of(struct pk_store *store, uint64_t place, struct pk_file *ret_file)
{
    const struct pk_pack *pack;

    pthread_mutex_lock(&store->lock);
    pack = store->packs[pk_place_pack(place)];
    if (pack)
        *ret_file = pk_sealed_file(store, pack);
    pthread_mutex_unlock(&store->lock);
    return pack;
}

size_t pk_find(struct pk_store *store, const struct flic_id *id, struct pk_spot spots[PK_COPIES])
{
    struct pk_slot key = pk_slot_of(id, 0);

    return pk_find_slot(store, &key, spots);
}

bool pk_has(struct pk_store *store, const struct flic_id *id)
{
    return pk_place(store, id) != UINT64_MAX;
}

uint64_t pk_place(struct pk_store *store, const struct flic_id *id)
{
    struct pk_spot spots[PK_COPIES];

    if (!pk_find(store, id, spots))
        return UINT64_MAX;
    return (uint64_t)spots[0].file.number << 32 | spots[0].offset;
}

struct pk_pack *pk_snapshot(struct pk_store *store, uint32_t from, uint32_t *ret_n, uint32_t *ret_end)
{
    struct pk_pack *copy;
    uint32_t n = 0;

    pthread_mutex_lock(&store->lock);
    copy = malloc((store->n_packs + 1) * sizeof(*copy));
    for (uint32_t i = from; copy && i < store->n_packs; i++)
        if (store->packs[i])
            copy[n++] = *store->packs[i];
    *ret_end = store->n_packs;
    pthread_mutex_unlock(&store->lock);
    *ret_n = n;
    return copy;
}
