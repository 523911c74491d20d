/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "libxl-ext/compat.h"

#include "libxl-ext/inplace.h"

/* Only vCPU 0 suspends; the result of its hypercall is x0. The call carries only the registers named in it, so what else
 * the vCPU has is untouched. */
static int mark_paused(xc_interface *xch, uint32_t domid)
{
    xc_domaininfo_t info;
    vcpu_guest_context_any_t any;

    if (compat_domain_info(xch, domid, &info))
        return -errno;
    if (!compat_is_suspended(&info))
        return 0;
    if (xc_vcpu_getcontext(xch, domid, 0, &any))
        return -errno;
    if (any.c.user_regs.x0 == 1)
        return 0;
    any.c.user_regs.x0 = 1;
    return xc_vcpu_setcontext(xch, domid, 0, &any) ? -errno : 0;
}

/* Paused meanwhile: if someone else resumes the guest between the look and the write, it must not have run yet. */
int inplace_mark(xc_interface *xch, uint32_t domid)
{
    int rc;

    if (xc_domain_pause(xch, domid))
        return -errno;
    rc = mark_paused(xch, domid);
    if (xc_domain_unpause(xch, domid) && !rc)
        rc = -errno;
    return rc;
}
