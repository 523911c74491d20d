/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * compat - the one place that knows how the Xen libraries of 4.17 (Debian 12) and 4.20 (Debian 13) differ, and which of
 * their headers want what defined first. Included before any Xen header.
 */
#ifndef FLIC_LIBXL_EXT_COMPAT_H
#define FLIC_LIBXL_EXT_COMPAT_H

/* The newest libxl API that 4.17 knows by number; 4.20 gives the same functions for it. */
#ifndef LIBXL_API_VERSION
#define LIBXL_API_VERSION 0x041400
#endif

/* Domctl structures are only declared for the toolstack. */
#ifndef __XEN_TOOLS__
#define __XEN_TOOLS__ 1
#endif

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <errno.h>
#include <xenctrl.h>

/* 4.20 dropped xc_domain_getinfo() and has xc_domain_getinfo_single(), which 4.17 lacks; the list call is in both.
 * 0, or -1 with errno; ESRCH: no such domain. */
static inline int compat_domain_info(xc_interface *xch, uint32_t domid, xc_domaininfo_t *ret_info)
{
    xc_domaininfo_t info;
    int n = xc_domain_getinfolist(xch, domid, 1, &info);

    if (n < 0)
        return -1;
    if (n == 0 || info.domain != domid) {
        errno = ESRCH;
        return -1;
    }
    *ret_info = info;
    return 0;
}

static inline bool compat_is_suspended(const xc_domaininfo_t *info)
{
    unsigned reason = (info->flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;

    return (info->flags & XEN_DOMINF_shutdown) && !(info->flags & XEN_DOMINF_dying) && reason == SHUTDOWN_suspend;
}

#endif
