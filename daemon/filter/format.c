/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/filter/format.h"

#include "common/bytes.h"

#include <endian.h>
#include <string.h>

#define IMAGE 0x58454e46u       /* "XENF" */
#define FORMAT 3u
#define PAGE_SHIFT 12u

bool lf_type_has_bytes(unsigned type)
{
    return (type & ~(unsigned)LF_PINNED) <= LF_TABLE_MAX && type != LF_PINNED;
}

bool lf_type_is_known(unsigned type)
{
    return lf_type_has_bytes(type) || type == LF_BROKEN || type == LF_ALLOC || type == LF_NONE;
}

int lf_check_headers(const uint8_t headers[LF_HEADERS], struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(headers, LF_HEADERS);
    uint64_t marker = flic_get_u64(&r);
    uint32_t image = be32toh(flic_get_u32(&r)), version = be32toh(flic_get_u32(&r));
    uint16_t options = be16toh(flic_get_u16(&r));
    uint32_t type, shift;

    (void)flic_get_bytes(&r, 6);
    type = flic_get_u32(&r);
    shift = flic_get_u16(&r);
    if (marker != UINT64_MAX || image != IMAGE)
        return flic_err_set(err, FLIC_E_DAMAGED, "what libxc wrote is not the start of its stream");
    if (version != FORMAT)
        return flic_err_set(err, FLIC_E_VERSION, "libxc writes version %u of its stream: this build knows %u", version, FORMAT);
    if (options & 1 || shift != PAGE_SHIFT || (type != 1 && type != 2))
        return flic_err_set(err, FLIC_E_REFUSED, "libxc's stream is of a kind of guest that is not known (type %u, options %#x, page "
                            "shift %u)", type, options, shift);
    return 0;
}

struct lf_head lf_parse_head(const uint8_t head[LF_RECORD])
{
    struct flic_reader r = flic_reader_of(head, LF_RECORD);
    uint32_t type = flic_get_u32(&r);

    return (struct lf_head){ type, flic_get_u32(&r) };
}

void lf_put_head(uint8_t head[LF_RECORD], uint32_t type, uint32_t length)
{
    uint32_t both[2] = { htole32(type), htole32(length) };

    memcpy(head, both, sizeof(both));
}

bool lf_are_records(const void *bytes, size_t len, bool ended)
{
    struct flic_reader r = flic_reader_of(bytes, len);
    bool end = false;

    while (r.left && !r.bad && !end) {
        uint32_t type = flic_get_u32(&r), length = flic_get_u32(&r);

        (void)flic_get_bytes(&r, lf_padded(length));
        end = type == LF_END;
        if (type == LF_PAGE_DATA || (end && length))
            return false;
    }
    return !r.bad && !r.left && end == ended;
}
