/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The only file that includes xxhash.h. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/id.h"

#include "common/hex.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

static_assert(FLIC_SECRET_SIZE >= XXH3_SECRET_SIZE_MIN, "secret shorter than XXH3 asks for");
static_assert(sizeof(struct flic_id) == 16, "ids are 16 bytes on every medium");

const struct flic_id FLIC_ID_ZERO = { { 0 } };
const struct flic_id FLIC_ID_HOLE = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };

int flic_secret_draw(struct flic_secret *ret_secret)
{
    struct flic_secret drawn;
    uint8_t *at = drawn.b[0];
    size_t left = sizeof(drawn);

    while (left) {
        ssize_t n = getrandom(at, left, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        left -= (size_t)n;
    }
    *ret_secret = drawn;
    return 0;
}

struct flic_id flic_id_of(const struct flic_secret *secret, unsigned try_no, const void *data, size_t len)
{
    XXH128_canonical_t canon;
    struct flic_id id;

    try_no &= FLIC_ID_TRIES - 1;
    XXH128_canonicalFromHash(&canon, XXH3_128bits_withSecret(data, len, secret->b[try_no], FLIC_SECRET_SIZE));
    memcpy(id.b, canon.digest, sizeof(id.b));
    id.b[15] = (uint8_t)((id.b[15] & ~(FLIC_ID_TRIES - 1)) | try_no);
    if (flic_id_equal(&id, &FLIC_ID_ZERO) || flic_id_equal(&id, &FLIC_ID_HOLE))
        id.b[0] ^= 0x80;
    return id;
}

bool flic_is_zero(const void *data, size_t len)
{
    const unsigned char *p = data;

    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

bool flic_id_matches(const struct flic_secret *secret, const struct flic_id *id, const void *data, size_t len)
{
    struct flic_id got;

    if (flic_id_equal(id, &FLIC_ID_ZERO))
        return flic_is_zero(data, len);
    if (flic_id_equal(id, &FLIC_ID_HOLE))
        return false;
    got = flic_id_of(secret, flic_id_try(id), data, len);
    return flic_id_equal(&got, id);
}

uint64_t flic_checksum(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

struct flic_checksum_state *flic_checksum_begin(void)
{
    XXH3_state_t *state = XXH3_createState();

    if (state)
        (void)XXH3_64bits_reset(state);     /* cannot fail on a live state */
    return (struct flic_checksum_state *)state;
}

void flic_checksum_add(struct flic_checksum_state *state, const void *data, size_t len)
{
    (void)XXH3_64bits_update((XXH3_state_t *)state, data, len);     /* fails only for NULL data */
}

uint64_t flic_checksum_end(struct flic_checksum_state *state)
{
    uint64_t sum = XXH3_64bits_digest((XXH3_state_t *)state);

    (void)XXH3_freeState((XXH3_state_t *)state);
    return sum;
}

void flic_id_hex(const struct flic_id *id, char out[FLIC_ID_HEX])
{
    flic_to_hex(id->b, sizeof(id->b), out);
}
