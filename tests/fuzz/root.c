/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* A checkpoint's root in its two forms, the page delta, a tombstone. The first byte says which. */
#include "tests/fuzz/fuzz.h"

#include "daemon/checkpoint/root.h"

#define FRAMES 600u

static void look_at_record(const uint8_t *data, size_t len)
{
    struct ck_facts facts;
    struct ck_parts parts;

    if (ck_root_parse_record(data, len, FRAMES, &facts, &parts, NULL))
        return;
    FUZZ_ASSERT(memchr(facts.name, 0, sizeof(facts.name)) && facts.gfn_end <= CK_GFN_END_MAX);
    for (int i = 0; i < 4; i++) {
        const struct ck_part *p = (const struct ck_part *[]){ &parts.state, &parts.config, &parts.leaves, &parts.delta }[i];

        FUZZ_ASSERT(p->frame <= FRAMES && p->len <= (uint64_t)(FRAMES - p->frame) * FLIC_PAGE_SIZE);
    }
}

static void look_at_flash(const uint8_t *data, size_t len)
{
    struct ck_facts facts;
    struct ck_root root;
    size_t again_len;
    void *again;

    (void)ck_root_parse_flash_facts(data, len, &facts, NULL);
    if (ck_root_parse_flash(data, len, &root, NULL))
        return;
    FUZZ_ASSERT(root.n_leaves == ck_leaf_count(root.facts.gfn_end) && !root.config[root.config_len]);
    FUZZ_ASSERT(!ck_root_encode_flash(&root, &again, &again_len));
    FUZZ_ASSERT(again_len == len && !memcmp(again, data, len));
    free(again);
    ck_root_fini(&root);
}

static void look_at_delta(const uint8_t *data, size_t len)
{
    const struct ck_facts facts = { .gfn_end = 4096 };
    struct ck_delta *delta;
    size_t n;

    if (ck_delta_parse(data, len, &facts, FRAMES, &delta, &n, NULL))
        return;
    for (size_t i = 0; i < n; i++)
        FUZZ_ASSERT(delta[i].gfn < facts.gfn_end && (delta[i].frame == CK_NO_FRAME || delta[i].frame < FRAMES) &&
                    (!i || delta[i].gfn > delta[i - 1].gfn));
    free(delta);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct flic_uuid guest;
    uint64_t seq;

    if (!len)
        return 0;
    switch (data[0] % 4) {
    case 0:
        look_at_record(data + 1, len - 1);
        break;
    case 1:
        look_at_flash(data + 1, len - 1);
        break;
    case 2:
        look_at_delta(data + 1, len - 1);
        break;
    default:
        (void)ck_tombstone_parse(data + 1, len - 1, &guest, &seq, NULL);
    }
    return 0;
}
