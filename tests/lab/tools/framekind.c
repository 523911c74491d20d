/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What the frames of a guest are to Xen and to Dom0. */
#include "guestmem.h"

#include <string.h>
#include <sys/mman.h>

#include <xen/grant_table.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>

/* Xen's own header for the arm64 records, from our series; the one in Debian's package is a placeholder. */
#include <public/arch-arm/hvm/save.h>

#ifndef __x86_64__
/* Where libxl puts the grant table of arm64 guests (GUEST_GNTTAB_BASE in xen/arch-arm.h), 16 MiB. */
#define GRANT_TABLE_GFN  0x38000
#define GRANT_TABLE_GFNS 0x1000
#endif

#define ENTRIES_PER_FRAME (GUESTMEM_PAGE / sizeof(grant_entry_v1_t))

const char *const frame_kind_names[FRAME_KINDS] = {
    [FRAME_OTHER] = "other",
    [FRAME_CONSOLE_RING] = "console-ring",
    [FRAME_XENSTORE_RING] = "xenstore-ring",
    [FRAME_SHARED_INFO] = "shared-info",
    [FRAME_VCPU_INFO] = "vcpu-info",
    [FRAME_GRANT_TABLE] = "grant-table",
    [FRAME_GRANT] = "grant-pinned",
    [FRAME_GRANT_OFFERED] = "grant-offered",
    [FRAME_XEN_MAPPED] = "xen-mapped",
};

static void classify(const struct guestmem *mem, uint8_t *kind, uint64_t gfn, enum frame_kind as)
{
    if (gfn < mem->nr && kind[gfn] == FRAME_OTHER)
        kind[gfn] = as;
}

static void classify_rings(const struct guestmem *mem, uint8_t *kind)
{
    uint64_t gfn;

    if (!xc_hvm_param_get(mem->xch, mem->domid, HVM_PARAM_CONSOLE_PFN, &gfn))
        classify(mem, kind, gfn, FRAME_CONSOLE_RING);
    if (!xc_hvm_param_get(mem->xch, mem->domid, HVM_PARAM_STORE_PFN, &gfn))
        classify(mem, kind, gfn, FRAME_XENSTORE_RING);
}

#ifdef __x86_64__
/* Stock Xen does not say where vcpu_info is: those are FRAME_OTHER. */
static void classify_context(const struct guestmem *mem, uint8_t *kind)
{
    xc_domaininfo_t info;

    if (xc_domain_getinfolist(mem->xch, mem->domid, 1, &info) == 1 && info.domain == mem->domid)
        classify(mem, kind, info.shared_info_frame, FRAME_SHARED_INFO);
}
#else
/* A hypervisor without the context half of the series leaves these to FRAME_XEN_MAPPED. */
static void classify_context(const struct guestmem *mem, uint8_t *kind)
{
    struct xen_arm_save_domain domain;
    struct xen_arm_save_vcpu vcpu;

    if (!xc_domain_hvm_getcontext_partial(mem->xch, mem->domid, XEN_ARM_SAVE_DOMAIN, 0, &domain, sizeof(domain)))
        classify(mem, kind, domain.shared_info_gfn, FRAME_SHARED_INFO);
    for (unsigned int i = 0; !xc_domain_hvm_getcontext_partial(mem->xch, mem->domid, XEN_ARM_SAVE_VCPU, i, &vcpu,
                                                               sizeof(vcpu)); i++)
        if (vcpu.vcpu_info_gpa != XEN_ARM_SAVE_NONE)
            classify(mem, kind, vcpu.vcpu_info_gpa / GUESTMEM_PAGE, FRAME_VCPU_INFO);
}
#endif

static void classify_grant_frame(const struct guestmem *mem, uint8_t *kind, const grant_entry_v1_t *entry)
{
    for (unsigned int i = 0; i < ENTRIES_PER_FRAME; i++) {
        uint16_t flags = entry[i].flags;

        if ((flags & GTF_type_mask) == GTF_permit_access && !(flags & GTF_readonly))
            classify(mem, kind, entry[i].frame, flags & GTF_writing ? FRAME_GRANT : FRAME_GRANT_OFFERED);
    }
}

#ifdef __x86_64__
/* No more frames than there are: asking for more would make the table grow. */
static uint32_t count_frames(const struct guestmem *mem)
{
    struct gnttab_query_size query = { .dom = (domid_t)mem->domid };

    if (xc_gnttab_query_size(mem->xch, &query) || query.status != GNTST_okay)
        die("domain %u: its grant table cannot be asked for", mem->domid);
    if (xc_gnttab_get_version(mem->xch, mem->domid) != 1)
        die("domain %u: its grant table is not of version 1", mem->domid);
    return query.nr_frames;
}

/* Calls back with every page of the grant table. */
static void each_grant_page(const struct guestmem *mem, void (*see)(const grant_entry_v1_t *entry, void *arg), void *arg)
{
    uint32_t frames = count_frames(mem);
    void *table = NULL;
    xenforeignmemory_resource_handle *handle =
        xenforeignmemory_map_resource(mem->fmem, (domid_t)mem->domid, XENMEM_resource_grant_table,
                                      XENMEM_resource_grant_table_id_shared, 0, frames, &table, PROT_READ, 0);

    if (!handle)
        die("domain %u: its grant table cannot be mapped", mem->domid);
    for (uint32_t i = 0; i < frames; i++)
        see((const grant_entry_v1_t *)((const uint8_t *)table + i * (size_t)GUESTMEM_PAGE), arg);
    xenforeignmemory_unmap_resource(mem->fmem, handle);
}

struct bits {
    uint8_t *bits;
    uint64_t nr;
};

static void add_granted(const grant_entry_v1_t *entry, void *arg)
{
    struct bits *to = arg;

    for (unsigned int i = 0; i < ENTRIES_PER_FRAME; i++)
        if ((entry[i].flags & GTF_type_mask) == GTF_permit_access && !(entry[i].flags & GTF_readonly) &&
            entry[i].frame < to->nr)
            to->bits[entry[i].frame / 8] |= (uint8_t)(1u << entry[i].frame % 8);
}

void guestmem_add_granted(const struct guestmem *mem, uint8_t *bits, uint64_t nr)
{
    struct bits to = { bits, nr };

    each_grant_page(mem, add_granted, &to);
}

struct kinds {
    const struct guestmem *mem;
    uint8_t *kind;
};

static void classify_page(const grant_entry_v1_t *entry, void *arg)
{
    static const uint8_t nothing[GUESTMEM_PAGE];
    const struct kinds *to = arg;

    classify_grant_frame(to->mem, to->kind, entry);
    /* Xen does not say where a guest has put its table; its bytes do. */
    for (uint64_t gfn = 0; memcmp(entry, nothing, GUESTMEM_PAGE) && gfn < to->mem->nr; gfn++)
        if (to->mem->page[gfn] && !memcmp(to->mem->page[gfn], entry, GUESTMEM_PAGE))
            classify(to->mem, to->kind, gfn, FRAME_GRANT_TABLE);
}

static void classify_grants(const struct guestmem *mem, uint8_t *kind)
{
    struct kinds to = { mem, kind };

    each_grant_page(mem, classify_page, &to);
}
#else
/* Our hypervisor reports them itself. */
void guestmem_add_granted(const struct guestmem *mem, uint8_t *bits, uint64_t nr)
{
    (void)mem;
    (void)bits;
    (void)nr;
}

/*
 * Through the guest's own mapping of its grant table: asking Xen for the table as a resource would make it grow.
 */
static void classify_grants(const struct guestmem *mem, uint8_t *kind)
{
    for (uint64_t gfn = GRANT_TABLE_GFN; gfn < GRANT_TABLE_GFN + GRANT_TABLE_GFNS && gfn < mem->nr; gfn++) {
        if (!mem->page[gfn])
            continue;
        classify(mem, kind, gfn, FRAME_GRANT_TABLE);
        classify_grant_frame(mem, kind, (const grant_entry_v1_t *)mem->page[gfn]);
    }
}
#endif

void guestmem_kinds(const struct guestmem *mem, const uint8_t *pinned, uint8_t *kind)
{
    memset(kind, FRAME_OTHER, mem->nr);
    classify_rings(mem, kind);
    classify_context(mem, kind);
    classify_grants(mem, kind);
    for (uint64_t gfn = 0; pinned && gfn < mem->nr; gfn++)
        if (guestmem_bit(pinned, gfn))
            classify(mem, kind, gfn, FRAME_XEN_MAPPED);
}
