/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Machine state: out of a suspended domain, compared with this host, and a guest that goes on in place. */
#include "libxl-ext/flx_priv.h"

#include "common/mem.h"
#include "libxl-ext/inplace.h"

#include <stdio.h>
#include <stdlib.h>
#include <xenguest.h>

/* ---- errors of the context calls ---- */

int flx_context_fail(struct flic_err *err, uint32_t domid, const char *call)
{
    static const struct { int error, code; const char *text; } rows[] = {
        { ENOSYS, FLIC_E_NOXEN, "this Xen cannot save or load a guest's context: boot the Xen that hypervisor/build makes" },
        { ENOEXEC, FLIC_E_REFUSED, "it is a 32-bit guest" },
        { E2BIG, FLIC_E_REFUSED, "it uses SVE" },
        { EMLINK, FLIC_E_REFUSED, "it has an interrupt translation service (ITS)" },
        { ENODEV, FLIC_E_REFUSED, "it has an emulated UART (vuart): create it without 'vuart='" },
        { EXDEV, FLIC_E_REFUSED, "a device, memory or interrupt of this machine is given to it (passthrough)" },
        { EOPNOTSUPP, FLIC_E_REFUSED, "it uses a trusted OS, or a vCPU runs 32-bit code" },
        { EADDRNOTAVAIL, FLIC_E_GUEST, "the guest has not told Xen where its vcpu_info is: try again when it has booted" },
        { EBUSY, FLIC_E_GUEST, "it is not at rest: an interrupt is being handled or its caches are off; try again" },
        { EEXIST, FLIC_E_XEN, "the new domain has already run" },
        { EBADMSG, FLIC_E_DAMAGED, "Xen finds the saved context damaged" },
        { ENODATA, FLIC_E_DAMAGED, "Xen finds the saved context incomplete" },
        { EOVERFLOW, FLIC_E_VERSION, "the saved context is of a version that this Xen does not know" },
        { ENXIO, FLIC_E_MISMATCH, "the checkpoint is of another GIC version" },
        { EDOM, FLIC_E_MISMATCH, "the checkpoint is of another CPU" },
        { ERANGE, FLIC_E_MISMATCH, "the checkpoint is of a machine with another counter frequency" },
        { ENFILE, FLIC_E_MISMATCH, "the checkpoint has another number of interrupts (nr_spis) than the new domain" },
        { EMFILE, FLIC_E_MISMATCH, "the checkpoint has another number of vCPUs than the new domain" },
        { EACCES, FLIC_E_DAMAGED, "a vcpu_info would lie outside the guest's memory" },
        { ENOTCONN, FLIC_E_XEN, "shared_info is not where the checkpoint has it" },
    };
    int e = errno;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].error == e)
            return flic_err_set(err, rows[i].code, "domain %u: %s: %s", domid, call, rows[i].text);
    return flx_fail(err, domid, call);
}

/* ---- saving ---- */

int flx_read_context(struct flx_dom *dom, void **ret_context, size_t *ret_len, struct flic_err *err)
{
    int size = xc_domain_hvm_getcontext(dom->xch, dom->domid, NULL, 0);
    uint8_t *context;
    int got;

    if (size <= 0)
        return flx_context_fail(err, dom->domid, "size of the context");
    context = malloc((size_t)size);
    if (!context)
        return flic_err_set(err, -ENOMEM, "domain %u: context: out of memory", dom->domid);
    got = xc_domain_hvm_getcontext(dom->xch, dom->domid, context, (uint32_t)size);
    if (got < 0 || got > size) {
        free(context);
        return flx_context_fail(err, dom->domid, "save the context");
    }
    *ret_context = context;
    *ret_len = (size_t)got;
    return 0;
}

static int read_params(struct flx_dom *dom, struct flx_blob *blob, struct flic_err *err)
{
    for (size_t i = 0; i < flx_arch_n_params; i++) {
        uint64_t value;

        if (xc_hvm_param_get(dom->xch, dom->domid, flx_arch_params[i], &value))
            return flx_fail(err, dom->domid, "read an HVM parameter");
        blob->params[blob->n_params++] = (struct flx_blob_param){ flx_arch_params[i], value };
    }
    return 0;
}

typedef int context_fn(struct flx_dom *dom, void **ret_context, size_t *ret_len, struct flic_err *err);

static int collect(struct flx_dom *dom, const struct flx_info *info, context_fn *read_context, void **ret_state, size_t *ret_len, struct flic_err *err)
{
    FLIC_AUTO_FREE void *context = NULL;
    struct flx_blob blob = { .width = 64, .gfn_end = info->gfn_end, .vcpus = info->vcpus };
    struct flx_way way;
    int rc = flx_arch_save_way(dom, &way, err);     /* something may have been plugged in since it was asked first */

    if (!rc)
        rc = flx_check_own(dom, &way, err);
    (void)snprintf(blob.arch, sizeof(blob.arch), "%s", flx_arch);
    if (!rc)
        rc = read_params(dom, &blob, err);
    if (!rc)
        rc = flx_arch_read_state(dom, &blob, err);
    if (!rc)
        rc = read_context(dom, &context, &blob.context_len, err);
    if (rc)
        return rc;
    blob.context = context;
    if (flx_arch_shared_info(dom, &blob.shared_info_gfn))
        return flx_context_fail(err, dom->domid, "find shared_info");
    dom->shared_info_gfn = blob.shared_info_gfn;
    return flx_blob_build(&blob, ret_state, ret_len, err);
}

int flx_state_save(struct flx_dom *dom, void **ret_state, size_t *ret_len, struct flic_err *err)
{
    struct flx_info info;
    int rc = flx_info(dom, &info, err);

    if (!rc && info.run != FLX_SUSPENDED)
        rc = flic_err_set(err, FLIC_E_GUEST, "domain %u is not suspended", dom->domid);
    return rc ? rc : collect(dom, &info, flx_read_context, ret_state, ret_len, err);
}

/* It is not paused for this: whoever pauses a guest and is killed leaves it so. */
int flx_state_sketch(struct flx_dom *dom, void **ret_sketch, size_t *ret_len, struct flic_err *err)
{
    struct flx_info info;
    int rc = flx_info(dom, &info, err);

    return rc ? rc : collect(dom, &info, flx_arch_sketch_context, ret_sketch, ret_len, err);
}

/* ---- looking at a state ---- */

int flx_state_parse(const void *state, size_t len, struct flx_state_info *ret_info, struct flic_err *err)
{
    struct flx_blob blob;
    int rc = flx_blob_parse(state, len, &blob, err);

    if (rc)
        return rc;
    memset(ret_info, 0, sizeof(*ret_info));
    (void)snprintf(ret_info->arch, sizeof(ret_info->arch), "%s", blob.arch);
    ret_info->gic = blob.machine.gic;
    ret_info->midr = blob.machine.midr;
    ret_info->counter_hz = blob.machine.counter_hz;
    ret_info->vcpus = blob.vcpus;
    return 0;
}

int flx_state_fits(const void *state, size_t len, struct flic_err *err)
{
    struct flx_blob_machine here = { 0 };
    struct flx_blob blob;
    int rc = flx_blob_parse(state, len, &blob, err);

    if (rc)
        return rc;
    flx_arch_machine(&here);
    rc = flx_blob_fits(&blob, flx_arch, &here, err);
    return rc ? rc : flx_arch_fits(&blob, err);
}

/* ---- going on in place ---- */

int flx_mark_resume(struct flx_dom *dom, struct flic_err *err)
{
    int rc = inplace_mark(dom->xch, dom->domid);

    errno = -rc;
    return rc ? flx_fail(err, dom->domid, "prepare the guest to go on") : 0;
}

int flx_unpause(struct flx_dom *dom, struct flic_err *err)
{
    return xc_domain_unpause(dom->xch, dom->domid) ? flx_fail(err, dom->domid, "let the guest run") : 0;
}

int flx_resume(struct flx_dom *dom, struct flic_err *err)
{
    xc_domaininfo_t info;
    int rc = flx_read_info(dom, &info, err);

    if (rc || !compat_is_suspended(&info))
        return rc;
    rc = flx_mark_resume(dom, err);
    if (rc)
        return rc;
    if (xc_domain_resume(dom->xch, dom->domid, 1))
        return flx_fail(err, dom->domid, "resume the guest");
    if (!xs_resume_domain(dom->store, dom->domid))
        return flx_fail(err, dom->domid, "tell xenstored that the guest goes on");
    return 0;
}
