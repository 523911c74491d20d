/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/op.h"

#include "common/clock.h"
#include "common/hex.h"
#include "common/log.h"
#include "common/marks.h"
#include "daemon/cond.h"
#include "daemon/migrate/wire.h"
#include "daemon/upkeep.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define HANDED_MAX 64u

/* Domains with an operation, for the thread that looks for orphans: at most `workers` at a time, and those that were handed over. */
static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t held_domids[FD_WORKERS_MAX + HANDED_MAX];
static unsigned n_held;
static struct { struct fd_op *op; struct flic_uuid guest; } claims[FD_WORKERS_MAX];
static unsigned n_claims;

static int draw_id(char id[FD_OP_ID])
{
    unsigned char raw[16];

    if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
        return -errno;
    flic_to_hex(raw, sizeof(raw), id);
    return 0;
}

static void hold(uint32_t domid)
{
    (void)pthread_mutex_lock(&held_lock);
    assert(n_held < sizeof(held_domids) / sizeof(held_domids[0]));
    held_domids[n_held++] = domid;
    (void)pthread_mutex_unlock(&held_lock);
}

static void let_go(uint32_t domid)
{
    (void)pthread_mutex_lock(&held_lock);
    for (unsigned i = 0; i < n_held; i++) {
        if (held_domids[i] == domid) {
            held_domids[i] = held_domids[--n_held];
            break;
        }
    }
    (void)pthread_mutex_unlock(&held_lock);
}

bool fd_op_holds(struct fd_daemon *daemon, uint32_t domid)
{
    bool found = false;

    (void)daemon;
    (void)pthread_mutex_lock(&held_lock);
    for (unsigned i = 0; i < n_held; i++)
        found |= held_domids[i] == domid;
    (void)pthread_mutex_unlock(&held_lock);
    return found;
}

int fd_op_claim_guest(struct fd_op *op, const struct flic_uuid *guest, struct flic_err *err)
{
    bool taken;

    (void)pthread_mutex_lock(&held_lock);
    taken = n_claims == sizeof(claims) / sizeof(claims[0]);
    for (unsigned i = 0; i < n_claims; i++)
        taken |= flic_uuid_equal(&claims[i].guest, guest);
    if (!taken) {
        claims[n_claims].op = op;
        claims[n_claims++].guest = *guest;
    }
    (void)pthread_mutex_unlock(&held_lock);
    return taken ? flic_err_set(err, FLIC_E_BUSY, "this guest is being restored, or arrives from a peer, already: wait for that or cancel it ('flic status')")
                 : 0;
}

bool fd_op_claims(struct fd_daemon *daemon, const struct flic_uuid *guest)
{
    bool found = false;

    (void)daemon;
    (void)pthread_mutex_lock(&held_lock);
    for (unsigned i = 0; i < n_claims; i++)
        found |= flic_uuid_equal(&claims[i].guest, guest);
    (void)pthread_mutex_unlock(&held_lock);
    return found;
}

/* Whether the one that has claimed it is, or becomes, none: an arrival that did not move since then. From `until_us` on it is told to end. */
static bool gives_way(const struct flic_uuid *guest, uint64_t since_us, uint64_t until_us)
{
    bool gives = true;

    (void)pthread_mutex_lock(&held_lock);
    for (unsigned i = 0; i < n_claims; i++) {
        struct fd_op *op = claims[i].op;

        if (!flic_uuid_equal(&claims[i].guest, guest))
            continue;
        (void)pthread_mutex_lock(&op->lock);
        gives = op->kind == FD_OP_RECEIVE && (op->displaced || op->moved_us < since_us);
        op->displaced |= gives && flic_now_us() >= until_us;
        (void)pthread_cond_broadcast(&op->changed);
        (void)pthread_mutex_unlock(&op->lock);
    }
    (void)pthread_mutex_unlock(&held_lock);
    return gives;
}

#define WATCH_US 2000000u       /* what hears its sender does so in that time */
#define GIVE_WAY_US 60000000u   /* its libxl undoes what was built */

int fd_op_displace(struct fd_op *op, const struct flic_uuid *guest, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    int rc = fd_op_claim_guest(op, guest, err);

    while (rc == FLIC_E_BUSY && flic_now_us() - began < GIVE_WAY_US && !fd_op_cancelled(op) && gives_way(guest, began, began + WATCH_US)) {
        (void)usleep(100000);
        rc = fd_op_claim_guest(op, guest, err);
    }
    return rc;
}

static void drop_claim(const struct fd_op *op)
{
    (void)pthread_mutex_lock(&held_lock);
    for (unsigned i = 0; i < n_claims; i++) {
        if (claims[i].op == op) {
            claims[i] = claims[--n_claims];
            break;
        }
    }
    (void)pthread_mutex_unlock(&held_lock);
}

/* ---- loop thread ---- */

static struct { uint64_t owner; uint32_t domid; } handed[HANDED_MAX];    /* all these are held; the loop thread's */
static unsigned n_handed;

/* Without room the grace time of orphans is what the owner has. */
static bool hand_over(struct fd_op *op)
{
    bool there;

    (void)pthread_mutex_lock(&op->lock);
    there = op->handed_over && !op->owner_gone && n_handed < HANDED_MAX;
    (void)pthread_mutex_unlock(&op->lock);
    if (there) {
        handed[n_handed].owner = op->owner;
        handed[n_handed++].domid = op->domid;
    }
    return there;
}

static void take_back(uint64_t owner)
{
    for (unsigned i = n_handed; i--;) {
        if (handed[i].owner == owner) {
            let_go(handed[i].domid);
            handed[i] = handed[--n_handed];
        }
    }
}

static void free_op(struct fd_op *op)
{
    if (op->domid && !hand_over(op))
        let_go(op->domid);
    drop_claim(op);
    json_decref(op->request);
    json_decref(op->join);
    json_decref(op->said);
    if (op->tunnel >= 0)
        (void)close(op->tunnel);
    free(op->early);
    (void)pthread_cond_destroy(&op->changed);
    (void)pthread_mutex_destroy(&op->lock);
    free(op);
}

static void ended(void *arg)
{
    struct fd_op *op = arg, **at = &op->daemon->ops;
    struct fd_daemon *daemon = op->daemon;

    (void)pthread_join(op->thread, NULL);
    while (*at != op)
        at = &(*at)->next;
    *at = op->next;
    free_op(op);
    atomic_fetch_sub(&daemon->running, 1);
    if (daemon->stopping && !daemon->ops && !daemon->tasks)
        ev_stop(daemon->loop);
}

static void *run(void *arg)
{
    static void (*const runs[])(struct fd_op *) = {
        [FD_OP_SAVE] = fd_run_save, [FD_OP_RESTORE] = fd_run_restore, [FD_OP_MIGRATE] = fd_run_migrate, [FD_OP_RECEIVE] = fd_run_receive,
        [FD_OP_GIVE] = fd_run_give, [FD_OP_GET] = fd_run_get,
    };
    struct fd_op *op = arg;

    runs[op->kind](op);
    ev_defer(op->daemon->loop, &op->end, ended, op);
    return NULL;
}

static unsigned count_ops(const struct fd_daemon *daemon)
{
    unsigned n = 0;

    for (const struct fd_op *op = daemon->ops; op; op = op->next)
        n++;
    return n;
}

static struct fd_op *new_op(struct fd_daemon *daemon, enum fd_op_kind kind, uint64_t owner, json_t *request)
{
    json_int_t timeout_s = json_integer_value(json_object_get(request, "timeout_s"));
    struct fd_op *op = calloc(1, sizeof(*op));

    if (!op || draw_id(op->id)) {
        free(op);
        return NULL;
    }
    op->daemon = daemon;
    op->kind = kind;
    op->tunnel = -1;
    op->takes_tunnel = kind != FD_OP_SAVE && kind != FD_OP_RESTORE;
    op->owner = owner;
    op->request = json_incref(request);
    op->phase = "starting";
    op->began_ns = flic_wall_ns();
    if (timeout_s > 0 && timeout_s < 1000000)
        op->deadline_us = flic_now_us() + (uint64_t)timeout_s * 1000000;
    (void)pthread_mutex_init(&op->lock, NULL);
    fd_cond_init(&op->changed);
    return op;
}

int fd_op_start(struct fd_daemon *daemon, enum fd_op_kind kind, uint64_t owner, json_t *request, struct flic_err *err)
{
    json_int_t domid = json_integer_value(json_object_get(request, "domid"));
    struct fd_op *op;

    if (daemon->stopping)
        return flic_err_set(err, FLIC_E_BUSY, "flicd is stopping: try again when it runs again");
    if (count_ops(daemon) >= (unsigned)daemon->conf.workers)
        return flic_err_set(err, FLIC_E_BUSY, "%d operations are running, as many as 'workers' allows: wait for one to end",
                            daemon->conf.workers);
    op = new_op(daemon, kind, owner, request);
    if (!op)
        return flic_err_set(err, -ENOMEM, "start an operation: out of memory");
    if ((kind == FD_OP_SAVE || kind == FD_OP_MIGRATE) && domid > 0 && domid <= UINT32_MAX)
        fd_op_describe(op, (uint32_t)domid, "");    /* now, not in its thread: the next request for it may be in line already */
    op->next = daemon->ops;
    daemon->ops = op;
    atomic_fetch_add(&daemon->running, 1);
    if (pthread_create(&op->thread, NULL, run, op)) {
        atomic_fetch_sub(&daemon->running, 1);
        daemon->ops = op->next;
        free_op(op);
        return flic_err_set(err, -EAGAIN, "start an operation: no thread");
    }
    return 0;
}

struct fd_op *fd_op_find(struct fd_daemon *daemon, const char *id)
{
    for (struct fd_op *op = daemon->ops; id && op; op = op->next)
        if (!strcmp(op->id, id))
            return op;
    return NULL;
}

bool fd_op_on_domain(struct fd_daemon *daemon, uint32_t domid)
{
    bool found = false;

    for (struct fd_op *op = daemon->ops; op; op = op->next) {
        (void)pthread_mutex_lock(&op->lock);
        found |= op->domid == domid;
        (void)pthread_mutex_unlock(&op->lock);
    }
    return found;
}

static void wake(struct fd_op *op)
{
    (void)pthread_cond_broadcast(&op->changed);
    (void)pthread_mutex_unlock(&op->lock);
}

void fd_op_session_closed(struct fd_daemon *daemon, uint64_t serial)
{
    take_back(serial);
    for (struct fd_op *op = daemon->ops; op; op = op->next) {
        (void)pthread_mutex_lock(&op->lock);
        if (op->owner == serial)
            op->owner_gone = true;
        if (op->helper == serial)
            op->helper_gone = true;
        wake(op);
    }
}

int fd_op_join(struct fd_op *op, uint64_t helper, json_t *join, struct flic_err *err)
{
    int rc = 0;

    (void)pthread_mutex_lock(&op->lock);
    if (op->helper) {
        rc = flic_err_set(err, FLIC_E_BUSY, "operation %s was joined already", op->id);
    } else {
        op->helper = helper;
        op->join = json_incref(join);
    }
    wake(op);
    return rc;
}

int fd_op_tunnel(struct fd_op *op, int fd, void *early, size_t n_early, struct flic_err *err)
{
    int rc = 0;

    (void)pthread_mutex_lock(&op->lock);
    if (op->tunneled || !op->takes_tunnel) {
        rc = flic_err_set(err, FLIC_E_BUSY, "operation %s takes no tunnel", op->id);
    } else {
        op->tunneled = true;
        op->tunnel = fd;
        op->early = early;
        op->n_early = n_early;
    }
    wake(op);
    return rc;
}

void fd_op_abort(struct fd_op *op)
{
    (void)pthread_mutex_lock(&op->lock);
    op->aborted = true;
    wake(op);
}

void fd_op_abort_all(struct fd_daemon *daemon)
{
    for (struct fd_op *op = daemon->ops; op; op = op->next)
        fd_op_abort(op);
}

void fd_op_finish(struct fd_op *op, json_t *said)
{
    (void)pthread_mutex_lock(&op->lock);
    if (!op->finish)
        op->said = json_incref(said);
    op->finish = true;
    wake(op);
}

void fd_op_suspend_answer(struct fd_op *op, bool suspended)
{
    (void)pthread_mutex_lock(&op->lock);
    op->suspend_answer = suspended ? 1 : -1;
    wake(op);
}

/* ---- operation's thread ---- */

void fd_op_let_tunnel(struct fd_op *op)
{
    (void)pthread_mutex_lock(&op->lock);
    op->takes_tunnel = op->helper_is_deaf = true;
    (void)pthread_mutex_unlock(&op->lock);
}

static bool cancelled_locked(const struct fd_op *op)
{
    return op->aborted || op->displaced || op->owner_gone || (op->helper_gone && !op->helper_answered) ||
           (op->deadline_us && flic_now_us() >= op->deadline_us);
}

bool fd_op_cancelled(void *arg)
{
    struct fd_op *op = arg;
    bool cancelled;

    (void)pthread_mutex_lock(&op->lock);
    cancelled = cancelled_locked(op);
    (void)pthread_mutex_unlock(&op->lock);
    return cancelled;
}

static int why_locked(const struct fd_op *op, struct flic_err *err)
{
    if (op->owner_gone)
        return flic_err_set(err, FLIC_E_CANCELLED, "the program that asked for it went away");
    if (op->displaced)
        return flic_err_set(err, FLIC_E_CANCELLED, "its sender was not heard any more, and began anew");
    if (op->helper_gone && !op->helper_answered)
        return flic_err_set(err, FLIC_E_CANCELLED, "libxl's save helper went away");
    if (op->deadline_us && flic_now_us() >= op->deadline_us)
        return flic_err_set(err, FLIC_E_TIMEOUT, "not done within the time given");
    return flic_err_set(err, FLIC_E_CANCELLED, op->daemon->stopping ? "flicd is stopping" : "cancelled");
}

int fd_op_why_cancelled(struct fd_op *op, struct flic_err *err)
{
    int rc;

    (void)pthread_mutex_lock(&op->lock);
    rc = why_locked(op, err);
    (void)pthread_mutex_unlock(&op->lock);
    return rc;
}

int fd_op_reason(struct fd_op *op, int rc, struct flic_err *err)
{
    return rc == FLIC_E_CANCELLED && fd_op_cancelled(op) ? fd_op_why_cancelled(op, err) : rc;
}

static bool happened(const struct fd_op *op, enum fd_wait what)
{
    switch (what) {
    case FD_WAIT_JOIN: return op->helper != 0;
    case FD_WAIT_SUSPEND: return op->suspend_answer != 0;
    case FD_WAIT_FINISH: return op->finish;
    case FD_WAIT_TUNNEL: return op->tunneled;
    }
    return true;
}

int fd_op_wait(struct fd_op *op, enum fd_wait what, unsigned timeout_s, struct flic_err *err)
{
    uint64_t limit = timeout_s ? flic_now_us() + (uint64_t)timeout_s * 1000000 : UINT64_MAX;
    int rc = 0;

    (void)pthread_mutex_lock(&op->lock);
    while (!happened(op, what) && !rc) {
        uint64_t until = op->deadline_us && op->deadline_us < limit ? op->deadline_us : limit;

        if (cancelled_locked(op))
            rc = why_locked(op, err);
        else if (flic_now_us() >= limit)
            rc = flic_err_set(err, FLIC_E_TIMEOUT, "no answer from the toolstack within %u s", timeout_s);
        else if (until == UINT64_MAX)
            (void)pthread_cond_wait(&op->changed, &op->lock);
        else
            fd_cond_wait_until(&op->changed, &op->lock, until);
    }
    (void)pthread_mutex_unlock(&op->lock);
    return rc;
}

bool fd_op_is_suspended(struct fd_op *op, uint64_t until_us)
{
    bool over;

    (void)pthread_mutex_lock(&op->lock);
    while (!(over = happened(op, FD_WAIT_SUSPEND) || cancelled_locked(op)) && flic_now_us() < until_us)
        fd_cond_wait_until(&op->changed, &op->lock, until_us);
    (void)pthread_mutex_unlock(&op->lock);
    return over;
}

int fd_op_wire(struct fd_op *op, unsigned timeout_s, bool (*cancelled)(void *arg), void *arg, struct mw_wire **ret_wire, struct flic_err *err)
{
    int rc = fd_op_wait(op, FD_WAIT_TUNNEL, timeout_s, err);

    if (rc)
        return rc;
    rc = mw_new(op->tunnel, op->early, op->n_early, cancelled, arg, ret_wire, err);
    op->tunnel = -1;
    return rc;
}

void fd_op_to_owner(struct fd_op *op, json_t *msg)
{
    fd_post(op->daemon, op->owner, msg);
}

void fd_op_to_helper(struct fd_op *op, json_t *msg, bool is_answer)
{
    uint64_t helper;

    (void)pthread_mutex_lock(&op->lock);
    helper = op->helper;
    op->helper_answered |= is_answer;
    (void)pthread_mutex_unlock(&op->lock);
    if (helper)
        fd_post(op->daemon, helper, msg);
    else
        json_decref(msg);
}

/* At most ten a second cross the sockets; the last of a phase always does. */
void fd_op_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    static _Thread_local uint64_t told_us;
    uint64_t now = flic_now_us();
    struct fd_op *op = arg;
    json_t *event;
    bool deaf;

    (void)pthread_mutex_lock(&op->lock);
    deaf = op->helper_is_deaf;
    op->phase = phase;
    op->done = done;
    op->total = total;
    op->moved_us = now;
    (void)pthread_mutex_unlock(&op->lock);
    if (now - told_us < 100000 && done != total)
        return;
    told_us = now;
    event = json_pack("{s:s, s:s, s:I, s:I}", "event", "progress", "phase", phase, "done", (json_int_t)done,
                      "total", (json_int_t)total);
    fd_op_to_owner(op, json_deep_copy(event));      /* a message belongs to one thread at a time */
    if (deaf)
        json_decref(event);
    else
        fd_op_to_helper(op, event, false);
}

/* Only here is `domid` written, by one thread at a time. It is held first: under `held_lock` others take an operation's lock (gives_way()). */
void fd_op_describe(struct fd_op *op, uint32_t domid, const char *name)
{
    bool first = domid && !op->domid;

    if (first)
        hold(domid);
    (void)pthread_mutex_lock(&op->lock);
    if (first)
        op->domid = domid;
    (void)snprintf(op->name, sizeof(op->name), "%s", name);
    (void)pthread_mutex_unlock(&op->lock);
}

void fd_op_hand_over(struct fd_op *op)
{
    (void)pthread_mutex_lock(&op->lock);
    op->handed_over = true;
    (void)pthread_mutex_unlock(&op->lock);
}

/* Of a copy the side that was asked by its user has the peer's name. */
const char *fd_op_kind_name(const struct fd_op *op)
{
    static const char *const names[] = {
        [FD_OP_SAVE] = "save", [FD_OP_RESTORE] = "restore", [FD_OP_MIGRATE] = "migrate", [FD_OP_RECEIVE] = "receive",
        [FD_OP_GIVE] = "pulled", [FD_OP_GET] = "pushed",
    };
    bool asked = json_object_get(op->request, "peer") != NULL;

    return asked && op->kind == FD_OP_GIVE ? "push" : asked && op->kind == FD_OP_GET ? "pull" : names[op->kind];
}

unsigned fd_cpus(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    return cpus > 0 ? (unsigned)cpus : 1;
}

/* ---- ends ---- */

void fd_add_figures(json_t *to, const struct fd_figure *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)json_object_set_new(to, rows[i].name, json_integer((json_int_t)rows[i].value));
}

/* A message belongs to one thread at a time, and ends in the loop's: the journal's figures are another copy. */
void fd_op_end(struct fd_op *op, int rc, const struct flic_err *err, json_t *answer, json_t *figures, struct ix_entry *entry,
               const char *guest_name)
{
    entry->began_ns = op->began_ns;
    entry->code = rc;
    entry->message = rc ? err->text : "";
    if (rc == FLIC_E_NOSPACE)
        fd_upkeep_no_room(op->daemon);
    if (rc) {
        json_decref(answer);
        answer = fd_answer_error(rc, err->text);
        fd_op_to_helper(op, json_incref(answer), true);
    } else if (answer) {
        (void)json_object_set_new(answer, "figures", json_deep_copy(figures));
    }
    fd_op_to_owner(op, answer);
    entry->took_ns = flic_wall_ns() - op->began_ns;
    (void)snprintf(entry->guest_name, sizeof(entry->guest_name), "%s", guest_name);
    fd_journal(op->daemon, entry, figures);
}

/* Xen's own for a domain of hardware virtualization are a few. */
#define FRESH_PAGES_MAX 64

int fd_check_fresh(struct flx_dom *dom, struct flic_err *err)
{
    struct flx_info info;
    int rc = flx_info(dom, &info, err);

    if (rc || (info.run == FLX_PAUSED && info.pages <= FRESH_PAGES_MAX))
        return rc;
    return flic_err_set(err, FLIC_E_REFUSED, "domain %u is not a new one, but '%s' with %llu pages: nothing is restored into it", info.domid,
                        info.name, (unsigned long long)info.pages);
}

void fd_op_undo(struct fd_op *op, struct flx_dom *dom, bool is_over, bool by_us)
{
    struct flic_err err = { 0 };
    struct flx_info info;
    bool owner_gone;
    int rc;

    if (!dom || flx_info(dom, &info, NULL))
        return;
    if (is_over)
        (void)flx_tell_guest(dom, MARK_OPERATION, "", NULL);
    (void)pthread_mutex_lock(&op->lock);
    owner_gone = op->owner_gone;
    (void)pthread_mutex_unlock(&op->lock);
    if (info.run != FLX_SUSPENDED)
        return;
    by_us |= owner_gone;
    rc = by_us ? fd_resume(dom, &err) : flx_mark_resume(dom, &err);
    if (!rc && by_us)       /* who suspends it later is somebody else; where libflicxl lets it go on, it is that that clears it */
        (void)flx_tell_guest(dom, MARK_OPERATION, "", NULL);
    if (rc)
        flic_error("resume '%s' after a failed %s: %s", info.name, op->kind == FD_OP_MIGRATE ? "migration" : "save", err.text);
}
