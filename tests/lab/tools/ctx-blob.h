/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * A domain's context (public/arch-arm/hvm/save.h) in memory, for the lab's ctx-tool, and the calls that move it.
 * The calls return 0 or -errno as Xen gave it; what cannot go wrong in a working lab ends the program (ctx_die).
 */
#ifndef FLIC_LAB_CTX_BLOB_H
#define FLIC_LAB_CTX_BLOB_H

#include <stdbool.h>
#include <stdint.h>

#include <xenctrl.h>
#include <xen/hvm/save.h>

#include "public/arch-arm/hvm/save.h"

#define CTX_MAX (256u << 10)    /* 128 vCPUs and 31 ranks take 142 KiB */

struct ctx_blob {
    uint32_t size;              /* bytes in use */
    uint8_t data[CTX_MAX] __attribute__((aligned(8)));
};

__attribute__((noreturn, format(printf, 1, 2))) void ctx_die(const char *fmt, ...);

/* The whole context of domid. */
int ctx_get(xc_interface *xch, uint32_t domid, struct ctx_blob *ret_blob);
int ctx_set(xc_interface *xch, uint32_t domid, const struct ctx_blob *blob);
/* One record's body into body (room bytes). */
int ctx_get_one(xc_interface *xch, uint32_t domid, unsigned type, unsigned instance, void *body, uint32_t room);

void ctx_read_file(const char *path, struct ctx_blob *ret_blob);
void ctx_write_file(const char *path, const struct ctx_blob *blob);

/* The n-th record from the front (0 is the header), NULL behind the last; the end record counts. Borrowed from blob. */
struct hvm_save_descriptor *ctx_nth(struct ctx_blob *blob, unsigned n);
/* The record's descriptor, NULL if there is none; its body lies behind it. Borrowed from blob. */
struct hvm_save_descriptor *ctx_find(struct ctx_blob *blob, unsigned type, unsigned instance);
/* The body of a record that must be there. Borrowed from blob. */
void *ctx_body(struct ctx_blob *blob, unsigned type, unsigned instance);

#endif
