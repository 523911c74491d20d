/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 The FLIC authors */
#include <xen/bitops.h>
#include <xen/mm.h>
#include <xen/xvmalloc.h>

#include "logdirty_bits.h"

unsigned long *logdirty_alloc_chunk(void)
{
    unsigned long *bits = alloc_xenheap_page();

    if ( bits )
        clear_page(bits);

    return bits;
}

unsigned long *logdirty_chunk_of(struct p2m_logdirty *ld, unsigned long gfn)
{
    unsigned long i = gfn / CHUNK_GFNS;
    unsigned long *bits, *other;

    if ( i >= ld->nr_chunks )
        return NULL;

    bits = ACCESS_ONCE(ld->chunk[i]);
    if ( bits )
        return bits;

    bits = logdirty_alloc_chunk();
    if ( !bits )
        return NULL;

    /* Another CPU may set a bit of this chunk at the same time. */
    other = cmpxchg(&ld->chunk[i], NULL, bits);
    if ( !other )
        return bits;

    free_xenheap_page(bits);

    return other;
}

void logdirty_set_dirty(struct p2m_logdirty *ld, unsigned long gfn)
{
    unsigned long *bits = logdirty_chunk_of(ld, gfn);

    if ( !bits )
        ACCESS_ONCE(ld->lost) = true;
    else if ( !test_and_set_bit(gfn % CHUNK_GFNS, bits) )
        atomic_inc(&ld->dirty);
}

void logdirty_set_dirty_range(struct p2m_logdirty *ld, unsigned long gfn,
                              unsigned long nr)
{
    while ( nr-- )
        logdirty_set_dirty(ld, gfn++);
}

bool logdirty_grow(struct p2m_logdirty *ld, unsigned long last)
{
    unsigned long nr = last / CHUNK_GFNS + 1;
    unsigned long **chunk, **reported;

    if ( nr <= ld->nr_chunks )
        return true;

    chunk = xvzalloc_array(unsigned long *, nr);
    reported = xvzalloc_array(unsigned long *, nr);
    if ( !chunk || !reported )
    {
        xvfree(chunk);
        xvfree(reported);
        return false;
    }

    if ( ld->nr_chunks )
    {
        memcpy(chunk, ld->chunk, ld->nr_chunks * sizeof(*chunk));
        memcpy(reported, ld->reported, ld->nr_chunks * sizeof(*reported));
    }
    xvfree(ld->chunk);
    xvfree(ld->reported);
    ld->chunk = chunk;
    ld->reported = reported;
    ld->nr_chunks = nr;

    return true;
}

void logdirty_free_bits(struct p2m_logdirty *ld)
{
    unsigned long i;

    for ( i = 0; i < ld->nr_chunks; i++ )
    {
        free_xenheap_page(ld->chunk[i]);
        free_xenheap_page(ld->reported[i]);
    }
    xvfree(ld->chunk);
    xvfree(ld->reported);
    free_xenheap_page(ld->spare);
    xvfree(ld);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
