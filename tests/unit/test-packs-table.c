/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The look-up table of packs against a plain list. */
#include "daemon/packs/table.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Few different tags, and many at the end of the table, so that probes meet and wrap around. */
static struct flic_id id_of(uint64_t n)
{
    struct flic_id id = { { 0 } };

    memset(id.b, 0xff, 6);
    id.b[6] = (uint8_t)(n % 7);
    id.b[7] = n % 3 ? 0xff : 0;
    id.b[15] = (uint8_t)n;
    return id;
}

static size_t count(const struct pk_table *t, const struct flic_id *id, uint64_t place)
{
    struct pk_slot key = pk_slot_of(id, 0);
    uint64_t places[64];
    size_t n = pk_table_find(t, &key, places, 64), same = 0;

    for (size_t i = 0; i < n; i++)
        same += places[i] == place;
    return same;
}

START_TEST(a_place_keeps_pack_offset_and_index)
{
    uint64_t place = pk_place_of(PK_PLACE_PACKS - 1, (64u << 20) - 64, 255);

    ck_assert_uint_lt(place, 1ull << PK_PLACE_BITS);
    ck_assert_uint_eq(pk_place_pack(place), PK_PLACE_PACKS - 1);
    ck_assert_uint_eq(pk_place_offset(place), (64u << 20) - 64);
    ck_assert_uint_eq(pk_place_index(place), 255);
}
END_TEST

START_TEST(a_slot_knows_which_secret_made_its_id)
{
    for (unsigned try_no = 0; try_no < FLIC_ID_TRIES; try_no++) {
        struct flic_id id = { .b = { [15] = (uint8_t)(0xa4 | try_no) } };
        struct pk_slot slot = pk_slot_of(&id, 77);

        ck_assert_uint_eq(pk_slot_try(&slot), try_no);
        ck_assert_uint_eq(pk_slot_place(&slot), 77);
    }
}
END_TEST

START_TEST(an_empty_table_finds_and_removes_nothing)
{
    struct pk_table t = { 0 };
    struct flic_id id = id_of(1);
    struct pk_slot slot = pk_slot_of(&id, 5);

    pk_table_remove(&t, &slot);
    ck_assert_uint_eq(count(&t, &id, 5), 0);
    pk_table_fini(&t);
}
END_TEST

START_TEST(after_any_adds_and_removes_it_finds_what_a_plain_list_has)
{
    enum { ROUNDS = 60000, N = 600 };
    static uint8_t there[N];
    struct pk_table t = { 0 };
    size_t used = 0;

    state = 0x1234567;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t n = draw() % N;
        struct flic_id id = id_of(n);
        struct pk_slot slot = pk_slot_of(&id, n + 1);

        if (there[n]) {
            pk_table_remove(&t, &slot);
            used--;
        } else {
            ck_assert_int_eq(pk_table_add(&t, &slot), 0);
            used++;
        }
        there[n] = !there[n];
        ck_assert_uint_eq(t.used, used);
        if (round % 97)
            continue;
        for (uint64_t i = 0; i < N; i++) {
            id = id_of(i);
            ck_assert_uint_eq(count(&t, &id, i + 1), there[i]);
        }
    }
    pk_table_fini(&t);
}
END_TEST

START_TEST(a_hundred_thousand_slots_stay_found_while_it_grows_and_take_at_most_28_bytes_each)
{
    enum { N = 100000 };
    struct pk_table t = { 0 };

    for (int pass = 0; pass < 2; pass++) {
        state = 42;
        for (uint64_t i = 0; i < N; i++) {
            struct flic_id id;
            struct pk_slot slot;
            uint64_t bits[2] = { draw(), draw() };

            memcpy(id.b, bits, sizeof(id.b));
            slot = pk_slot_of(&id, i + 1);
            if (!pass)
                ck_assert_int_eq(pk_table_add(&t, &slot), 0);
            else
                ck_assert_uint_eq(count(&t, &id, i + 1), 1);
        }
    }
    ck_assert_uint_eq(t.used, N);
    ck_assert_uint_le(t.room * sizeof(*t.slots), N * 28);
    pk_table_fini(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("packs-table");
    TCase *tc = tcase_create("table");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_place_keeps_pack_offset_and_index);
    tcase_add_test(tc, a_slot_knows_which_secret_made_its_id);
    tcase_add_test(tc, an_empty_table_finds_and_removes_nothing);
    tcase_add_test(tc, after_any_adds_and_removes_it_finds_what_a_plain_list_has);
    tcase_add_test(tc, a_hundred_thousand_slots_stay_found_while_it_grows_and_take_at_most_28_bytes_each);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
