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
static struct orphan *orphan_of(struct fd_orphans *k, uint32_t domid)
{
    struct orphan *free_slot = NULL;

    for (size_t i = 0; i < ORPHANS_MAX; i++) {
        struct orphan *o = &k->orphans[i];

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

static bool carries(struct flx_dom *dom, const char *key)
{
    char value[64] = "";

    return !flx_told(dom, key, value, sizeof(value), NULL) && value[0];
}

/* Of a guest that was restored to its end, and was to run. */
static bool is_whole(struct flx_dom *dom)
{
    char value[64] = "";

    return !flx_told(dom, "flic/restoring", value, sizeof(value), NULL) && !strcmp(value, FD_MARK_WHOLE);
}

static void let_run(struct orphan *o, struct flx_dom *dom, const struct flx_info *info)
{
    struct flic_err err = { 0 };
    char why[FLIC_ERR_TEXT + 300];

    if (!flx_unpause(dom, &err)) {
        (void)flx_tell_guest(dom, "flic/restoring", "", NULL);
        flic_warn("'%s' runs: who restored it is gone and had not let it", info->name);
        return;
    }
    (void)snprintf(why, sizeof(why), "let '%s' run, which was restored: %s; run 'xl unpause %s'", info->name, err.text, info->name);
    put_off(o, why);
}

/* It carries the mark of an operation that is nobody's. */
static void settle_orphan(struct orphan *o, struct flx_dom *dom, const struct flx_info *info)
{
    struct flic_err err = { 0 };

    if (info->run == FLX_PAUSED && is_whole(dom)) {
        let_run(o, dom, info);
    } else if (info->run == FLX_PAUSED) {
        destroy_half(o);
    } else if (fd_resume(dom, &err)) {
        char why[FLIC_ERR_TEXT + 300];

        (void)snprintf(why, sizeof(why), "resume '%s', left suspended: %s", info->name, err.text);
        put_off(o, why);
    } else {
        flic_warn("resumed '%s', left suspended by an operation that is gone", info->name);
        (void)flx_tell_guest(dom, "flic/operation", "", NULL);      /* a later suspend is not ours */
    }
}

/* A migration may be the reason that it waits. */
static bool is_explained(struct fd_orphans *k, struct orphan *o, const struct flx_info *info)
{
    struct flic_err err = { 0 };
    int rc = fd_moves_explain(k->daemon, info, &err);

    if (rc < 0)
        put_off(o, err.text);
    if (rc && o)
        o->since = flic_now_s();
    return rc != 0;
}

static void look_at(struct fd_orphans *k, const struct flx_info *info)
{
    const char *key = info->run == FLX_SUSPENDED ? "flic/operation" : "flic/restoring";
    struct flx_dom *dom;
    struct orphan *o;

    if (fd_op_holds(k->daemon, info->domid) || (info->run != FLX_SUSPENDED && info->run != FLX_PAUSED) ||
        flx_open(info->domid, &dom, NULL))
        return;
    if (carries(dom, key)) {
        o = orphan_of(k, info->domid);
        if (!(o && flic_now_s() < o->again) && !is_explained(k, o, info) && o && flic_now_s() - o->since >= GRACE_S)
            settle_orphan(o, dom, info);
    }
    flx_close(dom);
}

struct domains {
    struct flx_info info[64];
    size_t n;
};

static int see_domain(const struct flx_info *info, void *arg)
{
    struct domains *all = arg;

    if (all->n < sizeof(all->info) / sizeof(all->info[0]))
        all->info[all->n++] = *info;
    return 0;
}

static void look_after_guests(struct fd_orphans *k)
{
    struct domains all = { .n = 0 };

    if (!(k->daemon->host.caps & FLX_CAP_XEN))
        return;
    for (size_t i = 0; i < ORPHANS_MAX; i++)
        k->orphans[i].seen = false;
    if (flx_each_domain(see_domain, &all, NULL))
        return;
    for (size_t i = 0; i < all.n; i++)
        look_at(k, &all.info[i]);
    for (size_t i = 0; i < ORPHANS_MAX; i++)
        if (!k->orphans[i].seen)
            k->orphans[i].domid = 0;
}

/* ---- the thread ---- */

static bool rest(struct fd_orphans *k)
{
    bool stop;

    (void)pthread_mutex_lock(&k->lock);
    if (!k->stop)
        fd_cond_wait_until(&k->woken, &k->lock, flic_now_us() + 1000000);
    stop = k->stop;
    (void)pthread_mutex_unlock(&k->lock);
    return !stop;
}

static void *look_on(void *arg)
{
    struct fd_orphans *k = arg;

    do
        look_after_guests(k);
    while (rest(k));
    return NULL;
}

int fd_orphans_start(struct fd_daemon *daemon, struct flic_err *err)
{
    struct fd_orphans *k = calloc(1, sizeof(*k));

    if (!k)
        return flic_err_set(err, -ENOMEM, "look after guests: out of memory");
    k->daemon = daemon;
    (void)pthread_mutex_init(&k->lock, NULL);
    fd_cond_init(&k->woken);
    if (pthread_create(&k->thread, NULL, look_on, k)) {
        free(k);
        return flic_err_set(err, -EAGAIN, "look after guests: no thread");
    }
    daemon->orphans = k;
    return 0;
}

void fd_orphans_stop(struct fd_daemon *daemon)
{
    struct fd_orphans *k = daemon->orphans;

    if (!k)
        return;
    (void)pthread_mutex_lock(&k->lock);
    k->stop = true;
    (void)pthread_cond_signal(&k->woken);
    (void)pthread_mutex_unlock(&k->lock);
    (void)pthread_join(k->thread, NULL);
    (void)pthread_cond_destroy(&k->woken);
    (void)pthread_mutex_destroy(&k->lock);
    free(k);
    daemon->orphans = NULL;
}
