/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* uuid - sixteen bytes and their text form, nothing else. */
#ifndef FLIC_COMMON_UUID_H
#define FLIC_COMMON_UUID_H

#include <stdbool.h>
#include <stdint.h>

struct flic_uuid {
    uint8_t b[16];
};

#define FLIC_UUID_TEXT 37   /* 36 characters and a NUL */

void flic_uuid_text(const struct flic_uuid *uuid, char out[FLIC_UUID_TEXT]);
bool flic_uuid_parse(const char *text, struct flic_uuid *ret_uuid);
int flic_uuid_draw(struct flic_uuid *ret_uuid);     /* version 4; -errno when the kernel gives no bytes */

static inline bool flic_uuid_equal(const struct flic_uuid *a, const struct flic_uuid *b)
{
    return __builtin_memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

#endif
