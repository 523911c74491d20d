/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * bytes - reading and building little-endian byte strings with every bound checked.
 *
 * A reader borrows its bytes and never runs past them: after the first short read `bad` is set, every
 * further read gives zero, and one test at the end decides. A builder grows a heap buffer; `bad` means
 * out of memory. Neither logs; both are for one thread.
 */
#ifndef FLIC_COMMON_BYTES_H
#define FLIC_COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flic_reader {
    const uint8_t *at;
    size_t left;
    bool bad;
};

struct flic_reader flic_reader_of(const void *data, size_t len);
uint8_t flic_get_u8(struct flic_reader *r);
uint16_t flic_get_u16(struct flic_reader *r);
uint32_t flic_get_u32(struct flic_reader *r);
uint64_t flic_get_u64(struct flic_reader *r);
/* A view of the next `len` bytes (borrowed from the reader's own), or NULL and bad. */
const void *flic_get_bytes(struct flic_reader *r, size_t len);
/* u32 length then bytes; NULL and bad when longer than `max`. */
const void *flic_get_blob(struct flic_reader *r, size_t max, size_t *ret_len);

struct flic_builder {
    uint8_t *data;      /* gives: flic_builder_take() or flic_builder_fini() */
    size_t len;
    size_t room;
    bool bad;
};

void flic_builder_init(struct flic_builder *b);
void flic_builder_fini(struct flic_builder *b);
void flic_put_u8(struct flic_builder *b, uint8_t v);
void flic_put_u16(struct flic_builder *b, uint16_t v);
void flic_put_u32(struct flic_builder *b, uint32_t v);
void flic_put_u64(struct flic_builder *b, uint64_t v);
void flic_put_bytes(struct flic_builder *b, const void *data, size_t len);
void flic_put_blob(struct flic_builder *b, const void *data, uint32_t len);
/* Hands the buffer over (free() it); the builder is empty again. NULL when bad. */
uint8_t *flic_builder_take(struct flic_builder *b, size_t *ret_len);

#endif
