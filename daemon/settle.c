/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* settle - asks peers about guests of whom it is not known on which side they are, and does what follows from the answer. */
#include "daemon/moves.h"

#include "common/clock.h"
#include "common/host.h"
#include "common/log.h"
#include "common/marks.h"
#include "daemon/cond.h"
#include "daemon/find.h"
#include "daemon/kept.h"
#include "daemon/leave.h"
#include "daemon/op.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_US 3000000u
#define TOLD_MAX 16u
#define WHY_ROOM 200u
#define SSH "ssh -o BatchMode=yes -o ConnectTimeout=5 -o ServerAliveInterval=5 -o ServerAliveCountMax=2"

struct fd_moves {
    struct fd_daemon *daemon;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;
    struct flic_uuid told[TOLD_MAX];    /* the thread's own: whose peers are known to give no answer */
    unsigned n_told;
};

/* ---- the guest here ---- */

/* Suspended it is the one that was to go. One that runs, or was restored since, is not touched. */
static int let_go_on(uint32_t domid, struct flic_err *err)
{
    struct flx_dom *dom;
    int rc = flx_open(domid, &dom, err);

    if (rc)
        return rc;
    rc = flx_resume(dom, err);
    if (!rc)
        (void)flx_tell_guest(dom, MARK_OPERATION, "", NULL);
    flx_close(dom);
    return rc;
}

/* Whether the domain is the one of this migration, and not the same guest in a later life. */
static bool is_marked(uint32_t domid, const char *key, const struct mv_move *move)
{
    char uuid[FLIC_UUID_TEXT], value[64] = "";
    struct flx_dom *dom;
    bool is = false;

    if (flx_open(domid, &dom, NULL))
        return false;
    flic_uuid_text(&move->migration, uuid);
    is = !flx_told(dom, key, value, sizeof(value), NULL) && !strcmp(value, uuid);
    flx_close(dom);
    return is;
}

int mv_settle(struct fd_daemon *daemon, const struct mv_move *move, bool is_there, struct flic_err *err)
{
    struct flx_info here;
    int found = fd_find_living(&move->guest, NULL, &here, err), rc = 0;
    bool waits;

    if (found < 0)
        return found;
    waits = found && here.run == FLX_SUSPENDED && is_marked(here.domid, MARK_OPERATION, move);
    if (is_there) {
        struct sn_name left = { .guest = move->guest, .seq = move->seq };
        struct mv_move gone = *move;

        gone.state = MV_GONE;
        lv_remove(daemon, &left);
        rc = move->state == MV_GONE ? 0 : mv_write(daemon, &gone, err);
        return rc || !waits || !fd_destroy_domain(here.domid)
               ? rc : flic_err_set(err, FLIC_E_XEN, "domain %u went to the peer and could not be destroyed here: run 'xl destroy %u'", here.domid,
                                   here.domid);
    }
    /* One that is known to have gone is not let go on: whoever claims it has its checkpoint. */
    if (waits && move->state == MV_HANDING)
        rc = let_go_on(here.domid, err);
    return rc ? rc : mv_drop(daemon, &move->migration, err);
}

int fd_moves_explain(struct fd_daemon *daemon, const struct flx_info *info, struct flic_err *err)
{
    struct flic_err why = { 0 };
    struct mv_move move;
    struct flx_dom *dom;
    int found, rc;

    if (info->run == FLX_SUSPENDED) {
        found = mv_find(daemon, &info->uuid, 1u << MV_HANDING | 1u << MV_GONE, &move);
        if (found <= 0 || !is_marked(info->domid, MARK_OPERATION, &move))
            return found < 0;
        /* Known to be gone, its domain is left: xl was killed before it could destroy it. */
        rc = move.state == MV_GONE ? mv_settle(daemon, &move, true, err) : 0;
        return rc ? flic_err_wrap(err, rc, "after the migration of '%s' to %s", move.name, move.peer) : 1;
    }
    /* It was ours, and flicd ended before it let it run. */
    found = mv_find(daemon, &info->uuid, 1u << MV_RUNNING, &move);
    if (found <= 0 || !is_marked(info->domid, MARK_RESTORING, &move) || fd_op_holds(daemon, info->domid) || flx_open(info->domid, &dom, NULL))
        return found < 0;
    if (!flx_unpause(dom, NULL)) {
        (void)flx_tell_guest(dom, MARK_RESTORING, "", NULL);
        flic_warn("'%s', migrated here, runs now: flicd had ended before it could let it", info->name);
        if (mv_forget_guest(daemon, &info->uuid, &why))     /* it may have gone from here once */
            flic_warn("'%s' is here again, but: %s", info->name, why.text);
    }
    flx_close(dom);
    return 1;
}

/* ---- asking ---- */

/* What it says: the answer, or the last line of who could not get one. */
static int listen_to(FILE *from, char why[WHY_ROOM])
{
    char line[WHY_ROOM];
    int there = -EPROTO;

    while (fgets(line, sizeof(line), from)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!strcmp(line, "running") || !strcmp(line, "refused"))
            there = !strcmp(line, "running");
        else if (line[0])
            memcpy(why, line, sizeof(line));
    }
    return there;
}

/* 1: it is there; 0: it will never be; negative: the peer gave no answer, and why. */
static int ask(const struct mv_move *move, char why[WHY_ROOM])
{
    char uuid[FLIC_UUID_TEXT], line[1400];
    FILE *from;
    int there;

    (void)snprintf(why, WHY_ROOM, "it says nothing");
    if (!flic_is_host(move->peer)) {
        (void)snprintf(why, WHY_ROOM, "that is no name of a host");
        return -EINVAL;
    }
    flic_uuid_text(&move->migration, uuid);
    (void)snprintf(line, sizeof(line), "exec timeout -k 5 30 %s %s xl migrate-receive --flic --settle %s </dev/null 2>&1", move->command[0] ? move->command : SSH,
                   move->peer, uuid);
    from = popen(line, "re");
    if (!from) {
        (void)snprintf(why, WHY_ROOM, "no process for it: %s", strerrordesc_np(errno));
        return -EIO;
    }
    there = listen_to(from, why);
    return pclose(from) ? -EIO : there;
}

/* Once: the peer may be away for long, and its owner knows then. */
static void say_no_answer(struct fd_moves *m, const struct mv_move *move, const char *why)
{
    char uuid[FLIC_UUID_TEXT];

    flic_debug("'%s': %s does not say whether it has it: %s", move->name, move->peer, why);
    for (unsigned i = 0; i < TOLD_MAX && i < m->n_told; i++)
        if (flic_uuid_equal(&m->told[i], &move->migration))
            return;
    m->told[m->n_told++ % TOLD_MAX] = move->migration;
    flic_uuid_text(&move->migration, uuid);
    flic_warn("'%s' waits: %s does not say whether it has it (%s). flicd goes on asking, as root: '%s %s' must work without a password or a question. Or run "
              "'xl migrate-receive --flic --settle %s' on %s: should it say refused, 'flic claim %s' here", move->name, move->peer, why,
              move->command[0] ? move->command : "ssh", move->peer, uuid, move->peer, move->name);
}

/* An operation that is under way settles its own. */
static bool is_under_way(struct fd_daemon *daemon, const struct mv_move *move)
{
    return move->domid && fd_op_holds(daemon, move->domid);
}

/* The answer took its time: does the question still stand? */
static bool still_stands(struct fd_daemon *daemon, const struct mv_move *move)
{
    struct mv_move now;

    return !is_under_way(daemon, move) && !mv_read(daemon, &move->migration, &now, NULL) && now.state == MV_HANDING;
}

static void settle_one(struct fd_moves *m, const struct mv_move *move)
{
    struct fd_daemon *daemon = m->daemon;
    struct flic_err err = { 0 };
    char why[WHY_ROOM];
    int there;

    if (move->state != MV_HANDING || is_under_way(daemon, move))
        return;
    there = ask(move, why);
    if (!still_stands(daemon, move))
        return;
    if (there < 0) {
        say_no_answer(m, move, why);
        return;
    }
    if (mv_settle(daemon, move, there == 1, &err))
        flic_error("settle the migration of '%s' to %s: %s", move->name, move->peer, err.text);
    else if (there)
        flic_info("'%s' is on %s: its domain here is gone", move->name, move->peer);
    else
        flic_info("'%s' did not get to %s: it goes on here", move->name, move->peer);
}

static bool is_stopped(struct fd_moves *m)
{
    bool stop;

    (void)pthread_mutex_lock(&m->lock);
    stop = m->stop;
    (void)pthread_mutex_unlock(&m->lock);
    return stop;
}

static void look(struct fd_moves *m)
{
    struct mv_move *moves;
    size_t n;

    if (mv_list(m->daemon, &moves, &n, NULL, NULL))
        return;
    for (size_t i = 0; i < n && !is_stopped(m); i++)
        settle_one(m, &moves[i]);
    free(moves);
}

static void *run(void *arg)
{
    struct fd_moves *m = arg;

    while (!is_stopped(m)) {
        look(m);
        fd_kept_expire(m->daemon);
        (void)pthread_mutex_lock(&m->lock);
        if (!m->stop)
            fd_cond_wait_until(&m->changed, &m->lock, flic_now_us() + EVERY_US);
        (void)pthread_mutex_unlock(&m->lock);
    }
    return NULL;
}

int fd_moves_start(struct fd_daemon *daemon, struct flic_err *err)
{
    struct fd_moves *m = daemon->store ? calloc(1, sizeof(*m)) : NULL;

    if (!m)
        return daemon->store ? flic_err_set(err, -ENOMEM, "start settling migrations: out of memory") : 0;
    mv_tidy(daemon);
    m->daemon = daemon;
    (void)pthread_mutex_init(&m->lock, NULL);
    fd_cond_init(&m->changed);
    if (pthread_create(&m->thread, NULL, run, m)) {
        free(m);
        return flic_err_set(err, -EAGAIN, "start settling migrations: no thread");
    }
    daemon->moves = m;
    return 0;
}

void fd_moves_stop(struct fd_daemon *daemon)
{
    struct fd_moves *m = daemon->moves;

    if (!m)
        return;
    (void)pthread_mutex_lock(&m->lock);
    m->stop = true;
    (void)pthread_cond_signal(&m->changed);
    (void)pthread_mutex_unlock(&m->lock);
    (void)pthread_join(m->thread, NULL);
    (void)pthread_cond_destroy(&m->changed);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
    daemon->moves = NULL;
    fd_kept_release();
}
