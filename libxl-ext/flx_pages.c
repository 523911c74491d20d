/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* A guest's pages, mapped into this process. */
#include "libxl-ext/flx_priv.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <xen/hvm/params.h>

struct flx_map {
    xenforeignmemory_handle *memory;    /* borrowed from the domain's handle */
    void *base;
    size_t pages;
};

void flx_learn_places(struct flx_dom *dom)
{
    uint64_t gfn;

    if (flx_arch_shared_info(dom, &gfn) == 0)
        dom->shared_info_gfn = gfn;
    if (xc_hvm_param_get(dom->xch, dom->domid, HVM_PARAM_STORE_PFN, &gfn) == 0 && gfn)
        dom->store_gfn = gfn;
    if (xc_hvm_param_get(dom->xch, dom->domid, HVM_PARAM_CONSOLE_PFN, &gfn) == 0 && gfn)
        dom->console_gfn = gfn;
}

/* In this order: what moves in between changes the number. */
int flx_layout(struct flx_dom *dom, uint64_t *ret_layout, struct flic_err *err)
{
    if (flx_arch_layout(dom, ret_layout))
        return flic_err_set(err, FLIC_E_NOXEN, "domain %u: this Xen does not tell when its memory layout changes", dom->domid);
    flx_learn_places(dom);
    return 0;
}

static uint8_t kind_of(const struct flx_dom *dom, uint64_t gfn, int map_error)
{
    if (gfn == dom->shared_info_gfn || flx_arch_is_grant_frame(gfn))
        return FLX_PAGE_SKIP;
    if (map_error)
        return FLX_PAGE_HOLE;
    return gfn == dom->store_gfn || gfn == dom->console_gfn ? FLX_PAGE_RING : FLX_PAGE_RAM;
}

/* A page that cannot be mapped is a hole when Xen says that nothing is there; else the call failed. */
static bool is_hole(int map_error)
{
    return map_error == -EINVAL || map_error == -ENOENT || map_error == EINVAL || map_error == ENOENT;
}

/* Xen answers for a dying domain as for one without pages; holes count only while the domain is alive. */
static int check_alive(const struct flx_dom *dom, struct flic_err *err)
{
    xc_domaininfo_t info;
    int rc = flx_read_info(dom, &info, err);

    if (!rc && (info.flags & XEN_DOMINF_dying))
        rc = flic_err_set(err, FLIC_E_NODOMAIN, "domain %u is being destroyed", dom->domid);
    return rc;
}

static int sort_pages(const struct flx_dom *dom, const uint64_t *gfns, const int *errors, size_t n, uint8_t *kind,
                      struct flic_err *err)
{
    bool holes = false;

    for (size_t i = 0; i < n; i++) {
        if (errors[i] && !is_hole(errors[i]))
            return flic_err_set(err, FLIC_E_XEN, "domain %u: map gfn %#llx: %s", dom->domid,
                                (unsigned long long)gfns[i], strerror(abs(errors[i])));
        kind[i] = kind_of(dom, gfns[i], errors[i]);
        holes = holes || errors[i];
    }
    return holes ? check_alive(dom, err) : 0;
}

/* Xen's pfns are as wide as ours on both architectures, but not of the same type. */
static xen_pfn_t *pfns_of(const uint64_t *gfns, size_t n)
{
    xen_pfn_t *pfns = malloc((n ? n : 1) * sizeof(*pfns));

    for (size_t i = 0; pfns && i < n; i++)
        pfns[i] = gfns[i];
    return pfns;
}

int flx_map_pages(struct flx_dom *dom, const uint64_t *gfns, size_t n, bool writable,
                  struct flx_map **ret_map, uint8_t *kind, struct flic_err *err)
{
    struct flx_map *map = calloc(1, sizeof(*map));
    int *errors = calloc(n ? n : 1, sizeof(*errors));
    xen_pfn_t *pfns = pfns_of(gfns, n);
    int rc = 0;

    if (!map || !errors || !pfns) {
        rc = flic_err_set(err, -ENOMEM, "domain %u: map %zu pages: out of memory", dom->domid, n);
        goto out;
    }
    if (n == 0)
        goto out;
    map->memory = dom->memory;
    map->pages = n;
    map->base = xenforeignmemory_map(dom->memory, dom->domid, writable ? PROT_READ | PROT_WRITE : PROT_READ, n, pfns,
                                     errors);
    rc = map->base ? sort_pages(dom, gfns, errors, n, kind, err) : flx_fail(err, dom->domid, "map guest pages");
out:
    free(pfns);
    free(errors);
    if (rc)
        flx_unmap(map);
    else
        *ret_map = map;
    return rc;
}

void *flx_map_base(struct flx_map *map)
{
    return map->base;
}

void flx_unmap(struct flx_map *map)
{
    if (!map)
        return;
    if (map->base)
        (void)xenforeignmemory_unmap(map->memory, map->base, map->pages);   /* fails only for a bad address */
    free(map);
}
