/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * SHA-256 from FIPS 180-4. Its constants are the first 32 bits of the fractional parts of the cube roots (round
 * constants) and square roots (start state) of the first primes; they are computed once instead of listed.
 */
#include "sha256.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#ifdef __ARM_FEATURE_SHA2
#include <arm_neon.h>
#endif

static uint32_t constants[64], initial[8];

static uint32_t fraction(long double x)
{
    return (uint32_t)((x - floorl(x)) * 4294967296.0L);
}

static void make_tables(void)
{
    unsigned found = 0;

    for (unsigned n = 2; found < 64; n++) {
        bool prime = true;

        for (unsigned d = 2; d * d <= n; d++)
            prime = prime && n % d != 0;
        if (!prime)
            continue;
        if (found < 8)
            initial[found] = fraction(sqrtl(n));
        constants[found++] = fraction(cbrtl(n));
    }
}

void sha256_init(struct sha256 *h)
{
    if (constants[0] == 0)
        make_tables();
    memcpy(h->state, initial, sizeof(h->state));
    h->size = 0;
}

#ifdef __ARM_FEATURE_SHA2
/* Under emulation the CPU's own instructions, each one host call, take a tenth of the time of the plain rounds. */
static void compress(struct sha256 *h)
{
    uint32x4_t abcd = vld1q_u32(h->state), efgh = vld1q_u32(h->state + 4), old_abcd = abcd, old_efgh = efgh, w[4];

    for (unsigned i = 0; i < 4; i++)
        w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(h->block + 16 * i)));
    for (unsigned i = 0; i < 16; i++) {
        uint32x4_t wk = vaddq_u32(w[i % 4], vld1q_u32(constants + 4 * i)), before = abcd;

        abcd = vsha256hq_u32(abcd, efgh, wk);
        efgh = vsha256h2q_u32(efgh, before, wk);
        w[i % 4] = vsha256su1q_u32(vsha256su0q_u32(w[i % 4], w[(i + 1) % 4]), w[(i + 2) % 4], w[(i + 3) % 4]);
    }
    vst1q_u32(h->state, vaddq_u32(abcd, old_abcd));
    vst1q_u32(h->state + 4, vaddq_u32(efgh, old_efgh));
}
#else
static uint32_t rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static void compress(struct sha256 *h)
{
    uint32_t w[64], v[8];

    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)h->block[4 * i] << 24 | (uint32_t)h->block[4 * i + 1] << 16 |
               (uint32_t)h->block[4 * i + 2] << 8 | h->block[4 * i + 3];
    for (unsigned i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(v, h->state, sizeof(v));
    for (unsigned i = 0; i < 64; i++) {
        uint32_t t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
                      ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[i] + w[i];
        uint32_t t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) +
                      ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

        memmove(v + 1, v, 7 * sizeof(*v));
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++)
        h->state[i] += v[i];
}
#endif

void sha256_add(struct sha256 *h, const void *data, size_t size)
{
    const uint8_t *in = data;

    while (size > 0) {
        size_t at = h->size % 64, n = size < 64 - at ? size : 64 - at;

        memcpy(h->block + at, in, n);
        h->size += n;
        in += n;
        size -= n;
        if (h->size % 64 == 0)
            compress(h);
    }
}

void sha256_end(struct sha256 *h, uint8_t digest[32])
{
    uint64_t bits = h->size * 8;
    uint8_t length[8];

    for (unsigned i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_add(h, "\x80", 1);
    while (h->size % 64 != 56)
        sha256_add(h, "", 1);
    sha256_add(h, length, 8);
    for (unsigned i = 0; i < 32; i++)
        digest[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}
