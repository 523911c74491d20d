/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What is stored and what is there already; sealing. */
#include "daemon/packs/writer.h"

#include "common/log.h"
#include "daemon/packs/compare.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

int pk_writer_new(struct pk_store *store, struct pk_writer **ret_writer, struct flic_err *err)
{
    struct pk_writer *w = calloc(1, sizeof(*w));

    if (w) {
        w->store = store;
        w->out.fd = -1;
        w->cctx = ZSTD_createCCtx();
    }
    if (!w || !w->cctx) {
        free(w);
        return flic_err_set(err, -ENOMEM, "start writing packs: out of memory");
    }
    *ret_writer = w;
    return 0;
}

int pk_mover_new(struct pk_store *store, struct pk_writer **ret_writer, struct flic_err *err)
{
    int rc = pk_writer_new(store, ret_writer, err);

    if (!rc)
        (*ret_writer)->moves = true;
    return rc;
}

void pk_get_put_stats(const struct pk_writer *w, struct pk_put_stats *ret_stats)
{
    *ret_stats = w->stats;
}

bool pk_writer_failed(const struct pk_writer *w)
{
    return w->failed != 0;
}

/* ---- ending ---- */

/* Removes the unsealed files, under either name: a seal may have failed between two renames. */
static void drop_unsealed(struct pk_writer *w)
{
    pk_out_drop(w);
    for (uint32_t i = 0; i < w->n_packs; i++) {
        char name[PK_NAME];

        for (int sealed = 0; sealed < 2; sealed++) {
            pk_name(name, w->packs[i].number, sealed);
            if (unlinkat(w->store->dir_fd, name, 0) && errno != ENOENT)
                flic_debug("cannot remove '%s/%s': %s", w->store->dir, name, strerror(errno));
        }
        pk_cache_forget(&w->store->cache, w->packs[i].number);
    }
    if (w->n_packs && fsync(w->store->dir_fd))      /* a file that had its final name must not come back */
        flic_debug("cannot sync '%s': %s", w->store->dir, strerror(errno));
    w->n_packs = 0;
    pk_table_fini(&w->own);
}

static int fail(struct pk_writer *w, int rc)
{
    drop_unsealed(w);
    w->failed = rc;
    return rc;
}

/* A mover's pins count like others': who took a moment before may not know that its copies are now the only ones. */
static void unpin_all(struct pk_writer *w)
{
    pthread_mutex_lock(&w->store->lock);
    w->store->clock++;
    for (uint32_t i = 0; i < w->pinned_room; i++) {
        if (!(w->pinned[i / 8] & 1u << i % 8) || !w->store->packs[i])      /* a bad one was set aside */
            continue;
        w->store->packs[i]->pins--;
        w->store->packs[i]->let_go = w->store->clock;
    }
    pthread_mutex_unlock(&w->store->lock);
}

void pk_writer_free(struct pk_writer *w)
{
    if (!w)
        return;
    drop_unsealed(w);
    unpin_all(w);
    free(w->pinned);
    free(w->packs);
    free(w->frame);
    (void)ZSTD_freeCCtx(w->cctx);
    free(w);
}

/* ---- pins ---- */

/* Room in the writer's own set for every slot below `slots`. */
static int pin_room(struct pk_writer *w, uint32_t slots, struct flic_err *err)
{
    uint32_t room = w->pinned_room ? w->pinned_room : 512;
    uint8_t *grown;

    if (slots <= w->pinned_room)
        return 0;
    while (room < slots)
        room *= 2;
    grown = realloc(w->pinned, room / 8);
    if (!grown)
        return flic_err_set(err, -ENOMEM, "note packs in use: out of memory");
    memset(grown + w->pinned_room / 8, 0, (room - w->pinned_room) / 8);
    w->pinned = grown;
    w->pinned_room = room;
    return 0;
}

/* Keeps a pack from being collected as long as this writer lives, unless it is gone already. */
static int pin(struct pk_writer *w, uint32_t slot, bool *ret_there, struct flic_err *err)
{
    struct pk_pack *pack;
    int rc = pin_room(w, slot + 1, err);

    if (rc)
        return rc;
    *ret_there = true;
    if (w->pinned[slot / 8] & 1u << slot % 8)
        return 0;
    pthread_mutex_lock(&w->store->lock);
    pack = w->store->packs[slot];
    if (pack)
        pack->pins++;
    pthread_mutex_unlock(&w->store->lock);
    if (pack)
        w->pinned[slot / 8] |= (uint8_t)(1u << slot % 8);
    *ret_there = pack;
    return 0;
}

int pk_keep(struct pk_writer *w, const struct flic_id *id, bool *ret_there, struct flic_err *err)
{
    struct pk_spot spots[PK_COPIES];
    size_t n = pk_find(w->store, id, spots);
    int rc = 0;

    *ret_there = false;
    for (size_t i = 0; !rc && i < n; i++) {
        bool there = false;

        rc = pin(w, pk_place_pack(spots[i].place), &there, err);
        *ret_there |= !rc && there;
    }
    return rc;
}

/* ---- putting ---- */

/* Compares with one of the writer's own unsealed objects. */
static int compare_own(struct pk_writer *w, const struct flic_id *id, const struct pk_object *mine, uint64_t place,
                       struct flic_err *err)
{
    uint32_t pack = pk_place_pack(place), index = pk_place_index(place);
    bool open = w->out.fd >= 0 && pack == w->n_packs - 1;
    struct pk_spot spot = {
        .file = { .fd = open ? w->out.fd : -1, .dir_fd = w->store->dir_fd, .number = w->packs[pack].number,
                  .limit = open ? w->out.pos : w->packs[pack].footer_offset },
        .offset = pk_place_offset(place), .index = index };
    struct pk_object there;
    uint32_t start = 0;

    if (!open || spot.offset < w->out.pos)
        return pk_compare_spot(w->store, id, mine, &spot, err);
    for (uint32_t i = 0; i < index; i++)
        start += le32toh(w->pending.list[i]) & 0xffffff;
    there = (struct pk_object){ .kind = (enum pk_kind)(le32toh(w->pending.list[index]) >> 24),
                                .data = w->pending.data + start, .len = le32toh(w->pending.list[index]) & 0xffffff };
    return pk_compare(w->store->secret, id, mine, &there);
}

/* Whether those who move must not count on what lies there. */
static bool is_leaving(struct pk_writer *w, const struct pk_spot *spot)
{
    const struct pk_pack *pack;
    bool leaving;

    pthread_mutex_lock(&w->store->lock);
    pack = w->store->packs[pk_place_pack(spot->place)];
    leaving = !pack || pack->leaving;
    pthread_mutex_unlock(&w->store->lock);
    return leaving;
}

/* A sealed copy that was found equal counts only once it is pinned. */
static int compare_sealed(struct pk_writer *w, const struct flic_id *id, const struct pk_object *mine,
                          const struct pk_spot *spot, struct flic_err *err)
{
    int verdict = w->moves && is_leaving(w, spot) ? PK_OTHER : pk_compare_spot(w->store, id, mine, spot, err);
    bool there;
    int rc;

    if (verdict != PK_SAME)
        return verdict;
    rc = pin(w, pk_place_pack(spot->place), &there, err);
    if (rc)
        return rc;
    return there ? PK_SAME : PK_OTHER;
}

/* The verdict over everything that the store and the writer have under this id, or an error. */
static int look_up(struct pk_writer *w, const struct flic_id *id, const struct pk_object *mine, struct flic_err *err)
{
    struct pk_slot key = pk_slot_of(id, 0);
    struct pk_spot spots[PK_COPIES];
    uint64_t own[PK_COPIES];
    size_t n = pk_table_find(&w->own, &key, own, PK_COPIES);
    int verdict, worst = PK_OTHER;

    for (size_t i = 0; i < n; i++) {
        verdict = compare_own(w, id, mine, own[i], err);
        if (verdict < 0 || verdict == PK_SAME)
            return verdict;
        worst = verdict > worst ? verdict : worst;
    }
    n = pk_find(w->store, id, spots);
    for (size_t i = 0; i < n; i++) {
        verdict = compare_sealed(w, id, mine, &spots[i], err);
        if (verdict < 0 || verdict == PK_SAME)
            return verdict;
        worst = verdict > worst ? verdict : worst;
    }
    return worst;
}

static int store_object(struct pk_writer *w, const struct flic_id *id, const struct pk_object *mine,
                        struct flic_err *err)
{
    struct pk_slot slot;
    uint64_t place;
    int rc = pk_out_prepare(w, mine->len, err);

    if (!rc && pk_table_reserve(&w->own, 1))
        rc = flic_err_set(err, -ENOMEM, "note a stored object: out of memory");
    if (!rc)
        rc = pk_out_add(w, id, mine->kind, mine->data, mine->len, &place, err);
    if (rc)
        return rc;
    slot = pk_slot_of(id, place);
    (void)pk_table_add(&w->own, &slot);     /* there is room */
    w->stats.new_objects++;
    w->stats.new_bytes += mine->len;
    return 0;
}

static int check_args(const struct pk_writer *w, enum pk_kind kind, size_t len, struct flic_err *err)
{
    if (w->failed)
        return flic_err_set(err, w->failed, "an earlier write to the packs failed; start the operation again");
    if (!len || len > PK_OBJECT_MAX || kind < PK_PAGE || kind > PK_TOMBSTONE)
        return flic_err_set(err, FLIC_E_INTERNAL, "an object of kind %d and %zu bytes does not go into a pack",
                            (int)kind, len);
    return 0;
}

int pk_put_hashed(struct pk_writer *w, enum pk_kind kind, const struct flic_id *id0, const void *data, size_t len,
                  struct flic_id *ret_id, bool *ret_new, struct flic_err *err)
{
    struct pk_object mine = { .kind = kind, .data = data, .len = len };
    struct flic_id id = *id0;
    int rc = check_args(w, kind, len, err);

    if (rc)
        return rc;
    for (unsigned try_no = 0; try_no < FLIC_ID_TRIES; try_no++) {
        if (try_no)
            id = flic_id_of(w->store->secret, try_no, data, len);
        rc = look_up(w, &id, &mine, err);
        if (rc == PK_COLLISION)
            continue;
        if (rc == PK_OTHER) {
            rc = store_object(w, &id, &mine, err);
            if (!rc && ret_new)
                *ret_new = true;
        } else if (rc == PK_SAME && ret_new) {
            *ret_new = false;
        }
        if (rc < 0)
            return fail(w, rc);
        w->stats.objects++;
        *ret_id = id;
        return 0;
    }
    return flic_err_set(err, FLIC_E_REFUSED, "other contents have all %u ids that this object of %zu bytes could get; "
                        "somebody may know the store's secret", FLIC_ID_TRIES, len);
}

int pk_put(struct pk_writer *w, enum pk_kind kind, const void *data, size_t len,
           struct flic_id *ret_id, bool *ret_new, struct flic_err *err)
{
    struct flic_id id0;
    int rc = check_args(w, kind, len, err);

    if (rc)
        return rc;
    id0 = flic_id_of(w->store->secret, 0, data, len);
    return pk_put_hashed(w, kind, &id0, data, len, ret_id, ret_new, err);
}

/* ---- moving ---- */

int pk_put_again(struct pk_writer *w, const struct flic_id *id, const struct pk_object *mine, bool *ret_new, struct flic_err *err)
{
    int rc = check_args(w, mine->kind, mine->len, err);

    if (rc)
        return rc;
    rc = look_up(w, id, mine, err);
    *ret_new = rc == PK_OTHER;
    if (rc == PK_COLLISION)
        rc = flic_err_set(err, FLIC_E_DAMAGED, "two different contents have one id; neither is moved");
    else if (rc == PK_OTHER)
        rc = store_object(w, id, mine, err);
    if (rc < 0)
        return fail(w, rc);
    w->stats.objects++;
    return 0;
}

int pk_mend(struct pk_writer *mover, enum pk_kind kind, const struct flic_id *id, const void *data, size_t len, struct flic_err *err)
{
    struct pk_object object = { .kind = kind, .data = data, .len = len };
    bool is_new;

    if (!flic_id_matches(mover->store->secret, id, data, len))
        return flic_err_set(err, FLIC_E_DAMAGED, "what is to replace an object is another");
    return pk_put_again(mover, id, &object, &is_new, err);
}

int pk_has_whole(struct pk_writer *w, const struct flic_id *id, bool *ret_there, struct flic_err *err)
{
    struct pk_spot spots[PK_COPIES];
    size_t n = pk_find(w->store, id, spots);
    int rc = 0;

    *ret_there = false;
    for (size_t i = 0; !rc && !*ret_there && i < n; i++) {
        if (is_leaving(w, &spots[i]) || !pk_spot_verifies(w->store, id, &spots[i]))
            continue;
        rc = pin(w, pk_place_pack(spots[i].place), ret_there, err);
    }
    return rc;
}

/* ---- sealing ---- */

/* Another writer may have sealed, since this one looked, an object under an id that this one used. Equal bytes
 * are merely stored twice; other bytes would make one of the two unreadable, so this seal is refused. */
static int check_rival(struct pk_writer *w, const struct pk_slot *slot, struct flic_err *err)
{
    uint64_t place = pk_slot_place(slot);
    const struct pk_pack *pack = &w->packs[pk_place_pack(place)];
    struct pk_file file = { .fd = -1, .dir_fd = w->store->dir_fd, .number = pack->number,
                            .limit = pack->footer_offset };
    struct pk_spot spots[PK_COPIES];
    size_t n = pk_find_slot(w->store, slot, spots);
    struct pk_frame *frame;
    struct pk_object mine;
    struct flic_id id;
    int rc;

    if (!n)
        return 0;
    rc = pk_frame_get(&w->store->cache, &file, pk_place_offset(place), &frame, err);
    if (rc)
        return rc;
    mine.data = pk_frame_object(frame, pk_place_index(place), &mine.len, &mine.kind);
    if (mine.data)
        id = flic_id_of(w->store->secret, pk_slot_try(slot), mine.data, mine.len);
    for (size_t i = 0; mine.data && rc >= 0 && i < n; i++) {
        rc = pk_compare_spot(w->store, &id, &mine, &spots[i], err);
        if (rc == PK_COLLISION)
            rc = flic_err_set(err, FLIC_E_REFUSED, "two operations stored different contents under one id at the "
                              "same time; start this one again");
    }
    pk_frame_put(&w->store->cache, frame);
    return rc < 0 ? rc : 0;
}

static int check_rivals(struct pk_writer *w, struct flic_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < w->own.room; i++)
        if (w->own.slots[i].where)
            rc = check_rival(w, &w->own.slots[i], err);
    return rc;
}

static int sync_folder(struct pk_store *store, struct flic_err *err)
{
    return fsync(store->dir_fd) ? flic_err_errno(err, "sync the folder '%s'", store->dir) : 0;
}

static int give_final_name(struct pk_writer *w, uint32_t i, struct flic_err *err)
{
    char from[PK_NAME], to[PK_NAME];

    pk_name(from, w->packs[i].number, false);
    pk_name(to, w->packs[i].number, true);
    if (renameat(w->store->dir_fd, from, w->store->dir_fd, to))
        return pk_io_error(err, -errno, w->store, "rename", w->packs[i].number, w->packs[i].bytes);
    return 0;
}

/* The last pack holds what was put last, so it gets its name after the others' names are durable. */
static int rename_packs(struct pk_writer *w, struct flic_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && i < w->n_packs; i++) {
        if (i && i == w->n_packs - 1)
            rc = sync_folder(w->store, err);
        if (!rc)
            rc = give_final_name(w, i, err);
    }
    return rc ? rc : sync_folder(w->store, err);
}

static void free_packs(struct pk_pack **made, uint32_t n)
{
    for (uint32_t i = 0; made && i < n; i++)
        free(made[i]);
    free(made);
}

/* Allocates what publish() needs, so that nothing can fail once the files have their names. */
static int make_packs(struct pk_writer *w, struct pk_pack ***ret_made, struct flic_err *err)
{
    struct pk_pack **made = calloc(w->n_packs, sizeof(*made));
    bool all = made;
    int rc;

    for (uint32_t i = 0; all && i < w->n_packs; i++) {
        made[i] = malloc(sizeof(*made[i]));
        all = made[i];
    }
    if (!all) {
        free_packs(made, w->n_packs);
        return flic_err_set(err, -ENOMEM, "seal %u packs: out of memory", w->n_packs);
    }
    pthread_mutex_lock(&w->store->lock);
    rc = pk_reserve(w->store, w->n_packs, w->own.used, err);
    pthread_mutex_unlock(&w->store->lock);
    if (!rc)
        rc = pin_room(w, w->store->n_packs + w->n_packs, err);
    if (rc)
        free_packs(made, w->n_packs);
    else
        *ret_made = made;
    return rc;
}

/* Makes the sealed packs and their objects visible; takes what is in `made`. Cannot fail. */
static void publish(struct pk_writer *w, struct pk_pack **made)
{
    struct pk_store *store = w->store;
    uint32_t base;

    pthread_mutex_lock(&store->lock);
    store->clock++;         /* new since any moment before: a mover's too, whose roots and tombstones others may have looked for */
    base = store->n_packs;
    for (uint32_t i = 0; i < w->n_packs; i++) {
        *made[i] = w->packs[i];
        made[i]->pins = 1;
        made[i]->let_go = store->clock;
        w->pinned[(base + i) / 8] |= (uint8_t)(1u << (base + i) % 8);
        store->packs[store->n_packs++] = made[i];
        store->stats.packs++;
        store->stats.objects += made[i]->objects;
        store->stats.bytes += made[i]->bytes;
    }
    for (size_t i = 0; i < w->own.room; i++) {
        struct pk_slot slot = w->own.slots[i];

        if (!slot.where)
            continue;
        slot.where += (uint64_t)base << 28;     /* from the writer's pack numbering to the store's */
        (void)pk_table_add(&store->table, &slot);
    }
    pthread_mutex_unlock(&store->lock);
}

/* With `seal` held, so that store->n_packs does not change under us. */
static int seal_packs(struct pk_writer *w, struct flic_err *err)
{
    struct pk_pack **made = NULL;
    int rc = check_rivals(w, err);

    if (rc)
        return rc;
    rc = make_packs(w, &made, err);
    if (rc)
        return rc;
    rc = rename_packs(w, err);
    if (rc) {
        free_packs(made, w->n_packs);
        return rc;
    }
    publish(w, made);
    free(made);
    return 0;
}

int pk_seal(struct pk_writer *w, struct flic_err *err)
{
    int rc;

    if (w->failed)
        return flic_err_set(err, w->failed, "an earlier write to the packs failed; start the operation again");
    rc = pk_out_finish(w, err);
    if (!rc && w->n_packs) {
        pthread_mutex_lock(&w->store->seal);
        rc = seal_packs(w, err);
        pthread_mutex_unlock(&w->store->seal);
    }
    if (rc)
        return fail(w, rc);
    w->n_packs = 0;
    pk_table_fini(&w->own);
    return 0;
}
