/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic: arguments in, one question to flicd, an answer for people or for programs out. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/member.h"
#include "common/host.h"

#define OPTIONS_MAX 12
#define EVERY_MIN_MS 1000ul             /* as flicd has them */
#define EVERY_MAX_MS (24ul * 3600 * 1000)
#define KEEP_MAX 32

const char *argp_program_version = "flic " FLIC_VERSION;

static const struct argp_option common_options[] = {
    { "json", CMD_OPTION_JSON, NULL, 0, "Print flicd's answer as one JSON object", 0 },
    { "socket", CMD_OPTION_SOCKET, "PATH", 0, "Talk to flicd there (else $FLIC_SOCKET, else /run/flic/flicd.sock)", 0 },
    { NULL, 'h', NULL, OPTION_HIDDEN, NULL, -1 },
    { 0 },
};

/* ---- a verb's arguments ---- */

static error_t parse_limit(struct cmd_request *req, const char *arg, struct argp_state *state)
{
    unsigned long limit;
    char *end;

    errno = 0;
    limit = strtoul(arg, &end, 10);
    if (errno || end == arg || *end || *arg == '-' || limit > 1000000) {
        argp_error(state, "--limit takes a number from 0 to 1000000, not '%s'", arg);
        return EINVAL;
    }
    req->limit = (uint32_t)limit;
    req->has_limit = true;
    return 0;
}

/* A whole number and its unit; seconds without one. */
static error_t parse_every(struct cmd_request *req, const char *arg, struct argp_state *state)
{
    static const struct { const char *unit; unsigned long ms; } units[] = {
        { "s", 1000 }, { "", 1000 }, { "ms", 1 }, { "m", 60000 }, { "min", 60000 }, { "h", 3600000 },
    };
    unsigned long n, ms = 0;
    char *end;

    errno = 0;
    n = strtoul(arg, &end, 10);
    for (size_t i = 0; !errno && end != arg && *arg != '-' && n <= EVERY_MAX_MS && i < sizeof(units) / sizeof(units[0]); i++)
        if (!strcmp(end, units[i].unit))
            ms = n * units[i].ms;
    if (ms < EVERY_MIN_MS || ms > EVERY_MAX_MS) {
        argp_error(state, "--every takes a time from 1s to 24h, such as 5s or 2m, not '%s'", arg);
        return EINVAL;
    }
    req->every_ms = (uint32_t)ms;
    return 0;
}

static error_t parse_keep(struct cmd_request *req, const char *arg, struct argp_state *state)
{
    unsigned long n;
    char *end;

    errno = 0;
    n = strtoul(arg, &end, 10);
    if (errno || end == arg || *end || *arg == '-' || n < 1 || n > KEEP_MAX) {
        argp_error(state, "--keep takes a number from 1 to %d, not '%s'", KEEP_MAX, arg);
        return EINVAL;
    }
    req->keep = (uint32_t)n;
    return 0;
}

static error_t take_argument(struct cmd_request *req, char *arg, struct argp_state *state)
{
    bool two = req->verb->argument == CMD_TARGET_PEER || req->verb->argument == CMD_PEER_TARGET;

    if (req->verb->argument == CMD_NO_ARGUMENT)
        argp_error(state, "'%s' is one argument too many: this takes none", arg);
    else if (state->arg_num > two)
        argp_error(state, "'%s' is one argument too many", arg);
    if (two && (state->arg_num == 0) == (req->verb->argument == CMD_PEER_TARGET))
        req->peer = arg;
    else
        req->what = arg;
    return 0;
}

static void check_arguments(const struct cmd_request *req, struct argp_state *state)
{
    bool may = req->verb->argument == CMD_NO_ARGUMENT || req->verb->argument == CMD_MAY_TARGET;
    bool two = req->verb->argument == CMD_TARGET_PEER || req->verb->argument == CMD_PEER_TARGET;

    if ((!req->what && !may) || (two && !req->peer))
        argp_error(state, "an argument is missing: %s", req->verb->arguments);
    if (two && !flic_is_host(req->peer))
        argp_error(state, "'%s' is no host name", req->peer);
}

static error_t parse_verb_option(int key, char *arg, struct argp_state *state)
{
    struct cmd_request *req = state->input;

    switch (key) {
    case 'h': argp_state_help(state, state->out_stream, ARGP_HELP_STD_HELP); return 0;
    case 'n': return parse_limit(req, arg, state);
    case CMD_OPTION_JSON: req->json = true; return 0;
    case CMD_OPTION_SOCKET: req->socket = arg; return 0;
    case CMD_OPTION_DRY_RUN: req->dry_run = true; return 0;
    case CMD_OPTION_WATCH: req->watch = true; return 0;
    case CMD_OPTION_RAM_ONLY: req->ram_only = true; return 0;
    case CMD_OPTION_ALL: req->all = true; return 0;
    case CMD_OPTION_PACED: req->paced = true; return 0;
    case CMD_OPTION_REBUILD: req->rebuild = true; return 0;
    case CMD_OPTION_EVERY: return parse_every(req, arg, state);
    case CMD_OPTION_KEEP: return parse_keep(req, arg, state);
    case ARGP_KEY_ARG: return take_argument(req, arg, state);
    case CMD_OPTION_BACKUP: req->backup = true; return 0;
    case 's': req->command = arg; return 0;
    case 'q': req->quiet = true; return 0;
    case ARGP_KEY_END: check_arguments(req, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* The verb's own options and the common ones in one list: argp's children would not share one input. */
static void merge_options(const struct cmd_verb *verb, struct argp_option merged[OPTIONS_MAX])
{
    static const struct argp_option end = { 0 };
    size_t n = 0;

    for (const struct argp_option *o = verb->options; o && o->key && n + 1 < OPTIONS_MAX; o++)
        merged[n++] = *o;
    for (const struct argp_option *o = common_options; o->key && n + 1 < OPTIONS_MAX; o++)
        merged[n++] = *o;
    merged[n] = end;
}

static void parse_verb(struct cmd_request *req, int argc, char **argv)
{
    struct argp_option options[OPTIONS_MAX];
    struct argp argp = { options, parse_verb_option, req->verb->arguments, req->verb->doc, NULL, NULL, NULL };
    static char name[64];

    merge_options(req->verb, options);
    (void)snprintf(name, sizeof(name), "flic %s", req->verb->name);
    argv[0] = name;
    (void)argp_parse(&argp, argc, argv, 0, NULL, req);
}

/* ---- doing it ---- */

json_t *cmd_question(const struct cmd_request *req, const char *op)
{
    json_t *question = json_pack("{s:s}", "op", op);

    if (question && req->target.domain[0])
        (void)json_object_set_new(question, "domain", json_string(req->target.domain));
    if (question && req->target.seq)
        (void)json_object_set_new(question, "seq", json_integer((json_int_t)req->target.seq));
    if (question && req->target.from_file)
        (void)json_object_set_new(question, "reference", json_string(req->target.reference));
    return question;
}

int cmd_ask(struct cmd_request *req, json_t *question, json_t **ret_answer, struct flic_err *err)
{
    if (!question)
        return flic_err_set(err, -ENOMEM, "out of memory");
    return flic_talk_ask(req->talk, question, ret_answer, err);
}

static int run_verb(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    bool targets = req->verb->argument != CMD_NO_ARGUMENT && req->verb->argument != CMD_OPERATION;
    int rc = 0;

    if (req->what && targets)
        rc = target_parse(req->what, &req->target, err);
    if (rc)
        return rc;
    rc = flic_talk_open(req->socket, &req->talk, err);
    if (rc)
        return rc;
    rc = req->verb->run(req, ret_answer, err);
    flic_talk_close(req->talk);
    return rc;
}

static void report_failure(const struct cmd_request *req, int rc, const struct flic_err *err)
{
    (void)fprintf(stderr, "flic %s: %s\n", req->verb->name, err->text[0] ? err->text : flic_code_text(rc));
    if (req->json) {
        json_t *answer = json_pack("{s:b,s:s,s:s}", "ok", 0, "code", flic_code_name(rc), "error", err->text);

        (void)member_print_json(answer, stdout);   /* the exit status says it failed in any case */
        json_decref(answer);
    }
}

static int do_verb(struct cmd_request *req)
{
    struct flic_err err = { 0 };
    json_t *answer = NULL;
    int rc = run_verb(req, &answer, &err);

    if (!rc && !(req->json && req->watch)) {    /* a watched answer was printed as it came */
        if (!req->json)
            member_make_printable(answer);
        rc = req->json ? member_print_json(answer, stdout) : req->verb->print(req, answer);
        if (!rc && fflush(stdout))
            rc = -errno;
        if (rc)
            (void)flic_err_set(&err, rc, "cannot write the answer: %s", strerror(-rc));
    }
    if (rc)
        report_failure(req, rc, &err);
    json_decref(answer);
    return flic_code_exit_status(rc);
}

/* ---- flic itself ---- */

static char *list_verbs(int key, const char *text, void *input)
{
    char *list = NULL;
    size_t len;
    FILE *to;

    (void)input;
    if (key != ARGP_KEY_HELP_EXTRA)
        return (char *)text;
    to = open_memstream(&list, &len);
    if (!to)
        return NULL;
    (void)fputs("Verbs, each with --help:\n", to);
    for (size_t i = 0; i < cmd_verb_count; i++)
        (void)fprintf(to, "  %-8s  %s\n", cmd_verbs[i].name, cmd_verbs[i].summary);
    (void)fputs("\nTo save and restore guests: xl save --flic, xl restore --flic. Exit statuses: man flic.", to);
    (void)fclose(to);
    return list;
}

static const struct cmd_verb *verb_of(const char *name)
{
    for (size_t i = 0; i < cmd_verb_count; i++)
        if (!strcmp(cmd_verbs[i].name, name))
            return &cmd_verbs[i];
    return NULL;
}

struct main_input {
    struct cmd_request *req;
    int at;                     /* where the verb stands in argv */
};

static error_t parse_main_option(int key, char *arg, struct argp_state *state)
{
    struct main_input *in = state->input;

    switch (key) {
    case 'h': argp_state_help(state, state->out_stream, ARGP_HELP_STD_HELP); return 0;
    case CMD_OPTION_JSON: in->req->json = true; return 0;
    case CMD_OPTION_SOCKET: in->req->socket = arg; return 0;
    case ARGP_KEY_ARG:
        in->req->verb = verb_of(arg);
        if (!in->req->verb)
            argp_error(state, "there is no verb '%s'; 'flic --help' lists them", arg);
        in->at = state->next - 1;
        state->next = state->argc;      /* what follows is parse_verb()'s */
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "a verb is missing; 'flic --help' lists them"); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = { common_options, parse_main_option, "VERB [ARGUMENT...]",
                                      "Asks flicd about checkpoints of Xen guests.", NULL, list_verbs, NULL };
    struct cmd_request req = { .every_ms = 5000, .keep = 3 };
    struct main_input in = { .req = &req };

    (void)setlocale(LC_ALL, "");
    argp_err_exit_status = 2;
    (void)argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &in);
    parse_verb(&req, argc - in.at, argv + in.at);
    return do_verb(&req);
}
