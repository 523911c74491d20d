/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "common/bytes.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

struct flic_reader flic_reader_of(const void *data, size_t len)
{
    return (struct flic_reader){ .at = data, .left = len };
}

const void *flic_get_bytes(struct flic_reader *r, size_t len)
{
    const uint8_t *at = r->at;

    if (r->bad || len > r->left) {
        r->bad = true;
        return NULL;
    }
    r->at += len;
    r->left -= len;
    return at;
}

/* Copies the next len bytes to v, or leaves v alone (the caller set it to zero). */
static void get_le(struct flic_reader *r, void *v, size_t len)
{
    const void *at = flic_get_bytes(r, len);

    if (at)
        memcpy(v, at, len);
}

uint8_t flic_get_u8(struct flic_reader *r)
{
    uint8_t v = 0;

    get_le(r, &v, sizeof(v));
    return v;
}

uint16_t flic_get_u16(struct flic_reader *r)
{
    uint16_t v = 0;

    get_le(r, &v, sizeof(v));
    return le16toh(v);
}

uint32_t flic_get_u32(struct flic_reader *r)
{
    uint32_t v = 0;

    get_le(r, &v, sizeof(v));
    return le32toh(v);
}

uint64_t flic_get_u64(struct flic_reader *r)
{
    uint64_t v = 0;

    get_le(r, &v, sizeof(v));
    return le64toh(v);
}

const void *flic_get_blob(struct flic_reader *r, size_t max, size_t *ret_len)
{
    uint32_t len = flic_get_u32(r);
    const void *at;

    if (len > max)
        r->bad = true;
    at = flic_get_bytes(r, len);
    *ret_len = at ? len : 0;
    return at;
}

void flic_builder_init(struct flic_builder *b)
{
    *b = (struct flic_builder){ 0 };
}

void flic_builder_fini(struct flic_builder *b)
{
    free(b->data);
    flic_builder_init(b);
}

static bool make_room(struct flic_builder *b, size_t len)
{
    size_t room = b->room ? b->room : 256;
    uint8_t *grown;

    if (b->bad || len > SIZE_MAX / 2 - b->len)
        return !(b->bad = true);
    while (room < b->len + len)
        room *= 2;
    if (room == b->room)
        return true;
    grown = realloc(b->data, room);
    if (!grown)
        return !(b->bad = true);
    b->data = grown;
    b->room = room;
    return true;
}

void flic_put_bytes(struct flic_builder *b, const void *data, size_t len)
{
    if (!len || !make_room(b, len))
        return;
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

void flic_put_u8(struct flic_builder *b, uint8_t v)
{
    flic_put_bytes(b, &v, sizeof(v));
}

void flic_put_u16(struct flic_builder *b, uint16_t v)
{
    v = htole16(v);
    flic_put_bytes(b, &v, sizeof(v));
}

void flic_put_u32(struct flic_builder *b, uint32_t v)
{
    v = htole32(v);
    flic_put_bytes(b, &v, sizeof(v));
}

void flic_put_u64(struct flic_builder *b, uint64_t v)
{
    v = htole64(v);
    flic_put_bytes(b, &v, sizeof(v));
}

void flic_put_blob(struct flic_builder *b, const void *data, uint32_t len)
{
    flic_put_u32(b, len);
    flic_put_bytes(b, data, len);
}

uint8_t *flic_builder_take(struct flic_builder *b, size_t *ret_len)
{
    uint8_t *data = b->bad ? NULL : b->data;

    *ret_len = data ? b->len : 0;
    if (!data)
        free(b->data);
    flic_builder_init(b);
    return data;
}
