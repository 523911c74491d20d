/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/upkeep.h"

#include "common/clock.h"
#include "common/log.h"
#include "daemon/checkpoint/collect.h"
#include "daemon/checkpoint/gc.h"
#include "daemon/cond.h"
#include "daemon/retain.h"
#include "daemon/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct fd_upkeep {
    struct fd_daemon *daemon;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t poked;
    atomic_bool closing;
    bool gc_due, rules_due;     /* under lock */
    uint64_t gc_at_us;          /* not before; the thread's own */
};

static bool closing(void *arg)
{
    struct fd_upkeep *u = arg;

    return atomic_load(&u->closing);
}

bool fd_upkeep_closing(void *arg)
{
    const struct fd_daemon *daemon = arg;

    return daemon->upkeep && atomic_load(&daemon->upkeep->closing);
}

/* What was not asked for gives way to everything else. */
static bool must_rest(void *arg)
{
    struct fd_upkeep *u = arg;

    return closing(u) || atomic_load(&u->daemon->running) || atomic_load(&u->daemon->held);
}

/* ---- gc ---- */

static json_t *gc_figures(const struct ck_gc_figures *f)
{
    json_t *o = json_object();
    const struct { const char *name; uint64_t value; } rows[] = {
        { "packs", f->packs }, { "packs_removed", f->packs_removed }, { "packs_compacted", f->packs_compacted },
        { "packs_in_use", f->packs_in_use }, { "packs_damaged", f->packs_damaged }, { "objects_in_use", f->objects_in_use },
        { "objects_moved", f->objects_moved }, { "removed_bytes", f->removed_bytes }, { "flash_bytes", f->flash_bytes },
        { "freed_bytes", f->freed_bytes }, { "took_us", f->took_us },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        (void)json_object_set_new(o, rows[i].name, json_integer((json_int_t)rows[i].value));
    if (f->freed_bytes)
        (void)json_object_set_new(o, "written_per_byte_freed", json_real((double)f->flash_bytes / (double)f->freed_bytes));
    return o;
}

static int run_gc(struct fd_upkeep *u, const struct ck_gc_params *params, struct ck_gc_figures *f, struct flic_err *err)
{
    struct ix_entry journal = { .verb = "gc", .began_ns = flic_wall_ns() };
    int rc;

    rc = ck_gc(u->daemon->store, params, f, err);
    if (params->dry_run || rc == FLIC_E_BUSY || rc == FLIC_E_REFUSED || ((!rc || rc == FLIC_E_CANCELLED) && !f->removed_bytes && !f->packs_damaged))
        return rc;          /* nothing that was worth a write to flash: beside 'protect' it is called off every few seconds */
    journal.took_ns = f->took_us * 1000;
    journal.code = rc;
    journal.message = rc ? err->text : "";
    fd_journal(u->daemon, &journal, gc_figures(f));
    return rc;
}

static bool take_due(struct fd_upkeep *u, bool *flag)
{
    bool due;

    (void)pthread_mutex_lock(&u->lock);
    due = *flag;
    *flag = false;
    (void)pthread_mutex_unlock(&u->lock);
    return due;
}

static void gc_when_idle(struct fd_upkeep *u)
{
    const struct fd_conf *conf = &u->daemon->conf;
    struct ck_gc_params params = { .live_percent = (unsigned)conf->gc_live_percent, .kib_per_s = (uint64_t)conf->gc_kib_per_s,
                                   .cancelled = must_rest, .arg = u };
    struct ck_gc_figures f;
    struct flic_err err = { 0 };
    int rc;

    if (!u->daemon->store || strcmp(conf->gc, "idle") || must_rest(u) || flic_now_us() < u->gc_at_us || !take_due(u, &u->gc_due))
        return;
    rc = run_gc(u, &params, &f, &err);
    u->gc_at_us = flic_now_us() + (rc == FLIC_E_CANCELLED ? 1 : (uint64_t)conf->gc_interval_s) * 1000000;
    if (rc == FLIC_E_REFUSED)
        flic_debug("gc: %s", err.text);     /* said at start; what is due comes with the next start or forget */
    else if (rc)
        fd_upkeep_forgot(u->daemon);        /* it is still to be done */
}

json_t *fd_gc(struct fd_daemon *daemon, json_t *request)
{
    struct ck_gc_params params = { .live_percent = (unsigned)daemon->conf.gc_live_percent, .anyway = true,
                                   .dry_run = json_is_true(json_object_get(request, "dry_run")), .cancelled = closing,
                                   .arg = daemon->upkeep };
    struct flic_err err = { 0 };
    struct fd_retained retained;
    struct ck_gc_figures f;
    json_t *answer;
    int rc;

    if (!daemon->upkeep)
        return fd_answer_error(FLIC_E_INTERNAL, "flicd is starting: ask again");
    rc = fd_retain(daemon, params.dry_run, &retained, &err);
    if (params.dry_run) {
        params.without = retained.names;
        params.n_without = retained.n;
    }
    if (!rc)
        rc = run_gc(daemon->upkeep, &params, &f, &err);
    answer = rc ? fd_answer_error(err.code, err.text) : gc_figures(&f);
    if (!rc) {
        (void)json_object_set_new(answer, "ok", json_true());
        (void)json_object_set_new(answer, "dry_run", json_boolean(params.dry_run));
    }
    (void)json_object_set(answer, "forgotten", retained.forgotten);
    fd_retained_fini(&retained);
    return answer;
}

/* ---- retention ---- */

static void apply_rules(struct fd_upkeep *u)
{
    struct fd_retained retained;
    struct flic_err err = { 0 };
    uint64_t freed;
    int rc;

    if (!u->daemon->store || !take_due(u, &u->rules_due))
        return;
    rc = fd_retain(u->daemon, false, &retained, &err);
    if (!rc && retained.n && (rc = ck_collect(u->daemon->store, NULL, 0, false, &freed, &err)) == FLIC_E_REFUSED)
        rc = 0;         /* said at start */
    if (rc)
        flic_warn("what the rules no longer keep is still there: %s", err.text);
    fd_retained_fini(&retained);
}

/* ---- the thread ---- */

static void *keep_up(void *arg)
{
    struct fd_upkeep *u = arg;

    while (!closing(u)) {
        apply_rules(u);
        if (u->daemon->store && !must_rest(u))
            fd_verify_go_on(u->daemon, must_rest, u);
        gc_when_idle(u);
        (void)pthread_mutex_lock(&u->lock);
        if (!closing(u))
            fd_cond_wait_until(&u->poked, &u->lock, flic_now_us() + 1000000);
        (void)pthread_mutex_unlock(&u->lock);
    }
    return NULL;
}

/* ---- from outside ---- */

int fd_upkeep_start(struct fd_daemon *daemon, struct flic_err *err)
{
    struct fd_upkeep *u = calloc(1, sizeof(*u));

    if (!u)
        return flic_err_set(err, -ENOMEM, "start the upkeep of the store: out of memory");
    u->daemon = daemon;
    u->gc_due = u->rules_due = true;    /* what an earlier flicd did not get to */
    u->gc_at_us = flic_now_us() + (uint64_t)daemon->conf.gc_interval_s * 1000000;
    (void)pthread_mutex_init(&u->lock, NULL);
    fd_cond_init(&u->poked);
    daemon->upkeep = u;         /* before there is a thread that looks at it */
    if (pthread_create(&u->thread, NULL, keep_up, u)) {
        daemon->upkeep = NULL;
        free(u);
        return flic_err_set(err, -EAGAIN, "start the upkeep of the store: no thread");
    }
    return 0;
}

void fd_upkeep_close(struct fd_daemon *daemon)
{
    struct fd_upkeep *u = daemon->upkeep;

    if (!u)
        return;
    (void)pthread_mutex_lock(&u->lock);
    atomic_store(&u->closing, true);
    (void)pthread_cond_signal(&u->poked);
    (void)pthread_mutex_unlock(&u->lock);
}

void fd_upkeep_stop(struct fd_daemon *daemon)
{
    struct fd_upkeep *u = daemon->upkeep;

    if (!u)
        return;
    fd_upkeep_close(daemon);
    (void)pthread_join(u->thread, NULL);
    (void)pthread_cond_destroy(&u->poked);
    (void)pthread_mutex_destroy(&u->lock);
    free(u);
    daemon->upkeep = NULL;
}

static void poke(struct fd_daemon *daemon, bool rules)
{
    struct fd_upkeep *u = daemon->upkeep;

    if (!u)
        return;
    (void)pthread_mutex_lock(&u->lock);
    *(rules ? &u->rules_due : &u->gc_due) = true;
    (void)pthread_cond_signal(&u->poked);
    (void)pthread_mutex_unlock(&u->lock);
}

void fd_upkeep_forgot(struct fd_daemon *daemon)
{
    poke(daemon, false);
}

void fd_upkeep_published(struct fd_daemon *daemon)
{
    poke(daemon, true);
}
