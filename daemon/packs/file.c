/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* From objects to frames, from frames to a pack file. */
#include "daemon/packs/writer.h"

#include "common/io.h"
#include "common/mem.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

#define ZSTD_LEVEL 1
#define WRITE_BACK (4u << 20)   /* dirty page cache of a pack being written stays below about twice this */

static struct pk_pack *current(struct pk_writer *w)
{
    return &w->packs[w->n_packs - 1];
}

/* Counts what reached the file even when the write failed half way. */
static void count_partial(struct pk_writer *w, uint64_t offset)
{
    struct stat st;

    if (!fstat(w->out.fd, &st) && (uint64_t)st.st_size > offset)
        w->stats.flash_bytes += (uint64_t)st.st_size - offset;
}

static int write_at(struct pk_writer *w, const void *data, size_t len, uint64_t offset, struct flic_err *err)
{
    int rc = flic_pwrite_all(w->out.fd, data, len, offset);

    if (rc) {
        count_partial(w, offset);
        return pk_io_error(err, rc, w->store, "write", current(w)->number, len);
    }
    w->stats.flash_bytes += len;
    return 0;
}

/* Keeps the page cache small while a long pack is written: starts write-back of the newest part, drops the part
 * before it. Advice only: the fsync at the end is what counts, so errors are left to it. */
static void write_back(struct pk_out *out)
{
    if (out->pos - out->started < WRITE_BACK)
        return;
    (void)sync_file_range(out->fd, out->started, out->pos - out->started, SYNC_FILE_RANGE_WRITE);
    if (out->started > out->cleaned)    /* a length of 0 would mean the whole file */
        (void)posix_fadvise(out->fd, out->cleaned, out->started - out->cleaned, POSIX_FADV_DONTNEED);
    out->cleaned = out->started;
    out->started = out->pos;
}

/* ---- frames ---- */

static int frame_room(struct pk_writer *w, size_t room, struct flic_err *err)
{
    uint8_t *grown;

    if (room <= w->frame_room)
        return 0;
    grown = realloc(w->frame, room);
    if (!grown)
        return flic_err_set(err, -ENOMEM, "write a frame of %zu bytes: out of memory", room);
    w->frame = grown;
    w->frame_room = room;
    return 0;
}

/* Fills `at` with the packed form of the data; returns its length and the codec. Raw when zstd does not gain. */
static uint32_t pack_data(struct pk_writer *w, uint8_t *at, const void *data, uint32_t len, uint16_t *ret_codec)
{
    size_t packed = ZSTD_compressCCtx(w->cctx, at, len, data, len, ZSTD_LEVEL);

    *ret_codec = PK_CODEC_ZSTD;
    if (!ZSTD_isError(packed) && packed < len)
        return (uint32_t)packed;
    *ret_codec = PK_CODEC_RAW;      /* "does not fit the room" is how zstd says that it does not gain */
    memcpy(at, data, len);
    return len;
}

static int write_frame(struct pk_writer *w, const uint32_t *list, uint32_t n, const void *data, uint32_t len,
                       struct flic_err *err)
{
    struct pk_disk_frame head = { .magic = htole32(PK_FRAME_MAGIC), .number = htole32(current(w)->number),
                                  .offset = htole32(w->out.pos), .raw_len = htole32(len),
                                  .objects = htole16((uint16_t)n) };
    size_t list_len = n * sizeof(*list), used, total;
    uint32_t packed;
    uint16_t codec;
    int rc = frame_room(w, pk_frame_bound(n, len), err);

    if (rc)
        return rc;
    packed = pack_data(w, w->frame + sizeof(head) + list_len, data, len, &codec);
    used = sizeof(head) + list_len + packed;
    total = pk_align(used);
    head.packed_len = htole32(packed);
    head.codec = htole16(codec);
    memcpy(w->frame, &head, sizeof(head));
    memcpy(w->frame + sizeof(head), list, list_len);
    memset(w->frame + used, 0, total - used);
    head.checksum = htole64(pk_frame_sum(w->frame, total));
    memcpy(w->frame, &head, sizeof(head));
    rc = write_at(w, w->frame, total, w->out.pos, err);
    if (rc)
        return rc;
    w->out.pos += (uint32_t)total;
    w->out.frames++;
    write_back(&w->out);
    return 0;
}

static int flush_pending(struct pk_writer *w, struct flic_err *err)
{
    int rc;

    if (!w->pending.n)
        return 0;
    rc = write_frame(w, w->pending.list, w->pending.n, w->pending.data, w->pending.len, err);
    if (!rc)
        w->pending.n = w->pending.len = 0;
    return rc;
}

/* ---- packs ---- */

static int add_current(struct pk_writer *w, struct flic_err *err)
{
    if (w->n_packs == PK_PLACE_PACKS)
        return flic_err_set(err, FLIC_E_FULL_TABLE, "one operation writes more than %u packs", PK_PLACE_PACKS);
    if (w->n_packs == w->room_packs) {
        uint32_t room = w->room_packs ? w->room_packs * 2 : 4;
        struct pk_pack *grown = realloc(w->packs, room * sizeof(*grown));

        if (!grown)
            return flic_err_set(err, -ENOMEM, "start a pack: out of memory");
        w->packs = grown;
        w->room_packs = room;
    }
    pthread_mutex_lock(&w->store->lock);
    w->packs[w->n_packs++] = (struct pk_pack){ .number = w->store->next_number++ };
    pthread_mutex_unlock(&w->store->lock);
    return 0;
}

static int start_pack(struct pk_writer *w, struct flic_err *err)
{
    struct pk_disk_header header;
    char name[PK_NAME];
    int rc = add_current(w, err);

    if (rc)
        return rc;
    pk_name(name, current(w)->number, false);
    w->out.fd = openat(w->store->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w->out.fd < 0)
        return pk_io_error(err, -errno, w->store, "create", current(w)->number, sizeof(header));
    pk_header_make(&header, current(w)->number, &w->store->mark);
    w->out.pos = sizeof(header);
    return write_at(w, &header, sizeof(header), 0, err);
}

/* Whether the current pack, with one more object in the pending frame, still ends within PK_MAX_BYTES. */
static bool pack_takes(const struct pk_writer *w, size_t len)
{
    uint64_t frame = w->pending.n == PK_FRAME_OBJECTS || w->pending.len + len > PK_FRAME_RAW
                   ? pk_frame_bound(w->pending.n, w->pending.len) + pk_frame_bound(1, len)
                   : pk_frame_bound(w->pending.n + 1, w->pending.len + len);
    uint64_t footer = (w->out.n_entries + 1ull) * sizeof(struct pk_disk_entry) + sizeof(struct pk_disk_trailer);

    return w->out.pos + frame + footer <= PK_MAX_BYTES;
}

static int entry_room(struct pk_out *out, struct flic_err *err)
{
    uint32_t room = out->room_entries ? out->room_entries * 2 : 256;
    struct pk_disk_entry *grown;

    if (out->n_entries < out->room_entries)
        return 0;
    grown = realloc(out->entries, room * sizeof(*grown));
    if (!grown)
        return flic_err_set(err, -ENOMEM, "list %u objects of a pack: out of memory", room);
    out->entries = grown;
    out->room_entries = room;
    return 0;
}

int pk_out_prepare(struct pk_writer *w, size_t len, struct flic_err *err)
{
    int rc = 0;

    if (w->out.fd >= 0 && !pack_takes(w, len))
        rc = pk_out_finish(w, err);
    else if (w->pending.n == PK_FRAME_OBJECTS || w->pending.len + len > PK_FRAME_RAW)
        rc = flush_pending(w, err);
    if (!rc && w->out.fd < 0)
        rc = start_pack(w, err);
    if (!rc)
        rc = entry_room(&w->out, err);
    return rc;
}

int pk_out_add(struct pk_writer *w, const struct flic_id *id, enum pk_kind kind, const void *data, size_t len,
               uint64_t *ret_place, struct flic_err *err)
{
    struct pk_disk_entry *e = &w->out.entries[w->out.n_entries];
    uint32_t word = htole32((uint32_t)len | (uint32_t)kind << 24);
    uint32_t offset = w->out.pos, index = w->pending.n;
    int rc = 0;

    if (len > PK_FRAME_RAW) {
        index = 0;      /* alone in its frame: pk_out_prepare() flushed what was pending */
        rc = write_frame(w, &word, 1, data, (uint32_t)len, err);
    } else {
        memcpy(w->pending.data + w->pending.len, data, len);
        w->pending.list[w->pending.n++] = word;
        w->pending.len += (uint32_t)len;
    }
    if (rc)
        return rc;
    *e = (struct pk_disk_entry){ .offset = htole32(offset), .index = htole16((uint16_t)index),
                                 .kind = (uint8_t)kind };
    memcpy(e->id, id->b, sizeof(e->id));
    w->out.n_entries++;
    w->out.roots += kind == PK_ROOT || kind == PK_TOMBSTONE;
    w->out.raw_bytes += len;
    *ret_place = pk_place_of(w->n_packs - 1, offset, index);
    return 0;
}

static int write_footer(struct pk_writer *w, struct flic_err *err)
{
    struct pk_out *out = &w->out;
    size_t len = out->n_entries * sizeof(*out->entries);
    struct pk_disk_trailer trailer = { .number = current(w)->number, .entries = out->n_entries,
                                       .frames = out->frames, .roots = out->roots, .footer_offset = out->pos,
                                       .raw_bytes = out->raw_bytes };
    int rc;

    qsort(out->entries, out->n_entries, sizeof(*out->entries), pk_entry_order);
    pk_trailer_make(&trailer, out->entries);
    rc = write_at(w, out->entries, len, out->pos, err);
    if (!rc)
        rc = write_at(w, &trailer, sizeof(trailer), out->pos + len, err);
    if (rc)
        return rc;
    current(w)->footer_offset = out->pos;
    current(w)->objects = out->n_entries;
    current(w)->roots = out->roots;
    current(w)->bytes = out->pos + len + sizeof(trailer);
    return 0;
}

int pk_out_finish(struct pk_writer *w, struct flic_err *err)
{
    int rc;

    if (w->out.fd < 0)
        return 0;
    rc = flush_pending(w, err);
    if (!rc)
        rc = write_footer(w, err);
    if (!rc && fsync(w->out.fd))
        rc = pk_io_error(err, -errno, w->store, "sync", current(w)->number, current(w)->bytes);
    if (rc)
        return rc;
    (void)posix_fadvise(w->out.fd, 0, 0, POSIX_FADV_DONTNEED);     /* clean now: Dom0's memory is small */
    pk_out_drop(w);
    return 0;
}

void pk_out_drop(struct pk_writer *w)
{
    if (w->out.fd >= 0)
        (void)close(w->out.fd);     /* synced, or about to be removed */
    free(w->out.entries);
    w->out = (struct pk_out){ .fd = -1 };
    w->pending.n = w->pending.len = 0;
}
