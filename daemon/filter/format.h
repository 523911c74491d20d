/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * format - the stream that xc_domain_save() writes and xc_domain_restore() reads (docs/specs/libxc-migration-stream of Xen, version 3,
 * which 4.17 to 4.20 have in common). Pure.
 *
 *   image header   24 bytes: u64 all ones, then big-endian u32 "XENF", u32 version, u16 options (bit 0: big-endian), u16 0, u32 0
 *   domain header  16 bytes: u32 type, u16 page shift, u16 0, u32 Xen's major and u32 minor version
 *   records        u32 type, u32 length, so many bytes, zeros up to a multiple of 8
 *
 * PAGE_DATA: u32 count, u32 0, u64 entries[count] (pfn, and in the top four bits its type), then the bytes of those that have any.
 */
#ifndef FLIC_DAEMON_FILTER_FORMAT_H
#define FLIC_DAEMON_FILTER_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define LF_HEADERS 40u
#define LF_RECORD 8u
#define LF_PAGE_HEAD 8u
#define LF_PAGES_MAX 4096u      /* pfns in one PAGE_DATA; libxc puts at most 1,024 into one */

enum lf_record {
    LF_END = 0, LF_PAGE_DATA = 1, LF_TOOLSTACK = 0x0b, LF_VERIFY = 0x0d, LF_CHECKPOINT = 0x0e, LF_CHECKPOINT_DIRTY_PFN_LIST = 0x0f,
};

/* An entry's type. Tables may be pinned as well; of these, only tables and plain pages have bytes in the stream. */
enum lf_type {
    LF_PLAIN = 0, LF_TABLE_MAX = 4, LF_PINNED = 8, LF_BROKEN = 0xd, LF_ALLOC = 0xe, LF_NONE = 0xf,
};
bool lf_type_is_known(unsigned type);
bool lf_type_has_bytes(unsigned type);

static inline uint64_t lf_entry_pfn(uint64_t entry) { return entry & UINT64_C(0x000fffffffffffff); }
static inline unsigned lf_entry_type(uint64_t entry) { return (unsigned)(entry >> 60); }

struct lf_head { uint32_t type, length; };

static inline size_t lf_padded(uint32_t length) { return ((size_t)length + 7) & ~(size_t)7; }

/* Whether these are headers of a stream that can be taken apart: FLIC_E_VERSION, FLIC_E_REFUSED, FLIC_E_DAMAGED. */
int lf_check_headers(const uint8_t headers[LF_HEADERS], struct flic_err *err);
struct lf_head lf_parse_head(const uint8_t head[LF_RECORD]);
void lf_put_head(uint8_t head[LF_RECORD], uint32_t type, uint32_t length);

/* Whether `bytes` are whole records, none of them pages, and the last one, if `ended`, END, which is nowhere else. */
bool lf_are_records(const void *bytes, size_t len, bool ended);

#endif
