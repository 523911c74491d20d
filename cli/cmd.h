/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * cmd - the verbs of flic, one row a verb.
 *
 * run() asks flicd and gives the answer; print() shows it to people. With --json the answer is printed as it came, so
 * print() must not be the place where something is done or found out.
 */
#ifndef FLIC_CLI_CMD_H
#define FLIC_CLI_CMD_H

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/target.h"
#include "common/err.h"
#include "common/talk.h"

struct cmd_request {
    const struct cmd_verb *verb;
    const char *socket;         /* NULL: the default */
    const char *what;           /* the argument as typed, or NULL */
    struct target target;       /* of verbs that take one */
    struct flic_talk *talk;     /* open during run() */
    uint32_t limit;             /* log: 0 is all */
    bool has_limit;
    bool json, dry_run, watch;
    uint32_t every_ms, keep;    /* protect */
    bool ram_only;
    const char *peer, *command; /* push, pull: the other phone, and what reaches it (NULL: ssh) */
    bool backup, quiet;
    bool all, paced;            /* verify */
    bool rebuild;               /* fsck */
};

enum cmd_argument { CMD_NO_ARGUMENT, CMD_MAY_TARGET, CMD_TARGET, CMD_OPERATION, CMD_TARGET_PEER, CMD_PEER_TARGET };

struct cmd_verb {
    const char *name, *summary;             /* the summary is a clause without a full stop */
    const char *arguments;                  /* as --help shows them */
    const char *doc;                        /* --help's text below the usage */
    enum cmd_argument argument;
    const struct argp_option *options;      /* beside the common ones; NULL: none */
    int (*run)(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
    int (*print)(const struct cmd_request *req, const json_t *answer);
};

/* Keys of the verbs' own options. */
enum cmd_option { CMD_OPTION_SOCKET = 0x100, CMD_OPTION_JSON, CMD_OPTION_DRY_RUN, CMD_OPTION_WATCH, CMD_OPTION_EVERY, CMD_OPTION_KEEP,
                  CMD_OPTION_RAM_ONLY, CMD_OPTION_BACKUP, CMD_OPTION_ALL, CMD_OPTION_PACED,
                  CMD_OPTION_REBUILD };

extern const struct cmd_verb cmd_verbs[];
extern const size_t cmd_verb_count;

/* Builds {"op": op, "domain": …, "seq": …, "reference": …} as far as the request has a target. Gives; NULL without memory. */
json_t *cmd_question(const struct cmd_request *req, const char *op);
/* Sends (takes `question`, NULL allowed: out of memory) and waits. */
int cmd_ask(struct cmd_request *req, json_t *question, json_t **ret_answer, struct flic_err *err);

int cmd_status(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_status_print(const struct cmd_request *req, const json_t *answer);
int cmd_list(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_list_print(const struct cmd_request *req, const json_t *answer);
int cmd_show(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_show_print(const struct cmd_request *req, const json_t *answer);
int cmd_log(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_log_print(const struct cmd_request *req, const json_t *answer);
int cmd_forget(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_forget_print(const struct cmd_request *req, const json_t *answer);
int cmd_gc(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_gc_print(const struct cmd_request *req, const json_t *answer);
int cmd_pin(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_unpin(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_pin_print(const struct cmd_request *req, const json_t *answer);
int cmd_verify(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_verify_print(const struct cmd_request *req, const json_t *answer);
int cmd_fsck(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_fsck_print(const struct cmd_request *req, const json_t *answer);
int cmd_drain(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_drain_print(const struct cmd_request *req, const json_t *answer);
int cmd_claim(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_claim_print(const struct cmd_request *req, const json_t *answer);
int cmd_push(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_push_print(const struct cmd_request *req, const json_t *answer);
int cmd_pull(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_pull_print(const struct cmd_request *req, const json_t *answer);
/* Their other ends: stdin and stdout are the peer's. */
int cmd_send(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_receive(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_say_nothing(const struct cmd_request *req, const json_t *answer);
int cmd_hold(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_release(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_hold_print(const struct cmd_request *req, const json_t *answer);
int cmd_protect(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_protect_print(const struct cmd_request *req, const json_t *answer);
int cmd_unprotect(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_unprotect_print(const struct cmd_request *req, const json_t *answer);
int cmd_cancel(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_cancel_print(const struct cmd_request *req, const json_t *answer);
int cmd_track(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_untrack(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_track_print(const struct cmd_request *req, const json_t *answer);
int cmd_wss(struct cmd_request *req, json_t **ret_answer, struct flic_err *err);
int cmd_wss_print(const struct cmd_request *req, const json_t *answer);
/* The table of tracked guests, of status and list. */
int cmd_tracked_print(const json_t *tracked);

/* "nvram, flash" from a checkpoint's places. Gives; NULL without memory. */
char *cmd_places(const json_t *checkpoint);
/* The table of protected guests in `status`. */
int cmd_protection_print(const json_t *protection);
/* "name@7" into out. */
const char *cmd_checkpoint_name(const json_t *of, char out[300]);

#endif
