/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "common/err.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct code_row {
    int code;
    const char *name;
    const char *text;
    int exit_status;
};

static const struct code_row code_rows[] = {
#define FLIC_ERROR(name, value, status, text) { value, "FLIC_E_" #name, text, status },
#include "schema/errors.def"
#undef FLIC_ERROR
};

/* System errors that cross the socket by name; any other travels as FLIC_E_INTERNAL. */
static const struct code_row errno_rows[] = {
#define ROW(e) { -e, #e, NULL, 1 }
    ROW(EPERM), ROW(ENOENT), ROW(EIO), ROW(ENXIO), ROW(EBADF), ROW(EAGAIN), ROW(ENOMEM), ROW(EACCES),
    ROW(EFAULT), ROW(EBUSY), ROW(EEXIST), ROW(ENODEV), ROW(EINVAL), ROW(EMFILE), ROW(ENFILE),
    ROW(EFBIG), ROW(ENOSPC), ROW(EROFS), ROW(EPIPE), ROW(ENOSYS), ROW(EOPNOTSUPP), ROW(ECONNREFUSED),
    ROW(ECONNRESET), ROW(ETIMEDOUT), ROW(EDQUOT), ROW(EINTR), ROW(ERANGE), ROW(ENOTDIR), ROW(EISDIR),
#undef ROW
};

#define N_ROWS(a) (sizeof(a) / sizeof((a)[0]))

static const struct code_row *row_of(int code)
{
    for (size_t i = 0; i < N_ROWS(code_rows); i++)
        if (code_rows[i].code == code)
            return &code_rows[i];
    for (size_t i = 0; i < N_ROWS(errno_rows); i++)
        if (errno_rows[i].code == code)
            return &errno_rows[i];
    return NULL;
}

void flic_make_printable(char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)s[0], next = (unsigned char)s[1];

        if (c < 0x20 || c == 0x7f)
            *s = '?';
        if (c == 0xc2 && next >= 0x80 && next <= 0x9f)
            s[0] = s[1] = '?';
    }
}

static void set_text(struct flic_err *err, int code, const char *fmt, va_list ap)
{
    err->code = code;
    (void)vsnprintf(err->text, sizeof(err->text), fmt, ap); /* a cut message is still a message */
    flic_make_printable(err->text);
}

int flic_err_set(struct flic_err *err, int code, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;

    if (err) {
        va_start(ap, fmt);
        set_text(err, code, fmt, ap);
        va_end(ap);
    }
    errno = saved;
    return code;
}

int flic_err_errno(struct flic_err *err, const char *fmt, ...)
{
    int saved = errno ? errno : EIO;
    va_list ap;
    size_t used;

    if (err) {
        va_start(ap, fmt);
        set_text(err, -saved, fmt, ap);
        va_end(ap);
        used = strlen(err->text);
        (void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(saved));
    }
    errno = saved;
    return -saved;
}

int flic_err_wrap(struct flic_err *err, int code, const char *fmt, ...)
{
    char inner[FLIC_ERR_TEXT];
    int saved = errno;
    va_list ap;
    size_t used;

    if (err) {
        memcpy(inner, err->text, sizeof(inner));
        va_start(ap, fmt);
        set_text(err, err->code ? err->code : code, fmt, ap);
        va_end(ap);
        used = strlen(err->text);
        (void)snprintf(err->text + used, sizeof(err->text) - used, ": %s",
                       inner[0] ? inner : flic_code_text(code));
        code = err->code;
    }
    errno = saved;
    return code;
}

const char *flic_code_name(int code)
{
    const struct code_row *row = row_of(code);

    return row ? row->name : "unknown";
}

int flic_code_from_name(const char *name)
{
    for (size_t i = 0; i < N_ROWS(code_rows); i++)
        if (!strcmp(code_rows[i].name, name))
            return code_rows[i].code;
    for (size_t i = 0; i < N_ROWS(errno_rows); i++)
        if (!strcmp(errno_rows[i].name, name))
            return errno_rows[i].code;
    return FLIC_E_INTERNAL;
}

const char *flic_code_text(int code)
{
    const struct code_row *row = row_of(code);

    return row && row->text ? row->text : strerror(-code);
}

int flic_code_exit_status(int code)
{
    const struct code_row *row = row_of(code);

    if (!code)
        return 0;
    return row ? row->exit_status : 1;
}
