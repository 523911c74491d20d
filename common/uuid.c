/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "common/uuid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void flic_uuid_text(const struct flic_uuid *uuid, char out[FLIC_UUID_TEXT])
{
    char *at = out;

    for (size_t i = 0; i < sizeof(uuid->b); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        (void)snprintf(at, 3, "%02x", uuid->b[i]);
        at += 2;
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool flic_uuid_parse(const char *text, struct flic_uuid *ret_uuid)
{
    struct flic_uuid uuid;

    for (size_t i = 0; i < sizeof(uuid.b); i++) {
        int high, low;

        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return false;
        high = hex_value(text[0]);
        low = high < 0 ? -1 : hex_value(text[1]);
        if (low < 0)
            return false;
        uuid.b[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    if (*text)
        return false;
    *ret_uuid = uuid;
    return true;
}

int flic_uuid_draw(struct flic_uuid *ret_uuid)
{
    if (getrandom(ret_uuid->b, sizeof(ret_uuid->b), 0) != sizeof(ret_uuid->b))
        return -errno;
    ret_uuid->b[6] = (uint8_t)((ret_uuid->b[6] & 0x0f) | 0x40);
    ret_uuid->b[8] = (uint8_t)((ret_uuid->b[8] & 0x3f) | 0x80);
    return 0;
}
