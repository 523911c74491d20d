/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * A guest's memory, seen from Dom0 through one set of read-only foreign mappings, and what is known about its
 * frames. For the lab's tools: any failure ends the program with a message and exit status 2.
 */
#ifndef FLIC_LAB_GUESTMEM_H
#define FLIC_LAB_GUESTMEM_H

#include <stdbool.h>
#include <stdint.h>

#include <xenctrl.h>
#include <xenforeignmemory.h>

#define GUESTMEM_PAGE 4096

/* Why a frame may change without the guest running. The order is the order in which a frame is classified. */
enum frame_kind {
    FRAME_OTHER,
    FRAME_CONSOLE_RING,
    FRAME_XENSTORE_RING,
    FRAME_SHARED_INFO,
    FRAME_VCPU_INFO,
    FRAME_GRANT_TABLE,          /* the table itself */
    FRAME_GRANT,                /* granted for writing and in use */
    FRAME_GRANT_OFFERED,        /* granted for writing: a backend may copy into it at any time */
    FRAME_XEN_MAPPED,           /* log-dirty counts it as always dirty, and it is none of the above */
    FRAME_KINDS
};

extern const char *const frame_kind_names[FRAME_KINDS];

struct guestmem {
    xc_interface *xch;
    xenforeignmemory_handle *fmem;
    uint32_t domid;
    uint64_t nr;                /* highest gfn + 1 */
    const uint8_t **page;       /* nr of them; NULL: nothing there. Shares guest memory. */
    uint64_t present;           /* how many there are */
    bool only_xen;              /* x86: count as dirty only what Xen says, not what the grant table says */
};

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...);

/* Opens domid's memory. guestmem_map() can be called again when the guest was given or lost frames. */
void guestmem_open(struct guestmem *mem, uint32_t domid);
void guestmem_map(struct guestmem *mem);
void guestmem_close(struct guestmem *mem);

/* XXH3-64 of every page into hash[0..nr), 0 where there is none. */
void guestmem_hash(const struct guestmem *mem, uint64_t *hash);

/* gfns domid has now: highest + 1. */
uint64_t guestmem_frames(const struct guestmem *mem);

/*
 * Log-dirty, as xc_logdirty_control() has it: sop is XEN_DOMCTL_SHADOW_OP_CLEAN or _PEEK, with mode; bits gets nr bits,
 * rounded up to bytes; ret_stats may be NULL. Returns 0 or -errno. On x86 stock Xen does not report what a backend has mapped,
 * so whoever uses its log-dirty must count what is granted for writing as dirty; here too, unless only_xen is set.
 */
int guestmem_dirty(const struct guestmem *mem, unsigned int sop, unsigned int mode, uint8_t *bits, uint64_t nr,
                   xc_shadow_op_stats_t *ret_stats);

/* Sets the bits of the frames that are granted for writing: x86 only. */
void guestmem_add_granted(const struct guestmem *mem, uint8_t *bits, uint64_t nr);

/*
 * Kind of every frame into kind[0..nr), as of now. pinned: bits of the frames that log-dirty counts as always dirty,
 * or NULL if that is not known; then FRAME_XEN_MAPPED does not occur.
 */
void guestmem_kinds(const struct guestmem *mem, const uint8_t *pinned, uint8_t *kind);

static inline bool guestmem_bit(const uint8_t *bits, uint64_t gfn)
{
    return bits[gfn / 8] >> gfn % 8 & 1;
}

#endif
