/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * id - the identity of a page, a map leaf or any other stored object, and the secret behind it.
 *
 * An id is the XXH3-128 of the content with a secret drawn per store, in canonical (big-endian) byte
 * order. XXH3 is not cryptographic: a guest that knew the secret could forge collisions. So the secret
 * never leaves the store, and every dedup hit is byte-compared by the caller. When two different contents
 * do share an id, the second is stored under the id of the next of FLIC_ID_TRIES secrets; the low two
 * bits of the last byte say which secret made the id, so a reader can verify without being told.
 *
 * Two ids are reserved and name no stored object: FLIC_ID_HOLE (no page at this gfn) and FLIC_ID_ZERO
 * (4,096 zero bytes). A content whose hash equals one of them moves on to the next secret.
 */
#ifndef FLIC_COMMON_ID_H
#define FLIC_COMMON_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLIC_PAGE_SIZE 4096u
#define FLIC_ID_TRIES 4u
#define FLIC_SECRET_SIZE 192u   /* bytes per try; XXH3_SECRET_SIZE_MIN is 136 */

struct flic_id {
    uint8_t b[16];
};

struct flic_secret {
    uint8_t b[FLIC_ID_TRIES][FLIC_SECRET_SIZE];
};

static inline bool flic_id_equal(const struct flic_id *a, const struct flic_id *b)
{
    return __builtin_memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

extern const struct flic_id FLIC_ID_HOLE;   /* sixteen bytes of 0xff */
extern const struct flic_id FLIC_ID_ZERO;   /* sixteen bytes of 0x00 */

/* Draws a new secret from the kernel. */
int flic_secret_draw(struct flic_secret *ret_secret);

/* The id of `data` under secret number `try` (< FLIC_ID_TRIES). Never one of the reserved ids:
 * their last byte is changed within the hash bits, deterministically. */
struct flic_id flic_id_of(const struct flic_secret *secret, unsigned try_no, const void *data, size_t len);

/* Which secret made this id. */
static inline unsigned flic_id_try(const struct flic_id *id)
{
    return id->b[15] & (FLIC_ID_TRIES - 1);
}

/* True when `data` hashes to `id` under the secret that the id names. For FLIC_ID_ZERO: when it is all zero. */
bool flic_id_matches(const struct flic_secret *secret, const struct flic_id *id, const void *data, size_t len);

bool flic_is_zero(const void *data, size_t len);

/* Plain XXH3-64 without a secret: for checksums of our own records and files, never for identity. */
uint64_t flic_checksum(const void *data, size_t len);

/* The same over pieces; start with flic_checksum_begin(), any number of _add(), one _end(). */
struct flic_checksum_state;
struct flic_checksum_state *flic_checksum_begin(void);   /* gives; NULL without memory */
void flic_checksum_add(struct flic_checksum_state *state, const void *data, size_t len);
uint64_t flic_checksum_end(struct flic_checksum_state *state);   /* takes */

/* 32 lower-case hex digits and a NUL. */
#define FLIC_ID_HEX 33
void flic_id_hex(const struct flic_id *id, char out[FLIC_ID_HEX]);

#endif
