/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * digest - how two phones find out that they hold the same page without showing it: BLAKE2b of 16 bytes, keyed for one connection.
 *
 * The key is made of both sides' nonces, so neither side chooses it, and a guest can forge no collision for a key that it does
 * not know. The store's own ids (common/id.h) are not cryptographic and never leave it.
 */
#ifndef FLIC_DAEMON_MIGRATE_DIGEST_H
#define FLIC_DAEMON_MIGRATE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MD_NONCE 32u
#define MD_LEAF_PAGES 512u      /* CK_LEAF_PAGES */

struct md_digest { uint8_t b[16]; };
struct md_key { uint8_t b[32]; };

/* No page; and a page of zeros, which a ring counts as. */
extern const struct md_digest MD_HOLE, MD_ZERO;

/* 0, or -EIO where the library cannot be used. Any number of times, in any thread. */
int md_init(void);
void md_draw(uint8_t nonce[MD_NONCE]);
void md_make_key(const uint8_t sender[MD_NONCE], const uint8_t receiver[MD_NONCE], struct md_key *ret_key);

struct md_digest md_of(const struct md_key *key, const void *data, size_t len);
/* Of a leaf: of its pages' digests. */
struct md_digest md_of_leaf(const struct md_key *key, const struct md_digest pages[MD_LEAF_PAGES]);

static inline bool md_equal(const struct md_digest *a, const struct md_digest *b)
{
    return __builtin_memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

#endif
