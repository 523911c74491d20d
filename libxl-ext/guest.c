/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * flic-guest - the worker that flicd starts for what only libxl can do. libxl forks and owns signals, so it has a process of
 * its own; flicd never links it.
 *
 *   flic-guest destroy DOMID     removes a domain whose restore was left half done
 *   flic-guest resume DOMID      lets a suspended guest with a device model go on where it is
 *   flic-guest restore WHAT      restores and unpauses a checkpoint
 *   flic-guest checkpoint DOMID [--ram-only]    a checkpoint of 'flic protect'; the guest runs on, watched by flic-watch, since
 *                                xl's own monitor of a domain ends when the domain suspends
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl.h>
#include <xentoollog.h>

#include "common/spawn.h"
#include "libxl-ext/flicxl.h"

static bool is_domid(const char *text, unsigned long *ret_domid)
{
    char *end;

    *ret_domid = strtoul(text, &end, 10);
    if (*text && !*end && *ret_domid > 0 && *ret_domid <= 0x7fef)
        return true;
    fprintf(stderr, "flic-guest: '%s' is not the id of a guest\n", text);
    return false;
}

static int destroy(libxl_ctx *ctx, const char *text)
{
    unsigned long domid;

    if (!is_domid(text, &domid))
        return 2;
    return libxl_domain_destroy(ctx, (uint32_t)domid, NULL) ? 1 : 0;
}

static int resume(libxl_ctx *ctx, const char *text)
{
    unsigned long domid;

    if (!is_domid(text, &domid))
        return 2;
    return libxl_domain_resume(ctx, (uint32_t)domid, 1, NULL) ? 1 : 0;
}

static int restore(libxl_ctx *ctx, const char *what)
{
    struct flicxl_restore_params params;
    struct flicxl_info info;
    int rc;

    flicxl_restore_params_init(&params);
    params.what = what;
    rc = flicxl_domain_restore(ctx, &params, &info, NULL);
    if (rc)
        fprintf(stderr, "flic-guest: %s\n", info.text);
    free(info.figures);
    return rc ? 1 : 0;
}

static int checkpoint(libxl_ctx *ctx, const char *text, bool ram_only)
{
    char program[] = FLIC_LIBEXECDIR "/flic-watch", number[16];
    char *const watch[] = { program, number, NULL };
    struct flicxl_save_params params;
    struct flicxl_info info;
    unsigned long domid;
    int rc;

    if (!is_domid(text, &domid))
        return 2;
    flicxl_save_params_init(&params);
    params.after = FLICXL_AFTER_RUN;
    params.protect = true;
    params.ram_only = ram_only;
    rc = flicxl_domain_save(ctx, (uint32_t)domid, &params, &info, NULL);
    if (rc)
        fprintf(stderr, "flic-guest: %s\n", info.text);
    free(info.figures);
    (void)snprintf(number, sizeof(number), "%lu", domid);
    if (flic_spawn_detached(watch, "/var/log/xen/flic-watch.log"))      /* one that is there already stays the only one */
        fprintf(stderr, "flic-guest: %s could not be started: nobody acts on the shutdown of domain %lu\n", program, domid);
    return rc ? 1 : 0;
}

static bool is_usage(int argc, char **argv)
{
    if (argc == 4)
        return !strcmp(argv[1], "checkpoint") && !strcmp(argv[3], "--ram-only");
    return argc == 3 && (!strcmp(argv[1], "destroy") || !strcmp(argv[1], "resume") || !strcmp(argv[1], "restore") || !strcmp(argv[1], "checkpoint"));
}

static int run(libxl_ctx *ctx, int argc, char **argv)
{
    if (!strcmp(argv[1], "checkpoint"))
        return checkpoint(ctx, argv[2], argc == 4);
    if (!strcmp(argv[1], "resume"))
        return resume(ctx, argv[2]);
    return strcmp(argv[1], "destroy") ? restore(ctx, argv[2]) : destroy(ctx, argv[2]);
}

int main(int argc, char **argv)
{
    xentoollog_logger_stdiostream *logger;
    libxl_ctx *ctx = NULL;
    int status = 2;

    if (!is_usage(argc, argv)) {
        fprintf(stderr, "usage: flic-guest destroy DOMID | resume DOMID | restore DOMAIN[@N] | checkpoint DOMID [--ram-only]\n");
        return 2;
    }
    logger = xtl_createlogger_stdiostream(stderr, XTL_WARN, 0);
    if (!logger || libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, (xentoollog_logger *)logger)) {
        fprintf(stderr, "flic-guest: cannot reach libxl\n");
        status = 1;
    } else {
        status = run(ctx, argc, argv);
    }
    if (ctx)
        (void)libxl_ctx_free(ctx);      /* the process ends */
    if (logger)
        xtl_logger_destroy((xentoollog_logger *)logger);
    return status;
}
