/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Log-dirty for arm64. See asm/logdirty.h for what it promises.
 *
 * A clean frame is an entry of type p2m_ram_rw without the write permission; there is no type of its own, so
 * nobody who looks at types needs to know. One rule holds at any time that a vCPU of the domain runs:
 *
 *     a writable frame of guest RAM has its bit set.
 *
 * CLEAN takes the bits and write-protects exactly those frames; a frame it cannot protect (a page of Xen's)
 * has its bit set again at once. Blocks are protected whole and split when a page in them is first written.
 *
 * A CLEAN that may spare hot frames (XEN_ARM_LOGDIRTY_SPARE_HOT) leaves some of them writable, their bits set in
 * the epoch that begins. Each frame has its turn to be protected, with one word of bits in HOT_EPOCHS, so
 * that the faults of a guest's write set are spread over the epochs.
 *
 * The bits are kept in chunks of one page each. Where memory for a chunk cannot be had, everything counts as
 * dirty until the next CLEAN ("lost"): the answer may say too much, never too little.
 *
 * Locks: bits are set under the p2m lock (reading is enough); chunks and entries change with it held for
 * writing. One operation at a time: the domctl lock within a call, the cookie across a call's continuations.
 */
#include <xen/argo.h>
#include <xen/domain_page.h>
#include <xen/grant_table.h>
#include <xen/guest_access.h>
#include <xen/hypercall.h>
#include <xen/ioreq.h>
#include <xen/param.h>
#include <xen/sched.h>
#include <xen/vm_event.h>
#include <xen/xvmalloc.h>

#include <asm/event.h>
#include <asm/flic.h>
#include <asm/flushtlb.h>
#include <asm/logdirty.h>
#include <asm/page.h>

#include "logdirty_bits.h"

#define TABLE_GFNS  XEN_PT_LPAE_ENTRIES

/* A hot frame is looked at in one epoch of so many; a power of two. */
#define HOT_EPOCHS  4

/* Marks the output fields of a call that is to be continued; see op_begin(). */
#define COOKIE_MARK 0xf11c109d

/* An entry of the p2m with the table it is in, mapped. */
struct leaf {
    lpae_t *table, *entry;
    unsigned int level;
};

#ifdef CONFIG_DEBUG
/* Leaves out the sources in this mask, so that a test can show that it would notice. */
static unsigned int __read_mostly opt_omit;
integer_runtime_param("logdirty-omit", opt_omit);

/* Makes every operation stop after each step, so that continuations are tested too. */
static bool __read_mostly opt_preempt;
boolean_runtime_param("logdirty-preempt", opt_preempt);
#else
#define opt_omit 0
#define opt_preempt false
#endif

static bool omitted(enum logdirty_source source)
{
    return opt_omit & (1u << source);
}

static bool must_preempt(void)
{
    return opt_preempt || hypercall_preempt_check();
}

bool logdirty_on(const struct domain *d)
{
    return ACCESS_ONCE(d->arch.p2m.logdirty) != NULL;
}

/* The entries */

static bool find_leaf(struct p2m_domain *p2m, gfn_t gfn, struct leaf *leaf)
{
    DECLARE_OFFSETS(offsets, gfn_to_gaddr(gfn));

    leaf->level = P2M_ROOT_LEVEL;
    leaf->table = p2m_get_root_pointer(p2m, gfn);
    if ( !leaf->table )
        return false;

    for ( ; ; leaf->level++ )
    {
        mfn_t next;

        leaf->entry = leaf->table + offsets[leaf->level];
        /* As everywhere in the p2m, the type says what is there; the valid bit serves set/way tracking. */
        if ( leaf->level == 3 || leaf->entry->p2m.type == p2m_invalid ||
             lpae_is_mapping(*leaf->entry, leaf->level) )
            return true;

        next = lpae_get_mfn(*leaf->entry);
        unmap_domain_page(leaf->table);
        leaf->table = map_domain_page(next);
    }
}

static void put_leaf(const struct leaf *leaf)
{
    unmap_domain_page(leaf->table);
}

/* So many gfns from here on are a hole that the upper levels tell of; 0: there may be something. */
static unsigned long hole_at(struct p2m_domain *p2m, unsigned long gfn)
{
    unsigned long gfns = CHUNK_GFNS;
    struct leaf leaf;

    p2m_read_lock(p2m);

    if ( find_leaf(p2m, _gfn(gfn), &leaf) )
    {
        unsigned long size = 1UL << XEN_PT_LEVEL_ORDER(leaf.level);

        gfns = size > 1 && leaf.entry->p2m.type == p2m_invalid
               ? size - (gfn & (size - 1)) : 0;
        put_leaf(&leaf);
    }

    p2m_read_unlock(p2m);

    return gfns;
}

/*
 * Room for the bits of what is mapped, so that running out of memory is met here and not later. Not for all up to the last
 * gfn: where that is, is the guest's choice.
 */
static struct p2m_logdirty *alloc_bits(struct p2m_domain *p2m)
{
    unsigned long gfn = gfn_x(p2m->lowest_mapped_gfn);
    unsigned long last = gfn_x(p2m->max_mapped_gfn);
    struct p2m_logdirty *ld = xvzalloc(struct p2m_logdirty);

    if ( !ld )
        return NULL;

    ld->p2m_changes = NOW();
    ld->spare = logdirty_alloc_chunk();
    if ( !ld->spare || !logdirty_grow(ld, last) )
        goto fail;

    while ( gfn <= last )
    {
        unsigned long gfns = hole_at(p2m, gfn);

        if ( !gfns )
        {
            if ( !logdirty_chunk_of(ld, gfn) )
                goto fail;
            gfns = CHUNK_GFNS - gfn % CHUNK_GFNS;
        }
        gfn += gfns;
    }

    return ld;

 fail:
    logdirty_free_bits(ld);

    return NULL;
}

/* Only the permission changes: no break-before-make. The caller sees to the TLBs. */
static void set_writable(lpae_t *entry, bool writable)
{
    lpae_t pte = *entry;

    pte.p2m.write = writable;
    write_pte(entry, pte);
}

/* Write-protects one entry, or, where that cannot be, sets the bit for the time that begins. */
static void protect(struct p2m_logdirty *ld, lpae_t *entry, unsigned int level,
                    unsigned long gfn)
{
    if ( entry->p2m.type != p2m_ram_rw || !entry->p2m.write )
        return;

    if ( level < 3 || !is_xen_heap_mfn(lpae_get_mfn(*entry)) )
        set_writable(entry, false);
    else if ( !omitted(LOGDIRTY_XENHEAP) )
        logdirty_set_dirty(ld, gfn);
}

/* Protects those of the TABLE_GFNS gfns from gfn whose bit is set; bits NULL: all of them. But not those in now, if that is given. */
static void protect_table(struct p2m_logdirty *ld, const struct leaf *leaf,
                          unsigned long gfn, const unsigned long *bits,
                          const unsigned long *now)
{
    unsigned int i;

    if ( leaf->level < 3 )
        return protect(ld, leaf->entry, leaf->level, gfn);

    for ( i = 0; i < TABLE_GFNS; i++ )
        if ( (!bits || test_bit(i, bits)) && (!now || !test_bit(i, now)) )
            protect(ld, leaf->table + i, 3, gfn + i);
}

static void unprotect_table(const struct leaf *leaf)
{
    unsigned int i;

    for ( i = 0; i < (leaf->level < 3 ? 1 : TABLE_GFNS); i++ )
    {
        lpae_t *entry = leaf->level < 3 ? leaf->entry : leaf->table + i;

        if ( entry->p2m.type == p2m_ram_rw && !entry->p2m.write )
            set_writable(entry, true);
    }
}

/* Protects the frames of a chunk that begins at gfn, as its bits say. One whose bit is set in the epoch that begins may be written. */
static void protect_chunk(struct p2m_domain *p2m, unsigned long gfn,
                          const unsigned long *bits)
{
    const unsigned long *now = p2m->logdirty->chunk[gfn / CHUNK_GFNS];
    unsigned long i = 0;
    struct leaf leaf;

    while ( (i = find_next_bit(bits, CHUNK_GFNS, i)) < CHUNK_GFNS )
    {
        i &= ~(TABLE_GFNS - 1UL);
        if ( find_leaf(p2m, _gfn(gfn + i), &leaf) )
        {
            protect_table(p2m->logdirty, &leaf, gfn + i,
                          bits + i / BITS_PER_LONG,
                          now ? now + i / BITS_PER_LONG : NULL);
            put_leaf(&leaf);
        }
        i += TABLE_GFNS;
    }
}

/* Everything from op.cursor on is write-protected, or made writable. Returns 0 or -ERESTART. */
static int walk_all(struct p2m_domain *p2m, bool writable)
{
    struct p2m_logdirty *ld = p2m->logdirty;
    unsigned int steps = 0;
    int rc = 0;

    p2m_write_lock(p2m);

    while ( ld->op.cursor <= gfn_x(p2m->max_mapped_gfn) )
    {
        struct leaf leaf;

        if ( steps++ && (opt_preempt || !(steps % 64)) && must_preempt() )
        {
            rc = -ERESTART;
            break;
        }

        if ( !find_leaf(p2m, _gfn(ld->op.cursor), &leaf) )
            break;

        if ( writable )
            unprotect_table(&leaf);
        else
            protect_table(ld, &leaf, ld->op.cursor, NULL, NULL);
        put_leaf(&leaf);

        /* A last-level table is done whole, a block or a hole is one entry higher up. */
        ld->op.cursor = gfn_x(gfn_next_boundary(_gfn(ld->op.cursor),
                              XEN_PT_LEVEL_ORDER(min(leaf.level, 2u))));
    }

    /* While the domain is paused, or when permissions only grow, one flush at the end is enough. */
    if ( !rc )
        p2m->need_flush = true;
    p2m_write_unlock(p2m);

    return rc;
}

/* The fault */

/* Splits the block at leaf until leaf is the page of gfn. False: no table to be had; leaf is a block still. */
static bool split_to_page(struct p2m_domain *p2m, struct leaf *leaf, gfn_t gfn)
{
    DECLARE_OFFSETS(offsets, gfn_to_gaddr(gfn));

    while ( leaf->level < 3 )
    {
        lpae_t pte = *leaf->entry;

        /* One level at a time: a failure then leaves nothing to undo. */
        if ( !p2m_split_superpage(p2m, &pte, leaf->level, leaf->level + 1,
                                  offsets) )
            return false;

        write_pte(leaf->entry, (lpae_t){ .bits = 0 });
        p2m_force_tlb_flush_sync(p2m);
        write_pte(leaf->entry, pte);

        unmap_domain_page(leaf->table);
        leaf->table = map_domain_page(lpae_get_mfn(pte));
        leaf->level++;
        leaf->entry = leaf->table + offsets[leaf->level];
    }

    return true;
}

/* Lets gfn be written, and only it where there is a table to split its block with. */
static void let_write(struct p2m_domain *p2m, struct leaf *leaf, gfn_t gfn,
                      enum logdirty_source source)
{
    struct p2m_logdirty *ld = p2m->logdirty;
    unsigned long first = gfn_x(gfn), nr = 1;

    if ( !split_to_page(p2m, leaf, gfn) )
    {
        nr = 1UL << XEN_PT_LEVEL_ORDER(leaf->level);
        first &= ~(nr - 1);
    }

    if ( !omitted(source) )
        logdirty_set_dirty_range(ld, first, nr);
    set_writable(leaf->entry, true);
}

/*
 * Drops what this CPU's TLB may hold of gfn at va. The old translation can be cached as stage 2 by
 * intermediate address, and combined with stage 1 by virtual address; where it is cached through another
 * alias, or on another CPU, that one faults once more and then flushes everything (stale below).
 */
static void flush_one_local(gfn_t gfn, vaddr_t va)
{
    if ( IS_ENABLED(CONFIG_LOGDIRTY_FULL_FLUSH) )
        return flush_guest_tlb_local();

    asm volatile ( "dsb  nshst;"
                   "tlbi ipas2e1, %0;"
                   "dsb  nsh;"
                   "tlbi vaae1, %1;"
                   "dsb  nsh;"
                   "isb;"
                   :
                   : "r" (gfn_x(gfn)),
                     "r" ((va >> PAGE_SHIFT) & GENMASK(43, 0))
                   : "memory" );
}

bool logdirty_write(gfn_t gfn, vaddr_t va, enum logdirty_source source)
{
    struct p2m_domain *p2m = p2m_get_hostp2m(current->domain);
    bool handled = false, stale = false;
    struct leaf leaf;

    if ( likely(!logdirty_on(current->domain)) ||
         (source != LOGDIRTY_FAULT && omitted(source)) )
        return false;

    p2m_write_lock(p2m);

    if ( p2m->logdirty && find_leaf(p2m, gfn, &leaf) )
    {
        if ( leaf.entry->p2m.type == p2m_ram_rw )
        {
            handled = true;
            stale = leaf.entry->p2m.write;
            if ( !stale )
                let_write(p2m, &leaf, gfn, source);
            p2m->logdirty->faults++;
        }
        put_leaf(&leaf);
    }

    p2m_write_unlock(p2m);

    if ( stale )
        flush_guest_tlb_local();
    else if ( handled )
        flush_one_local(gfn, va);

    return handled;
}

void logdirty_mark(struct domain *d, gfn_t gfn, enum logdirty_source source)
{
    struct p2m_domain *p2m = p2m_get_hostp2m(d);

    if ( likely(!logdirty_on(d)) || omitted(source) )
        return;

    p2m_read_lock(p2m);
    if ( p2m->logdirty )
        logdirty_set_dirty(p2m->logdirty, gfn_x(gfn));
    p2m_read_unlock(p2m);
}

void logdirty_entries_changed(struct p2m_domain *p2m, gfn_t gfn,
                              unsigned long nr)
{
    struct p2m_logdirty *ld = p2m->logdirty;

    ASSERT(p2m_is_write_locked(p2m));

    if ( likely(!ld) || !nr )
        return;
    ld->p2m_changes++;
    if ( omitted(LOGDIRTY_ENTRY) )
        return;

    /* Bits that do not fit are lost, and say so. */
    logdirty_grow(ld, gfn_x(gfn) + nr - 1);
    logdirty_set_dirty_range(ld, gfn_x(gfn), nr);
}

int logdirty_p2m_changes(struct domain *d, uint64_t *changes)
{
    struct p2m_domain *p2m = p2m_get_hostp2m(d);
    bool on;

    p2m_read_lock(p2m);
    on = p2m->logdirty;
    if ( on )
        *changes = p2m->logdirty->p2m_changes;
    p2m_read_unlock(p2m);

    return on ? 0 : -ENOENT;
}

void logdirty_destroy(struct p2m_domain *p2m)
{
    struct p2m_logdirty *ld;

    p2m_write_lock(p2m);
    ld = p2m->logdirty;
    p2m->logdirty = NULL;
    p2m_write_unlock(p2m);

    if ( ld )
        logdirty_free_bits(ld);
}

/* The operations */

/*
 * ARM has no hypercall to continue a paging operation with, so the continued domctl looks like a new one.
 * A call that stops leaves its serial in the output fields of the caller's own structure; only the call that
 * brings it back goes on with the operation. Returns 0 or -EBUSY.
 */
static int op_begin(struct p2m_logdirty *ld, const struct xen_domctl_shadow_op *sc)
{
    struct logdirty_op *op = &ld->op;

    if ( !op->running )
    {
        *op = (struct logdirty_op){
            .running = true, .op = sc->op, .serial = op->serial + 1,
        };
        return 0;
    }

    return op->op == sc->op && sc->stats.fault_count == COOKIE_MARK &&
           sc->stats.dirty_count == op->serial ? 0 : -EBUSY;
}

static void op_end(struct domain *d, struct p2m_logdirty *ld)
{
    if ( ld->op.paused )
        domain_unpause(d);
    ld->op.running = ld->op.paused = false;
}

static int check_guest(const struct domain *d)
{
    if ( is_iommu_enabled(d) || p2m_get_hostp2m(d)->mem_access_enabled )
        return -EOPNOTSUPP;

#ifdef CONFIG_TEE
    if ( d->arch.tee )
        return -EOPNOTSUPP;
#endif
#ifdef CONFIG_SBSA_VUART_CONSOLE
    if ( d->arch.vpl011.backend_in_domain )
        return -EOPNOTSUPP;
#endif
#ifdef CONFIG_IOREQ_SERVER
    if ( domain_has_ioreq_server(d) )
        return -EOPNOTSUPP;
#endif
#ifdef CONFIG_ARGO
    if ( d->argo )
        return -EOPNOTSUPP;
#endif
#ifdef CONFIG_MEM_ACCESS
    if ( vm_event_check_ring(d->vm_event_monitor) )
        return -EOPNOTSUPP;
#endif

    return flic_frames_complete(d) ? 0 : -ENOMEM;
}

static void mark_held(struct domain *d, gfn_t gfn)
{
    logdirty_mark(d, gfn, LOGDIRTY_GRANT_HELD);
}

static void mark_mapped(struct domain *d, gfn_t gfn, void *unused)
{
    logdirty_mark(d, gfn, LOGDIRTY_XEN_MAPPED);
}

/*
 * Frames that can be written without anybody saying so, for as long as they are held: dirty in every epoch.
 * Called after the bits were taken. Whoever takes hold of a frame does so first and marks it then, so
 * one of the two, this or that mark, falls into the epoch that begins.
 */
static void mark_pinned(struct domain *d)
{
    gnttab_for_each_writable(d, mark_held);
    flic_frames_each(d, mark_mapped, NULL);

    /* One of those frames could not be recorded, so any may be it. */
    if ( !flic_frames_complete(d) )
        p2m_get_hostp2m(d)->logdirty->lost = true;
}

static int enable(struct domain *d, const struct xen_domctl_shadow_op *sc)
{
    struct p2m_domain *p2m = p2m_get_hostp2m(d);
    struct p2m_logdirty *ld = p2m->logdirty;
    int rc;

    if ( !ld )
    {
        rc = check_guest(d);
        if ( rc )
            return rc;
        ld = alloc_bits(p2m);
        if ( !ld )
            return -ENOMEM;

        op_begin(ld, sc);
        /* Also waits for what a vCPU has Xen write on its behalf. */
        domain_pause(d);
        ld->op.paused = true;
        p2m_write_lock(p2m);
        p2m->logdirty = ld;
        p2m_write_unlock(p2m);
    }
    else if ( !ld->op.running )
        return -EINVAL;
    else if ( (rc = op_begin(ld, sc)) != 0 )
        return rc;

    rc = walk_all(p2m, false);
    if ( rc )
        return rc;

    mark_pinned(d);
    op_end(d, ld);

    return 0;
}

/* The guest may run: it can but fault on what is not writable yet. */
static int disable(struct domain *d, const struct xen_domctl_shadow_op *sc)
{
    struct p2m_domain *p2m = p2m_get_hostp2m(d);
    struct p2m_logdirty *ld = p2m->logdirty;
    int rc;

    if ( !ld )
        return 0;

    /* Whatever else is unfinished ends here; an OFF that is, is helped along. */
    if ( !ld->op.running || ld->op.op != sc->op )
    {
        op_end(d, ld);
        op_begin(ld, sc);
    }

    rc = walk_all(p2m, true);
    if ( rc )
        return rc;

    logdirty_destroy(p2m);

    return 0;
}

/* Bits from gfn on, beyond those that the caller asked for, are left for the next. */
static void keep_tail(struct p2m_logdirty *ld, unsigned long *bits,
                      unsigned long first, unsigned long nr)
{
    unsigned long i = nr;

    while ( (i = find_next_bit(bits, CHUNK_GFNS, i)) < CHUNK_GFNS )
    {
        logdirty_set_dirty(ld, first + i);
        __clear_bit(i, bits);
    }
}

/*
 * Sets anew the bits of hot frames in the chunk at gfn, of which these bits are reported: so they are not protected.
 * The p2m lock is held for writing.
 */
static void spare_hot(struct p2m_logdirty *ld, unsigned long gfn,
                      const unsigned long *bits)
{
    unsigned long **reported = &ld->reported[gfn / CHUNK_GFNS];
    unsigned long *now = ld->chunk[gfn / CHUNK_GFNS];
    unsigned int i, hot = 0;

    if ( !*reported )
        *reported = logdirty_alloc_chunk();
    /* Where memory is short none is spared. */
    if ( !*reported || !now )
        return;

    for ( i = 0; i < PAGE_SIZE / sizeof(*bits); i++ )
    {
        unsigned long both = bits[i] & (*reported)[i] & ~now[i];

        (*reported)[i] = bits[i];
        if ( (i + ld->epoch) % HOT_EPOCHS == 0 )
            continue;
        now[i] |= both;
        hot += hweight64(both);
    }
    atomic_add(hot, &ld->dirty);
}

/* The bits of the chunk at gfn, taken; their frames are protected again. The page is to be given back. */
static unsigned long *take_chunk(struct p2m_domain *p2m, unsigned long gfn,
                                 unsigned long nr)
{
    struct p2m_logdirty *ld = p2m->logdirty;
    unsigned long **chunk, *bits;

    p2m_write_lock(p2m);

    /* Dom0 may map something beyond the last chunk at any time, and logdirty_grow() moves them all. */
    chunk = &ld->chunk[gfn / CHUNK_GFNS];
    bits = ld->spare;
    if ( *chunk )
        SWAP(*chunk, bits);
    if ( nr < CHUNK_GFNS )
        keep_tail(ld, bits, gfn, nr);
    if ( ld->op.all )
        memset(bits, 0xff, DIV_ROUND_UP(nr, 8));
    if ( ld->op.spare_hot )
        spare_hot(ld, gfn, bits);
    protect_chunk(p2m, gfn, bits);

    p2m_write_unlock(p2m);

    return bits;
}

static unsigned long *peek_chunk(struct p2m_domain *p2m, unsigned long gfn,
                                 unsigned long nr)
{
    struct p2m_logdirty *ld = p2m->logdirty;
    unsigned long *bits = ld->spare;
    const unsigned long *chunk;

    p2m_read_lock(p2m);

    chunk = ld->chunk[gfn / CHUNK_GFNS];
    if ( chunk )
        memcpy(bits, chunk, PAGE_SIZE);
    if ( ld->op.all )
        memset(bits, 0xff, PAGE_SIZE);

    p2m_read_unlock(p2m);

    return bits;
}

/* The caller did not get these bits: they are set again. What it got before is not to be relied on. */
static void untake_chunk(struct p2m_domain *p2m, unsigned long gfn,
                         const unsigned long *bits)
{
    struct p2m_logdirty *ld = p2m->logdirty;
    unsigned long i = 0;

    p2m_read_lock(p2m);

    if ( gfn || ld->op.all )
        ld->lost = true;
    while ( (i = find_next_bit(bits, CHUNK_GFNS, i)) < CHUNK_GFNS )
        logdirty_set_dirty(ld, gfn + i++);

    p2m_read_unlock(p2m);
}

/* Reports the chunk at op.cursor. Returns 0 or -EFAULT. */
static int report_chunk(struct p2m_domain *p2m,
                        const struct xen_domctl_shadow_op *sc)
{
    struct p2m_logdirty *ld = p2m->logdirty;
    unsigned long gfn = ld->op.cursor;
    unsigned long nr = min(ld->op.pages - gfn, CHUNK_GFNS);
    bool clean = sc->op == XEN_DOMCTL_SHADOW_OP_CLEAN;
    unsigned long *bits = clean ? take_chunk(p2m, gfn, nr)
                                : peek_chunk(p2m, gfn, nr);
    int rc = 0;

    /* Without the p2m lock: the caller's own, which this takes, must not be nested in the domain's. */
    if ( !guest_handle_is_null(sc->dirty_bitmap) &&
         copy_to_guest_offset(sc->dirty_bitmap, gfn / 8, (uint8_t *)bits,
                              DIV_ROUND_UP(nr, 8)) )
    {
        rc = -EFAULT;
        if ( clean )
            untake_chunk(p2m, gfn, bits);
    }

    clear_page(bits);
    ld->spare = bits;

    return rc;
}

static int report_begin(struct domain *d, const struct xen_domctl_shadow_op *sc)
{
    struct p2m_domain *p2m = p2m_get_hostp2m(d);
    struct p2m_logdirty *ld = p2m->logdirty;
    bool clean = sc->op == XEN_DOMCTL_SHADOW_OP_CLEAN;
    unsigned long total;

    if ( clean )
    {
        /* Also waits for what a vCPU has Xen write on its behalf. */
        domain_pause(d);
        ld->op.paused = true;
    }

    p2m_write_lock(p2m);

    total = gfn_x(p2m->max_mapped_gfn) + 1;
    if ( !logdirty_grow(ld, total - 1) )
    {
        p2m_write_unlock(p2m);
        return -ENOMEM;
    }

    ld->op.pages = min(sc->pages + 0UL, total);
    ld->op.all = ld->lost;
    ld->op.spare_hot = clean && (sc->mode & XEN_ARM_LOGDIRTY_SPARE_HOT);
    ld->epoch += ld->op.spare_hot;
    ld->op.stats.fault_count = ld->faults;
    ld->op.stats.dirty_count = atomic_read(&ld->dirty);
    if ( clean )
    {
        /* A caller who takes a part only learns of the loss in that part; the rest still has it coming. */
        if ( ld->op.pages == total )
            ld->lost = false;
        ld->faults = 0;
        atomic_set(&ld->dirty, 0);
    }

    p2m_write_unlock(p2m);

    return 0;
}

/* CLEAN and PEEK. LOGDIRTY_FINAL asks for frames that Xen has mapped; they are in every answer. */
static int report(struct domain *d, struct xen_domctl_shadow_op *sc)
{
    struct p2m_domain *p2m = p2m_get_hostp2m(d);
    struct p2m_logdirty *ld = p2m->logdirty;
    bool resumed = ld && ld->op.running;
    int rc;

    if ( (sc->mode & ~(XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL |
                       XEN_ARM_LOGDIRTY_SPARE_HOT)) || !ld )
        return -EINVAL;

    rc = op_begin(ld, sc);
    if ( rc )
        return rc;
    if ( !resumed && (rc = report_begin(d, sc)) != 0 )
    {
        op_end(d, ld);
        return rc;
    }

    while ( ld->op.cursor < ld->op.pages )
    {
        rc = report_chunk(p2m, sc);
        if ( rc )
            break;
        ld->op.cursor += CHUNK_GFNS;
        if ( ld->op.cursor < ld->op.pages && must_preempt() )
            return -ERESTART;
    }

    if ( sc->op == XEN_DOMCTL_SHADOW_OP_CLEAN )
    {
        /* One flush for all: no vCPU of the domain has run since the first entry was protected. */
        p2m_write_lock(p2m);
        p2m->need_flush = true;
        p2m_write_unlock(p2m);
        mark_pinned(d);
    }
    if ( !rc )
    {
        sc->pages = ld->op.pages;
        sc->stats = ld->op.stats;
    }
    op_end(d, ld);

    return rc;
}

static int dispatch(struct domain *d, struct xen_domctl_shadow_op *sc)
{
    if ( d == current->domain || is_hardware_domain(d) || d->is_dying ||
         !d->vcpu || !d->vcpu[0] )
        return -EINVAL;

    switch ( sc->op )
    {
    case XEN_DOMCTL_SHADOW_OP_ENABLE:
        if ( sc->mode != XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY )
            return -EINVAL;
        fallthrough;
    case XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY:
        return enable(d, sc);

    case XEN_DOMCTL_SHADOW_OP_OFF:
        return disable(d, sc);

    case XEN_DOMCTL_SHADOW_OP_CLEAN:
    case XEN_DOMCTL_SHADOW_OP_PEEK:
        return report(d, sc);

    default:
        return -EINVAL;
    }
}

long logdirty_domctl(struct domain *d, struct xen_domctl *domctl,
                     XEN_GUEST_HANDLE_PARAM(xen_domctl_t) u_domctl)
{
    struct xen_domctl_shadow_op *sc = &domctl->u.shadow_op;
    int rc = dispatch(d, sc);

    if ( rc == -ERESTART )
    {
        sc->stats.fault_count = COOKIE_MARK;
        sc->stats.dirty_count = p2m_get_hostp2m(d)->logdirty->op.serial;
    }
    else if ( rc )
        return rc;

    if ( copy_to_guest(u_domctl, domctl, 1) )
    {
        /* Nobody can go on with it, nor rely on what it has done. */
        struct p2m_logdirty *ld = p2m_get_hostp2m(d)->logdirty;

        if ( ld )
            ld->lost = true;
        if ( ld && rc == -ERESTART )
            op_end(d, ld);
        return -EFAULT;
    }

    return rc ? hypercall_create_continuation(__HYPERVISOR_domctl, "h", u_domctl)
              : 0;
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
