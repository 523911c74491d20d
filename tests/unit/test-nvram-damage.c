/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * The arena against bad bytes: one flipped byte anywhere, records that anyone could have written, and a medium that
 * stops taking writes. Runs on the recording medium, which is plain memory here.
 */
#include "tests/unit/test-nvram-crash.h"

#include "tests/unit/nvram-recorder.h"
#include "tests/unit/nvram-story.h"

#include "daemon/nvram/layout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE ((size_t)NVL_SIZE_MIN)

static uint64_t half_bytes(void)
{
    struct nvl_geometry geo;

    ck_assert(nvl_geometry_of(SIZE, &geo));
    return geo.log_bytes;
}

static struct nv_arena *open_or_null(struct flic_err *err)
{
    struct nv_arena *a = NULL;

    return nv_open("memory", &STORY_STORE, &a, err) ? NULL : a;
}

static struct nv_arena *fresh(void)
{
    struct nv_arena *a;

    rec_record(false);
    rec_fail_fence(0);
    rec_load(NULL, SIZE);
    ck_assert_int_eq(nv_create("memory", SIZE, &STORY_STORE, NULL), 0);
    a = open_or_null(NULL);
    ck_assert_ptr_nonnull(a);
    return a;
}

/* Three objects and notes of each kind, in the second half of the log. */
static struct story *usual_content(uint64_t *ret_log_used)
{
    static struct story s;
    struct nv_arena *a = fresh();
    struct nv_info info;

    story_begin(&s);
    ck_assert_int_eq(story_commit(&s, a, 1, 3, 700), 0);
    ck_assert_int_eq(story_note(&s, a, 1, NV_NOTE_PUBLISHED, 90), 0);
    ck_assert_int_eq(story_note(&s, a, 5, NV_NOTE_RESTORED, 16000), 0);
    ck_assert_int_eq(story_note(&s, a, 5, NV_NOTE_RESTORED, 16000), 0);
    ck_assert_int_eq(story_drop_note(&s, a, 5, NV_NOTE_RESTORED), 0);
    ck_assert_int_eq(story_commit(&s, a, 2, 2, 1), 0);      /* compacts */
    ck_assert_int_eq(story_note(&s, a, 7, NV_NOTE_RESTORED, 20), 0);
    ck_assert_int_eq(story_drop_note(&s, a, 7, NV_NOTE_RESTORED), 0);
    ck_assert_int_eq(story_note(&s, a, 1, NV_NOTE_DESTAGED, 0), 0);
    ck_assert_int_eq(story_note(&s, a, 6, NV_NOTE_FORGOTTEN, 4), 0);
    ck_assert_int_eq(story_note(&s, a, 2, NV_NOTE_PUBLISHED, 10), 0);
    ck_assert_int_eq(story_note(&s, a, 2, NV_NOTE_RESTORED, 10), 0);
    ck_assert_int_eq(story_commit(&s, a, 3, 4, 70), 0);
    nv_get_info(a, &info);
    *ret_log_used = info.log_used;
    nv_close(a);
    return &s;
}

/* Each object of `s` is there as it was or not at all, or lacks notes; what is there is whole. */
static void check_subset(struct nv_arena *a, const struct story *s, uint64_t at)
{
    struct story_state nothing = { .o = { { 0 } } }, found;
    const struct story_state *was = story_now(s);
    char why[160] = "";

    (void)story_holds(a, was, &nothing, &found, why, sizeof(why));
    ck_assert_msg(!strstr(why, "whole") && !strstr(why, "wrong") && !strstr(why, "lost"), "byte %llu: %s",
                  (unsigned long long)at, why);
    for (unsigned i = 1; i < STORY_OBJECTS; i++)
        ck_assert_msg(!found.o[i].present || was->o[i].present, "byte %llu: object %u from nowhere",
                      (unsigned long long)at, i);
}

static unsigned detected, harmless, refused;

static void flip(const uint8_t *image, uint8_t *scratch, const struct story *s, uint64_t at)
{
    uint64_t random = at;
    struct flic_err err = { 0 };
    struct nv_arena *a;
    struct nv_info info;
    char why[160];

    memcpy(scratch, image, SIZE);
    scratch[at] ^= (uint8_t)(1 + rec_random(&random) % 255);
    a = open_or_null(&err);
    if (!a) {
        ck_assert_int_eq(err.code, FLIC_E_DAMAGED);
        refused++;
        return;
    }
    nv_get_info(a, &info);
    if (info.damaged) {
        check_subset(a, s, at);
        detected++;
    } else {
        ck_assert_msg(story_holds(a, story_now(s), story_now(s), NULL, why, sizeof(why)), "byte %llu changed and nobody "
                      "noticed: %s", (unsigned long long)at, why);
        harmless++;
    }
    nv_close(a);
}

START_TEST(every_flipped_byte_of_log_and_superblocks_is_noticed_or_harmless)
{
    uint64_t used, log = half_bytes();
    struct story *s = usual_content(&used);
    uint8_t *image = malloc(SIZE), *before;

    ck_assert_ptr_nonnull(image);
    memcpy(image, rec_view(), SIZE);
    before = rec_view();
    for (uint64_t at = 0; at < sizeof(struct nvl_super) + 64; at++) {
        flip(image, before, s, NVL_SUPER_AT(0) + at);
        flip(image, before, s, NVL_SUPER_AT(1) + at);
    }
    for (uint64_t at = 0; at < 64; at++)
        flip(image, before, s, NVL_SWITCH_AT + at);
    detected = harmless = refused = 0;
    for (uint64_t at = 0; at < used + 256; at++)
        flip(image, before, s, NVL_LOG_AT + log + at);
    /* Heads, switches and payloads are all covered; only the filling behind a payload is not. */
    ck_assert_uint_gt(detected, used * 2 / 3);
    ck_assert_uint_eq(refused, 0);
    for (uint64_t at = 0; at < log; at += 61)
        flip(image, before, s, NVL_LOG_AT + at);
    if (getenv("NVRAM_REPORT"))
        printf("%llu bytes of log: %u flips noticed, %u harmless, %u refused\n", (unsigned long long)used, detected,
               harmless, refused);
    free(image);
    story_fini(s);
}
END_TEST

START_TEST(one_flipped_byte_in_a_switch_loses_nothing)
{
    uint64_t used, log = half_bytes();
    struct story *s = usual_content(&used);
    uint8_t *image = malloc(SIZE);
    unsigned records = 0;
    struct nv_info info;
    char why[160];

    ck_assert_ptr_nonnull(image);
    memcpy(image, rec_view(), SIZE);
    for (uint64_t at = 0; at < used; records++) {
        struct nvl_head head;

        memcpy(&head, image + NVL_LOG_AT + log + at, sizeof(head));
        for (unsigned byte = 0; byte < sizeof(head.sw); byte++) {
            struct nv_arena *a;

            memcpy(rec_view(), image, SIZE);
            rec_view()[NVL_LOG_AT + log + at + byte] ^= 0xff;
            a = open_or_null(NULL);
            ck_assert_ptr_nonnull(a);
            ck_assert_msg(story_holds(a, story_now(s), story_now(s), NULL, why, sizeof(why)), "%s", why);
            nv_close(a);
            a = open_or_null(NULL);     /* and opening it healed it */
            nv_get_info(a, &info);
            ck_assert_uint_eq(info.damaged, 0);
            nv_close(a);
        }
        at += nvl_record_bytes(head.payload_len);
    }
    ck_assert_uint_ge(records, 8);
    free(image);
    story_fini(s);
}
END_TEST

/* ---- records that were not written by the arena ---- */

/* Appends a record with right sums to the log of an empty arena. */
static void forge(uint64_t *at, uint64_t seq, enum nvl_kind kind, const void *payload, uint32_t len)
{
    struct nvl_head head = { .magic = NVL_RECORD_MAGIC, .kind = (uint16_t)kind, .generation = 1, .payload_len = len,
                             .seq = seq, .payload_sum = flic_checksum(payload, len) };
    struct nvl_super super;

    memcpy(&super, rec_view(), sizeof(super));
    head.head_sum = nvl_head_sum(super.salt, &head);
    head.sw = nvl_record_switch(head.head_sum);
    memcpy(rec_view() + NVL_LOG_AT + *at, &head, sizeof(head));
    memcpy(rec_view() + NVL_LOG_AT + *at + sizeof(head), payload, len);
    *at += nvl_record_bytes(len);
}

struct forged_object {
    struct nvl_object obj;
    struct nvl_extent ext[2];
};

static uint32_t arena_frames(void)
{
    struct nvl_geometry geo;

    ck_assert(nvl_geometry_of(SIZE, &geo));
    return geo.frames;
}

/* The arena opens, calls one record damaged, and every frame is free. */
static void check_refused(const void *payload, uint32_t len, enum nvl_kind kind, const char *what)
{
    struct nv_info info;
    struct nv_arena *a;
    uint64_t at = 0;

    nv_close(fresh());
    forge(&at, 1, kind, payload, len);
    a = open_or_null(NULL);
    ck_assert_ptr_nonnull(a);
    nv_get_info(a, &info);
    ck_assert_msg(info.damaged == 1, "%s: %u records refused", what, info.damaged);
    ck_assert_msg(info.frames_free == info.frames, "%s: frames are lost", what);
    nv_close(a);
}

START_TEST(object_records_with_numbers_that_do_not_fit_are_refused)
{
    uint32_t n = arena_frames();
    const struct { const char *what; struct forged_object o; uint32_t len; } cases[] = {
        { "a frame behind the arena", { { .name.seq = 1, .frames = 1, .extents = 1 }, { { n, 1 } } }, 48 },
        { "an extent past the end", { { .name.seq = 1, .frames = 2, .extents = 1 }, { { n - 1, 2 } } }, 48 },
        { "an extent that wraps", { { .name.seq = 1, .frames = 2, .extents = 1 }, { { 0xffffffff, 2 } } }, 48 },
        { "a count that wraps", { { .name.seq = 1, .frames = 2, .extents = 1 }, { { 1, 0xffffffff } } }, 48 },
        { "more frames than extents give", { { .name.seq = 1, .frames = 3, .extents = 1 }, { { 0, 2 } } }, 48 },
        { "fewer frames than extents give", { { .name.seq = 1, .frames = 1, .extents = 1 }, { { 0, 2 } } }, 48 },
        { "one frame twice", { { .name.seq = 1, .frames = 4, .extents = 2 }, { { 0, 2 }, { 1, 2 } } }, 56 },
        { "more frames than there are", { { .name.seq = 1, .frames = 0xffffffff, .extents = 1 }, { { 0, 1 } } }, 48 },
        { "extents behind the record", { { .name.seq = 1, .frames = 1, .extents = 9000 }, { { 0, 1 } } }, 48 },
        { "extents that wrap", { { .name.seq = 1, .frames = 1, .extents = 0x20000001 }, { { 0, 1 } } }, 48 },
        { "a root behind the record", { { .name.seq = 1, .frames = 1, .extents = 1, .root_len = 1 }, { { 0, 1 } } }, 48 },
        { "bytes behind the root", { { .name.seq = 1, .frames = 1, .extents = 1 }, { { 0, 1 } } }, 49 },
        { "a record shorter than its fixed part", { { .name.seq = 1 }, { { 0, 0 } } }, 39 },
        { "an empty record", { { .name.seq = 1 }, { { 0, 0 } } }, 0 },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_refused(&cases[i].o, cases[i].len, NVL_OBJECT, cases[i].what);
}
END_TEST

START_TEST(note_and_drop_records_with_numbers_that_do_not_fit_are_refused)
{
    struct nvl_note note = { .note = NV_NOTE_RESTORED, .len = 1 };
    struct nvl_drop drop = { .what = 77 };

    check_refused(&note, sizeof(note), NVL_NOTE, "a payload behind the record");
    note = (struct nvl_note){ .note = 9 };
    check_refused(&note, sizeof(note), NVL_NOTE, "an unknown note");
    note.note = 0;
    check_refused(&note, sizeof(note), NVL_NOTE, "note zero");
    check_refused(&note, 8, NVL_NOTE, "a short note");
    note = (struct nvl_note){ .note = NV_NOTE_PUBLISHED };
    check_refused(&note, sizeof(note), NVL_NOTE, "a PUBLISHED note about nothing");
    check_refused(&drop, sizeof(drop), NVL_DROP, "an unknown drop");
    check_refused(&drop, 8, NVL_DROP, "a short drop");
    check_refused(&drop, sizeof(drop), (enum nvl_kind)99, "an unknown kind");
}
END_TEST

START_TEST(of_two_objects_that_claim_one_frame_the_later_keeps_it)
{
    struct forged_object o = { { .name.seq = 1, .frames = 2, .extents = 1 }, { { 0, 2 } } };
    struct nv_name first = { .seq = 1 }, second = { .seq = 2 };
    struct nv_object seen;
    struct nv_info info;
    struct nv_arena *a;
    uint64_t at = 0;

    nv_close(fresh());
    forge(&at, 1, NVL_OBJECT, &o, 48);
    o.obj.name.seq = 2;
    o.ext[0].first = 1;
    forge(&at, 2, NVL_OBJECT, &o, 48);
    a = open_or_null(NULL);
    ck_assert_ptr_nonnull(a);
    ck_assert(!nv_pin(a, &first, &seen));
    ck_assert(nv_pin(a, &second, &seen));
    nv_unpin(a, &second);
    nv_get_info(a, &info);
    ck_assert_uint_eq(info.damaged, 1);
    ck_assert_uint_eq(info.frames_free, info.frames - 2);
    nv_close(a);
}
END_TEST

START_TEST(a_missing_record_in_the_middle_is_counted_and_the_rest_is_read)
{
    struct forged_object o = { { .name.seq = 1, .frames = 1, .extents = 1 }, { { 0, 1 } } };
    struct nv_name last = { .seq = 4 };
    struct nv_object seen;
    struct nv_info info;
    struct nv_arena *a;
    uint64_t at = 0;

    nv_close(fresh());
    forge(&at, 1, NVL_OBJECT, &o, 48);
    at += 640;
    o.obj.name.seq = 4;
    o.ext[0].first = 3;
    forge(&at, 4, NVL_OBJECT, &o, 48);
    a = open_or_null(NULL);
    ck_assert_ptr_nonnull(a);
    ck_assert(nv_pin(a, &last, &seen));
    nv_unpin(a, &last);
    nv_get_info(a, &info);
    ck_assert_uint_eq(info.damaged, 2);
    nv_close(a);
}
END_TEST

START_TEST(random_bytes_in_the_log_never_do_harm)
{
    uint64_t used, log = half_bytes(), random = 11;
    struct story *s = usual_content(&used);
    uint8_t *image = malloc(SIZE);

    ck_assert_ptr_nonnull(image);
    memcpy(image, rec_view(), SIZE);
    for (unsigned round = 0; round < 3000; round++) {
        struct nv_arena *a;

        memcpy(rec_view(), image, SIZE);
        for (unsigned i = 0; i < 1 + round % 40; i++)
            rec_view()[NVL_LOG_AT + log + rec_random(&random) % used] = (uint8_t)rec_random(&random);
        a = open_or_null(NULL);
        if (a)
            check_subset(a, s, round);
        nv_close(a);
    }
    free(image);
    story_fini(s);
}
END_TEST

/* ---- a medium that fails ---- */

START_TEST(after_a_failed_fence_the_arena_refuses_changes_and_stays_readable)
{
    struct nv_name name = story_name(1);
    struct story s = { .n = 0 };
    struct nv_arena *a = fresh();
    struct nv_object obj;
    struct nv_txn *txn;
    struct flic_err err = { 0 };

    story_begin(&s);
    ck_assert_int_eq(story_commit(&s, a, 1, 2, 10), 0);
    rec_fail_fence(1);
    ck_assert_int_eq(story_commit(&s, a, 2, 2, 10), -EIO);
    rec_fail_fence(0);      /* the medium works again; what it lost meanwhile nobody knows */
    ck_assert_int_eq(nv_txn_begin(a, 1, &txn, &err), -EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "restart flicd"));
    ck_assert_int_eq(nv_note_add(a, &name, NV_NOTE_PUBLISHED, NULL, 0, NULL), -EIO);
    ck_assert_int_eq(nv_note_add(a, &name, NV_NOTE_FORGOTTEN, NULL, 0, NULL), -EIO);
    ck_assert_int_eq(nv_drop_unpublished(a, &name, NULL), -EIO);
    ck_assert(nv_pin(a, &name, &obj));
    nv_unpin(a, &name);
    nv_close(a);
    story_fini(&s);
}
END_TEST

/* Objects come, are published and go, until an operation fails; ret_after is the state that it was to reach. */
static void work_until_failure(struct story *s, struct nv_arena *a, struct story_state *ret_after)
{
    for (unsigned i = 1; i < 12; i++) {
        struct story_object *o = &ret_after->o[i];

        *ret_after = *story_now(s);
        *o = (struct story_object){ .present = true, .frames = 1, .root_len = 9000 };
        if (story_commit(s, a, i, 1, 9000))
            return;
        o->published = true;
        o->published_len = 3000;
        if (story_note(s, a, i, NV_NOTE_PUBLISHED, 3000))
            return;
        *o = (struct story_object){ .forgotten = true };
        if (story_note(s, a, i, NV_NOTE_FORGOTTEN, 0))
            return;
    }
}

START_TEST(whichever_fence_fails_the_next_open_finds_a_state_that_was_promised)
{
    for (unsigned nth = 1; nth < 60; nth++) {
        struct story s = { .n = 0 };
        struct nv_arena *a = fresh();
        struct story_state after;
        char why[160];

        story_begin(&s);
        rec_fail_fence(nth);
        work_until_failure(&s, a, &after);
        nv_close(a);
        rec_fail_fence(0);
        a = open_or_null(NULL);
        ck_assert_ptr_nonnull(a);
        ck_assert_msg(story_holds(a, story_now(&s), &after, NULL, why, sizeof(why)), "fence %u: %s", nth, why);
        nv_close(a);
        story_fini(&s);
    }
}
END_TEST

TCase *damage_tests(void)
{
    TCase *tcase = tcase_create("damage");

    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, every_flipped_byte_of_log_and_superblocks_is_noticed_or_harmless);
    tcase_add_test(tcase, one_flipped_byte_in_a_switch_loses_nothing);
    tcase_add_test(tcase, object_records_with_numbers_that_do_not_fit_are_refused);
    tcase_add_test(tcase, note_and_drop_records_with_numbers_that_do_not_fit_are_refused);
    tcase_add_test(tcase, of_two_objects_that_claim_one_frame_the_later_keeps_it);
    tcase_add_test(tcase, a_missing_record_in_the_middle_is_counted_and_the_rest_is_read);
    tcase_add_test(tcase, random_bytes_in_the_log_never_do_harm);
    tcase_add_test(tcase, after_a_failed_fence_the_arena_refuses_changes_and_stays_readable);
    tcase_add_test(tcase, whichever_fence_fails_the_next_open_finds_a_state_that_was_promised);
    return tcase;
}
