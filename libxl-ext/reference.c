/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "libxl-ext/reference.h"

#include "common/bytes.h"
#include "common/hex.h"
#include "common/id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC "FLICREF1"
#define FORMAT 1u
#define SUMMED (REFERENCE_SIZE - 8u)

bool reference_has_magic(const void *data, size_t len)
{
    return len >= 8 && !memcmp(data, MAGIC, 8);
}

int reference_check(const uint8_t reference[REFERENCE_SIZE], struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(reference + 8, 8);
    struct flic_reader tail = flic_reader_of(reference + SUMMED, 8);
    uint32_t version = flic_get_u32(&r), length = flic_get_u32(&r);

    if (!reference_has_magic(reference, REFERENCE_SIZE))
        return flic_err_set(err, FLIC_E_FOREIGN, "this is not a FLIC reference");
    if (version != FORMAT)
        return flic_err_set(err, FLIC_E_VERSION, "a FLIC reference of version %u: this build knows %u", version,
                            FORMAT);
    if (length != REFERENCE_SIZE || flic_get_u64(&tail) != flic_checksum(reference, SUMMED))
        return flic_err_set(err, FLIC_E_DAMAGED, "the FLIC reference is damaged: its checksum is wrong");
    return 0;
}

void reference_to_hex(const uint8_t reference[REFERENCE_SIZE], char out[REFERENCE_HEX])
{
    flic_to_hex(reference, REFERENCE_SIZE, out);
}

bool reference_from_hex(const char *hex, uint8_t ret_reference[REFERENCE_SIZE])
{
    return flic_from_hex(hex, ret_reference, REFERENCE_SIZE);
}

int reference_file_build(const uint8_t reference[REFERENCE_SIZE], const char *json, void **ret_bytes, size_t *ret_len,
                         struct flic_err *err)
{
    struct flic_builder b;
    void *bytes;
    size_t len;

    flic_builder_init(&b);
    flic_put_bytes(&b, reference, REFERENCE_SIZE);
    flic_put_blob(&b, json, (uint32_t)strlen(json));
    flic_put_u64(&b, b.bad ? 0 : flic_checksum(b.data, b.len));
    bytes = flic_builder_take(&b, &len);
    if (!bytes)
        return flic_err_set(err, -ENOMEM, "reference file: out of memory");
    *ret_bytes = bytes;
    *ret_len = len;
    return 0;
}

int reference_file_parse(const void *bytes, size_t len, uint8_t ret_reference[REFERENCE_SIZE], const char **ret_json,
                         size_t *ret_json_len, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(bytes, len);
    const void *reference = flic_get_bytes(&r, REFERENCE_SIZE);
    size_t json_len = 0;
    const char *json;
    int rc;

    if (!reference_has_magic(bytes, len))
        return flic_err_set(err, FLIC_E_FOREIGN, "this is not a FLIC reference file");
    if (!reference)
        return flic_err_set(err, FLIC_E_DAMAGED, "the FLIC reference file is cut short");
    rc = reference_check(reference, err);
    if (rc)
        return rc;
    json = flic_get_blob(&r, REFERENCE_FILE_MAX, &json_len);
    if (r.bad || r.left != 8 || flic_get_u64(&r) != flic_checksum(bytes, len - 8))
        return flic_err_set(err, FLIC_E_DAMAGED, "the FLIC reference file is damaged: its length or checksum is wrong");
    memcpy(ret_reference, reference, REFERENCE_SIZE);
    *ret_json = json;
    *ret_json_len = json_len;
    return 0;
}

/* ---- arguments ---- */

bool reference_is_file(const char *text)
{
    struct stat st;

    return strchr(text, '/') || (!stat(text, &st) && S_ISREG(st.st_mode));
}

static const char *number_part(const char *text)
{
    const char *at = strrchr(text, '@');

    return at && at[1] && !at[1 + strspn(at + 1, "0123456789")] ? at : NULL;
}

int reference_parse_name(const char *text, char *ret_domain, size_t room, uint64_t *ret_seq, struct flic_err *err)
{
    const char *at = number_part(text);
    size_t len = at ? (size_t)(at - text) : strlen(text);
    uint64_t seq = 0;

    if (!len || len >= room)
        return flic_err_set(err, FLIC_E_USAGE, "'%s' names no domain: give DOMAIN, DOMAIN@N or a FILE", text);
    if (at) {
        errno = 0;
        seq = strtoull(at + 1, NULL, 10);
        if (errno || !seq || seq > INT64_MAX)   /* in a message it is a signed number */
            return flic_err_set(err, FLIC_E_USAGE, "'%s': checkpoints are numbered from 1", text);
    }
    memcpy(ret_domain, text, len);
    ret_domain[len] = '\0';
    *ret_seq = seq;
    return 0;
}
