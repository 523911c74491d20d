/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What the hypervisor under us can do. */
#include "libxl-ext/flx_priv.h"

#include <stdio.h>

/* A Xen that knows a request refuses it for Dom0 itself (EINVAL); one that does not says so. */
static bool known(int rc)
{
    return rc == 0 || (errno != ENOSYS && errno != EOPNOTSUPP);
}

static bool has_log_dirty(xc_interface *xch)
{
    return known(xc_shadow_control(xch, 0, XEN_DOMCTL_SHADOW_OP_PEEK, NULL, 0));
}

static bool has_context(xc_interface *xch)
{
    return known(xc_domain_hvm_getcontext(xch, 0, NULL, 0));
}

static void read_version(xc_interface *xch, struct flx_host *host)
{
    xen_extraversion_t extra = "";
    int version = xc_version(xch, XENVER_version, NULL);

    if (version < 0 || xc_version(xch, XENVER_extraversion, &extra) < 0)
        return;
    (void)snprintf(host->xen_version, sizeof(host->xen_version), "%d.%d%.*s", version >> 16, version & 0xffff,
                   (int)sizeof(extra), extra);
}

static void say_missing(struct flx_host *host)
{
    static const struct { unsigned have; const char *lacks; } rows[] = {
        { 0, "neither log-dirty tracking nor saving of a guest's context" },
        { FLX_CAP_CONTEXT, "no log-dirty tracking" },
        { FLX_CAP_LOG_DIRTY, "no saving of a guest's context" },
    };
    unsigned have = host->caps & (FLX_CAP_LOG_DIRTY | FLX_CAP_CONTEXT);

    if (!(host->caps & FLX_CAP_XEN)) {
        (void)snprintf(host->missing, sizeof(host->missing),
                       "this machine does not run Xen, or this is not its Dom0: nothing can be saved or restored here");
        return;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (have == rows[i].have)
            (void)snprintf(host->missing, sizeof(host->missing),
                           "Xen %s has %s for %s guests: boot the Xen that hypervisor/build makes",
                           host->xen_version, rows[i].lacks, host->arch);
}

void flx_host_probe(struct flx_host *ret_host)
{
    xc_interface *xch = NULL;

    memset(ret_host, 0, sizeof(*ret_host));
    (void)snprintf(ret_host->arch, sizeof(ret_host->arch), "%s", flx_arch);
    if (access("/dev/xen/privcmd", R_OK | W_OK) == 0)
        xch = xc_interface_open(flx_logger(), flx_logger(), 0);
    if (xch) {
        ret_host->caps = FLX_CAP_XEN;
        read_version(xch, ret_host);
        if (has_log_dirty(xch))
            ret_host->caps |= FLX_CAP_LOG_DIRTY;
        if (has_context(xch))
            ret_host->caps |= FLX_CAP_CONTEXT;
        (void)xc_interface_close(xch);
    }
    say_missing(ret_host);
}
