/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/nvram/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct nv_txn {
    struct nv_arena *arena;
    struct nv_entry *entry;     /* becomes the object's */
    struct nv_image *image;     /* long enough for any root */
    uint32_t *frames;
    uint32_t n_frames;
    uint64_t reserved;          /* of the log */
    const char *owner;          /* thread_mark() of the thread that began */
    bool owner_wrote;           /* it has stores that only its own fence completes */
};

/* One address per thread. */
static const char *thread_mark(void)
{
    static _Thread_local char mark;

    return &mark;
}

/* ---- begin ---- */

static uint32_t extents_of(const uint32_t *frames, uint32_t n)
{
    uint32_t extents = n > 0;

    for (uint32_t i = 1; i < n; i++)
        extents += frames[i] != frames[i - 1] + 1;
    return extents;
}

static size_t payload_bytes(uint32_t extents, size_t root_len)
{
    return sizeof(struct nvl_object) + extents * sizeof(struct nvl_extent) + root_len;
}

static uint64_t note_bytes(void)
{
    return nvl_record_bytes(sizeof(struct nvl_note) + NV_NOTE_MAX);
}

static bool is_cache(const struct nv_entry *e)
{
    return nv_entry_present(e) && e->notes[NV_NOTE_DESTAGED] && !e->pins;
}

/* The oldest cached object goes: durably, before anyone writes to its frames. */
static int give_up_one(struct nv_arena *a, struct flic_err *err)
{
    struct nv_entry *e = a->first;

    while (!is_cache(e))
        e = e->next;
    return nv_log_drop(a, e, NVL_DROP_OBJECT, err);
}

static int make_frames_free(struct nv_arena *a, uint32_t need, struct flic_err *err)
{
    uint64_t cached = 0;
    int rc = 0;

    for (const struct nv_entry *e = a->first; e; e = e->next)
        if (is_cache(e))
            cached += e->n_frames;
    if (a->frames.free + cached < need)
        return flic_err_set(err, FLIC_E_NOSPACE, "the arena has no room for %u frames: %u of %u are free, %llu more "
                            "hold checkpoints that are on flash too; forget checkpoints or let them move to flash",
                            need, a->frames.free, a->frames.count, (unsigned long long)cached);
    while (!rc && a->frames.free < need)
        rc = give_up_one(a, err);
    return rc;
}

static int make_log_room(struct nv_arena *a, uint64_t need, struct flic_err *err)
{
    uint64_t cached = 0;
    int rc = 0;

    for (const struct nv_entry *e = a->first; e; e = e->next)
        if (is_cache(e))
            cached += nv_entry_log_bytes(e);
    if (cached <= need && !nv_log_fits(a, need - cached))
        cached = 0;     /* giving all of it up would not help: keep it, and let the next call tell */
    while (!rc && cached && !nv_log_fits(a, need))
        rc = give_up_one(a, err);
    return rc ? rc : nv_log_room(a, need, err);
}

static int allocate(struct nv_txn *txn, struct flic_err *err)
{
    txn->entry = calloc(1, sizeof(*txn->entry));
    txn->frames = malloc(txn->n_frames * sizeof(*txn->frames) + 1);
    if (!txn->entry || !txn->frames)
        return flic_err_set(err, -ENOMEM, "reserve %u NVRAM frames: out of memory", txn->n_frames);
    return 0;
}

/* With the frames known, so are the extents, and with them the longest record that the commit can need. */
static int reserve_log(struct nv_txn *txn, struct flic_err *err)
{
    size_t payload = payload_bytes(extents_of(txn->frames, txn->n_frames), NV_ROOT_MAX);
    struct nv_arena *a = txn->arena;
    int rc;

    txn->image = nv_image_new(NVL_OBJECT, payload);
    if (!txn->image)
        return flic_err_set(err, -ENOMEM, "reserve %u NVRAM frames: out of memory", txn->n_frames);
    txn->reserved = nvl_record_bytes(payload) + note_bytes();
    rc = make_log_room(a, txn->reserved, err);
    if (!rc)
        a->reserved += txn->reserved;
    return rc;
}

static int reserve(struct nv_txn *txn, struct flic_err *err)
{
    struct nv_arena *a = txn->arena;
    int rc = nv_usable(a, err);

    if (!rc)
        rc = make_frames_free(a, txn->n_frames, err);
    if (rc)
        return rc;
    nv_frames_take(&a->frames, txn->n_frames, txn->frames);
    rc = reserve_log(txn, err);
    if (rc)
        nv_frames_put(&a->frames, txn->frames, txn->n_frames);
    else
        a->open_txns++;
    return rc;
}

static void free_txn(struct nv_txn *txn)
{
    free(txn->entry);
    free(txn->image);
    free(txn->frames);
    free(txn);
}

int nv_txn_begin(struct nv_arena *arena, uint32_t frames, struct nv_txn **ret_txn, struct flic_err *err)
{
    struct nv_txn *txn;
    int rc;

    if (frames > arena->geo.frames)
        return flic_err_set(err, FLIC_E_NOSPACE, "%u frames are more than the arena's %u", frames, arena->geo.frames);
    txn = calloc(1, sizeof(*txn));
    if (!txn)
        return flic_err_set(err, -ENOMEM, "reserve %u NVRAM frames: out of memory", frames);
    txn->arena = arena;
    txn->n_frames = frames;
    txn->owner = thread_mark();
    rc = allocate(txn, err);
    if (!rc) {
        (void)pthread_mutex_lock(&arena->lock);
        rc = reserve(txn, err);
        (void)pthread_mutex_unlock(&arena->lock);
    }
    if (rc)
        free_txn(txn);
    else
        *ret_txn = txn;
    return rc;
}

void nv_txn_abort(struct nv_txn *txn)
{
    struct nv_arena *a;

    if (!txn)
        return;
    a = txn->arena;
    (void)pthread_mutex_lock(&a->lock);
    nv_frames_put(&a->frames, txn->frames, txn->n_frames);
    a->reserved -= txn->reserved;
    a->open_txns--;
    (void)pthread_mutex_unlock(&a->lock);
    free_txn(txn);
}

/* ---- filling ---- */

uint32_t nv_txn_frames(const struct nv_txn *txn)
{
    return txn->n_frames;
}

static uint64_t place_of_frame(const struct nv_txn *txn, uint32_t i)
{
    assert(i < txn->n_frames);
    return txn->arena->geo.frames_at + (uint64_t)txn->frames[i] * FLIC_PAGE_SIZE;
}

const void *nv_txn_frame(const struct nv_txn *txn, uint32_t i)
{
    return txn->arena->media->base + place_of_frame(txn, i);
}

void nv_txn_expect(struct nv_txn *txn, uint32_t n)
{
    uint32_t first = 0;

    if (n > txn->n_frames)
        n = txn->n_frames;
    for (uint32_t i = 1; i <= n; i++) {
        if (i < n && txn->frames[i] == txn->frames[i - 1] + 1)
            continue;
        nv_expect(txn->arena->media, place_of_frame(txn, first), (uint64_t)(i - first) * FLIC_PAGE_SIZE);
        first = i;
    }
}

/* A fence completes only its own thread's stores. The owner's come with the commit; any other thread's here. */
static void wrote(struct nv_txn *txn, uint64_t bytes)
{
    if (txn->owner == thread_mark())
        txn->owner_wrote = true;
    else
        nv_drain(txn->arena->media);
    nv_count(txn->arena, bytes);
}

static uint32_t take_frame(struct nv_room *room)
{
    uint32_t i = atomic_fetch_add_explicit(&room->next, 1, memory_order_relaxed);

    return i < room->end ? i : NV_NO_FRAME;
}

struct flic_id nv_txn_add_page(struct nv_txn *txn, struct nv_room *room, const void *page, const struct flic_secret *secret,
                               uint32_t *ret_frame)
{
    alignas(64) uint8_t still[FLIC_PAGE_SIZE];
    struct flic_id id;

    /* A backend's late DMA may change the page under us, even in a pause. The copy that stays in the first-level
     * cache is what gets hashed and what gets stored, so the two always agree. */
    memcpy(still, page, sizeof(still));
    *ret_frame = NV_NO_FRAME;
    if (flic_is_zero(still, sizeof(still)))
        return FLIC_ID_ZERO;
    id = flic_id_of(secret, 0, still, sizeof(still));
    *ret_frame = take_frame(room);
    if (*ret_frame == NV_NO_FRAME)
        return id;
    nv_stream(txn->arena->media, place_of_frame(txn, *ret_frame), still, sizeof(still));
    nv_frames_wrote(&txn->arena->frames, txn->frames[*ret_frame]);
    wrote(txn, sizeof(still));
    return id;
}

uint32_t nv_txn_put_bytes(struct nv_txn *txn, uint32_t i, const void *data, size_t len)
{
    const uint8_t *at = data;
    uint32_t used = 0;

    for (; len; used++) {
        alignas(64) uint8_t still[FLIC_PAGE_SIZE] = { 0 };
        size_t part = len < sizeof(still) ? len : sizeof(still);

        memcpy(still, at, part);
        nv_stream(txn->arena->media, place_of_frame(txn, i + used), still, sizeof(still));
        nv_frames_wrote(&txn->arena->frames, txn->frames[i + used]);
        wrote(txn, sizeof(still));
        at += part;
        len -= part;
    }
    return used;
}

/* ---- commit ---- */

static void fill_image(struct nv_txn *txn, const struct nv_name *name, uint32_t used, const void *root, size_t root_len)
{
    struct nvl_object *obj = (void *)txn->image->payload;
    struct nvl_extent *ext = (void *)(obj + 1);
    size_t payload;

    *obj = (struct nvl_object){ .name = nv_name_out(name), .frames = used, .root_len = (uint32_t)root_len };
    for (uint32_t i = 0; i < used; i++) {
        if (!i || txn->frames[i] != txn->frames[i - 1] + 1)
            ext[obj->extents++] = (struct nvl_extent){ .first = txn->frames[i] };
        ext[obj->extents - 1].count++;
    }
    if (root_len)
        memcpy(ext + obj->extents, root, root_len);
    payload = payload_bytes(obj->extents, root_len);
    txn->image->head.payload_len = (uint32_t)payload;
    txn->image->size = sizeof(txn->image->head) + payload;
}

static int check_commit(const struct nv_txn *txn, const struct nv_name *name, uint32_t used, size_t root_len,
                        struct flic_err *err)
{
    const struct nv_entry *known = nv_table_find(txn->arena, name);

    if (used > txn->n_frames || root_len > NV_ROOT_MAX)
        return flic_err_set(err, -EINVAL, "commit: %u of %u frames, a root of %zu bytes", used, txn->n_frames, root_len);
    if (txn->owner_wrote && txn->owner != thread_mark())
        return flic_err_set(err, FLIC_E_INTERNAL, "commit by another thread than the one that began and filled");
    if (known && (known->object || known->notes[NV_NOTE_FORGOTTEN]))
        return flic_err_set(err, -EEXIST, "the arena has an object with sequence number %llu of this guest already",
                            (unsigned long long)name->seq);
    return 0;
}

/* From here on nothing can fail: the switch is durable. */
static void become_object(struct nv_txn *txn, const struct nv_name *name, uint32_t used)
{
    struct nv_arena *a = txn->arena;
    struct nv_entry *e = nv_table_find(a, name);

    if (!e) {
        e = txn->entry;
        txn->entry = NULL;
        e->name = *name;
        nv_table_hang(a, e);
    }
    e->object = txn->image;
    e->frames = txn->frames;
    e->n_frames = used;
    e->reserved = note_bytes();
    a->reserved += e->reserved;
    a->live += nvl_record_bytes(e->object->head.payload_len);
    a->open_txns--;
    nv_frames_put(&a->frames, txn->frames + used, txn->n_frames - used);
    txn->image = NULL;
    txn->frames = NULL;
    free_txn(txn);
}

int nv_txn_commit(struct nv_txn *txn, const struct nv_name *name, uint32_t used_frames,
                  const void *root, size_t root_len, struct flic_err *err)
{
    struct nv_arena *a = txn->arena;
    int rc;

    (void)pthread_mutex_lock(&a->lock);
    rc = check_commit(txn, name, used_frames, root_len, err);
    if (!rc) {
        fill_image(txn, name, used_frames, root, root_len);
        rc = nv_log_append(a, txn->image, err);
    }
    if (!rc) {
        a->reserved -= txn->reserved;
        become_object(txn, name, used_frames);
    }
    (void)pthread_mutex_unlock(&a->lock);
    return rc;
}
