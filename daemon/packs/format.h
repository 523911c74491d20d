/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * format - the bytes of a pack file, version 1. All integers little-endian.
 *
 *   header (64) | frame | frame | ... | entries, sorted by id (24 each) | trailer (64)
 *
 * A frame starts at a multiple of PK_ALIGN: its head (32), one u32 per object (length | kind << 24), then the
 * objects' bytes one after the other, compressed or not, then zeros up to the next multiple. Its checksum covers
 * all of that but itself. Nothing here is trusted: each field is bounded before it is used, and an object
 * counts only when its content hashes to the id asked for.
 */
#ifndef FLIC_DAEMON_PACKS_FORMAT_H
#define FLIC_DAEMON_PACKS_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/err.h"
#include "common/id.h"
#include "daemon/packs/packs.h"

#define PK_VERSION 1u
#define PK_ALIGN 64u
#define PK_FRAME_RAW 65536u         /* bytes of objects in one frame, unless it holds a single larger object */
#define PK_FRAME_OBJECTS 256u       /* an index in a frame fits 8 bits */
#define PK_FRAME_MAGIC 0x4d524670u  /* "pFRM" */
#define PK_CODEC_RAW 0u
#define PK_CODEC_ZSTD 1u

struct pk_disk_header {
    uint8_t magic[8];
    uint32_t version;
    uint32_t number;        /* the one in the file's name */
    uint8_t store[16];      /* which secret: the id of a fixed text under it */
    uint8_t zero[24];
    uint64_t checksum;      /* of the bytes before; stays in this place in every version */
};
static_assert(sizeof(struct pk_disk_header) == 64, "on-disk size");

struct pk_disk_frame {
    uint32_t magic;
    uint32_t number;        /* pack and offset again: a frame that was written elsewhere is not this one */
    uint32_t offset;
    uint32_t packed_len;
    uint32_t raw_len;
    uint16_t objects;
    uint16_t codec;
    uint64_t checksum;
};
static_assert(sizeof(struct pk_disk_frame) == 32, "on-disk size");

struct pk_disk_entry {
    uint8_t id[16];
    uint32_t offset;        /* of the frame in the file */
    uint16_t index;         /* of the object in the frame */
    uint8_t kind;
    uint8_t zero;
};
static_assert(sizeof(struct pk_disk_entry) == 24, "on-disk size");

struct pk_disk_trailer {
    uint8_t magic[8];
    uint32_t number;
    uint32_t entries;
    uint32_t frames;
    uint32_t roots;         /* entries that are roots or tombstones */
    uint64_t footer_offset;
    uint64_t raw_bytes;     /* of all objects before compression */
    uint64_t footer_checksum;
    uint8_t zero[8];
    uint64_t checksum;      /* of the bytes before */
};
static_assert(sizeof(struct pk_disk_trailer) == 64, "on-disk size");

static inline uint64_t pk_align(uint64_t len)
{
    return (len + PK_ALIGN - 1) / PK_ALIGN * PK_ALIGN;
}

/* The longest a frame of `objects` and `raw_len` bytes can get on disk. */
static inline uint64_t pk_frame_bound(uint32_t objects, uint64_t raw_len)
{
    return pk_align(sizeof(struct pk_disk_frame) + 4ull * objects + raw_len);
}

/* What the header's `store` field holds for a secret. */
struct flic_id pk_store_mark(const struct flic_secret *secret);

void pk_header_make(struct pk_disk_header *ret, uint32_t number, const struct flic_id *mark);
/* FLIC_E_DAMAGED, FLIC_E_VERSION (newer), FLIC_E_FOREIGN. */
int pk_header_check(const struct pk_disk_header *h, uint32_t number, const struct flic_id *mark,
                    struct flic_err *err);

/* The caller fills the counts (host order); this converts, and adds magic and checksums. */
void pk_trailer_make(struct pk_disk_trailer *t, const struct pk_disk_entry *entries);
/* Checks the trailer of a file of `size` bytes and converts it to host order in place. */
int pk_trailer_check(struct pk_disk_trailer *t, uint32_t number, uint64_t size, struct flic_err *err);
/* Checks what the trailer (host order) says of the entries, each one's bounds, and their order. */
int pk_entries_check(const struct pk_disk_trailer *t, const struct pk_disk_entry *entries, struct flic_err *err);

/* qsort: by id, then by place; and by place alone. */
int pk_entry_order(const void *a, const void *b);
int pk_place_order(const void *a, const void *b);

static inline struct flic_id pk_entry_id(const struct pk_disk_entry *e)
{
    struct flic_id id;

    memcpy(id.b, e->id, sizeof(id.b));
    return id;
}

/* Checks a frame head (converted to host order in place) that was read at `offset` of pack `number`, and that it ends
 * by `limit`. The checksum comes later, with the whole frame. */
int pk_frame_check(struct pk_disk_frame *f, uint32_t number, uint32_t offset, uint32_t limit, struct flic_err *err);
/* Checksum of a whole frame (head, its checksum left out, to the end of the padding). */
uint64_t pk_frame_sum(const void *frame, size_t len);

static inline uint64_t pk_frame_len(const struct pk_disk_frame *f)
{
    return pk_frame_bound(f->objects, f->packed_len);
}

#endif
