/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* A guest that is tracked from its restore on: what its checkpoint has in packs is known, and nothing else. */
#include "tests/unit/track-scene.h"

#include "daemon/checkpoint/gc.h"

#define CAPTURED 50u        /* pages that the checkpoint's pause captured, from here on: */
#define AT 600u

static struct image image;
static int outcome;         /* of tk_new_filled() */

static void set_up(void)
{
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
}

static void tear_down(void)
{
    track_end();
    image_free(&image);
    scene_end();
}

static const struct scene_work work = { .first = AT, .n = CAPTURED, .seed = 6060 };

/* A checkpoint of the guest that captured some pages in its pause; the guest is destroyed. */
static struct nv_name leave_a_checkpoint(void)
{
    struct nv_name name;

    track_begin();
    name = track_save(&image, NULL, &work);
    track_end();
    flx_fake_kill(GUEST);
    return name;
}

static void track_from(const struct ck_loaded *from)
{
    const struct tk_conf conf = { .epoch_min_ms = 1000, .epoch_max_ms = 1000, .clean_epochs = 2 };

    clock_us = clock_cpu_us = SECOND;
    pace = (struct tk_pace){ .clock = &scene_clock, .bytes_per_s = 1 << 30, .cpu_percent = 100 };
    outcome = tk_new_filled(store, GUEST, &conf, &pace, from, &tracked, &err);
}

static void let_it_run(void)
{
    flx_fake_set_name(GUEST, "web");
    flx_fake_set_run(GUEST, FLX_RUNNING);
}

/* Restored, tracked since, running. */
static void come_back(const struct nv_name *name)
{
    OK(scene_restore_into(name, GUEST, track_from, NULL));
    OK(outcome);
    ck_assert(flx_fake_tracked(GUEST));
    let_it_run();
}

static void save_restores_whole(struct ck_save_figures *ret_figures)
{
    struct nv_name name = track_save(&image, ret_figures, NULL);

    scene_restore_and_compare(&name, &image);
}

/* ---- what is known ---- */

START_TEST(invariant_10_the_first_save_after_a_restore_copies_only_what_was_captured_and_what_changed)
{
    struct nv_name name = leave_a_checkpoint();
    uint64_t mapped, flash;
    struct ck_save_figures f;

    come_back(&name);
    ck_assert_uint_eq(track_status().unknown_pages, CAPTURED);
    scene_dirty(GUEST, 900, 20, 5);
    mapped = flx_fake_mapped_pages();
    flash = scene_flash_bytes();
    save_restores_whole(&f);
    ck_assert_uint_eq(f.live_pages + f.ws_pages + f.ws_zero_pages, CAPTURED + 20);
    ck_assert_uint_le(f.new_pages, CAPTURED + 20);
    ck_assert_uint_le(flx_fake_mapped_pages() - mapped, GUEST_PAGES + CAPTURED + 20);   /* the comparison's own restore is one of all */
    ck_assert_uint_le(scene_flash_bytes() - flash, (CAPTURED + 20) * PAGE + 3 * 8192 + 8192);
    ck_assert_uint_ge(f.ram_pages, GUEST_PAGES - 4);
}
END_TEST

START_TEST(of_a_checkpoint_that_was_moved_to_flash_and_lost_its_nvram_everything_is_known)
{
    struct nv_name name = leave_a_checkpoint();
    struct ck_save_figures f;

    OK(scene_destage(&name, NULL));
    scene_close();
    scene_lose_arena();
    scene_open();
    come_back(&name);
    ck_assert_uint_eq(track_status().unknown_pages, 0);
    save_restores_whole(&f);
    ck_assert_uint_eq(f.live_pages + f.ws_pages, 0);
    ck_assert_uint_eq(f.flash_bytes, 0);
}
END_TEST

START_TEST(what_was_captured_is_copied_in_the_background_like_anything_unknown)
{
    struct nv_name name = leave_a_checkpoint();
    struct ck_save_figures f;

    come_back(&name);
    track_for(SECOND * 5);
    ck_assert_uint_eq(track_status().unknown_pages, 0);
    ck_assert_uint_eq(track_status().started_over, 0);
    ck_assert_uint_eq(track_status().copied.pages, CAPTURED);
    save_restores_whole(&f);
    ck_assert_uint_eq(f.live_pages + f.ws_pages, 0);
}
END_TEST

START_TEST(a_guest_restored_again_and_again_copies_no_more_each_time)
{
    struct nv_name name = leave_a_checkpoint();
    struct ck_save_figures f;

    for (uint32_t i = 0; i < 5; i++) {
        come_back(&name);
        scene_dirty(GUEST, 200 + 30 * i, 30, i);
        name = track_save(&image, &f, &work);
        ck_assert_uint_le(f.live_pages + f.ws_pages, 2 * CAPTURED + 30);
        track_end();
        flx_fake_kill(GUEST);
    }
    scene_restore_and_compare(&name, &image);
}
END_TEST

/* ---- what is not ---- */

START_TEST(invariant_2_a_page_written_after_it_was_filled_and_before_the_guest_runs_is_unknown)
{
    struct nv_name name = leave_a_checkpoint();
    struct ck_save_figures f;

    OK(scene_restore_into(&name, GUEST, track_from, NULL));
    OK(outcome);
    scene_dirty(GUEST, 300, 1, 77);         /* the toolstack, or Xen, while it is still paused */
    flx_fake_pin(GUEST, 310);               /* granted, or mapped by Xen */
    let_it_run();
    save_restores_whole(&f);
    ck_assert_uint_eq(f.live_pages, CAPTURED + 2);
}
END_TEST

START_TEST(invariant_2_what_the_bitmap_does_not_report_on_is_unknown_after_a_restore_too)
{
    struct nv_name name = leave_a_checkpoint();
    struct ck_base *base;

    OK(scene_restore_into(&name, GUEST, track_from, NULL));
    flx_fake_short_bitmap(GUEST, 1000);
    let_it_run();
    OK(tk_lend(tracked, &base, &err));
    ck_assert_uint_eq(ck_count_bits(base->dirty, GUEST_PAGES), CAPTURED + GUEST_PAGES - 1000);
    tk_give_back(tracked);
}
END_TEST

static void run_then_track_from(const struct ck_loaded *from)
{
    flx_fake_set_run(GUEST, FLX_RUNNING);
    scene_dirty(GUEST, 300, 7, 78);         /* nobody saw that */
    track_from(from);
}

static void expect_nothing_known(void)
{
    struct ck_save_figures f;

    ck_assert_int_eq(outcome, FLIC_E_MISMATCH);
    ck_assert(!flx_fake_tracked(GUEST));
    let_it_run();
    track_begin();
    ck_assert_uint_ge(track_status().unknown_pages, GUEST_PAGES);
    save_restores_whole(&f);
    ck_assert_uint_ge(f.live_pages, GUEST_PAGES - 4);
}

START_TEST(invariant_2_a_guest_that_ran_before_log_dirty_was_on_is_not_taken_for_its_checkpoint)
{
    struct nv_name name = leave_a_checkpoint();

    OK(scene_restore_into(&name, GUEST, run_then_track_from, NULL));
    expect_nothing_known();
}
END_TEST

static void grow_then_track_from(const struct ck_loaded *from)
{
    flx_fake_set_kind(GUEST, HOLE_GFN, FLX_PAGE_RAM);       /* the checkpoint has no page there */
    track_from(from);
}

START_TEST(invariant_2_a_guest_with_a_page_more_than_its_checkpoint_is_not_taken_for_it)
{
    struct nv_name name = leave_a_checkpoint();

    OK(scene_restore_into(&name, GUEST, grow_then_track_from, NULL));
    expect_nothing_known();
}
END_TEST

START_TEST(a_restored_guest_that_balloons_is_unknown_from_then_on)
{
    struct nv_name name = leave_a_checkpoint();

    come_back(&name);
    flx_fake_set_kind(GUEST, 700, FLX_PAGE_HOLE);
    track_for(SECOND);
    ck_assert_uint_ge(track_status().unknown_pages, GUEST_PAGES - 2);
    ck_assert_uint_eq(track_status().started_over, 1);
    save_restores_whole(NULL);
}
END_TEST

/* ---- what a collection may take ---- */

START_TEST(invariant_5_a_collection_leaves_what_a_restored_guest_is_known_by)
{
    const struct ck_gc_params gc = { .live_percent = 100, .cancelled = scene_never };
    struct nv_name name = leave_a_checkpoint();
    struct ck_gc_figures figures;
    struct ck_save_figures f;
    uint64_t freed;

    come_back(&name);
    OK(ck_forget(store, &name, false, &freed, &err));
    OK(ck_gc(store, &gc, &figures, &err));
    ck_assert_uint_eq(figures.packs_removed, 0);
    ck_assert_uint_gt(figures.packs_in_use, 0);
    save_restores_whole(&f);
    ck_assert_uint_eq(f.live_pages, CAPTURED);
}
END_TEST

/* Whether a pack has the page that a checkpoint's leaf names there, whatever its pause captured. */
static bool has_what_stood_at(const struct nv_name *name, uint64_t gfn)
{
    struct ck_loaded loaded;
    struct ck_entry entry;
    struct ck_map *map;
    struct flic_id id;

    OK(ck_find_exact(store, &name->guest, name->seq, &entry, &err));
    OK(ck_load(store, &entry, &loaded, &err));
    OK(ck_map_load(ck_packs(store), loaded.root.leaves, loaded.root.n_leaves, loaded.root.facts.gfn_end, &map, &err));
    id = ck_map_get(map, gfn);
    ck_map_free(map);
    ck_unload(store, &loaded);
    return pk_has(ck_packs(store), &id);
}

/* No checkpoint needs to read what stood where the pause wrote. */
START_TEST(what_a_leaf_names_under_captured_pages_is_kept_with_it_so_that_the_guest_is_known_by_it)
{
    const struct ck_gc_params gc = { .live_percent = 100, .cancelled = scene_never };
    struct nv_name first, second, third;
    struct ck_gc_figures figures;
    struct ck_save_figures f;
    uint64_t freed;

    track_begin();
    track_for(SECOND * 5);
    first = track_save(&image, NULL, NULL);
    scene_dirty(GUEST, AT, CAPTURED, 11);
    second = track_save(&image, NULL, NULL);            /* copied live: a pack of their own, and the leaf */
    scene_dirty(GUEST, AT + CAPTURED, 1, 2);            /* the leaf is stored anew, elsewhere */
    third = track_save(&image, NULL, &work);
    track_end();
    flx_fake_kill(GUEST);
    OK(ck_forget(store, &first, false, &freed, &err));
    OK(ck_forget(store, &second, false, &freed, &err));
    OK(ck_gc(store, &gc, &figures, &err));
    ck_assert_uint_gt(figures.packs_removed + figures.packs_compacted, 0);
    ck_assert(has_what_stood_at(&third, AT + 1));
    come_back(&third);
    save_restores_whole(&f);
    ck_assert_uint_eq(f.live_pages, CAPTURED);
    for (uint32_t i = 1; i <= 9; i++) {                 /* until a new writer takes over what the map names */
        scene_dirty(GUEST, 1024, 500, i * 10000);
        track_for(SECOND * 10);
    }
    save_restores_whole(NULL);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("track-filled");
    TCase *t = tcase_create("track-filled");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, invariant_10_the_first_save_after_a_restore_copies_only_what_was_captured_and_what_changed);
    tcase_add_test(t, of_a_checkpoint_that_was_moved_to_flash_and_lost_its_nvram_everything_is_known);
    tcase_add_test(t, what_was_captured_is_copied_in_the_background_like_anything_unknown);
    tcase_add_test(t, a_guest_restored_again_and_again_copies_no_more_each_time);
    tcase_add_test(t, invariant_2_a_page_written_after_it_was_filled_and_before_the_guest_runs_is_unknown);
    tcase_add_test(t, invariant_2_what_the_bitmap_does_not_report_on_is_unknown_after_a_restore_too);
    tcase_add_test(t, invariant_2_a_guest_that_ran_before_log_dirty_was_on_is_not_taken_for_its_checkpoint);
    tcase_add_test(t, invariant_2_a_guest_with_a_page_more_than_its_checkpoint_is_not_taken_for_it);
    tcase_add_test(t, a_restored_guest_that_balloons_is_unknown_from_then_on);
    tcase_add_test(t, invariant_5_a_collection_leaves_what_a_restored_guest_is_known_by);
    tcase_add_test(t, what_a_leaf_names_under_captured_pages_is_kept_with_it_so_that_the_guest_is_known_by_it);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
