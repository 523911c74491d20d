/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "cli/target.h"

#include "common/bytes.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/uuid.h"

#include <string.h>

/* docs/protocol.md, "The reference": magic, version, length, store uuid, guest uuid, sequence number. */
#define GUEST_OFFSET 32u
#define FILE_ROOM (REFERENCE_FILE_MAX + 4096u)

static int parse_file(const char *path, struct target *target, struct flic_err *err)
{
    uint8_t reference[REFERENCE_SIZE];
    struct flic_uuid guest;
    FLIC_AUTO_FREE void *bytes = NULL;
    struct flic_reader r;
    const char *json;
    size_t len, json_len;
    int rc;

    rc = flic_load_file(path, FILE_ROOM, &bytes, &len, err);
    if (rc)
        return rc;
    rc = reference_file_parse(bytes, len, reference, &json, &json_len, err);
    if (rc)
        return flic_err_wrap(err, rc, "%s", path);
    r = flic_reader_of(reference + GUEST_OFFSET, sizeof(guest.b) + 8);
    memcpy(guest.b, flic_get_bytes(&r, sizeof(guest.b)), sizeof(guest.b));
    target->seq = flic_get_u64(&r);
    target->from_file = true;
    flic_uuid_text(&guest, target->domain);
    reference_to_hex(reference, target->reference);
    return 0;
}

int target_parse(const char *text, struct target *ret_target, struct flic_err *err)
{
    struct target target = { .seq = 0 };
    int rc = reference_is_file(text) ? parse_file(text, &target, err)
                                     : reference_parse_name(text, target.domain, sizeof(target.domain), &target.seq, err);

    if (!rc)
        *ret_target = target;
    return rc;
}
