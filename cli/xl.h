/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * xl - what the FLIC verbs of xl share.
 *
 * Statuses are exit statuses (schema/errors.def); messages go to stderr as "xl VERB: sentence".
 */
#ifndef FLIC_CLI_XL_H
#define FLIC_CLI_XL_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/progress.h"
#include "common/err.h"
#include "libxl-ext/flicxl.h"

struct xl_global {
    int verbose;                /* how many -v stood before the verb */
    bool dry_run;               /* -N */
};

/* argv[0] is the verb. All return the exit status. */
int xl_migrate(const struct xl_global *global, int argc, char **argv);
int xl_receive(const struct xl_global *global, int argc, char **argv);
int xl_save(const struct xl_global *global, int argc, char **argv);
int xl_restore(const struct xl_global *global, int argc, char **argv);

/* ---- libxl (xl_session.c) ---- */

struct xl_session {
    xentoollog_logger_stdiostream *logger;
    libxl_ctx *ctx;
};

/* FLIC_E_NOXEN outside a Dom0, FLIC_E_DENIED without the right to be there. */
int xl_session_open(const struct xl_global *global, struct xl_session *ret_session, struct flic_err *err);
void xl_session_close(struct xl_session *session);     /* accepts one that is not open */

/* A live domain by name, uuid or domid. FLIC_E_NODOMAIN; FLIC_E_REFUSED for domain 0. */
int xl_find_domain(libxl_ctx *ctx, const char *what, uint32_t *ret_domid, struct flic_err *err);

/* The name of a live domain, to free(), or NULL. */
char *xl_name_of(libxl_ctx *ctx, uint32_t domid);

/* ---- ends ---- */

/*
 * Starts flic-watch for the domain, detached, so that its poweroff, reboot or crash is acted upon; in the foreground it replaces
 * this process and returns only on failure. A domain that flic-watch watches already stays with that one.
 */
int xl_watch(uint32_t domid, bool foreground, struct flic_err *err);

/*
 * xl's own monitor of a domain ends when the domain suspends: a guest that lives on here would have nobody to restart it. If it did not
 * suspend, that monitor is still there, and flic-watch lets it act first. A failure is told, as xl VERB.
 */
void xl_watch_survivor(const char *verb, uint32_t domid, const struct progress *progress);

/* Flushes what was printed: 0, or `rc` (an error of printing) or the flush's as one sentence that begins with what is done all the same. */
int xl_answered(int rc, struct flic_err *err, const char *done, ...) __attribute__((format(printf, 3, 4)));

/* Prints the failure, or the code's own words when it has no text. Returns the exit status. */
int xl_report(const char *verb, const struct flic_err *err);
/* err from a failed libflicxl call; returns the code. */
int xl_err_from_info(const struct flicxl_info *info, int libxl_rc, struct flic_err *err);
/* One line: the figures, with "domain" and "seq" (and "domid" unless 0) beside them. 0 or -errno. */
int xl_print_json(const char *domain, const struct flicxl_info *info);
/* --timeout's value: whole seconds, 1 to 86400. */
bool xl_parse_timeout(const char *text, uint32_t *ret_seconds);

#endif
