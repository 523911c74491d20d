/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "libxl-ext/flicxl_op.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct migrate {
    struct op op;
    uint32_t domid;
    const struct flicxl_migrate_params *params;
    char *json;                 /* the domain's configuration */
    int stream;                 /* libxl's stream, in memory: nobody reads it */
    bool handing;               /* flicd was asked to hand the guest over: what it does then is not ours to undo */
};

void flicxl_migrate_params_init(struct flicxl_migrate_params *params)
{
    memset(params, 0, sizeof(*params));
}

static int start(struct op *op, void *arg)
{
    struct migrate *m = arg;

    return libxl_domain_suspend(op->ctx, m->domid, m->stream, 0, &op->how);
}

/* Until the guest runs on the peer. */
static int go(struct migrate *m, struct flic_err *err)
{
    const struct flicxl_migrate_params *p = m->params;
    json_t *ready = NULL;
    int rc = op_open(&m->op, json_pack("{s:s, s:I, s:s, s:I, s:s, s:s, s:s, s:b, s:I}", "op", "migrate", "domid", (json_int_t)m->domid, "config", m->json,
                                       "timeout_s", (json_int_t)p->timeout_s, "peer", p->peer, "command", p->command ? p->command : "", "disks", p->disks ? p->disks : "",
                                       "auto_converge", p->auto_converge, "max_downtime_ms", (json_int_t)p->max_downtime_ms), &ready, err);

    if (rc)
        return rc;
    json_decref(ready);
    rc = op_tunnel(&m->op, p->attach, p->user, err);
    if (!rc)
        rc = op_run(&m->op, start, m, err);
    if (!rc) {
        m->handing = true;
        rc = op_tell(&m->op, "publish", 0, err);
    }
    if (rc && !m->handing)
        op_abort(&m->op, err);
    if (rc && m->handing && !m->op.answer)
        rc = flic_err_set(err, FLIC_E_UNSURE, "flicd ended while the guest was handed over to %s: it is suspended here until a flicd runs again and "
                          "has asked that phone", p->peer);
    /* flicd's "no" is its word that the guest is still this side's; its silence, or "not known", is none. */
    if (rc && (!m->handing || (m->op.answer && rc != FLIC_E_UNSURE)))
        (void)op_go_on(&m->op, m->domid, err);
    return rc ? err->code : 0;
}

int flicxl_domain_migrate(libxl_ctx *ctx, uint32_t domid, const struct flicxl_migrate_params *params,
                          struct flicxl_info *info, const libxl_asyncop_how *ao_how)
{
    struct migrate m = { .domid = domid, .params = params, .stream = -1 };
    struct op_limits limits = { params->socket, params->cancel, params->progress, params->user, params->timeout_s };
    struct flic_err err = { 0 };
    int rc = 0;

    memset(info, 0, sizeof(*info));
    info->domid = domid;
    op_init(&m.op, ctx, &limits);
    if (ao_how || !params->attach || !params->peer)
        rc = flic_err_set(&err, FLIC_E_USAGE, "flicxl_domain_migrate() is synchronous (ao_how must be NULL), and needs a peer and attach");
    if (!rc)
        rc = op_read_config(&m.op, domid, &m.json, &err);
    if (!rc) {
        m.stream = memfd_create("flic-stream", MFD_CLOEXEC);
        rc = m.stream < 0 ? flic_err_errno(&err, "make a stream for libxl") : go(&m, &err);
    }
    if (!rc && libxl_domain_destroy(ctx, domid, NULL))
        rc = flic_err_set(&err, FLIC_E_XEN, "the guest runs on %s, but its domain %u here could not be destroyed: run 'xl destroy %u'",
                          params->peer, domid, domid);
    if (m.stream >= 0)
        (void)close(m.stream);
    rc = op_result(&m.op, rc, &err, info);
    op_fini(&m.op);
    free(m.json);
    return rc;
}
