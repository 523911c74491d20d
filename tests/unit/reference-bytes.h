/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* A reference as docs/protocol.md writes it down, byte by byte. */
#ifndef FLIC_TESTS_REFERENCE_BYTES_H
#define FLIC_TESTS_REFERENCE_BYTES_H

#include "common/bytes.h"
#include "common/id.h"
#include "common/uuid.h"
#include "libxl-ext/reference.h"

#include <check.h>
#include <string.h>

static inline void build_reference(uint8_t out[REFERENCE_SIZE], const struct flic_uuid *guest, uint64_t seq)
{
    struct flic_builder b;
    uint8_t filler[16];

    memset(filler, 0x11, sizeof(filler));
    flic_builder_init(&b);
    flic_put_bytes(&b, "FLICREF1", 8);
    flic_put_u32(&b, 1);
    flic_put_u32(&b, REFERENCE_SIZE);
    flic_put_bytes(&b, filler, 16);         /* store */
    flic_put_bytes(&b, guest->b, 16);
    flic_put_u64(&b, seq);
    flic_put_bytes(&b, filler, 16);         /* root */
    memset(filler, 0, sizeof(filler));
    flic_put_bytes(&b, filler, 16);
    flic_put_u64(&b, flic_checksum(b.data, b.len));
    ck_assert(!b.bad && b.len == REFERENCE_SIZE);
    memcpy(out, b.data, REFERENCE_SIZE);
    flic_builder_fini(&b);
}

#endif
