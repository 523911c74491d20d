/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/packs/frame.h"

#include "common/io.h"
#include "common/mem.h"
#include "daemon/packs/format.h"
#include "daemon/packs/store.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define FIRST_READ 4096u        /* the head and often the whole of a well compressed frame, in one call */

void pk_cache_init(struct pk_cache *cache)
{
    *cache = (struct pk_cache){ 0 };
    (void)pthread_mutex_init(&cache->lock, NULL);   /* a default mutex cannot fail on Linux */
}

static void frame_free(struct pk_frame *frame)
{
    free(frame);        /* one allocation */
}

void pk_cache_fini(struct pk_cache *cache)
{
    for (size_t i = 0; i < PK_CACHE_FRAMES; i++)
        frame_free(cache->frames[i]);
    (void)ZSTD_freeDCtx(cache->idle_dctx);
    (void)pthread_mutex_destroy(&cache->lock);
}

/* Takes one reference away; call with the lock held. */
static void unref(struct pk_frame *frame)
{
    if (frame && --frame->refs == 0)
        frame_free(frame);
}

void pk_cache_forget(struct pk_cache *cache, uint32_t number)
{
    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < PK_CACHE_FRAMES; i++)
        if (cache->frames[i] && cache->frames[i]->number == number) {
            unref(cache->frames[i]);
            cache->frames[i] = NULL;
        }
    pthread_mutex_unlock(&cache->lock);
}

void pk_frame_put(struct pk_cache *cache, struct pk_frame *frame)
{
    pthread_mutex_lock(&cache->lock);
    unref(frame);
    pthread_mutex_unlock(&cache->lock);
}

static struct pk_frame *from_cache(struct pk_cache *cache, uint32_t number, uint32_t offset)
{
    struct pk_frame *found = NULL;

    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < PK_CACHE_FRAMES && !found; i++)
        if (cache->frames[i] && cache->frames[i]->number == number && cache->frames[i]->offset == offset)
            found = cache->frames[i];
    if (found) {
        found->refs++;
        found->used = ++cache->uses;
    }
    pthread_mutex_unlock(&cache->lock);
    return found;
}

/* Keeps a frame in place of the one unused longest. */
static void to_cache(struct pk_cache *cache, struct pk_frame *frame)
{
    size_t oldest = 0;

    if (frame->starts[frame->objects] > PK_FRAME_RAW)
        return;
    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < PK_CACHE_FRAMES; i++) {
        if (!cache->frames[i]) {
            oldest = i;
            break;
        }
        if (cache->frames[i]->used < cache->frames[oldest]->used)
            oldest = i;
    }
    unref(cache->frames[oldest]);
    cache->frames[oldest] = frame;
    frame->refs++;
    frame->used = ++cache->uses;
    pthread_mutex_unlock(&cache->lock);
}

static ZSTD_DCtx *take_dctx(struct pk_cache *cache)
{
    ZSTD_DCtx *ctx;

    pthread_mutex_lock(&cache->lock);
    ctx = cache->idle_dctx;
    cache->idle_dctx = NULL;
    pthread_mutex_unlock(&cache->lock);
    return ctx ? ctx : ZSTD_createDCtx();
}

static void give_dctx(struct pk_cache *cache, ZSTD_DCtx *ctx)
{
    pthread_mutex_lock(&cache->lock);
    if (!cache->idle_dctx) {
        cache->idle_dctx = ctx;
        ctx = NULL;
    }
    pthread_mutex_unlock(&cache->lock);
    (void)ZSTD_freeDCtx(ctx);
}

static int open_file(const struct pk_file *file, struct flic_err *err)
{
    char name[PK_NAME];
    int fd;

    pk_name(name, file->number, file->sealed);
    fd = openat(file->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return flic_err_errno(err, "open pack %08x", file->number);
    return fd;
}

static int read_error(struct flic_err *err, int rc, uint32_t number, uint32_t offset)
{
    errno = -rc;
    return flic_err_errno(err, "read pack %08x, offset %u", number, offset);
}

/* Reads a whole frame, head checked and in host order in *ret_head; gives the bytes as they are on flash. */
static int read_whole(int fd, const struct pk_file *file, uint32_t offset, struct pk_disk_frame *ret_head,
                      uint8_t **ret_bytes, struct flic_err *err)
{
    uint8_t first[FIRST_READ];
    size_t have, len;
    uint8_t *bytes;
    int rc;

    if (offset > file->limit || file->limit - offset < sizeof(*ret_head))
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x, offset %u: beyond its frames", file->number, offset);
    have = file->limit - offset < FIRST_READ ? file->limit - offset : FIRST_READ;
    rc = flic_pread_all(fd, first, have, offset);
    if (rc)
        return read_error(err, rc, file->number, offset);
    memcpy(ret_head, first, sizeof(*ret_head));
    rc = pk_frame_check(ret_head, file->number, offset, file->limit, err);
    if (rc)
        return rc;
    len = pk_frame_len(ret_head);
    bytes = malloc(len);
    if (!bytes)
        return flic_err_set(err, -ENOMEM, "read a frame of %zu bytes: out of memory", len);
    memcpy(bytes, first, len < have ? len : have);
    rc = len > have ? flic_pread_all(fd, bytes + have, len - have, offset + have) : 0;
    if (rc) {
        free(bytes);
        return read_error(err, rc, file->number, offset);
    }
    *ret_bytes = bytes;
    return 0;
}

static struct pk_frame *frame_new(const struct pk_disk_frame *head)
{
    struct pk_frame *frame = malloc(sizeof(*frame) + (head->objects + 1u) * sizeof(*frame->starts) +
                                    head->objects + head->raw_len);

    if (!frame)
        return NULL;
    *frame = (struct pk_frame){ .refs = 1, .number = head->number, .offset = head->offset,
                                .end = head->offset + (uint32_t)pk_frame_len(head), .objects = head->objects };
    frame->starts = (uint32_t *)(frame + 1);
    frame->kinds = (uint8_t *)(frame->starts + head->objects + 1);
    frame->data = frame->kinds + head->objects;
    return frame;
}

/* Fills starts and kinds from the frame's list; false when the lengths do not add up to raw_len. */
static bool read_list(struct pk_frame *frame, const uint8_t *list, uint32_t raw_len)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < frame->objects; i++) {
        uint32_t word;

        memcpy(&word, list + 4 * i, sizeof(word));
        word = le32toh(word);
        frame->starts[i] = at;
        frame->kinds[i] = (uint8_t)(word >> 24);
        if (!(word & 0xffffff) || (word & 0xffffff) > raw_len - at)
            return false;
        at += word & 0xffffff;
    }
    frame->starts[frame->objects] = at;
    return at == raw_len;
}

static bool unpack(struct pk_cache *cache, const struct pk_disk_frame *head, const uint8_t *packed, uint8_t *out)
{
    ZSTD_DCtx *ctx;
    size_t got;

    if (head->codec == PK_CODEC_RAW) {
        memcpy(out, packed, head->raw_len);
        return true;
    }
    ctx = take_dctx(cache);
    if (!ctx)
        return false;
    got = ZSTD_decompressDCtx(ctx, out, head->raw_len, packed, head->packed_len);
    give_dctx(cache, ctx);
    return !ZSTD_isError(got) && got == head->raw_len;
}

static int decode(struct pk_cache *cache, const struct pk_disk_frame *head, const uint8_t *bytes,
                  struct pk_frame **ret_frame, struct flic_err *err)
{
    const uint8_t *list = bytes + sizeof(*head);
    struct pk_frame *frame;

    if (pk_frame_sum(bytes, pk_frame_len(head)) != head->checksum)
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x, offset %u: the frame's checksum does not match",
                            head->number, head->offset);
    frame = frame_new(head);
    if (!frame)
        return flic_err_set(err, -ENOMEM, "decode a frame of %u bytes: out of memory", head->raw_len);
    if (!read_list(frame, list, head->raw_len) ||
        !unpack(cache, head, list + 4u * head->objects, frame->data)) {
        frame_free(frame);
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x, offset %u: the frame cannot be decoded",
                            head->number, head->offset);
    }
    *ret_frame = frame;
    return 0;
}

int pk_frame_read(struct pk_cache *cache, const struct pk_file *file, uint32_t offset, struct pk_frame **ret_frame,
                  struct flic_err *err)
{
    FLIC_AUTO_FREE uint8_t *bytes = NULL;
    FLIC_AUTO_CLOSE int own_fd = -1;
    struct pk_disk_frame head;
    int fd = file->fd, rc;

    if (fd < 0)
        fd = own_fd = open_file(file, err);
    if (fd < 0)
        return fd;
    rc = read_whole(fd, file, offset, &head, &bytes, err);
    return rc ? rc : decode(cache, &head, bytes, ret_frame, err);
}

int pk_frame_get(struct pk_cache *cache, const struct pk_file *file, uint32_t offset, struct pk_frame **ret_frame,
                 struct flic_err *err)
{
    struct pk_frame *frame = from_cache(cache, file->number, offset);
    int rc;

    if (!frame) {
        rc = pk_frame_read(cache, file, offset, &frame, err);
        if (rc)
            return rc;
        to_cache(cache, frame);
    }
    *ret_frame = frame;
    return 0;
}

const uint8_t *pk_frame_object(const struct pk_frame *frame, uint32_t index, size_t *ret_len, enum pk_kind *ret_kind)
{
    if (index >= frame->objects)
        return NULL;
    *ret_len = frame->starts[index + 1] - frame->starts[index];
    *ret_kind = frame->kinds[index];
    return frame->data + frame->starts[index];
}
