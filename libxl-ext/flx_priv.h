/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flx_priv - what the flx_*.c files offer each other; nothing here leaves the folder. */
#ifndef FLIC_LIBXL_EXT_FLX_PRIV_H
#define FLIC_LIBXL_EXT_FLX_PRIV_H

#include "libxl-ext/compat.h"

#include <xencall.h>
#include <xenforeignmemory.h>
#include <xenstore.h>
#include <xentoollog.h>

#include "libxl-ext/flx.h"
#include "libxl-ext/flx_blob.h"

#define FLX_NO_GFN (~UINT64_C(0))

struct flx_dom {
    uint32_t domid;
    xc_interface *xch;
    xenforeignmemory_handle *memory;
    struct xs_handle *store;
    /* Where the guest has what is rebuilt rather than copied; FLX_NO_GFN: not known (yet). */
    uint64_t shared_info_gfn, console_gfn, store_gfn;
    xc_hypercall_buffer_t bitmap;       /* log-dirty bitmap as Xen fills it; .hbuf NULL: none yet */
    int bitmap_pages;
    struct flx_arch_dom *arch;          /* what an architecture keeps; NULL: nothing (yet) */
};

/* Xen's messages go to stderr from warnings on; never NULL after the first success. Shared, not freed. */
xentoollog_logger *flx_logger(void);

/* FLIC_E_XEN (FLIC_E_NODOMAIN for ESRCH) with the call and errno's text. */
int flx_fail(struct flic_err *err, uint32_t domid, const char *call);
/* The errno of a context call, translated (the table in xen/include/public/arch-arm/hvm/save.h). */
int flx_context_fail(struct flic_err *err, uint32_t domid, const char *call);
/* All of it, of a domain at rest. gives *ret_context (free()). */
int flx_read_context(struct flx_dom *dom, void **ret_context, size_t *ret_len, struct flic_err *err);

int flx_read_info(const struct flx_dom *dom, xc_domaininfo_t *ret_info, struct flic_err *err);

/* Looks where shared_info and the rings are now; keeps what it knew when Xen cannot tell at the moment. */
void flx_learn_places(struct flx_dom *dom);

/* ---- per architecture: flx_arm.c, flx_x86.c ---- */

#define FLX_MAX_PARAMS 16

extern const char flx_arch[];
/* HVM parameters that make up a domain (not its event channel ports). */
extern const uint32_t flx_arch_params[];
extern const size_t flx_arch_n_params;

/* Whether this architecture's guests can be saved by FLIC at all, and by whom: 0 or FLIC_E_REFUSED. */
int flx_arch_save_way(struct flx_dom *dom, struct flx_way *ret_way, struct flic_err *err);
/* FLIC_E_REFUSED for a way that is not FLIC's own. */
int flx_check_own(const struct flx_dom *dom, const struct flx_way *way, struct flic_err *err);
/* Where shared_info is, as far as Xen says; FLX_NO_GFN: nowhere. 0 or -errno. */
int flx_arch_shared_info(struct flx_dom *dom, uint64_t *ret_gfn);
/* flx_layout()'s number: 0 or -errno. */
int flx_arch_layout(struct flx_dom *dom, uint64_t *ret_layout);
/* Puts into the blob what it has beside the context; borrowed from the handle. */
int flx_arch_read_state(struct flx_dom *dom, struct flx_blob *blob, struct flic_err *err);
/* The context of a domain that runs, as far as a new domain and this build need to know it ahead. gives *ret_context. */
int flx_arch_sketch_context(struct flx_dom *dom, void **ret_context, size_t *ret_len, struct flic_err *err);
/* Fills the host's side of `ret` (gic, midr, counter_hz); 0 where it cannot be told, or does not count. */
void flx_arch_machine(struct flx_blob_machine *ret);
/* Whether this host can run a guest of the same architecture, beyond these: 0 or FLIC_E_MISMATCH. */
int flx_arch_fits(const struct flx_blob *blob, struct flic_err *err);

/* Of a fresh domain: before it has memory. */
int flx_arch_begin(struct flx_dom *dom, const struct flx_blob *blob, struct flic_err *err);
/* With all its memory in place, before its context is loaded. */
int flx_arch_before_context(struct flx_dom *dom, const struct flx_blob *blob, uint64_t elapsed_ns, struct flic_err *err);

/* A frame of the region where guests map their grant table. */
bool flx_arch_is_grant_frame(uint64_t gfn);

/* Mode bits of CLEAN and PEEK. */
extern const unsigned flx_arch_bitmap_mode;
/* Mode bits of a CLEAN for FLX_SPARE_HOT. */
extern const unsigned flx_arch_spare_hot_mode;
/* With log-dirty just switched on, and after each CLEAN: so that a bitmap which lacks something is noticed. */
int flx_arch_arm_mark(struct flx_dom *dom, struct flic_err *err);
/* Whether log-dirty is as we left it: 1 yes, 0 another program has switched it since, -1 Xen does not say. */
int flx_arch_mark_is_there(struct flx_dom *dom);
/* The first 64 bits of the bitmap, which stays as it is; 0 or -1. */
int flx_first_word(struct flx_dom *dom, uint64_t *ret_word);
/* Adds to a bitmap just fetched what can be written without Xen setting a bit. Unknown is an error,
 * FLIC_E_BUSY where another program has switched log-dirty off since. */
int flx_arch_add_dirty(struct flx_dom *dom, uint64_t *bitmap, uint64_t bits, struct flic_err *err);
void flx_arch_close(struct flx_dom *dom);

#endif
