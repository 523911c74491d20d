/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Handles, and what there is to know about a domain. */
#include "libxl-ext/flx_priv.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define INFO_BATCH 64

static pthread_once_t logger_once = PTHREAD_ONCE_INIT;
static xentoollog_logger *logger;

static void make_logger(void)
{
    logger = (xentoollog_logger *)xtl_createlogger_stdiostream(stderr, XTL_WARN, 0);
}

xentoollog_logger *flx_logger(void)
{
    (void)pthread_once(&logger_once, make_logger);
    return logger;
}

int flx_fail(struct flic_err *err, uint32_t domid, const char *call)
{
    int e = errno;

    if (e == ESRCH)
        return flic_err_set(err, FLIC_E_NODOMAIN, "there is no domain %u (any more)", domid);
    return flic_err_set(err, FLIC_E_XEN, "domain %u: %s: %s", domid, call, strerror(e));
}

/* ---- handles ---- */

static int need_xen(struct flic_err *err)
{
    if (access("/dev/xen/privcmd", R_OK | W_OK) == 0)
        return 0;
    if (errno == EACCES)
        return flic_err_set(err, FLIC_E_DENIED, "/dev/xen/privcmd may not be opened: flicd must run as root");
    return flic_err_set(err, FLIC_E_NOXEN, "this machine does not run Xen, or this is not its Dom0");
}

static int open_handles(struct flx_dom *dom, struct flic_err *err)
{
    dom->xch = xc_interface_open(flx_logger(), flx_logger(), 0);
    if (!dom->xch)
        return flx_fail(err, dom->domid, "xc_interface_open");
    dom->memory = xenforeignmemory_open(flx_logger(), 0);
    if (!dom->memory)
        return flx_fail(err, dom->domid, "xenforeignmemory_open");
    dom->store = xs_open(0);
    if (!dom->store)
        return flx_fail(err, dom->domid, "xs_open");
    return 0;
}

int flx_open(uint32_t domid, struct flx_dom **ret_dom, struct flic_err *err)
{
    xc_domaininfo_t info;
    struct flx_dom *dom;
    int rc = need_xen(err);

    if (rc)
        return rc;
    dom = calloc(1, sizeof(*dom));
    if (!dom)
        return flic_err_set(err, -ENOMEM, "domain %u: out of memory", domid);
    dom->domid = domid;
    dom->shared_info_gfn = dom->console_gfn = dom->store_gfn = FLX_NO_GFN;
    rc = open_handles(dom, err);
    if (!rc)
        rc = flx_read_info(dom, &info, err);
    if (rc) {
        flx_close(dom);
        return rc;
    }
    flx_learn_places(dom);
    *ret_dom = dom;
    return 0;
}

void flx_close(struct flx_dom *dom)
{
    if (!dom)
        return;
    if (dom->bitmap.hbuf) {
        DECLARE_HYPERCALL_BUFFER_SHADOW(uint64_t, words, &dom->bitmap);

        xc_hypercall_buffer_free_pages(dom->xch, words, dom->bitmap_pages);
    }
    flx_arch_close(dom);
    if (dom->store)
        xs_close(dom->store);
    if (dom->memory)
        (void)xenforeignmemory_close(dom->memory);
    if (dom->xch)
        (void)xc_interface_close(dom->xch);
    free(dom);
}

/* ---- information ---- */

int flx_read_info(const struct flx_dom *dom, xc_domaininfo_t *ret_info, struct flic_err *err)
{
    return compat_domain_info(dom->xch, dom->domid, ret_info) ? flx_fail(err, dom->domid, "getdomaininfo") : 0;
}

static enum flx_run run_of(const xc_domaininfo_t *info)
{
    if (info->flags & XEN_DOMINF_dying)
        return FLX_DYING;
    if (compat_is_suspended(info))
        return FLX_SUSPENDED;
    if (info->flags & XEN_DOMINF_shutdown)
        return FLX_SHUT;
    return info->flags & XEN_DOMINF_paused ? FLX_PAUSED : FLX_RUNNING;
}

static void read_name(struct xs_handle *store, struct flx_info *info)
{
    char path[64];
    char *name;

    (void)snprintf(path, sizeof(path), "/local/domain/%u/name", info->domid);
    name = xs_read(store, XBT_NULL, path, NULL);
    (void)snprintf(info->name, sizeof(info->name), "%s", name ? name : "");
    free(name);
}

static void fill_info(const xc_domaininfo_t *from, struct flx_info *info)
{
    static_assert(sizeof(info->uuid.b) == sizeof(from->handle), "a domain's handle is its uuid");
    memset(info, 0, sizeof(*info));
    info->domid = from->domain;
    memcpy(info->uuid.b, from->handle, sizeof(info->uuid.b));
    info->run = run_of(from);
    info->vcpus = from->max_vcpu_id == XEN_INVALID_MAX_VCPU_ID ? 0 : from->max_vcpu_id + 1;
    info->cpu_ns = from->cpu_time;
    info->pages = from->tot_pages;
    info->max_pages = from->max_pages;
}

int flx_info(struct flx_dom *dom, struct flx_info *ret_info, struct flic_err *err)
{
    xc_domaininfo_t xen;
    xen_pfn_t highest = 0;
    int rc = flx_read_info(dom, &xen, err);

    if (rc)
        return rc;
    if (xc_domain_maximum_gpfn(dom->xch, dom->domid, &highest))
        return flx_fail(err, dom->domid, "maximum_gpfn");
    fill_info(&xen, ret_info);
    ret_info->gfn_end = xen.tot_pages ? (uint64_t)highest + 1 : 0;
    read_name(dom->store, ret_info);
    return 0;
}

static int see_batch(xc_interface *xch, struct xs_handle *store, const xc_domaininfo_t *batch, int n,
                     int (*see)(const struct flx_info *info, void *arg), void *arg)
{
    int rc = 0;

    for (int i = 0; i < n && !rc; i++) {
        struct flx_info info;
        xen_pfn_t highest = 0;

        if (batch[i].domain == 0)
            continue;
        fill_info(&batch[i], &info);
        if (!xc_domain_maximum_gpfn(xch, info.domid, &highest) && info.pages)
            info.gfn_end = (uint64_t)highest + 1;
        read_name(store, &info);
        rc = see(&info, arg);
    }
    return rc;
}

int flx_each_domain(int (*see)(const struct flx_info *info, void *arg), void *arg, struct flic_err *err)
{
    xc_domaininfo_t batch[INFO_BATCH];
    struct xs_handle *store = NULL;
    xc_interface *xch = NULL;
    uint32_t next = 0;
    int n, rc = need_xen(err);

    if (rc)
        return rc;
    xch = xc_interface_open(flx_logger(), flx_logger(), 0);
    store = xs_open(0);
    if (!xch || !store) {
        rc = flx_fail(err, 0, xch ? "xs_open" : "xc_interface_open");
        goto out;
    }
    do {
        n = xc_domain_getinfolist(xch, next, INFO_BATCH, batch);
        if (n < 0)
            rc = flx_fail(err, next, "getdomaininfolist");
        if (n > 0) {
            rc = see_batch(xch, store, batch, n, see, arg);
            next = batch[n - 1].domain + 1u;
        }
    } while (!rc && n == INFO_BATCH);
out:
    if (store)
        xs_close(store);
    if (xch)
        (void)xc_interface_close(xch);
    return rc;
}

/* ---- whether it can be saved ---- */

/* libxl keeps a domain's devices under /libxl/N/device/KIND. */
static bool has_device(const struct flx_dom *dom, const char *device_kind)
{
    char path[96];
    char **entries;
    unsigned n = 0;

    (void)snprintf(path, sizeof(path), "/libxl/%u/device/%s", dom->domid, device_kind);
    entries = xs_directory(dom->store, XBT_NULL, path, &n);
    free(entries);
    return entries && n;
}

/* What a save could not carry over, by libxl's name for it. */
static int refuse_devices(const struct flx_dom *dom, struct flic_err *err)
{
    static const struct { const char *device_kind, *what; } devices[] = {
        { "pci", "a PCI device of this machine is given to it (passthrough): detach it with 'xl pci-detach'" },
        { "vuart", "it has an emulated UART (vuart), whose state cannot be saved: create it without 'vuart='" },
        { "vusb", "it has a USB controller whose state cannot be saved: detach it with 'xl usbctrl-detach'" },
        { "vtpm", "it has a virtual TPM, whose state cannot be saved" },
    };

    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        if (has_device(dom, devices[i].device_kind))
            return flic_err_set(err, FLIC_E_REFUSED, "domain %u cannot be saved: %s", dom->domid, devices[i].what);
    return 0;
}

int flx_save_way(struct flx_dom *dom, struct flx_way *ret_way, struct flic_err *err)
{
    xc_domaininfo_t info;
    int rc;

    if (dom->domid == 0)
        return flic_err_set(err, FLIC_E_REFUSED, "Dom0 cannot be saved: name a guest");
    rc = flx_read_info(dom, &info, err);
    if (rc)
        return rc;
    if (run_of(&info) == FLX_DYING)
        return flic_err_set(err, FLIC_E_NODOMAIN, "domain %u is being destroyed", dom->domid);
    if (run_of(&info) == FLX_SHUT)
        return flic_err_set(err, FLIC_E_REFUSED, "domain %u has shut down or crashed: there is nothing to save",
                            dom->domid);
    rc = refuse_devices(dom, err);
    return rc ? rc : flx_arch_save_way(dom, ret_way, err);
}

int flx_check_own(const struct flx_dom *dom, const struct flx_way *way, struct flic_err *err)
{
    if (!way->by_libxc)
        return 0;
    return flic_err_set(err, FLIC_E_REFUSED, "domain %u is %s: libxc saves it for FLIC, so that it can be neither tracked, protected nor migrated; "
                        "'xl save --flic' takes it", dom->domid, way->model ? "an HVM guest with a device model" : "a PV guest");
}

int flx_can_save(struct flx_dom *dom, struct flic_err *err)
{
    struct flx_way way;
    int rc = flx_save_way(dom, &way, err);

    return rc ? rc : flx_check_own(dom, &way, err);
}

/* ---- a word for the guest ---- */

int flx_tell_guest(struct flx_dom *dom, const char *key, const char *value, struct flic_err *err)
{
    struct xs_permissions perms[2] = { { .id = 0, .perms = XS_PERM_NONE },
                                       { .id = dom->domid, .perms = XS_PERM_READ } };
    char path[256];

    if (snprintf(path, sizeof(path), "/local/domain/%u/%s", dom->domid, key) >= (int)sizeof(path))
        return flic_err_set(err, -ENAMETOOLONG, "domain %u: xenstore key too long", dom->domid);
    if (!xs_write(dom->store, XBT_NULL, path, value, (unsigned)strlen(value)) ||
        !xs_set_permissions(dom->store, XBT_NULL, path, perms, 2))
        return flx_fail(err, dom->domid, "write to xenstore");
    return 0;
}

int flx_told(struct flx_dom *dom, const char *key, char *ret_value, size_t room, struct flic_err *err)
{
    unsigned len = 0;
    char path[256], *value;

    if (snprintf(path, sizeof(path), "/local/domain/%u/%s", dom->domid, key) >= (int)sizeof(path))
        return flic_err_set(err, -ENAMETOOLONG, "domain %u: xenstore key too long", dom->domid);
    value = xs_read(dom->store, XBT_NULL, path, &len);
    if (!value && errno != ENOENT)
        return flx_fail(err, dom->domid, "read from xenstore");
    (void)snprintf(ret_value, room, "%.*s", value ? (int)len : 0, value ? value : "");
    free(value);
    return 0;
}
