/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What is particular to x86-64: PVH guests on a stock Xen, which has log-dirty and a context of its own there. The others are libxc's. */
#include "libxl-ext/flx_x86.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <xenguest.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>

const char flx_arch[] = "x86_64";

/* The ones that tools/libs/guest saves; ascending. */
const uint32_t flx_arch_params[] = {
    HVM_PARAM_STORE_PFN, HVM_PARAM_IOREQ_PFN, HVM_PARAM_BUFIOREQ_PFN, HVM_PARAM_VIRIDIAN, HVM_PARAM_IDENT_PT,
    HVM_PARAM_CONSOLE_PFN, HVM_PARAM_ACPI_IOPORTS_LOCATION, HVM_PARAM_PAGING_RING_PFN, HVM_PARAM_MONITOR_RING_PFN,
    HVM_PARAM_SHARING_RING_PFN, HVM_PARAM_IOREQ_SERVER_PFN, HVM_PARAM_NR_IOREQ_SERVER_PAGES,
    HVM_PARAM_VM_GENERATION_ID_ADDR, HVM_PARAM_X87_FIP_WIDTH, HVM_PARAM_VM86_TSS_SIZED, HVM_PARAM_MCA_CAP,
};
const size_t flx_arch_n_params = sizeof(flx_arch_params) / sizeof(flx_arch_params[0]);

static_assert(FLX_X86_MAGIC == HVM_FILE_MAGIC && FLX_X86_VERSION == HVM_FILE_VERSION, "the context's header");
static_assert(FLX_X86_HEADER_LEN == sizeof(struct hvm_save_header), "the context's header");
static_assert(FLX_X86_CPU_TSC == offsetof(struct hvm_hw_cpu, tsc), "the vCPU's counter");
static_assert(FLX_X86_CPUID_LEN == sizeof(xen_cpuid_leaf_t) && FLX_X86_MSR_LEN == sizeof(xen_msr_entry_t), "the CPU policy");

/* ---- what is kept of a domain ---- */

#define RUN 1024u               /* gfns that Xen takes in one getpageframeinfo3 */

struct flx_x86_policy {
    uint32_t n_leaves, n_msrs;
    xen_msr_entry_t *msrs;
    xen_cpuid_leaf_t leaves[];  /* then the MSRs */
};

static struct flx_x86_policy *policy_new(xc_interface *xch)
{
    uint32_t leaves = 0, msrs = 0;
    struct flx_x86_policy *policy;

    if (xc_cpu_policy_get_size(xch, &leaves, &msrs) < 0)
        return NULL;
    policy = calloc(1, sizeof(*policy) + leaves * sizeof(xen_cpuid_leaf_t) + msrs * sizeof(xen_msr_entry_t));
    if (!policy)
        return NULL;
    policy->n_leaves = leaves;
    policy->n_msrs = msrs;
    policy->msrs = (xen_msr_entry_t *)(void *)(policy->leaves + leaves);
    return policy;
}

static int read_policy(struct flx_dom *dom, struct flx_x86_policy *policy)
{
    xc_cpu_policy_t *of_xc = xc_cpu_policy_init();
    int rc = -1;

    if (of_xc && xc_cpu_policy_get_domain(dom->xch, dom->domid, of_xc) == 0)
        rc = xc_cpu_policy_serialise(dom->xch, of_xc, policy->leaves, &policy->n_leaves, policy->msrs, &policy->n_msrs);
    xc_cpu_policy_destroy(of_xc);
    return rc;
}

struct flx_arch_dom *flx_x86_keep(struct flx_dom *dom)
{
    if (!dom->arch)
        dom->arch = calloc(1, sizeof(*dom->arch));
    return dom->arch;
}

void flx_arch_close(struct flx_dom *dom)
{
    struct flx_arch_dom *kept = dom->arch;

    if (!kept)
        return;
    flx_x86_drop_table(dom);
    flx_x86_drop_mark(kept);
    if (kept->call) {
        xencall_free_buffer(kept->call, kept->types);
        xencall_free_buffer(kept->call, kept->ctl);
        (void)xencall_close(kept->call);
    }
    free(kept->policy);
    free(kept);
    dom->arch = NULL;
}

static int need_policy(struct flx_dom *dom, struct flic_err *err)
{
    struct flx_arch_dom *kept = flx_x86_keep(dom);

    if (kept && kept->policy)
        return 0;
    if (kept)
        kept->policy = policy_new(dom->xch);
    if (!kept || !kept->policy || read_policy(dom, kept->policy)) {
        int rc = flx_fail(err, dom->domid, "read the CPU policy");

        if (kept) {
            free(kept->policy);
            kept->policy = NULL;
        }
        return rc;
    }
    return 0;
}

static bool need_call(struct flx_dom *dom)
{
    struct flx_arch_dom *kept = flx_x86_keep(dom);

    if (!kept || kept->types)
        return kept;
    if (!kept->call)
        kept->call = xencall_open(flx_logger(), 0);
    if (kept->call && !kept->ctl)
        kept->ctl = xencall_alloc_buffer(kept->call, sizeof(*kept->ctl));
    if (kept->ctl)
        kept->types = xencall_alloc_buffer(kept->call, RUN * sizeof(*kept->types));
    return kept->types;
}

/* ---- what can be saved ---- */

/* A PVH guest has no device model, and its page tables are its own. */
int flx_arch_save_way(struct flx_dom *dom, struct flx_way *ret_way, struct flic_err *err)
{
    xc_domaininfo_t info;
    bool hvm;
    int rc = flx_read_info(dom, &info, err);

    if (rc)
        return rc;
    hvm = info.flags & XEN_DOMINF_hvm_guest;
    ret_way->model = hvm && info.arch_config.emulation_flags & ~XEN_X86_EMU_LAPIC;
    ret_way->by_libxc = !hvm || ret_way->model;
    return ret_way->by_libxc ? 0 : need_policy(dom, err);
}

/* ---- memory ---- */

/* RAM at the bottom and from 4 GiB on, special pages below 4 GiB; what lies between is found to be holes. */
size_t flx_ranges(const struct flx_info *info, struct flx_range ranges[16])
{
    ranges[0] = (struct flx_range){ 0, info->gfn_end };
    return info->gfn_end ? 1 : 0;
}

/* Guests put them where they like, so they are copied like other pages; a restored guest puts its new ones over them. */
bool flx_arch_is_grant_frame(uint64_t gfn)
{
    (void)gfn;
    return false;
}

/* Xen looks it up in its machine-to-physical table. */
int flx_arch_shared_info(struct flx_dom *dom, uint64_t *ret_gfn)
{
    struct flic_err err = { 0 };
    xc_domaininfo_t info;

    if (flx_read_info(dom, &info, &err))
        return -EINVAL;
    *ret_gfn = info.shared_info_frame;
    return 0;
}

int flx_arch_layout(struct flx_dom *dom, uint64_t *ret_layout)
{
    (void)dom;
    (void)ret_layout;
    return -EOPNOTSUPP;
}

/* Asks of a run of gfns what they are: NULL where Xen does not say. It answers XTAB for what is not there and for its own frames,
 * which are not saved either. */
static const xen_pfn_t *types_of_run(struct flx_dom *dom, uint64_t first, size_t n)
{
    struct xen_domctl *ctl;
    xen_pfn_t *types;

    if (!need_call(dom))
        return NULL;
    ctl = dom->arch->ctl;
    types = dom->arch->types;
    for (size_t i = 0; i < n; i++)
        types[i] = first + i;
    memset(ctl, 0, sizeof(*ctl));
    ctl->cmd = XEN_DOMCTL_getpageframeinfo3;
    ctl->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    ctl->domain = (domid_t)dom->domid;
    ctl->u.getpageframeinfo3.num = n;
    set_xen_guest_handle_raw(ctl->u.getpageframeinfo3.array, types);
    return xencall1(dom->arch->call, __HYPERVISOR_domctl, (uint64_t)(uintptr_t)ctl) ? NULL : types;
}

/* Between RAM and 4 GiB lie up to a million gfns: a look at each by mapping it would take minutes. */
void flx_drop_holes(struct flx_dom *dom, uint64_t *bitmap, uint64_t bits)
{
    for (uint64_t at = 0; at < bits; at += RUN) {
        size_t n = bits - at < RUN ? (size_t)(bits - at) : RUN;
        const xen_pfn_t *types = types_of_run(dom, at, n);

        for (size_t i = 0; types && i < n; i++)
            if (types[i] == XEN_DOMCTL_PFINFO_XTAB)
                bitmap[(at + i) / 64] &= ~(1ull << ((at + i) % 64));
    }
}

/* ---- CPU policy and counter ---- */

/* Everything but the counter was read ahead of the pause, when it was asked whether the domain can be saved. */
int flx_arch_read_state(struct flx_dom *dom, struct flx_blob *blob, struct flic_err *err)
{
    struct flx_blob_x86 *x86 = &blob->x86;
    int rc = need_policy(dom, err);

    if (rc)
        return rc;
    x86->cpuid = dom->arch->policy->leaves;
    x86->n_cpuid = dom->arch->policy->n_leaves;
    x86->msrs = dom->arch->policy->msrs;
    x86->n_msrs = dom->arch->policy->n_msrs;
    if (xc_domain_get_tsc_info(dom->xch, dom->domid, &x86->tsc_mode, &x86->tsc_ns, &x86->tsc_khz, &x86->tsc_incarnation))
        return flx_fail(err, dom->domid, "read how its time stamp counter runs");
    return 0;
}

/* Xen pauses it for as long as it looks. */
int flx_arch_sketch_context(struct flx_dom *dom, void **ret_context, size_t *ret_len, struct flic_err *err)
{
    return flx_read_context(dom, ret_context, ret_len, err);
}

static bool policy_fits(xc_interface *xch, xc_cpu_policy_t *host, xc_cpu_policy_t *guest, const struct flx_blob_x86 *x86)
{
    return xc_cpu_policy_update_cpuid(xch, guest, x86->cpuid, (uint32_t)x86->n_cpuid) == 0 &&
           xc_cpu_policy_update_msrs(xch, guest, x86->msrs, (uint32_t)x86->n_msrs) == 0 &&
           xc_cpu_policy_is_compatible(xch, host, guest);
}

/* None of these: its CPU policy says what a guest may find, and another frequency of the counter is no hindrance, since Xen
 * scales or emulates the one that the guest knows. */
void flx_arch_machine(struct flx_blob_machine *ret)
{
    (void)ret;
}

int flx_arch_fits(const struct flx_blob *blob, struct flic_err *err)
{
    xc_interface *xch = xc_interface_open(flx_logger(), flx_logger(), 0);
    xc_cpu_policy_t *host = xc_cpu_policy_init(), *guest = xc_cpu_policy_init();
    int rc = 0;

    if (!xch || !host || !guest || xc_cpu_policy_get_system(xch, XEN_SYSCTL_cpu_policy_hvm_max, host))
        rc = flic_err_set(err, FLIC_E_XEN, "read this host's CPU policy: %s", strerror(errno));
    else if (!policy_fits(xch, host, guest, &blob->x86))
        rc = flic_err_set(err, FLIC_E_MISMATCH, "the checkpoint is of a guest that was promised CPU features which this "
                          "host does not have");
    xc_cpu_policy_destroy(guest);
    xc_cpu_policy_destroy(host);
    if (xch)
        (void)xc_interface_close(xch);
    return rc;
}

/* ---- restoring ---- */

/* libxc wants the leaves writable, though it only reads them. */
int flx_arch_begin(struct flx_dom *dom, const struct flx_blob *blob, struct flic_err *err)
{
    const struct flx_blob_x86 *x86 = &blob->x86;
    uint32_t leaf = ~0u, subleaf = ~0u, msr = ~0u;
    struct flx_x86_policy *policy = policy_new(dom->xch);
    int rc = -1;

    if (policy && x86->n_cpuid <= policy->n_leaves && x86->n_msrs <= policy->n_msrs) {
        memcpy(policy->leaves, x86->cpuid, x86->n_cpuid * sizeof(*policy->leaves));
        memcpy(policy->msrs, x86->msrs, x86->n_msrs * sizeof(*policy->msrs));
        rc = xc_set_domain_cpu_policy(dom->xch, dom->domid, (uint32_t)x86->n_cpuid, policy->leaves,
                                      (uint32_t)x86->n_msrs, policy->msrs, &leaf, &subleaf, &msr);
    }
    free(policy);
    if (rc)
        rc = flic_err_set(err, FLIC_E_MISMATCH, "domain %u: Xen does not give it the CPU that the checkpoint's guest had "
                          "(leaf %#x, subleaf %#x, MSR %#x)", dom->domid, leaf, subleaf, msr);
    return rc;
}

int flx_arch_before_context(struct flx_dom *dom, const struct flx_blob *blob, uint64_t elapsed_ns, struct flic_err *err)
{
    const struct flx_blob_x86 *x86 = &blob->x86;
    uint64_t ns = x86->tsc_ns + elapsed_ns < x86->tsc_ns ? x86->tsc_ns : x86->tsc_ns + elapsed_ns;

    if (xc_domain_set_tsc_info(dom->xch, dom->domid, x86->tsc_mode, ns, x86->tsc_khz, x86->tsc_incarnation))
        return flx_fail(err, dom->domid, "set how its time stamp counter runs");
    return 0;
}
