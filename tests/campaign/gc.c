/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * gc - invariant 5: gc gives back everything that no checkpoint reaches, and nothing that one does; and a save beside a gc that never
 * rests is not paused longer than one alone.
 *
 * CAMPAIGN: how many pairs of saves, one alone and one beside gc, are timed. The ratio of their medians is a figure, not a test.
 */
#include "tests/campaign/campaign.h"
#include "tests/unit/checkpoint-scene.h"

#include "daemon/checkpoint/gc.h"

#include <pthread.h>
#include <stdatomic.h>

#define SAVES 8u
#define PAIRS_MAX 1000u
#define EVERYTHING 101u         /* live_percent: a pack that is used whole is moved too */

static struct ck_gc_figures gc(unsigned live_percent, bool dry_run)
{
    const struct ck_gc_params params = { .live_percent = live_percent, .dry_run = dry_run };
    struct ck_gc_figures figures;

    OK(ck_gc(store, &params, &figures, &err));
    return figures;
}

static uint64_t unreachable(void)
{
    struct pk_stats stats;

    pk_get_stats(ck_packs(store), &stats);
    return stats.objects - gc(100, true).objects_in_use;
}

/* ---- everything, and nothing else ---- */

static struct nv_name save(struct image *image, uint64_t *ret_pause_us)
{
    static struct scene_work work = { .first = 600, .n = 64 };
    struct ck_save_figures f;
    struct nv_name name;

    work.seed++;
    name = scene_save_with_work(GUEST, &work, image, &f);
    if (ret_pause_us)
        *ret_pause_us = f.pause_us - f.suspend_us;      /* the suspend is the test's own */
    return name;
}

static bool comes_back(const struct nv_name *name, const struct image *image)
{
    char why[SCENE_WHY];
    uint32_t domid = 0;
    bool same = !scene_restore(name, &domid, NULL) && !image_differs(image, domid, why);

    if (domid)
        flx_fake_kill(domid);
    return same;
}

static void reclaim(void)
{
    struct nv_name names[SAVES];
    struct image images[SAVES];
    uint64_t freed, before, after;

    memset(images, 0, sizeof(images));
    for (unsigned i = 0; i < SAVES; i++) {
        scene_dirty(GUEST, 200 + 40 * i, 100, 1000 + i);
        names[i] = save(&images[i], NULL);
        OK(scene_destage(&names[i], NULL));
    }
    for (unsigned i = 0; i < SAVES; i += 2)
        OK(ck_forget(store, &names[i], false, &freed, &err));
    before = unreachable();
    ck_assert_uint_gt(before, 100);             /* what forgetting alone did not get at */
    (void)gc(100, false);
    after = unreachable();
    campaign_figure("gc_unreachable", "objects", before);
    campaign_figure("gc_reclaimed", "percent", (before - after) * 100 / before);
    for (unsigned i = 0; i < SAVES; i++) {
        if (i % 2 && !comes_back(&names[i], &images[i]))
            campaign_lost("web@%u does not come back after gc", (unsigned)names[i].seq);
        image_free(&images[i]);
    }
    scene_reopen();
    for (unsigned i = 1; i < SAVES; i += 2)
        OK(ck_forget(store, &names[i], false, &freed, &err));
    campaign_figure("gc_reachable_lost", "checkpoints", campaign_losses());
}

/* ---- beside saves ---- */

static atomic_bool over, idle;
static atomic_uint rounds;
static uint64_t moved;

static void *collect_all_the_time(void *arg)
{
    const struct timespec slice = { .tv_nsec = 200000 };

    (void)arg;
    while (!atomic_load(&over)) {
        if (atomic_load(&idle)) {
            (void)nanosleep(&slice, NULL);
            continue;
        }
        moved += gc(EVERYTHING, false).objects_moved;
        atomic_fetch_add(&rounds, 1);
    }
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static uint64_t median(uint64_t *times, unsigned n)
{
    qsort(times, n, sizeof(*times), by_size);
    return times[n / 2];
}

static void pause_beside(void)
{
    static uint64_t alone[PAIRS_MAX], beside[PAIRS_MAX];
    unsigned pairs = (unsigned)campaign_size(5);
    struct nv_name last = { .seq = 0 }, name;
    pthread_t thread;
    uint64_t freed;

    pairs = pairs < PAIRS_MAX ? pairs : PAIRS_MAX;
    atomic_store(&idle, true);
    ck_assert(!pthread_create(&thread, NULL, collect_all_the_time, NULL));
    for (unsigned i = 0; i < 2 * pairs; i++) {
        unsigned seen = atomic_load(&rounds);

        atomic_store(&idle, i % 2 == 0);
        while (i % 2 && atomic_load(&rounds) == seen)   /* it is at work */
            sched_yield();
        name = save(NULL, i % 2 ? &beside[i / 2] : &alone[i / 2]);
        if (last.seq)
            OK(ck_forget(store, &last, false, &freed, &err));
        last = name;
    }
    atomic_store(&over, true);
    ck_assert(!pthread_join(thread, NULL));
    ck_assert_uint_gt(moved, pairs * 100);              /* else nothing ran beside */
    campaign_figure("gc_pause_alone", "us", median(alone, pairs));
    campaign_figure("gc_pause_beside", "us", median(beside, pairs));
    printf("{\"name\":\"gc_pause_ratio\",\"unit\":\"ratio\",\"value\":%.3f,\"runs\":[%.3f]}\n",
           (double)median(beside, pairs) / (double)median(alone, pairs), (double)median(beside, pairs) / (double)median(alone, pairs));
}

START_TEST(invariant_5_gc_gives_back_all_that_is_not_reached_and_nothing_else_and_holds_up_no_pause)
{
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    reclaim();
    pause_beside();
    scene_end();
}
END_TEST

int main(void)
{
    return campaign_run("gc", invariant_5_gc_gives_back_all_that_is_not_reached_and_nothing_else_and_holds_up_no_pause);
}
