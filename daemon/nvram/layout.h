/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * layout - what stands in an arena, byte by byte. This file is the definition of the format.
 *
 *   0        superblock, first copy           never changes after nv_create()
 *   4096     superblock, second copy          the same bytes
 *   8192     switch word: which half of the log is in force
 *   12288    log, half 0   (log_bytes)
 *            log, half 1   (log_bytes)
 *            frames        (4096 bytes each, to the end)
 *
 * All numbers are little-endian. Sizes follow from size_bytes alone (nvl_geometry_of), so that a superblock
 * has nothing to lie about. A log half holds records back to back, each at a multiple of 64 bytes, and zeros
 * behind the last one. Records of one half carry its generation and count up from 1, so that a missing one shows.
 *
 * A record counts when its switch, the first 8 bytes, holds nvl_record_switch(head_sum). It is zero while the
 * rest is being written, so anything else but zero is damage. A switch that differs from the right value in at
 * most NVL_FLIPS bits is read as that value: nothing but damage makes it so, and one bad byte loses nothing.
 * The switch word of the log works the same way: nvl_log_switch() of the half in force and its generation,
 * where zero stands for half 0, generation 1, the state after creation.
 */
#ifndef FLIC_DAEMON_NVRAM_LAYOUT_H
#define FLIC_DAEMON_NVRAM_LAYOUT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/id.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the arena is little-endian and read in place");

#define NVL_MAGIC 0x3141564e43494c46ull     /* "FLICNVA1" as stored */
#define NVL_VERSION 1u
/* For who has an arena that cannot be opened any more. */
#define NVL_NEXT_STEP "checkpoints that are on flash stay, those in NVRAM alone are lost; move the arena's file away, " \
                      "or fill a device with zeros, set 'nvram_size_mib' in flicd.conf, then start flicd: it makes a new one"
#define NVL_LINE 64u                        /* records start at multiples of this */
#define NVL_FLIPS 8                         /* wrong bits that a switch survives: one bad byte */

#define NVL_SUPER_AT(copy) ((uint64_t)(copy) * FLIC_PAGE_SIZE)
#define NVL_SWITCH_AT (2ull * FLIC_PAGE_SIZE)
#define NVL_LOG_AT (3ull * FLIC_PAGE_SIZE)

#define NVL_SIZE_MIN (256ull << 10)
#define NVL_SIZE_MAX (1ull << 40)

struct nvl_super {
    uint64_t magic;
    uint32_t version;       /* place and meaning of magic, version and sum stay the same for ever */
    uint32_t page_size;
    uint64_t size_bytes;
    uint64_t log_bytes;     /* of one half */
    uint32_t frames;
    uint32_t zero;
    uint8_t arena[16];
    uint8_t store[16];
    uint64_t salt;          /* drawn; goes into every check value, so that no payload can imitate a record */
    uint64_t reserved[5];
    uint64_t sum;           /* XXH3-64 of everything before */
};
static_assert(sizeof(struct nvl_super) == 128, "superblock");

enum nvl_kind { NVL_START = 1, NVL_OBJECT = 2, NVL_NOTE = 3, NVL_DROP = 4 };

#define NVL_RECORD_MAGIC 0x4c56564eu

struct nvl_head {           /* then payload_len bytes */
    uint64_t sw;
    uint32_t magic;
    uint16_t kind;
    uint16_t zero;
    uint32_t generation;    /* of the half */
    uint32_t payload_len;
    uint64_t seq;           /* 1, 2, 3, ... within the half */
    uint64_t payload_sum;   /* XXH3-64 */
    uint64_t reserved[2];
    uint64_t head_sum;      /* XXH3-64 of the salt and the bytes between sw and here */
};
static_assert(sizeof(struct nvl_head) == NVL_LINE, "a record's head is one cache line");

struct nvl_name {
    uint8_t guest[16];
    uint64_t seq;
};

struct nvl_object {         /* then the extents, then root_len bytes */
    struct nvl_name name;
    uint32_t frames;        /* sum of the extents' counts */
    uint32_t extents;
    uint32_t root_len;
    uint32_t zero;
};
static_assert(sizeof(struct nvl_object) == 40, "object payload");

struct nvl_extent {
    uint32_t first, count;
};
static_assert(sizeof(struct nvl_extent) == 8, "extent");

struct nvl_note {           /* then len bytes */
    struct nvl_name name;
    uint32_t note;          /* enum nv_note */
    uint32_t len;
};
static_assert(sizeof(struct nvl_note) == 32, "note payload");

#define NVL_DROP_OBJECT 0u  /* the object and its PUBLISHED and DESTAGED notes */
struct nvl_drop {
    struct nvl_name name;
    uint32_t what;          /* NVL_DROP_OBJECT or an enum nv_note */
    uint32_t zero;
};
static_assert(sizeof(struct nvl_drop) == 32, "drop payload");

struct nvl_geometry {
    uint64_t size_bytes, log_bytes, frames_at;
    uint32_t frames;
};

/* The geometry of an arena on `media_bytes` of medium; false when that is less than NVL_SIZE_MIN. */
bool nvl_geometry_of(uint64_t media_bytes, struct nvl_geometry *ret_geo);

uint64_t nvl_head_sum(uint64_t salt, const struct nvl_head *head);
uint64_t nvl_record_switch(uint64_t head_sum);      /* never zero */
uint64_t nvl_log_switch(uint64_t salt, uint32_t generation, unsigned half);

/* Bytes that a record with such a payload takes in the log. */
static inline uint64_t nvl_record_bytes(uint64_t payload_len)
{
    return (sizeof(struct nvl_head) + payload_len + NVL_LINE - 1) & ~(uint64_t)(NVL_LINE - 1);
}

#endif
