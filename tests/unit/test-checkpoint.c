/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* A checkpoint from a running guest to a restored one, with nothing going wrong. */
#include "tests/unit/checkpoint-scene.h"

#include <unistd.h>

#define BIG 8u         /* domid of a larger guest */

static struct image image;

static void set_up(void)
{
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
}

static void tear_down(void)
{
    image_free(&image);
    scene_end();
}

START_TEST(a_saved_guest_comes_back_page_for_page)
{
    struct nv_name name = scene_save(GUEST, &image, NULL);

    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(a_saved_guest_comes_back_after_the_store_was_closed_and_opened)
{
    struct nv_name name = scene_save(GUEST, &image, NULL);

    scene_reopen();
    ck_assert_uint_eq(scene_count(), 1);
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(invariant_13_zero_pages_rings_and_holes_are_right_in_frames_that_held_other_bytes)
{
    struct ck_restore_figures figures;
    struct nv_name name = scene_save(GUEST, &image, NULL);
    uint32_t domid;

    ck_assert_int_eq(image.kind[RING_GFN], FLX_PAGE_RING);
    ck_assert_int_eq(image.kind[HOLE_GFN], FLX_PAGE_HOLE);
    ck_assert_int_eq(image.kind[SKIP_GFN], FLX_PAGE_SKIP);
    OK(scene_restore(&name, &domid, &figures));
    ck_assert_uint_gt(figures.zero_pages, GUEST_PAGES / 10);
    ck_assert(flic_is_zero(flx_fake_page(domid, RING_GFN), PAGE));
    ck_assert_ptr_null(flx_fake_page(domid, HOLE_GFN));
    ck_assert_ptr_null(flx_fake_page(domid, SKIP_GFN));
    image_compare(&image, domid);
}
END_TEST

START_TEST(the_machine_state_travels_with_the_pages)
{
    uint8_t before[FLX_FAKE_REGISTERS];
    struct nv_name name;
    uint32_t domid;

    memset(flx_fake_registers(GUEST), 0x5a, FLX_FAKE_REGISTERS);
    memcpy(before, flx_fake_registers(GUEST), sizeof(before));
    name = scene_save(GUEST, &image, NULL);
    memset(flx_fake_registers(GUEST), 0, FLX_FAKE_REGISTERS);
    OK(scene_restore(&name, &domid, NULL));
    ck_assert_mem_eq(flx_fake_registers(domid), before, sizeof(before));
}
END_TEST

START_TEST(configuration_and_disks_travel_with_the_pages_through_nvram_and_flash)
{
    struct nv_name name = scene_save(GUEST, &image, NULL);
    struct ck_loaded loaded;
    struct ck_entry entry;

    for (int from_flash = 0; from_flash < 2; from_flash++) {
        OK(ck_find_exact(store, &name.guest, name.seq, &entry, &err));
        OK(ck_load(store, &entry, &loaded, &err));
        ck_assert(loaded.in_arena == !from_flash);
        ck_assert_str_eq(loaded.root.disks, "[]");
        ck_assert_ptr_nonnull(strstr(loaded.root.config, "\"web\""));
        ck_assert_str_eq(loaded.root.facts.name, "web");
        ck_unload(store, &loaded);
        if (from_flash)
            break;
        OK(scene_destage(&name, NULL));
        scene_close();
        scene_lose_arena();
        scene_open();
    }
}
END_TEST

/* Between two live windows, as a guest does. */
static void write_a_little(uint32_t domid, void *arg)
{
    uint32_t *seed = arg;

    if (domid == GUEST && flx_fake_run(GUEST) == FLX_RUNNING)
        scene_dirty(GUEST, 200 + *seed % 300, 3, *seed + 1);
    ++*seed;
}

START_TEST(a_guest_that_writes_during_the_live_rounds_comes_back_as_it_was_when_suspended)
{
    uint32_t seed = 1000;
    struct nv_name name;

    flx_fake_before("map_pages", write_a_little, &seed);
    flx_fake_after("map_pages", write_a_little, &seed);
    name = scene_save(GUEST, &image, NULL);
    flx_fake_before("map_pages", NULL, NULL);
    flx_fake_after("map_pages", NULL, NULL);
    ck_assert_uint_gt(seed, 1002);
    scene_restore_and_compare(&name, &image);
}
END_TEST

static int write_and_suspend(struct saving *s, struct flic_err *why)
{
    scene_dirty(s->domid, 700, 40, 77);
    flx_fake_fill(s->domid, 800, 0, 0);         /* a page that became zero */
    flx_fake_set_kind(s->domid, 801, FLX_PAGE_HOLE);
    flx_fake_set_kind(s->domid, HOLE_GFN, FLX_PAGE_RAM);
    flx_fake_fill(s->domid, HOLE_GFN, 0, 0x42);
    return saving_suspend(s, why);
}

START_TEST(what_changes_between_the_last_live_bitmap_and_the_suspend_is_captured)
{
    struct saving s;

    saving_init(&s, GUEST);
    s.at_suspend = write_and_suspend;
    OK(saving_run(&s));
    saving_end(&s);
    ck_assert_uint_ge(s.figures.ws_pages, 41);
    ck_assert_uint_le(s.figures.ws_pages, 41 + s.figures.dirty_live_last);
    scene_restore_and_compare(&s.name, &s.image);
    image_free(&s.image);
}
END_TEST

/* As Xen and backends write: memory changes and no bit is set. */
static int write_behind_and_suspend(struct saving *s, struct flic_err *why)
{
    memset(flx_fake_page(s->domid, 400), 0xee, PAGE);
    return saving_suspend(s, why);
}

START_TEST(invariant_2_a_pinned_page_is_captured_although_no_bit_was_set)
{
    struct saving s;

    flx_fake_pin(GUEST, 400);
    saving_init(&s, GUEST);
    s.at_suspend = write_behind_and_suspend;
    OK(saving_run(&s));
    saving_end(&s);
    scene_restore_and_compare(&s.name, &s.image);
    image_free(&s.image);
}
END_TEST

static int write_high_and_suspend(struct saving *s, struct flic_err *why)
{
    memset(flx_fake_page(s->domid, 1300), 0xee, PAGE);
    return saving_suspend(s, why);
}

START_TEST(invariant_2_gfns_beyond_a_short_bitmap_count_as_dirty)
{
    struct saving s;

    flx_fake_short_bitmap(GUEST, 1100);
    saving_init(&s, GUEST);
    s.at_suspend = write_high_and_suspend;
    OK(saving_run(&s));
    saving_end(&s);
    ck_assert_uint_ge(s.figures.ws_pages + s.figures.ws_zero_pages, GUEST_PAGES - 1100);
    scene_restore_and_compare(&s.name, &s.image);
    image_free(&s.image);
}
END_TEST

/* Only the window that was mapped when the bit was fetched may be trusted: a write after the copy sets a bit again. */
static void write_after_copy(uint32_t domid, void *arg)
{
    unsigned *left = arg;

    if (*left && domid == GUEST && flx_fake_run(GUEST) == FLX_RUNNING) {
        scene_dirty(GUEST, 10, 5 * *left, 5000 + *left);
        --*left;
    }
}

START_TEST(invariant_3_a_copy_counts_only_if_its_bit_is_clear_in_the_next_clean)
{
    unsigned left = 3;
    struct saving s;

    saving_init(&s, GUEST);
    s.stop_pages = 0;
    flx_fake_before("track_clean", write_after_copy, &left);
    OK(saving_run(&s));
    saving_end(&s);
    flx_fake_before("track_clean", NULL, NULL);
    ck_assert_uint_eq(left, 0);
    ck_assert_uint_ge(s.figures.rounds, 3);
    scene_restore_and_compare(&s.name, &s.image);
    image_free(&s.image);
}
END_TEST

static void write_twenty(uint32_t domid, void *arg)
{
    (void)arg;
    scene_dirty(domid, 300, 20, 77);
}

static void fail_next_map(uint32_t domid, void *arg)
{
    (void)domid;
    (void)arg;
    flx_fake_fail("map_pages", 1, FLIC_E_XEN);
}

START_TEST(clean_pages_are_not_touched_in_the_pause)
{
    struct saving s;
    uint64_t mapped;

    saving_init(&s, GUEST);
    OK(saving_new(&s));
    OK(ck_save_live(s.save, &err));
    mapped = flx_fake_mapped_pages();
    scene_dirty(GUEST, 300, 20, 9);
    OK(ck_save_capture(s.save, &err));
    ck_assert_uint_eq(flx_fake_mapped_pages() - mapped, 20);
    OK(ck_save_publish(s.save, "[]", 2, &err));
    saving_end(&s);
    ck_assert_uint_eq(s.figures.ws_pages, 20);
    scene_restore_and_compare(&s.name, &s.image);
    image_free(&s.image);
}
END_TEST

/* A save of a guest in which pages 300 to 319 are left when the live rounds end. */
static void begin_with_twenty_left(struct saving *s)
{
    saving_init(s, GUEST);
    s->rounds_max = 1;
    OK(saving_new(s));
    flx_fake_before("track_clean", write_twenty, NULL);
    OK(ck_save_live(s->save, &err));
    flx_fake_before("track_clean", NULL, NULL);
}

static void publish_and_compare(struct saving *s)
{
    ck_assert_uint_eq(flx_fake_maps(), 0);
    OK(ck_save_publish(s->save, "[]", 2, &err));
    saving_end(s);
    scene_restore_and_compare(&s->name, &s->image);
    image_free(&s->image);
}

static void capture_and_compare(struct saving *s)
{
    OK(ck_save_capture(s->save, &err));
    publish_and_compare(s);
}

START_TEST(pages_that_are_left_when_the_live_rounds_end_are_mapped_before_the_pause_and_captured_as_they_are_then)
{
    struct saving s;
    uint64_t mapped;

    begin_with_twenty_left(&s);
    ck_assert_uint_ge(flx_fake_maps(), 1);
    scene_dirty(GUEST, 310, 20, 78);        /* ten of them again, ten others */
    flx_fake_fill(GUEST, 305, 0, 0);
    mapped = flx_fake_mapped_pages();
    OK(ck_save_capture(s.save, &err));
    ck_assert_uint_eq(flx_fake_mapped_pages() - mapped, 10);
    publish_and_compare(&s);
    ck_assert_uint_eq(s.figures.ahead_pages, 20);
    ck_assert_uint_eq(s.figures.ws_pages, 29);
    ck_assert_uint_eq(s.figures.ws_zero_pages, 1);
}
END_TEST

START_TEST(a_page_that_is_replaced_after_it_was_mapped_ahead_is_captured_from_where_it_is_then)
{
    struct saving s;

    begin_with_twenty_left(&s);
    flx_fake_set_kind(GUEST, 307, FLX_PAGE_HOLE);
    flx_fake_set_kind(GUEST, 307, FLX_PAGE_RAM);
    flx_fake_fill(GUEST, 307, 0, 0x3c);
    flx_fake_set_kind(GUEST, 308, FLX_PAGE_HOLE);
    capture_and_compare(&s);
    ck_assert_uint_eq(s.figures.ahead_pages, 0);
}
END_TEST

START_TEST(nothing_is_mapped_ahead_where_xen_does_not_tell_when_the_layout_changes)
{
    struct saving s;

    flx_fake_tell_layout(false);
    begin_with_twenty_left(&s);
    ck_assert_uint_eq(flx_fake_maps(), 0);
    capture_and_compare(&s);
    ck_assert_uint_eq(s.figures.ahead_pages, 0);
}
END_TEST

START_TEST(what_cannot_be_mapped_ahead_is_mapped_in_the_pause_and_a_layout_that_is_not_told_again_counts_as_changed)
{
    struct saving s;

    saving_init(&s, GUEST);
    s.rounds_max = 1;
    OK(saving_new(&s));
    flx_fake_before("track_clean", write_twenty, NULL);
    flx_fake_after("layout", fail_next_map, NULL);
    OK(ck_save_live(s.save, &err));
    flx_fake_after("layout", NULL, NULL);
    flx_fake_before("track_clean", NULL, NULL);
    ck_assert_uint_eq(flx_fake_maps(), 0);
    capture_and_compare(&s);
    ck_assert_uint_eq(s.figures.ahead_pages, 0);

    begin_with_twenty_left(&s);
    flx_fake_fail("layout", 1, FLIC_E_NOXEN);
    capture_and_compare(&s);
    ck_assert_uint_eq(s.figures.ahead_pages, 0);
}
END_TEST

START_TEST(a_save_given_up_before_its_pause_leaves_nothing_mapped)
{
    struct saving s;

    begin_with_twenty_left(&s);
    ck_assert_uint_ge(flx_fake_maps(), 1);
    saving_end(&s);
    ck_assert_uint_eq(flx_fake_maps(), 0);
}
END_TEST

START_TEST(the_figures_count_the_finished_checkpoint)
{
    struct ck_save_figures f;
    uint64_t ram = 0, zero = 0;
    struct saving s;

    saving_init(&s, GUEST);
    s.at_suspend = write_and_suspend;
    OK(saving_run(&s));
    saving_end(&s);
    f = s.figures;
    for (uint64_t gfn = 0; gfn < s.image.gfns; gfn++) {
        bool present = s.image.kind[gfn] == FLX_PAGE_RAM || s.image.kind[gfn] == FLX_PAGE_RING;

        ram += present;
        zero += present && flic_is_zero(s.image.bytes + gfn * PAGE, PAGE);
    }
    ck_assert_uint_eq(f.ram_pages, ram);
    ck_assert_uint_eq(f.zero_pages, zero);
    ck_assert_uint_eq(f.hole_pages, s.image.gfns - ram);
    ck_assert_uint_eq(f.flash_bytes_in_pause, 0);
    ck_assert_uint_eq(f.spilled_pages, 0);
    ck_assert_uint_eq(f.flash_bytes, scene_flash_bytes());
    image_free(&s.image);
}
END_TEST

START_TEST(tracking_is_off_after_a_save_and_the_guest_may_be_resumed_in_place)
{
    (void)scene_save(GUEST, &image, NULL);
    ck_assert(!flx_fake_tracked(GUEST));
    ck_assert(flx_fake_marked_resume(GUEST));
    ck_assert_uint_eq(flx_fake_maps(), 0);
}
END_TEST

START_TEST(the_same_checkpoint_can_be_restored_again_and_again)
{
    struct nv_name name = scene_save(GUEST, &image, NULL);

    for (int i = 0; i < 3; i++)
        scene_restore_and_compare(&name, &image);
}
END_TEST

/* 7 windows of 1024 pages, of which 4 are filled at once. */
START_TEST(a_guest_of_more_windows_than_are_filled_at_once_comes_back_page_for_page)
{
    struct nv_name name;

    scene_guest(BIG, "big", 9, 7000);
    name = scene_save(BIG, &image, NULL);
    flx_fake_kill(BIG);
    scene_restore_and_compare(&name, &image);
    image_free(&image);
}
END_TEST

START_TEST(the_parts_of_a_checkpoint_that_is_all_holes_and_zeros_need_no_packs)
{
    struct flic_uuid uuid = scene_uuid(9);
    struct nv_name name;

    flx_fake_add(3, "empty", &uuid, 0, 1024);
    name = scene_save(3, &image, NULL);
    ck_assert_uint_eq(scene_flash_bytes(), 0);
    scene_restore_and_compare(&name, &image);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("checkpoint");
    TCase *t = tcase_create("whole");

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_saved_guest_comes_back_page_for_page);
    tcase_add_test(t, a_saved_guest_comes_back_after_the_store_was_closed_and_opened);
    tcase_add_test(t, invariant_13_zero_pages_rings_and_holes_are_right_in_frames_that_held_other_bytes);
    tcase_add_test(t, the_machine_state_travels_with_the_pages);
    tcase_add_test(t, configuration_and_disks_travel_with_the_pages_through_nvram_and_flash);
    tcase_add_test(t, a_guest_that_writes_during_the_live_rounds_comes_back_as_it_was_when_suspended);
    tcase_add_test(t, what_changes_between_the_last_live_bitmap_and_the_suspend_is_captured);
    tcase_add_test(t, invariant_2_a_pinned_page_is_captured_although_no_bit_was_set);
    tcase_add_test(t, invariant_2_gfns_beyond_a_short_bitmap_count_as_dirty);
    tcase_add_test(t, invariant_3_a_copy_counts_only_if_its_bit_is_clear_in_the_next_clean);
    tcase_add_test(t, clean_pages_are_not_touched_in_the_pause);
    tcase_add_test(t, pages_that_are_left_when_the_live_rounds_end_are_mapped_before_the_pause_and_captured_as_they_are_then);
    tcase_add_test(t, a_page_that_is_replaced_after_it_was_mapped_ahead_is_captured_from_where_it_is_then);
    tcase_add_test(t, nothing_is_mapped_ahead_where_xen_does_not_tell_when_the_layout_changes);
    tcase_add_test(t, what_cannot_be_mapped_ahead_is_mapped_in_the_pause_and_a_layout_that_is_not_told_again_counts_as_changed);
    tcase_add_test(t, a_save_given_up_before_its_pause_leaves_nothing_mapped);
    tcase_add_test(t, the_figures_count_the_finished_checkpoint);
    tcase_add_test(t, tracking_is_off_after_a_save_and_the_guest_may_be_resumed_in_place);
    tcase_add_test(t, the_same_checkpoint_can_be_restored_again_and_again);
    tcase_add_test(t, a_guest_of_more_windows_than_are_filled_at_once_comes_back_page_for_page);
    tcase_add_test(t, the_parts_of_a_checkpoint_that_is_all_holes_and_zeros_need_no_packs);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
