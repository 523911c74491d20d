/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Periodic checkpoints: when the next is due (the test is the clock), what is kept, and what is written down about it. */
#include "daemon/protect_file.h"
#include "daemon/schedule.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define S 1000000ull

static char dir[64], path[96];
static struct flic_err err;
static struct pt_setting loaded[PT_GUESTS_MAX];
static size_t n_loaded;

static void set_up(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/test-protect.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/protected.json", dir);
    err = (struct flic_err){ 0 };
}

static void tear_down(void)
{
    (void)unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

/* ---- when ---- */

START_TEST(the_first_is_due_at_once_and_the_next_a_beat_after_it_was_due_not_after_it_ended)
{
    struct sc_plan p;

    sc_begin(&p, 5 * S, 100 * S);
    ck_assert(sc_is_due(&p, 100 * S));
    ck_assert_uint_eq(sc_end(&p, 102 * S, true), 0);
    ck_assert(!sc_is_due(&p, 105 * S - 1));
    ck_assert(sc_is_due(&p, 105 * S));
    ck_assert_uint_eq(sc_end(&p, 107 * S, true), 0);
    ck_assert_uint_eq(p.due_us, 110 * S);
}
END_TEST

START_TEST(beats_that_pass_meanwhile_are_left_out_and_counted_never_made_up_for)
{
    struct sc_plan p;
    unsigned made = 0;

    sc_begin(&p, 5 * S, 0);
    for (uint64_t now = 0; now < 100 * S; now += S) {   /* each takes 12 s */
        if (!sc_is_due(&p, now))
            continue;
        now += 12 * S;
        ck_assert_uint_eq(sc_end(&p, now, true), 2);
        ck_assert(!sc_is_due(&p, now));                 /* no pile-up: not at once again */
        made++;
    }
    ck_assert_uint_eq(made, 7);
    ck_assert_uint_eq(p.left_out, 14);
}
END_TEST

START_TEST(after_failures_the_wait_doubles_up_to_a_minute_and_success_ends_that)
{
    static const uint64_t waits[] = { 10, 20, 40, 60, 60 };
    struct sc_plan p;
    uint64_t now = 0;

    sc_begin(&p, 5 * S, 0);
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        ck_assert_uint_eq(sc_end(&p, now, false), 0);
        ck_assert_uint_eq(p.due_us - now, waits[i] * S);
        now = p.due_us;
    }
    (void)sc_end(&p, now, true);
    ck_assert_uint_eq(p.failures, 0);
    ck_assert_uint_eq(p.due_us - now, 5 * S);
    for (int i = 0; i < 100; i++)
        (void)sc_end(&p, now, false);
    ck_assert_uint_eq(p.due_us - now, 60 * S);
    sc_begin(&p, 3600 * S, now);
    (void)sc_end(&p, now, false);
    ck_assert_uint_eq(p.due_us - now, 3600 * S);
}
END_TEST

START_TEST(a_guest_that_is_not_there_is_looked_for_every_second_and_that_is_no_failure)
{
    struct sc_plan p;

    sc_begin(&p, 60 * S, 0);
    sc_postpone(&p, 0);
    ck_assert_uint_eq(p.due_us, 1 * S);
    ck_assert_uint_eq(p.failures, 0);
    ck_assert_uint_eq(p.left_out, 0);
}
END_TEST

/* ---- what is kept ---- */

START_TEST(the_newest_are_kept_by_number_and_the_oldest_go_first)
{
    uint64_t made[] = { 9, 4, 12, 7, 5 };

    ck_assert_uint_eq(sc_surplus(made, 5, 3), 2);
    ck_assert_uint_eq(made[0], 4);
    ck_assert_uint_eq(made[1], 5);
    ck_assert_uint_eq(sc_surplus(made, 5, 5), 0);
    ck_assert_uint_eq(sc_surplus(made, 0, 1), 0);
}
END_TEST

/* ---- what is written down ---- */

static struct pt_setting setting(uint8_t id)
{
    struct pt_setting s = { .every_ms = 5000, .keep = 3, .ram_only = id % 2, .made = { 3, 4, 1000000 }, .n_made = 3 };

    memset(s.guest.b, id, sizeof(s.guest.b));
    (void)snprintf(s.name, sizeof(s.name), "guest %u", id);
    return s;
}

START_TEST(settings_come_back_as_they_were)
{
    struct pt_setting one = setting(1), two = setting(2);
    const struct pt_setting *all[] = { &one, &two };

    ck_assert_int_eq(pt_file_load(dir, loaded, &n_loaded, &err), 0);
    ck_assert_uint_eq(n_loaded, 0);
    ck_assert_int_eq(pt_file_save(dir, all, 2, &err), 0);
    ck_assert_int_eq(pt_file_load(dir, loaded, &n_loaded, &err), 0);
    ck_assert_uint_eq(n_loaded, 2);
    ck_assert(!memcmp(&loaded[0], &one, sizeof(one)) && !memcmp(&loaded[1], &two, sizeof(two)));
    ck_assert_int_eq(pt_file_save(dir, all, 0, &err), 0);
    ck_assert_int_eq(pt_file_load(dir, loaded, &n_loaded, &err), 0);
    ck_assert_uint_eq(n_loaded, 0);
}
END_TEST

START_TEST(invariant_7_a_damaged_file_protects_nothing_and_says_what_to_do)
{
#define GUEST_OF(every, keep, made) \
    "{\"guests\":[{\"uuid\":\"01010101-0101-0101-0101-010101010101\",\"domain\":\"web\",\"every_ms\":" every ",\"keep\":" keep ",\"made\":" made "}]}"
    static const char *const texts[] = {
        "", "[]", "{}", "{\"guests\":{}}", "{\"guests\":[7]}", "{\"guests\":[{\"uuid\":\"web\",\"domain\":\"web\"}]}",
        GUEST_OF("999", "3", "[]"), GUEST_OF("86400001", "3", "[]"), GUEST_OF("5000", "0", "[]"), GUEST_OF("5000", "33", "[]"),
        GUEST_OF("5000", "3", "[0]"), GUEST_OF("5000", "3", "[-1]"), GUEST_OF("5000", "3", "[4,4]"), GUEST_OF("5000", "3", "[\"4\"]"),
        GUEST_OF("5000", "3", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,"
                 "39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63,64,65]"),
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        FILE *f = fopen(path, "w");

        ck_assert(f && fputs(texts[i], f) >= 0 && !fclose(f));
        ck_assert_msg(pt_file_load(dir, loaded, &n_loaded, &err) == FLIC_E_DAMAGED, "'%s' passed", texts[i]);
        ck_assert_uint_eq(n_loaded, 0);
        ck_assert_ptr_nonnull(strstr(err.text, "flic protect"));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("protect");
    TCase *t = tcase_create("protect");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, the_first_is_due_at_once_and_the_next_a_beat_after_it_was_due_not_after_it_ended);
    tcase_add_test(t, beats_that_pass_meanwhile_are_left_out_and_counted_never_made_up_for);
    tcase_add_test(t, after_failures_the_wait_doubles_up_to_a_minute_and_success_ends_that);
    tcase_add_test(t, a_guest_that_is_not_there_is_looked_for_every_second_and_that_is_no_failure);
    tcase_add_test(t, the_newest_are_kept_by_number_and_the_oldest_go_first);
    tcase_add_test(t, settings_come_back_as_they_were);
    tcase_add_test(t, invariant_7_a_damaged_file_protects_nothing_and_says_what_to_do);
    suite_add_tcase(s, t);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
