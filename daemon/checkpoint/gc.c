/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/gc.h"

#include "common/clock.h"
#include "common/log.h"
#include "daemon/checkpoint/collect.h"
#include "daemon/checkpoint/reach.h"
#include "daemon/checkpoint/spare.h"
#include "daemon/checkpoint/store_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define STEP 256u                   /* objects looked at between two looks at whether a pause is on */
#define BATCH_BYTES (32u << 20)     /* moved, before compression, before they are sealed and the old packs go */
#define BATCH_PACKS 256u
#define SMALL_BYTES (1u << 20)      /* forgetting and short saves leave many such packs: ... */
#define SMALL_MANY 16u              /* ... so many of them become one */

struct job {
    struct ck_store *store;
    const struct ck_gc_params *params;
    struct ck_gc_figures *figures;
    uint64_t since;
    struct marks marks;
    struct pk_use *victims;         /* those used least first */
    size_t n;
    uint64_t began_us, moved_bytes; /* for the pace */
    bool one_by_one;                /* there is no room for more in a batch */
};

static bool stops(const struct job *job)
{
    return job->params->cancelled && job->params->cancelled(job->params->arg);
}

static int stopped(struct flic_err *err)
{
    return flic_err_set(err, FLIC_E_CANCELLED, "gc was stopped; it goes on another time");
}

/* Waits until what was moved is within the pace. */
static void keep_pace(const struct job *job)
{
    const struct timespec slice = { .tv_nsec = 20000000 };

    if (!job->params->kib_per_s)
        return;
    while (!stops(job) && (flic_now_us() - job->began_us) * job->params->kib_per_s / 1000000 < job->moved_bytes / 1024)
        (void)nanosleep(&slice, NULL);      /* woken early: it looks again */
}

/* ---- what is worth doing ---- */

static bool is_small(const struct pk_use *use)
{
    return use->idle && use->bytes < SMALL_BYTES;
}

static bool is_sparse(const struct job *job, const struct pk_use *use)
{
    return (uint64_t)use->used * 100 < (uint64_t)use->objects * job->params->live_percent;
}

/* Least used first: each frees most for what it takes, and a full flash needs the least room. */
static int victim_order(const void *a, const void *b)
{
    const struct pk_use *x = a, *y = b;
    uint64_t x_moves = x->bytes * x->used / x->objects, y_moves = y->bytes * y->used / y->objects;

    return x_moves < y_moves ? -1 : x_moves > y_moves;
}

static void choose(struct job *job, struct pk_use *uses, size_t n)
{
    size_t small = 0, chosen = 0;

    for (size_t i = 0; i < n; i++)
        small += is_small(&uses[i]);
    for (size_t i = 0; i < n; i++) {
        bool wanted = !uses[i].used || is_sparse(job, &uses[i]) || (small >= SMALL_MANY && is_small(&uses[i]));

        job->figures->objects_in_use += uses[i].used;
        if (wanted && !uses[i].idle)
            job->figures->packs_in_use++;
        else if (wanted)
            uses[chosen++] = uses[i];
    }
    qsort(uses, chosen, sizeof(*uses), victim_order);
    job->victims = uses;
    job->n = chosen;
}

static int look(struct job *job, struct flic_err *err)
{
    struct pk_use *uses;
    size_t n;
    int rc = job->params->anyway ? 0 : ck_check_all_seen(job->store, err);

    if (rc)
        return rc;
    job->since = pk_moment(ck_packs(job->store));
    rc = ck_reach_all(job->store, job->params->without, job->params->n_without, &job->marks, err);
    if (!rc)
        rc = pk_survey(ck_packs(job->store), job->since, marks_claim, &job->marks, &uses, &n, err);
    if (rc)
        return rc;
    job->figures->packs = n;
    choose(job, uses, n);
    return 0;
}

/* ---- doing it ---- */

struct batch {
    struct pk_writer *writer;
    struct pk_moving *moving[BATCH_PACKS];
    const struct pk_use *packs[BATCH_PACKS];
    size_t n;
    uint64_t bytes;
};

/* One that a running operation takes up meanwhile would stay: what was moved of it so far was in vain, and no more is. */
static int move_pack(struct job *job, struct batch *b, const struct pk_use *use, struct pk_moving *moving, bool *ret_taken, struct flic_err *err)
{
    struct pk_move_stats stats = { 0 };
    bool done = false;
    int rc = 0;

    *ret_taken = false;
    while (!rc && !done) {
        uint64_t before = stats.moved_bytes;

        if (stops(job)) {
            rc = stopped(err);
            break;
        }
        *ret_taken = !pk_is_idle(ck_packs(job->store), job->since, use);
        if (*ret_taken)
            break;
        ck_work_begin(job->store);
        rc = pk_move_some(b->writer, moving, STEP, &done, err);
        ck_work_end(job->store);
        pk_move_stats(moving, &stats);
        job->moved_bytes += stats.moved_bytes - before;
        keep_pace(job);
    }
    b->bytes += stats.moved_bytes;
    job->figures->objects_moved += stats.moved;
    return rc;
}

/* Puts one more pack into the batch; one that is gone or was taken up meanwhile is no error. */
static int add_pack(struct job *job, struct batch *b, const struct pk_use *use, struct flic_err *err)
{
    struct pk_moving *moving;
    bool taken;
    int rc = pk_move_begin(ck_packs(job->store), use, marks_has, &job->marks, &moving, err);

    if (rc == -ENOENT)
        return 0;
    if (rc)
        return rc;
    b->packs[b->n] = use;
    b->moving[b->n++] = moving;
    rc = move_pack(job, b, use, moving, &taken, err);
    if (taken) {
        job->figures->packs_in_use++;
        pk_move_end(b->moving[--b->n]);
    }
    return rc;
}

/* The old pack goes when all that is in use was moved. Nothing uses it then: it stays only for who took it up meanwhile. */
static int drop_pack(struct job *job, const struct pk_use *use, struct pk_moving *moving, struct flic_err *err)
{
    struct pk_move_stats stats;
    bool gone = false;
    int rc;

    pk_move_stats(moving, &stats);
    if (stats.lost) {
        job->figures->packs_damaged++;
        return 0;
    }
    rc = ck_remove_pack(job->store, job->since, use, &gone, err);
    *(gone ? use->used ? &job->figures->packs_compacted : &job->figures->packs_removed : &job->figures->packs_in_use) += 1;
    job->figures->removed_bytes += gone ? use->bytes : 0;
    return rc;
}

static int finish_batch(struct job *job, struct batch *b, struct flic_err *err)
{
    int rc;

    ck_work_begin(job->store);
    rc = pk_seal(b->writer, err);
    ck_work_end(job->store);
    if (rc)
        return rc;
    ck_mirror_packs(job->store);
    for (size_t i = 0; !rc && i < b->n; i++)
        rc = drop_pack(job, b->packs[i], b->moving[i], err);
    return rc ? rc : ck_sync_packs(job->store, err);
}

/* Counted however it ended: flash wears by what was in vain, too. */
static void end_batch(struct job *job, struct batch *b)
{
    struct pk_put_stats stats;

    for (size_t i = 0; i < b->n; i++)
        pk_move_end(b->moving[i]);
    if (b->writer) {
        pk_get_put_stats(b->writer, &stats);
        job->figures->flash_bytes += stats.flash_bytes;
    }
    ck_end_writer(job->store, b->writer);
    free(b);
}

/* Called off: what was moved so far is not to be in vain, if it is worth a seal. The pack in the middle of which that was stays, and
 * has less to move the next time. */
static int finish_early(struct job *job, struct batch *b, struct flic_err *err)
{
    int rc = 0;

    pk_move_end(b->moving[--b->n]);
    if (b->n || b->bytes >= SMALL_BYTES)
        rc = finish_batch(job, b, err);
    return rc ? rc : stopped(err);
}

/* Packs with nothing in use go before room is asked for: on a full flash they are the room. */
static bool joins(const struct job *job, const struct batch *b, const struct pk_use *next)
{
    if (!b->n)
        return b->bytes < BATCH_BYTES;
    return !job->one_by_one && b->n < BATCH_PACKS && b->bytes < BATCH_BYTES && (!next->used || b->packs[0]->used);
}

/* Those from `first` on, up to *at, did not fit together: then each by itself, as what one leaves is room for the next, and with what
 * is kept for forgetting. That ends at one that does not fit either, but for those with nothing in use, whose copies elsewhere are to
 * be moved as well. */
static int try_with_less(struct job *job, size_t first, size_t *at, struct flic_err *err)
{
    if (!job->one_by_one && *at - first > 1)
        *at = first;
    else if (ck_spare_give(job->store))
        --*at;
    else if (job->victims[*at - 1].used)
        return FLIC_E_NOSPACE;
    job->one_by_one = true;
    if (err)
        *err = (struct flic_err){ 0 };
    return 0;
}

/* From victim *at on, which moves. */
static int run_batch(struct job *job, size_t *at, struct flic_err *err)
{
    struct batch *b = calloc(1, sizeof(*b));
    size_t first = *at;
    int rc;

    if (!b)
        return flic_err_set(err, -ENOMEM, "gc: out of memory");
    rc = pk_mover_new(ck_packs(job->store), &b->writer, err);
    while (!rc && *at < job->n && joins(job, b, &job->victims[*at]))
        rc = add_pack(job, b, &job->victims[(*at)++], err);
    if (rc == FLIC_E_CANCELLED)
        rc = finish_early(job, b, err);
    else if (!rc)
        rc = finish_batch(job, b, err);
    end_batch(job, b);
    return rc == FLIC_E_NOSPACE ? try_with_less(job, first, at, err) : rc;
}

/* What would be: a pack gives what is not in use, about. */
static void estimate(struct job *job)
{
    for (size_t i = 0; i < job->n; i++) {
        const struct pk_use *use = &job->victims[i];

        *(use->used ? &job->figures->packs_compacted : &job->figures->packs_removed) += 1;
        job->figures->objects_moved += use->used;
        job->figures->removed_bytes += use->bytes;
        job->figures->flash_bytes += use->bytes * use->used / use->objects;
    }
}

static int run(struct job *job, struct flic_err *err)
{
    int rc = look(job, err);

    if (rc)
        return rc;
    if (job->params->dry_run) {
        estimate(job);
        return 0;
    }
    job->began_us = flic_now_us();
    pk_leave(ck_packs(job->store), job->victims, job->n, true);
    for (size_t at = 0; !rc && at < job->n;)
        rc = stops(job) ? stopped(err) : run_batch(job, &at, err);
    pk_leave(ck_packs(job->store), job->victims, job->n, false);
    return rc;
}

int ck_gc(struct ck_store *store, const struct ck_gc_params *params, struct ck_gc_figures *figures, struct flic_err *err)
{
    struct job job = { .store = store, .params = params, .figures = figures };
    uint64_t began = flic_now_us();
    int rc;

    *figures = (struct ck_gc_figures){ 0 };
    if (!ck_claim_moving(store))
        return flic_err_set(err, FLIC_E_BUSY, "gc is running already: 'flic log' shows what it did when it is done");
    rc = run(&job, err);
    ck_end_moving(store);
    if (!params->dry_run)
        ck_spare_make(store);
    free(job.victims);
    marks_fini(&job.marks);
    if (figures->removed_bytes > figures->flash_bytes)
        figures->freed_bytes = figures->removed_bytes - figures->flash_bytes;
    figures->took_us = flic_now_us() - began;
    return rc;
}
