/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * FLIC's state in a domain, and what the two halves of the series (context, log-dirty) share.
 *
 * Copyright (C) 2026 The FLIC authors
 */

#ifndef __ASM_ARM_FLIC_H__
#define __ASM_ARM_FLIC_H__

#include <xen/mm-frame.h>
#include <xen/spinlock.h>
#include <xen/types.h>

struct domain;
struct flic_frame;

/* Embedded in struct arch_domain; everything else is allocated when it is needed. */
struct flic_domain {
    spinlock_t lock;            /* covers frames and incomplete; taken last, nothing is taken under it */
    struct flic_frame *frames;  /* guest frames that Xen keeps mapped for its own writes */
    bool incomplete;            /* a frame could not be recorded: trust nothing that depends on the list */
    uint8_t context;            /* FLIC_CONTEXT_*: how far sethvmcontext has come; under the domctl lock */
};

#define FLIC_CONTEXT_NONE    0
#define FLIC_CONTEXT_LOADING 1  /* interrupted by -ERESTART, the continuation goes on */
#define FLIC_CONTEXT_LOADED  2

/* From arch_domain_create() (zeroed domain), from arch_domain_destroy() (whatever happened before). */
void flic_domain_init(struct domain *d);
void flic_domain_destroy(struct domain *d);

/* False once an entry was lost for want of memory: log-dirty and context must then refuse the domain. */
bool flic_frames_complete(const struct domain *d);

/*
 * Calls fn once for every recorded mapping, under d->arch.flic.lock (with interrupts on); fn must neither sleep nor
 * take a lock that is held around flic_frame_mapped(). A gfn comes as often as it is mapped. What the guest moved
 * or removed behind the mapping's back is still reported: the frame is no longer the guest's at that gfn, and one
 * page too many costs nothing.
 */
void flic_frames_each(struct domain *d, void (*fn)(struct domain *d, gfn_t gfn, void *arg), void *arg);

/*
 * The guest physical address behind map. -ENOENT: not recorded. -ENXIO: the gfn leads to another frame by now.
 * ret_gaddr is untouched on failure.
 */
int flic_frame_address(struct domain *d, const void *map, paddr_t *ret_gaddr);

#endif /* __ASM_ARM_FLIC_H__ */
