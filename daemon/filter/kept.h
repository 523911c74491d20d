/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * kept - what a stream had beside its pages, as the machine state of a checkpoint. Pure.
 *
 * Little endian.  u64 magic "LX_KEPT1", u32 version 1, u32 length of the whole, then four blobs of u32 length and bytes:
 *
 *   head       the stream's headers and the records before its last pages
 *   tail       the records after them, END the last
 *   tables     u32 pfn | type << 28 of each page that is not a plain one, ascending
 *   emulator   libxl's own records behind libxc's, END the last: the device model; empty of a PV guest
 *
 * and u64 XXH3-64 of all before.
 */
#ifndef FLIC_DAEMON_FILTER_KEPT_H
#define FLIC_DAEMON_FILTER_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define LF_EMULATOR_MAX (340u << 10)    /* as hex it fits into one message */

struct lf_kept {                /* borrowed */
    const uint8_t *head; size_t head_len;
    const uint8_t *tail; size_t tail_len;
    const uint8_t *tables; size_t n_tables;     /* 4 bytes each */
    const uint8_t *emulator; size_t emulator_len;
};

/* Whether a machine state is one of these, or flx.h's. */
bool lf_is_kept(const void *state, size_t len);

/* gives *ret_bytes. FLIC_E_REFUSED when it is too much, -ENOMEM. */
int lf_kept_build(const struct lf_kept *kept, void **ret_bytes, size_t *ret_len, struct flic_err *err);
/* Bounds, version, order, whole records. FLIC_E_DAMAGED, FLIC_E_VERSION. */
int lf_kept_parse(const void *bytes, size_t len, struct lf_kept *ret_kept, struct flic_err *err);

/* Whether these can be `emulator`. */
bool lf_is_emulator(const void *bytes, size_t len);
/* Whether this host can run a guest of that architecture: the rest is for libxc to say. FLIC_E_MISMATCH */
int lf_kept_fits(const char *arch, struct flic_err *err);

uint64_t lf_table_pfn(const struct lf_kept *kept, size_t i);
unsigned lf_table_type(const struct lf_kept *kept, size_t i);

#endif
