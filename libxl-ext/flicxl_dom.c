/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What a save and a migration ask of the domain that is here. */
#include "libxl-ext/flicxl_op.h"

#include "common/marks.h"
#include "libxl-ext/inplace.h"

#include <stdio.h>
#include <stdlib.h>
#include <xenstore.h>

int op_read_config(const struct op *op, uint32_t domid, char **ret_json, struct flic_err *err)
{
    libxl_domain_config config;
    int rc;

    libxl_domain_config_init(&config);
    rc = libxl_retrieve_domain_configuration(op->ctx, domid, &config, NULL);
    *ret_json = rc ? NULL : libxl_domain_config_to_json(op->ctx, &config);
    libxl_domain_config_dispose(&config);
    if (rc == ERROR_DOMAIN_NOTFOUND)
        return flic_err_set(err, FLIC_E_NODOMAIN, "no domain %u", domid);
    if (rc || !*ret_json)
        return flic_err_set(err, FLIC_E_XEN, "domain %u: libxl does not give its configuration (error %d)", domid, rc);
    return 0;
}

/* As long as it is there flicd lets a guest go on that it finds suspended, or paused, for some seconds, whoever did that. */
static void take_mark(uint32_t domid, const char *key, const char *mark)
{
    struct xs_handle *store = *mark ? xs_open(0) : NULL;
    char path[64], *value = NULL;
    unsigned len = 0;

    (void)snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, key);
    if (store)
        value = xs_read(store, XBT_NULL, path, &len);
    if (value && len == strlen(mark) && !memcmp(value, mark, len))
        (void)xs_write(store, XBT_NULL, path, "", 0);
    free(value);
    if (store)
        xs_close(store);
}

int op_go_on(const struct op *op, uint32_t domid, struct flic_err *err)
{
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);
    xc_domaininfo_t info;
    bool suspended = false;
    int rc = xch ? 0 : -1;

    if (!rc)
        rc = compat_domain_info(xch, domid, &info);
    if (!rc && compat_is_suspended(&info)) {
        suspended = true;
        rc = inplace_mark(xch, domid);
        if (!rc)
            rc = libxl_domain_resume(op->ctx, domid, 1, NULL);
    }
    if (xch)
        (void)xc_interface_close(xch);
    if (rc)
        return flic_err_wrap(err, FLIC_E_XEN, "domain %u could not be made to go on ('flic status' and 'xl list' show it)", domid);
    if (suspended)      /* one that did not answer may do so yet: then flicd finds it by its mark */
        take_mark(domid, MARK_OPERATION, op->mark);
    return 0;
}

int op_let_run(const struct op *op, uint32_t domid, struct flic_err *err)
{
    if (libxl_domain_unpause(op->ctx, domid, NULL))
        return flic_err_set(err, FLIC_E_XEN, "domain %u is restored but could not be unpaused: run 'xl unpause %u'", domid, domid);
    take_mark(domid, MARK_RESTORING, MARK_WHOLE);
    return 0;
}
