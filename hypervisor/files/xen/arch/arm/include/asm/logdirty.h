/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Log-dirty for arm64: which guest frames were written since they were last asked for.
 *
 * While it is on, a frame of guest RAM is writable in stage 2 only if its bit is set; the first write to
 * any other frame faults, sets the bit and makes that one frame writable. Writes that do not pass
 * stage 2 (Xen's own, and those of domains that hold a grant) are reported by their makers, through
 * logdirty_mark(). Not tracked: writes by the control domain through foreign mappings.
 */
#ifndef __ASM_ARM_LOGDIRTY_H__
#define __ASM_ARM_LOGDIRTY_H__

#include <xen/errno.h>
#include <xen/mm-frame.h>
#include <public/domctl.h>

struct domain;
struct p2m_domain;

/* Who makes a frame dirty. A debug build can leave out any of them ("logdirty-omit", a mask of these). */
enum logdirty_source {
    LOGDIRTY_FAULT,         /*   1 a guest's store that faulted in stage 2 */
    LOGDIRTY_ENTRY,         /*   2 a frame added to, or removed from, the p2m */
    LOGDIRTY_XENHEAP,       /*   4 Xen's own pages in the guest: shared info, grant table */
    LOGDIRTY_GVA,           /*   8 Xen writes for the guest, by virtual address (hypercalls, runstate) */
    LOGDIRTY_IPA,           /*  16 Xen writes for the guest, by physical address */
    LOGDIRTY_GRANT_TAKEN,   /*  32 a grant was mapped or copied to since the last CLEAN */
    LOGDIRTY_GRANT_HELD,    /*  64 a writable grant is in use at CLEAN */
    LOGDIRTY_XEN_MAPPED,    /* 128 Xen has the frame mapped for good (vcpu_info, event FIFO) */
};

#ifdef CONFIG_ARM_64

/*
 * XEN_DOMCTL_shadow_op, with the semantics it has on x86: ENABLE_LOGDIRTY, ENABLE(LOG_DIRTY), CLEAN, PEEK,
 * OFF. Returns 0 with the caller's structure updated, a hypercall continuation, or
 *  -EINVAL      what x86 refuses: on twice, CLEAN or PEEK when off, an unknown mode, dying, itself
 *  -EOPNOTSUPP  a guest whose memory is written in ways that nobody reports: an IOMMU, a TEE, an emulator,
 *               mem_access, vuart
 *  -EBUSY       another caller's operation on this domain is unfinished (OFF ends it instead)
 *  -ENOMEM, -EFAULT
 */
long logdirty_domctl(struct domain *d, struct xen_domctl *domctl,
                     XEN_GUEST_HANDLE_PARAM(xen_domctl_t) u_domctl);

/* A hint, true between ENABLE and OFF. */
bool logdirty_on(const struct domain *d);

/* The current vCPU is about to write gfn, at va, that it may not be able to. True: it is now, try again. */
bool logdirty_write(gfn_t gfn, vaddr_t va, enum logdirty_source source);

/* gfn of d has been, or is about to be, written. Takes the p2m lock; cheap when off. */
void logdirty_mark(struct domain *d, gfn_t gfn, enum logdirty_source source);

/* nr entries from gfn have changed. Called with the p2m lock held for writing. */
void logdirty_entries_changed(struct p2m_domain *p2m, gfn_t gfn, unsigned long nr);

/* See struct xen_arm_save_p2m. -ENOENT: log-dirty is off. */
int logdirty_p2m_changes(struct domain *d, uint64_t *changes);

/* Frees what a domain still has at its end. */
void logdirty_destroy(struct p2m_domain *p2m);

#else /* !CONFIG_ARM_64 */

static inline bool logdirty_on(const struct domain *d) { return false; }
static inline bool logdirty_write(gfn_t gfn, vaddr_t va, enum logdirty_source source) { return false; }
static inline void logdirty_mark(struct domain *d, gfn_t gfn, enum logdirty_source source) {}
static inline void logdirty_entries_changed(struct p2m_domain *p2m, gfn_t gfn, unsigned long nr) {}
static inline int logdirty_p2m_changes(struct domain *d, uint64_t *changes) { return -ENOENT; }
static inline void logdirty_destroy(struct p2m_domain *p2m) {}

#endif /* CONFIG_ARM_64 */
#endif /* __ASM_ARM_LOGDIRTY_H__ */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
