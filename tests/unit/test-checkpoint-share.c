/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What checkpoints share, what moves to flash, and what forgetting one frees and leaves. */
#include "tests/unit/checkpoint-scene.h"

#include <pthread.h>
#include <unistd.h>

static struct image image, second;

static void set_up(void)
{
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
}

static void tear_down(void)
{
    image_free(&image);
    image_free(&second);
    scene_end();
}

/* ---- sharing ---- */

static void load(const struct nv_name *name, struct ck_loaded *loaded)
{
    struct ck_entry entry;

    OK(ck_find_exact(store, &name->guest, name->seq, &entry, &err));
    OK(ck_load(store, &entry, loaded, &err));
}

START_TEST(invariant_10_a_second_save_of_an_unchanged_guest_writes_no_byte_to_flash)
{
    struct nv_name first = scene_save(GUEST, &image, NULL), again;
    uint64_t before = scene_flash_bytes();
    struct ck_loaded a, b;
    struct ck_save_figures f;

    ck_assert_uint_gt(before, GUEST_PAGES * PAGE / 4);
    again = scene_save(GUEST, NULL, &f);
    ck_assert_uint_eq(scene_flash_bytes(), before);
    ck_assert_uint_eq(f.flash_bytes, 0);
    ck_assert_uint_eq(f.new_pages, 0);
    ck_assert_uint_eq(f.dedup_pages, f.ram_pages - f.zero_pages);
    ck_assert_uint_eq(f.ws_pages, 0);
    load(&first, &a);
    load(&again, &b);
    ck_assert_uint_eq(a.root.n_leaves, 3);
    ck_assert_mem_eq(a.root.leaves, b.root.leaves, 3 * sizeof(struct flic_id));
    ck_unload(store, &a);
    ck_unload(store, &b);
    scene_restore_and_compare(&again, &image);
}
END_TEST

START_TEST(invariant_10_a_second_save_writes_the_pages_that_changed_and_their_leaf)
{
    struct nv_name first = scene_save(GUEST, NULL, NULL), again;
    uint64_t before = scene_flash_bytes();
    struct ck_loaded a, b;
    struct ck_save_figures f;

    scene_dirty(GUEST, 520, 30, 4242);      /* all in the second leaf */
    again = scene_save(GUEST, &image, &f);
    ck_assert_uint_eq(f.new_pages, 30);
    ck_assert_uint_eq(f.flash_bytes, scene_flash_bytes() - before);
    ck_assert_uint_le(f.flash_bytes, 30 * PAGE + 8192 + 8192);
    ck_assert_uint_le(f.nvram_bytes, 64 * PAGE);
    load(&first, &a);
    load(&again, &b);
    ck_assert(flic_id_equal(&a.root.leaves[0], &b.root.leaves[0]));
    ck_assert(!flic_id_equal(&a.root.leaves[1], &b.root.leaves[1]));
    ck_assert(flic_id_equal(&a.root.leaves[2], &b.root.leaves[2]));
    ck_unload(store, &a);
    ck_unload(store, &b);
    scene_restore_and_compare(&again, &image);
}
END_TEST

START_TEST(invariant_10_equal_pages_of_one_guest_are_stored_once)
{
    struct ck_save_figures f;

    (void)scene_save(GUEST, NULL, &f);
    ck_assert_uint_gt(f.dedup_pages, GUEST_PAGES / 10);
    ck_assert_uint_eq(f.new_pages + f.dedup_pages, f.ram_pages - f.zero_pages);
}
END_TEST

START_TEST(two_guests_share_pages_and_both_come_back)
{
    struct ck_save_figures f;
    struct nv_name a, b;

    scene_guest(8, "db", 1, GUEST_PAGES);   /* the same contents */
    memset(flx_fake_page(8, 4), 0x11, PAGE);
    flx_fake_kill(8);
    scene_guest(9, "mail", 2, GUEST_PAGES);
    scene_dirty(9, 0, 9, 1);
    scene_dirty(GUEST, 0, 9, 1);
    a = scene_save(GUEST, &image, NULL);
    b = scene_save(9, &second, &f);
    ck_assert_uint_ge(f.dedup_pages, 9);
    scene_restore_and_compare(&a, &image);
    scene_restore_and_compare(&b, &second);
}
END_TEST

/* ---- destage ---- */

static struct nv_name save_with_work(struct image *ret_image)
{
    const struct scene_work work = { .first = 600, .n = 50, .seed = 6060 };
    struct ck_save_figures f;
    struct nv_name name = scene_save_with_work(GUEST, &work, ret_image, &f);

    ck_assert_uint_eq(f.ws_pages, 50);
    return name;
}

START_TEST(a_destaged_checkpoint_comes_back_from_flash_alone)
{
    struct nv_name name = save_with_work(&image);
    struct ck_restore_figures figures;
    struct ck_destage_figures d;
    struct ck_entry entry;
    uint32_t domid;

    ck_assert(ck_destage_next(store, &entry));
    ck_assert_uint_eq(entry.info.seq, name.seq);
    OK(scene_destage(&name, &d));
    ck_assert_uint_eq(d.pages, 50);
    ck_assert(!ck_destage_next(store, &entry));
    scene_close();
    scene_lose_arena();
    scene_open();
    ck_assert(!ck_destage_next(store, &entry));
    OK(scene_restore(&name, &domid, &figures));
    ck_assert_uint_eq(figures.nvram_pages, 0);
    image_compare(&image, domid);
}
END_TEST

START_TEST(the_working_set_is_read_from_nvram_as_long_as_it_is_there)
{
    struct nv_name name = save_with_work(&image);
    struct ck_restore_figures figures;
    uint32_t domid;

    OK(scene_destage(&name, NULL));
    OK(scene_restore(&name, &domid, &figures));
    ck_assert_uint_eq(figures.nvram_pages, 50);
    image_compare(&image, domid);
}
END_TEST

START_TEST(destaging_writes_the_working_set_and_changed_leaves_and_nothing_else)
{
    struct nv_name name = save_with_work(&image);
    uint64_t before = scene_flash_bytes();
    struct ck_destage_figures d;

    OK(scene_destage(&name, &d));
    ck_assert_uint_eq(d.new_pages, 50);
    ck_assert_uint_eq(d.flash_bytes, scene_flash_bytes() - before);
    ck_assert_uint_le(d.flash_bytes, 50 * PAGE + 8192 + 8192);
}
END_TEST

START_TEST(a_destaged_checkpoint_gives_its_frames_up_when_a_save_needs_them)
{
    struct nv_name name = save_with_work(&image), last = { 0 };
    struct nv_info info;

    OK(scene_destage(&name, NULL));
    nv_get_info(ck_arena(store), &info);
    ck_assert_uint_gt(info.frames_cached, 50);
    for (int i = 0; i < 60; i++) {
        image_free(&second);
        last = save_with_work(&second);
        OK(scene_destage(&last, NULL));
    }
    scene_restore_and_compare(&name, &image);
    scene_restore_and_compare(&last, &second);
    nv_get_info(ck_arena(store), &info);
    ck_assert_uint_eq(info.frames_free + info.frames_cached, info.frames);
}
END_TEST

static bool stop_at_once(void *arg)
{
    (void)arg;
    return true;
}

static bool is_not(const struct ck_entry *entry, void *arg)
{
    return entry->info.seq != *(const uint64_t *)arg;
}

START_TEST(what_is_not_worth_moving_is_passed_by)
{
    struct nv_name name = save_with_work(&image);
    struct ck_entry entry;

    ck_assert(!ck_destage_next_of(store, is_not, &name.seq, &entry));
    ck_assert(ck_destage_next(store, &entry));
    ck_assert_uint_eq(entry.info.seq, name.seq);
}
END_TEST

START_TEST(a_destage_that_was_stopped_starts_over_and_loses_nothing)
{
    struct nv_name name = save_with_work(&image);
    struct ck_destage_figures d;
    struct ck_entry entry;

    OK(ck_find_exact(store, &name.guest, name.seq, &entry, &err));
    ck_assert_int_eq(ck_destage(store, &entry, stop_at_once, NULL, &d, &err), FLIC_E_CANCELLED);
    ck_assert(ck_destage_next(store, &entry));
    OK(scene_destage(&name, NULL));
    scene_reopen();
    scene_restore_and_compare(&name, &image);
}
END_TEST

/* ---- forget ---- */

static uint64_t forget(const struct nv_name *name, bool dry_run)
{
    uint64_t freed = 0;

    OK(ck_forget(store, name, dry_run, &freed, &err));
    return freed;
}

START_TEST(forgetting_frees_what_the_dry_run_said)
{
    struct nv_name name = save_with_work(&image);
    uint64_t before, said;

    OK(scene_destage(&name, NULL));
    before = scene_flash_bytes();
    said = forget(&name, true);
    ck_assert_uint_gt(said, 0);
    ck_assert(scene_offers(&name));
    ck_assert_uint_eq(scene_flash_bytes(), before);
    ck_assert_uint_eq(forget(&name, false), said);
    ck_assert(!scene_offers(&name));
    ck_assert_uint_le(scene_flash_bytes(), before - said + 8192);     /* the tombstone's pack came */
}
END_TEST

START_TEST(invariant_5_forgetting_one_leaves_what_others_share)
{
    struct nv_name first = scene_save(GUEST, &image, NULL), again;

    scene_dirty(GUEST, 0, 20, 99);
    again = scene_save(GUEST, &second, NULL);
    (void)forget(&first, false);
    scene_restore_and_compare(&again, &second);
    scene_reopen();
    scene_restore_and_compare(&again, &second);
    (void)forget(&again, false);
    ck_assert_uint_le(scene_flash_bytes(), 16384);      /* two tombstones */
}
END_TEST

START_TEST(forgetting_gives_the_nvram_back)
{
    struct nv_info before, after;
    struct nv_name name;

    nv_get_info(ck_arena(store), &before);
    name = save_with_work(&image);
    (void)forget(&name, false);
    nv_get_info(ck_arena(store), &after);
    ck_assert_uint_eq(after.frames_free, before.frames_free);
}
END_TEST

/* The first one's root shares its pack with pages that the second needs: the pack stays, the checkpoint may not. */
static void forget_the_first_of_two(struct nv_name *ret_first, struct nv_name *ret_second)
{
    *ret_first = save_with_work(&image);
    OK(scene_destage(ret_first, NULL));
    *ret_second = scene_save(GUEST, &second, NULL);     /* its base has the first's working set */
    OK(scene_destage(ret_second, NULL));
    (void)forget(ret_first, false);
}

START_TEST(a_tombstone_outlives_a_reopen_and_a_lost_arena_and_a_lost_index)
{
    struct nv_name first, last;

    forget_the_first_of_two(&first, &last);
    for (int i = 0; i < 3; i++) {
        scene_close();
        if (i == 1)
            scene_lose_arena();
        if (i == 2)
            scene_lose_index();
        scene_open();
        ck_assert(!scene_offers(&first));
        ck_assert(scene_offers(&last));
        ck_assert_uint_eq(scene_count(), 1);
    }
    scene_restore_and_compare(&last, &second);
}
END_TEST

START_TEST(numbers_are_not_given_again_after_forget_and_a_lost_index_and_arena)
{
    struct nv_name first, last, next;

    forget_the_first_of_two(&first, &last);
    (void)forget(&last, false);
    scene_close();
    scene_lose_index();
    scene_lose_arena();
    scene_open();
    next = scene_save(GUEST, NULL, NULL);
    ck_assert_uint_gt(next.seq, last.seq);
}
END_TEST

START_TEST(a_checkpoint_in_use_is_not_forgotten_and_one_that_is_gone_is_not_used)
{
    struct nv_name name = scene_save(GUEST, &image, NULL);
    uint64_t freed;

    OK(ck_use(store, &name, &err));
    ck_assert_int_eq(ck_forget(store, &name, false, &freed, &err), FLIC_E_BUSY);
    ck_assert_int_eq(ck_forget(store, &name, true, &freed, &err), FLIC_E_BUSY);
    scene_restore_and_compare(&name, &image);
    ck_unuse(store, &name);
    (void)forget(&name, false);
    ck_assert_int_eq(ck_use(store, &name, &err), FLIC_E_NOCHECKPOINT);
    ck_assert_int_eq(ck_forget(store, &name, false, &freed, &err), FLIC_E_NOCHECKPOINT);
}
END_TEST

START_TEST(invariant_5_forget_runs_beside_a_save_and_leaves_what_the_save_hit)
{
    struct nv_name first = scene_save(GUEST, NULL, NULL);
    struct saving s;

    saving_init(&s, GUEST);
    OK(saving_new(&s));
    OK(ck_save_live(s.save, &err));
    ck_assert_uint_eq(ck_save_get_figures(s.save)->new_pages, 0);
    (void)forget(&first, false);            /* nobody in the catalog needs its packs now */
    OK(ck_save_capture(s.save, &err));
    OK(ck_save_publish(s.save, "[]", 2, &err));
    saving_end(&s);
    scene_restore_and_compare(&s.name, &s.image);
    scene_reopen();
    scene_restore_and_compare(&s.name, &s.image);
    image_free(&s.image);
}
END_TEST

static void *forget_all(void *arg)
{
    struct nv_name *names = arg;
    uint64_t freed;

    for (int i = 0; i < 6; i++)
        if (ck_forget(store, &names[i], false, &freed, NULL))
            return (void *)1;
    return NULL;
}

START_TEST(invariant_5_forgets_destages_and_saves_at_the_same_time_leave_every_other_checkpoint_whole)
{
    struct nv_name names[6], kept[4];
    struct image images[4] = { { 0 } };
    pthread_t thread;
    void *bad;

    for (int i = 0; i < 6; i++) {
        scene_dirty(GUEST, 200 + (uint64_t)i * 30, 60, 100 + (uint32_t)i);
        names[i] = scene_save(GUEST, NULL, NULL);
        OK(scene_destage(&names[i], NULL));
    }
    ck_assert(!pthread_create(&thread, NULL, forget_all, names));
    for (int i = 0; i < 4; i++) {
        scene_dirty(GUEST, 200 + (uint64_t)i * 40, 20, 200 + (uint32_t)i);
        kept[i] = scene_save(GUEST, &images[i], NULL);
        OK(scene_destage(&kept[i], NULL));
    }
    ck_assert(!pthread_join(thread, &bad));
    ck_assert_ptr_null(bad);
    ck_assert_uint_eq(scene_count(), 4);
    scene_reopen();
    for (int i = 0; i < 4; i++) {
        scene_restore_and_compare(&kept[i], &images[i]);
        image_free(&images[i]);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("checkpoint-share");
    TCase *t = tcase_create("share");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, invariant_10_a_second_save_of_an_unchanged_guest_writes_no_byte_to_flash);
    tcase_add_test(t, invariant_10_a_second_save_writes_the_pages_that_changed_and_their_leaf);
    tcase_add_test(t, invariant_10_equal_pages_of_one_guest_are_stored_once);
    tcase_add_test(t, two_guests_share_pages_and_both_come_back);
    tcase_add_test(t, a_destaged_checkpoint_comes_back_from_flash_alone);
    tcase_add_test(t, the_working_set_is_read_from_nvram_as_long_as_it_is_there);
    tcase_add_test(t, destaging_writes_the_working_set_and_changed_leaves_and_nothing_else);
    tcase_add_test(t, a_destaged_checkpoint_gives_its_frames_up_when_a_save_needs_them);
    tcase_add_test(t, what_is_not_worth_moving_is_passed_by);
    tcase_add_test(t, a_destage_that_was_stopped_starts_over_and_loses_nothing);
    tcase_add_test(t, forgetting_frees_what_the_dry_run_said);
    tcase_add_test(t, invariant_5_forgetting_one_leaves_what_others_share);
    tcase_add_test(t, forgetting_gives_the_nvram_back);
    tcase_add_test(t, a_tombstone_outlives_a_reopen_and_a_lost_arena_and_a_lost_index);
    tcase_add_test(t, numbers_are_not_given_again_after_forget_and_a_lost_index_and_arena);
    tcase_add_test(t, a_checkpoint_in_use_is_not_forgotten_and_one_that_is_gone_is_not_used);
    tcase_add_test(t, invariant_5_forget_runs_beside_a_save_and_leaves_what_the_save_hit);
    tcase_add_test(t, invariant_5_forgets_destages_and_saves_at_the_same_time_leave_every_other_checkpoint_whole);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
