/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "common/hex.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

void flic_to_hex(const void *data, size_t len, char *out)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

static uint8_t value_of(char digit)
{
    return (uint8_t)(strchr(digits, digit) - digits);
}

bool flic_from_hex(const char *text, void *out, size_t len)
{
    uint8_t *bytes = out;

    if (!text || strlen(text) != 2 * len || strspn(text, digits) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(value_of(text[2 * i]) << 4 | value_of(text[2 * i + 1]));
    return true;
}
