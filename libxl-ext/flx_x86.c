/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* x86-64: log-dirty, pages and in-place resume work as on arm64; a checkpoint's machine state is not written yet, and said so. */
#include "libxl-ext/flx_priv.h"

#include <xen/hvm/params.h>

const char flx_arch[] = "x86_64";

const uint32_t flx_arch_params[] = { HVM_PARAM_STORE_PFN, HVM_PARAM_CONSOLE_PFN };
const size_t flx_arch_n_params = sizeof(flx_arch_params) / sizeof(flx_arch_params[0]);

static int not_yet(struct flic_err *err)
{
    return flic_err_set(err, FLIC_E_REFUSED, "guests on x86_64 cannot be saved by this version of FLIC: use 'xl save' "
                        "without --flic");
}

/* PVH guests have RAM below 4 GiB and from there on; what lies between is found to be holes. */
size_t flx_ranges(const struct flx_info *info, struct flx_range ranges[16])
{
    ranges[0] = (struct flx_range){ 0, info->gfn_end };
    return info->gfn_end ? 1 : 0;
}

bool flx_arch_is_grant_frame(uint64_t gfn)
{
    (void)gfn;
    return false;       /* guests put them where they like */
}

int flx_arch_shared_info(struct flx_dom *dom, uint64_t *ret_gfn)
{
    (void)dom;
    (void)ret_gfn;
    return -EOPNOTSUPP;
}

void flx_arch_machine(struct flx_blob_machine *ret)
{
    (void)ret;
}

int flx_arch_can_save(struct flx_dom *dom, struct flic_err *err)
{
    (void)dom;
    return not_yet(err);
}

int flx_arch_set_width(struct flx_dom *dom, struct flic_err *err)
{
    (void)dom;
    return not_yet(err);
}

int flx_arch_clean_caches(struct flx_dom *dom, uint64_t gfn_end, struct flic_err *err)
{
    (void)dom;
    (void)gfn_end;
    (void)err;
    return 0;           /* x86 keeps them coherent */
}
