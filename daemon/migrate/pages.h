/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * pages - the payloads that carry pages and bitmaps between peers, as bytes. Pure: no I/O, bounds checked, fuzzable.
 *
 *   MW_LEAF    u32 leaf, u32 1 if MW_SAME is asked for, 64 bytes present, 64 bytes zero (a subset), 16 bytes digest
 *   MW_PAGES   u32 n, n times u32 gfn, then the n pages behind one another as one zstd frame
 *   MW_ZEROS   u32 n, n times u32 gfn
 *
 * gfns are ascending. A leaf is 512 gfns; bit i of byte i / 8 is the leaf's i-th.
 */
#ifndef FLIC_DAEMON_MIGRATE_PAGES_H
#define FLIC_DAEMON_MIGRATE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/id.h"
#include "daemon/migrate/digest.h"

#define MP_BATCH 64u            /* pages in one message: 256 KiB */
#define MP_BITS (MD_LEAF_PAGES / 8)

struct mp_leaf {
    uint32_t leaf;
    bool ask;
    uint8_t present[MP_BITS], zero[MP_BITS];
    struct md_digest digest;
};
#define MP_LEAF_SIZE (8u + 2 * MP_BITS + 16u)

static inline bool mp_bit(const uint8_t *bits, unsigned i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static inline void mp_set_bit(uint8_t *bits, unsigned i)
{
    bits[i / 8] |= (uint8_t)(1u << (i % 8));
}

void mp_put_leaf(const struct mp_leaf *leaf, uint8_t out[MP_LEAF_SIZE]);
/* gfn_end: of the guest; no page may stand beyond. */
int mp_get_leaf(const void *data, size_t len, uint64_t gfn_end, struct mp_leaf *ret_leaf, struct flic_err *err);

/* What tells that nothing went wrong on the way: XXH3-64, of a page and of a leaf's sums. Not for deciding what need not be sent. */
#define MP_SUM_HOLE 0u          /* memory that nobody wrote says so: a hostile offer's size costs nothing */
uint64_t mp_sum(const void *page);      /* NULL: zeros, 1 */
uint64_t mp_sum_leaf(const uint64_t sums[MD_LEAF_PAGES]);

/* A coder: zstd's contexts and room for one batch, compressed. */
struct mp_coder;
int mp_coder_new(struct mp_coder **ret_coder, struct flic_err *err);
void mp_coder_free(struct mp_coder *coder);     /* accepts NULL */

/* n <= MP_BATCH gfns, and their pages if there are any to tell (MW_PAGES; NULL: MW_ZEROS). *ret_head and *ret_body are the coder's, until
 * the next call. */
int mp_encode(struct mp_coder *coder, const uint64_t *gfns, size_t n, const void *pages, const void **ret_head, size_t *ret_head_len,
              const void **ret_body, size_t *ret_body_len, struct flic_err *err);
/* `pages` has room for MP_BATCH pages; NULL for MW_ZEROS. */
int mp_decode(struct mp_coder *coder, const void *data, size_t len, uint64_t gfn_end, uint64_t gfns[MP_BATCH], size_t *ret_n, void *pages,
              struct flic_err *err);

#endif
