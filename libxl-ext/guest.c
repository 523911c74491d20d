/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * flic-guest - the worker that flicd starts for what only libxl can do. libxl forks and owns signals, so it has a process of
 * its own; flicd never links it.
 *
 *   flic-guest destroy DOMID     removes a domain whose restore was left half done
 *   flic-guest restore WHAT      restores and unpauses a checkpoint
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl.h>
#include <xentoollog.h>

#include "libxl-ext/flicxl.h"

static int destroy(libxl_ctx *ctx, const char *text)
{
    char *end;
    unsigned long domid = strtoul(text, &end, 10);

    if (!*text || *end || domid == 0 || domid > 0x7fef) {
        fprintf(stderr, "flic-guest: '%s' is not the id of a guest\n", text);
        return 2;
    }
    return libxl_domain_destroy(ctx, (uint32_t)domid, NULL) ? 1 : 0;
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

int main(int argc, char **argv)
{
    xentoollog_logger_stdiostream *logger;
    libxl_ctx *ctx = NULL;
    int status = 2;

    if (argc != 3 || (strcmp(argv[1], "destroy") && strcmp(argv[1], "restore"))) {
        fprintf(stderr, "usage: flic-guest destroy DOMID | restore DOMAIN[@N]\n");
        return 2;
    }
    logger = xtl_createlogger_stdiostream(stderr, XTL_WARN, 0);
    if (!logger || libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, (xentoollog_logger *)logger)) {
        fprintf(stderr, "flic-guest: cannot reach libxl\n");
        status = 1;
    } else {
        status = strcmp(argv[1], "destroy") ? restore(ctx, argv[2]) : destroy(ctx, argv[2]);
    }
    if (ctx)
        (void)libxl_ctx_free(ctx);      /* the process ends */
    if (logger)
        xtl_logger_destroy((xentoollog_logger *)logger);
    return status;
}
