/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * The arena against power cuts: operations run on the recording medium, then every legal kind of remains is put
 * before recovery. NVRAM_PER_POINT in the environment makes the walk denser; NVRAM_REPORT=1 prints what was covered.
 */
#include "tests/unit/test-nvram-crash.h"

#include "tests/unit/nvram-recorder.h"
#include "tests/unit/nvram-story.h"

#include "daemon/nvram/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE ((size_t)NVL_SIZE_MIN)
#define KEPT_MAX 24

/* ---- what was seen ---- */

struct set {
    uint64_t *sums;
    size_t n, room;
};

static struct set images;       /* distinct ones, over everything */
static unsigned per_point = 48;

static bool put(struct set *set, uint64_t sum)
{
    size_t at = sum & (set->room - 1);

    while (set->sums[at] && set->sums[at] != sum)
        at = (at + 1) & (set->room - 1);
    if (set->sums[at])
        return false;
    set->sums[at] = sum;
    set->n++;
    return true;
}

/* True when `sum` was not in the set. */
static bool add(struct set *set, uint64_t sum)
{
    struct set bigger = { .room = set->room ? 4 * set->room : 1 << 12 };

    if (2 * (set->n + 1) > set->room) {
        bigger.sums = calloc(bigger.room, sizeof(*bigger.sums));
        ck_assert_ptr_nonnull(bigger.sums);
        for (size_t i = 0; i < set->room; i++)
            if (set->sums[i])
                (void)put(&bigger, set->sums[i]);
        free(set->sums);
        *set = bigger;
    }
    return put(set, sum | 1);
}

/* ---- one campaign: a story, and the walk over its trace ---- */

struct campaign {
    struct story story;
    size_t base;                /* state in force at the walk's first point */
    char why[160];              /* the first thing that was wrong, or "" */
    uint8_t *kept[KEPT_MAX];    /* images to crash again */
    size_t n_kept;
    struct set checked;         /* image and mark */
    bool damaged;               /* the medium is not sound to begin with */
};

static struct nv_arena *open_arena(struct campaign *c)
{
    struct nv_arena *a = NULL;
    struct flic_err err = { 0 };
    int rc = nv_open("recorded", &STORY_STORE, &a, &err);

    if (rc && !c->why[0])
        (void)snprintf(c->why, sizeof(c->why), "the arena does not open: %.100s", err.text);
    return rc ? NULL : a;
}

static void keep(struct campaign *c, const uint8_t *image, size_t size)
{
    if (c->checked.n % 97 || c->n_kept == KEPT_MAX)
        return;
    c->kept[c->n_kept] = malloc(size);
    ck_assert_ptr_nonnull(c->kept[c->n_kept]);
    memcpy(c->kept[c->n_kept++], image, size);
}

static bool recovers(uint8_t *image, size_t size, unsigned marks, void *arg)
{
    struct campaign *c = arg;
    size_t k = c->base + marks, next = k + 1 < c->story.n ? k + 1 : k;
    uint64_t sum = flic_checksum(image, size);
    struct nv_arena *a;
    struct nv_info info;
    uint8_t *before;

    (void)add(&images, sum);
    if (!add(&c->checked, sum + k * 0x9e3779b97f4a7c15ull))
        return true;
    keep(c, image, size);
    before = rec_swap(image);
    a = open_arena(c);
    if (a) {
        nv_get_info(a, &info);
        if (story_holds(a, &c->story.states[k], &c->story.states[next], NULL, c->why, sizeof(c->why)) &&
            info.damaged && !c->damaged)
            (void)snprintf(c->why, sizeof(c->why), "%u records of a sound medium are called damaged", info.damaged);
        nv_close(a);
    }
    (void)rec_swap(before);
    return !c->why[0];
}

static bool walk(struct campaign *c, size_t from)
{
    struct rec_walk w = { .from = from, .per_point = per_point, .seed = 1, .check = recovers, .arg = c };

    rec_record(false);
    return rec_walk(&w);
}

static void begin_campaign(struct campaign *c)
{
    *c = (struct campaign){ .story.returned = rec_mark };
    story_begin(&c->story);
}

static void end_campaign(struct campaign *c)
{
    story_fini(&c->story);
    for (size_t i = 0; i < c->n_kept; i++)
        free(c->kept[i]);
    free(c->checked.sums);
}

/* A fresh arena on the medium. */
static void make_arena(void)
{
    rec_record(false);
    rec_load(NULL, SIZE);
    ck_assert_int_eq(nv_create("recorded", SIZE, &STORY_STORE, NULL), 0);
    rec_load(rec_view(), SIZE);
}

/* ---- stories ---- */

/* Every operation once, with a give-up and a compaction on the way. */
static void every_operation(struct story *s, struct nv_arena *a)
{
    (void)story_commit(s, a, 1, 4, 300);
    (void)story_note(s, a, 1, NV_NOTE_PUBLISHED, 200);
    (void)story_commit(s, a, 2, 3, 9000);
    (void)story_note(s, a, 1, NV_NOTE_RESTORED, 33);
    (void)story_note(s, a, 1, NV_NOTE_DESTAGED, 0);
    (void)story_drop_note(s, a, 1, NV_NOTE_DESTAGED);
    (void)story_note(s, a, 1, NV_NOTE_DESTAGED, 0);
    (void)story_note(s, a, 2, NV_NOTE_PUBLISHED, 16384);
    (void)story_commit(s, a, 3, 6, 0);      /* gives 1 up; compacts */
    (void)story_note(s, a, 40, NV_NOTE_RESTORED, 5000);
    (void)story_note(s, a, 2, NV_NOTE_FORGOTTEN, 0);
    (void)story_abort(s, a, 5);
    (void)story_drop_note(s, a, 2, NV_NOTE_FORGOTTEN);
    (void)story_drop(s, a, 3);
    (void)story_commit(s, a, 4, 11, 100);   /* every frame there is */
    (void)story_note(s, a, 41, NV_NOTE_FORGOTTEN, 8);
    (void)story_drop_note(s, a, 40, NV_NOTE_RESTORED);
}

/* Notes until not even an empty one fits. */
static void fill_log(struct story *s, struct nv_arena *a)
{
    unsigned number = 10;

    (void)story_commit(s, a, 1, 2, 60000);
    (void)story_note(s, a, 1, NV_NOTE_PUBLISHED, 10);
    for (uint32_t len = 16000; number < STORY_OBJECTS; number++) {
        while (len && story_note(s, a, number, NV_NOTE_RESTORED, len))
            len /= 2;
        if (!len && story_note(s, a, number, NV_NOTE_RESTORED, 0))
            break;
    }
    ck_assert_uint_lt(number, STORY_OBJECTS);
}

/* The log is filled to the last line, then freed by drops that find no room for their own record. */
static void full_log(struct story *s, struct nv_arena *a)
{
    fill_log(s, a);
    (void)story_drop_note(s, a, 10, NV_NOTE_RESTORED);
    (void)story_note(s, a, 11, NV_NOTE_RESTORED, 15000);
    (void)story_note(s, a, 1, NV_NOTE_FORGOTTEN, 0);
    (void)story_commit(s, a, 2, 3, 10);
}

/* Begin compacts and reserves the log to the last line; a drop in the middle of the transaction compacts again. */
static void tight_log(struct story *s, struct nv_arena *a)
{
    uint64_t reserved = nvl_record_bytes(sizeof(struct nvl_object) + sizeof(struct nvl_extent) + NV_ROOT_MAX) +
                        nvl_record_bytes(sizeof(struct nvl_note) + 16384);
    uint64_t small = nvl_record_bytes(sizeof(struct nvl_note));
    struct nv_info info;
    struct nv_txn *txn;
    uint64_t big, rest;

    nv_get_info(a, &info);
    big = info.log_bytes - 2 * NVL_LINE - reserved - small;     /* a line for the start record, one that is kept */
    rest = big - nvl_record_bytes(sizeof(struct nvl_note) + 16000);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(story_note(s, a, 1, NV_NOTE_RESTORED, 16000), 0);
    ck_assert_int_eq(story_note(s, a, 4, NV_NOTE_RESTORED,
                                (uint32_t)(rest - NVL_LINE - sizeof(struct nvl_note))), 0);
    (void)story_note(s, a, 2, NV_NOTE_RESTORED, 0);
    ck_assert_int_eq(story_txn_begin(s, a, 1, &txn), 0);
    ck_assert_int_eq(story_drop_note(s, a, 2, NV_NOTE_RESTORED), 0);
    nv_get_info(a, &info);
    ck_assert_uint_eq(info.log_used, NVL_LINE + big);           /* it was dropped by compacting */
    ck_assert_int_eq(story_txn_commit(s, txn, 3, 1, NV_ROOT_MAX), 0);
    ck_assert_int_eq(story_note(s, a, 3, NV_NOTE_PUBLISHED, 16384), 0);
}

/* Whatever comes. */
static void random_operations(struct story *s, struct nv_arena *a, uint64_t seed, unsigned count)
{
    unsigned next = 1;

    while (count--) {
        unsigned some = 1 + (unsigned)(rec_random(&seed) % next);
        uint32_t len = rec_random(&seed) % 8 ? rec_random(&seed) % 700 : rec_random(&seed) % 16384;
        const struct story_object *o = &story_now(s)->o[some];

        switch (rec_random(&seed) % 12) {
        case 0: case 1: case 2:
            if (next < 39 && !story_commit(s, a, next, rec_random(&seed) % 7, len))
                next++;
            break;
        case 3: case 4:
            if (o->present)
                (void)story_note(s, a, some, NV_NOTE_PUBLISHED, len);
            break;
        case 5: case 6:
            if (o->present)
                (void)story_note(s, a, some, NV_NOTE_DESTAGED, 0);
            break;
        case 7:
            (void)story_note(s, a, some, NV_NOTE_RESTORED, len);
            break;
        case 8:
            (void)story_note(s, a, some, NV_NOTE_FORGOTTEN, 0);
            break;
        case 9:
            (void)story_drop_note(s, a, some, rec_random(&seed) % 2 ? NV_NOTE_FORGOTTEN : NV_NOTE_RESTORED);
            break;
        case 10:
            if (o->present && !o->published)
                (void)story_drop(s, a, some);
            break;
        default:
            (void)story_abort(s, a, rec_random(&seed) % 5);
        }
    }
}

/* ---- campaigns; each gives false, and says why, when an image did not recover ---- */

static bool tell(struct campaign *c, bool ok, char why[160])
{
    memcpy(why, c->why, sizeof(c->why));
    end_campaign(c);
    return ok;
}

#define AGAIN (STORY_OBJECTS - 1)   /* the object that is committed after a recovery */

enum tale { EVERY, FILLED, FULL, TIGHT, RANDOM };

static void record(struct campaign *c, enum tale tale, uint64_t seed)
{
    struct nv_arena *a;

    make_arena();
    begin_campaign(c);
    rec_record(true);
    a = open_arena(c);
    ck_assert_ptr_nonnull(a);
    if (tale == EVERY)
        every_operation(&c->story, a);
    else if (tale == FILLED)
        fill_log(&c->story, a);
    else if (tale == FULL)
        full_log(&c->story, a);
    else if (tale == TIGHT)
        tight_log(&c->story, a);
    else
        random_operations(&c->story, a, seed, 40);
    nv_close(a);
    rec_record(false);
}

/* The arena that opened tells what it holds; then it gets one more object, and the power goes. `told` is the call at
 * which the telling was done, if the remains before it are another campaign's business. */
static bool go_on(struct campaign *c, struct nv_arena *a, bool told)
{
    size_t from = told ? rec_ops() : 0;

    if (told) {
        rec_mark();
        c->base = (size_t)-1;       /* that mark leads to state 0 */
    }
    (void)story_commit(&c->story, a, AGAIN, 1, 100);
    nv_close(a);
    return walk(c, from);
}

/* A damaged switch in a log that is full to the last line: opening writes the log again, and the drop that follows
 * writes it a second time. */
static bool damage_passes(char why[160])
{
    struct story_state nothing = { .o = { { 0 } } };
    struct campaign c;
    struct nv_arena *a;
    bool ok;

    record(&c, FILLED, 0);
    end_campaign(&c);
    rec_view()[NVL_SWITCH_AT] ^= 0x10;
    rec_load(rec_view(), SIZE);
    begin_campaign(&c);
    c.damaged = true;
    rec_record(true);
    a = open_arena(&c);
    ck_assert_ptr_nonnull(a);
    (void)story_holds(a, &nothing, &nothing, &c.story.states[0], NULL, 0);
    ck_assert_int_eq(story_drop_note(&c.story, a, 10, NV_NOTE_RESTORED), 0);
    ok = go_on(&c, a, false);
    return tell(&c, ok, why);
}

/* The power goes again while an image is being recovered, and after it. */
static bool cut_again(const uint8_t *image, struct campaign *outer)
{
    struct story_state nothing = { .o = { { 0 } } };
    struct campaign c;
    struct nv_arena *a;
    bool ok;

    rec_load(image, SIZE);
    begin_campaign(&c);
    rec_record(true);
    a = open_arena(&c);
    if (a)
        (void)story_holds(a, &nothing, &nothing, &c.story.states[0], NULL, 0);
    ok = a && go_on(&c, a, false);
    return tell(&c, ok, outer->why);
}

static bool cuts_pass(enum tale tale, uint64_t seed, char why[160])
{
    struct campaign c;
    bool ok;

    record(&c, tale, seed);
    ok = walk(&c, 0);
    for (size_t i = 0; ok && i < c.n_kept; i++)
        ok = cut_again(c.kept[i], &c);
    return tell(&c, ok, why);
}

/* flicd is killed after `ops` calls and started again; what that one is told survives a power cut right after. */
static bool kill_passes(size_t ops, struct campaign *outer)
{
    unsigned marks = rec_kill_after(ops);
    size_t next = marks + 1 < outer->story.n ? marks + 1 : marks;
    struct campaign c;
    struct nv_arena *a;
    bool ok;

    begin_campaign(&c);
    rec_record(true);
    a = open_arena(&c);
    ok = a && story_holds(a, &outer->story.states[marks], &outer->story.states[next], &c.story.states[0],
                          c.why, sizeof(c.why));
    if (ok)
        ok = go_on(&c, a, true);
    else
        nv_close(a);
    rec_record(false);
    return tell(&c, ok, outer->why);
}

static bool kills_pass(enum tale tale, size_t step, char why[160])
{
    struct campaign c;
    size_t ops;
    bool ok = true;

    record(&c, tale, 0);
    rec_stash();
    ops = rec_ops();
    for (size_t k = 0; ok && k < ops; k += step)
        ok = kill_passes(k, &c);
    return tell(&c, ok, why);
}

/* A creation cut off anywhere can be done again or is complete; a complete one has both its superblocks. */
static bool created(uint8_t *image, size_t size, unsigned marks, void *arg)
{
    struct campaign *c = arg;
    uint8_t *before = rec_swap(image);
    struct nv_arena *a = NULL;
    struct nv_info info;
    int rc = nv_open("recorded", &STORY_STORE, &a, NULL);

    (void)add(&images, flic_checksum(image, size));
    if (rc && (marks || nv_create("recorded", SIZE, &STORY_STORE, NULL) ||
               nv_open("recorded", &STORY_STORE, &a, NULL)))
        (void)snprintf(c->why, sizeof(c->why), "a creation that was cut off cannot be done again");
    if (a) {
        nv_get_info(a, &info);
        if (marks && info.damaged)
            (void)snprintf(c->why, sizeof(c->why), "a complete arena has a damaged superblock");
        nv_close(a);
    }
    (void)rec_swap(before);
    return !c->why[0];
}

static bool creation_passes(char why[160])
{
    struct rec_walk w = { .per_point = 8 * per_point, .seed = 2, .check = created };
    struct campaign c;
    bool ok;

    rec_load(NULL, SIZE);
    begin_campaign(&c);
    rec_record(true);
    ck_assert_int_eq(nv_create("recorded", SIZE, &STORY_STORE, NULL), 0);
    rec_mark();
    rec_record(false);
    w.arg = &c;
    ok = rec_walk(&w);
    return tell(&c, ok, why);
}

/* A bad superblock is written again when the arena is opened; once it is open, both are good for ever. */
static bool repair_passes(unsigned copy, char why[160])
{
    struct rec_walk w = { .per_point = per_point, .seed = 3, .check = created };
    struct campaign c;
    bool ok;

    make_arena();
    rec_view()[NVL_SUPER_AT(copy) + 40] ^= 0xff;
    rec_load(rec_view(), SIZE);
    begin_campaign(&c);
    rec_record(true);
    nv_close(open_arena(&c));
    rec_mark();
    rec_record(false);
    w.arg = &c;
    ok = !c.why[0] && rec_walk(&w);
    return tell(&c, ok, why);
}

static bool everything_passes(char why[160])
{
    return creation_passes(why) && repair_passes(0, why) && repair_passes(1, why) && cuts_pass(EVERY, 0, why) &&
           cuts_pass(FULL, 0, why) && cuts_pass(TIGHT, 0, why) && damage_passes(why) && kills_pass(EVERY, 1, why) && kills_pass(FULL, 1, why) &&
           cuts_pass(RANDOM, 1, why);
}

/* ---- the tests ---- */

static char why[160];

START_TEST(every_operation_survives_a_power_cut_at_any_fence)
{
    ck_assert_msg(cuts_pass(EVERY, 0, why), "%s", why);
}
END_TEST

START_TEST(a_full_log_survives_a_power_cut_at_any_fence)
{
    ck_assert_msg(cuts_pass(FULL, 0, why), "%s", why);
}
END_TEST

START_TEST(two_compactions_in_a_row_survive_a_power_cut_at_any_fence)
{
    ck_assert_msg(cuts_pass(TIGHT, 0, why), "%s", why);
    ck_assert_msg(damage_passes(why), "%s", why);
}
END_TEST

START_TEST(random_operations_survive_a_power_cut_at_any_fence)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        ck_assert_msg(cuts_pass(RANDOM, seed, why), "seed %u: %s", (unsigned)seed, why);
}
END_TEST

START_TEST(what_a_killed_flicd_left_in_the_cache_is_durable_before_it_is_told)
{
    ck_assert_msg(kills_pass(EVERY, 1, why), "%s", why);
    ck_assert_msg(kills_pass(FULL, 3, why), "%s", why);
}
END_TEST

START_TEST(a_creation_that_was_cut_off_can_be_done_again)
{
    ck_assert_msg(creation_passes(why), "%s", why);
}
END_TEST

START_TEST(a_damaged_superblock_is_repaired_for_good)
{
    ck_assert_msg(repair_passes(0, why), "first copy: %s", why);
    ck_assert_msg(repair_passes(1, why), "second copy: %s", why);
}
END_TEST

START_TEST(without_any_one_flush_or_fence_the_checker_fails)
{
    unsigned flushes = 0, fences = 0, streams = 0;
    int sites;

    ck_assert_msg(everything_passes(why), "%s", why);
    sites = rec_sites();
    for (int site = 0; site < sites; site++) {
        const char *kind = rec_site_kind(site);
        uintptr_t at[2];

        rec_mute(site);
        ck_assert_msg(!everything_passes(why), "%s number %d can be left out and nobody notices", kind, site);
        rec_site_places(site, at);
        if (getenv("NVRAM_REPORT"))
            printf("without %-6s +0x%lx +0x%lx: %s\n", kind, (unsigned long)at[0], (unsigned long)at[1], why);
        flushes += !strcmp(kind, "flush");
        fences += !strcmp(kind, "fence");
        streams += !strcmp(kind, "stream");
    }
    rec_mute(-1);
    ck_assert_uint_ge(flushes, 6);
    ck_assert_uint_ge(fences, 6);
    ck_assert_uint_eq(streams, 2);
}
END_TEST

static void report(void)
{
    if (getenv("NVRAM_REPORT"))
        printf("%zu distinct images recovered, %d sites\n", images.n, rec_sites());
}

int main(void)
{
    Suite *suite = suite_create("nvram-crash");
    TCase *tcase = tcase_create("power cuts");
    SRunner *runner = srunner_create(suite);
    const char *dense = getenv("NVRAM_PER_POINT");
    int failed;

    if (dense && atoi(dense) > 0)
        per_point = (unsigned)atoi(dense);
    tcase_set_timeout(tcase, 600);
    tcase_add_checked_fixture(tcase, NULL, report);
    tcase_add_test(tcase, every_operation_survives_a_power_cut_at_any_fence);
    tcase_add_test(tcase, a_full_log_survives_a_power_cut_at_any_fence);
    tcase_add_test(tcase, two_compactions_in_a_row_survive_a_power_cut_at_any_fence);
    tcase_add_test(tcase, random_operations_survive_a_power_cut_at_any_fence);
    tcase_add_test(tcase, what_a_killed_flicd_left_in_the_cache_is_durable_before_it_is_told);
    tcase_add_test(tcase, a_creation_that_was_cut_off_can_be_done_again);
    tcase_add_test(tcase, a_damaged_superblock_is_repaired_for_good);
    tcase_add_test(tcase, without_any_one_flush_or_fence_the_checker_fails);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, damage_tests());
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
