/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What a peer sends of a guest's memory: leaves, pages, zeros. The first byte says which. */
#include "tests/fuzz/fuzz.h"

#include "daemon/migrate/pages.h"

#define GFN_END 5000u

static struct mp_coder *coder;

static void look_at_batch(const uint8_t *data, size_t len, bool has_pages)
{
    static uint8_t pages[MP_BATCH * FLIC_PAGE_SIZE];
    uint64_t gfns[MP_BATCH];
    size_t n;

    if (!coder)
        FUZZ_ASSERT(!mp_coder_new(&coder, NULL));
    if (mp_decode(coder, data, len, GFN_END, gfns, &n, has_pages ? pages : NULL, NULL))
        return;
    FUZZ_ASSERT(n <= MP_BATCH);
    for (size_t i = 0; i < n; i++)
        FUZZ_ASSERT(gfns[i] < GFN_END && (!i || gfns[i] > gfns[i - 1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct mp_leaf leaf;

    if (!len)
        return 0;
    if (data[0] % 3 == 0 && !mp_get_leaf(data + 1, len - 1, GFN_END, &leaf, NULL)) {
        for (unsigned i = 0; i < MD_LEAF_PAGES; i++)
            FUZZ_ASSERT(!mp_bit(leaf.present, i) || (uint64_t)leaf.leaf * MD_LEAF_PAGES + i < GFN_END);
        for (unsigned i = 0; i < MP_BITS; i++)
            FUZZ_ASSERT(!(leaf.zero[i] & ~leaf.present[i]));
    } else if (data[0] % 3) {
        look_at_batch(data + 1, len - 1, data[0] % 3 == 1);
    }
    return 0;
}
