/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What of libxl the verbs need beside libflicxl: a context, and domains by name. */
#include "cli/xl.h"

#include <errno.h>
#include <libxl_utils.h>
#include <stdio.h>
#include <unistd.h>

#define PRIVCMD "/dev/xen/privcmd"

/* A migration's transport runs beside libxl's operation: by default libxl would reap it too. It waits for its own children only; we wait for
 * ours with waitpid() and do not use SIGCHLD. Both 4.17 and 4.20 have this mode. */
static const libxl_childproc_hooks children = { .chldowner = libxl_sigchld_owner_libxl_always_selective_reap };

/* Asked first, because libxl's libraries would each say it in their own words. */
static int check_privcmd(struct flic_err *err)
{
    if (!access(PRIVCMD, R_OK | W_OK))
        return 0;
    if (errno == EACCES || errno == EPERM)
        return flic_err_set(err, FLIC_E_DENIED, "the hypervisor may not be used by this user: run this as root");
    return flic_err_set(err, FLIC_E_NOXEN, "this is not a Xen Dom0 (there is no " PRIVCMD "): boot Xen and try again");
}

int xl_session_open(const struct xl_global *global, struct xl_session *ret_session, struct flic_err *err)
{
    int level = XTL_WARN - global->verbose;
    struct xl_session session = { 0 };
    int rc = check_privcmd(err);

    if (rc)
        return rc;
    if (level < XTL_DEBUG)
        level = XTL_DEBUG;
    /* libxl's own progress would fight with ours for the line */
    session.logger = xtl_createlogger_stdiostream(stderr, (xentoollog_level)level, XTL_STDIOSTREAM_HIDE_PROGRESS);
    if (!session.logger)
        return flic_err_set(err, -ENOMEM, "out of memory");
    if (libxl_ctx_alloc(&session.ctx, LIBXL_VERSION, 0, (xentoollog_logger *)session.logger)) {
        xtl_logger_destroy((xentoollog_logger *)session.logger);
        return flic_err_set(err, FLIC_E_NOXEN, "libxl cannot be used: is xenstored running?");
    }
    libxl_childproc_setmode(session.ctx, &children, NULL);
    *ret_session = session;
    return 0;
}

void xl_session_close(struct xl_session *session)
{
    if (session->ctx)
        (void)libxl_ctx_free(session->ctx);     /* always 0 */
    if (session->logger)
        xtl_logger_destroy((xentoollog_logger *)session->logger);
    *session = (struct xl_session){ 0 };
}

/* ---- names ---- */

static bool find_by_uuid(libxl_ctx *ctx, const char *text, uint32_t *ret_domid)
{
    libxl_dominfo *list;
    libxl_uuid uuid;
    bool found = false;
    int count = 0;

    if (libxl_uuid_from_string(&uuid, text))
        return false;
    list = libxl_list_domain(ctx, &count);
    for (int i = 0; list && i < count && !found; i++) {
        found = !libxl_uuid_compare(&list[i].uuid, &uuid);
        if (found)
            *ret_domid = list[i].domid;
    }
    if (list)
        libxl_dominfo_list_free(list, count);
    return found;
}

static bool is_there(libxl_ctx *ctx, uint32_t domid)
{
    libxl_dominfo info;
    int rc;

    libxl_dominfo_init(&info);
    rc = libxl_domain_info(ctx, &info, domid);
    libxl_dominfo_dispose(&info);
    return !rc;
}

int xl_find_domain(libxl_ctx *ctx, const char *what, uint32_t *ret_domid, struct flic_err *err)
{
    uint32_t domid;
    bool found = !libxl_domain_qualifier_to_domid(ctx, what, &domid) || find_by_uuid(ctx, what, &domid);

    if (!found || !is_there(ctx, domid))
        return flic_err_set(err, FLIC_E_NODOMAIN, "no domain '%s' is running; 'xl list' shows those that are", what);
    if (!domid)
        return flic_err_set(err, FLIC_E_REFUSED, "domain 0 is the host itself and cannot be saved");
    *ret_domid = domid;
    return 0;
}

char *xl_name_of(libxl_ctx *ctx, uint32_t domid)
{
    return libxl_domid_to_name(ctx, domid);
}
