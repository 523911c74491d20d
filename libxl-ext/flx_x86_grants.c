/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * What stock Xen's log-dirty on x86 does not report: a page that a backend has mapped for writing gets its bit only when it is
 * unmapped, and backends keep mappings for hours (persistent grants, rings). So with every bitmap the guest's grant table is
 * read, and each frame that is granted for writing counts as dirty, in use or not. Why nothing is missed: a page written in an
 * epoch was mapped in it; either it was unmapped before the bitmap was fetched, and Xen set its bit, or its entry was still
 * there after the fetch, and is seen here; unmapped in between, its bit is in the next bitmap.
 */
#include "libxl-ext/flx_x86.h"

#include <sys/mman.h>

#include <xen/grant_table.h>
#include <xen/memory.h>

#define MAX_FRAMES 1024u        /* of a grant table: 512 Ki entries of version 1, far beyond Xen's default of 64 frames */

void flx_x86_drop_table(struct flx_dom *dom)
{
    if (dom->arch && dom->arch->table)
        (void)xenforeignmemory_unmap_resource(dom->memory, dom->arch->table);   /* fails only for a bad address */
    if (dom->arch)
        dom->arch->table = NULL;
}

/* To map more frames than there are would make the table grow: asked first. */
static int count_frames(struct flx_dom *dom, uint32_t *ret_frames, struct flic_err *err)
{
    struct gnttab_query_size query = { .dom = (domid_t)dom->domid };

    if (xc_gnttab_query_size(dom->xch, &query) || query.status != GNTST_okay || query.nr_frames > MAX_FRAMES)
        return flx_fail(err, dom->domid, "ask for the size of its grant table");
    *ret_frames = query.nr_frames;
    return 0;
}

/* Mapped once, and again when it has grown. */
static int need_table(struct flx_dom *dom, struct flic_err *err)
{
    uint32_t frames = 0;
    int rc = count_frames(dom, &frames, err);

    if (rc)
        return rc;
    if (!flx_x86_keep(dom))
        return flic_err_set(err, -ENOMEM, "domain %u: grant table: out of memory", dom->domid);
    if (dom->arch->table && dom->arch->frames == frames)
        return 0;
    flx_x86_drop_table(dom);
    dom->arch->frames = frames;
    dom->arch->entries = NULL;
    if (!frames)
        return 0;
    dom->arch->table = xenforeignmemory_map_resource(dom->memory, (domid_t)dom->domid, XENMEM_resource_grant_table,
                                                     XENMEM_resource_grant_table_id_shared, 0, frames,
                                                     &dom->arch->entries, PROT_READ, 0);
    return dom->arch->table ? 0 : flx_fail(err, dom->domid, "map its grant table");
}

/* The guest writes the table while it is read: each entry is looked at once, and a frame out of range is passed over. */
static void mark(uint16_t flags, uint64_t frame, uint64_t *bitmap, uint64_t bits)
{
    unsigned type = flags & GTF_type_mask;

    if (type != GTF_permit_access && type != GTF_accept_transfer)
        return;
    if (!(flags & GTF_readonly) && frame < bits)
        bitmap[frame / 64] |= UINT64_C(1) << (frame % 64);
}

static void mark_all(const struct flx_arch_dom *arch, int version, uint64_t *bitmap, uint64_t bits)
{
    const volatile grant_entry_v1_t *v1 = arch->entries;
    const volatile grant_entry_v2_t *v2 = arch->entries;
    size_t room = (size_t)arch->frames * XC_PAGE_SIZE;

    if (version == 1)
        for (size_t i = 0; i < room / sizeof(*v1); i++)
            mark(v1[i].flags, v1[i].frame, bitmap, bits);
    else
        for (size_t i = 0; i < room / sizeof(*v2); i++)         /* a sub-page grant has its frame in the same place */
            mark(v2[i].hdr.flags, v2[i].full_page.frame, bitmap, bits);
}

/* FINAL marks what Xen itself has mapped of the guest for emulation. */
const unsigned flx_arch_bitmap_mode = XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL;
const unsigned flx_arch_spare_hot_mode = 0;

int flx_arch_add_dirty(struct flx_dom *dom, uint64_t *bitmap, uint64_t bits, struct flic_err *err)
{
    int version = xc_gnttab_get_version(dom->xch, dom->domid);
    int rc = flx_x86_check_mark(dom, bitmap, bits, err);

    if (rc)
        return rc;
    if (version != 1 && version != 2)
        return flx_fail(err, dom->domid, "ask for the version of its grant table");
    rc = need_table(dom, err);
    if (!rc)
        mark_all(dom->arch, version, bitmap, bits);
    return rc;
}
