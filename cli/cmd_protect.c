/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic protect, unprotect. */
#include "cli/cmd.h"
#include "cli/human.h"
#include "cli/member.h"

#include <inttypes.h>
#include <stdio.h>

/* A guest is protected, not one of its checkpoints. */
static int need_guest(const struct cmd_request *req, struct flic_err *err)
{
    if (!req->target.seq && !req->target.from_file)
        return 0;
    return flic_err_set(err, FLIC_E_USAGE, "'%s' names a checkpoint: name a guest", req->what);
}

int cmd_protect(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    json_t *question;
    int rc = need_guest(req, err);

    if (rc)
        return rc;
    question = cmd_question(req, "protect");
    if (question) {
        (void)json_object_set_new(question, "every_ms", json_integer(req->every_ms));
        (void)json_object_set_new(question, "keep", json_integer(req->keep));
        (void)json_object_set_new(question, "ram_only", json_boolean(req->ram_only));
    }
    return cmd_ask(req, question, ret_answer, err);
}

int cmd_protect_print(const struct cmd_request *req, const json_t *answer)
{
    char every[HUMAN_ROOM];

    (void)req;
    (void)printf("protected %s every %s, the newest %" PRIu64 " are kept; %s@%" PRIu64 " is there\n", member_text(answer, "domain"),
                 human_us(member_u64(answer, "every_ms") * 1000, every), member_u64(answer, "keep"), member_text(answer, "domain"),
                 member_u64(answer, "seq"));
    return 0;
}

int cmd_unprotect(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    int rc = need_guest(req, err);

    return rc ? rc : cmd_ask(req, cmd_question(req, "unprotect"), ret_answer, err);
}

int cmd_unprotect_print(const struct cmd_request *req, const json_t *answer)
{
    (void)req;
    (void)printf("%s is not protected any more; %" PRIu64 " checkpoints of it stay\n", member_text(answer, "domain"),
                 member_u64(answer, "checkpoints_left"));
    return 0;
}
