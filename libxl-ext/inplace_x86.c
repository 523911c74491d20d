/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "libxl-ext/compat.h"

#include "libxl-ext/inplace.h"

/* On x86 libxc's own fast resume, which everyone uses, writes rax = 1. */
int inplace_mark(xc_interface *xch, uint32_t domid)
{
    xc_domaininfo_t info;

    if (!compat_domain_info(xch, domid, &info))
        return 0;
    return -errno;
}
