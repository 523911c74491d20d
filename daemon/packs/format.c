/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/packs/format.h"

#include <endian.h>
#include <stddef.h>
#include <string.h>

static const char header_magic[8] = "FLICpack";
static const char trailer_magic[8] = "FLICtail";

struct flic_id pk_store_mark(const struct flic_secret *secret)
{
    static const char text[] = "FLIC: which secret this pack was written under";

    return flic_id_of(secret, 0, text, sizeof(text));
}

void pk_header_make(struct pk_disk_header *ret, uint32_t number, const struct flic_id *mark)
{
    *ret = (struct pk_disk_header){ .version = htole32(PK_VERSION), .number = htole32(number) };
    memcpy(ret->magic, header_magic, sizeof(ret->magic));
    memcpy(ret->store, mark->b, sizeof(ret->store));
    ret->checksum = htole64(flic_checksum(ret, offsetof(struct pk_disk_header, checksum)));
}

int pk_header_check(const struct pk_disk_header *h, uint32_t number, const struct flic_id *mark,
                    struct flic_err *err)
{
    uint64_t sum = flic_checksum(h, offsetof(struct pk_disk_header, checksum));

    if (memcmp(h->magic, header_magic, sizeof(h->magic)) || le64toh(h->checksum) != sum)
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x: its header is damaged", number);
    if (le32toh(h->version) != PK_VERSION)
        return flic_err_set(err, FLIC_E_VERSION, "pack %08x has format version %u, this build knows %u",
                            number, le32toh(h->version), PK_VERSION);
    if (le32toh(h->number) != number)
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x: its header says it is pack %08x",
                            number, le32toh(h->number));
    if (memcmp(h->store, mark->b, sizeof(h->store)))
        return flic_err_set(err, FLIC_E_FOREIGN, "pack %08x belongs to another store", number);
    return 0;
}

void pk_trailer_make(struct pk_disk_trailer *t, const struct pk_disk_entry *entries)
{
    size_t len = (size_t)t->entries * sizeof(*entries);

    memcpy(t->magic, trailer_magic, sizeof(t->magic));
    t->number = htole32(t->number);
    t->entries = htole32(t->entries);
    t->frames = htole32(t->frames);
    t->roots = htole32(t->roots);
    t->footer_offset = htole64(t->footer_offset);
    t->raw_bytes = htole64(t->raw_bytes);
    t->footer_checksum = htole64(flic_checksum(entries, len));
    memset(t->zero, 0, sizeof(t->zero));
    t->checksum = htole64(flic_checksum(t, offsetof(struct pk_disk_trailer, checksum)));
}

int pk_trailer_check(struct pk_disk_trailer *t, uint32_t number, uint64_t size, struct flic_err *err)
{
    uint64_t sum = flic_checksum(t, offsetof(struct pk_disk_trailer, checksum));
    uint64_t footer_len;

    if (memcmp(t->magic, trailer_magic, sizeof(t->magic)) || le64toh(t->checksum) != sum)
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x: its trailer is damaged or cut off", number);
    t->number = le32toh(t->number);
    t->entries = le32toh(t->entries);
    t->frames = le32toh(t->frames);
    t->roots = le32toh(t->roots);
    t->footer_offset = le64toh(t->footer_offset);
    t->raw_bytes = le64toh(t->raw_bytes);
    t->footer_checksum = le64toh(t->footer_checksum);
    footer_len = (uint64_t)t->entries * sizeof(struct pk_disk_entry) + sizeof(*t);
    if (t->number != number || size > PK_MAX_BYTES || footer_len > size ||
        t->footer_offset != size - footer_len || t->footer_offset % PK_ALIGN ||
        t->footer_offset <= sizeof(struct pk_disk_header) || !t->entries || t->roots > t->entries)
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x: its trailer does not fit the file", number);
    return 0;
}

static bool entry_fits(const struct pk_disk_entry *e, uint64_t footer_offset)
{
    uint32_t offset = le32toh(e->offset);

    return offset >= sizeof(struct pk_disk_header) && offset % PK_ALIGN == 0 && offset < footer_offset &&
           le16toh(e->index) < PK_FRAME_OBJECTS && e->kind >= PK_PAGE && e->kind <= PK_TOMBSTONE && !e->zero;
}

int pk_entries_check(const struct pk_disk_trailer *t, const struct pk_disk_entry *entries, struct flic_err *err)
{
    uint32_t roots = 0;

    if (flic_checksum(entries, (size_t)t->entries * sizeof(*entries)) != t->footer_checksum)
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x: its footer is damaged", t->number);
    for (uint32_t i = 0; i < t->entries; i++) {
        roots += entries[i].kind == PK_ROOT || entries[i].kind == PK_TOMBSTONE;
        if (!entry_fits(&entries[i], t->footer_offset) ||
            (i && pk_entry_order(&entries[i - 1], &entries[i]) > 0))
            return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x: footer entry %u is out of bounds or order",
                                t->number, i);
    }
    if (roots != t->roots)
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x: %u roots where its trailer says %u",
                            t->number, roots, t->roots);
    return 0;
}

int pk_place_order(const void *a, const void *b)
{
    const struct pk_disk_entry *x = a, *y = b;
    uint32_t x_at = le32toh(x->offset), y_at = le32toh(y->offset);

    if (x_at != y_at)
        return x_at < y_at ? -1 : 1;
    return (int)le16toh(x->index) - (int)le16toh(y->index);
}

int pk_entry_order(const void *a, const void *b)
{
    const struct pk_disk_entry *x = a, *y = b;
    int by_id = memcmp(x->id, y->id, sizeof(x->id));

    return by_id ? by_id : pk_place_order(a, b);
}

int pk_frame_check(struct pk_disk_frame *f, uint32_t number, uint32_t offset, uint32_t limit, struct flic_err *err)
{
    bool sound;

    f->magic = le32toh(f->magic);
    f->number = le32toh(f->number);
    f->offset = le32toh(f->offset);
    f->packed_len = le32toh(f->packed_len);
    f->raw_len = le32toh(f->raw_len);
    f->objects = le16toh(f->objects);
    f->codec = le16toh(f->codec);
    f->checksum = le64toh(f->checksum);
    sound = f->magic == PK_FRAME_MAGIC && f->number == number && f->offset == offset &&
            f->objects >= 1 && f->objects <= PK_FRAME_OBJECTS &&
            f->raw_len >= 1 && f->raw_len <= (f->objects == 1 ? PK_OBJECT_MAX : PK_FRAME_RAW) &&
            f->packed_len >= 1 && f->packed_len <= f->raw_len &&
            (f->codec == PK_CODEC_ZSTD || (f->codec == PK_CODEC_RAW && f->packed_len == f->raw_len));
    if (!sound || offset > limit || pk_frame_len(f) > limit - offset)
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x, offset %u: the frame's head is damaged", number, offset);
    return 0;
}

uint64_t pk_frame_sum(const void *frame, size_t len)
{
    uint8_t head[offsetof(struct pk_disk_frame, checksum) + sizeof(uint64_t)];
    uint64_t rest = htole64(flic_checksum((const uint8_t *)frame + sizeof(struct pk_disk_frame),
                                          len - sizeof(struct pk_disk_frame)));

    memcpy(head, frame, offsetof(struct pk_disk_frame, checksum));
    memcpy(head + offsetof(struct pk_disk_frame, checksum), &rest, sizeof(rest));
    return flic_checksum(head, sizeof(head));
}
