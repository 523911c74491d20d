/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "ctx-target.h"

#include <errno.h>
#include <string.h>

#include <xencall.h>
#include <xen/domctl.h>
#include <xen/memory.h>

#define TARGET_MEMORY_KIB 4096u
#define TARGET_POOL_BYTES (1u << 20)    /* second-stage tables */

static void must(int rc, const char *what)
{
    if (rc < 0)
        ctx_die("%s: %s", what, strerror(errno));
}

/* libxc has no call for this one. A domain is born with 32 bits. */
static void set_64bit(uint32_t domid)
{
    xencall_handle *call = xencall_open(NULL, 0);
    struct xen_domctl *op = call ? xencall_alloc_buffer(call, sizeof(*op)) : NULL;

    if (!op)
        ctx_die("xencall: %s", strerror(errno));
    memset(op, 0, sizeof(*op));
    op->cmd = XEN_DOMCTL_set_address_size;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = domid;
    op->u.address_size.size = 64;
    must(xencall1(call, __HYPERVISOR_domctl, (uintptr_t)op), "set_address_size");
    xencall_free_buffer(call, op);
    xencall_close(call);
}

uint32_t ctx_target_create(xc_interface *xch, struct ctx_blob *blob, unsigned width)
{
    const struct xen_arm_save_header *header = ctx_body(blob, XEN_ARM_SAVE_HEADER, 0);
    struct xen_domctl_createdomain config = {
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .max_vcpus = header->nr_vcpus,
        .max_evtchn_port = 1023,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
        .arch = { .gic_version = header->gic_version, .nr_spis = header->nr_spis },
    };
    uint32_t domid = 0;

    must(xc_domain_create(xch, &domid, &config), "createdomain");
    must(xc_domain_max_vcpus(xch, domid, header->nr_vcpus), "max_vcpus");
    must(xc_domain_setmaxmem(xch, domid, TARGET_MEMORY_KIB), "setmaxmem");
    must(xc_set_paging_mempool_size(xch, domid, TARGET_POOL_BYTES), "paging_mempool_size");
    if (width == 64)
        set_64bit(domid);
    return domid;
}

void ctx_target_prepare(xc_interface *xch, uint32_t domid, struct ctx_blob *blob)
{
    const struct xen_arm_save_header *header = ctx_body(blob, XEN_ARM_SAVE_HEADER, 0);
    const struct xen_arm_save_domain *domain = ctx_body(blob, XEN_ARM_SAVE_DOMAIN, 0);

    for (uint32_t i = 0; i < header->nr_vcpus; i++) {
        const struct xen_arm_save_vcpu *vcpu = ctx_body(blob, XEN_ARM_SAVE_VCPU, i);
        xen_pfn_t gfn = vcpu->vcpu_info_gpa / XC_PAGE_SIZE;

        if (vcpu->vcpu_info_gpa != XEN_ARM_SAVE_NONE)
            must(xc_domain_populate_physmap_exact(xch, domid, 1, 0, 0, &gfn), "populate");
    }
    if (domain->shared_info_gfn != XEN_ARM_SAVE_NONE)
        must(xc_domain_add_to_physmap(xch, domid, XENMAPSPACE_shared_info, 0, domain->shared_info_gfn),
             "map shared_info");
}

void ctx_target_destroy(xc_interface *xch, uint32_t domid)
{
    must(xc_domain_destroy(xch, domid), "destroydomain");
}
