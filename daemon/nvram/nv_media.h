/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * nv_media - the medium under an arena: mapped bytes, and the only three ways to change them durably.
 *
 * Model (what the crash checker replays): a stored cache line may become durable at any time after the store, and
 * in any order against other lines; it is durable for certain once it was flushed and a fence by the same thread
 * returned after the flush. Only aligned 8-byte words are written whole.
 *
 *   NV_FS_DAX, NV_DEV_DAX   flush: x86 clwb, clflushopt or clflush; arm64 `dc cvap`, or `dc cvac` where the CPU has no
 *                           point of persistence of its own (a battery- or capacitor-backed memory needs no more).
 *                           fence: sfence; dsb
 *   NV_PLAIN_FILE           flush: notes the range; fence: msync() of what was noted. Emulated.
 *
 * Reading needs no call: base[0 .. size). Thread-safe.
 */
#ifndef FLIC_DAEMON_NVRAM_NV_MEDIA_H
#define FLIC_DAEMON_NVRAM_NV_MEDIA_H

#include "daemon/nvram/nvram.h"

struct nv_media {
    uint8_t *base;      /* written through the calls below only */
    uint64_t size;
    enum nv_media_kind kind;
};

/* Maps an existing medium and locks it against other processes (FLIC_E_BUSY). FLIC_E_NVRAM: not there, or neither
 * a regular file nor a device-DAX node. */
int nv_media_open(const char *path, struct nv_media **ret_media, struct flic_err *err);

/* Makes a medium of `size` bytes (0: as large as it is) and maps it as above. `check` sees what stands there, if
 * anything, before a byte is changed, and refuses with its code. A file is then written full of zeros, so that every
 * block is allocated; a file that was made here is removed when anything fails. */
typedef int nv_media_check(const uint8_t *base, uint64_t size, const char *path, struct flic_err *err);
int nv_media_create(const char *path, uint64_t size, nv_media_check *check, struct nv_media **ret_media,
                    struct flic_err *err);

void nv_media_close(struct nv_media *media);    /* accepts NULL; does not flush */

/* store: `at` is any place, in the caller's cache until flushed. */
void nv_store(struct nv_media *media, uint64_t at, const void *data, size_t len);
/* One aligned 8-byte word, whole or not at all. */
void nv_store_word(struct nv_media *media, uint64_t at, uint64_t word);
/* Store and flush in one, past the cache where the CPU can. at and len are multiples of 64. */
void nv_stream(struct nv_media *media, uint64_t at, const void *data, size_t len);

void nv_flush(struct nv_media *media, uint64_t at, uint64_t len);

/* A hint that these bytes will be stored to soon: so that the kernel need not step in then. Changes none of them. */
void nv_expect(struct nv_media *media, uint64_t at, uint64_t len);

/* Lets another thread's fence cover what this thread streamed or flushed. */
void nv_drain(struct nv_media *media);

/* -errno when the medium did not take the bytes; then every later fence fails too, because what the kernel could not
 * write it does not try again. */
int nv_fence(struct nv_media *media, struct flic_err *err);

#endif
