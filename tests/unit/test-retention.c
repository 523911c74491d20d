/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Which checkpoints the rules keep, and what is pinned. */
#include "daemon/pins.h"
#include "daemon/retention.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OK(call) do { err = (struct flic_err){ 0 }; int ok_rc = (call); ck_assert_msg(!ok_rc, "%s: %s", #call, err.text); } while (0)
#define HOUR 3600000000000ull

static struct flic_err err;
static struct rt_item items[64];
static size_t n;

static struct flic_uuid guest(uint8_t number)
{
    struct flic_uuid uuid;

    memset(uuid.b, number, sizeof(uuid.b));
    return uuid;
}

static void set_up(void)
{
    n = 0;
}

static void took(uint8_t whose, uint64_t seq, double hours)
{
    items[n] = (struct rt_item){ .guest = guest(whose), .seq = seq, .taken_ns = (uint64_t)(hours * (double)HOUR), .tag = n };
    n++;
}

static bool dropped(uint8_t whose, uint64_t seq)
{
    struct flic_uuid uuid = guest(whose);

    for (size_t i = 0; i < n; i++)
        if (items[i].seq == seq && flic_uuid_equal(&items[i].guest, &uuid))
            return items[i].drop;
    ck_abort_msg("there is no %llu", (unsigned long long)seq);
}

static size_t count_dropped(void)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += items[i].drop;
    return count;
}

static void by_age(unsigned last, unsigned hourly, unsigned daily)
{
    struct rt_rules rules = { .keep_last = last, .keep_hourly = hourly, .keep_daily = daily };

    rt_begin(items, n);
    rt_by_age(&rules, items, n);
}

START_TEST(without_a_rule_nothing_goes)
{
    struct rt_rules none = { 0 };

    for (uint64_t i = 1; i <= 20; i++)
        took(1, i, (double)i);
    by_age(0, 0, 0);
    ck_assert_uint_eq(count_dropped(), 0);
    ck_assert(!rt_any(&none));
}
END_TEST

START_TEST(keep_last_keeps_the_newest_of_each_guest)
{
    for (uint64_t i = 1; i <= 6; i++)
        took(1, i, (double)i);
    took(2, 1, 0.5);
    took(2, 2, 0.6);
    by_age(2, 0, 0);
    ck_assert_uint_eq(count_dropped(), 4);
    for (uint64_t i = 1; i <= 6; i++)
        ck_assert_int_eq(dropped(1, i), i <= 4);
    ck_assert(!dropped(2, 1) && !dropped(2, 2));
}
END_TEST

START_TEST(hourly_keeps_the_newest_of_each_of_the_last_hours_that_have_one)
{
    took(1, 1, 1.1);
    took(1, 2, 1.9);
    took(1, 3, 5.1);        /* no checkpoint for three hours */
    took(1, 4, 5.2);
    took(1, 5, 6.5);
    by_age(0, 2, 0);
    ck_assert(!dropped(1, 5) && !dropped(1, 4));
    ck_assert(dropped(1, 3) && dropped(1, 2) && dropped(1, 1));
    by_age(0, 3, 0);
    ck_assert(!dropped(1, 2) && dropped(1, 1));
}
END_TEST

START_TEST(daily_and_hourly_and_last_add_up)
{
    for (uint64_t i = 1; i <= 10; i++)
        took(1, i, 24.0 * (double)i + 12);
    took(1, 11, 24.0 * 10 + 12.1);
    took(1, 12, 24.0 * 10 + 12.2);
    by_age(2, 0, 3);
    ck_assert(!dropped(1, 12) && !dropped(1, 11));      /* the last two */
    ck_assert(dropped(1, 10));                          /* not the newest of its day */
    ck_assert(!dropped(1, 9) && !dropped(1, 8));
    ck_assert(dropped(1, 7) && dropped(1, 1));
}
END_TEST

START_TEST(the_newest_of_a_guest_and_held_ones_stay_and_use_nothing_up)
{
    for (uint64_t i = 1; i <= 5; i++)
        took(1, i, (double)i);
    items[0].held = items[3].held = true;
    by_age(1, 0, 0);
    ck_assert(!dropped(1, 5) && !dropped(1, 4) && !dropped(1, 1));
    ck_assert(dropped(1, 3) && dropped(1, 2));
    by_age(2, 0, 0);
    ck_assert(!dropped(1, 3) && dropped(1, 2));
}
END_TEST

START_TEST(a_clock_that_went_back_does_not_make_an_older_one_the_newest)
{
    took(1, 1, 100);
    took(1, 2, 1);
    by_age(1, 0, 0);
    ck_assert(!dropped(1, 2) && dropped(1, 1));
}
END_TEST

/* ---- sizes ---- */

static uint64_t sum;
static int fail_at;

static void reset(void *arg)
{
    (void)arg;
    sum = 0;
}

/* Each takes its number of bytes. */
static int add(const struct rt_item *item, uint64_t *ret_bytes, void *arg)
{
    (void)arg;
    *ret_bytes = sum += item->seq;
    return fail_at && item->seq == (uint64_t)fail_at ? -EIO : 0;
}

static int by_size(uint64_t of_guest, uint64_t total)
{
    struct rt_rules rules = { .guest_bytes = of_guest, .total_bytes = total };
    struct rt_sizer sizer = { .reset = reset, .add = add };

    rt_begin(items, n);
    return rt_by_size(&rules, items, n, &sizer);
}

START_TEST(a_guests_quota_drops_its_oldest_until_it_fits)
{
    for (uint64_t i = 10; i <= 14; i++)
        took(1, i, (double)i);
    took(2, 50, 1);
    ck_assert(!by_size(14 + 13, 0));
    ck_assert(!dropped(1, 14) && !dropped(1, 13));
    ck_assert(dropped(1, 12) && dropped(1, 11) && dropped(1, 10));
    ck_assert(!dropped(2, 50));     /* too large, and all there is */
}
END_TEST

START_TEST(the_quota_of_all_drops_the_oldest_of_any_guest)
{
    took(1, 10, 1);
    took(1, 11, 4);
    took(2, 20, 2);
    took(2, 21, 3);
    ck_assert(!by_size(0, 11 + 21 + 20));
    ck_assert(dropped(1, 10) && !dropped(2, 20));
    ck_assert(!by_size(0, 11 + 21 + 19));
    ck_assert(dropped(1, 10) && dropped(2, 20));
    ck_assert(!dropped(1, 11) && !dropped(2, 21));
}
END_TEST

START_TEST(held_ones_are_counted_first)
{
    took(1, 10, 1);
    took(1, 11, 2);
    took(1, 12, 3);
    items[0].held = true;
    ck_assert(!by_size(12 + 10, 0));
    ck_assert(dropped(1, 11) && !dropped(1, 10) && !dropped(1, 12));
}
END_TEST

START_TEST(what_cannot_be_measured_ends_it)
{
    took(1, 10, 1);
    took(1, 11, 2);
    fail_at = 10;
    ck_assert_int_eq(by_size(100, 0), -EIO);
    fail_at = 0;
}
END_TEST

/* ---- pins ---- */

static char dir[64];

static void folder(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/test-retention.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void no_folder(void)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/pinned.json", dir);
    (void)unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

static unsigned pins_of(uint8_t whose, uint64_t seq)
{
    struct flic_uuid uuid = guest(whose);
    struct pn_pin *pins;
    size_t count;
    unsigned by;

    OK(pn_load(dir, &pins, &count, &err));
    by = pn_of(pins, count, &uuid, seq);
    free(pins);
    return by;
}

START_TEST(pins_are_kept_by_who_made_them)
{
    struct flic_uuid one = guest(1), two = guest(2);

    ck_assert_uint_eq(pins_of(1, 3), 0);
    OK(pn_set(dir, &one, 3, PN_USER, true, &err));
    OK(pn_set(dir, &one, 3, PN_FILE, true, &err));
    OK(pn_set(dir, &two, 3, PN_FILE, true, &err));
    ck_assert_uint_eq(pins_of(1, 3), PN_USER | PN_FILE);
    ck_assert_uint_eq(pins_of(2, 3), PN_FILE);
    ck_assert_uint_eq(pins_of(1, 4), 0);
    OK(pn_set(dir, &one, 3, PN_USER, false, &err));
    ck_assert_uint_eq(pins_of(1, 3), PN_FILE);
    OK(pn_set(dir, &one, 3, PN_USER | PN_FILE, false, &err));
    OK(pn_set(dir, &one, 9, PN_USER, false, &err));
    ck_assert_uint_eq(pins_of(1, 3), 0);
}
END_TEST

static void write_pins(const char *text)
{
    char path[128];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/pinned.json", dir);
    f = fopen(path, "w");
    ck_assert(f && fputs(text, f) >= 0 && !fclose(f));
}

START_TEST(pins_that_cannot_be_read_are_not_no_pins)
{
    static const char *const bad[] = {
        "", "{", "{}", "{\"version\":1}", "{\"version\":1,\"pinned\":[{}]}", "{\"version\":1,\"pinned\":[{\"uuid\":\"x\",\"seq\":1,\"user\":true}]}",
        "{\"version\":1,\"pinned\":[{\"uuid\":\"01010101-0101-0101-0101-010101010101\",\"seq\":0,\"user\":true}]}",
    };
    struct flic_uuid one = guest(1);
    struct pn_pin *pins;
    size_t count;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_pins(bad[i]);
        ck_assert_int_eq(pn_load(dir, &pins, &count, &err), FLIC_E_DAMAGED);
        ck_assert_int_eq(pn_set(dir, &one, 1, PN_USER, true, &err), FLIC_E_DAMAGED);
        ck_assert(strstr(err.text, dir) && strstr(err.text, "pinned.json"));
    }
    write_pins("{\"version\":2,\"pinned\":[]}");
    ck_assert_int_eq(pn_load(dir, &pins, &count, &err), FLIC_E_VERSION);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("retention");
    TCase *rules = tcase_create("rules"), *pins = tcase_create("pins");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(rules, set_up, NULL);
    tcase_add_test(rules, without_a_rule_nothing_goes);
    tcase_add_test(rules, keep_last_keeps_the_newest_of_each_guest);
    tcase_add_test(rules, hourly_keeps_the_newest_of_each_of_the_last_hours_that_have_one);
    tcase_add_test(rules, daily_and_hourly_and_last_add_up);
    tcase_add_test(rules, the_newest_of_a_guest_and_held_ones_stay_and_use_nothing_up);
    tcase_add_test(rules, a_clock_that_went_back_does_not_make_an_older_one_the_newest);
    tcase_add_test(rules, a_guests_quota_drops_its_oldest_until_it_fits);
    tcase_add_test(rules, the_quota_of_all_drops_the_oldest_of_any_guest);
    tcase_add_test(rules, held_ones_are_counted_first);
    tcase_add_test(rules, what_cannot_be_measured_ends_it);
    suite_add_tcase(s, rules);
    tcase_add_checked_fixture(pins, folder, no_folder);
    tcase_add_test(pins, pins_are_kept_by_who_made_them);
    tcase_add_test(pins, pins_that_cannot_be_read_are_not_no_pins);
    suite_add_tcase(s, pins);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
