/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What FLIC's series asks common code to tell the architecture.
 *
 * Copyright (C) 2026 The FLIC authors
 *
 * Xen keeps some guest frames mapped and writes to them at any time, without a stage-2 fault: vcpu_info, runstate
 * and time areas, event FIFO control blocks and event arrays. ARM has no M2P, so the gfn behind such a mapping is
 * known only while it is being made. Common code calls flic_frame_mapped() right after it mapped a frame for good and
 * flic_frame_unmapped() right before it drops the mapping. Both are empty where the architecture does not record.
 */

#ifndef __XEN_FLIC_H__
#define __XEN_FLIC_H__

#include <xen/types.h>

struct domain;

#ifdef CONFIG_ARM_64

#include <asm/flic.h>

/*
 * d: the guest whose frame it is; gaddr: guest physical address of what is mapped; map: where Xen sees it, the key
 * for the second call. Never fails: an entry that cannot be recorded makes the domain's list incomplete, and
 * whoever depends on the list refuses the domain. Callers may hold the domain lock or the event lock.
 */
void flic_frame_mapped(struct domain *d, paddr_t gaddr, const void *map);
void flic_frame_unmapped(struct domain *d, const void *map);

#else

static inline void flic_frame_mapped(struct domain *d, paddr_t gaddr, const void *map) {}
static inline void flic_frame_unmapped(struct domain *d, const void *map) {}

#endif

#endif /* __XEN_FLIC_H__ */
