/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/verify.h"

#include "common/clock.h"
#include "daemon/checkpoint/collect.h"
#include "daemon/checkpoint/damage.h"
#include "daemon/checkpoint/load.h"
#include "daemon/checkpoint/reach.h"
#include "daemon/checkpoint/store_priv.h"
#include "daemon/checkpoint/tombs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEP_FRAMES 16u             /* a MiB of objects, read between two looks at whether to stop */
#define STEP_OBJECTS 256u

struct job {
    struct ck_store *store;
    const struct ck_verify_params *params;
    struct ck_verify_figures *figures;
    uint64_t began_us;
    struct marks lost;              /* of the pack that is being set aside */
    bool lost_tombs;                /* tombstones are among these */
    bool gone;                      /* that one: a collection removed it meanwhile */
    bool no_memory;
};

static bool stops(const struct job *job)
{
    return job->params->cancelled && job->params->cancelled(job->params->arg);
}

static int stopped(struct flic_err *err)
{
    return flic_err_set(err, FLIC_E_CANCELLED, "verify was stopped; it goes on from there another time");
}

static void keep_pace(const struct job *job)
{
    const struct timespec slice = { .tv_nsec = 20000000 };
    uint64_t kib_per_s = job->params->kib_per_s;

    while (kib_per_s && !stops(job) && (flic_now_us() - job->began_us) * kib_per_s / 1000000 < job->figures->read_bytes / 1024)
        (void)nanosleep(&slice, NULL);      /* woken early: it looks again */
}

/* ---- a bad pack ---- */

static bool everything(const struct flic_id *id, void *arg)
{
    (void)id;
    (void)arg;
    return true;
}

static void note_lost(const struct flic_id *id, enum pk_kind kind, void *arg)
{
    struct job *job = arg;

    job->lost_tombs |= kind == PK_TOMBSTONE;
    job->no_memory |= marks_add(&job->lost, id, NULL) != 0;
}

static int move_good(struct job *job, const struct pk_use *use, struct pk_writer *mover, struct flic_err *err)
{
    struct pk_moving *moving;
    struct pk_move_stats stats;
    bool done = false;
    int rc = pk_move_begin(ck_packs(job->store), use, everything, job, &moving, err);

    job->gone = rc == -ENOENT;
    if (rc)
        return rc;
    pk_move_tell_lost(moving, note_lost);
    while (!rc && !done) {
        ck_work_begin(job->store);
        rc = pk_move_some(mover, moving, STEP_OBJECTS, &done, err);
        ck_work_end(job->store);
    }
    pk_move_stats(moving, &stats);
    job->figures->lost_objects += stats.lost;
    pk_move_end(moving);
    return rc || !job->no_memory ? rc : flic_err_set(err, -ENOMEM, "set a bad pack aside: out of memory");
}

/* Pages of this checkpoint that were lost in the pack and lie in NVRAM too. */
static int mend_from(struct job *job, const struct ck_entry *entry, struct pk_writer *mover, struct flic_err *err)
{
    struct ck_loaded loaded;
    int rc = 0;

    if (!(entry->info.places & IX_NVRAM) || ck_load(job->store, entry, &loaded, NULL))
        return 0;
    for (size_t i = 0; !rc && loaded.in_arena && i < loaded.root.n_delta; i++) {
        const struct ck_delta *delta = &loaded.root.delta[i];
        const void *page;

        if (delta->frame == CK_NO_FRAME || !marks_has(&delta->id, &job->lost))
            continue;
        page = ck_delta_page(job->store, &loaded, delta, NULL);
        if (!page || !marks_claim(&delta->id, &job->lost))
            continue;
        ck_work_begin(job->store);
        rc = pk_mend(mover, PK_PAGE, &delta->id, page, FLIC_PAGE_SIZE, err);
        ck_work_end(job->store);
        job->figures->repaired_objects += !rc;
        job->figures->lost_objects -= !rc;
    }
    ck_unload(job->store, &loaded);
    return rc;
}

/* What a tombstone says is in the catalog, too. */
static int mend_tomb(struct job *job, const struct nv_name *name, struct pk_writer *mover, struct flic_err *err)
{
    uint8_t stone[CK_TOMBSTONE_SIZE];
    struct flic_id id;
    int rc;

    if (!ck_tomb_among(ck_secret(job->store), name, &job->lost, stone, &id) || !marks_claim(&id, &job->lost))
        return 0;
    ck_work_begin(job->store);
    rc = pk_mend(mover, PK_TOMBSTONE, &id, stone, sizeof(stone), err);
    ck_work_end(job->store);
    job->figures->repaired_objects += !rc;
    job->figures->lost_objects -= !rc;
    return rc;
}

static int mend_tombs(struct job *job, struct pk_writer *mover, struct flic_err *err)
{
    struct ck_store *store = job->store;
    struct nv_name *tombs;
    size_t n;
    int rc = 0;

    (void)pthread_mutex_lock(&store->lock);
    n = store->n_tombs;
    tombs = malloc((n + 1) * sizeof(*tombs));
    if (tombs && n)
        memcpy(tombs, store->tombs, n * sizeof(*tombs));
    (void)pthread_mutex_unlock(&store->lock);
    if (!tombs)
        return flic_err_set(err, -ENOMEM, "set a bad pack aside: out of memory");
    for (size_t i = 0; !rc && i < n; i++)
        rc = mend_tomb(job, &tombs[i], mover, err);
    free(tombs);
    return rc;
}

/* By what there is now: since the reading began, checkpoints were published, and others forgotten. */
static int mend(struct job *job, struct pk_writer *mover, struct flic_err *err)
{
    struct ck_entry *entries;
    size_t n;
    int rc = job->lost.used ? ck_list(job->store, &entries, &n, err) : 0;

    if (rc || !job->lost.used)
        return rc;
    for (size_t i = 0; !rc && i < n; i++)
        rc = mend_from(job, &entries[i], mover, err);
    free(entries);
    if (!rc && job->lost_tombs)
        rc = mend_tombs(job, mover, err);
    return rc;
}

static int seal_and_set_aside(struct job *job, const struct pk_use *use, struct pk_writer *mover, struct flic_err *err)
{
    int rc;

    ck_work_begin(job->store);
    rc = pk_seal(mover, err);
    if (!rc) {
        rc = pk_set_aside(ck_packs(job->store), use, mover, err);
        job->gone = rc == -ENOENT;
    }
    ck_work_end(job->store);
    if (!rc)
        rc = ck_sync_packs(job->store, err);
    if (rc)
        return rc;
    ck_mirror_packs(job->store);
    ck_work_begin(job->store);
    (void)ix_drop_pack(ck_index(job->store), use->number, NULL);   /* derived: the next start drops it */
    ck_work_end(job->store);
    job->figures->packs_set_aside++;
    return 0;
}

/* The catalog's list may be old by the time that its turn comes, and one moment old in any case: what fails by an entry that changed
 * meanwhile is tried by what there is now. *ret_gone: it was forgotten, and what it needed may have gone with it. */
static int look_for_damage(struct job *job, struct ck_entry *entry, struct marks *whole, struct ck_damage *damage, bool *ret_gone,
                           struct flic_err *err)
{
    struct flic_err why = { 0 };
    int rc = 0;

    *ret_gone = !ck_find_again(job->store, entry, NULL);
    while (!*ret_gone) {
        bool changed;

        rc = ck_look_for_damage(job->store, entry, whole, damage, &why);
        if (!rc && !damage->root && !damage->pages)
            return 0;
        *ret_gone = !ck_find_again(job->store, entry, &changed);
        if (!changed)
            break;
    }
    return *ret_gone || !rc ? 0 : flic_err_set(err, rc, "%s", why.text);
}

typedef int see_fn(struct job *job, struct ck_entry *entry, struct marks *whole, struct flic_err *err);

static int each_checkpoint(struct job *job, see_fn *see, struct flic_err *err)
{
    struct marks whole = { 0 };
    struct ck_entry *entries;
    size_t n;
    int rc = ck_list(job->store, &entries, &n, err);

    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < n; i++)
        rc = see(job, &entries[i], &whole, err);
    marks_fini(&whole);
    free(entries);
    return rc;
}

/* Roots and leaves that were lost may be the flash form of what lies in NVRAM too: that is no cache from now on, not only once all
 * packs are read. */
static int keep_in_nvram(struct job *job, struct ck_entry *entry, struct marks *whole, struct flic_err *err)
{
    struct nv_name name = { .guest = entry->info.guest, .seq = entry->info.seq };
    struct ck_damage damage = { .flash = false };
    bool gone;
    int rc;

    if (entry->info.places != (IX_NVRAM | IX_FLASH))
        return 0;
    rc = look_for_damage(job, entry, whole, &damage, &gone, err);
    if (damage.flash)
        ck_lost_flash(job->store, &name);
    return rc;
}

/* One that a collection removes meanwhile held nothing that anybody needs: then nothing was lost. */
static int set_aside(struct job *job, const struct pk_use *use, struct flic_err *err)
{
    struct ck_verify_figures before = *job->figures;
    struct flic_err why = { 0 };
    struct pk_writer *mover;
    int rc = pk_mover_new(ck_packs(job->store), &mover, err);

    if (rc)
        return rc;
    pk_leave(ck_packs(job->store), use, 1, true);
    rc = move_good(job, use, mover, &why);
    if (!rc)
        rc = mend(job, mover, &why);
    if (!rc)
        rc = seal_and_set_aside(job, use, mover, &why);
    pk_leave(ck_packs(job->store), use, 1, false);
    ck_end_writer(job->store, mover);
    if (!rc && job->lost.used)
        rc = each_checkpoint(job, keep_in_nvram, &why);
    marks_fini(&job->lost);
    job->lost_tombs = false;
    if (job->gone) {
        *job->figures = before;
        return 0;
    }
    return rc ? flic_err_set(err, rc, "%s", why.text) : 0;
}

/* Waits for a gc to end first. */
static int set_aside_alone(struct job *job, const struct pk_use *use, struct flic_err *err)
{
    const struct timespec slice = { .tv_nsec = 20000000 };
    int rc;

    while (!ck_claim_moving(job->store)) {
        if (stops(job))
            return stopped(err);
        (void)nanosleep(&slice, NULL);
    }
    rc = set_aside(job, use, err);
    ck_end_moving(job->store);
    return rc;
}

/* Its footer cannot be read: nobody can read this pack's roots then, nor give back flash, nor open the pack the next time. */
static int set_aside_without_footer(struct job *job, const struct pk_use *use, struct flic_err *err)
{
    const struct ck_verify_figures before = *job->figures;
    int rc = set_aside_alone(job, use, err);

    job->figures->bad_objects += job->figures->lost_objects + job->figures->repaired_objects - before.lost_objects - before.repaired_objects;
    return rc;
}

/* ---- packs ---- */

static int read_pack(struct job *job, struct pk_checking *checking, struct pk_check_stats *stats, struct flic_err *err)
{
    uint64_t before = job->figures->read_bytes;
    bool done = false;
    int rc = 0;

    while (!rc && !done) {
        if (stops(job))
            return stopped(err);
        rc = pk_check_some(checking, STEP_FRAMES, &done, err);
        pk_check_stats(checking, stats);
        job->figures->read_bytes = before + stats->bytes;
        keep_pace(job);
    }
    return rc;
}

static int check_pack(struct job *job, const struct pk_use *use, struct flic_err *err)
{
    struct pk_check_stats stats = { 0 };
    struct pk_checking *checking;
    struct flic_err why = { 0 };
    int rc = pk_check_begin(ck_packs(job->store), use->number, &checking, &why);

    if (rc == -ENOENT)          /* given back meanwhile */
        return 0;
    if (rc == -ENOMEM)
        return flic_err_set(err, rc, "%s", why.text);
    job->figures->packs++;
    if (rc == FLIC_E_DAMAGED || rc == -EIO)
        return set_aside_without_footer(job, use, err);
    if (rc) {
        job->figures->packs_unreadable++;
        return 0;
    }
    rc = read_pack(job, checking, &stats, err);
    pk_check_end(checking);
    job->figures->objects += stats.objects;
    job->figures->bad_objects += stats.bad;
    return rc || !stats.bad ? rc : set_aside_alone(job, use, err);
}

/* Those that the one checkpoint needs, or all; used says so. */
static int list_packs(struct job *job, struct pk_use **ret_uses, size_t *ret_n, struct flic_err *err)
{
    struct marks m = { 0 };
    int rc;

    if (!job->params->only)
        return pk_list(ck_packs(job->store), ret_uses, ret_n, err);
    rc = ck_reach(job->store, job->params->only, &m, err);
    if (!rc || rc == FLIC_E_DAMAGED)    /* as far as it can be read */
        rc = pk_survey(ck_packs(job->store), pk_moment(ck_packs(job->store)), marks_has, &m, ret_uses, ret_n, err);
    marks_fini(&m);
    return rc;
}

static int check_packs(struct job *job, struct flic_err *err)
{
    const struct ck_verify_params *p = job->params;
    struct pk_use *uses;
    size_t n;
    int rc = list_packs(job, &uses, &n, err);

    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < n; i++) {
        if (p->only ? !uses[i].used : uses[i].number < p->from_pack)
            continue;
        rc = check_pack(job, &uses[i], err);
        if (!rc && p->read_pack)
            p->read_pack(uses[i].number, p->arg);
    }
    free(uses);
    return rc;
}

/* ---- NVRAM, and what follows ---- */

static void check_frames(struct job *job, const struct ck_loaded *loaded, struct ck_damage *damage)
{
    for (size_t i = 0; loaded->in_arena && i < loaded->root.n_delta; i++) {
        const struct ck_delta *delta = &loaded->root.delta[i];

        if (delta->frame == CK_NO_FRAME)
            continue;
        job->figures->nvram_pages++;
        if (ck_delta_page(job->store, loaded, delta, NULL))
            continue;
        job->figures->nvram_bad_pages++;
        if (pk_has(ck_packs(job->store), &delta->id))
            job->figures->nvram_repaired_pages++;
        else if (!damage->pages++)
            damage->first_gfn = delta->gfn;
    }
}

static int check_checkpoint(struct job *job, struct ck_entry *entry, struct marks *whole, struct flic_err *err)
{
    struct nv_name name = { .guest = entry->info.guest, .seq = entry->info.seq };
    struct ck_damage damage;
    struct ck_loaded loaded;
    bool gone = false;
    int rc = stops(job) ? stopped(err) : look_for_damage(job, entry, whole, &damage, &gone, err);

    if (rc || gone)
        return rc;
    if (damage.flash)
        ck_lost_flash(job->store, &name);
    if (!damage.root && !ck_load(job->store, entry, &loaded, NULL)) {
        check_frames(job, &loaded, &damage);
        ck_unload(job->store, &loaded);
    }
    ck_set_damage(job->store, &name, &damage);
    job->figures->checkpoints++;
    job->figures->damaged += damage.root || damage.pages;
    return 0;
}

int ck_verify(struct ck_store *store, const struct ck_verify_params *params, struct ck_verify_figures *figures, struct flic_err *err)
{
    struct job job = { .store = store, .params = params, .figures = figures, .began_us = flic_now_us() };
    int rc;

    *figures = (struct ck_verify_figures){ 0 };
    rc = check_packs(&job, err);
    if (!rc)
        rc = each_checkpoint(&job, check_checkpoint, err);      /* also when one was asked for: a pack that was set aside is others' too */
    figures->took_us = flic_now_us() - job.began_us;
    return rc;
}
