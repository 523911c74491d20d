/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "cli/xl_options.h"

#include "cli/xl.h"

enum { KEY_TIMEOUT = 0x200, KEY_JSON, KEY_SOCKET };

static const struct argp_option options[] = {
    { "timeout", KEY_TIMEOUT, "S", 0, "Give up after S seconds (1 to 86400), as with Ctrl-C", 0 },
    { "quiet", 'q', NULL, 0, "No progress and no summary", 0 },
    { "json", KEY_JSON, NULL, 0, "Print the figures as one JSON object instead of the summary", 0 },
    { "socket", KEY_SOCKET, "PATH", 0, "Talk to flicd there", 0 },
    { NULL, 'h', NULL, OPTION_HIDDEN, NULL, -1 },
    { 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct xl_options *o = state->input;

    switch (key) {
    case 'q': o->quiet = true; return 0;
    case 'h': argp_state_help(state, state->out_stream, ARGP_HELP_STD_HELP); return 0;
    case KEY_JSON: o->json = true; return 0;
    case KEY_SOCKET: o->socket = arg; return 0;
    case KEY_TIMEOUT:
        if (!xl_parse_timeout(arg, &o->timeout_s))
            argp_error(state, "--timeout takes whole seconds from 1 to 86400, not '%s'", arg);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = { options, parse_option, NULL, NULL, NULL, NULL, NULL };

const struct argp_child xl_options_child[] = { { &argp, 0, NULL, 0 }, { 0 } };
