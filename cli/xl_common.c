/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* How xl save and xl restore end: messages, figures. And what their arguments have in common. */
#include "cli/member.h"
#include "cli/xl.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    if (!rc && (member_print_json(figures, stdout) || fflush(stdout)))
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

void xl_watch_survivor(const char *verb, uint32_t domid, const struct progress *progress)
{
    struct flic_err err = { 0 };

    if (progress->suspending && xl_watch(domid, false, &err))
        (void)fprintf(stderr, "xl %s: %s; nobody acts on this guest's shutdown now\n", verb, err.text);
}

int xl_answered(int rc, struct flic_err *err, const char *done, ...)
{
    char text[300];
    va_list args;

    if (!rc && fflush(stdout))
        rc = -errno;
    if (!rc)
        return 0;
    va_start(args, done);
    (void)vsnprintf(text, sizeof(text), done, args);
    va_end(args);
    return flic_err_set(err, rc, "%s, but the answer could not be written: %s", text, strerror(-rc));
}
