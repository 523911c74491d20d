/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * A pack file: header, frames, footer. As it comes, and once more with its sums made right, so that what they protect is reached: frames
 * that the entries name, the entries, the trailer.
 */
#include "tests/fuzz/fuzz.h"

#include "daemon/packs/format.h"

#include <endian.h>
#include <stddef.h>

static const struct flic_secret secret;     /* a fixed one: seeds stay good */

static int see(enum pk_kind kind, const struct flic_id *id, const void *data, size_t len, void *arg)
{
    (void)arg;
    FUZZ_ASSERT(kind == PK_ROOT || kind == PK_TOMBSTONE);
    FUZZ_ASSERT(id && (data || !len) && len <= PK_OBJECT_MAX);
    return 0;
}

static int got(size_t tag, const void *page, void *arg)
{
    (void)tag;
    (void)arg;
    FUZZ_ASSERT(page);
    return 0;
}

static int read_all(const struct pk_pack_info *pack, void *arg)
{
    static uint8_t object[PK_FRAME_RAW];
    struct pk_store *store = arg;
    struct flic_id ids[32];
    size_t n = pack->run_len / sizeof(ids[0]), object_len;

    n = n < 32 ? n : 32;
    if (n)
        memcpy(ids, pack->run, n * sizeof(ids[0]));
    for (size_t i = 0; i < n; i++) {
        struct flic_id is;

        if (pk_read(store, &ids[i], object, sizeof(object), &object_len, NULL))
            continue;
        is = flic_id_of(&secret, 0, object, object_len);
        for (unsigned k = 1; k < FLIC_ID_TRIES && !flic_id_equal(&is, &ids[i]); k++)
            is = flic_id_of(&secret, k, object, object_len);
        FUZZ_ASSERT(flic_id_equal(&is, &ids[i]));
    }
    (void)pk_read_pages(store, ids, n, got, NULL, NULL);
    return 0;
}

static void look(const uint8_t *data, size_t len)
{
    struct pk_store *store;
    uint32_t from = 0;
    char dir[128];

    fuzz_file("packs/00000000.pack", data, len);
    (void)snprintf(dir, sizeof(dir), "%s/packs", fuzz_folder());
    if (pk_open(dir, &secret, &store, NULL))
        return;
    (void)pk_each_root(store, see, NULL, NULL);
    (void)pk_each_pack(store, &from, read_all, store);
    pk_close(store);
}

static void sign_frame(uint8_t *pack, size_t len, uint32_t offset)
{
    struct pk_disk_frame f;
    uint64_t whole;

    if (offset % PK_ALIGN || (uint64_t)offset + sizeof(f) > len)
        return;
    memcpy(&f, pack + offset, sizeof(f));
    f.magic = htole32(PK_FRAME_MAGIC);
    f.number = 0;
    f.offset = htole32(offset);
    whole = pk_frame_bound(le16toh(f.objects), le32toh(f.packed_len));
    memcpy(pack + offset, &f, sizeof(f));
    if (offset + whole > len)
        return;
    f.checksum = htole64(pk_frame_sum(pack + offset, (size_t)whole));
    memcpy(pack + offset, &f, sizeof(f));
}

static void sign(uint8_t *pack, size_t len)
{
    const struct flic_id mark = pk_store_mark(&secret);
    struct pk_disk_header header;
    struct pk_disk_trailer t;
    uint64_t entries, at;

    if (len < sizeof(header) + sizeof(t))
        return;
    pk_header_make(&header, 0, &mark);
    memcpy(pack, &header, sizeof(header));
    memcpy(&t, pack + len - sizeof(t), sizeof(t));
    entries = le32toh(t.entries);
    at = len - sizeof(t) - entries * sizeof(struct pk_disk_entry);
    if (entries > len / sizeof(struct pk_disk_entry) || at > len)
        return;
    for (uint64_t i = 0; i < entries && i < 64; i++) {
        struct pk_disk_entry e;

        memcpy(&e, pack + at + i * sizeof(e), sizeof(e));
        sign_frame(pack, (size_t)at, le32toh(e.offset));
    }
    t.footer_offset = htole64(at);
    t.footer_checksum = htole64(flic_checksum(pack + at, (size_t)entries * sizeof(struct pk_disk_entry)));
    t.checksum = htole64(flic_checksum(&t, offsetof(struct pk_disk_trailer, checksum)));
    memcpy(pack + len - sizeof(t), &t, sizeof(t));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    FUZZ_ASSERT(copy);
    memcpy(copy, data, len);
    look(data, len);
    sign(copy, len);
    look(copy, len);
    free(copy);
    return 0;
}
