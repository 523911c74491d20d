/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * orphans - a background thread that looks after guests whose operation is gone.
 *
 * A guest that is suspended, carries our mark and has no live operation was left by a killed xl, helper or flicd: it is resumed.
 * A domain whose restore was left half done is destroyed; one that was whole, and that xl did not live to let run, is let run. They are
 * looked for at start and every second; a guest must be found so twice, GRACE_S apart, because libflicxl may be about to do the same.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/marks.h"
#include "daemon/cond.h"
#include "daemon/moves.h"
#include "daemon/op.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define GRACE_S 5
#define BACK_OFF_S 30
#define ORPHANS_MAX 16

extern char **environ;

struct orphan {
    uint32_t domid;
    uint64_t since, again;      /* seconds; nothing is tried before `again` */
    bool seen, told;            /* told: that it failed */
};

struct fd_orphans {
    struct fd_daemon *daemon;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool stop;
    struct orphan orphans[ORPHANS_MAX]; /* the thread's own */
};

/* ---- what is done ---- */

static int run_worker(const char *verb, uint32_t domid)
{
    char text[16];
    char *const argv[] = { (char *)"flic-guest", (char *)verb, text, NULL };
    int status = -1;
    pid_t pid;

    (void)snprintf(text, sizeof(text), "%u", domid);
    if (posix_spawn(&pid, FLIC_LIBEXECDIR "/flic-guest", NULL, NULL, argv, environ) || waitpid(pid, &status, 0) != pid ||
        !WIFEXITED(status) || WEXITSTATUS(status))
        return -EIO;
    return 0;
}

int fd_destroy_domain(uint32_t domid) { return run_worker("destroy", domid); }

int fd_resume(struct flx_dom *dom, struct flic_err *err)
{
    struct flx_info info;
    struct flx_way way;
    int rc = flx_info(dom, &info, err);

    if (rc || info.run != FLX_SUSPENDED)
        return rc;
    if (flx_save_way(dom, &way, NULL) || !way.model)
        return flx_resume(dom, err);
    return run_worker("resume", info.domid) ? flic_err_set(err, FLIC_E_XEN, "domain %u and its device model could not be made to go on",
                                                           info.domid) : 0;
}

/* What is remembered of this domain; NULL where there are too many to remember. */
static struct orphan *orphan_of(struct fd_orphans *all, uint32_t domid)
{
    struct orphan *free_slot = NULL;

    for (size_t i = 0; i < ORPHANS_MAX; i++) {
        struct orphan *o = &all->orphans[i];

        if (o->domid == domid) {
            o->seen = true;
            return o;
        }
        if (!o->domid)
            free_slot = o;
    }
    if (free_slot)
        *free_slot = (struct orphan){ .domid = domid, .since = flic_now_s(), .seen = true };
    return free_slot;
}

/* Looked at each second, but not tried nor told of each second. */
static void put_off(struct orphan *o, const char *why)
{
    if (o && o->told)
        flic_debug("%s", why);
    else
        flic_error("%s", why);
    if (o) {
        o->told = true;
        o->again = flic_now_s() + BACK_OFF_S;
    }
}

static void destroy_half(struct orphan *o)
{
    uint32_t domid = o->domid;
    char why[128];

    if (!fd_destroy_domain(domid)) {
        flic_warn("destroyed domain %u, left half restored; its checkpoint is untouched", domid);
        return;
    }
    (void)snprintf(why, sizeof(why), "domain %u is a half restored guest and could not be destroyed: run 'xl destroy %u'", domid, domid);
    put_off(o, why);
}

static void let_run(struct orphan *o, struct flx_dom *dom, const struct flx_info *info)
{
    struct flic_err err = { 0 };
    char why[FLIC_ERR_TEXT + 300];

    if (!flx_unpause(dom, &err)) {
        (void)flx_tell_guest(dom, MARK_RESTORING, "", NULL);
        flic_warn("'%s' runs: who restored it is gone and had not let it", info->name);
        return;
    }
    (void)snprintf(why, sizeof(why), "let '%s' run, which was restored: %s; run 'xl unpause %s'", info->name, err.text, info->name);
    put_off(o, why);
}

/* It carries the mark of an operation that is nobody's. */
static void settle_orphan(struct orphan *o, struct flx_dom *dom, const struct flx_info *info, const char *mark)
{
    struct flic_err err = { 0 };

    if (info->run == FLX_PAUSED && !strcmp(mark, MARK_WHOLE)) {
        let_run(o, dom, info);
    } else if (info->run == FLX_PAUSED) {
        destroy_half(o);
    } else if (fd_resume(dom, &err)) {
        char why[FLIC_ERR_TEXT + 300];

        (void)snprintf(why, sizeof(why), "resume '%s', left suspended: %s", info->name, err.text);
        put_off(o, why);
    } else {
        flic_warn("resumed '%s', left suspended by an operation that is gone", info->name);
        (void)flx_tell_guest(dom, MARK_OPERATION, "", NULL);      /* a later suspend is not ours */
    }
}

/* A migration may be the reason that it waits. */
static bool is_explained(struct fd_orphans *all, struct orphan *o, const struct flx_info *info)
{
    struct flic_err err = { 0 };
    int rc = fd_moves_explain(all->daemon, info, &err);

    if (rc < 0)
        put_off(o, err.text);
    if (rc && o)
        o->since = flic_now_s();
    return rc != 0;
}

static void look_at(struct fd_orphans *all, const struct flx_info *info)
{
    const char *key = info->run == FLX_SUSPENDED ? MARK_OPERATION : MARK_RESTORING;
    char mark[64] = "";
    struct flx_dom *dom;
    struct orphan *o;

    if (fd_op_holds(all->daemon, info->domid) || (info->run != FLX_SUSPENDED && info->run != FLX_PAUSED) ||
        flx_open(info->domid, &dom, NULL))
        return;
    if (!flx_told(dom, key, mark, sizeof(mark), NULL) && mark[0]) {
        o = orphan_of(all, info->domid);
        if (!(o && flic_now_s() < o->again) && !is_explained(all, o, info) && o && flic_now_s() - o->since >= GRACE_S)
            settle_orphan(o, dom, info, mark);
    }
    flx_close(dom);
}

struct domains {
    struct flx_info info[64];
    size_t n;
};

static int see_domain(const struct flx_info *info, void *arg)
{
    struct domains *there = arg;

    if (there->n < sizeof(there->info) / sizeof(there->info[0]))
        there->info[there->n++] = *info;
    return 0;
}

static void look_after_guests(struct fd_orphans *all)
{
    struct domains there = { .n = 0 };

    if (!(all->daemon->host.caps & FLX_CAP_XEN))
        return;
    for (size_t i = 0; i < ORPHANS_MAX; i++)
        all->orphans[i].seen = false;
    if (flx_each_domain(see_domain, &there, NULL))
        return;
    for (size_t i = 0; i < there.n; i++)
        look_at(all, &there.info[i]);
    for (size_t i = 0; i < ORPHANS_MAX; i++)
        if (!all->orphans[i].seen)
            all->orphans[i].domid = 0;
}

/* ---- the thread ---- */

static bool rest(struct fd_orphans *all)
{
    bool stop;

    (void)pthread_mutex_lock(&all->lock);
    if (!all->stop)
        fd_cond_wait_until(&all->woken, &all->lock, flic_now_us() + 1000000);
    stop = all->stop;
    (void)pthread_mutex_unlock(&all->lock);
    return !stop;
}

static void *look_on(void *arg)
{
    struct fd_orphans *all = arg;

    do
        look_after_guests(all);
    while (rest(all));
    return NULL;
}

int fd_orphans_start(struct fd_daemon *daemon, struct flic_err *err)
{
    struct fd_orphans *all = calloc(1, sizeof(*all));

    if (!all)
        return flic_err_set(err, -ENOMEM, "look after guests: out of memory");
    all->daemon = daemon;
    (void)pthread_mutex_init(&all->lock, NULL);
    fd_cond_init(&all->woken);
    if (pthread_create(&all->thread, NULL, look_on, all)) {
        free(all);
        return flic_err_set(err, -EAGAIN, "look after guests: no thread");
    }
    daemon->orphans = all;
    return 0;
}

void fd_orphans_stop(struct fd_daemon *daemon)
{
    struct fd_orphans *all = daemon->orphans;

    if (!all)
        return;
    (void)pthread_mutex_lock(&all->lock);
    all->stop = true;
    (void)pthread_cond_signal(&all->woken);
    (void)pthread_mutex_unlock(&all->lock);
    (void)pthread_join(all->thread, NULL);
    (void)pthread_cond_destroy(&all->woken);
    (void)pthread_mutex_destroy(&all->lock);
    free(all);
    daemon->orphans = NULL;
}
