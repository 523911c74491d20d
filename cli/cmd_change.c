/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic forget, hold, release, cancel: the verbs that change something. */
#include "cli/cmd.h"
#include "cli/human.h"
#include "cli/member.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREFIX_MIN 4u

/* ---- forget ---- */

int cmd_forget(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    json_t *question;

    /* "the newest" may have become another one since the user looked */
    if (!req->target.seq)
        return flic_err_set(err, FLIC_E_USAGE, "say which checkpoint: %s@N; 'flic list %s' shows the numbers", req->what,
                            req->what);
    question = cmd_question(req, "forget");
    if (question)
        (void)json_object_set_new(question, "dry_run", json_boolean(req->dry_run));
    return cmd_ask(req, question, ret_answer, err);
}

int cmd_forget_print(const struct cmd_request *req, const json_t *answer)
{
    char text[HUMAN_ROOM], name[300];

    (void)snprintf(name, sizeof(name), "%s@%" PRIu64, req->target.domain, req->target.seq);
    (void)printf(req->dry_run ? "would forget %s and free %s; nothing was changed\n" : "forgot %s, freed %s\n", name,
                 human_bytes(member_u64(answer, "freed_bytes"), text));
    return 0;
}

/* ---- hold, release ---- */

static int set_hold(struct cmd_request *req, bool held, json_t **ret_answer, struct flic_err *err)
{
    json_t *question = cmd_question(req, "hold");

    if (question)
        (void)json_object_set_new(question, "destage", json_boolean(held));
    return cmd_ask(req, question, ret_answer, err);
}

int cmd_hold(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    return set_hold(req, true, ret_answer, err);
}

int cmd_release(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    return set_hold(req, false, ret_answer, err);
}

int cmd_hold_print(const struct cmd_request *req, const json_t *answer)
{
    (void)answer;
    (void)printf(!strcmp(req->verb->name, "hold") ? "held: checkpoints stay in NVRAM until 'flic release'\n"
                                                  : "released: checkpoints move to flash when idle\n");
    return 0;
}

/* ---- cancel ---- */

static bool is_named(const json_t *op, const char *what)
{
    size_t len = strlen(what);

    return (len >= PREFIX_MIN && !strncmp(member_text(op, "operation"), what, len)) ||
           !strcmp(member_text(op, "domain"), what);
}

/* The one operation that `what` names; borrowed from `status`. */
static int find_operation(const json_t *status, const char *what, const char **ret_id, struct flic_err *err)
{
    const json_t *operations = json_object_get(status, "operations");
    const char *id = NULL;
    json_t *op;
    size_t i;

    json_array_foreach(operations, i, op) {
        if (!is_named(op, what))
            continue;
        if (id)
            return flic_err_set(err, FLIC_E_USAGE, "'%s' names several operations: give more of the id", what);
        id = member_text(op, "operation");
    }
    if (!id)
        return flic_err_set(err, FLIC_E_NODOMAIN, "no operation '%s' is under way; 'flic status' lists them", what);
    *ret_id = id;
    return 0;
}

int cmd_cancel(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    json_t *status, *question;
    const char *id = NULL;
    int rc = cmd_ask(req, cmd_question(req, "status"), &status, err);

    if (rc)
        return rc;
    rc = find_operation(status, req->what, &id, err);
    if (!rc) {
        question = cmd_question(req, "cancel");
        if (question)
            (void)json_object_set_new(question, "operation", json_string(id));
        rc = cmd_ask(req, question, ret_answer, err);
    }
    json_decref(status);
    return rc;
}

int cmd_cancel_print(const struct cmd_request *req, const json_t *answer)
{
    (void)answer;
    (void)printf("cancelling %s\n", req->what);
    return 0;
}
