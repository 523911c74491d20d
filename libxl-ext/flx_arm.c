/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What is particular to arm64: the memory layout (xen/arch-arm.h), the machine's identity, caches, address width. */
#include "libxl-ext/flx_priv.h"

#include "common/bytes.h"
#include "hypervisor/files/xen/include/public/arch-arm/hvm/save.h"

#include <assert.h>
#include <stdio.h>
#include <xen/hvm/params.h>

#define PAGES(bytes) ((bytes) >> XC_PAGE_SHIFT)
#define FLUSH_PAGES (UINT64_C(1) << 18)         /* a call cleans at most this many: xen's MAX_ORDER on ARM */

const char flx_arch[] = "arm64";

const uint32_t flx_arch_params[] = {            /* all that ARM has but the ports; ascending */
    HVM_PARAM_CALLBACK_IRQ, HVM_PARAM_STORE_PFN, HVM_PARAM_CONSOLE_PFN, HVM_PARAM_MONITOR_RING_PFN,
};
const size_t flx_arch_n_params = sizeof(flx_arch_params) / sizeof(flx_arch_params[0]);

/* ---- memory ---- */

size_t flx_ranges(const struct flx_info *info, struct flx_range ranges[16])
{
    /* Of the first two regions the toolstack populates a few pages at the start: ACPI tables of some KiB, and four magic pages
     * (tools/libs/guest/xg_dom_arm.c). To look for pages that cannot be there costs a failed mapping each. */
    static const struct { uint64_t base, bytes; } regions[] = {
        { GUEST_ACPI_BASE, UINT64_C(2) << 20 },
        { GUEST_MAGIC_BASE, UINT64_C(16) << XC_PAGE_SHIFT },
        { GUEST_RAM0_BASE, GUEST_RAM0_SIZE },
        { GUEST_RAM1_BASE, GUEST_RAM1_SIZE },
    };
    size_t n = 0;

    for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
        uint64_t first = PAGES(regions[i].base), end = first + PAGES(regions[i].bytes);

        if (end > info->gfn_end)
            end = info->gfn_end;
        if (first < end)
            ranges[n++] = (struct flx_range){ first, end - first };
    }
    return n;
}

bool flx_arch_is_grant_frame(uint64_t gfn)
{
    return gfn >= PAGES(GUEST_GNTTAB_BASE) && gfn < PAGES(GUEST_GNTTAB_BASE + GUEST_GNTTAB_SIZE);
}

int flx_arch_shared_info(struct flx_dom *dom, uint64_t *ret_gfn)
{
    struct xen_arm_save_domain record;

    static_assert(XEN_ARM_SAVE_NONE == FLX_NO_GFN, "both say 'nowhere' the same way");
    if (xc_domain_hvm_getcontext_partial(dom->xch, dom->domid, XEN_ARM_SAVE_DOMAIN, 0, &record, sizeof(record)) < 0)
        return -errno;
    *ret_gfn = record.shared_info_gfn;
    return 0;
}

int flx_arch_layout(struct flx_dom *dom, uint64_t *ret_layout)
{
    struct xen_arm_save_p2m record;

    if (xc_domain_hvm_getcontext_partial(dom->xch, dom->domid, XEN_ARM_SAVE_P2M, 0, &record, sizeof(record)) < 0)
        return -errno;
    *ret_layout = record.changes;
    return 0;
}

/* The ranges above have few, and the hypervisor has no call for it. */
void flx_drop_holes(struct flx_dom *dom, uint64_t *bitmap, uint64_t bits)
{
    (void)dom;
    (void)bitmap;
    (void)bits;
}

/* Nobody else uses log-dirty here, and with it off a CLEAN fails. */
int flx_arch_arm_mark(struct flx_dom *dom, struct flic_err *err)
{
    (void)dom;
    (void)err;
    return 0;
}

int flx_arch_mark_is_there(struct flx_dom *dom)
{
    (void)dom;
    return 1;
}

const unsigned flx_arch_bitmap_mode = 0;
const unsigned flx_arch_spare_hot_mode = XEN_ARM_LOGDIRTY_SPARE_HOT;

int flx_arch_add_dirty(struct flx_dom *dom, uint64_t *bitmap, uint64_t bits, struct flic_err *err)
{
    (void)dom;
    (void)bitmap;
    (void)bits;
    (void)err;
    return 0;
}

void flx_arch_close(struct flx_dom *dom)
{
    (void)dom;
}

/* Dom0 wrote through its caches; the guest may read with its own off. */
int flx_arch_before_context(struct flx_dom *dom, const struct flx_blob *blob, uint64_t elapsed_ns, struct flic_err *err)
{
    struct flx_info shape = { .gfn_end = blob->gfn_end };
    struct flx_range ranges[16];
    size_t n = flx_ranges(&shape, ranges);

    (void)elapsed_ns;           /* the context has the counter */
    for (size_t i = 0; i < n; i++)
        for (uint64_t done = 0; done < ranges[i].pages; done += FLUSH_PAGES) {
            uint64_t left = ranges[i].pages - done;

            if (xc_domain_cacheflush(dom->xch, dom->domid, ranges[i].first_gfn + done,
                                     left < FLUSH_PAGES ? left : FLUSH_PAGES))
                return flx_fail(err, dom->domid, "clean the caches");
        }
    return 0;
}

/* ---- the machine ---- */

/* The kernel of Dom0 names the interrupt controller that Xen gives it, which is of the machine's own version. */
static uint32_t read_gic(void)
{
    char line[512];
    uint32_t gic = 0;
    FILE *f = fopen("/proc/interrupts", "re");

    while (f && !gic && fgets(line, sizeof(line), f))
        gic = strstr(line, "GICv3") ? 3 : strstr(line, "GICv2") || strstr(line, "GIC-0") ? 2 : 0;
    if (f)
        (void)fclose(f);
    return gic;
}

static uint32_t read_midr(void)
{
    unsigned long long midr = 0;
    FILE *f = fopen("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1", "re");

    if (!f)
        return 0;
    if (fscanf(f, "%llx", &midr) != 1)
        midr = 0;
    (void)fclose(f);
    return (uint32_t)midr;
}

void flx_arch_machine(struct flx_blob_machine *ret)
{
    uint64_t hz;

    __asm__("mrs %0, cntfrq_el0" : "=r"(hz));
    ret->gic = ret->hw_gic = read_gic();
    ret->midr = read_midr();
    ret->counter_hz = hz;
}

/* The machine's facts are all; the hypervisor compares them again when it loads the context. */
int flx_arch_fits(const struct flx_blob *blob, struct flic_err *err)
{
    (void)blob;
    (void)err;
    return 0;
}

/* ---- the domain ---- */

/* The hypervisor knows best: it checks what its context calls check. That it is busy just now says nothing. */
int flx_arch_save_way(struct flx_dom *dom, struct flx_way *ret_way, struct flic_err *err)
{
    struct xen_arm_save_header header;

    *ret_way = (struct flx_way){ 0 };
    if (xc_domain_hvm_getcontext_partial(dom->xch, dom->domid, XEN_ARM_SAVE_HEADER, 0, &header, sizeof(header)) >= 0 ||
        errno == EBUSY || errno == EADDRNOTAVAIL)
        return 0;
    return flx_context_fail(err, dom->domid, "cannot be saved");
}

static int put_record(struct flx_dom *dom, struct flic_builder *b, uint16_t type, void *body, uint32_t len)
{
    if (xc_domain_hvm_getcontext_partial(dom->xch, dom->domid, type, 0, body, len) < 0)
        return -errno;
    flic_put_u16(b, type);
    flic_put_u16(b, 0);
    flic_put_u32(b, len);
    flic_put_bytes(b, body, len);
    return 0;
}

/* Nothing of its vCPUs and interrupts: they may be anywhere while it runs, in 32-bit code of its users too. */
int flx_arch_sketch_context(struct flx_dom *dom, void **ret_context, size_t *ret_len, struct flic_err *err)
{
    struct xen_arm_save_header header;
    struct xen_arm_save_domain domain;
    struct flic_builder b;
    int rc;

    flic_builder_init(&b);
    rc = put_record(dom, &b, XEN_ARM_SAVE_HEADER, &header, sizeof(header));
    if (!rc)
        rc = put_record(dom, &b, XEN_ARM_SAVE_DOMAIN, &domain, sizeof(domain));
    flic_put_u64(&b, 0);        /* the record that ends them */
    *ret_context = rc ? NULL : flic_builder_take(&b, ret_len);
    flic_builder_fini(&b);
    errno = -rc;
    if (rc)
        return flx_context_fail(err, dom->domid, "look at its context");
    return *ret_context ? 0 : flic_err_set(err, -ENOMEM, "domain %u: context: out of memory", dom->domid);
}

/* The context says it all. */
int flx_arch_read_state(struct flx_dom *dom, struct flx_blob *blob, struct flic_err *err)
{
    (void)dom;
    (void)blob;
    (void)err;
    return 0;
}

/* Its address width, while it has no memory. libxenctrl has no wrapper for this one request. */
int flx_arch_begin(struct flx_dom *dom, const struct flx_blob *blob, struct flic_err *err)
{
    xencall_handle *call = xencall_open(flx_logger(), 0);
    struct xen_domctl *ctl = call ? xencall_alloc_buffer(call, sizeof(*ctl)) : NULL;
    int rc = -1;

    (void)blob;                 /* FLIC saves 64-bit guests only */
    if (ctl) {
        memset(ctl, 0, sizeof(*ctl));
        ctl->cmd = XEN_DOMCTL_set_address_size;
        ctl->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        ctl->domain = (domid_t)dom->domid;
        ctl->u.address_size.size = 64;
        rc = xencall1(call, __HYPERVISOR_domctl, (uint64_t)(uintptr_t)ctl);
    }
    if (rc)
        rc = flx_fail(err, dom->domid, "make the new domain a 64-bit one");
    if (ctl)
        xencall_free_buffer(call, ctl);
    if (call)
        (void)xencall_close(call);
    return rc;
}
