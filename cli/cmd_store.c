/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic gc, pin, unpin, verify, fsck, drain: the verbs about the store as a whole. */
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

/* ---- verify ---- */

int cmd_verify(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    json_t *question;

    if (req->all && req->what)
        return flic_err_set(err, FLIC_E_USAGE, "say --all or which checkpoint, not both");
    question = cmd_question(req, "verify");
    if (question) {
        (void)json_object_set_new(question, "all", json_boolean(!req->what));
        (void)json_object_set_new(question, "paced", json_boolean(req->paced));
    }
    return cmd_ask(req, question, ret_answer, err);
}

static void print_bad_packs(const json_t *answer)
{
    uint64_t aside = member_u64(answer, "packs_set_aside"), unreadable = member_u64(answer, "packs_unreadable");

    if (aside)
        (void)printf("%" PRIu64 " bad packs were set aside as *.bad: %" PRIu64 " objects had another copy, %" PRIu64 " are lost\n", aside,
                     member_u64(answer, "bad_objects") - member_u64(answer, "lost_objects"), member_u64(answer, "lost_objects"));
    if (unreadable)
        (void)printf("%" PRIu64 " packs cannot be read at all and were left where they are\n", unreadable);
    if (member_u64(answer, "nvram_bad_pages"))
        (void)printf("%" PRIu64 " pages in NVRAM are bad, of %" PRIu64 " of them a pack has a copy\n", member_u64(answer, "nvram_bad_pages"),
                     member_u64(answer, "nvram_repaired_pages"));
}

int cmd_verify_print(const struct cmd_request *req, const json_t *answer)
{
    const json_t *list = json_object_get(answer, "damaged");
    char read[HUMAN_ROOM], name[300];
    json_t *ck;
    size_t i;

    (void)req;
    (void)printf("read %s in %" PRIu64 " packs and %" PRIu64 " pages in NVRAM: %s\n", human_bytes(member_u64(answer, "read_bytes"), read),
                 member_u64(answer, "packs"), member_u64(answer, "nvram_pages"),
                 member_u64(answer, "bad_objects") || member_u64(answer, "nvram_bad_pages") || member_u64(answer, "packs_set_aside") ||
                 member_u64(answer, "packs_unreadable")
                 ? "something is bad" : "all is well");
    print_bad_packs(answer);
    json_array_foreach(list, i, ck)
        (void)printf("%s is damaged: %s\n", cmd_checkpoint_name(ck, name), member_text(ck, "damage"));
    return 0;
}

/* ---- fsck ---- */

int cmd_fsck(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    json_t *question = cmd_question(req, "fsck");

    if (question)
        (void)json_object_set_new(question, "rebuild", json_boolean(req->rebuild));
    return cmd_ask(req, question, ret_answer, err);
}

int cmd_fsck_print(const struct cmd_request *req, const json_t *answer)
{
    uint64_t unseen = member_u64(answer, "unseen"), stray = member_u64(answer, "stray");
    uint64_t wrong = member_u64(answer, "missing") + (stray > unseen ? stray - unseen : 0);
    bool sound = json_is_true(json_object_get(answer, "index_sound")), rebuilt = json_is_true(json_object_get(answer, "index_rebuilt"));

    (void)req;
    (void)printf("%" PRIu64 " checkpoints in NVRAM and packs, %" PRIu64 " forgotten; %" PRIu64 " packs, %" PRIu64 " set aside; %" PRIu64
                 " checkpoints damaged\n", member_u64(answer, "checkpoints"), member_u64(answer, "forgotten"), member_u64(answer, "packs"),
                 member_u64(answer, "packs_quarantined"), member_u64(answer, "checkpoints_damaged"));
    if (!sound)
        (void)printf("the index is damaged: %s\n", member_text(answer, "why"));
    else
        (void)printf("the index is sound, and %" PRIu64 " of its rows are wrong\n", wrong);
    if (rebuilt)
        (void)printf(json_is_true(json_object_get(answer, "index_replaced")) ? "it was set aside and made anew\n" : "it was written anew\n");
    else if (!sound || wrong)
        (void)printf("'flic fsck --rebuild' writes it anew\n");
    if (unseen)
        (void)printf(rebuilt && sound ? "%" PRIu64 " checkpoints that it alone knew were given up\n"
                     : "%" PRIu64 " checkpoints are in it alone, their NVRAM or packs are not there: --rebuild gives them up\n", unseen);
    return 0;
}

/* ---- drain ---- */

int cmd_drain(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    return cmd_ask(req, cmd_question(req, "drain"), ret_answer, err);
}

int cmd_drain_print(const struct cmd_request *req, const json_t *answer)
{
    const json_t *left = json_object_get(answer, "left");
    char bytes[HUMAN_ROOM], name[300];
    json_t *ck;
    size_t i;

    (void)req;
    (void)printf("moved %" PRIu64 " checkpoints to flash, %s\n", member_u64(answer, "moved"),
                 human_bytes(member_u64(answer, "flash_bytes"), bytes));
    json_array_foreach(left, i, ck)
        (void)printf("%s still lies in NVRAM alone ('flic log' says why)\n", cmd_checkpoint_name(ck, name));
    if (!json_array_size(left))
        (void)printf("nothing lies in NVRAM alone\n");
    return 0;
}
