/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Whether a bitmap tells all since the one before. Stock xl save and migrate switch log-dirty off, or off and on again, without
 * regard to who else uses it, and from then on a CLEAN succeeds and names next to nothing. So after each CLEAN one page is
 * marked dirty by a call: where the next bitmap lacks it, somebody else has been there, and what was written is not known.
 */
#include "libxl-ext/flx_x86.h"

#include <xendevicemodel.h>

#define MARKED_GFN 0u           /* below 64; RAM in every PVH and HVM guest; one that gives it away is not saved */

int flx_arch_arm_mark(struct flx_dom *dom, struct flic_err *err)
{
    struct flx_arch_dom *kept = flx_x86_keep(dom);

    if (kept && !kept->model)
        kept->model = xendevicemodel_open(flx_logger(), 0);
    if (!kept || !kept->model || xendevicemodel_modified_memory(kept->model, (domid_t)dom->domid, MARKED_GFN, 1))
        return flx_fail(err, dom->domid, "mark a page as written");
    return 0;
}

static bool is_marked(uint64_t word)
{
    return word >> MARKED_GFN & 1;
}

int flx_arch_mark_is_there(struct flx_dom *dom)
{
    uint64_t word = 0;

    return flx_first_word(dom, &word) ? -1 : is_marked(word);
}

int flx_x86_check_mark(const struct flx_dom *dom, const uint64_t *bitmap, uint64_t bits, struct flic_err *err)
{
    if (bits > MARKED_GFN && is_marked(bitmap[0]))
        return 0;
    return flic_err_set(err, FLIC_E_BUSY, "domain %u: another program (a stock 'xl save' or 'xl migrate'?) switched its log-dirty "
                        "tracking off: what it wrote since is not known; save it again when that program is done", dom->domid);
}

void flx_x86_drop_mark(struct flx_arch_dom *kept)
{
    (void)xendevicemodel_close(kept->model);
    kept->model = NULL;
}
