/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/known.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 4096u

struct slot { struct md_digest digest; struct flic_id id; };

struct mk_known {
    struct slot *slots;         /* open addressing; one whose id is HOLE is free. A power of two, at most three quarters full */
    size_t room, n;
};

static struct slot *make(size_t room)
{
    struct slot *slots = malloc(room * sizeof(*slots));

    if (slots)
        memset(slots, 0xff, room * sizeof(*slots));
    return slots;
}

static bool is_free(const struct slot *slot)
{
    return flic_id_equal(&slot->id, &FLIC_ID_HOLE);
}

struct mk_known *mk_new(void)
{
    struct mk_known *k = calloc(1, sizeof(*k));

    if (k && !(k->slots = make(ROOM_FIRST))) {
        free(k);
        return NULL;
    }
    if (k)
        k->room = ROOM_FIRST;
    return k;
}

void mk_free(struct mk_known *k)
{
    if (k)
        free(k->slots);
    free(k);
}

/* Digests are as good as random. */
static struct slot *place(struct slot *slots, size_t room, const struct md_digest *digest)
{
    uint64_t at;

    memcpy(&at, digest->b, sizeof(at));
    for (;; at++) {
        struct slot *slot = &slots[at & (room - 1)];

        if (is_free(slot) || md_equal(&slot->digest, digest))
            return slot;
    }
}

static bool grow(struct mk_known *k)
{
    struct slot *bigger = make(k->room * 2);

    if (!bigger)
        return false;
    for (size_t i = 0; i < k->room; i++)
        if (!is_free(&k->slots[i]))
            *place(bigger, k->room * 2, &k->slots[i].digest) = k->slots[i];
    free(k->slots);
    k->slots = bigger;
    k->room *= 2;
    return true;
}

void mk_add(struct mk_known *k, const struct md_digest *digest, const struct flic_id *id)
{
    struct slot *slot;

    if (k->n >= MK_MAX || (4 * (k->n + 1) > 3 * k->room && !grow(k)))
        return;
    slot = place(k->slots, k->room, digest);
    if (!is_free(slot))
        return;
    *slot = (struct slot){ *digest, *id };
    k->n++;
}

bool mk_find(const struct mk_known *k, const struct md_digest *digest, struct flic_id *ret_id)
{
    const struct slot *slot = place(k->slots, k->room, digest);

    if (is_free(slot))
        return false;
    *ret_id = slot->id;
    return true;
}

size_t mk_count(const struct mk_known *k) { return k->n; }
