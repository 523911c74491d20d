/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* A fresh domain made into a restored one. */
#include "libxl-ext/flx_priv.h"

#include "common/mem.h"

#include <stdlib.h>
#include <xenguest.h>
#include <xen/hvm/params.h>

#define BLOCK 512u              /* pages of a 2 MiB extent */
#define BLOCK_ORDER 9u
#define BATCH 1024u             /* extents a hypercall */

int flx_build_begin(struct flx_dom *dom, const void *state, size_t len, struct flic_err *err)
{
    struct flx_blob blob;
    struct flx_info info;
    int rc = flx_blob_parse(state, len, &blob, err);

    if (!rc)
        rc = flx_info(dom, &info, err);
    if (rc)
        return rc;
    if (info.run != FLX_PAUSED || info.pages)
        return flic_err_set(err, FLIC_E_REFUSED, "domain %u is not a fresh one: %llu pages", dom->domid,
                            (unsigned long long)info.pages);
    if (info.vcpus != blob.vcpus)
        return flic_err_set(err, FLIC_E_MISMATCH, "the checkpoint has %u vCPUs, the new domain %u", blob.vcpus,
                            info.vcpus);
    return flx_arch_begin(dom, &blob, err);
}

/* ---- populating ---- */

struct extents {
    struct flx_dom *dom;
    unsigned order;
    size_t n;
    xen_pfn_t gfns[BATCH];
};

static int flush(struct extents *e, struct flic_err *err)
{
    int rc = 0;

    if (e->n && xc_domain_populate_physmap_exact(e->dom->xch, e->dom->domid, e->n, e->order, 0, e->gfns))
        rc = errno == ENOMEM || errno == EBUSY
             ? flic_err_set(err, FLIC_E_NOSPACE, "domain %u: this host has not enough free memory for the guest",
                            e->dom->domid)
             : flx_fail(err, e->dom->domid, "give the new domain memory");
    e->n = 0;
    return rc;
}

static int add(struct extents *e, uint64_t gfn, struct flic_err *err)
{
    e->gfns[e->n++] = gfn;
    return e->n == BATCH ? flush(e, err) : 0;
}

/* One large extent, given at once; false: this host has none free, so the block goes in as single pages. */
static bool try_block(struct flx_dom *dom, uint64_t gfn)
{
    xen_pfn_t at = gfn;

    return xc_domain_populate_physmap(dom->xch, dom->domid, 1, BLOCK_ORDER, 0, &at) == 1;
}

static bool is_present(const uint64_t *present, uint64_t gfn)
{
    return present[gfn / 64] >> (gfn % 64) & 1;
}

static bool is_full(const uint64_t *present, uint64_t block, uint64_t gfn_end)
{
    if (block + BLOCK > gfn_end)
        return false;
    for (unsigned w = 0; w < BLOCK / 64; w++)
        if (~present[block / 64 + w])
            return false;
    return true;
}

static bool is_in(const struct flx_range *ranges, size_t n, uint64_t gfn)
{
    for (size_t i = 0; i < n; i++)
        if (gfn >= ranges[i].first_gfn && gfn - ranges[i].first_gfn < ranges[i].pages)
            return true;
    return false;
}

static int add_pages(struct extents *e, const uint64_t *present, uint64_t from, uint64_t to, struct flic_err *err)
{
    struct flx_info shape = { .gfn_end = to };
    struct flx_range ranges[16];
    size_t n = flx_ranges(&shape, ranges);
    int rc = 0;

    for (uint64_t gfn = from; gfn < to && !rc; gfn++) {
        if (!is_present(present, gfn))
            continue;
        if (!is_in(ranges, n, gfn))
            return flic_err_set(err, FLIC_E_DAMAGED, "the checkpoint has a page at gfn %#llx, where no guest has memory",
                                (unsigned long long)gfn);
        rc = add(e, gfn, err);
    }
    return rc;
}

/* Whole and inside one of the regions that guests have memory in. */
static bool is_block(const uint64_t *present, uint64_t block, uint64_t gfn_end)
{
    struct flx_info shape = { .gfn_end = gfn_end };
    struct flx_range ranges[16];
    size_t n;

    if (!is_full(present, block, gfn_end))
        return false;
    n = flx_ranges(&shape, ranges);
    return is_in(ranges, n, block) && is_in(ranges, n, block + BLOCK - 1);
}

int flx_build_populate(struct flx_dom *dom, const uint64_t *present, uint64_t first, uint64_t end, struct flic_err *err)
{
    FLIC_AUTO_FREE struct extents *e = calloc(1, sizeof(*e));
    bool blocks = true;
    int rc = 0;

    if (!e)
        return flic_err_set(err, -ENOMEM, "domain %u: out of memory", dom->domid);
    e->dom = dom;
    for (uint64_t block = first; block < end && !rc; block += BLOCK) {
        uint64_t to = block + BLOCK < end ? block + BLOCK : end;

        if (blocks && is_block(present, block, end)) {
            blocks = try_block(dom, block);
            if (blocks)
                continue;
        }
        rc = add_pages(e, present, block, to, err);
    }
    return rc ? rc : flush(e, err);
}

/* ---- finishing ---- */

static int set_param(struct flx_dom *dom, uint32_t index, uint64_t value, struct flic_err *err)
{
    return xc_hvm_param_set(dom->xch, dom->domid, index, value) ? flx_fail(err, dom->domid, "set an HVM parameter") : 0;
}

static int set_params(struct flx_dom *dom, const struct flx_blob *blob, const struct flx_ports *ports,
                      struct flic_err *err)
{
    int rc = 0;

    for (size_t i = 0; i < blob->n_params && !rc; i++)
        rc = !blob->params[i].value ? 0 :       /* what a fresh domain has */
             set_param(dom, blob->params[i].index, blob->params[i].value, err);
    if (!rc)
        rc = set_param(dom, HVM_PARAM_STORE_EVTCHN, ports->store_port, err);
    if (!rc)
        rc = set_param(dom, HVM_PARAM_CONSOLE_EVTCHN, ports->console_port, err);
    return rc;
}

/* The rings are new: xenstored and the console begin at their start. */
static int clear_rings(struct flx_dom *dom, const struct flx_built *built, struct flic_err *err)
{
    if (xc_clear_domain_page(dom->xch, dom->domid, built->console_gfn) ||
        xc_clear_domain_page(dom->xch, dom->domid, built->store_gfn))
        return flx_fail(err, dom->domid, "clear the console and xenstore rings");
    return 0;
}

static int connect_rings(struct flx_dom *dom, const struct flx_built *built, const struct flx_ports *ports,
                         struct flic_err *err)
{
    if (xc_dom_gnttab_seed(dom->xch, dom->domid, true, built->console_gfn, built->store_gfn, ports->console_domid,
                           ports->store_domid))
        return flx_fail(err, dom->domid, "seed the grant table");
    return 0;
}

static int place_shared_info(struct flx_dom *dom, uint64_t gfn, struct flic_err *err)
{
    if (gfn == FLX_NO_GFN)
        return 0;
    if (xc_domain_add_to_physmap(dom->xch, dom->domid, XENMAPSPACE_shared_info, 0, gfn))
        return flx_fail(err, dom->domid, "place shared_info");
    return 0;
}

static int load_context(struct flx_dom *dom, const struct flx_blob *blob, uint64_t elapsed_ns, struct flic_err *err)
{
    FLIC_AUTO_FREE uint8_t *context = flx_blob_context_later(blob, elapsed_ns);

    if (!context)
        return flic_err_set(err, -ENOMEM, "domain %u: out of memory", dom->domid);
    if (xc_domain_hvm_setcontext(dom->xch, dom->domid, context, (uint32_t)blob->context_len))
        return flx_context_fail(err, dom->domid, "load the context");
    return 0;
}

int flx_build_finish(struct flx_dom *dom, const void *state, size_t len, const struct flx_ports *ports,
                     uint64_t elapsed_ns, struct flx_built *ret_built, struct flic_err *err)
{
    struct flx_built built;
    struct flx_blob blob;
    int rc = flx_blob_parse(state, len, &blob, err);

    if (rc)
        return rc;
    built.store_gfn = flx_blob_param(&blob, HVM_PARAM_STORE_PFN);
    built.console_gfn = flx_blob_param(&blob, HVM_PARAM_CONSOLE_PFN);
    if (built.store_gfn == FLX_NO_PARAM || built.console_gfn == FLX_NO_PARAM)
        return flic_err_set(err, FLIC_E_DAMAGED, "the checkpoint names no console or xenstore ring");
    rc = clear_rings(dom, &built, err);
    if (!rc)
        rc = set_params(dom, &blob, ports, err);
    if (!rc)
        rc = connect_rings(dom, &built, ports, err);
    if (!rc)
        rc = place_shared_info(dom, blob.shared_info_gfn, err);
    if (!rc)
        rc = flx_arch_before_context(dom, &blob, elapsed_ns, err);
    if (!rc)
        rc = load_context(dom, &blob, elapsed_ns, err);
    if (!rc)
        *ret_built = built;
    return rc;
}
