/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The FLIC authors */
/*
 * The bits of log-dirty (logdirty.c): a page of them for each 128 MiB in which something is mapped or was written.
 */
#ifndef __ARM_MMU_LOGDIRTY_BITS_H__
#define __ARM_MMU_LOGDIRTY_BITS_H__

#include <xen/lib.h>
#include <public/domctl.h>

#define CHUNK_GFNS  (PAGE_SIZE * 8UL)

struct logdirty_op {
    bool running;               /* begun and not finished, perhaps waiting to be continued */
    bool paused;                /* holds the domain paused until it finishes */
    bool all;                   /* what is reported is everything, because bits were lost */
    bool spare_hot;             /* CLEAN: XEN_ARM_LOGDIRTY_SPARE_HOT */
    uint32_t op;                /* XEN_DOMCTL_SHADOW_OP_* */
    uint32_t serial;            /* tells it from every other operation */
    unsigned long cursor;       /* next gfn to do */
    unsigned long pages;        /* CLEAN, PEEK: gfns to report */
    struct xen_domctl_shadow_op_stats stats;
};

struct p2m_logdirty {
    unsigned long **chunk;      /* a page of bits, or NULL for none set */
    unsigned long nr_chunks;
    unsigned long **reported;   /* of the last CLEAN that could spare hot frames, a page each or NULL */
    unsigned long *spare;       /* all zero between operations' steps */
    unsigned int epoch;         /* counts those CLEANs */
    bool lost;                  /* some bit could not be set: all count as set */
    atomic_t dirty;             /* bits set since the last CLEAN */
    uint32_t faults;            /* write faults since the last CLEAN */
    uint64_t p2m_changes;       /* begins with the time, so that it never comes back */
    struct logdirty_op op;
};

/* A page of clear bits; NULL: out of memory. */
unsigned long *logdirty_alloc_chunk(void);

/* The chunk that holds gfn's bit; made when there is none. NULL: out of memory, or beyond the last. */
unsigned long *logdirty_chunk_of(struct p2m_logdirty *ld, unsigned long gfn);

/* What cannot be set is lost, and says so. The p2m lock is held, for reading at least. */
void logdirty_set_dirty(struct p2m_logdirty *ld, unsigned long gfn);
void logdirty_set_dirty_range(struct p2m_logdirty *ld, unsigned long gfn,
                              unsigned long nr);

/* Makes room for gfns up to and including last. The p2m lock is held for writing, or nobody knows of ld yet. */
bool logdirty_grow(struct p2m_logdirty *ld, unsigned long last);

/* And ld itself. */
void logdirty_free_bits(struct p2m_logdirty *ld);

#endif /* __ARM_MMU_LOGDIRTY_BITS_H__ */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
