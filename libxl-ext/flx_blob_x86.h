/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flx_blob_x86 - for flx_blob.c only: what of a machine state is particular to x86. */
#ifndef FLIC_LIBXL_EXT_FLX_BLOB_X86_H
#define FLIC_LIBXL_EXT_FLX_BLOB_X86_H

#include <stdbool.h>

#include "common/bytes.h"
#include "libxl-ext/flx_blob.h"

/* Framing of the context; fills blob->machine. 0, FLIC_E_DAMAGED, FLIC_E_VERSION. */
int flx_blob_x86_check(struct flx_blob *blob, struct flic_err *err);
/* Moves every vCPU's time stamp counter on, in `context`, a copy of the blob's. */
void flx_blob_x86_later(const struct flx_blob *blob, uint8_t *context, uint64_t ticks);

void flx_blob_x86_put_tsc(struct flic_builder *b, const struct flx_blob_x86 *x86);
/* False: the part does not make sense. */
bool flx_blob_x86_take_tsc(const void *body, size_t len, struct flx_blob_x86 *x86);
bool flx_blob_x86_take_cpuid(const void *body, size_t len, struct flx_blob_x86 *x86);
bool flx_blob_x86_take_msrs(const void *body, size_t len, struct flx_blob_x86 *x86);

#endif
