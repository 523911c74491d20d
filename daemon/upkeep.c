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

#define COLLECT_S 60            /* what is forgotten at each beat of 'protect' is looked for that often */

struct fd_upkeep {
    struct fd_daemon *daemon;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t poked;
    atomic_bool closing;
    bool gc_due, rules_due, collect_due, no_room;   /* under lock */
    uint64_t gc_at_us, collect_at_us;               /* not before; the thread's own */
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
    struct flic_err err = { 0 }, why = { 0 };
    struct fd_retained retained;
    struct ck_gc_figures f;
    json_t *answer;
    int rc, kept;

    if (!daemon->upkeep)
        return fd_answer_error(FLIC_E_INTERNAL, "flicd is starting: ask again");
    kept = fd_retain(daemon, params.dry_run, &retained, &why);
    if (params.dry_run) {
        params.without = retained.names;
        params.n_without = retained.n;
    }
    if (!kept || kept == FLIC_E_NOSPACE)        /* then gc is what makes room */
        rc = run_gc(daemon->upkeep, &params, &f, &err);
    else
        rc = flic_err_set(&err, kept, "%s", why.text);
    if (!rc && kept)
        rc = flic_err_set(&err, kept, "gc gave back %llu bytes, and what the rules no longer keep is still there: %s; say 'flic gc' again",
                          (unsigned long long)f.freed_bytes, why.text);
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

    if (!u->daemon->store || !take_due(u, &u->rules_due))
        return;
    if (fd_retain(u->daemon, false, &retained, &err))
        flic_warn("what the rules no longer keep is still there: %s", err.text);
    if (retained.n)             /* also when the next one could not be forgotten */
        fd_upkeep_left_packs(u->daemon);
    fd_retained_fini(&retained);
}

/* A look at all that is stored: soon after one was forgotten, and then not with every further one, unless room is wanted. */
static void collect(struct fd_upkeep *u)
{
    struct flic_err err = { 0 };
    uint64_t freed;
    int rc;

    if (!u->daemon->store || (!take_due(u, &u->no_room) && flic_now_us() < u->collect_at_us) || !take_due(u, &u->collect_due))
        return;
    rc = ck_collect(u->daemon->store, NULL, 0, false, &freed, &err);
    if (rc && rc != FLIC_E_REFUSED) {       /* that one was said at start */
        flic_warn("nothing was freed on flash: %s", err.text);
        fd_upkeep_left_packs(u->daemon);    /* it is still to be done */
    }
    u->collect_at_us = flic_now_us() + COLLECT_S * 1000000ull;
}

/* ---- the thread ---- */

static void *keep_up(void *arg)
{
    struct fd_upkeep *u = arg;

    while (!closing(u)) {
        apply_rules(u);
        collect(u);
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
    u->gc_due = u->rules_due = u->collect_due = true;   /* what an earlier flicd did not get to */
    u->collect_at_us = flic_now_us() + COLLECT_S * 1000000ull;
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

static void poke(struct fd_upkeep *u, bool *due)
{
    (void)pthread_mutex_lock(&u->lock);
    *due = true;
    (void)pthread_cond_signal(&u->poked);
    (void)pthread_mutex_unlock(&u->lock);
}

void fd_upkeep_forgot(struct fd_daemon *daemon)
{
    if (daemon->upkeep)
        poke(daemon->upkeep, &daemon->upkeep->gc_due);
}

void fd_upkeep_left_packs(struct fd_daemon *daemon)
{
    if (daemon->upkeep)
        poke(daemon->upkeep, &daemon->upkeep->collect_due);
}

void fd_upkeep_no_room(struct fd_daemon *daemon)
{
    if (daemon->upkeep)
        poke(daemon->upkeep, &daemon->upkeep->no_room);
}

void fd_upkeep_published(struct fd_daemon *daemon)
{
    if (daemon->upkeep)
        poke(daemon->upkeep, &daemon->upkeep->rules_due);
}
