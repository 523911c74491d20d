/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What xl save and xl restore share: the libxl session, names, reports. */
#include "cli/xl.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <libxl_utils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PRIVCMD "/dev/xen/privcmd"

/* ---- session ---- */

static int explain_no_libxl(struct flic_err *err)
{
    if (access(PRIVCMD, R_OK | W_OK) && errno == EACCES)
        return flic_err_set(err, FLIC_E_DENIED, "the hypervisor may not be used by this user: run this as root");
    return flic_err_set(err, FLIC_E_NOXEN,
                        "this is not a Xen Dom0 or its toolstack is not running: boot Xen and start xenstored");
}

int xl_session_open(const struct xl_global *global, struct xl_session *ret_session, struct flic_err *err)
{
    int level = XTL_WARN - global->verbose;
    struct xl_session session = { 0 };

    if (level < XTL_DEBUG)
        level = XTL_DEBUG;
    /* libxl's own progress would fight with ours for the line */
    session.logger = xtl_createlogger_stdiostream(stderr, (xentoollog_level)level, XTL_STDIOSTREAM_HIDE_PROGRESS);
    if (!session.logger)
        return flic_err_set(err, -ENOMEM, "out of memory");
    if (libxl_ctx_alloc(&session.ctx, LIBXL_VERSION, 0, (xentoollog_logger *)session.logger)) {
        int rc = explain_no_libxl(err);

        xtl_logger_destroy((xentoollog_logger *)session.logger);
        return rc;
    }
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

/* ---- ends ---- */

int xl_report(const char *verb, const struct flic_err *err)
{
    (void)fprintf(stderr, "xl %s: %s\n", verb, err->text[0] ? err->text : flic_code_text(err->code));
    return flic_code_exit_status(err->code);
}

int xl_err_from_info(const struct flicxl_info *info, int libxl_rc, struct flic_err *err)
{
    if (info->code && info->text[0])
        return flic_err_set(err, info->code, "%s", info->text);
    return flic_err_set(err, info->code ? info->code : FLIC_E_XEN, "libxl failed with error %d", libxl_rc);
}

int xl_print_json(const char *domain, const struct flicxl_info *info)
{
    json_t *figures = info->figures ? json_loads(info->figures, 0, NULL) : NULL;
    int rc = 0;

    if (!json_is_object(figures)) {
        json_decref(figures);
        figures = json_object();
    }
    if (json_object_set_new(figures, "domain", json_string(domain)) ||
        json_object_set_new(figures, "seq", json_integer((json_int_t)info->seq)) ||
        (info->domid && json_object_set_new(figures, "domid", json_integer(info->domid))))
        rc = -ENOMEM;
    if (!rc && (json_dumpf(figures, stdout, JSON_COMPACT) || fputc('\n', stdout) == EOF || fflush(stdout)))
        rc = errno ? -errno : -EIO;
    json_decref(figures);
    return rc;
}

bool xl_parse_timeout(const char *text, uint32_t *ret_seconds)
{
    unsigned long seconds;
    char *end;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    seconds = strtoul(text, &end, 10);
    if (errno || *end || !seconds || seconds > 86400)
        return false;
    *ret_seconds = (uint32_t)seconds;
    return true;
}
