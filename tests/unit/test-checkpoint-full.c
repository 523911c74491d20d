/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* NVRAM that is too small, and saves that are refused or called off. */
#include "tests/unit/checkpoint-scene.h"

static struct saving s;

static void tear_down(void)
{
    saving_end(&s);
    image_free(&s.image);
    s = (struct saving){ 0 };
    scene_end();
}

static void set_up_small(void)
{
    scene_begin(2 * MIB);               /* 512 pages, less log and parts */
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    saving_init(&s, GUEST);
}

static void set_up(void)
{
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    saving_init(&s, GUEST);
}

static void free_nvram(uint32_t *ret_frames)
{
    struct nv_info info;

    nv_get_info(ck_arena(store), &info);
    *ret_frames = info.frames_free;
}

/* ---- spilling ---- */

static const struct scene_work much = { .first = 200, .n = 600, .seed = 999 };

START_TEST(a_working_set_larger_than_nvram_spills_says_so_and_comes_back)
{
    s.work = much;
    OK(saving_run(&s));
    saving_end(&s);
    ck_assert_uint_eq(s.figures.ws_pages, 600);
    ck_assert_uint_gt(s.figures.spilled_pages, 100);
    ck_assert_uint_lt(s.figures.spilled_pages, 600);
    ck_assert_uint_gt(s.figures.flash_bytes_in_pause, s.figures.spilled_pages * PAGE / 2);
    ck_assert_uint_eq(s.figures.flash_bytes + s.figures.flash_bytes_in_pause, scene_flash_bytes());
    scene_restore_and_compare(&s.name, &s.image);
    scene_reopen();
    scene_restore_and_compare(&s.name, &s.image);
}
END_TEST

START_TEST(a_spilled_checkpoint_moves_to_flash_and_comes_back_from_there)
{
    s.work = much;
    OK(saving_run(&s));
    saving_end(&s);
    OK(scene_destage(&s.name, NULL));
    scene_close();
    scene_lose_arena();
    scene_open();
    scene_restore_and_compare(&s.name, &s.image);
}
END_TEST

/* A backend with a grant writes on although the guest is suspended: here always just when a page was hashed. */
static bool backend_writes;
struct flic_id __real_flic_id_of(const struct flic_secret *secret, unsigned try_no, const void *data, size_t len);
struct flic_id __wrap_flic_id_of(const struct flic_secret *secret, unsigned try_no, const void *data, size_t len);

struct flic_id __wrap_flic_id_of(const struct flic_secret *secret, unsigned try_no, const void *data, size_t len)
{
    struct flic_id id = __real_flic_id_of(secret, try_no, data, len);

    if (backend_writes && flx_fake_run(GUEST) == FLX_SUSPENDED)
        *(uint64_t *)flx_fake_page(GUEST, 790) += 1;
    return id;
}

START_TEST(a_spilled_page_that_a_backend_still_writes_to_can_be_read_back)
{
    uint32_t domid;

    s.work = much;
    s.threads = 1;
    backend_writes = true;
    OK(saving_run(&s));
    backend_writes = false;
    ck_assert_uint_gt(ck_save_get_figures(s.save)->spilled_pages, 100);
    saving_end(&s);
    OK(scene_restore(&s.name, &domid, NULL));
}
END_TEST

START_TEST(nvram_without_room_for_the_parts_is_said_before_the_guest_is_suspended)
{
    struct nv_txn *txn;
    uint32_t frames;

    free_nvram(&frames);
    OK(nv_txn_begin(ck_arena(store), frames - 8, &txn, &err));
    OK(saving_new(&s));
    ck_assert_int_eq(ck_save_live(s.save, &err), FLIC_E_NOSPACE);
    ck_assert_uint_eq(s.suspends, 0);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    saving_end(&s);
    ck_assert(!flx_fake_tracked(GUEST));
    nv_txn_abort(txn);
    ck_assert_uint_eq(scene_count(), 0);
}
END_TEST

START_TEST(nvram_that_is_left_is_used_even_if_less_than_was_asked_for)
{
    struct nv_txn *txn;
    uint32_t frames;

    free_nvram(&frames);
    OK(nv_txn_begin(ck_arena(store), frames - 310, &txn, &err));
    err = (struct flic_err){ 0 };
    OK(saving_new(&s));
    OK(ck_save_live(s.save, &err));
    ck_assert_msg(!err.code && !err.text[0], "a success leaves an error behind: %s", err.text);
    OK(ck_save_capture(s.save, &err));
    OK(ck_save_publish(s.save, "[]", 2, &err));
    saving_end(&s);
    nv_txn_abort(txn);
    scene_restore_and_compare(&s.name, &s.image);
}
END_TEST

/* ---- called off ---- */

static void expect_nothing_happened(void)
{
    saving_end(&s);
    ck_assert(!flx_fake_tracked(GUEST));
    ck_assert_uint_eq(flx_fake_maps(), 0);
    ck_assert_uint_eq(scene_count(), 0);
    scene_reopen();
    ck_assert_uint_eq(scene_count(), 0);
}

static int refuse(struct saving *saving, struct flic_err *why)
{
    (void)saving;
    return flic_err_set(why, FLIC_E_GUEST, "it does not listen");
}

START_TEST(invariant_6_a_guest_that_does_not_suspend_runs_on)
{
    uint32_t before, after;

    free_nvram(&before);
    s.at_suspend = refuse;
    ck_assert_int_eq(saving_run(&s), FLIC_E_GUEST);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    expect_nothing_happened();
    free_nvram(&after);
    ck_assert_uint_eq(after, before);
}
END_TEST

START_TEST(invariant_6_a_save_cancelled_at_any_live_window_leaves_the_guest_running_and_untracked)
{
    for (unsigned n = 1; n < 4; n++) {
        saving_init(&s, GUEST);
        s.cancel_after = n;
        s.stop_pages = 0;
        if (saving_run(&s) == 0)
            break;
        ck_assert_int_eq(err.code, FLIC_E_CANCELLED);
        ck_assert_ptr_nonnull(strstr(err.text, "web"));
        ck_assert_uint_eq(s.suspends, 0);
        ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
        expect_nothing_happened();
    }
}
END_TEST

static int grow_and_suspend(struct saving *saving, struct flic_err *why)
{
    flx_fake_set_kind(saving->domid, GUEST_PAGES, FLX_PAGE_RAM);
    flx_fake_fill(saving->domid, GUEST_PAGES, 0, 0x77);
    return saving_suspend(saving, why);
}

START_TEST(memory_that_grew_beyond_what_the_save_knows_is_not_left_out_silently)
{
    s.at_suspend = grow_and_suspend;
    ck_assert_int_eq(saving_run(&s), FLIC_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "web"));
    ck_assert(flx_fake_marked_resume(GUEST));
    expect_nothing_happened();
}
END_TEST

START_TEST(a_domain_that_may_not_be_saved_is_refused_before_anything)
{
    flx_fake_fail("can_save", 1, FLIC_E_REFUSED);
    ck_assert_int_eq(saving_new(&s), FLIC_E_REFUSED);
    ck_assert_uint_eq(flx_fake_calls("track_on"), 0);
    expect_nothing_happened();
}
END_TEST

START_TEST(invariant_1_captured_but_not_published_is_never_offered)
{
    uint32_t before, after;

    free_nvram(&before);
    OK(saving_new(&s));
    OK(ck_save_live(s.save, &err));
    OK(ck_save_capture(s.save, &err));
    ck_assert_uint_eq(scene_count(), 0);
    ck_assert(!scene_offers(&s.name));
    saving_end(&s);
    ck_assert_uint_eq(scene_count(), 0);
    free_nvram(&after);
    ck_assert_uint_eq(after, before);
    expect_nothing_happened();
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("checkpoint-full");
    TCase *small = tcase_create("small"), *t = tcase_create("called off");

    tcase_add_checked_fixture(small, set_up_small, tear_down);
    tcase_add_test(small, a_working_set_larger_than_nvram_spills_says_so_and_comes_back);
    tcase_add_test(small, a_spilled_checkpoint_moves_to_flash_and_comes_back_from_there);
    tcase_add_test(small, a_spilled_page_that_a_backend_still_writes_to_can_be_read_back);
    tcase_add_test(small, nvram_without_room_for_the_parts_is_said_before_the_guest_is_suspended);
    suite_add_tcase(suite, small);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, nvram_that_is_left_is_used_even_if_less_than_was_asked_for);
    tcase_add_test(t, invariant_6_a_guest_that_does_not_suspend_runs_on);
    tcase_add_test(t, invariant_6_a_save_cancelled_at_any_live_window_leaves_the_guest_running_and_untracked);
    tcase_add_test(t, memory_that_grew_beyond_what_the_save_knows_is_not_left_out_silently);
    tcase_add_test(t, a_domain_that_may_not_be_saved_is_refused_before_anything);
    tcase_add_test(t, invariant_1_captured_but_not_published_is_never_offered);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void)
{
    return scene_run(suite());
}
