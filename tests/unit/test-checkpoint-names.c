/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* How checkpoints are named and found, what their clocks say, and what stored forms are refused. */
#include "tests/unit/checkpoint-scene.h"

#include "common/bytes.h"
#include "daemon/checkpoint/root.h"

#include <time.h>

static void set_up(void)
{
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, 128);
}

/* ---- the host's clock, as the test wants it ---- */

static int64_t shift_s;
int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
    int rc = __real_clock_gettime(clock, t);

    if (clock == CLOCK_REALTIME)
        t->tv_sec += shift_s;
    return rc;
}

static void tear_down(void)
{
    shift_s = 0;
    scene_end();
}

/* ---- finding ---- */

static uint64_t find(const char *name, uint64_t seq)
{
    struct ck_entry entry;

    OK(ck_find(store, name, seq, &entry, &err));
    return entry.info.seq;
}

START_TEST(a_guest_is_found_by_name_and_by_uuid_and_no_number_means_the_newest)
{
    struct nv_name first = scene_save(GUEST, NULL, NULL), last = scene_save(GUEST, NULL, NULL);
    struct ck_entry entry;

    ck_assert_uint_gt(last.seq, first.seq);
    ck_assert_uint_eq(find("web", 0), last.seq);
    ck_assert_uint_eq(find("web", first.seq), first.seq);
    ck_assert_uint_eq(find("01010101-0101-0101-0101-010101010101", 0), last.seq);
    flx_fake_kill(GUEST);           /* its names outlive it */
    ck_assert_uint_eq(find("web", 0), last.seq);
    ck_assert_int_eq(ck_find(store, "wep", 0, &entry, &err), FLIC_E_NOCHECKPOINT);
    ck_assert_int_eq(ck_find(store, "web", 99, &entry, &err), FLIC_E_NOCHECKPOINT);
    ck_assert_ptr_nonnull(strstr(err.text, "99"));
}
END_TEST

START_TEST(a_name_that_two_guests_had_is_refused_and_both_uuids_are_said)
{
    struct ck_entry entry;

    scene_guest(8, "web", 2, 128);
    (void)scene_save(GUEST, NULL, NULL);
    (void)scene_save(8, NULL, NULL);
    (void)scene_save(8, NULL, NULL);
    ck_assert_int_eq(ck_find(store, "web", 0, &entry, &err), FLIC_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "01010101-0101-0101-0101-010101010101"));
    ck_assert_ptr_nonnull(strstr(err.text, "02020202-0202-0202-0202-020202020202"));
    OK(ck_find(store, "02020202-0202-0202-0202-020202020202", 0, &entry, &err));
    ck_assert_uint_eq(entry.info.seq, 2);
    OK(ck_find(store, "web", 2, &entry, &err));         /* only one of them has a second */
    ck_assert_uint_eq(entry.info.guest.b[0], 2);
}
END_TEST

START_TEST(the_newest_is_the_one_with_the_highest_number_also_when_the_clock_went_back)
{
    struct nv_name first = scene_save(GUEST, NULL, NULL), last;

    shift_s = -86400;
    last = scene_save(GUEST, NULL, NULL);
    ck_assert_uint_eq(find("web", 0), last.seq);
    ck_assert_uint_ne(find("web", 0), first.seq);
    scene_reopen();
    ck_assert_uint_eq(find("web", 0), last.seq);
}
END_TEST

START_TEST(the_list_has_each_guests_newest_first_wherever_they_lie)
{
    struct nv_name names[4];
    struct ck_entry *entries;
    size_t n;

    for (int i = 0; i < 4; i++)
        names[i] = scene_save(GUEST, NULL, NULL);
    OK(scene_destage(&names[3], NULL));     /* recovery sees flash before NVRAM */
    scene_reopen();
    OK(ck_list(store, &entries, &n, &err));
    ck_assert_uint_eq(n, 4);
    for (size_t i = 0; i < n; i++)
        ck_assert_uint_eq(entries[i].info.seq, names[3 - i].seq);
    ck_assert_uint_eq(entries[0].info.places, IX_NVRAM | IX_FLASH);
    ck_assert_uint_eq(entries[1].info.places, IX_NVRAM);
    free(entries);
}
END_TEST

/* ---- clocks ---- */

static uint64_t restored_elapsed(const struct nv_name *name, bool *ret_back)
{
    struct ck_restore_figures figures;
    uint32_t domid;

    OK(scene_restore(name, &domid, &figures));
    ck_assert_uint_eq(figures.elapsed_ns, flx_fake_elapsed_ns(domid));
    *ret_back = figures.clock_went_back;
    return figures.elapsed_ns;
}

START_TEST(invariant_14_a_host_clock_that_went_back_advances_the_guest_by_nothing)
{
    struct nv_name name = scene_save(GUEST, NULL, NULL);
    bool back;

    shift_s = -3600;
    ck_assert_uint_eq(restored_elapsed(&name, &back), 0);
    ck_assert(back);
}
END_TEST

START_TEST(the_guest_is_advanced_by_the_time_since_its_pause)
{
    struct nv_name name = scene_save(GUEST, NULL, NULL);
    uint64_t elapsed;
    bool back;

    shift_s = 7200;
    elapsed = restored_elapsed(&name, &back);
    ck_assert(!back);
    ck_assert_uint_ge(elapsed, UINT64_C(7200000000000));
    ck_assert_uint_lt(elapsed, UINT64_C(7230000000000));
}
END_TEST

/* ---- references ---- */

static struct ck_facts some_facts(void)
{
    return (struct ck_facts){ .guest = scene_uuid(1), .id = scene_uuid(2), .store = scene_uuid(3), .seq = 5, .name = "web" };
}

START_TEST(a_reference_comes_back_as_it_was_written)
{
    uint8_t raw[CK_REFERENCE_SIZE];
    struct ck_facts facts = some_facts(), got;

    ck_reference_encode(&facts, raw);
    OK(ck_reference_parse(raw, sizeof(raw), &got, &err));
    ck_assert_uint_eq(got.seq, 5);
    ck_assert(flic_uuid_equal(&got.guest, &facts.guest) && flic_uuid_equal(&got.id, &facts.id) &&
              flic_uuid_equal(&got.store, &facts.store));
}
END_TEST

START_TEST(a_reference_with_any_byte_flipped_or_cut_short_is_refused)
{
    uint8_t raw[CK_REFERENCE_SIZE + 1] = { 0 };
    struct ck_facts facts = some_facts(), got;

    ck_reference_encode(&facts, raw);
    for (size_t i = 0; i < CK_REFERENCE_SIZE; i++) {
        raw[i] ^= 0x10;
        ck_assert_int_lt(ck_reference_parse(raw, CK_REFERENCE_SIZE, &got, &err), 0);
        raw[i] ^= 0x10;
    }
    for (size_t len = 0; len < CK_REFERENCE_SIZE; len++)
        ck_assert_int_lt(ck_reference_parse(raw, len, &got, &err), 0);
    ck_assert_int_eq(ck_reference_parse(raw, sizeof(raw), &got, &err), FLIC_E_DAMAGED);
    raw[0] = 'X';
    ck_assert_int_eq(ck_reference_parse(raw, CK_REFERENCE_SIZE, &got, &err), FLIC_E_FOREIGN);
}
END_TEST

/* ---- stored forms ---- */

static struct ck_parts some_parts(void)
{
    return (struct ck_parts){ .state = { 10, 5000, 1 }, .config = { 12, 100, 2 }, .leaves = { 13, 3 * 16, 3 },
                              .delta = { 14, 2 * CK_DELTA_ENTRY, 4 } };
}

START_TEST(a_root_whose_parts_reach_beyond_its_frames_is_refused)
{
    struct ck_facts facts = some_facts(), got;
    struct ck_parts parts = some_parts(), got_parts;
    void *data;
    size_t len;

    facts.gfn_end = 3 * CK_LEAF_PAGES;
    OK(ck_root_encode_record(&facts, &parts, &data, &len));
    OK(ck_root_parse_record(data, len, 15, &got, &got_parts, &err));
    ck_assert_uint_eq(got_parts.delta.len, 2 * CK_DELTA_ENTRY);
    for (uint32_t frames = 0; frames < 15; frames++)
        ck_assert_int_eq(ck_root_parse_record(data, len, frames, &got, &got_parts, &err), FLIC_E_DAMAGED);
    for (size_t cut = 0; cut < len; cut++)
        ck_assert_int_lt(ck_root_parse_record(data, cut, 15, &got, &got_parts, &err), 0);
    free(data);
}
END_TEST

static int parse_delta(const struct ck_delta *entries, size_t n)
{
    uint8_t raw[4 * CK_DELTA_ENTRY];
    struct ck_facts facts = some_facts();
    struct ck_delta *delta;
    size_t got;
    int rc;

    facts.gfn_end = 100;
    for (size_t i = 0; i < n; i++)
        ck_delta_put(raw + i * CK_DELTA_ENTRY, &entries[i]);
    rc = ck_delta_parse(raw, n * CK_DELTA_ENTRY, &facts, 8, &delta, &got, &err);
    if (!rc) {
        ck_assert_uint_eq(got, n);
        free(delta);
    }
    return rc;
}

START_TEST(a_page_delta_is_refused_out_of_order_twice_beyond_the_end_or_in_frames_that_are_not_its_own)
{
    struct flic_id id = { { 1 } };
    const struct ck_delta good[] = { { 3, 0, id }, { 4, CK_NO_FRAME, FLIC_ID_ZERO }, { 99, 7, id } };
    const struct ck_delta order[] = { { 4, 0, id }, { 3, 1, id } }, twice[] = { { 4, 0, id }, { 4, 1, id } };
    const struct ck_delta end[] = { { 100, 0, id } }, frame[] = { { 3, 8, id } }, zero[] = { { 3, 1, FLIC_ID_ZERO } };

    ck_assert_int_eq(parse_delta(good, 3), 0);
    ck_assert_int_eq(parse_delta(order, 2), FLIC_E_DAMAGED);
    ck_assert_int_eq(parse_delta(twice, 2), FLIC_E_DAMAGED);
    ck_assert_int_eq(parse_delta(end, 1), FLIC_E_DAMAGED);
    ck_assert_int_eq(parse_delta(frame, 1), FLIC_E_DAMAGED);
    ck_assert_int_eq(parse_delta(zero, 1), FLIC_E_DAMAGED);
}
END_TEST

START_TEST(invariant_7_a_flash_root_cut_or_stretched_anywhere_is_refused)
{
    struct ck_root root, got;
    uint8_t *copy;
    void *data;
    size_t len;

    ck_root_init(&root);
    root.facts = some_facts();
    root.facts.gfn_end = 600;
    root.n_leaves = 2;
    root.leaves = calloc(2, sizeof(*root.leaves));
    root.state = calloc(1, root.state_len = 100);
    root.config = strdup("{}");
    root.config_len = 2;
    root.disks = strdup("[]");
    root.disks_len = 2;
    OK(ck_root_encode_flash(&root, &data, &len));
    OK(ck_root_parse_flash(data, len, &got, &err));
    ck_root_fini(&got);
    for (size_t cut = 0; cut < len; cut++) {
        copy = malloc(cut + 1);             /* exactly sized: the sanitizer sees a step too far */
        memcpy(copy, data, cut);
        ck_assert_int_lt(ck_root_parse_flash(copy, cut, &got, &err), 0);
        free(copy);
    }
    copy = calloc(1, len + 1);
    memcpy(copy, data, len);
    ck_assert_int_eq(ck_root_parse_flash(copy, len + 1, &got, &err), FLIC_E_DAMAGED);
    free(copy);
    free(data);
    ck_root_fini(&root);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("checkpoint-names");
    TCase *t = tcase_create("names");

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_guest_is_found_by_name_and_by_uuid_and_no_number_means_the_newest);
    tcase_add_test(t, a_name_that_two_guests_had_is_refused_and_both_uuids_are_said);
    tcase_add_test(t, the_newest_is_the_one_with_the_highest_number_also_when_the_clock_went_back);
    tcase_add_test(t, the_list_has_each_guests_newest_first_wherever_they_lie);
    tcase_add_test(t, invariant_14_a_host_clock_that_went_back_advances_the_guest_by_nothing);
    tcase_add_test(t, the_guest_is_advanced_by_the_time_since_its_pause);
    tcase_add_test(t, a_reference_comes_back_as_it_was_written);
    tcase_add_test(t, a_reference_with_any_byte_flipped_or_cut_short_is_refused);
    tcase_add_test(t, a_root_whose_parts_reach_beyond_its_frames_is_refused);
    tcase_add_test(t, a_page_delta_is_refused_out_of_order_twice_beyond_the_end_or_in_frames_that_are_not_its_own);
    tcase_add_test(t, invariant_7_a_flash_root_cut_or_stretched_anywhere_is_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
