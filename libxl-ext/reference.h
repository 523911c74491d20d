/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * reference - the 96 bytes that name one checkpoint (docs/protocol.md), and FILE, which is those 96 bytes, the domain's
 * configuration and a checksum: u32 length of the JSON, the JSON, u64 XXH3-64 of all before. And how an argument names a checkpoint, for xl and
 * flic alike. Pure but for reference_is_file().
 */
#ifndef FLIC_LIBXL_EXT_REFERENCE_H
#define FLIC_LIBXL_EXT_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define REFERENCE_SIZE 96u
#define REFERENCE_HEX (2 * REFERENCE_SIZE + 1)
#define REFERENCE_FILE_MAX (1u << 20)

/* Magic, version, length and checksum; whether such a checkpoint exists is flicd's to say. FLIC_E_FOREIGN,
 * FLIC_E_VERSION, FLIC_E_DAMAGED. */
int reference_check(const uint8_t reference[REFERENCE_SIZE], struct flic_err *err);
bool reference_has_magic(const void *data, size_t len);

void reference_to_hex(const uint8_t reference[REFERENCE_SIZE], char out[REFERENCE_HEX]);
bool reference_from_hex(const char *hex, uint8_t ret_reference[REFERENCE_SIZE]);

/* Whether an argument is a FILE: it has a '/' or is a plain file here. Else it is DOMAIN or DOMAIN@N. */
bool reference_is_file(const char *text);
/* DOMAIN@N when only digits follow the last '@': a name may hold an '@' itself. *ret_seq 0: no number was given. FLIC_E_USAGE for an empty or too
 * long name or a number that is none; the outputs are unchanged then. */
int reference_parse_name(const char *text, char *ret_domain, size_t room, uint64_t *ret_seq, struct flic_err *err);

/* FILE as it stands on disk: gives *ret_bytes. -ENOMEM */
int reference_file_build(const uint8_t reference[REFERENCE_SIZE], const char *json, void **ret_bytes, size_t *ret_len,
                         struct flic_err *err);
/* FLIC_E_FOREIGN, FLIC_E_VERSION, FLIC_E_DAMAGED. The JSON is a view into `bytes`, not NUL-terminated. */
int reference_file_parse(const void *bytes, size_t len, uint8_t ret_reference[REFERENCE_SIZE], const char **ret_json,
                         size_t *ret_json_len, struct flic_err *err);

#endif
