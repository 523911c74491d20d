/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* xl save --flic */
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

enum { KEY_FLIC = 0x100, KEY_RAM_ONLY };

struct save_request {
    const char *domain;
    struct xl_options common;
    struct flicxl_save_params params;
};

static const struct argp_option options[] = {
    { "flic", KEY_FLIC, NULL, 0, "Save through FLIC (else this is the stock xl save)", 0 },
    { NULL, 'c', NULL, 0, "Leave the domain running: a checkpoint of it and its disks", 0 },
    { NULL, 'p', NULL, 0, "Leave the domain there, suspended and paused", 0 },
    { "ram-only", KEY_RAM_ONLY, NULL, 0, "Save without identifying the guest's disks", 0 },
    { 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct save_request *req = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &req->common; return 0;
    case KEY_FLIC: return 0;
    case 'c':
    case 'p':
        if (req->params.after != FLICXL_AFTER_DESTROY)
            argp_error(state, "-c and -p say two different things");
        req->params.after = key == 'c' ? FLICXL_AFTER_RUN : FLICXL_AFTER_PAUSE;
        return 0;
    case KEY_RAM_ONLY: req->params.ram_only = true; return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num >= 2)
            argp_error(state, "'%s' is one argument too many", arg);
        *(state->arg_num ? &req->params.file : &req->domain) = arg;
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "which domain?"); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options, parse_option, "--flic DOMAIN [FILE]",
    "Saves a guest through FLIC: the pages it is writing go to NVRAM, the rest deduplicated to flash. DOMAIN is a name, uuid or "
    "number. FILE, if given, becomes a small reference to the checkpoint. Ctrl-C cancels: the guest runs on. With "
    "-c it runs on in any case, from the moment its memory and disks are captured.",
    xl_options_child, NULL, NULL,
};

static void print_summary(const struct save_request *req, const struct flicxl_info *info)
{
    json_t *figures = info->figures ? json_loads(info->figures, 0, NULL) : NULL;
    char pause[HUMAN_ROOM], set[HUMAN_ROOM], nvram[HUMAN_ROOM], flash[HUMAN_ROOM], dedup[HUMAN_ROOM];

    (void)printf("%s %s@%" PRIu64 ": pause %s, working set %s, %s to NVRAM, %s to flash, %s found in the store already\n",
                 req->params.after == FLICXL_AFTER_RUN ? "checkpoint" : "saved", req->domain, info->seq, human_us(member_u64(figures, "pause_us"), pause),
                 human_bytes(member_u64(figures, "ws_pages") * 4096, set),
                 human_bytes(member_u64(figures, "nvram_bytes"), nvram),
                 human_bytes(member_u64(figures, "flash_bytes"), flash),
                 human_bytes(member_u64(figures, "dedup_pages") * 4096, dedup));
    if (member_u64(figures, "spilled_pages"))
        (void)printf("NVRAM was full: %s of the working set went to flash inside the pause\n",
                     human_bytes(member_u64(figures, "spilled_pages") * 4096, set));
    if (req->params.after == FLICXL_AFTER_RUN)
        (void)printf("the guest runs on%s\n", req->params.ram_only ? "; its disks were left out" : "");
    if (req->params.file)
        (void)printf("%s refers to it\n", req->params.file);
    json_decref(figures);
}

static int finish(const struct save_request *req, const struct flicxl_info *info, struct flic_err *err)
{
    int rc = 0;

    if (req->common.json)
        rc = xl_print_json(req->domain, info);
    else if (!req->common.quiet)
        print_summary(req, info);
    return xl_answered(rc, err, "%s is saved", req->domain);
}

static int save(const struct xl_global *global, struct save_request *req, struct flic_err *err)
{
    struct xl_session session = { 0 };
    struct flicxl_info info = { 0 };
    struct progress progress;
    uint32_t domid;
    int r, rc = xl_session_open(global, &session, err);

    if (!rc)
        rc = xl_find_domain(session.ctx, req->domain, &domid, err);
    if (rc)
        goto out;
    progress_init(&progress, "save", req->domain, req->params.cancel, req->common.quiet);
    req->params.progress = progress_show;
    req->params.user = &progress;
    r = flicxl_domain_save(session.ctx, domid, &req->params, &info, NULL);
    progress_end(&progress);
    if (r)
        rc = xl_err_from_info(&info, r, err);
    if (rc || req->params.after != FLICXL_AFTER_DESTROY)
        xl_watch_survivor("save", domid, &progress);
    info.domid = 0;     /* of no use to anyone once the guest is saved */
    if (!rc)
        rc = finish(req, &info, err);
out:
    free(info.figures);
    xl_session_close(&session);
    return rc;
}

int xl_save(const struct xl_global *global, int argc, char **argv)
{
    struct save_request req = { 0 };
    struct flic_err err = { 0 };
    char name[] = "xl save";
    int rc;

    argp_err_exit_status = 2;
    flicxl_save_params_init(&req.params);
    argv[0] = name;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &req);
    req.params.socket = req.common.socket;
    req.params.timeout_s = req.common.timeout_s;
    req.params.cancel = cancel_on_signals();
    rc = save(global, &req, &err);
    return rc ? xl_report("save", &err) : 0;
}
