/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Throw-away domains that a context can be set in: made with libxc alone, never run, a few pages of memory.
 */
#ifndef FLIC_LAB_CTX_TARGET_H
#define FLIC_LAB_CTX_TARGET_H

#include "ctx-blob.h"

/* An empty domain of the shape the context names. width: 64 or 32 bits. Ends the program on failure. */
uint32_t ctx_target_create(xc_interface *xch, struct ctx_blob *blob, unsigned width);
/* Memory where the context's vcpu_infos lie, shared_info where it says. */
void ctx_target_prepare(xc_interface *xch, uint32_t domid, struct ctx_blob *blob);
void ctx_target_destroy(xc_interface *xch, uint32_t domid);

#endif
