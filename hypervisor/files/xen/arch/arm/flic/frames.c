/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest frames that Xen keeps mapped for its own writes: which gfn lies behind which mapping.
 *
 * Copyright (C) 2026 The FLIC authors
 *
 * A guest has a handful of them (one vcpu_info page for several vCPUs, one control block per vCPU, one event array
 * per 1024 channels), so a list is enough. It is filled when the guest boots and read at a save.
 */

#include <xen/domain_page.h>
#include <xen/errno.h>
#include <xen/flic.h>
#include <xen/lib.h>
#include <xen/sched.h>
#include <xen/xmalloc.h>

#include <asm/flic.h>
#include <asm/logdirty.h>
#include <asm/p2m.h>

struct flic_frame {
    struct flic_frame *next;
    const void *map;
    paddr_t gaddr;
};

void flic_domain_init(struct domain *d)
{
    spin_lock_init(&d->arch.flic.lock);
}

void flic_domain_destroy(struct domain *d)
{
    struct flic_frame *f, *next;

    for ( f = d->arch.flic.frames; f; f = next )
    {
        next = f->next;
        xfree(f);
    }
    d->arch.flic.frames = NULL;
}

void flic_frame_mapped(struct domain *d, paddr_t gaddr, const void *map)
{
    struct flic_domain *flic = &d->arch.flic;
    struct flic_frame *f = xmalloc(struct flic_frame);

    if ( f )
    {
        f->map = map;
        f->gaddr = gaddr;
    }

    spin_lock(&flic->lock);
    if ( f )
    {
        f->next = flic->frames;
        flic->frames = f;
    }
    else
        flic->incomplete = true;
    spin_unlock(&flic->lock);

    /* Recorded first, marked then: one or the other is seen by a CLEAN that runs meanwhile. */
    logdirty_mark(d, gaddr_to_gfn(gaddr), LOGDIRTY_XEN_MAPPED);
}

void flic_frame_unmapped(struct domain *d, const void *map)
{
    struct flic_domain *flic = &d->arch.flic;
    struct flic_frame **link, *f = NULL;

    spin_lock(&flic->lock);
    for ( link = &flic->frames; *link; link = &(*link)->next )
        if ( (*link)->map == map )
        {
            f = *link;
            *link = f->next;
            break;
        }
    spin_unlock(&flic->lock);

    xfree(f);
}

bool flic_frames_complete(const struct domain *d)
{
    return !d->arch.flic.incomplete;
}

void flic_frames_each(struct domain *d, void (*fn)(struct domain *d, gfn_t gfn, void *arg), void *arg)
{
    const struct flic_frame *f;

    spin_lock(&d->arch.flic.lock);
    for ( f = d->arch.flic.frames; f; f = f->next )
        fn(d, gaddr_to_gfn(f->gaddr), arg);
    spin_unlock(&d->arch.flic.lock);
}

int flic_frame_address(struct domain *d, const void *map, paddr_t *ret_gaddr)
{
    const struct flic_frame *f;
    paddr_t gaddr = 0;

    spin_lock(&d->arch.flic.lock);
    for ( f = d->arch.flic.frames; f && f->map != map; f = f->next )
        ;
    if ( f )
        gaddr = f->gaddr;
    spin_unlock(&d->arch.flic.lock);

    if ( !f )
        return -ENOENT;
    if ( !mfn_eq(p2m_lookup(d, gaddr_to_gfn(gaddr), NULL), domain_page_map_to_mfn(map)) )
        return -ENXIO;
    *ret_gaddr = gaddr;
    return 0;
}
