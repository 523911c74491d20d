/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/nvram/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- open, close, info ---- */

static int check_store(const struct nv_arena *a, const char *path, const struct flic_uuid *store, struct flic_err *err)
{
    char theirs[FLIC_UUID_TEXT], ours[FLIC_UUID_TEXT];
    struct flic_uuid found;

    memcpy(found.b, a->super.store, sizeof(found.b));
    if (flic_uuid_equal(&found, store))
        return 0;
    flic_uuid_text(&found, theirs);
    flic_uuid_text(store, ours);
    return flic_err_set(err, FLIC_E_FOREIGN, "arena '%s' belongs to store %s, not to this store %s: mount that one's file "
                        "system, or give its folder as 'store' in flicd.conf, or another path as 'nvram'", path, theirs, ours);
}

static int load(struct nv_arena *a, const char *path, const struct flic_uuid *store, struct flic_err *err)
{
    int rc = nv_super_read(a->media, path, &a->super, &a->damaged, err);

    if (!rc)
        rc = check_store(a, path, store, err);
    if (rc)
        return rc;
    nv_super_repair(a->media, &a->super);
    (void)nvl_geometry_of(a->super.size_bytes, &a->geo);    /* nv_super_read() found that it fits */
    rc = nv_frames_init(&a->frames, a->geo.frames);
    if (rc)
        return flic_err_set(err, rc, "open arena '%s': out of memory", path);
    rc = nv_recover(a, err);
    return rc ? flic_err_wrap(err, rc, "open arena '%s'", path) : 0;
}

int nv_open(const char *path, const struct flic_uuid *store, struct nv_arena **ret_arena, struct flic_err *err)
{
    struct nv_arena *a = calloc(1, sizeof(*a));
    int rc;

    if (!a)
        return flic_err_set(err, -ENOMEM, "open arena '%s': out of memory", path);
    a->last = &a->first;
    (void)pthread_mutex_init(&a->lock, NULL);   /* cannot fail for a default mutex on Linux */
    rc = nv_media_open(path, &a->media, err);
    if (!rc)
        rc = load(a, path, store, err);
    if (rc)
        nv_close(a);
    else
        *ret_arena = a;
    return rc;
}

void nv_close(struct nv_arena *arena)
{
    if (!arena)
        return;
    assert(!arena->open_txns);
    nv_table_free(arena);
    nv_frames_fini(&arena->frames);
    nv_media_close(arena->media);
    (void)pthread_mutex_destroy(&arena->lock);
    free(arena);
}

static uint32_t cached_frames(const struct nv_arena *a)
{
    uint32_t n = 0;

    for (const struct nv_entry *e = a->first; e; e = e->next)
        if (nv_entry_present(e) && e->notes[NV_NOTE_DESTAGED])
            n += e->n_frames;
    return n;
}

static void count_writes(const struct nv_frames *f, struct nv_info *info)
{
    info->frame_writes_least = f->count ? UINT16_MAX : 0;
    for (uint32_t i = 0; i < f->count; i++) {
        uint16_t n = __atomic_load_n(&f->writes[i], __ATOMIC_RELAXED);

        info->frame_writes += n;
        if (n < info->frame_writes_least)
            info->frame_writes_least = n;
        if (n > info->frame_writes_most)
            info->frame_writes_most = n;
    }
}

void nv_get_info(struct nv_arena *arena, struct nv_info *ret_info)
{
    (void)pthread_mutex_lock(&arena->lock);
    *ret_info = (struct nv_info){
        .kind = arena->media->kind,
        .size_bytes = arena->geo.size_bytes,
        .frames = arena->geo.frames,
        .frames_free = arena->frames.free,
        .frames_cached = cached_frames(arena),
        .log_bytes = arena->geo.log_bytes,
        .log_used = arena->tail,
        .bytes_written = __atomic_load_n(&arena->bytes_written, __ATOMIC_RELAXED),
        .damaged = arena->damaged,
        .broken = arena->broken,
    };
    memcpy(ret_info->arena.b, arena->super.arena, sizeof(ret_info->arena.b));
    memcpy(ret_info->store.b, arena->super.store, sizeof(ret_info->store.b));
    (void)pthread_mutex_unlock(&arena->lock);
    count_writes(&arena->frames, ret_info);     /* a pause need not wait for that */
}

/* ---- notes ---- */

/* Is there anything that this note could be about? */
static int check_note(const struct nv_entry *e, enum nv_note note, size_t len, struct flic_err *err)
{
    if (note < NV_NOTE_PUBLISHED || note > NV_NOTE_FORGOTTEN || len > NV_NOTE_MAX)
        return flic_err_set(err, -EINVAL, "arena note %d of %zu bytes", (int)note, len);
    if ((note == NV_NOTE_PUBLISHED || note == NV_NOTE_DESTAGED) && !(e && nv_entry_present(e)))
        return flic_err_set(err, FLIC_E_NOCHECKPOINT, "the arena does not hold this checkpoint");
    return 0;
}

static struct nv_image *note_image(const struct nv_name *name, enum nv_note note, const void *payload, size_t len)
{
    struct nv_image *image = nv_image_new(NVL_NOTE, sizeof(struct nvl_note) + len);
    struct nvl_note *to;

    if (!image)
        return NULL;
    to = (void *)image->payload;
    *to = (struct nvl_note){ .name = nv_name_out(name), .note = note, .len = (uint32_t)len };
    if (len)
        memcpy(to + 1, payload, len);
    return image;
}

/* Log bytes that go when this note comes. */
static uint64_t freed_by(const struct nv_entry *e, enum nv_note note)
{
    uint64_t bytes = e->notes[note] ? nvl_record_bytes(e->notes[note]->head.payload_len) : 0;

    return note == NV_NOTE_FORGOTTEN ? bytes + nv_entry_log_bytes(e) : bytes;
}

static int add_note(struct nv_arena *a, struct nv_entry *e, enum nv_note note, struct nv_image *image,
                    struct flic_err *err)
{
    uint64_t kept = note == NV_NOTE_PUBLISHED ? e->reserved : 0;
    int rc;

    a->reserved -= kept;
    e->reserved -= kept;
    rc = nv_log_change(a, image, freed_by(e, note), err);
    if (rc && kept) {
        a->reserved += kept;
        e->reserved += kept;
    }
    return rc;
}

int nv_note_add(struct nv_arena *arena, const struct nv_name *name, enum nv_note note,
                const void *payload, size_t len, struct flic_err *err)
{
    struct nv_image *image = NULL;
    struct nv_entry *e;
    int rc;

    (void)pthread_mutex_lock(&arena->lock);
    rc = check_note(nv_table_find(arena, name), note, len, err);
    if (rc)
        goto out;
    e = nv_table_reach(arena, name);
    image = e ? note_image(name, note, payload, len) : NULL;
    if (!image)
        rc = flic_err_set(err, -ENOMEM, "write a note to the arena: out of memory");
    else
        rc = add_note(arena, e, note, image, err);
    if (rc && e)
        nv_table_settle(arena, e);      /* made for this note, perhaps */

out:
    (void)pthread_mutex_unlock(&arena->lock);
    return rc;
}

int nv_note_drop(struct nv_arena *arena, const struct nv_name *name, enum nv_note note, struct flic_err *err)
{
    struct nv_entry *e;
    int rc = 0;

    if (note != NV_NOTE_FORGOTTEN && note != NV_NOTE_RESTORED && note != NV_NOTE_DESTAGED)
        return flic_err_set(err, -EINVAL, "arena note %d cannot be dropped", (int)note);
    (void)pthread_mutex_lock(&arena->lock);
    e = nv_table_find(arena, name);
    if (note == NV_NOTE_DESTAGED)
        rc = check_note(e, note, 0, err);
    if (!rc && e && e->notes[note])
        rc = nv_log_drop(arena, e, note, err);
    (void)pthread_mutex_unlock(&arena->lock);
    return rc;
}

int nv_drop_unpublished(struct nv_arena *arena, const struct nv_name *name, struct flic_err *err)
{
    struct nv_entry *e;
    int rc;

    (void)pthread_mutex_lock(&arena->lock);
    e = nv_table_find(arena, name);
    if (!e || !nv_entry_present(e))
        rc = flic_err_set(err, FLIC_E_NOCHECKPOINT, "the arena does not hold this checkpoint");
    else if (e->notes[NV_NOTE_PUBLISHED])
        rc = flic_err_set(err, FLIC_E_REFUSED, "a published checkpoint is forgotten, not dropped");
    else
        rc = nv_log_drop(arena, e, NVL_DROP_OBJECT, err);
    (void)pthread_mutex_unlock(&arena->lock);
    return rc;
}

/* ---- reading ---- */

static const void *note_view(const struct nv_entry *e, enum nv_note note, size_t *ret_len)
{
    const struct nvl_note *view;

    *ret_len = 0;
    if (!e->notes[note])
        return NULL;
    view = (const void *)e->notes[note]->payload;
    *ret_len = view->len;
    return view + 1;
}

static struct nv_object view_of(const struct nv_entry *e)
{
    struct nv_object obj = {
        .name = e->name,
        .published = nv_entry_present(e) && e->notes[NV_NOTE_PUBLISHED],
        .destaged = nv_entry_present(e) && e->notes[NV_NOTE_DESTAGED],
        .forgotten = e->notes[NV_NOTE_FORGOTTEN] != NULL,
        .present = nv_entry_present(e),
    };

    if (obj.present) {
        const struct nvl_object *on_media = (const void *)e->object->payload;

        obj.root_len = on_media->root_len;
        obj.root = e->object->payload + e->object->head.payload_len - on_media->root_len;
        obj.frames = e->n_frames;
    }
    if (obj.published)
        obj.published_note = note_view(e, NV_NOTE_PUBLISHED, &obj.published_len);
    obj.restored_note = note_view(e, NV_NOTE_RESTORED, &obj.restored_len);
    return obj;
}

int nv_each(struct nv_arena *arena, int (*see)(const struct nv_object *obj, void *arg), void *arg)
{
    int rc = 0;

    (void)pthread_mutex_lock(&arena->lock);
    for (const struct nv_entry *e = arena->first; e && !rc; e = e->next) {
        struct nv_object obj = view_of(e);

        if (obj.present || obj.forgotten || obj.restored_note)
            rc = see(&obj, arg);
    }
    (void)pthread_mutex_unlock(&arena->lock);
    return rc;
}

bool nv_pin(struct nv_arena *arena, const struct nv_name *name, struct nv_object *ret_obj)
{
    struct nv_entry *e;
    bool present;

    (void)pthread_mutex_lock(&arena->lock);
    e = nv_table_find(arena, name);
    present = e && nv_entry_present(e);
    if (present) {
        e->pins++;
        *ret_obj = view_of(e);
    }
    (void)pthread_mutex_unlock(&arena->lock);
    return present;
}

void nv_unpin(struct nv_arena *arena, const struct nv_name *name)
{
    struct nv_entry *e;

    (void)pthread_mutex_lock(&arena->lock);
    e = nv_table_find(arena, name);
    assert(e && e->pins);
    e->pins--;
    nv_table_settle(arena, e);
    (void)pthread_mutex_unlock(&arena->lock);
}

const void *nv_object_frame(struct nv_arena *arena, const struct nv_name *name, uint32_t i)
{
    const struct nv_entry *e;
    uint32_t frame;

    (void)pthread_mutex_lock(&arena->lock);
    e = nv_table_find(arena, name);
    assert(e && e->pins && i < e->n_frames);
    frame = e->frames[i];
    (void)pthread_mutex_unlock(&arena->lock);
    return arena->media->base + arena->geo.frames_at + (uint64_t)frame * FLIC_PAGE_SIZE;
}
