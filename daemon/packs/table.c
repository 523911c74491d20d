/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/packs/table.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_MIN 1024u

/* Full above 6/7: linear probing stays short (about 4 slots for a hit), and a million objects take under 28 MiB. */
static size_t fits(size_t room)
{
    return room / 7 * 6;
}

struct pk_slot pk_slot_of(const struct flic_id *id, uint64_t place)
{
    uint64_t more = (uint64_t)(id->b[14] & 0xff) << 4 | (id->b[15] & 0x0f);
    struct pk_slot slot = { .where = more << PK_PLACE_BITS | place };
    uint64_t tag;

    memcpy(&tag, id->b, sizeof(tag));
    slot.tag = be64toh(tag);
    return slot;
}

/* Where a tag would stand in an empty table: the tag as a fraction of the room. */
static size_t home_of(const struct pk_table *t, uint64_t tag)
{
    return (size_t)((unsigned __int128)tag * t->room >> 64);
}

static size_t next_of(const struct pk_table *t, size_t i)
{
    return i + 1 == t->room ? 0 : i + 1;
}

static void put_slot(struct pk_table *t, const struct pk_slot *slot)
{
    size_t i = home_of(t, slot->tag);

    while (t->slots[i].where)
        i = next_of(t, i);
    t->slots[i] = *slot;
    t->used++;
}

void pk_table_fini(struct pk_table *t)
{
    free(t->slots);
    *t = (struct pk_table){ 0 };
}

int pk_table_reserve(struct pk_table *t, size_t more)
{
    struct pk_table grown = { .room = t->room ? t->room : TABLE_MIN };

    if (t->slots && more <= fits(t->room) - t->used)
        return 0;
    while (fits(grown.room) < t->used + more)
        grown.room += grown.room / 2;
    grown.slots = calloc(grown.room, sizeof(*grown.slots));
    if (!grown.slots)
        return -ENOMEM;
    for (size_t i = 0; i < t->room; i++)
        if (t->slots[i].where)
            put_slot(&grown, &t->slots[i]);
    free(t->slots);
    *t = grown;
    return 0;
}

int pk_table_add(struct pk_table *t, const struct pk_slot *slot)
{
    int rc = pk_table_reserve(t, 1);

    if (!rc)
        put_slot(t, slot);
    return rc;
}

/* True when a slot whose home is `home` may not move from `from` back to the hole at `hole`: the probe from its
 * home would no longer pass the hole. */
static bool must_stay(size_t home, size_t hole, size_t from)
{
    if (hole < from)
        return home > hole && home <= from;
    return home > hole || home <= from;
}

void pk_table_remove(struct pk_table *t, const struct pk_slot *slot)
{
    size_t hole, i;

    if (!t->slots)
        return;
    hole = home_of(t, slot->tag);
    while (t->slots[hole].tag != slot->tag || t->slots[hole].where != slot->where) {
        if (!t->slots[hole].where)
            return;
        hole = next_of(t, hole);
    }
    for (i = next_of(t, hole); t->slots[i].where; i = next_of(t, i)) {
        if (must_stay(home_of(t, t->slots[i].tag), hole, i))
            continue;
        t->slots[hole] = t->slots[i];
        hole = i;
    }
    t->slots[hole] = (struct pk_slot){ 0 };
    t->used--;
}

size_t pk_table_find(const struct pk_table *t, const struct pk_slot *key, uint64_t *places, size_t max)
{
    uint64_t bits = key->where >> PK_PLACE_BITS;
    size_t n = 0;

    if (!t->slots)
        return 0;
    for (size_t i = home_of(t, key->tag); t->slots[i].where && n < max; i = next_of(t, i))
        if (t->slots[i].tag == key->tag && t->slots[i].where >> PK_PLACE_BITS == bits)
            places[n++] = pk_slot_place(&t->slots[i]);
    return n;
}
