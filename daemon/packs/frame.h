/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * frame - reading and decoding frames, and the few last decoded ones.
 *
 * A frame that comes out of here passed its checksum and its lengths are consistent; whether an object is the one
 * asked for is still to be checked by its content. Frames are shared and immutable: pk_frame_put() each.
 */
#ifndef FLIC_DAEMON_PACKS_FRAME_H
#define FLIC_DAEMON_PACKS_FRAME_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/packs/packs.h"

#define PK_CACHE_FRAMES 32u     /* of at most 64 KiB each; larger ones are not kept */

struct pk_frame {
    unsigned refs;              /* under the cache's lock */
    uint32_t number;            /* of its pack; never reused while the store is open */
    uint32_t offset;
    uint32_t end;               /* where the next frame starts */
    uint32_t objects;
    uint64_t used;              /* when last, in uses of the cache */
    uint32_t *starts;           /* objects + 1 of them */
    uint8_t *kinds;
    uint8_t *data;
};

struct pk_cache {
    pthread_mutex_t lock;
    struct pk_frame *frames[PK_CACHE_FRAMES];
    uint64_t uses;
    void *idle_dctx;            /* a decompression context that nobody uses now, or NULL */
};

void pk_cache_init(struct pk_cache *cache);
void pk_cache_fini(struct pk_cache *cache);
/* Drops what it holds of one pack. */
void pk_cache_forget(struct pk_cache *cache, uint32_t number);

/* A file to read frames from: an open one, or fd < 0 and then `dir_fd` and `sealed` say how to open it. */
struct pk_file {
    int fd;
    int dir_fd;
    uint32_t number;
    uint32_t limit;             /* frames end by here */
    bool sealed;                /* its name has no ".new" */
};

/* Shares the frame at `offset`, from the cache or from the file. FLIC_E_DAMAGED, -ENOMEM, -errno. */
int pk_frame_get(struct pk_cache *cache, const struct pk_file *file, uint32_t offset, struct pk_frame **ret_frame,
                 struct flic_err *err);
/* The same from the file in any case, and not kept. */
int pk_frame_read(struct pk_cache *cache, const struct pk_file *file, uint32_t offset, struct pk_frame **ret_frame,
                  struct flic_err *err);
void pk_frame_put(struct pk_cache *cache, struct pk_frame *frame);      /* accepts NULL */

/* The bytes of one object (borrowed from the frame), or NULL when the frame has none of that index. */
const uint8_t *pk_frame_object(const struct pk_frame *frame, uint32_t index, size_t *ret_len, enum pk_kind *ret_kind);

#endif
