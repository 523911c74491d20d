/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/fake/libxl_fake.h"

#include "common/io.h"

#include <poll.h>
#include <stdlib.h>
#include <xenstore.h>

struct libxl_fake libxl_fake;

static const libxl_asyncop_how *pending;

/* ---- operations ---- */

static int begin(libxl_ctx *ctx, const libxl_asyncop_how *how)
{
    if (libxl_fake.began)
        libxl_fake.began();
    if (libxl_fake.refused)
        return libxl_fake.refused;
    if (libxl_fake.at_once)
        how->callback(ctx, libxl_fake.result, how->u.for_callback);
    else
        pending = how;
    return 0;
}

int libxl_domain_suspend(libxl_ctx *ctx, uint32_t domid, int fd, int flags, const libxl_asyncop_how *how)
{
    static const char nothing[24];

    (void)domid, (void)flags;
    if (flic_write_all(fd, nothing, 24) || flic_write_all(fd, libxl_fake.reference, REFERENCE_SIZE) || flic_write_all(fd, nothing, 8))
        abort();
    return begin(ctx, how);
}

int libxl_domain_create_restore(libxl_ctx *ctx, libxl_domain_config *config, uint32_t *domid, int fd, int back,
                                const libxl_domain_restore_params *params, const libxl_asyncop_how *how, const libxl_asyncprogress_how *console)
{
    (void)config, (void)fd, (void)back, (void)params, (void)console;
    if (!libxl_fake.refused && !libxl_fake.result)
        *domid = 5;
    return begin(ctx, how);
}

int libxl_osevent_beforepoll(libxl_ctx *ctx, int *n, struct pollfd *fds, int *timeout, struct timeval now)
{
    (void)ctx, (void)fds, (void)now;
    *n = 0;
    *timeout = pending ? 0 : *timeout;
    return 0;
}

void libxl_osevent_afterpoll(libxl_ctx *ctx, int n, const struct pollfd *fds, struct timeval now)
{
    const libxl_asyncop_how *how = pending;

    (void)n, (void)fds, (void)now;
    pending = NULL;
    if (how)
        how->callback(ctx, libxl_fake.result, how->u.for_callback);
}

int libxl_ao_abort(libxl_ctx *ctx, const libxl_asyncop_how *how)
{
    (void)ctx, (void)how;
    return 0;
}

int libxl_domain_resume(libxl_ctx *ctx, uint32_t domid, int cooperative, const libxl_asyncop_how *how)
{
    (void)ctx, (void)domid, (void)cooperative, (void)how;
    libxl_fake.resumed++;
    return 0;
}

int libxl_domain_destroy(libxl_ctx *ctx, uint32_t domid, const libxl_asyncop_how *how)
{
    (void)ctx, (void)domid, (void)how;
    libxl_fake.destroyed++;
    return 0;
}

int libxl_domain_pause(libxl_ctx *ctx, uint32_t domid, const libxl_asyncop_how *how)
{
    (void)ctx, (void)domid, (void)how;
    return 0;
}

int libxl_domain_unpause(libxl_ctx *ctx, uint32_t domid, const libxl_asyncop_how *how)
{
    (void)ctx, (void)domid, (void)how;
    libxl_fake.unpaused++;
    return 0;
}

/* ---- contexts ---- */

int libxl_ctx_alloc(libxl_ctx **ctx, int version, unsigned flags, xentoollog_logger *logger)
{
    (void)version, (void)flags, (void)logger;
    *ctx = (libxl_ctx *)&libxl_fake;
    return 0;
}

int libxl_ctx_free(libxl_ctx *ctx)
{
    (void)ctx;
    return 0;
}

void libxl_childproc_setmode(libxl_ctx *ctx, const libxl_childproc_hooks *hooks, void *user)
{
    (void)ctx, (void)user;
    libxl_fake.hooks = hooks;
}

/* ---- configurations and names ---- */

void libxl_domain_config_init(libxl_domain_config *config) { memset(config, 0, sizeof(*config)); }
void libxl_domain_config_dispose(libxl_domain_config *config) { (void)config; }
void libxl_domain_restore_params_init(libxl_domain_restore_params *params) { memset(params, 0, sizeof(*params)); }
void libxl_domain_restore_params_dispose(libxl_domain_restore_params *params) { (void)params; }

int libxl_retrieve_domain_configuration(libxl_ctx *ctx, uint32_t domid, libxl_domain_config *config, const libxl_asyncop_how *how)
{
    (void)ctx, (void)domid, (void)config, (void)how;
    return 0;
}

char *libxl_domain_config_to_json(libxl_ctx *ctx, libxl_domain_config *config)
{
    (void)ctx, (void)config;
    return strdup("{}");
}

int libxl_domain_config_from_json(libxl_ctx *ctx, libxl_domain_config *config, const char *text)
{
    (void)ctx, (void)config, (void)text;
    return 0;
}

int libxl_name_to_domid(libxl_ctx *ctx, const char *name, uint32_t *domid)
{
    (void)ctx, (void)name, (void)domid;
    return ERROR_INVAL;
}

void libxl_uuid_generate(libxl_uuid *uuid) { memset(uuid, 0x22, sizeof(*uuid)); }
uint8_t *libxl_uuid_bytearray(libxl_uuid *uuid) { return uuid->uuid; }

/* ---- libxc and libxenstore: every domain is there and suspended; no xenstored ---- */

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger, unsigned flags)
{
    (void)logger, (void)dombuild_logger, (void)flags;
    return (xc_interface *)&libxl_fake;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int xc_domain_getinfolist(xc_interface *xch, uint32_t first, unsigned max, xc_domaininfo_t *info)
{
    (void)xch, (void)max;
    memset(info, 0, sizeof(*info));
    info->domain = (domid_t)first;
    info->flags = XEN_DOMINF_shutdown | SHUTDOWN_suspend << XEN_DOMINF_shutdownshift;
    return 1;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return NULL;
}

void xs_close(struct xs_handle *store) { (void)store; }

void *xs_read(struct xs_handle *store, xs_transaction_t t, const char *path, unsigned *len)
{
    (void)store, (void)t, (void)path, (void)len;
    return NULL;
}

bool xs_write(struct xs_handle *store, xs_transaction_t t, const char *path, const void *data, unsigned len)
{
    (void)store, (void)t, (void)path, (void)data, (void)len;
    return false;
}
