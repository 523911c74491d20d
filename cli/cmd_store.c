/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic gc: the verbs about the store as a whole. */
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

int cmd_gc_print(const struct cmd_request *req, const json_t *answer)
{
    uint64_t removed = member_u64(answer, "packs_removed"), compacted = member_u64(answer, "packs_compacted");
    char freed[HUMAN_ROOM], written[HUMAN_ROOM];

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
