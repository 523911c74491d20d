/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The machine state, of arm64 and x86: as flicd reads it from NVRAM, flash or a peer before any of it reaches the hypervisor. */
#include "tests/fuzz/fuzz.h"

#include "common/id.h"
#include "libxl-ext/flx_blob.h"

static void look(const uint8_t *data, size_t len)
{
    const struct flx_blob_machine here = { .gic = 3, .hw_gic = 3, .midr = 0x410fd083, .counter_hz = 62500000 };
    struct flx_blob blob;
    void *later, *again;
    size_t again_len;

    if (flx_blob_parse(data, len, &blob, NULL))
        return;
    FUZZ_ASSERT((const uint8_t *)blob.context >= data && (const uint8_t *)blob.context + blob.context_len <= data + len);
    FUZZ_ASSERT(blob.n_params <= FLX_BLOB_PARAMS);
    (void)flx_blob_fits(&blob, "arm64", &here, NULL);
    (void)flx_blob_fits(&blob, "x86_64", &here, NULL);
    (void)flx_blob_param(&blob, 1);
    later = flx_blob_context_later(&blob, (uint64_t)len << 40);
    free(later);
    if (!flx_blob_build(&blob, &again, &again_len, NULL)) {
        struct flx_blob twice;

        FUZZ_ASSERT(!flx_blob_parse(again, again_len, &twice, NULL));
        FUZZ_ASSERT(twice.context_len == blob.context_len && twice.vcpus == blob.vcpus && twice.gfn_end == blob.gfn_end);
        free(again);
    }
}

/* As it comes, and with a right length and sum. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    uint32_t whole = (uint32_t)len;
    uint64_t sum;

    FUZZ_ASSERT(copy);
    memcpy(copy, data, len);
    look(data, len);
    if (len >= 24) {
        memcpy(copy + 12, &whole, sizeof(whole));
        sum = flic_checksum(copy, len - 8);
        memcpy(copy + len - 8, &sum, sizeof(sum));
        look(copy, len);
    }
    free(copy);
    return 0;
}
