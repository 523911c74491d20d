/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The 96 bytes in libxl's stream and FILE of a save: as the helper, libflicxl and flicd read them. */
#include "tests/fuzz/fuzz.h"

#include "common/hex.h"
#include "daemon/checkpoint/root.h"
#include "libxl-ext/reference.h"

/* The same with sums that are right, so that what comes behind them is reached. */
static void sign(uint8_t *file, size_t len)
{
    uint64_t sum;

    if (len < REFERENCE_SIZE + 12)
        return;
    sum = flic_checksum(file, REFERENCE_SIZE - 8);
    memcpy(file + REFERENCE_SIZE - 8, &sum, 8);
    sum = flic_checksum(file, len - 8);
    memcpy(file + len - 8, &sum, 8);
}

static void look(const uint8_t *data, size_t len)
{
    uint8_t reference[REFERENCE_SIZE];
    char hex[REFERENCE_HEX];
    const char *json;
    size_t json_len;
    struct ck_facts facts;

    (void)reference_has_magic(data, len);
    if (!reference_file_parse(data, len, reference, &json, &json_len, NULL)) {
        FUZZ_ASSERT((const uint8_t *)json >= data && (const uint8_t *)json + json_len <= data + len);
        reference_to_hex(reference, hex);
        FUZZ_ASSERT(reference_from_hex(hex, reference));
    }
    (void)ck_reference_parse(data, len, &facts, NULL);
    if (len >= REFERENCE_SIZE && !reference_check(data, NULL) && !ck_reference_parse(data, REFERENCE_SIZE, &facts, NULL))
        FUZZ_ASSERT(memchr(facts.name, 0, sizeof(facts.name)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *signed_ = malloc(len ? len : 1);

    look(data, len);
    FUZZ_ASSERT(signed_);
    memcpy(signed_, data, len);
    sign(signed_, len);
    look(signed_, len);
    free(signed_);
    return 0;
}
