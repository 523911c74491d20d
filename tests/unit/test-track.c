/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* A guest tracked ahead of its save: epochs, background copies, what a save borrows and gives back. */
#include "tests/unit/track-scene.h"

#include "daemon/track/history.h"

#define COPIED (GUEST_PAGES - 3)        /* the ring, the hole and the page to skip have no bytes */

static struct image image;

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

static bool is_unknown(uint64_t gfn)
{
    struct ck_base *base;
    bool unknown;

    OK(tk_lend(tracked, &base, &err));      /* does a CLEAN, as a save would */
    unknown = ck_bit(base->dirty, gfn);
    tk_give_back(tracked);
    return unknown;
}

/* ---- epochs and copies ---- */

START_TEST(everything_is_unknown_at_first_and_on_flash_once_it_stayed_clean)
{
    track_begin();
    ck_assert(flx_fake_tracked(GUEST));
    ck_assert_uint_eq(track_status().unknown_pages, GUEST_PAGES);
    track_for(SECOND * 3 / 2);
    ck_assert_uint_eq(track_status().copied.pages, 0);      /* one clean epoch, two are asked for */
    track_for(SECOND);
    ck_assert_uint_eq(track_status().copied.pages, COPIED);
    ck_assert_uint_eq(track_status().pending_pages, GUEST_PAGES);
    ck_assert_uint_eq(track_status().unknown_pages, GUEST_PAGES);
    track_for(SECOND);
    ck_assert_uint_eq(track_status().unknown_pages, 0);
    ck_assert_uint_eq(track_status().pending_pages, 0);
    track_end();
    ck_assert(!flx_fake_tracked(GUEST));
}
END_TEST

START_TEST(where_xen_knows_that_nothing_is_there_nobody_looks)
{
    flx_fake_know_holes(true);
    track_begin();
    ck_assert_uint_eq(track_status().unknown_pages, GUEST_PAGES - 1);
    track_for(SECOND * 4);
    ck_assert_uint_eq(track_status().unknown_pages, 0);
    track_end();
}
END_TEST

START_TEST(a_page_written_in_every_epoch_is_never_copied)
{
    track_begin();
    for (int i = 0; i < 8; i++) {
        scene_dirty(GUEST, 200, 50, (uint32_t)i);
        track_for(SECOND);
    }
    ck_assert_uint_eq(track_status().copied.pages, COPIED - 50);
    ck_assert_uint_eq(track_status().unknown_pages, 50);
}
END_TEST

START_TEST(invariant_3_a_copy_whose_page_is_written_before_the_next_clean_does_not_count)
{
    track_begin();
    track_for(SECOND * 5 / 2);
    ck_assert_uint_eq(track_status().pending_pages, GUEST_PAGES);
    scene_dirty(GUEST, 300, 1, 77);                         /* after its copy, before the CLEAN */
    ck_assert(is_unknown(300));
    ck_assert(!is_unknown(302));
    (void)track_save(&image, NULL, NULL);
    scene_restore_and_compare(&(struct nv_name){ .guest = scene_uuid(1), .seq = 1 }, &image);
}
END_TEST

START_TEST(invariant_3_a_copy_does_not_count_when_the_clean_after_it_fails)
{
    track_begin();
    track_for(SECOND * 5 / 2);
    flx_fake_fail("track_clean", 1, FLIC_E_XEN);
    ck_assert_int_eq(track_try(SECOND), FLIC_E_XEN);
    track_end();
    track_begin();
    ck_assert_uint_eq(track_status().unknown_pages, GUEST_PAGES);
}
END_TEST

START_TEST(invariant_2_what_the_bitmap_does_not_report_on_stays_unknown)
{
    flx_fake_short_bitmap(GUEST, 1000);
    flx_fake_pin(GUEST, 40);
    track_begin();
    track_for(SECOND * 6);
    ck_assert_uint_eq(track_status().unknown_pages, GUEST_PAGES - 1000 + 1);
    ck_assert(is_unknown(40));
    ck_assert(is_unknown(1000));
    ck_assert(!is_unknown(999));
}
END_TEST

START_TEST(epochs_are_short_while_the_guest_writes_and_long_while_it_is_idle)
{
    const struct tk_conf conf = { .epoch_min_ms = 250, .epoch_max_ms = 2000, .clean_epochs = 2 };

    track_begin();
    track_end();
    OK(tk_new(store, GUEST, &conf, &pace, &tracked, &err));
    track_for(SECOND * 10);
    ck_assert_uint_eq(track_status().epoch_ms, 2000);
    for (int i = 0; i < 20; i++) {
        scene_dirty(GUEST, 200, 90, (uint32_t)i);
        track_for(SECOND / 4);
    }
    ck_assert_uint_eq(track_status().epoch_ms, 250);
    track_for(SECOND * 10);
    ck_assert_uint_eq(track_status().epoch_ms, 2000);
}
END_TEST

START_TEST(a_page_that_xen_spared_is_unknown_until_it_is_looked_at_and_found_clean)
{
    flx_fake_spare_hot(true);
    track_begin();
    track_for(SECOND * 5 / 2);
    for (int i = 0; i < 2; i++) {
        scene_dirty(GUEST, 200, 50, (uint32_t)i);
        track_for(SECOND);
    }
    ck_assert_uint_eq(track_status().last.written_pages, 50);
    track_for(SECOND);
    ck_assert_uint_eq(track_status().last.written_pages, 50);      /* nobody wrote them */
    track_for(SECOND);
    ck_assert_uint_eq(track_status().last.written_pages, 0);
    track_for(SECOND * 12);
    ck_assert_uint_eq(track_status().unknown_pages, 0);
}
END_TEST

START_TEST(what_a_guest_writes_to_a_spared_page_is_in_its_save)
{
    struct ck_save_figures figures;

    flx_fake_spare_hot(true);
    track_begin();
    track_for(SECOND * 4);
    for (int i = 0; i < 2; i++) {
        scene_dirty(GUEST, 200, 50, (uint32_t)i);
        track_for(SECOND);
    }
    scene_dirty(GUEST, 210, 5, 99);
    (void)track_save(&image, &figures, NULL);
    scene_restore_and_compare(&(struct nv_name){ .guest = scene_uuid(1), .seq = 1 }, &image);
    ck_assert_uint_eq(figures.ws_pages, 50);
    ck_assert(is_unknown(212));
}
END_TEST

/* ---- pace ---- */

static void cost_cpu(uint32_t domid, void *arg)
{
    (void)domid;
    clock_cpu_us += *(uint64_t *)arg;
}

/* How long it takes until nothing is pending or left, in seconds of the clock. */
static uint64_t seconds_to_copy(uint64_t bytes_per_s, unsigned cpu_percent)
{
    uint64_t began;

    track_begin();
    pace.bytes_per_s = bytes_per_s;
    pace.cpu_percent = cpu_percent;
    track_for(2 * SECOND);
    began = clock_us;
    while (track_status().copied.pages < COPIED)
        track_for(SECOND / 10);
    track_end();
    return (clock_us - began) / SECOND;
}

START_TEST(a_page_that_is_rewritten_every_few_epochs_is_not_copied_in_its_rests_but_once_they_last)
{
    uint64_t copied;

    track_begin();
    track_for(5 * SECOND);
    scene_dirty(GUEST, 600, 50, 1);
    track_for(4 * SECOND);
    copied = track_status().copied.pages;       /* the first rest is not known to be one */
    for (uint32_t round = 2; round < 8; round++) {
        scene_dirty(GUEST, 600, 50, round);
        track_for(4 * SECOND);
    }
    ck_assert_uint_eq(track_status().copied.pages, copied);
    ck_assert_uint_eq(track_status().unknown_pages, 50);
    track_for(9 * SECOND);
    ck_assert_uint_eq(track_status().copied.pages, copied + 50);
    ck_assert_uint_eq(track_status().unknown_pages, 0);
}
END_TEST

START_TEST(copying_goes_on_where_it_stopped_although_pages_below_are_due_again)
{
    track_begin();
    pace.bytes_per_s = 32 * PAGE;               /* two seconds a batch of 64: it never comes to an end within an epoch */
    for (uint32_t round = 0; round < 120; round++) {
        if (round % 9 == 0)                     /* two sets, each written too seldom to be a write set, one of them always due */
            scene_dirty(GUEST, round % 2 ? 200 : 520, 320, round);
        track_for(SECOND);
    }
    ck_assert(!is_unknown(GUEST_PAGES - 100));
    ck_assert(!is_unknown(GUEST_PAGES - 1));
}
END_TEST

START_TEST(copying_keeps_to_the_bytes_a_second)
{
    uint64_t stored = GUEST_PAGES - GUEST_PAGES / 8, wanted = stored * PAGE / 65536;    /* zero pages cost no flash */
    uint64_t took = seconds_to_copy(65536, 100);

    ck_assert_uint_ge(took, wanted * 9 / 10);
    ck_assert_uint_le(took, wanted * 11 / 10 + 5);
}
END_TEST

START_TEST(copying_keeps_to_its_share_of_a_cpu)
{
    uint64_t batch_us = SECOND / 4, took;       /* 24 batches of 64 pages: 6 s of CPU time */

    flx_fake_after("map_pages", cost_cpu, &batch_us);
    took = seconds_to_copy(1 << 30, 25);
    ck_assert_uint_ge(took, 21);
    ck_assert_uint_le(took, 29);
}
END_TEST

START_TEST(an_idle_minute_buys_no_burst)
{
    track_begin();
    track_for(60 * SECOND);
    pace.bytes_per_s = 65536;
    scene_dirty(GUEST, 200, 512, 9);
    track_for(7 * SECOND);                      /* the epoch that sees the writes, two clean ones, four to copy in */
    ck_assert_uint_gt(track_status().copied.pages, COPIED);
    ck_assert_uint_le(track_status().copied.pages - COPIED, 2 * 64);
}
END_TEST

/* ---- saves ---- */

START_TEST(invariant_10_a_save_of_a_tracked_guest_copies_nothing_that_was_copied_ahead)
{
    struct ck_save_figures f;
    struct nv_name name;
    uint64_t before;

    track_begin();
    track_for(SECOND * 5);
    before = scene_flash_bytes();
    name = track_save(&image, &f, NULL);
    ck_assert_uint_eq(f.live_pages, 0);
    ck_assert_uint_eq(f.ws_pages, 0);
    ck_assert_uint_eq(f.new_pages, 0);
    ck_assert_uint_ge(f.ram_pages, GUEST_PAGES - 4);
    ck_assert_uint_ge(scene_flash_bytes(), before);
    ck_assert_uint_le(f.flash_bytes, 6 * 1024 * 1024);      /* what the tracker had not sealed yet, three leaves, a footer */
    scene_restore_and_compare(&name, &image);
}
END_TEST

static const struct scene_work no_work;

/* Pages, or leaves: the first save stored them, the guest has them, and nothing of it was written since. */
START_TEST(what_verify_finds_lost_is_stored_anew_by_the_next_save_of_a_tracked_guest)
{
    struct ck_save_figures f;
    struct nv_name name;
    uint64_t lost;

    track_begin();
    track_for(SECOND * 5);
    (void)track_save(&image, NULL, &no_work);
    lost = scene_lose_objects(store, scene_dir, _i).lost_objects;
    name = track_save(&image, &f, &no_work);
    ck_assert_uint_ge(f.live_pages, _i ? 0 : lost);
    ck_assert_uint_lt(f.live_pages, GUEST_PAGES / 4);
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(what_verify_finds_lost_of_a_tracked_guest_is_copied_in_the_background)
{
    struct ck_verify_params params = { .only = NULL };
    struct ck_verify_figures v;
    struct image first = { 0 };
    struct nv_name name;

    track_begin();
    track_for(SECOND * 5);
    name = track_save(&first, NULL, &no_work);
    ck_assert_uint_eq(scene_lose_objects(store, scene_dir, false).damaged, 1);
    track_for(SECOND * 5);
    ck_assert_uint_eq(track_status().unknown_pages, 0);
    (void)track_save(&image, NULL, &no_work);
    OK(ck_verify(store, &params, &v, &err));
    ck_assert_uint_eq(v.damaged, 0);
    scene_restore_and_compare(&name, &first);
    image_free(&first);
}
END_TEST

/* The guest is suspended then, and still has what was lost. */
START_TEST(a_save_of_which_something_is_lost_between_its_rounds_and_its_publishing_fails_and_the_next_one_is_right)
{
    struct saving s;
    struct nv_name name;

    saving_init(&s, GUEST);
    OK(saving_new(&s));
    OK(ck_save_live(s.save, &err));
    (void)scene_lose_objects(store, scene_dir, _i);
    OK(ck_save_capture(s.save, &err));
    ck_assert_int_eq(ck_save_publish(s.save, "[]", 2, &err), FLIC_E_DAMAGED);
    ck_assert_ptr_nonnull(strstr(err.text, "save it again"));
    saving_end(&s);
    image_free(&s.image);
    ck_assert_uint_eq(scene_count(), 0);
    flx_fake_set_run(GUEST, FLX_RUNNING);
    name = scene_save(GUEST, &image, NULL);
    scene_restore_and_compare(&name, &image);
}
END_TEST

static const struct scene_work work = { .first = 600, .n = 50, .seed = 6060 };

START_TEST(invariant_10_the_second_save_of_a_tracked_guest_copies_only_what_changed)
{
    struct nv_name first, second;
    struct image earlier = { 0 };
    struct ck_save_figures f;
    uint64_t mapped;

    track_begin();
    track_for(SECOND * 5);
    first = track_save(&earlier, &f, &work);
    ck_assert_uint_eq(f.ws_pages, 50);
    mapped = flx_fake_mapped_pages();
    scene_dirty(GUEST, 900, 20, 5);
    second = track_save(&image, &f, NULL);
    ck_assert_uint_le(flx_fake_mapped_pages() - mapped, 70);    /* the 50 captured ones lie in NVRAM only: again */
    ck_assert_uint_le(f.live_pages + f.ws_pages, 70);
    ck_assert_uint_le(f.flash_bytes, 70 * PAGE + 3 * 8192 + 8192);
    scene_restore_and_compare(&first, &earlier);
    scene_restore_and_compare(&second, &image);
    image_free(&earlier);
}
END_TEST

START_TEST(a_page_captured_in_a_pause_stays_unknown_until_it_is_copied)
{
    struct nv_name name;

    track_begin();
    track_for(SECOND * 5);
    (void)track_save(&image, NULL, &work);
    ck_assert(is_unknown(600));
    ck_assert_uint_eq(track_status().unknown_pages, 50);
    track_for(SECOND * 5);
    ck_assert_uint_eq(track_status().unknown_pages, 0);
    name = track_save(&image, NULL, NULL);
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(a_page_captured_once_and_left_alone_is_in_no_later_pause_however_often_the_guest_is_saved)
{
    struct ck_save_figures f;

    track_begin();
    track_for(SECOND * 5);
    for (int i = 0; i < 6; i++) {
        (void)track_save(&image, &f, i == 2 ? &work : NULL);
        ck_assert_uint_eq(f.ws_pages, i == 2 ? 50 : 0);
        track_for(SECOND * 3 / 2);
    }
}
END_TEST

START_TEST(pages_written_all_the_time_are_left_to_the_pause_and_written_to_flash_by_no_live_round)
{
    struct ck_save_figures f;

    track_begin();
    for (int i = 0; i < 6; i++) {
        scene_dirty(GUEST, 200, 50, (uint32_t)i);
        track_for(SECOND);
    }
    scene_dirty(GUEST, 900, 30, 5);             /* written once: copied live */
    (void)track_save(&image, &f, NULL);
    ck_assert_uint_eq(f.live_pages, 30);
    ck_assert_uint_eq(f.ws_pages + f.ws_zero_pages, 50);
}
END_TEST

START_TEST(a_write_set_that_would_fill_nvram_is_copied_live_instead)
{
    struct ck_save_figures f;
    struct nv_name name;

    track_end();
    scene_end();
    scene_begin(6 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    track_begin();
    for (int i = 0; i < 6; i++) {
        scene_dirty(GUEST, 400, 1000, (uint32_t)i);
        track_for(SECOND);
    }
    name = track_save(&image, &f, NULL);
    ck_assert_uint_eq(f.live_pages, 1000);
    ck_assert_uint_eq(f.ws_pages, 0);
    ck_assert_uint_eq(f.spilled_pages, 0);
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(a_save_cancelled_in_its_live_round_gives_back_what_it_copied_and_the_next_one_is_right)
{
    struct saving s;
    struct nv_name name;

    track_begin();
    saving_init(&s, GUEST);
    s.cancel_after = 2;
    OK(tk_lend(tracked, &s.base, &err));        /* nothing is copied yet: two windows of live round */
    ck_assert_int_eq(saving_run(&s), FLIC_E_CANCELLED);
    scene_dirty(GUEST, 10, 30, 3);              /* some of the first window, before anyone did a CLEAN */
    saving_end(&s);
    tk_give_back(tracked);
    ck_assert(flx_fake_tracked(GUEST));
    name = track_save(&image, NULL, NULL);
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(a_clean_that_fails_in_a_save_makes_everything_unknown)
{
    struct saving s;

    track_begin();
    track_for(SECOND * 5);
    saving_init(&s, GUEST);
    OK(tk_lend(tracked, &s.base, &err));
    flx_fake_fail("track_clean", 1, FLIC_E_XEN);
    ck_assert_int_eq(saving_run(&s), FLIC_E_XEN);
    saving_end(&s);
    tk_give_back(tracked);
    track_for(SECOND * 3 / 2);
    ck_assert_uint_eq(track_status().unknown_pages, GUEST_PAGES);
}
END_TEST

/* ---- what a collection may take ---- */

START_TEST(invariant_5_a_collection_leaves_what_was_copied_ahead)
{
    struct nv_name other, name;
    struct image kept = { 0 };
    uint64_t freed;

    scene_guest(9, "mail", 2, GUEST_PAGES);
    other = scene_save(9, &kept, NULL);
    track_begin();
    track_for(SECOND * 5);
    OK(ck_forget(store, &other, false, &freed, &err));
    ck_assert_uint_gt(freed, 0);                /* the other's packs did go */
    name = track_save(&image, NULL, NULL);
    scene_restore_and_compare(&name, &image);
    image_free(&kept);
}
END_TEST

START_TEST(invariant_5_a_collection_leaves_pages_and_leaves_that_were_only_found_in_the_store)
{
    struct nv_name first = scene_save(GUEST, &image, NULL), name;
    struct ck_save_figures f;
    struct tk_status status;
    uint64_t freed;

    track_begin();
    track_for(SECOND * 5);
    status = track_status();
    ck_assert_uint_eq(status.copied.new_pages, 0);
    name = track_save(&image, &f, NULL);        /* its leaves are found too */
    ck_assert_uint_eq(f.flash_bytes, 0);
    OK(ck_forget(store, &first, false, &freed, &err));
    OK(ck_forget(store, &name, false, &freed, &err));
    ck_assert_uint_eq(freed, 0);                /* nobody refers to them but the tracker */
    scene_dirty(GUEST, 600, 3, 8);              /* one leaf of three is stored again, two are referred to as they are */
    name = track_save(&image, &f, NULL);
    scene_restore_and_compare(&name, &image);
    track_end();
    OK(ck_forget(store, &name, false, &freed, &err));
    ck_assert_uint_gt(freed, GUEST_PAGES * PAGE / 4);
}
END_TEST

START_TEST(what_was_overwritten_since_can_be_collected_once_it_is_more_than_the_guest_has_memory)
{
    struct nv_name first, other, name;
    uint64_t peak = 0, freed;

    track_begin();
    track_for(SECOND * 5);
    first = track_save(&image, NULL, NULL);             /* puts the leaves in a pack of their own */
    for (uint32_t i = 1; i <= 9; i++) {                 /* all but the first leaf, again and again: 3.9 MiB */
        scene_dirty(GUEST, 520, 1000, i * 10000);
        track_for(SECOND * 4);
        peak = scene_flash_bytes() > peak ? scene_flash_bytes() : peak;
    }
    scene_guest(9, "mail", 2, 256);
    other = scene_save(9, NULL, NULL);
    OK(ck_forget(store, &first, false, &freed, &err));
    OK(ck_forget(store, &other, false, &freed, &err));  /* something has to cause a collection */
    ck_assert_uint_lt(scene_flash_bytes(), peak - 6 * MIB);
    ck_assert_uint_gt(track_status().flash_bytes, peak / 2);
    name = track_save(&image, NULL, NULL);
    scene_restore_and_compare(&name, &image);
}
END_TEST

/* ---- what happens to guests ---- */

START_TEST(a_guest_that_balloons_within_its_size_is_unknown_from_then_on)
{
    struct nv_name name;

    track_begin();
    track_for(SECOND * 5);
    flx_fake_set_kind(GUEST, 700, FLX_PAGE_HOLE);
    track_for(SECOND);
    ck_assert_uint_ge(track_status().unknown_pages, GUEST_PAGES);
    track_for(SECOND * 5);
    ck_assert_uint_eq(track_status().unknown_pages, 0);
    flx_fake_set_kind(GUEST, 700, FLX_PAGE_RAM);
    name = track_save(&image, NULL, NULL);
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(a_guest_that_grows_is_tracked_in_its_new_size)
{
    struct ck_save_figures f;
    struct nv_name name;

    track_begin();
    track_for(SECOND * 5);
    flx_fake_set_kind(GUEST, GUEST_PAGES, FLX_PAGE_RAM);
    scene_dirty(GUEST, GUEST_PAGES, 1, 4);
    track_for(SECOND);
    ck_assert_uint_eq(track_status().info.gfn_end, GUEST_PAGES + 1);
    ck_assert_uint_eq(track_status().unknown_pages, GUEST_PAGES + 1);
    track_for(SECOND * 5);
    name = track_save(&image, &f, NULL);
    ck_assert_uint_eq(f.live_pages, 0);
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(a_guest_that_grows_just_before_its_save_is_saved_whole)
{
    struct nv_name name;

    track_begin();
    track_for(SECOND * 5);
    flx_fake_set_kind(GUEST, GUEST_PAGES, FLX_PAGE_RAM);
    name = track_save(&image, NULL, NULL);
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(a_renamed_guest_is_tracked_on_under_its_new_name)
{
    track_begin();
    track_for(SECOND * 5);
    flx_fake_set_name(GUEST, "shop");
    track_for(SECOND);
    ck_assert_str_eq(track_status().info.name, "shop");
    ck_assert_uint_eq(track_status().unknown_pages, 0);
}
END_TEST

START_TEST(another_guest_under_the_same_domid_is_not_taken_for_this_one)
{
    struct flic_uuid uuid = scene_uuid(3);
    struct ck_base *base;

    track_begin();
    track_for(SECOND * 5);
    flx_fake_set_uuid(GUEST, &uuid);
    ck_assert_int_eq(tk_lend(tracked, &base, &err), FLIC_E_NODOMAIN);
    ck_assert_int_eq(track_try(2 * SECOND), FLIC_E_NODOMAIN);
}
END_TEST

START_TEST(a_guest_that_is_destroyed_ends_its_tracking_with_that_reason)
{
    track_begin();
    track_for(SECOND * 5 / 2);
    flx_fake_set_run(GUEST, FLX_DYING);
    ck_assert_int_eq(track_try(2 * SECOND), FLIC_E_NODOMAIN);
}
END_TEST

START_TEST(a_suspended_guest_is_not_copied_from)
{
    track_begin();
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    track_for(SECOND * 6);
    ck_assert_uint_eq(track_status().copied.pages, 0);
    flx_fake_set_run(GUEST, FLX_RUNNING);
    track_for(SECOND * 6);
    ck_assert_uint_eq(track_status().unknown_pages, 0);
}
END_TEST

START_TEST(log_dirty_left_on_by_a_flicd_that_died_is_begun_anew_and_nothing_of_it_trusted)
{
    struct flx_dom *dom;
    struct nv_name name;

    OK(flx_open(GUEST, &dom, &err));
    OK(flx_track_on(dom, &err));
    flx_close(dom);
    scene_dirty(GUEST, 5, 5, 1);
    track_begin();
    ck_assert_uint_eq(track_status().unknown_pages, GUEST_PAGES);
    track_for(SECOND * 5);
    name = track_save(&image, NULL, NULL);
    scene_restore_and_compare(&name, &image);
}
END_TEST

/* ---- the write set ---- */

START_TEST(the_write_set_is_what_is_written_again_and_again)
{
    struct tk_sample samples[4];
    struct tk_status s;

    track_begin();
    track_for(SECOND * 9);
    for (int i = 0; i < 5; i++) {
        scene_dirty(GUEST, 200, 50, (uint32_t)i);           /* in each epoch, within one 2 MiB */
        if (i % 3 == 0)
            scene_dirty(GUEST, 1000, 20, (uint32_t)i);      /* now and then, across two */
        if (i == 2)
            scene_dirty(GUEST, 700, 100, (uint32_t)i);      /* once */
        track_for(SECOND);
    }
    s = track_status();
    ck_assert_uint_eq(s.last.written_pages, 50);
    ck_assert_uint_eq(s.last.ws_pages, 70);
    ck_assert_uint_eq(s.last.stable_pages, 50);
    ck_assert_uint_eq(s.last.ws_regions, 2);
    ck_assert_uint_eq(s.last.epoch_ms, 1000);
    ck_assert_uint_eq(tk_series(tracked, samples, 4), 4);
    ck_assert_uint_eq(samples[1].written_pages, 150);
    ck_assert_mem_eq(&samples[3], &s.last, sizeof(s.last));
}
END_TEST

START_TEST(a_guest_that_writes_each_page_once_has_no_write_set_from_the_first_epoch_on)
{
    track_begin();
    for (uint32_t i = 0; i < 6; i++) {
        scene_dirty(GUEST, 200 + 100 * i, 100, i);
        track_for(SECOND);
        ck_assert_uint_eq(track_status().last.written_pages, 100);
        ck_assert_uint_eq(track_status().last.ws_pages, 0);
    }
}
END_TEST

START_TEST(the_series_keeps_the_newest_samples_oldest_first)
{
    static struct tk_sample samples[TK_SERIES + 1];

    track_begin();
    track_for(SECOND * (TK_SERIES + 50));
    ck_assert_uint_eq(tk_series(tracked, samples, TK_SERIES + 1), TK_SERIES);
    for (size_t i = 1; i < TK_SERIES; i++)
        ck_assert_uint_gt(samples[i].at_ns, samples[i - 1].at_ns);
    ck_assert_uint_eq(samples[TK_SERIES - 1].at_ns, track_status().last.at_ns);
}
END_TEST

START_TEST(history_forgets_after_eight_epochs_and_ends_where_the_guest_ends)
{
    struct tk_history h;
    struct tk_measure m;
    uint64_t written[2] = { 1, 1ull << 5 }, none[2] = { 0, 0 };

    ck_assert_int_eq(tk_history_init(&h, 70), 0);
    for (int i = 0; i < 8; i++)
        tk_history_epoch(&h, none);
    tk_history_epoch(&h, written);
    tk_history_epoch(&h, written);
    tk_history_measure(&h, &m);
    ck_assert_uint_eq(m.ws_pages, 2);
    for (int i = 0; i < 7; i++)
        tk_history_epoch(&h, none);
    tk_history_measure(&h, &m);
    ck_assert_uint_eq(m.ws_pages, 0);
    tk_history_epoch(&h, none);
    for (size_t i = 0; i < 128; i++)
        ck_assert_uint_eq(h.page[i], 0);
    tk_history_fini(&h);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("track");
    TCase *t = tcase_create("track");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, everything_is_unknown_at_first_and_on_flash_once_it_stayed_clean);
    tcase_add_test(t, where_xen_knows_that_nothing_is_there_nobody_looks);
    tcase_add_test(t, a_page_written_in_every_epoch_is_never_copied);
    tcase_add_test(t, invariant_3_a_copy_whose_page_is_written_before_the_next_clean_does_not_count);
    tcase_add_test(t, invariant_3_a_copy_does_not_count_when_the_clean_after_it_fails);
    tcase_add_test(t, invariant_2_what_the_bitmap_does_not_report_on_stays_unknown);
    tcase_add_test(t, epochs_are_short_while_the_guest_writes_and_long_while_it_is_idle);
    tcase_add_test(t, a_page_that_xen_spared_is_unknown_until_it_is_looked_at_and_found_clean);
    tcase_add_test(t, what_a_guest_writes_to_a_spared_page_is_in_its_save);
    tcase_add_test(t, a_page_that_is_rewritten_every_few_epochs_is_not_copied_in_its_rests_but_once_they_last);
    tcase_add_test(t, copying_goes_on_where_it_stopped_although_pages_below_are_due_again);
    tcase_add_test(t, copying_keeps_to_the_bytes_a_second);
    tcase_add_test(t, copying_keeps_to_its_share_of_a_cpu);
    tcase_add_test(t, an_idle_minute_buys_no_burst);
    tcase_add_test(t, invariant_10_a_save_of_a_tracked_guest_copies_nothing_that_was_copied_ahead);
    tcase_add_test(t, invariant_10_the_second_save_of_a_tracked_guest_copies_only_what_changed);
    tcase_add_loop_test(t, what_verify_finds_lost_is_stored_anew_by_the_next_save_of_a_tracked_guest, 0, 2);
    tcase_add_test(t, what_verify_finds_lost_of_a_tracked_guest_is_copied_in_the_background);
    tcase_add_loop_test(t, a_save_of_which_something_is_lost_between_its_rounds_and_its_publishing_fails_and_the_next_one_is_right, 0, 2);
    tcase_add_test(t, a_page_captured_in_a_pause_stays_unknown_until_it_is_copied);
    tcase_add_test(t, a_page_captured_once_and_left_alone_is_in_no_later_pause_however_often_the_guest_is_saved);
    tcase_add_test(t, pages_written_all_the_time_are_left_to_the_pause_and_written_to_flash_by_no_live_round);
    tcase_add_test(t, a_write_set_that_would_fill_nvram_is_copied_live_instead);
    tcase_add_test(t, a_save_cancelled_in_its_live_round_gives_back_what_it_copied_and_the_next_one_is_right);
    tcase_add_test(t, a_clean_that_fails_in_a_save_makes_everything_unknown);
    tcase_add_test(t, invariant_5_a_collection_leaves_what_was_copied_ahead);
    tcase_add_test(t, invariant_5_a_collection_leaves_pages_and_leaves_that_were_only_found_in_the_store);
    tcase_add_test(t, what_was_overwritten_since_can_be_collected_once_it_is_more_than_the_guest_has_memory);
    tcase_add_test(t, a_guest_that_balloons_within_its_size_is_unknown_from_then_on);
    tcase_add_test(t, a_guest_that_grows_is_tracked_in_its_new_size);
    tcase_add_test(t, a_guest_that_grows_just_before_its_save_is_saved_whole);
    tcase_add_test(t, a_renamed_guest_is_tracked_on_under_its_new_name);
    tcase_add_test(t, another_guest_under_the_same_domid_is_not_taken_for_this_one);
    tcase_add_test(t, a_guest_that_is_destroyed_ends_its_tracking_with_that_reason);
    tcase_add_test(t, a_suspended_guest_is_not_copied_from);
    tcase_add_test(t, log_dirty_left_on_by_a_flicd_that_died_is_begun_anew_and_nothing_of_it_trusted);
    tcase_add_test(t, the_write_set_is_what_is_written_again_and_again);
    tcase_add_test(t, a_guest_that_writes_each_page_once_has_no_write_set_from_the_first_epoch_on);
    tcase_add_test(t, the_series_keeps_the_newest_samples_oldest_first);
    tcase_add_test(t, history_forgets_after_eight_epochs_and_ends_where_the_guest_ends);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
