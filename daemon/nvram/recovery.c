/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Two passes over bytes that anyone may have written: which half is in force (its generation must be found in
 * the records, because the switch word is a hash of it), then that half's records in order. A record that cannot be
 * read is stepped over line by line until one with a sound head comes.
 */
#include "daemon/nvram/arena.h"

#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum switch_state { SW_SET, SW_NEAR, SW_OPEN };

static enum switch_state switch_of(uint64_t found, uint64_t expected)
{
    if (found == expected)
        return SW_SET;
    return __builtin_popcountll(found ^ expected) <= NVL_FLIPS ? SW_NEAR : SW_OPEN;
}

/* Reads the head at `at` of a half; false when there is none that fits. */
static bool read_head(const struct nv_arena *a, unsigned half, uint64_t at, struct nvl_head *ret_head)
{
    struct nvl_head head;

    memcpy(&head, a->media->base + nv_log_at(a, half) + at, sizeof(head));
    if (head.magic != NVL_RECORD_MAGIC || head.head_sum != nvl_head_sum(a->super.salt, &head) ||
        head.payload_len > a->geo.log_bytes - at - sizeof(head))
        return false;
    *ret_head = head;
    return true;
}

/* ---- which half ---- */

static uint32_t highest_generation(const struct nv_arena *a, unsigned half)
{
    uint32_t highest = 0;
    struct nvl_head head;

    for (uint64_t at = 0; at < a->geo.log_bytes;) {
        if (!read_head(a, half, at, &head)) {
            at += NVL_LINE;
            continue;
        }
        if (head.generation > highest)
            highest = head.generation;
        at += nvl_record_bytes(head.payload_len);
    }
    return highest;
}

/* A half without a readable record is still the fresh one, or the one after the other half. */
static int find_half(struct nv_arena *a, struct flic_err *err)
{
    uint32_t seen[2] = { highest_generation(a, 0), highest_generation(a, 1) };
    int best = NVL_FLIPS + 1;
    uint64_t word;

    memcpy(&word, a->media->base + NVL_SWITCH_AT, sizeof(word));
    for (unsigned half = 0; half < 2; half++) {
        uint32_t other = half == 1 && !seen[0] ? 1 : seen[!half];
        uint32_t tries[3] = { seen[half], other + 1, half == 0 ? 1 : 2 };

        for (unsigned i = 0; i < 3; i++) {
            int wrong = __builtin_popcountll(word ^ nvl_log_switch(a->super.salt, tries[i], half));

            if (!tries[i] || wrong >= best)
                continue;
            best = wrong;
            a->half = half;
            a->generation = tries[i];
        }
    }
    if (best > NVL_FLIPS)
        return flic_err_set(err, FLIC_E_DAMAGED, "the arena's log switch is damaged, no half of the log fits it: " NVL_NEXT_STEP);
    if (best)
        a->damaged++;
    return 0;
}

/* ---- the records of that half ---- */

struct scan {
    struct nv_arena *arena;
    uint64_t at;        /* now */
    uint64_t tail;      /* behind the last committed record */
    uint64_t seq;       /* expected next */
};

static struct nv_image *read_image(struct nv_arena *a, const struct nvl_head *head, uint64_t at)
{
    struct nv_image *image = nv_image_new((enum nvl_kind)head->kind, head->payload_len);

    if (!image) {
        a->no_memory = true;
        return NULL;
    }
    image->head = *head;
    memcpy(image->payload, a->media->base + nv_log_at(a, a->half) + at + sizeof(*head), head->payload_len);
    if (flic_checksum(image->payload, head->payload_len) == head->payload_sum)
        return image;
    free(image);
    return NULL;
}

static void take_record(struct scan *s, const struct nvl_head *head)
{
    struct nv_arena *a = s->arena;
    struct nv_image *image;
    bool ok;

    if (head->kind == NVL_START)
        return;
    image = read_image(a, head, s->at);
    if (!image) {
        a->damaged++;
        return;
    }
    ok = head->kind == NVL_OBJECT ? nv_table_apply_object(a, image) : nv_table_apply(a, image);
    if (!ok) {
        a->damaged++;
        free(image);
    }
}

/* Steps over what stands at s->at. */
static void step(struct scan *s)
{
    struct nv_arena *a = s->arena;
    enum switch_state sw;
    struct nvl_head head;

    if (!read_head(a, a->half, s->at, &head) || head.generation != a->generation || head.seq < s->seq) {
        s->at += NVL_LINE;
        return;
    }
    sw = switch_of(head.sw, nvl_record_switch(head.head_sum));
    if (sw == SW_OPEN) {
        s->at += NVL_LINE;      /* never committed: the last one, when the power went */
        return;
    }
    a->damaged += (uint32_t)(head.seq - s->seq) + (sw == SW_NEAR);
    take_record(s, &head);
    s->seq = head.seq + 1;
    s->at += nvl_record_bytes(head.payload_len);
    s->tail = s->at;
}

/* A last record whose head is unreadable leaves no gap in the sequence, but its switch is not zero. */
static bool last_one_damaged(const struct scan *s)
{
    const struct nv_arena *a = s->arena;
    uint64_t sw = 0;

    if (s->tail < a->geo.log_bytes)
        memcpy(&sw, a->media->base + nv_log_at(a, a->half) + s->tail, sizeof(sw));
    return sw != 0;
}

/* What was read may so far exist only in the CPU's cache, left there by a flicd that was killed between a store and
 * its flush. Before anyone is told about it, it is made durable. */
static int make_durable(struct nv_arena *a, struct flic_err *err)
{
    nv_flush(a->media, NVL_SWITCH_AT, sizeof(uint64_t));
    nv_flush(a->media, nv_log_at(a, a->half), a->tail);
    return nv_fence_or_break(a, err);
}

int nv_recover(struct nv_arena *a, struct flic_err *err)
{
    struct scan s = { .arena = a, .seq = 1 };
    const uint8_t *base;
    bool clean;
    int rc = find_half(a, err);

    if (rc)
        return rc;
    a->live = nvl_record_bytes(0);      /* the start record, there or not */
    while (s.at < a->geo.log_bytes)
        step(&s);
    if (a->no_memory)
        return flic_err_set(err, -ENOMEM, "read the arena's log: out of memory");
    if (last_one_damaged(&s))
        a->damaged++;
    a->tail = s.tail;
    a->next_seq = s.seq;
    base = a->media->base + nv_log_at(a, a->half);
    clean = flic_is_zero(base + a->tail, a->geo.log_bytes - a->tail);
    rc = make_durable(a, err);
    /* Away from the remains of an unfinished record and from damage. The half that was read stays as it is until the
     * next compaction, for whoever wants to look at it. */
    if (!rc && (!clean || a->damaged))
        rc = nv_log_compact(a, err);
    if (a->damaged)
        flic_debug("nvram: %u damaged records in the log", a->damaged);
    return rc;
}
