/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "ctx-blob.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ctx_die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("ctx-tool: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(2);
}

int ctx_get(xc_interface *xch, uint32_t domid, struct ctx_blob *ret_blob)
{
    int size = xc_domain_hvm_getcontext(xch, domid, NULL, 0);

    if (size < 0)
        return -errno;
    if ((uint32_t)size > CTX_MAX)
        ctx_die("a context of %d bytes", size);
    size = xc_domain_hvm_getcontext(xch, domid, ret_blob->data, size);
    if (size < 0)
        return -errno;
    ret_blob->size = size;
    return 0;
}

int ctx_set(xc_interface *xch, uint32_t domid, const struct ctx_blob *blob)
{
    /* libxc takes a writable pointer but only reads through it. */
    return xc_domain_hvm_setcontext(xch, domid, (uint8_t *)blob->data, blob->size) ? -errno : 0;
}

int ctx_get_one(xc_interface *xch, uint32_t domid, unsigned type, unsigned instance, void *body, uint32_t room)
{
    return xc_domain_hvm_getcontext_partial(xch, domid, type, instance, body, room) ? -errno : 0;
}

void ctx_read_file(const char *path, struct ctx_blob *ret_blob)
{
    FILE *file = fopen(path, "rb");

    if (!file)
        ctx_die("%s: %s", path, strerror(errno));
    ret_blob->size = fread(ret_blob->data, 1, CTX_MAX, file);
    if (ferror(file) || !feof(file))
        ctx_die("%s: unreadable or longer than any context", path);
    fclose(file);
}

void ctx_write_file(const char *path, const struct ctx_blob *blob)
{
    FILE *file = fopen(path, "wb");

    if (!file || fwrite(blob->data, 1, blob->size, file) != blob->size || fclose(file))
        ctx_die("%s: %s", path, strerror(errno));
}

struct hvm_save_descriptor *ctx_nth(struct ctx_blob *blob, unsigned n)
{
    uint32_t at = 0;

    while (blob->size - at >= sizeof(struct hvm_save_descriptor)) {
        struct hvm_save_descriptor *desc = (void *)(blob->data + at);

        if (!n--)
            return desc;
        at += sizeof(*desc);
        if (desc->length > blob->size - at)
            break;
        at += desc->length;
    }
    return NULL;
}

struct hvm_save_descriptor *ctx_find(struct ctx_blob *blob, unsigned type, unsigned instance)
{
    struct hvm_save_descriptor *desc;

    for (unsigned n = 0; (desc = ctx_nth(blob, n)); n++)
        if (desc->typecode == type && desc->instance == instance)
            return desc;
    return NULL;
}

void *ctx_body(struct ctx_blob *blob, unsigned type, unsigned instance)
{
    struct hvm_save_descriptor *desc = ctx_find(blob, type, instance);

    if (!desc)
        ctx_die("the context has no record %u/%u", type, instance);
    return desc + 1;
}
