/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * daemon - what flicd's parts share. The loop's thread owns sessions and the list of operations; operations, questions that
 * read the store, and the keeper run in threads of their own and reach the loop only through fd_post(), ev_defer() and ev_ask().
 */
#ifndef FLIC_DAEMON_DAEMON_H
#define FLIC_DAEMON_DAEMON_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/checkpoint/store.h"
#include "daemon/conf.h"
#include "daemon/ev.h"
#include "daemon/snapshot.h"
#include "libxl-ext/flx.h"

struct fd_session;
struct fd_op;
struct fd_keeper;
struct fd_orphans;
struct fd_tracking;
struct fd_protect;
struct fd_moves;
struct fd_upkeep;

struct fd_daemon {
    struct fd_conf conf;                /* constant after start */
    struct flx_host host;               /* constant after start */
    struct ev_loop *loop;
    struct ck_store *store;             /* NULL: see store_err; constant after start */
    struct flic_err store_err;
    struct fd_keeper *keeper;
    struct fd_orphans *orphans;
    struct fd_tracking *tracking;       /* NULL without a store; constant while sessions are served */
    struct fd_moves *moves;             /* NULL without a store; the loop's thread only */
    struct fd_protect *protect;         /* NULL without a store; constant while sessions are served */
    struct fd_upkeep *upkeep;           /* constant while sessions are served */
    atomic_bool held;                   /* destage is held */
    atomic_uint running;                /* operations under way */
    /* loop thread only */
    struct fd_session *sessions;
    uint64_t next_serial;
    struct fd_op *ops;
    unsigned tasks;                     /* questions being answered in threads */
    bool stopping;
};

/* Sends a message to a session if it is still there; any thread; takes `msg`. */
void fd_post(struct fd_daemon *daemon, uint64_t serial, json_t *msg);

/* {"ok":false,...} for an error; {"ok":true} to add members to. NULL without memory. */
json_t *fd_answer_error(int code, const char *sentence);
json_t *fd_answer_ok(void);

/* 0, or why no operation can be started (no store, no Xen, or a capability missing). */
int fd_check_ready(const struct fd_daemon *daemon, struct flic_err *err);

/* ---- session.c: lines from clients ---- */
const struct ev_handlers *fd_session_handlers(struct fd_daemon *daemon);

/* ---- questions.c: run in a thread each; give the answer ---- */
json_t *fd_question(struct fd_daemon *daemon, const char *op, json_t *request);
bool fd_is_question(const char *op);

/* ---- orphans.c: guests left suspended, or half restored ---- */
int fd_orphans_start(struct fd_daemon *daemon, struct flic_err *err);
void fd_orphans_stop(struct fd_daemon *daemon);
int fd_destroy_domain(uint32_t domid);              /* by the worker that links libxl; -EIO */

/* ---- keeper.c: destage when idle ---- */
int fd_keeper_start(struct fd_daemon *daemon, struct flic_err *err);
void fd_keeper_stop(struct fd_daemon *daemon);
json_t *fd_drain(struct fd_daemon *daemon, json_t *request);       /* a question: all to flash, now */
void fd_keeper_poke(struct fd_daemon *daemon);      /* there may be something to move; any thread */

/* ---- forget.c ---- */

/* Forgets one checkpoint, its disk snapshots and the disks it displaced with it, and writes that into the journal. A pinned one:
 * FLIC_E_REFUSED. ret_freed_bytes NULL: the caller collects. */
int fd_forget(struct fd_daemon *daemon, const struct ck_entry *entry, bool dry_run, uint64_t *ret_freed_bytes, struct flic_err *err);
json_t *fd_pin(struct fd_daemon *daemon, json_t *request);       /* and unpin */
/* At start: what was cut off about disks is put in order. */
void fd_tidy_disks(struct fd_daemon *daemon);
struct sn_where fd_where(const struct fd_daemon *daemon);

/* ---- journal.c ---- */
struct ix_entry;
/* Writes an entry and logs its one line. `figures` is taken (may be NULL). */
void fd_journal(struct fd_daemon *daemon, struct ix_entry *entry, json_t *figures);

#endif
