/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* keeper - a background thread that moves checkpoints to flash when idle. */
#include "common/clock.h"
#include "common/log.h"
#include "daemon/checkpoint/destage.h"
#include "daemon/cond.h"
#include "daemon/op.h"
#include "daemon/protect.h"
#include "daemon/upkeep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BACK_OFF_S 30

struct fd_keeper {
    struct fd_daemon *daemon;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t poked;
    pthread_mutex_t moving;             /* one checkpoint at a time moves */
    bool stop;
    uint64_t destage_at_us;             /* not before */
};

/* ---- destage ---- */

static bool should_stop(void *arg)
{
    struct fd_keeper *k = arg;
    bool stop;

    (void)pthread_mutex_lock(&k->lock);
    stop = k->stop;
    (void)pthread_mutex_unlock(&k->lock);
    return stop || atomic_load(&k->daemon->held);
}

static void destage_after(struct fd_keeper *k, unsigned ms)
{
    (void)pthread_mutex_lock(&k->lock);
    k->destage_at_us = flic_now_us() + ms * 1000ull;
    (void)pthread_cond_signal(&k->poked);
    (void)pthread_mutex_unlock(&k->lock);
}

static bool destage_is_due(struct fd_keeper *k)
{
    bool due;

    (void)pthread_mutex_lock(&k->lock);
    due = flic_now_us() >= k->destage_at_us;
    (void)pthread_mutex_unlock(&k->lock);
    return due;
}

static int destage_one(struct fd_keeper *k, const struct ck_entry *entry, bool (*stops)(void *arg), void *arg,
                       struct ck_destage_figures *f, struct flic_err *err)
{
    struct ix_entry journal = { .verb = "destage", .guest = entry->info.guest, .seq = entry->info.seq, .began_ns = flic_wall_ns() };
    int rc;

    rc = ck_destage(k->daemon->store, entry, stops, arg, f, err);
    if (rc == FLIC_E_CANCELLED || rc == FLIC_E_NOCHECKPOINT)    /* forgotten meanwhile */
        return rc;
    journal.took_ns = f->took_us * 1000;
    journal.code = rc;
    journal.message = rc ? err->text : "";
    memcpy(journal.guest_name, entry->info.name, sizeof(journal.guest_name));
    fd_journal(k->daemon, &journal, json_pack("{s:I, s:I, s:I, s:I, s:I}", "pages", (json_int_t)f->pages, "new_pages",
               (json_int_t)f->new_pages, "dedup_pages", (json_int_t)f->dedup_pages, "flash_bytes", (json_int_t)f->flash_bytes,
               "took_us", (json_int_t)f->took_us));
    return rc;
}

static void destage_next(struct fd_keeper *k, const struct ck_entry *entry)
{
    struct ck_destage_figures f;
    struct flic_err err = { 0 };
    int rc;

    (void)pthread_mutex_lock(&k->moving);
    rc = destage_one(k, entry, should_stop, k, &f, &err);
    (void)pthread_mutex_unlock(&k->moving);
    if (rc && rc != FLIC_E_CANCELLED && rc != FLIC_E_NOCHECKPOINT)
        destage_after(k, BACK_OFF_S * 1000);
}

/* All that lies in NVRAM alone, held or not, for an NVRAM that is to be replaced. What cannot be moved is left and counted. */
static int drain(struct fd_keeper *k, uint64_t *ret_moved, uint64_t *ret_bytes, struct flic_err *err)
{
    struct ck_entry entry;
    int rc = 0;

    while (!rc && ck_destage_next(k->daemon->store, &entry)) {
        struct ck_destage_figures f;

        if (fd_upkeep_closing(k->daemon))
            return flic_err_set(err, FLIC_E_CANCELLED, "flicd ends before all was moved");
        (void)pthread_mutex_lock(&k->moving);
        if (ck_destage_next(k->daemon->store, &entry)) {        /* another one, if that one was being moved */
            rc = destage_one(k, &entry, fd_upkeep_closing, k->daemon, &f, err);
            *ret_moved += !rc;
            *ret_bytes += f.flash_bytes;
        }
        (void)pthread_mutex_unlock(&k->moving);
        if (ck_destage_passes_by(rc))       /* the next one */
            rc = 0;
    }
    return rc;
}

static json_t *in_nvram_alone(struct fd_daemon *daemon)
{
    json_t *list = json_array();
    struct ck_entry *entries;
    size_t n;

    if (ck_list(daemon->store, &entries, &n, NULL))
        return list;
    for (size_t i = 0; i < n; i++)
        if (!(entries[i].info.places & IX_FLASH))
            (void)json_array_append_new(list, json_pack("{s:s, s:I}", "domain", entries[i].info.name, "seq", (json_int_t)entries[i].info.seq));
    free(entries);
    return list;
}

json_t *fd_drain(struct fd_daemon *daemon, json_t *request)
{
    struct flic_err err = { 0 };
    uint64_t moved = 0, bytes = 0;

    (void)request;
    if (!daemon->keeper)
        return fd_answer_error(FLIC_E_INTERNAL, "flicd is starting: ask again");
    if (drain(daemon->keeper, &moved, &bytes, &err))
        return fd_answer_error(err.code, err.text);
    return json_pack("{s:b, s:I, s:I, s:o}", "ok", 1, "moved", (json_int_t)moved, "flash_bytes", (json_int_t)bytes, "left",
                     in_nvram_alone(daemon));
}

/* A checkpoint that protect will drop soon is not worth its flash, as long as NVRAM has room for what comes: a quarter. */
static bool is_worth_moving(const struct ck_entry *entry, void *arg)
{
    struct fd_keeper *k = arg;
    struct nv_info info;

    if (!fd_protect_will_drop(k->daemon, &entry->info.guest, entry->info.seq))
        return true;
    nv_get_info(ck_arena(k->daemon->store), &info);
    return (info.frames_free + info.frames_cached) < info.frames / 4;
}

static void *keep(void *arg)
{
    struct fd_keeper *k = arg;
    struct ck_entry entry;

    for (;;) {
        while (k->daemon->store && !should_stop(k) && destage_is_due(k) && ck_destage_next_of(k->daemon->store, is_worth_moving, k, &entry))
            destage_next(k, &entry);
        (void)pthread_mutex_lock(&k->lock);
        if (!k->stop)
            fd_cond_wait_until(&k->poked, &k->lock, flic_now_us() + 1000000);
        if (k->stop)
            break;
        (void)pthread_mutex_unlock(&k->lock);
    }
    (void)pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* ---- from outside ---- */

int fd_keeper_start(struct fd_daemon *daemon, struct flic_err *err)
{
    struct fd_keeper *k = calloc(1, sizeof(*k));

    if (!k)
        return flic_err_set(err, -ENOMEM, "start the keeper: out of memory");
    k->daemon = daemon;
    (void)pthread_mutex_init(&k->lock, NULL);
    (void)pthread_mutex_init(&k->moving, NULL);
    fd_cond_init(&k->poked);
    if (pthread_create(&k->thread, NULL, keep, k)) {
        free(k);
        return flic_err_set(err, -EAGAIN, "start the keeper: no thread");
    }
    daemon->keeper = k;
    return 0;
}

void fd_keeper_stop(struct fd_daemon *daemon)
{
    struct fd_keeper *k = daemon->keeper;

    if (!k)
        return;
    (void)pthread_mutex_lock(&k->lock);
    k->stop = true;
    (void)pthread_cond_signal(&k->poked);
    (void)pthread_mutex_unlock(&k->lock);
    (void)pthread_join(k->thread, NULL);
    (void)pthread_cond_destroy(&k->poked);
    (void)pthread_mutex_destroy(&k->lock);
    (void)pthread_mutex_destroy(&k->moving);
    free(k);
    daemon->keeper = NULL;
}

void fd_keeper_poke(struct fd_daemon *daemon)
{
    if (daemon->keeper)
        destage_after(daemon->keeper, (unsigned)daemon->conf.destage_delay_ms);
}
