/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic claim. */
#include "cli/cmd.h"
#include "cli/member.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int cmd_claim(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    json_t *question;

    if (req->target.seq || req->target.from_file)
        return flic_err_set(err, FLIC_E_USAGE, "'%s' names a checkpoint: name a guest", req->what);
    question = cmd_question(req, "claim");
    if (question)
        (void)json_object_set_new(question, "dry_run", json_boolean(req->dry_run));
    return cmd_ask(req, question, ret_answer, err);
}

int cmd_claim_print(const struct cmd_request *req, const json_t *answer)
{
    const char *name = member_text(answer, "domain"), *peer = member_text(answer, "peer"), *was = member_text(answer, "was");
    bool waits = !strcmp(was, "handing");

    (void)req;
    if (json_is_true(json_object_get(answer, "dry_run")))
        (void)printf("%s %s %s: claiming it would risk two of it, should that phone run it again\n", name,
                     waits ? "may have arrived on" : !strcmp(was, "copy") ? "is a copy of" : "went to", peer);
    else if (!waits)
        (void)printf("%s is this phone's again: 'xl restore --flic %s' brings back its checkpoint %" PRIu64 "%s\n", name, name,
                     member_u64(answer, "seq"), strcmp(was, "gone") ? "" : ", as it left");
    else
        (void)printf("%s is this phone's again, and goes on if it was waiting\n", name);
    return 0;
}
