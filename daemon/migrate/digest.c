/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/digest.h"

#include <errno.h>
#include <sodium.h>

const struct md_digest MD_HOLE = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
const struct md_digest MD_ZERO = { { 0 } };

int md_init(void)
{
    return sodium_init() < 0 ? -EIO : 0;
}

void md_draw(uint8_t nonce[MD_NONCE])
{
    randombytes_buf(nonce, MD_NONCE);
}

void md_make_key(const uint8_t sender[MD_NONCE], const uint8_t receiver[MD_NONCE], struct md_key *ret_key)
{
    static const char purpose[] = "flic peer pages 1";
    crypto_generichash_state state;

    (void)crypto_generichash_init(&state, NULL, 0, sizeof(ret_key->b));     /* these fail for wrong sizes only */
    (void)crypto_generichash_update(&state, (const unsigned char *)purpose, sizeof(purpose));
    (void)crypto_generichash_update(&state, sender, MD_NONCE);
    (void)crypto_generichash_update(&state, receiver, MD_NONCE);
    (void)crypto_generichash_final(&state, ret_key->b, sizeof(ret_key->b));
}

struct md_digest md_of(const struct md_key *key, const void *data, size_t len)
{
    struct md_digest digest;

    (void)crypto_generichash(digest.b, sizeof(digest.b), data, len, key->b, sizeof(key->b));
    return digest;
}

struct md_digest md_of_leaf(const struct md_key *key, const struct md_digest pages[MD_LEAF_PAGES])
{
    return md_of(key, pages, MD_LEAF_PAGES * sizeof(*pages));
}
