/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flx_x86 - what the flx_x86*.c files keep of a domain between calls. */
#ifndef FLIC_LIBXL_EXT_FLX_X86_H
#define FLIC_LIBXL_EXT_FLX_X86_H

#include "libxl-ext/flx_priv.h"

struct flx_arch_dom {
    xenforeignmemory_resource_handle *table;    /* the grant table; NULL: not mapped */
    void *entries;
    uint32_t frames;
    struct flx_x86_policy *policy;      /* does not change in a domain's life; read ahead of the pause */
    xencall_handle *call;               /* these three for one request that libxenctrl does not export; NULL: not needed yet */
    struct xendevicemodel_handle *model;        /* NULL: log-dirty was never on */
    struct xen_domctl *ctl;
    xen_pfn_t *types;
};

/* dom->arch, made when it is not there; NULL without memory. */
struct flx_arch_dom *flx_x86_keep(struct flx_dom *dom);
void flx_x86_drop_table(struct flx_dom *dom);

/* FLIC_E_BUSY where a bitmap just fetched does not tell all since the one before. */
int flx_x86_check_mark(const struct flx_dom *dom, const uint64_t *bitmap, uint64_t bits, struct flic_err *err);
void flx_x86_drop_mark(struct flx_arch_dom *kept);

#endif
