/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* xl restore --flic */
#include "cli/cancel.h"
#include "cli/human.h"
#include "cli/member.h"
#include "cli/xl.h"
#include "cli/xl_options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_FLIC = 0x100, KEY_CLONE, KEY_RAM_ONLY };

struct restore_request {
    struct xl_options common;
    bool watch, foreground;
    char *name;                 /* of the restored domain; free() */
    struct flicxl_restore_params params;
};

static const struct argp_option options[] = {
    { "flic", KEY_FLIC, NULL, 0, "Restore through FLIC (needless when FILE is one of FLIC's)", 0 },
    { NULL, 'p', NULL, 0, "Leave the domain paused", 0 },
    { "clone", KEY_CLONE, NULL, 0, "A new identity, beside the guest if it is alive", 0 },
    { "ram-only", KEY_RAM_ONLY, NULL, 0, "Restore without checking the guest's disks", 0 },
    { NULL, 'F', NULL, 0, "Watch the domain in the foreground", 0 },
    { NULL, 'e', NULL, 0, "Do not watch the domain: nobody acts on its shutdown", 0 },
    { 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct restore_request *req = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &req->common; return 0;
    case KEY_FLIC: return 0;
    case 'p': req->params.paused = true; return 0;
    case 'F': req->foreground = true; return 0;
    case 'e': req->watch = false; return 0;
    case KEY_CLONE: req->params.clone = true; return 0;
    case KEY_RAM_ONLY: req->params.ram_only = true; return 0;
    case ARGP_KEY_ARG:
        if (req->params.what)
            argp_error(state, "'%s' is one argument too many", arg);
        req->params.what = arg;
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "which checkpoint?"); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options, parse_option, "--flic DOMAIN[@N] | FILE",
    "Restores a guest from a checkpoint of FLIC: the newest of DOMAIN (a name or uuid), its number N, or the one that FILE refers "
    "to. Every page is verified before the guest runs. Ctrl-C cancels: the checkpoint stays.",
    xl_options_child, NULL, NULL,
};

static const char *name_of(const struct restore_request *req)
{
    return req->name ? req->name : req->params.what;
}

/* "restored web@7 as domain 5: 1.2 s, 30 MiB from NVRAM, 310 MiB from flash". A clone's own name has no checkpoint of that number. */
static void print_summary(const struct restore_request *req, const struct flicxl_info *info)
{
    json_t *figures = info->figures ? json_loads(info->figures, 0, NULL) : NULL;
    char took[HUMAN_ROOM], nvram[HUMAN_ROOM], flash[HUMAN_ROOM], name[300];

    (void)snprintf(name, sizeof(name), "%s", name_of(req));
    flic_make_printable(name);          /* it came with the checkpoint, which may be another phone's */
    if (req->params.clone)
        (void)printf("restored %s as its clone '%s', domain %u", req->params.what, name, info->domid);
    else
        (void)printf("restored %s@%" PRIu64 " as domain %u", name, info->seq, info->domid);
    if (req->params.paused)
        (void)printf(", paused");
    if (json_is_object(figures))
        (void)printf(": %s, %s from NVRAM, %s from flash", human_us(member_u64(figures, "total_us"), took),
                     human_bytes(member_u64(figures, "nvram_pages") * 4096, nvram),
                     human_bytes(member_u64(figures, "flash_pages") * 4096, flash));
    (void)printf("\n");
    json_decref(figures);
}

static int finish(const struct restore_request *req, const struct flicxl_info *info, struct flic_err *err)
{
    int rc = 0;

    if (req->common.json)
        rc = xl_print_json(name_of(req), info);
    else if (!req->common.quiet)
        print_summary(req, info);
    return xl_answered(rc, err, "domain %u runs", info->domid);
}

static int restore(const struct xl_global *global, struct restore_request *req, struct flicxl_info *info,
                   struct flic_err *err)
{
    struct xl_session session = { 0 };
    struct progress progress;
    int r, rc = xl_session_open(global, &session, err);

    if (rc)
        return rc;
    progress_init(&progress, "restore", req->params.what, req->params.cancel, req->common.quiet);
    req->params.progress = progress_show;
    req->params.user = &progress;
    r = flicxl_domain_restore(session.ctx, &req->params, info, NULL);
    progress_end(&progress);
    if (r)
        rc = xl_err_from_info(info, r, err);
    else
        req->name = xl_name_of(session.ctx, info->domid);
    xl_session_close(&session);
    return rc;
}

static int restore_and_watch(const struct xl_global *global, struct restore_request *req, struct flic_err *err)
{
    struct flicxl_info info = { 0 };
    int rc = restore(global, req, &info, err), watch_rc;

    if (!rc) {
        rc = finish(req, &info, err);
        watch_rc = req->watch ? xl_watch(info.domid, req->foreground, err) : 0;
        rc = rc ? rc : watch_rc;
    }
    free(info.figures);
    free(req->name);
    return rc;
}

int xl_restore(const struct xl_global *global, int argc, char **argv)
{
    struct restore_request req = { .watch = true };
    struct flic_err err = { 0 };
    char name[] = "xl restore";
    int rc;

    argp_err_exit_status = 2;
    flicxl_restore_params_init(&req.params);
    argv[0] = name;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &req);
    req.params.socket = req.common.socket;
    req.params.timeout_s = req.common.timeout_s;
    req.params.cancel = cancel_on_signals();
    rc = restore_and_watch(global, &req, &err);
    return rc ? xl_report("restore", &err) : 0;
}
