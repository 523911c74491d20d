/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * err - the one error type of FLIC.
 *
 * Every function that can fail returns int: 0 (or a documented value >= 0) or a negative code, and
 * takes `struct flic_err *err` last. Codes are -errno for system errors and FLIC_E_* (below -1000)
 * for our own; schema/errors.def is the only list, with each code's exit status and description.
 *
 * `err` may be NULL: then only the code travels. Setting or wrapping never changes errno. A message is
 * one sentence: what happened, to what, and what to do next where someone can act; wrapping puts the
 * outer step in front of it ("save 'web': capture: ..."). Text that came from a guest, a file or a peer is
 * escaped by flic_err_set() for every %s: no control character reaches a terminal or a log.
 */
#ifndef FLIC_COMMON_ERR_H
#define FLIC_COMMON_ERR_H

#include <stdarg.h>

#define FLIC_ERR_TEXT 512

enum flic_code {
    FLIC_OK = 0,
#define FLIC_ERROR(name, value, exit_status, text) FLIC_E_##name = (value),
#include "schema/errors.def"
#undef FLIC_ERROR
};

struct flic_err {
    int code;                   /* what the failing function returned; 0 while nothing failed */
    char text[FLIC_ERR_TEXT];   /* one sentence, NUL-terminated, printable */
};

/* Records code and message, returns code. */
int flic_err_set(struct flic_err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As flic_err_set() with -errno as the code and ": <strerror>" appended. */
int flic_err_errno(struct flic_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "<context>: " in front of the message already there; returns err's code, or `code` if err is NULL. */
int flic_err_wrap(struct flic_err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "FLIC_E_NOSPACE", "ENOENT", or "unknown"; static storage. */
const char *flic_code_name(int code);

/* The code whose name is `name`, or FLIC_E_INTERNAL. The inverse of flic_code_name() for our own codes
 * and the errno names that a daemon's answer can carry. */
int flic_code_from_name(const char *name);

/* The one-line description of a code: ours from schema/errors.def, else strerror(). */
const char *flic_code_text(int code);

/* Control characters become '?', also those that UTF-8 writes in two bytes (U+0080 to U+009F): some terminals obey them. */
void flic_make_printable(char *text);

/* The exit status that the commands give for a code (schema/errors.def; 1 for system errors). */
int flic_code_exit_status(int code);

#endif
