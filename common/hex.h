/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* hex - bytes as lower-case hex digits and back. */
#ifndef FLIC_COMMON_HEX_H
#define FLIC_COMMON_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLIC_HEX_TEXT(len) (2 * (len) + 1)      /* room for that many bytes and a NUL */

/* `out` has FLIC_HEX_TEXT(len) bytes. */
void flic_to_hex(const void *data, size_t len, char *out);
/* Exactly `len` bytes, nothing around them. `text` may be NULL; `out` is written only when it is whole. */
bool flic_from_hex(const char *text, void *out, size_t len);

#endif
