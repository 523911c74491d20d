/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * flicxl_op - one save or restore of libflicxl: the conversation with flicd beside a running libxl operation, both driven by one
 * poll(), so that progress, a cancel, a time limit and the death of flicd are seen while libxl works.
 */
#ifndef FLIC_LIBXL_EXT_FLICXL_OP_H
#define FLIC_LIBXL_EXT_FLICXL_OP_H

#include "libxl-ext/compat.h"

#include <libxl.h>
#include <libxl_event.h>

#include "common/talk.h"
#include "libxl-ext/flicxl.h"

/* Of libxl's records behind the helper's bytes: as hex they fit into one message. */
#define FLICXL_RECORDS_MAX (340u << 10)

struct op {
    libxl_ctx *ctx;                     /* borrowed, as all the caller's */
    const char *socket;
    const volatile int *cancel;
    flicxl_progress *progress;
    void *user;
    int64_t deadline;                   /* ms of the monotonic clock; < 0: none */

    struct flic_talk *talk;             /* NULL once flicd is lost */
    char operation[64];                 /* from "ready" */
    char mark[64];                      /* likewise: what the guest carries in xenstore as long as flicd may have to let it go on */
    json_t *answer;                     /* flicd's to our request, when it has come */
    bool libxl_done, aborting;
    bool asked_abort;                   /* flicd was told of a cancel while its last word was awaited */
    bool resumed;                       /* flicd has let the guest go on */
    int libxl_rc;
    libxl_asyncop_how how;
};

/* What a caller's parameters have in common. timeout_s 0: none. */
struct op_limits { const char *socket; const volatile int *cancel; flicxl_progress *progress; void *user; uint32_t timeout_s; };
void op_init(struct op *op, libxl_ctx *ctx, const struct op_limits *limits);
void op_fini(struct op *op);            /* closes the connection: flicd ends what it still does for us */

/* Sends `request` (taken) and waits for "ready": gives *ret_ready. */
int op_open(struct op *op, json_t *request, json_t **ret_ready, struct flic_err *err);

/* Waits for the event `wanted`: gives *ret_event. */
int op_event(struct op *op, const char *wanted, json_t **ret_event, struct flic_err *err);
/* Opens the operation's tunnel and hands it to `attach`. */
int op_tunnel(struct op *op, flicxl_attach *attach, void *user, struct flic_err *err);

/* The domain's libxl JSON: gives *ret_json. */
int op_read_config(const struct op *op, uint32_t domid, char **ret_json, struct flic_err *err);
/* Makes a suspended domain go on in place, and takes the operation's mark from it: who suspends it later is somebody else. One that is
 * not suspended is left alone: it may still answer the wish. flicd does the same: this also works when it is dead. */
int op_go_on(const struct op *op, uint32_t domid, struct flic_err *err);
/* Lets a restored domain run, and takes flicd's mark for it away. */
int op_let_run(const struct op *op, uint32_t domid, struct flic_err *err);

/* Runs a libxl operation: `start` begins it with &op->how and returns libxl's code. LIBXL_SAVE_HELPER, FLIC_OPERATION
 * and FLIC_SOCKET are set meanwhile. 0, or why it failed: a cancel, the limit, flicd's answer, else libxl's code. */
int op_run(struct op *op, int (*start)(struct op *op, void *arg), void *arg, struct flic_err *err);

/* Tells flicd { "op": name, "operation": ... , domid if not 0 } and waits for the answer to our request (op->answer). A cancel meanwhile is
 * passed on; what flicd answers then is still what became of it. */
int op_tell(struct op *op, const char *name, uint32_t domid, struct flic_err *err);
/* The same with more members: takes `msg`, which has "op". */
int op_tell_more(struct op *op, json_t *msg, struct flic_err *err);
/* As op_tell("abort"), for at most ten seconds; the answer's reason replaces *err only where that had none of its own. */
void op_abort(struct op *op, struct flic_err *err);

/* Puts code and text into the caller's info, with the figures of op->answer: the libxl error to return. */
int op_result(const struct op *op, int rc, const struct flic_err *err, struct flicxl_info *info);

#endif
