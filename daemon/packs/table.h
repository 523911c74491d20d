/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * table - where objects lie: 16 bytes of RAM a slot, open addressing, growing by half.
 *
 * A slot holds 76 of the id's bits, the low four of its last byte among them (so also which secret made it), and a
 * place. Several slots may have one id. A match is a hint until the content was compared. Not thread-safe.
 */
#ifndef FLIC_DAEMON_PACKS_TABLE_H
#define FLIC_DAEMON_PACKS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/id.h"

#define PK_PLACE_BITS 52
#define PK_PLACE_PACKS (1u << 24)       /* pack slots; 24 bits | 20 bits frame offset / 64 | 8 bits index */

struct pk_slot {
    uint64_t tag;       /* the id's first eight bytes */
    uint64_t where;     /* 12 more id bits, then the place; 0: free */
};

struct pk_table {
    struct pk_slot *slots;
    size_t room;
    size_t used;
};

/* A frame never lies at offset 0, so no place is 0. */
static inline uint64_t pk_place_of(uint32_t pack_slot, uint32_t offset, uint32_t index)
{
    return (uint64_t)pack_slot << 28 | (uint64_t)(offset / 64) << 8 | index;
}

static inline uint32_t pk_place_pack(uint64_t place)
{
    return (uint32_t)(place >> 28);
}

static inline uint32_t pk_place_offset(uint64_t place)
{
    return (uint32_t)((place >> 8 & 0xfffff) * 64);
}

static inline uint32_t pk_place_index(uint64_t place)
{
    return (uint32_t)(place & 0xff);
}

static inline uint64_t pk_slot_place(const struct pk_slot *slot)
{
    return slot->where & ((1ull << PK_PLACE_BITS) - 1);
}

/* Which secret made the ids that this slot can stand for. */
static inline unsigned pk_slot_try(const struct pk_slot *slot)
{
    return (unsigned)(slot->where >> PK_PLACE_BITS) & (FLIC_ID_TRIES - 1);
}

struct pk_slot pk_slot_of(const struct flic_id *id, uint64_t place);

void pk_table_fini(struct pk_table *t);
/* Room for `more` slots without allocating; -ENOMEM leaves the table as it was. */
int pk_table_reserve(struct pk_table *t, size_t more);
/* Adds a slot; -ENOMEM only without a reserve. */
int pk_table_add(struct pk_table *t, const struct pk_slot *slot);
/* Removes the slot that is equal, if there. */
void pk_table_remove(struct pk_table *t, const struct pk_slot *slot);

/* Up to `max` places of slots that match `key`'s id bits. Returns how many. */
size_t pk_table_find(const struct pk_table *t, const struct pk_slot *key, uint64_t *places, size_t max);

#endif
