/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* xl migrate --flic */
#include "cli/cancel.h"
#include "cli/human.h"
#include "cli/member.h"
#include "cli/transport.h"
#include "cli/xl.h"
#include "cli/xl_options.h"
#include "common/host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_FLIC = 0x100, KEY_DOWNTIME, KEY_DISKS, KEY_CONVERGE };

struct migrate_request {
    struct progress progress;   /* first: it is libflicxl's `user` */
    struct transport transport;
    const char *domain, *host;
    struct xl_options common;
    struct flicxl_migrate_params params;
};

static const struct argp_option options[] = {
    { "flic", KEY_FLIC, NULL, 0, "Migrate through FLIC (else this is the stock xl migrate)", 0 },
    { NULL, 's', "COMMAND", 0, "What reaches the host, instead of ssh: it gets the host and a command behind it", 0 },
    { "max-downtime", KEY_DOWNTIME, "MS", 0, "How long the rest of the memory may take in the pause (10 to 3600000)", 0 },
    { "auto-converge", KEY_CONVERGE, NULL, 0, "Slow the guest down, as far as needed, if it writes too much for that", 0 },
    { "disks", KEY_DISKS, "WAY", 0, "Of a guest with disks: copy takes them along, shared says that the host reaches the same ones", 0 },
    { 0 },
};

static bool parse_downtime(const char *text, uint32_t *ret_ms)
{
    char *end;
    unsigned long ms;

    errno = 0;
    ms = strtoul(text, &end, 10);
    if (errno || !*text || *end || ms < 10 || ms > 3600000)
        return false;
    *ret_ms = (uint32_t)ms;
    return true;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct migrate_request *req = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &req->common; return 0;
    case KEY_FLIC: return 0;
    case 's': req->params.command = arg; return 0;
    case KEY_DISKS:
        if (strcmp(arg, "copy") && strcmp(arg, "shared"))
            argp_error(state, "--disks takes copy or shared, not '%s'", arg);
        req->params.disks = arg;
        return 0;
    case KEY_CONVERGE: req->params.auto_converge = true; return 0;
    case KEY_DOWNTIME:
        if (!parse_downtime(arg, &req->params.max_downtime_ms))
            argp_error(state, "--max-downtime takes whole milliseconds from 10 to 3600000, not '%s'", arg);
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num >= 2)
            argp_error(state, "'%s' is one argument too many", arg);
        *(state->arg_num ? &req->host : &req->domain) = arg;
        return 0;
    case ARGP_KEY_END:
        if (!req->host)
            argp_error(state, "which domain, and to which host?");
        if (!flic_is_host(req->host))
            argp_error(state, "'%s' is no host name", req->host);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options, parse_option, "--flic DOMAIN HOST",
    "Migrates a running guest to another phone: what that phone has already is not sent. DOMAIN is a name, uuid or number; HOST is where ssh finds the "
    "other phone, with this xl in front there too. Ctrl-C cancels: the guest runs on here.",
    xl_options_child, NULL, NULL,
};

static int attach(void *user, int socket)
{
    struct migrate_request *req = user;

    return transport_start(&req->transport, req->params.command, req->host, "xl migrate-receive --flic", socket);
}

static void print_summary(const struct migrate_request *req, const struct flicxl_info *info)
{
    json_t *figures = info->figures ? json_loads(info->figures, 0, NULL) : NULL;
    char down[HUMAN_ROOM], sent[HUMAN_ROOM], there[HUMAN_ROOM], ram[HUMAN_ROOM];

    (void)printf("migrated %s to %s: downtime %s, %s sent for %s of memory, %s was there already\n", req->domain, req->host,
                 human_us(member_u64(figures, "downtime_us"), down), human_bytes(member_u64(figures, "sent_bytes"), sent),
                 human_bytes(member_u64(figures, "ram_pages") * 4096, ram), human_bytes(member_u64(figures, "there_pages") * 4096, there));
    if (member_u64(figures, "slowed_us"))
        (void)printf("it was slowed down for %s, to %" PRIu64 " %% of its CPU time in the end\n", human_us(member_u64(figures, "slowed_us"), down),
                     member_u64(figures, "slowed_percent"));
    if (member_u64(figures, "disk_bytes"))
        (void)printf("disks: %s sent for %s, %s was there already, %s in the pause\n", human_bytes(member_u64(figures, "disk_wire_bytes"), sent),
                     human_bytes(member_u64(figures, "disk_bytes"), ram), human_bytes(member_u64(figures, "disk_there_bytes"), there),
                     human_bytes(member_u64(figures, "disk_last_bytes"), down));
    json_decref(figures);
}

static int finish(const struct migrate_request *req, const struct flicxl_info *info, struct flic_err *err)
{
    int rc = 0;

    if (req->common.json)
        rc = xl_print_json(req->domain, info);
    else if (!req->common.quiet)
        print_summary(req, info);
    return xl_answered(rc, err, "%s runs on %s", req->domain, req->host);
}

static int migrate(const struct xl_global *global, struct migrate_request *req, struct flic_err *err)
{
    struct xl_session session = { 0 };
    struct flicxl_info info = { 0 };
    uint32_t domid;
    int r, rc = xl_session_open(global, &session, err);

    if (!rc)
        rc = xl_find_domain(session.ctx, req->domain, &domid, err);
    if (rc)
        goto out;
    progress_init(&req->progress, "migrate", req->domain, req->params.cancel, req->common.quiet);
    req->params.peer = req->host;
    req->params.progress = progress_show;
    req->params.attach = attach;
    req->params.user = req;
    r = flicxl_domain_migrate(session.ctx, domid, &req->params, &info, NULL);
    progress_end(&req->progress);
    transport_end(&req->transport, r ? 1 : 5);
    if (r)
        rc = xl_err_from_info(&info, r, err);
    if (rc && rc != FLIC_E_UNSURE)
        xl_watch_survivor("migrate", domid, &req->progress);
    info.domid = 0;             /* of no use to anyone once the guest is gone */
    if (!rc)
        rc = finish(req, &info, err);
out:
    free(info.figures);
    xl_session_close(&session);
    return rc;
}

int xl_migrate(const struct xl_global *global, int argc, char **argv)
{
    struct migrate_request req = { .domain = NULL };
    struct flic_err err = { 0 };
    char name[] = "xl migrate";
    int rc;

    argp_err_exit_status = 2;
    flicxl_migrate_params_init(&req.params);
    argv[0] = name;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &req);
    req.params.socket = req.common.socket;
    req.params.timeout_s = req.common.timeout_s;
    req.params.cancel = cancel_on_signals();
    rc = migrate(global, &req, &err);
    return rc ? xl_report("migrate", &err) : 0;
}
