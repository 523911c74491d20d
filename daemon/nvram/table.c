/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/nvram/arena.h"

#include <stdlib.h>
#include <string.h>

struct nv_image *nv_image_new(enum nvl_kind kind, size_t payload_len)
{
    struct nv_image *image = malloc(sizeof(*image) + payload_len);

    if (!image)
        return NULL;
    /* Also makes the pages present: the image of a commit is filled inside a pause. */
    memset(image, 0, sizeof(*image) + payload_len);
    image->size = sizeof(image->head) + payload_len;
    image->head.kind = (uint16_t)kind;
    image->head.payload_len = (uint32_t)payload_len;
    return image;
}

struct nvl_name nv_name_out(const struct nv_name *name)
{
    struct nvl_name out = { .seq = name->seq };

    memcpy(out.guest, name->guest.b, sizeof(out.guest));
    return out;
}

struct nv_name nv_name_in(const struct nvl_name *name)
{
    struct nv_name in = { .seq = name->seq };

    memcpy(in.guest.b, name->guest, sizeof(name->guest));
    return in;
}

/* ---- entries ---- */

struct nv_entry *nv_table_find(struct nv_arena *a, const struct nv_name *name)
{
    struct nv_entry *e = a->first;

    while (e && (e->name.seq != name->seq || !flic_uuid_equal(&e->name.guest, &name->guest)))
        e = e->next;
    return e;
}

void nv_table_hang(struct nv_arena *a, struct nv_entry *entry)
{
    entry->next = NULL;
    *a->last = entry;
    a->last = &entry->next;
}

struct nv_entry *nv_table_reach(struct nv_arena *a, const struct nv_name *name)
{
    struct nv_entry *e = nv_table_find(a, name);

    if (e)
        return e;
    e = calloc(1, sizeof(*e));
    if (!e) {
        a->no_memory = true;
        return NULL;
    }
    e->name = *name;
    nv_table_hang(a, e);
    return e;
}

static struct nv_entry *reach(struct nv_arena *a, const struct nvl_name *on_media)
{
    struct nv_name name = nv_name_in(on_media);

    return nv_table_reach(a, &name);
}

static void unhang(struct nv_arena *a, struct nv_entry *entry)
{
    struct nv_entry **at = &a->first;

    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    if (a->last == &entry->next)
        a->last = at;
    free(entry);
}

static void free_entry(struct nv_entry *e)
{
    free(e->object);
    free(e->frames);
    for (unsigned i = 0; i < NV_NOTES; i++)
        free(e->notes[i]);
    free(e);
}

void nv_table_free(struct nv_arena *a)
{
    struct nv_entry *next;

    for (struct nv_entry *e = a->first; e; e = next) {
        next = e->next;
        free_entry(e);
    }
    a->first = NULL;
    a->last = &a->first;
}

static uint64_t note_bytes(const struct nv_entry *e, unsigned note)
{
    return e->notes[note] ? nvl_record_bytes(e->notes[note]->head.payload_len) : 0;
}

static void free_note(struct nv_entry *e, unsigned note)
{
    free(e->notes[note]);
    e->notes[note] = NULL;
}

static void drop_note(struct nv_arena *a, struct nv_entry *e, unsigned note)
{
    a->live -= note_bytes(e, note);
    free_note(e, note);
}

static bool has_notes(const struct nv_entry *e)
{
    for (unsigned i = 0; i < NV_NOTES; i++)
        if (e->notes[i])
            return true;
    return false;
}

void nv_table_settle(struct nv_arena *a, struct nv_entry *e)
{
    if (e->dead && !e->pins) {
        nv_frames_put(&a->frames, e->frames, e->n_frames);
        free(e->frames);
        free(e->object);
        free_note(e, NV_NOTE_PUBLISHED);
        free_note(e, NV_NOTE_DESTAGED);
        e->frames = NULL;
        e->object = NULL;
        e->n_frames = 0;
        e->dead = false;
    }
    if (!e->object && !has_notes(e))
        unhang(a, e);
}

uint64_t nv_entry_log_bytes(const struct nv_entry *e)
{
    if (!nv_entry_present(e))
        return 0;
    return nvl_record_bytes(e->object->head.payload_len) + note_bytes(e, NV_NOTE_PUBLISHED) +
           note_bytes(e, NV_NOTE_DESTAGED);
}

/* In RAM the object and its two notes stay for whoever holds a pin. */
void nv_table_end_object(struct nv_arena *a, struct nv_entry *e)
{
    a->live -= nv_entry_log_bytes(e);
    a->reserved -= e->reserved;
    e->reserved = 0;
    e->dead = e->object != NULL;
}

/* ---- records ---- */

static bool set_note(struct nv_arena *a, struct nv_image *image)
{
    const struct nvl_note *note = (const void *)image->payload;
    struct nv_entry *e;

    if (image->head.payload_len < sizeof(*note) || note->len != image->head.payload_len - sizeof(*note) ||
        note->note < NV_NOTE_PUBLISHED || note->note > NV_NOTE_FORGOTTEN)
        return false;
    e = reach(a, &note->name);
    if (!e)
        return false;
    if ((note->note == NV_NOTE_PUBLISHED || note->note == NV_NOTE_DESTAGED) && !nv_entry_present(e)) {
        nv_table_settle(a, e);
        return false;   /* its object's record is gone or damaged: nothing to say this about */
    }
    drop_note(a, e, note->note);
    e->notes[note->note] = image;
    a->live += nvl_record_bytes(image->head.payload_len);
    if (note->note == NV_NOTE_PUBLISHED) {
        a->reserved -= e->reserved;
        e->reserved = 0;
    }
    if (note->note == NV_NOTE_FORGOTTEN) {
        nv_table_end_object(a, e);
        nv_table_settle(a, e);
    }
    return true;
}

static bool set_drop(struct nv_arena *a, struct nv_image *image)
{
    const struct nvl_drop *drop = (const void *)image->payload;
    struct nv_name name;
    struct nv_entry *e;

    if (image->head.payload_len != sizeof(*drop) || drop->what >= NV_NOTES)
        return false;
    name = nv_name_in(&drop->name);
    e = nv_table_find(a, &name);
    if (e && drop->what == NVL_DROP_OBJECT)
        nv_table_end_object(a, e);
    else if (e)
        drop_note(a, e, drop->what);
    if (e)
        nv_table_settle(a, e);
    free(image);
    return true;
}

bool nv_table_apply(struct nv_arena *a, struct nv_image *image)
{
    switch (image->head.kind) {
    case NVL_NOTE:
        return set_note(a, image);
    case NVL_DROP:
        return set_drop(a, image);
    default:
        return false;
    }
}

/* The frame list of an object record, or NULL when its numbers do not fit each other or the arena. */
static uint32_t *frames_of(struct nv_arena *a, const struct nv_image *image)
{
    const struct nvl_object *obj = (const void *)image->payload;
    const struct nvl_extent *ext = (const void *)(obj + 1);
    uint64_t need = sizeof(*obj), n = 0;
    uint32_t *list;

    if (image->head.payload_len < need)
        return NULL;
    need += (uint64_t)obj->extents * sizeof(*ext) + obj->root_len;
    if (image->head.payload_len != need || obj->root_len > NV_ROOT_MAX || obj->frames > a->geo.frames)
        return NULL;
    list = malloc(obj->frames * sizeof(*list) + 1);
    if (!list)
        a->no_memory = true;
    for (uint32_t i = 0; list && i < obj->extents; i++) {
        if (ext[i].first > a->geo.frames || ext[i].count > a->geo.frames - ext[i].first ||
            ext[i].count > obj->frames - n)
            break;
        for (uint32_t j = 0; j < ext[i].count; j++)
            list[n++] = ext[i].first + j;
    }
    if (list && n == obj->frames)
        return list;
    free(list);
    return NULL;
}

/* An older object that has one of these frames lost it before they were written again: the record that said so is
 * damaged. The older one is no longer whole. */
static void end_overlapped(struct nv_arena *a, uint32_t frame)
{
    struct nv_entry *next;

    for (struct nv_entry *e = a->first; e; e = next) {
        bool hit = false;

        next = e->next;
        for (uint32_t i = 0; i < e->n_frames && !hit; i++)
            hit = e->frames[i] == frame;
        if (!hit)
            continue;
        nv_table_end_object(a, e);
        nv_table_settle(a, e);
        a->damaged++;
        return;
    }
}

static bool take_frames(struct nv_arena *a, const uint32_t *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (nv_frames_mark(&a->frames, list[i]))
            continue;
        end_overlapped(a, list[i]);
        if (nv_frames_mark(&a->frames, list[i]))
            continue;
        nv_frames_put(&a->frames, list, i);     /* the record names one frame twice */
        return false;
    }
    if (n)
        a->frames.next = list[n - 1] + 1;       /* goes on wearing where it stopped */
    return true;
}

bool nv_table_apply_object(struct nv_arena *a, struct nv_image *image)
{
    const struct nvl_object *obj = (const void *)image->payload;
    uint32_t *list = frames_of(a, image);
    struct nv_entry *e;

    if (!list)
        return false;
    e = reach(a, &obj->name);
    if (!e || e->object || e->notes[NV_NOTE_FORGOTTEN] || !take_frames(a, list, obj->frames)) {
        free(list);
        if (e)
            nv_table_settle(a, e);
        return false;
    }
    e->object = image;
    e->frames = list;
    e->n_frames = obj->frames;
    a->live += nvl_record_bytes(image->head.payload_len);
    return true;
}
