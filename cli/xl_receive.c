/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* xl migrate-receive --flic: started by the sender's ssh. Its stdout is the sender's: people are told on stderr. */
#include "cli/cancel.h"
#include "cli/transport.h"
#include "cli/xl.h"
#include "common/talk.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_FLIC = 0x100, KEY_SETTLE, KEY_SOCKET };

struct receive_request {
    struct transport transport;
    const char *settle;
    struct flicxl_receive_params params;
};

static const struct argp_option options[] = {
    { "flic", KEY_FLIC, NULL, 0, "Receive through FLIC (else this is the stock xl migrate-receive)", 0 },
    { "settle", KEY_SETTLE, "UUID", 0, "Say whether this migration's guest is here ('running'), or never will be ('refused')", 0 },
    { "socket", KEY_SOCKET, "PATH", 0, "Talk to flicd there", 0 },
    { NULL, 'h', NULL, OPTION_HIDDEN, NULL, -1 },
    { 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct receive_request *req = state->input;

    switch (key) {
    case KEY_FLIC: return 0;
    case KEY_SETTLE: req->settle = arg; return 0;
    case KEY_SOCKET: req->params.socket = arg; return 0;
    case 'h': argp_state_help(state, state->out_stream, ARGP_HELP_STD_HELP); return 0;
    case ARGP_KEY_ARG: argp_error(state, "'%s' is one argument too many", arg); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options, parse_option, "--flic",
    "The other end of xl migrate --flic, which starts it through ssh: not a command for people.", NULL, NULL, NULL,
};

static int attach(void *user, int socket)
{
    struct receive_request *req = user;

    return transport_serve(&req->transport, socket);
}

static int settle(const struct receive_request *req, struct flic_err *err)
{
    struct flic_talk *talk;
    json_t *answer = NULL;
    const char *state;
    int rc = flic_talk_open(req->params.socket, &talk, err);

    if (rc)
        return rc;
    rc = flic_talk_ask(talk, json_pack("{s:s, s:s}", "op", "settle", "migration", req->settle), &answer, err);
    flic_talk_close(talk);
    if (rc)
        return rc;
    state = json_string_value(json_object_get(answer, "state"));
    if (!state || printf("%s\n", state) < 0 || fflush(stdout))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "flicd's answer could not be told");
    json_decref(answer);
    return rc;
}

static int receive(const struct xl_global *global, struct receive_request *req, struct flic_err *err)
{
    struct xl_session session = { 0 };
    struct flicxl_info info = { 0 };
    int r, rc = xl_session_open(global, &session, err);

    if (rc)
        return rc;
    req->params.attach = attach;
    req->params.user = req;
    r = flicxl_domain_receive(session.ctx, &req->params, &info, NULL);
    if (r)
        rc = xl_err_from_info(&info, r, err);
    xl_session_close(&session);
    transport_end(&req->transport, 10);
    free(info.figures);
    return rc ? rc : xl_watch(info.domid, false, err);
}

int xl_receive(const struct xl_global *global, int argc, char **argv)
{
    struct receive_request req = { .settle = NULL };
    struct flic_err err = { 0 };
    char name[] = "xl migrate-receive";
    int rc;

    argp_err_exit_status = 2;
    flicxl_receive_params_init(&req.params);
    argv[0] = name;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &req);
    req.params.cancel = cancel_on_signals();
    rc = req.settle ? settle(&req, &err) : receive(global, &req, &err);
    return rc ? xl_report("migrate-receive", &err) : 0;
}
