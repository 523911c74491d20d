/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Whatever call fails while a guest is tracked, and wherever it vanishes: the guest runs on, the next try starts from nothing known,
 * and what is saved then is right. Every nth call of Xen's face, of the packs and of the allocator is made to fail in turn.
 */
#include "tests/unit/track-scene.h"

#include <errno.h>

static unsigned count, fail_at;
static bool armed;

static bool now_fails(void)
{
    return armed && ++count == fail_at;
}

#define FAULT(name, params, args, code) \
    int __real_##name params; \
    int __wrap_##name params; \
    int __wrap_##name params { return now_fails() ? flic_err_set(e, code, #name ": made to fail") : __real_##name args; }

FAULT(pk_writer_new, (struct pk_store *s, struct pk_writer **w, struct flic_err *e), (s, w, e), -EMFILE)
FAULT(pk_put, (struct pk_writer *w, enum pk_kind k, const void *d, size_t l, struct flic_id *i, bool *b, struct flic_err *e),
      (w, k, d, l, i, b, e), FLIC_E_NOSPACE)
FAULT(pk_seal, (struct pk_writer *w, struct flic_err *e), (w, e), FLIC_E_NOSPACE)

static unsigned allocations, starve_at;
static bool starving;

static bool is_starved(void)
{
    return starving && ++allocations == starve_at;
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__wrap_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    return is_starved() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t m)
{
    return is_starved() ? NULL : __real_calloc(n, m);
}

void *__wrap_realloc(void *p, size_t n)
{
    return is_starved() ? NULL : __real_realloc(p, n);
}

static struct image image;

static void set_up(void)
{
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, 640);
}

static void tear_down(void)
{
    armed = starving = false;
    track_end();
    image_free(&image);
    scene_end();
}

static const char *const calls[] = { "open", "info", "can_save", "track_on", "track_clean", "map_pages" };
#define N_CALLS (sizeof(calls) / sizeof(calls[0]))

/* Neither the harness nor Xen's twin is to be starved. */
static bool starves;

static void feed(uint32_t domid, void *arg)
{
    (void)domid;
    starving = arg && starves;
}

static void feed_the_twin(void)
{
    for (size_t i = 0; i < N_CALLS; i++) {
        flx_fake_before(calls[i], feed, NULL);
        flx_fake_after(calls[i], feed, &starves);
    }
    flx_fake_before("track_off", feed, NULL);
    flx_fake_after("track_off", feed, &starves);
}

/* What flicd does with an error: free, and begin anew later. Returns the first error. */
static int track_a_while(void)
{
    const struct tk_conf conf = { .epoch_min_ms = 1000, .epoch_max_ms = 1000, .clean_epochs = 2 };
    struct ck_base *base;
    int rc;

    clock_us = clock_cpu_us = SECOND;
    pace = (struct tk_pace){ .clock = &scene_clock, .bytes_per_s = 1 << 30, .cpu_percent = 100 };
    rc = tk_new(store, GUEST, &conf, &pace, &tracked, &err);
    for (int i = 0; !rc && i < 5; i++) {
        starving = false;
        scene_dirty(GUEST, 200, 40, (uint32_t)i);
        starving = starves;
        rc = track_try(SECOND);
    }
    if (!rc) {
        rc = tk_lend(tracked, &base, &err);
        if (!rc)
            tk_give_back(tracked);
    }
    starving = false;
    return rc;
}

static void expect_a_right_save(void)
{
    struct nv_name name;

    track_end();
    ck_assert(!flx_fake_tracked(GUEST));
    OK(track_a_while());
    name = track_save(&image, NULL, NULL);
    scene_restore_and_compare(&name, &image);
    track_end();
}

START_TEST(whichever_call_of_xens_fails_the_next_try_is_right)
{
    for (size_t i = 0; i < N_CALLS; i++) {
        unsigned before = flx_fake_calls(calls[i]), n;

        OK(track_a_while());
        track_end();
        n = flx_fake_calls(calls[i]) - before;
        ck_assert_uint_gt(n, 0);
        for (unsigned nth = 1; nth <= n; nth++) {
            flx_fake_fail(calls[i], nth, FLIC_E_XEN);
            ck_assert_int_eq(track_a_while(), FLIC_E_XEN);
            expect_a_right_save();
        }
    }
}
END_TEST

START_TEST(whichever_write_to_flash_fails_the_next_try_is_right)
{
    armed = true;
    count = fail_at = 0;
    OK(track_a_while());
    armed = false;
    track_end();
    ck_assert_uint_gt(count, 400);
    for (fail_at = 1; fail_at <= 480; fail_at += fail_at < 5 ? 1 : 97) {
        armed = true;
        count = 0;
        if (!track_a_while())       /* found in the store the second time: fewer calls */
            ck_assert_uint_lt(count, fail_at);
        armed = false;
        expect_a_right_save();
    }
}
END_TEST

START_TEST(whichever_allocation_fails_the_next_try_is_right)
{
    unsigned failed = 0;

    feed_the_twin();
    for (starve_at = 1; !failed || allocations >= starve_at - 1; starve_at++) {
        allocations = 0;
        starving = starves = true;
        failed += track_a_while() == -ENOMEM;
        starving = starves = false;
        expect_a_right_save();
    }
    ck_assert_uint_ge(failed, 12);
    ck_assert_uint_ge(failed + 4, starve_at - 2);       /* a few can be done without */
}
END_TEST

static int beginning;       /* the last outcome of begin_filled() */

static void begin_filled(const struct ck_loaded *from)
{
    const struct tk_conf conf = { .epoch_min_ms = 1000, .epoch_max_ms = 1000, .clean_epochs = 2 };

    beginning = tk_new_filled(store, GUEST, &conf, &pace, from, &tracked, &err);
    starving = armed = false;
    ck_assert(!beginning == flx_fake_tracked(GUEST));
}

static void whichever_call_fails(const struct ck_loaded *from)
{
    for (size_t i = 0; i < N_CALLS - 2; i++) {      /* no CLEAN and no page is asked for here */
        flx_fake_fail(calls[i], 1, FLIC_E_XEN);
        begin_filled(from);
        ck_assert_int_eq(beginning, FLIC_E_XEN);
    }
    armed = true;
    count = 0;
    fail_at = 1;
    begin_filled(from);
    ck_assert_int_eq(beginning, -EMFILE);
}

static void whichever_allocation_fails(const struct ck_loaded *from)
{
    for (starve_at = 1, beginning = -ENOMEM; beginning; starve_at++) {
        allocations = 0;
        starving = starves = true;
        begin_filled(from);
        ck_assert(!beginning || beginning == -ENOMEM);
    }
    starves = false;
    ck_assert_uint_ge(starve_at, 12);
}

/* At last it is begun; then the guest runs, writes, and is saved. */
START_TEST(whatever_fails_where_a_restored_guest_begins_to_be_tracked_it_is_left_alone_and_the_next_try_is_right)
{
    void (*const trials[])(const struct ck_loaded *) = { whichever_call_fails, whichever_allocation_fails };
    struct nv_name name = scene_save(GUEST, NULL, NULL);

    pace = (struct tk_pace){ .clock = &scene_clock, .bytes_per_s = 1 << 30, .cpu_percent = 100 };
    for (size_t i = 0; i < 2; i++) {
        flx_fake_kill(GUEST);
        feed_the_twin();
        OK(scene_restore_into(&name, GUEST, trials[i], NULL));
        flx_fake_set_name(GUEST, "web");
        flx_fake_set_run(GUEST, FLX_RUNNING);
        scene_dirty(GUEST, 200, 40, (uint32_t)i);
        if (!beginning)
            name = track_save(&image, NULL, NULL);
        else
            expect_a_right_save();
        track_end();
    }
    scene_restore_and_compare(&name, &image);
}
END_TEST

static unsigned steps_left;

static void vanish(uint32_t domid, void *arg)
{
    (void)arg;
    if (steps_left && !--steps_left)
        flx_fake_kill(domid);
}

START_TEST(a_guest_that_vanishes_before_any_call_ends_its_tracking_with_that_reason)
{
    for (size_t i = 1; i < N_CALLS; i++) {      /* from "info" on: it has to be there to be opened */
        for (unsigned nth = 1; nth <= 6; nth++) {
            int rc;

            steps_left = nth;
            flx_fake_before(calls[i], vanish, NULL);
            rc = track_a_while();
            flx_fake_before(calls[i], NULL, NULL);
            if (steps_left) {                   /* not called so often */
                OK(rc);
                track_end();
                break;
            }
            ck_assert_msg(rc == FLIC_E_NODOMAIN, "%s, call %u: %d, %s", calls[i], nth, rc, err.text);
            track_end();
            ck_assert_uint_eq(flx_fake_maps(), 0);
            scene_guest(GUEST, "web", 1, 640);
        }
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("track-faults");
    TCase *t = tcase_create("track-faults");

    tcase_set_timeout(t, 180);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, whichever_call_of_xens_fails_the_next_try_is_right);
    tcase_add_test(t, whichever_write_to_flash_fails_the_next_try_is_right);
    tcase_add_test(t, whichever_allocation_fails_the_next_try_is_right);
    tcase_add_test(t, whatever_fails_where_a_restored_guest_begins_to_be_tracked_it_is_left_alone_and_the_next_try_is_right);
    tcase_add_test(t, a_guest_that_vanishes_before_any_call_ends_its_tracking_with_that_reason);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
