/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * op - one save or restore: a thread, the two sessions it talks to, and what they told it.
 *
 * The loop's thread starts, signals and ends operations; the operation's own thread runs it as straight code and waits for signals.
 * Everything under `lock` is shared; the rest is constant after the start or belongs to the thread named.
 *
 *   owner   the session of libflicxl: opened it, says publish/restored/abort; its closing cancels
 *   tunnel  of a migration or a copy: a connection that carries the peer's words from then on; of a guest that is libxc's: its stream,
 *           from or to the helper
 *   helper  the session of flic-save-helper: joined it; its closing before its answer cancels
 */
#ifndef FLIC_DAEMON_OP_H
#define FLIC_DAEMON_OP_H

#include <pthread.h>

#include "daemon/daemon.h"

#define FD_OP_ID 33

enum fd_op_kind { FD_OP_SAVE, FD_OP_RESTORE, FD_OP_MIGRATE, FD_OP_RECEIVE, FD_OP_GIVE, FD_OP_GET };

struct fd_op {
    struct fd_op *next;             /* loop thread */
    struct fd_daemon *daemon;
    void *run;                      /* operation's thread: its own state, for callbacks that get the operation */
    char id[FD_OP_ID];
    enum fd_op_kind kind;
    uint64_t owner;
    json_t *request;
    uint64_t began_ns;              /* CLOCK_REALTIME */
    uint64_t deadline_us;           /* CLOCK_MONOTONIC; 0: none */
    pthread_t thread;
    struct ev_call end;

    pthread_mutex_t lock;           /* all below */
    pthread_cond_t changed;
    uint64_t helper;                /* 0: not joined */
    json_t *join;
    bool helper_gone, helper_answered, owner_gone, aborted, finish;
    bool handed_over;               /* to the owner: what becomes of the guest now is his, as long as he is there */
    int suspend_answer;             /* 0 none, 1 suspended, -1 refused */
    json_t *said;                   /* the owner's message that set `finish` */
    int tunnel;                     /* the connection; -1: not there, or taken. Then what was read of it: */
    bool takes_tunnel, tunneled;
    bool helper_is_deaf;            /* libxc is at work in it */
    void *early; size_t n_early;
    uint32_t domid;
    char name[256];
    const char *phase;
    uint64_t done, total;
    uint64_t moved_us;              /* the last progress; CLOCK_MONOTONIC */
    bool displaced;                 /* another was begun in its place */
};

/* Loop thread. Starts the thread; `request` is shared (incref'd). */
int fd_op_start(struct fd_daemon *daemon, enum fd_op_kind kind, uint64_t owner, json_t *request, struct flic_err *err);
struct fd_op *fd_op_find(struct fd_daemon *daemon, const char *id);
bool fd_op_on_domain(struct fd_daemon *daemon, uint32_t domid);
void fd_op_session_closed(struct fd_daemon *daemon, uint64_t serial);
int fd_op_join(struct fd_op *op, uint64_t helper, json_t *join, struct flic_err *err);
/* Takes the descriptor and the bytes; FLIC_E_BUSY when the operation has a tunnel or takes none: then they are the caller's still. */
int fd_op_tunnel(struct fd_op *op, int fd, void *early, size_t n_early, struct flic_err *err);
void fd_op_abort(struct fd_op *op);
void fd_op_finish(struct fd_op *op, json_t *said);      /* publish or restored; shared (incref'd) */
void fd_op_suspend_answer(struct fd_op *op, bool suspended);
void fd_op_abort_all(struct fd_daemon *daemon);

/* Operation's thread. */
enum fd_wait { FD_WAIT_JOIN, FD_WAIT_SUSPEND, FD_WAIT_FINISH, FD_WAIT_TUNNEL };
/* Until it happened; FLIC_E_CANCELLED / FLIC_E_TIMEOUT with a sentence otherwise. timeout_s 0: only the operation's own deadline. */
int fd_op_wait(struct fd_op *op, enum fd_wait what, unsigned timeout_s, struct flic_err *err);
/* Waits for the tunnel and takes it, in any case: gives *ret_wire. `cancelled` and `arg` as in mw_new(). */
struct mw_wire;
int fd_op_wire(struct fd_op *op, unsigned timeout_s, bool (*cancelled)(void *arg), void *arg, struct mw_wire **ret_wire, struct flic_err *err);
void fd_op_let_tunnel(struct fd_op *op);        /* from now on it takes one, from the helper, who is told no progress any more */
bool fd_op_cancelled(void *op);
int fd_op_why_cancelled(struct fd_op *op, struct flic_err *err);
/* Who waits for a peer knows only that he was cancelled: then err gets the reason, and its code is returned; else rc. */
int fd_op_reason(struct fd_op *op, int rc, struct flic_err *err);
void fd_op_progress(void *op, const char *phase, uint64_t done, uint64_t total);
void fd_op_to_owner(struct fd_op *op, json_t *msg);     /* takes */
void fd_op_to_helper(struct fd_op *op, json_t *msg, bool is_answer);   /* takes */
void fd_op_describe(struct fd_op *op, uint32_t domid, const char *name);
/* The guest stays held when the operation ends, until the owner's session closes: he is about to destroy or pause it. */
void fd_op_hand_over(struct fd_op *op);

/* The two kinds: save_op.c and restore_op.c. Each answers its sessions and writes the journal. */
unsigned fd_cpus(void);     /* online ones: so many threads are worth having for work on pages */
void fd_run_save(struct fd_op *op);
void fd_run_restore(struct fd_op *op);
void fd_run_migrate(struct fd_op *op);
void fd_run_receive(struct fd_op *op);
void fd_run_give(struct fd_op *op);
void fd_run_get(struct fd_op *op);
/* "save", "push" ...: as people call it. */
const char *fd_op_kind_name(const struct fd_op *op);
/* The suspend of a save: ck_save_params.suspend, whose argument is the operation. It is the next two, one after the other. */
int fd_op_suspend(void *op, struct flic_err *err);
void fd_op_ask_suspend(struct fd_op *op);
int fd_op_await_suspend(struct fd_op *op, struct flic_err *err);
/* Whether waiting for it would end now; waits, but no longer than until then. */
bool fd_op_is_suspended(struct fd_op *op, uint64_t until_us);

/* ---- what their ends have in common ---- */

struct fd_figure { const char *name; uint64_t value; };
void fd_add_figures(json_t *to, const struct fd_figure *rows, size_t n);

/* `entry` has verb, guest and, after a success, seq. Answers both sessions (err's sentence when rc, else `answer`, taken, with the figures in it)
 * and writes the journal. Takes `figures`. */
void fd_op_end(struct fd_op *op, int rc, const struct flic_err *err, json_t *answer, json_t *figures, struct ix_entry *entry,
               const char *guest_name);

/* FLIC_E_REFUSED: a domain that a helper names to be filled is not one that libxl has just made: whose operation fails is destroyed. */
int fd_check_fresh(struct flx_dom *dom, struct flic_err *err);

/* Lets a suspended guest go on in place; one with a device model by the worker, which libxl lets do it. */
int fd_resume(struct flx_dom *dom, struct flic_err *err);

/* After a failed save or migration: with libflicxl there, libxl resumes the guest and only the mark is ours; without it, or when `by_us`, all of
 * it is. `is_over`: nobody will find it suspended because of us. */
void fd_op_undo(struct fd_op *op, struct flx_dom *dom, bool is_over, bool by_us);

/* Whether a domain belongs to a running operation; any thread. */
bool fd_op_holds(struct fd_daemon *daemon, uint32_t domid);
/* Makes this the one operation that restores a guest, until it ends; FLIC_E_BUSY when another one is. Operation's thread. */
int fd_op_claim_guest(struct fd_op *op, const struct flic_uuid *guest, struct flic_err *err);
bool fd_op_claims(struct fd_daemon *daemon, const struct flic_uuid *guest);     /* whether one has; any thread */
/*
 * The same for an arrival: another arrival of the guest that hears nothing of its sender gives way, which takes seconds; its domain goes a little
 * later. A sender that offers a guest anew has no other migration of it (fd_op_on_domain()): its power was cut, or its connection,
 * and nothing tells the one that waits.
 */
int fd_op_displace(struct fd_op *op, const struct flic_uuid *guest, struct flic_err *err);

#endif
