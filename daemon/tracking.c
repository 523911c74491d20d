/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/tracking.h"

#include "common/clock.h"
#include "common/log.h"
#include "daemon/cond.h"
#include "daemon/op.h"
#include "daemon/protect.h"
#include "daemon/tracking_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_US 1000000u            /* between two looks for new guests */
#define RETRY_US 15000000u
#define GUESTS_MAX 64

struct entry {
    struct entry *next;
    struct tk_guest *guest;         /* NULL: to be tried at retry_us */
    struct ft_view view;
    uint64_t retry_us;
    enum { IDLE, STEPPED, LENT } use;
    bool unwanted;                  /* to be dropped as soon as it is idle */
};

struct fd_tracking {
    struct fd_daemon *daemon;
    struct tk_pace pace;            /* of the thread that steps */
    struct tk_conf conf;
    pthread_t thread;
    pthread_mutex_t lock;           /* all below, and every guest that is idle */
    pthread_cond_t changed;
    struct entry *entries;
    struct tf_words words;
    struct flic_err words_err;      /* why they could not be read: then nothing is written over them */
    bool stop;
};

struct guests {
    struct flx_info info[GUESTS_MAX];
    size_t n;
};

static int see_guest(const struct flx_info *info, void *arg)
{
    struct guests *all = arg;

    if (all->n < GUESTS_MAX)
        all->info[all->n++] = *info;
    return 0;
}

/* ---- entries; with the lock held ---- */

static void wake(struct fd_tracking *t)
{
    (void)pthread_cond_broadcast(&t->changed);
}

static void drop(struct fd_tracking *t, struct entry *e)
{
    struct entry **at = &t->entries;

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    tk_free(e->guest);
    free(e);
    wake(t);
}

static void drop_when_idle(struct fd_tracking *t, struct entry *e)
{
    e->unwanted = true;
    if (e->use == IDLE)
        drop(t, e);
}

static bool is_this(const struct entry *e, const struct flx_info *info)
{
    return e->view.domid == info->domid && flic_uuid_equal(&e->view.uuid, &info->uuid);
}

static struct entry *entry_of(struct fd_tracking *t, const struct flx_info *info)
{
    for (struct entry *e = t->entries; e; e = e->next)
        if (is_this(e, info) && !e->unwanted)
            return e;
    return NULL;
}

/* A checkpoint every few seconds is only cheap of a guest that is tracked. */
static bool is_wanted(const struct fd_tracking *t, const struct flx_info *info)
{
    return tf_wanted(&t->words, t->daemon->conf.track, &info->uuid, info->name) || fd_protects(t->daemon, &info->uuid);
}

/* Tracking stops, to begin anew after a while: what failed may be over then. */
static void wait_and_retry(struct entry *e, const struct flic_err *why)
{
    if (why->code != e->view.why.code)
        flic_warn("'%s' is not tracked ahead of its save for now: %s", e->view.name, why->text);
    tk_free(e->guest);
    e->guest = NULL;
    e->view.state = FT_WAITING;
    e->view.why = *why;
    e->retry_us = flic_now_us() + RETRY_US;
}

static void show_begun(struct fd_tracking *t, struct entry *e)
{
    tk_get_status(e->guest, &e->view.status);
    e->view.state = FT_TRACKING;
    e->view.why = (struct flic_err){ 0 };
    flic_info("'%s' (domain %u) is tracked ahead of its save", e->view.name, e->view.domid);
    wake(t);
}

/* An operation that holds the domain goes first: a save from nothing uses log-dirty itself. */
static int begin(struct fd_tracking *t, struct entry *e, struct flic_err *err)
{
    int rc;

    if (fd_op_holds(t->daemon, e->view.domid)) {
        e->view.why = (struct flic_err){ 0 };
        e->retry_us = flic_now_us() + LOOK_US;
        return 0;
    }
    rc = tk_new(t->daemon->store, e->view.domid, &t->conf, &t->pace, &e->guest, err);
    if (rc)
        return rc;
    show_begun(t, e);
    return 0;
}

static struct entry *add(struct fd_tracking *t, const struct flx_info *info)
{
    struct entry *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->view.uuid = info->uuid;
    e->view.domid = info->domid;
    e->view.state = FT_WAITING;
    memcpy(e->view.name, info->name, sizeof(e->view.name));
    e->next = t->entries;
    t->entries = e;
    return e;
}

/* Outside of the lock: it reads the checkpoint's map. The domain is held meanwhile, so nobody else begins to track it. */
void fd_tracking_begin_filled(struct fd_daemon *daemon, struct flx_dom *dom, const struct ck_loaded *from)
{
    struct fd_tracking *t = daemon->tracking;
    struct tk_guest *guest = NULL;
    struct flic_err why = { 0 };
    struct flx_info info;
    struct entry *e;
    bool wanted;

    if (!t || flx_info(dom, &info, NULL))
        return;
    (void)pthread_mutex_lock(&t->lock);
    wanted = is_wanted(t, &info);
    (void)pthread_mutex_unlock(&t->lock);
    if (!wanted)
        return;
    if (tk_new_filled(daemon->store, info.domid, &t->conf, &t->pace, from, &guest, &why)) {
        flic_info("'%s' is tracked from nothing once it runs: %s", info.name, why.text);
        return;
    }
    (void)pthread_mutex_lock(&t->lock);
    e = entry_of(t, &info);     /* a command may wait with it */
    if (!e)
        e = add(t, &info);
    if (e && !e->guest) {
        e->guest = guest;
        guest = NULL;
        show_begun(t, e);
    }
    (void)pthread_mutex_unlock(&t->lock);
    tk_free(guest);
}

/* ---- the thread ---- */

static bool can_begin(const struct flx_info *info)
{
    return info->name[0] && info->pages && (info->run == FLX_RUNNING || info->run == FLX_PAUSED);
}

/* One guest that is there: tracked if it is wanted and not yet. One that is being built is left alone until it runs. */
static void consider(struct fd_tracking *t, const struct flx_info *info)
{
    struct entry *e = entry_of(t, info);
    struct flic_err why = { 0 };

    if (e && !is_wanted(t, info)) {
        drop_when_idle(t, e);
        return;
    }
    if (!e && info->run == FLX_RUNNING && can_begin(info) && is_wanted(t, info))
        e = add(t, info);
    if (e && !e->guest && e->use == IDLE && can_begin(info) && flic_now_us() >= e->retry_us && begin(t, e, &why))
        wait_and_retry(e, &why);
}

static void drop_the_gone(struct fd_tracking *t, const struct guests *all)
{
    struct entry *next;

    for (struct entry *e = t->entries; e; e = next) {
        bool there = false;

        next = e->next;
        for (size_t i = 0; i < all->n; i++)
            there |= is_this(e, &all->info[i]);
        if (!there)
            drop_when_idle(t, e);
    }
}

static void look_around(struct fd_tracking *t)
{
    struct guests all = { .n = 0 };
    bool nothing_to_do;

    (void)pthread_mutex_lock(&t->lock);
    nothing_to_do = !t->entries && !t->words.n && !strcmp(t->daemon->conf.track, "none") && !fd_protects(t->daemon, NULL);
    (void)pthread_mutex_unlock(&t->lock);
    if (nothing_to_do || flx_each_domain(see_guest, &all, NULL))
        return;
    (void)pthread_mutex_lock(&t->lock);
    if (all.n < GUESTS_MAX)
        drop_the_gone(t, &all);
    for (size_t i = 0; i < all.n; i++)
        consider(t, &all.info[i]);
    (void)pthread_mutex_unlock(&t->lock);
}

/* The one whose time comes first; *ret_due is that time. */
static struct entry *next_entry(const struct fd_tracking *t, uint64_t *ret_due)
{
    struct entry *first = NULL;

    *ret_due = UINT64_MAX;
    for (struct entry *e = t->entries; e; e = e->next) {
        if (!e->guest || e->use != IDLE || tk_due_us(e->guest) >= *ret_due)
            continue;
        first = e;
        *ret_due = tk_due_us(e->guest);
    }
    return first;
}

/* The lock is not held over the step. */
static void step(struct fd_tracking *t, struct entry *e)
{
    struct flic_err why = { 0 };
    int rc;

    e->use = STEPPED;
    (void)pthread_mutex_unlock(&t->lock);
    rc = tk_step(e->guest, &why);
    (void)pthread_mutex_lock(&t->lock);
    e->use = IDLE;
    if (!rc) {
        tk_get_status(e->guest, &e->view.status);
        memcpy(e->view.name, e->view.status.info.name, sizeof(e->view.name));
    }
    if (rc == FLIC_E_NODOMAIN)
        flic_debug("%s: no longer tracked", why.text);
    if (e->unwanted || rc == FLIC_E_NODOMAIN)
        drop(t, e);
    else if (rc)
        wait_and_retry(e, &why);
    wake(t);
}

static void *run(void *arg)
{
    struct fd_tracking *t = arg;
    uint64_t look_us = 0, due;
    struct entry *e;

    for (;;) {
        if (flic_now_us() >= look_us) {
            look_around(t);
            look_us = flic_now_us() + LOOK_US;
        }
        (void)pthread_mutex_lock(&t->lock);
        if (t->stop)
            break;
        e = next_entry(t, &due);
        if (e && due <= flic_now_us()) {
            step(t, e);
        } else {
            fd_cond_wait_until(&t->changed, &t->lock, due < look_us ? due : look_us);
        }
        (void)pthread_mutex_unlock(&t->lock);
    }
    while (t->entries)
        drop(t, t->entries);
    (void)pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* ---- lending ---- */

/* Once nobody steps it: what is about to be dropped switches log-dirty off, which must not happen under a save from nothing. */
static struct entry *wait_for(struct fd_tracking *t, uint32_t domid)
{
    struct entry *e;

    for (;;) {
        for (e = t->entries; e && e->view.domid != domid; e = e->next)
            ;
        if (!e || e->use != STEPPED)
            return e;
        (void)pthread_cond_wait(&t->changed, &t->lock);
    }
}

struct ck_base *fd_tracking_lend(struct fd_daemon *daemon, uint32_t domid, struct tk_status *ret_status)
{
    struct fd_tracking *t = daemon->tracking;
    struct ck_base *base = NULL;
    struct flic_err why = { 0 };
    struct entry *e;

    if (!t)
        return NULL;
    (void)pthread_mutex_lock(&t->lock);
    e = wait_for(t, domid);
    if (e && e->guest && tk_lend(e->guest, &base, &why)) {
        wait_and_retry(e, &why);
    } else if (e && e->guest) {
        e->use = LENT;
        e->view.state = FT_LENT;
        tk_get_status(e->guest, &e->view.status);
        *ret_status = e->view.status;
    }
    (void)pthread_mutex_unlock(&t->lock);
    return base;
}

void fd_tracking_give_back(struct fd_daemon *daemon, uint32_t domid)
{
    struct fd_tracking *t = daemon->tracking;
    struct entry *e;

    (void)pthread_mutex_lock(&t->lock);
    for (e = t->entries; e && (e->view.domid != domid || e->use != LENT); e = e->next)
        ;
    if (e) {
        tk_give_back(e->guest);
        e->use = IDLE;
        e->view.state = FT_TRACKING;
        tk_get_status(e->guest, &e->view.status);
        if (e->unwanted)
            drop(t, e);
        wake(t);
    }
    (void)pthread_mutex_unlock(&t->lock);
}

/* ---- questions ---- */

static bool is_named(const struct ft_view *view, const char *domain)
{
    char uuid[FLIC_UUID_TEXT];

    flic_uuid_text(&view->uuid, uuid);
    return !strcmp(domain, view->name) || !strcmp(domain, uuid);
}

int ft_list(struct fd_daemon *daemon, struct ft_view **ret_views, size_t *ret_n, struct flic_err *err)
{
    struct fd_tracking *t = daemon->tracking;
    size_t n = 0;

    *ret_views = calloc(GUESTS_MAX, sizeof(**ret_views));
    if (!*ret_views)
        return flic_err_set(err, -ENOMEM, "list the tracked guests: out of memory");
    if (t) {
        (void)pthread_mutex_lock(&t->lock);
        for (const struct entry *e = t->entries; e && n < GUESTS_MAX; e = e->next)
            if (!e->unwanted)
                (*ret_views)[n++] = e->view;
        (void)pthread_mutex_unlock(&t->lock);
    }
    *ret_n = n;
    return 0;
}

/* A step is short; a loan leaves the series alone. */
int ft_series(struct fd_daemon *daemon, const char *domain, struct ft_view *ret_view, struct tk_sample *samples, size_t *ret_n,
              struct flic_err *err)
{
    struct fd_tracking *t = daemon->tracking;
    struct entry *e;
    int rc = 0;

    (void)pthread_mutex_lock(&t->lock);
    for (;;) {
        for (e = t->entries; e && (!is_named(&e->view, domain) || e->unwanted); e = e->next)
            ;
        if (!e || e->use != STEPPED)
            break;
        (void)pthread_cond_wait(&t->changed, &t->lock);
    }
    if (e) {
        *ret_view = e->view;
        *ret_n = e->guest ? tk_series(e->guest, samples, TK_SERIES) : 0;
    } else {
        rc = flic_err_set(err, FLIC_E_NODOMAIN, "'%s' is not tracked: its write set is known only while it is ('flic track %s')", domain,
                          domain);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return rc;
}

/* The guest that a command names: alive, or for untrack one that a command named before. */
static int find_guest(const struct fd_tracking *t, const char *domain, bool track, struct flx_info *ret_info, struct flic_err *err)
{
    struct guests all = { .n = 0 };
    int rc = flx_each_domain(see_guest, &all, err);

    for (size_t i = 0; !rc && i < all.n; i++) {
        struct ft_view view = { .uuid = all.info[i].uuid };

        memcpy(view.name, all.info[i].name, sizeof(view.name));
        *ret_info = all.info[i];
        if (is_named(&view, domain))
            return 0;
    }
    for (size_t i = 0; !rc && !track && i < t->words.n; i++) {
        struct ft_view view = { .uuid = t->words.word[i].guest };

        memcpy(view.name, t->words.word[i].name, sizeof(view.name));
        *ret_info = (struct flx_info){ .uuid = view.uuid };
        memcpy(ret_info->name, view.name, sizeof(ret_info->name));
        if (is_named(&view, domain))
            return 0;
    }
    return rc ? rc : flic_err_set(err, FLIC_E_NODOMAIN, "there is no guest '%s'", domain);
}

static int write_down(struct fd_tracking *t, const struct flx_info *info, bool track, struct flic_err *err)
{
    struct tf_word word = { .guest = info->uuid, .track = track };
    struct tf_words before = t->words;
    int rc;

    if (t->words_err.code)
        return flic_err_set(err, t->words_err.code, "%s", t->words_err.text);
    memcpy(word.name, info->name, sizeof(word.name));
    rc = tf_say(&t->words, t->daemon->conf.track, &word, err);
    if (!rc)
        rc = tf_save(t->daemon->conf.store, &t->words, err);
    if (rc)
        t->words = before;
    return rc;
}

static int set_on(struct fd_tracking *t, const struct flx_info *info, struct ft_view *ret_view, struct flic_err *err)
{
    struct entry *e = entry_of(t, info);
    bool is_new = !e;
    int rc = 0;

    if (!e && !(e = add(t, info)))
        return flic_err_set(err, -ENOMEM, "track '%s': out of memory", info->name);
    if (!e->guest && e->use == IDLE)
        rc = begin(t, e, err);
    if (!rc)
        rc = write_down(t, info, true, err);
    *ret_view = e->view;
    if (rc && is_new)
        drop(t, e);
    return rc;
}

static int set_off(struct fd_tracking *t, const struct flx_info *info, struct flic_err *err)
{
    struct entry *e;
    int rc = write_down(t, info, false, err);

    if (rc)
        return rc;
    while ((e = entry_of(t, info)) && e->use == STEPPED)
        (void)pthread_cond_wait(&t->changed, &t->lock);
    if (e)
        drop_when_idle(t, e);
    return 0;
}

int ft_set(struct fd_daemon *daemon, const char *domain, bool track, struct ft_view *ret_view, struct flic_err *err)
{
    struct fd_tracking *t = daemon->tracking;
    struct flx_info info;
    int rc;

    (void)pthread_mutex_lock(&t->lock);
    rc = find_guest(t, domain, track, &info, err);
    if (!rc) {
        *ret_view = (struct ft_view){ .uuid = info.uuid, .domid = info.domid, .state = FT_WAITING };
        memcpy(ret_view->name, info.name, sizeof(ret_view->name));
        if (!track && fd_protects(daemon, &info.uuid))
            rc = flic_err_set(err, FLIC_E_REFUSED, "untrack '%s': it is protected, and is tracked as long as it is: 'flic unprotect' ends "
                              "both", info.name);
        else
            rc = track ? set_on(t, &info, ret_view, err) : set_off(t, &info, err);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return rc;
}

/* ---- start and stop ---- */

/* Before anything else of ours uses log-dirty: it costs a guest that is not tracked any more a fault for each page it writes. And a guest
 * that was slowed down for a migration runs as fast as ever again. */
static void end_leftovers(const struct fd_daemon *daemon)
{
    struct guests all = { .n = 0 };
    struct flic_err err = { 0 };
    struct flx_dom *dom;

    if (!(daemon->host.caps & FLX_CAP_XEN) || flx_each_domain(see_guest, &all, NULL))
        return;
    for (size_t i = 0; i < all.n; i++) {
        if (flx_open(all.info[i].domid, &dom, NULL))
            continue;
        flx_track_end_leftover(dom);
        if (flx_throttle_end(dom, &err))
            flic_warn("'%s', from a migration: %s", all.info[i].name, err.text);
        flx_close(dom);
    }
}

int fd_tracking_start(struct fd_daemon *daemon, struct flic_err *err)
{
    struct fd_tracking *t = daemon->store ? calloc(1, sizeof(*t)) : NULL;
    const struct fd_conf *c = &daemon->conf;

    if (!t)
        return daemon->store ? flic_err_set(err, -ENOMEM, "start tracking: out of memory") : 0;
    end_leftovers(daemon);
    t->daemon = daemon;
    t->pace = (struct tk_pace){ .clock = &tk_real_clock, .bytes_per_s = (uint64_t)c->track_kib_per_s << 10,
                                .cpu_percent = (unsigned)c->track_cpu_percent };
    t->conf = (struct tk_conf){ .epoch_min_ms = (unsigned)c->track_epoch_min_ms, .epoch_max_ms = (unsigned)c->track_epoch_max_ms,
                                .clean_epochs = (unsigned)c->track_clean_epochs };
    (void)pthread_mutex_init(&t->lock, NULL);
    fd_cond_init(&t->changed);
    if (tf_load(c->store, &t->words, &t->words_err))
        flic_error("which guests commands had tracked is not known: %s", t->words_err.text);
    if (pthread_create(&t->thread, NULL, run, t)) {
        free(t);
        return flic_err_set(err, -EAGAIN, "start tracking: no thread");
    }
    daemon->tracking = t;
    return 0;
}

void fd_tracking_stop(struct fd_daemon *daemon)
{
    struct fd_tracking *t = daemon->tracking;

    if (!t)
        return;
    (void)pthread_mutex_lock(&t->lock);
    t->stop = true;
    wake(t);
    (void)pthread_mutex_unlock(&t->lock);
    (void)pthread_join(t->thread, NULL);
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
    daemon->tracking = NULL;
}
