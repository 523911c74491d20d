/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic gc, pin, unpin: the verbs about the store as a whole. */
#include "cli/cmd.h"
#include "cli/human.h"
#include "cli/member.h"

#include <inttypes.h>
#include <stdio.h>

int cmd_gc(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    json_t *question = cmd_question(req, "gc");

    if (question)
        (void)json_object_set_new(question, "dry_run", json_boolean(req->dry_run));
    return cmd_ask(req, question, ret_answer, err);
}

static void print_forgotten(const json_t *list, bool dry_run)
{
    char name[300];
    json_t *ck;
    size_t i;

    json_array_foreach(list, i, ck)
        (void)printf("%s %s: no rule keeps it\n", dry_run ? "would forget" : "forgot", cmd_checkpoint_name(ck, name));
}

int cmd_gc_print(const struct cmd_request *req, const json_t *answer)
{
    uint64_t removed = member_u64(answer, "packs_removed"), compacted = member_u64(answer, "packs_compacted");
    char freed[HUMAN_ROOM], written[HUMAN_ROOM];

    print_forgotten(json_object_get(answer, "forgotten"), req->dry_run);
    (void)human_bytes(member_u64(answer, "freed_bytes"), freed);
    (void)human_bytes(member_u64(answer, "flash_bytes"), written);
    if (req->dry_run)
        (void)printf("would free about %s: remove %" PRIu64 " packs, rewrite %" PRIu64 ", and write about %s for it; nothing was changed\n",
                     freed, removed, compacted, written);
    else
        (void)printf("freed %s: removed %" PRIu64 " packs, rewrote %" PRIu64 ", and wrote %s for it\n", freed, removed, compacted, written);
    if (member_u64(answer, "packs_in_use"))
        (void)printf("%" PRIu64 " more packs are needed by running operations or tracked guests\n", member_u64(answer, "packs_in_use"));
    if (member_u64(answer, "packs_damaged"))
        (void)printf("%" PRIu64 " packs are damaged and were left as they are\n", member_u64(answer, "packs_damaged"));
    return 0;
}

/* ---- pin ---- */

static int set_pin(struct cmd_request *req, bool pinned, json_t **ret_answer, struct flic_err *err)
{
    json_t *question;

    /* "the newest" may have become another one since the user looked */
    if (!req->target.seq)
        return flic_err_set(err, FLIC_E_USAGE, "say which checkpoint: %s@N; 'flic list %s' shows the numbers", req->what, req->what);
    question = cmd_question(req, "pin");
    if (question)
        (void)json_object_set_new(question, "pinned", json_boolean(pinned));
    return cmd_ask(req, question, ret_answer, err);
}

int cmd_pin(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    return set_pin(req, true, ret_answer, err);
}

int cmd_unpin(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    return set_pin(req, false, ret_answer, err);
}

int cmd_pin_print(const struct cmd_request *req, const json_t *answer)
{
    char name[300];

    (void)req;
    (void)printf(json_is_true(json_object_get(answer, "pinned")) ? "%s is pinned: it stays until you unpin and forget it\n"
                                                                 : "%s is no longer pinned\n", cmd_checkpoint_name(answer, name));
    return 0;
}
