/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/nvram/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void nv_count(struct nv_arena *a, uint64_t bytes)
{
    __atomic_fetch_add(&a->bytes_written, bytes, __ATOMIC_RELAXED);
}

int nv_usable(struct nv_arena *a, struct flic_err *err)
{
    if (!a->broken)
        return 0;
    return flic_err_set(err, -EIO, "the arena failed to take a write earlier: look at the kernel's log, "
                        "then restart flicd");
}

int nv_fence_or_break(struct nv_arena *a, struct flic_err *err)
{
    int rc = nv_fence(a->media, err);

    if (rc)
        a->broken = true;
    return rc;
}

/* ---- writing one record ---- */

static uint64_t place_of(const struct nv_image *image)
{
    return nvl_record_bytes(image->head.payload_len);
}

/* Fills in everything but the switch, which it returns. */
static uint64_t seal(const struct nv_arena *a, struct nv_image *image, uint32_t generation, uint64_t seq)
{
    struct nvl_head *head = &image->head;

    head->sw = 0;
    head->magic = NVL_RECORD_MAGIC;
    head->generation = generation;
    head->seq = seq;
    head->payload_sum = flic_checksum(image->payload, head->payload_len);
    head->head_sum = nvl_head_sum(a->super.salt, head);
    return nvl_record_switch(head->head_sum);
}

/* Everything that the record refers to, and all of it but its switch, is durable before the switch is stored. */
int nv_log_append(struct nv_arena *a, struct nv_image *image, struct flic_err *err)
{
    uint64_t at = nv_log_at(a, a->half) + a->tail;
    uint64_t sw = seal(a, image, a->generation, a->next_seq);
    int rc = nv_usable(a, err);

    if (rc)
        return rc;
    assert(a->tail + place_of(image) <= a->geo.log_bytes);
    nv_store(a->media, at, &image->head, image->size);
    nv_flush(a->media, at, image->size);
    rc = nv_fence_or_break(a, err);
    if (rc)
        return rc;
    nv_store_word(a->media, at, sw);
    nv_flush(a->media, at, sizeof(sw));
    rc = nv_fence_or_break(a, err);
    if (rc)
        return rc;
    a->tail += place_of(image);
    a->next_seq++;
    nv_count(a, image->size + sizeof(sw));
    return 0;
}

/* ---- compaction ---- */

struct writer {
    struct nv_arena *arena;
    uint64_t base, at;      /* of the half that is being filled */
    uint32_t generation;
    uint64_t seq;
};

/* No switch is needed one by one: the half counts only once the log's switch word says so. */
static void rewrite(struct writer *w, struct nv_image *image)
{
    image->head.sw = seal(w->arena, image, w->generation, w->seq);
    nv_store(w->arena->media, w->base + w->at, &image->head, image->size);
    w->at += place_of(image);
    w->seq++;
    nv_count(w->arena, image->size);
}

static void rewrite_entry(struct writer *w, struct nv_entry *e)
{
    bool present = nv_entry_present(e);

    if (present)
        rewrite(w, e->object);
    for (unsigned note = NV_NOTE_PUBLISHED; note < NV_NOTES; note++)
        if (e->notes[note] && (present || note > NV_NOTE_DESTAGED))
            rewrite(w, e->notes[note]);
}

/* Reading is cheaper than writing and does not wear: only what is not zero is made so. */
static void zero_rest(struct nv_arena *a, uint64_t from, uint64_t end)
{
    static const uint8_t zeros[FLIC_PAGE_SIZE];

    while (from < end) {
        uint64_t stop = (from | (FLIC_PAGE_SIZE - 1)) + 1;
        size_t len = (size_t)((stop < end ? stop : end) - from);

        if (!flic_is_zero(a->media->base + from, len)) {
            nv_store(a->media, from, zeros, len);
            nv_count(a, len);
        }
        from += len;
    }
}

static int put_in_force(struct nv_arena *a, const struct writer *w, struct flic_err *err)
{
    unsigned half = !a->half;
    int rc;

    nv_flush(a->media, w->base, a->geo.log_bytes);
    rc = nv_fence_or_break(a, err);
    if (rc)
        return rc;
    nv_store_word(a->media, NVL_SWITCH_AT, nvl_log_switch(a->super.salt, w->generation, half));
    nv_flush(a->media, NVL_SWITCH_AT, sizeof(uint64_t));
    rc = nv_fence_or_break(a, err);
    if (rc)
        return rc;
    nv_count(a, sizeof(uint64_t));
    a->half = half;
    a->generation = w->generation;
    a->tail = w->at;
    a->next_seq = w->seq;
    return 0;
}

/* Allocates nothing and fails only with the medium: a change may already be carried out in RAM. */
int nv_log_compact(struct nv_arena *a, struct flic_err *err)
{
    struct writer w = { .arena = a, .base = nv_log_at(a, !a->half), .generation = a->generation + 1, .seq = 1 };
    struct nv_image start = { .size = sizeof(start.head), .head.kind = NVL_START };
    int rc = nv_usable(a, err);

    if (rc)
        return rc;
    rewrite(&w, &start);
    for (struct nv_entry *e = a->first; e; e = e->next)
        rewrite_entry(&w, e);
    assert(w.at == a->live && w.at <= a->geo.log_bytes);
    zero_rest(a, w.base + w.at, w.base + a->geo.log_bytes);
    return put_in_force(a, &w, err);
}

/* ---- room, and changes that may free it ---- */

/* One line less than there is: the first half has no start record, any other has. */
static uint64_t capacity(const struct nv_arena *a)
{
    return a->geo.log_bytes - NVL_LINE;
}

bool nv_log_fits(const struct nv_arena *a, uint64_t bytes)
{
    return a->live + a->reserved + bytes <= capacity(a);
}

int nv_log_room(struct nv_arena *a, uint64_t bytes, struct flic_err *err)
{
    if (a->tail + a->reserved + bytes <= capacity(a))
        return 0;
    if (nv_log_fits(a, bytes))
        return nv_log_compact(a, err);
    return flic_err_set(err, FLIC_E_NOSPACE, "the arena's log has no room for %llu bytes beside %llu in use and %llu "
                        "reserved of %llu: forget checkpoints or let them move to flash",
                        (unsigned long long)bytes, (unsigned long long)a->live,
                        (unsigned long long)a->reserved, (unsigned long long)capacity(a));
}

/* Room, log, RAM; in a full log RAM first, and the compaction that follows leaves the freed records out. */
static int carry_out(struct nv_arena *a, struct nv_image *image, bool by_freeing, struct flic_err *err)
{
    int rc = 0;

    if (!by_freeing) {
        rc = nv_log_room(a, place_of(image), err);
        if (!rc)
            rc = nv_log_append(a, image, err);
        if (rc)
            return rc;
    }
    if (!nv_table_apply(a, image))
        return flic_err_set(err, FLIC_E_INTERNAL, "an arena record that contradicts what is known");
    /* The image belongs to the table now. */
    if (by_freeing)
        (void)nv_log_compact(a, err);   /* fails only by breaking the arena, which is looked at below */
    return 0;
}

int nv_log_change(struct nv_arena *a, struct nv_image *image, uint64_t frees, struct flic_err *err)
{
    uint64_t bytes = place_of(image);
    bool may_free = bytes <= frees || image->head.kind == NVL_DROP;
    int rc = nv_usable(a, err);

    if (!rc)
        rc = carry_out(a, image, may_free && !nv_log_fits(a, bytes), err);
    if (rc)
        free(image);
    return !rc && a->broken ? -EIO : rc;
}

int nv_log_drop(struct nv_arena *a, struct nv_entry *entry, uint32_t what, struct flic_err *err)
{
    struct nv_image *image = nv_image_new(NVL_DROP, sizeof(struct nvl_drop));
    struct nvl_drop *drop;

    if (!image)
        return flic_err_set(err, -ENOMEM, "drop a record of the arena: out of memory");
    drop = (void *)image->payload;
    drop->name = nv_name_out(&entry->name);
    drop->what = what;
    return nv_log_change(a, image, 0, err);
}
