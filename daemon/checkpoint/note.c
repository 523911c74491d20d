/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/note.h"

#include "common/bytes.h"
#include "common/io.h"
#include "common/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "FLICARR1"
#define NOTE_VERSION 1u
#define SIZE_MAX_BYTES (64u << 20)
#define ID_SIZE sizeof(struct flic_id)

int ck_note_write(const char *path, const struct ck_facts *facts, const struct flic_id *leaves, size_t n, struct flic_err *err)
{
    struct flic_builder b;
    int rc;

    flic_builder_init(&b);
    flic_put_bytes(&b, MAGIC, 8);
    flic_put_u32(&b, NOTE_VERSION);
    flic_put_u32(&b, (uint32_t)n);
    flic_put_bytes(&b, facts->guest.b, sizeof(facts->guest.b));
    flic_put_u64(&b, facts->gfn_end);
    flic_put_bytes(&b, facts->name, sizeof(facts->name));
    flic_put_bytes(&b, facts->arch, sizeof(facts->arch));
    flic_put_bytes(&b, leaves, n * ID_SIZE);
    if (!b.bad)
        flic_put_u64(&b, flic_checksum(b.data, b.len));
    rc = b.bad ? flic_err_set(err, -ENOMEM, "note what arrived: out of memory") : flic_publish_file(path, b.data, b.len, 0600, err);
    flic_builder_fini(&b);
    return rc;
}

static bool get_text(struct flic_reader *r, char *out, size_t room)
{
    const void *text = flic_get_bytes(r, room);

    if (!text || !memchr(text, '\0', room))
        return false;
    memcpy(out, text, room);
    return true;
}

static bool parse(struct flic_reader *r, struct ck_facts *f, uint32_t *ret_n)
{
    const void *magic = flic_get_bytes(r, 8), *guest;
    uint32_t version = flic_get_u32(r);

    *ret_n = flic_get_u32(r);
    guest = flic_get_bytes(r, sizeof(f->guest.b));
    f->gfn_end = flic_get_u64(r);
    if (r->bad || memcmp(magic, MAGIC, 8) || version != NOTE_VERSION || !f->gfn_end || f->gfn_end > CK_GFN_END_MAX ||
        *ret_n != ck_leaf_count(f->gfn_end))
        return false;
    memcpy(f->guest.b, guest, sizeof(f->guest.b));
    return get_text(r, f->name, sizeof(f->name)) && get_text(r, f->arch, sizeof(f->arch)) && r->left == *ret_n * ID_SIZE + 8;
}

int ck_note_read(const char *path, struct ck_facts *ret_facts, struct flic_id **ret_leaves, size_t *ret_n, struct flic_err *err)
{
    FLIC_AUTO_FREE void *data = NULL;
    struct flic_reader r;
    uint32_t n;
    size_t len;
    int rc = flic_load_file(path, SIZE_MAX_BYTES, &data, &len, err);

    if (rc)
        return rc;
    *ret_facts = (struct ck_facts){ 0 };
    r = flic_reader_of(data, len);
    if (!parse(&r, ret_facts, &n))
        return flic_err_set(err, FLIC_E_DAMAGED, "'%s' is not what flicd wrote there", path);
    *ret_leaves = malloc(n * ID_SIZE + 1);
    if (!*ret_leaves)
        return flic_err_set(err, -ENOMEM, "find what arrived: out of memory");
    memcpy(*ret_leaves, flic_get_bytes(&r, n * ID_SIZE), n * ID_SIZE);
    *ret_n = n;
    if (flic_get_u64(&r) == flic_checksum(data, len - 8))
        return 0;
    free(*ret_leaves);
    *ret_leaves = NULL;
    return flic_err_set(err, FLIC_E_DAMAGED, "'%s' fails its checksum", path);
}
