/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/pages.h"

#include "common/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define LEVEL 1                 /* the link is to be kept busy, not the CPU */

struct mp_coder {
    ZSTD_CCtx *encode;
    ZSTD_DCtx *decode;
    uint8_t head[4 + 4 * MP_BATCH];
    size_t room;
    uint8_t body[];
};

/* ---- leaves ---- */

static void put_u32(uint8_t *out, uint32_t v)
{
    for (size_t i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> 8 * i);
}

void mp_put_leaf(const struct mp_leaf *leaf, uint8_t out[MP_LEAF_SIZE])
{
    put_u32(out, leaf->leaf);
    put_u32(out + 4, leaf->ask);
    memcpy(out + 8, leaf->present, MP_BITS);
    memcpy(out + 8 + MP_BITS, leaf->zero, MP_BITS);
    memcpy(out + 8 + 2 * MP_BITS, leaf->digest.b, sizeof(leaf->digest.b));
}

int mp_get_leaf(const void *data, size_t len, uint64_t gfn_end, struct mp_leaf *ret, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(data, len);
    const uint8_t *present, *zero, *digest;
    uint32_t ask;

    ret->leaf = flic_get_u32(&r);
    ask = flic_get_u32(&r);
    present = flic_get_bytes(&r, MP_BITS);
    zero = flic_get_bytes(&r, MP_BITS);
    digest = flic_get_bytes(&r, sizeof(ret->digest.b));
    if (r.bad || r.left || ask > 1 || (uint64_t)ret->leaf * MD_LEAF_PAGES >= gfn_end)
        return flic_err_set(err, FLIC_E_PROTOCOL, "the peer sent what is no leaf");
    ret->ask = ask;
    memcpy(ret->present, present, MP_BITS);
    memcpy(ret->zero, zero, MP_BITS);
    memcpy(ret->digest.b, digest, sizeof(ret->digest.b));
    for (unsigned i = 0; i < MD_LEAF_PAGES; i++)
        if ((mp_bit(present, i) && (uint64_t)ret->leaf * MD_LEAF_PAGES + i >= gfn_end) || (mp_bit(zero, i) && !mp_bit(present, i)))
            return flic_err_set(err, FLIC_E_PROTOCOL, "the peer sent a leaf with pages where the guest has none");
    return 0;
}

uint64_t mp_sum(const void *page)
{
    return page ? flic_checksum(page, FLIC_PAGE_SIZE) : 1;
}

uint64_t mp_sum_leaf(const uint64_t sums[MD_LEAF_PAGES])
{
    return flic_checksum(sums, MD_LEAF_PAGES * sizeof(*sums));
}

/* ---- pages ---- */

int mp_coder_new(struct mp_coder **ret_coder, struct flic_err *err)
{
    size_t room = ZSTD_compressBound((size_t)MP_BATCH * FLIC_PAGE_SIZE);
    struct mp_coder *c = malloc(sizeof(*c) + room);

    if (c) {
        *c = (struct mp_coder){ .encode = ZSTD_createCCtx(), .decode = ZSTD_createDCtx(), .room = room };
        if (c->encode && c->decode) {
            *ret_coder = c;
            return 0;
        }
    }
    mp_coder_free(c);
    return flic_err_set(err, -ENOMEM, "send pages: out of memory");
}

void mp_coder_free(struct mp_coder *c)
{
    if (!c)
        return;
    (void)ZSTD_freeCCtx(c->encode);
    (void)ZSTD_freeDCtx(c->decode);
    free(c);
}

int mp_encode(struct mp_coder *c, const uint64_t *gfns, size_t n, const void *pages, const void **ret_head, size_t *ret_head_len,
              const void **ret_body, size_t *ret_body_len, struct flic_err *err)
{
    size_t len = 0;

    put_u32(c->head, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        put_u32(c->head + 4 + 4 * i, (uint32_t)gfns[i]);
    if (pages)
        len = ZSTD_compressCCtx(c->encode, c->body, c->room, pages, n * FLIC_PAGE_SIZE, LEVEL);
    if (ZSTD_isError(len))
        return flic_err_set(err, FLIC_E_INTERNAL, "compress pages: %s", ZSTD_getErrorName(len));
    *ret_head = c->head;
    *ret_head_len = 4 + 4 * n;
    *ret_body = c->body;
    *ret_body_len = len;
    return 0;
}

static int bad_pages(struct flic_err *err)
{
    return flic_err_set(err, FLIC_E_PROTOCOL, "the peer sent pages that are none");
}

int mp_decode(struct mp_coder *c, const void *data, size_t len, uint64_t gfn_end, uint64_t gfns[MP_BATCH], size_t *ret_n, void *pages,
              struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(data, len);
    uint32_t n = flic_get_u32(&r);
    size_t got;

    if (r.bad || !n || n > MP_BATCH)
        return bad_pages(err);
    for (uint32_t i = 0; i < n; i++) {
        gfns[i] = flic_get_u32(&r);
        if (gfns[i] >= gfn_end || (i && gfns[i] <= gfns[i - 1]))
            return bad_pages(err);
    }
    *ret_n = n;
    if (r.bad || (!pages && r.left))
        return bad_pages(err);
    if (!pages)
        return 0;
    got = ZSTD_decompressDCtx(c->decode, pages, (size_t)n * FLIC_PAGE_SIZE, r.at, r.left);
    return ZSTD_isError(got) || got != (size_t)n * FLIC_PAGE_SIZE ? bad_pages(err) : 0;
}
