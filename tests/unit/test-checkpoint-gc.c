/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* gc: what it gives back, what it keeps, beside what it runs, and where it can be cut off. */
#include "tests/unit/checkpoint-scene.h"

#include "daemon/checkpoint/gc.h"
#include "daemon/checkpoint/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_SAVES 6

static struct image images[N_SAVES];
static struct nv_name names[N_SAVES];

static const struct ck_gc_params all_of_it = { .live_percent = 100 };

static void set_up(void)
{
    scene_begin(32 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
}

static uint64_t flash_limit;        /* of all packs together; 0: none */

static void tear_down(void)
{
    flash_limit = 0;
    for (size_t i = 0; i < N_SAVES; i++)
        image_free(&images[i]);
    scene_end();
}

static void forget(const struct nv_name *name)
{
    uint64_t freed;

    OK(ck_forget(store, name, false, &freed, &err));
}

/* Six checkpoints, each with other pages here and there and a stretch of its own; all on flash. */
static void save_all(void)
{
    for (uint32_t i = 0; i < N_SAVES; i++) {
        for (uint64_t gfn = 128; gfn + 8 < GUEST_PAGES; gfn += 64)
            scene_dirty(GUEST, gfn + i % 3, 1, 1000 * i + (uint32_t)gfn);
        scene_dirty(GUEST, 200 + 100 * i, 90, 77 * i);
        names[i] = scene_save(GUEST, &images[i], NULL);
        OK(scene_destage(&names[i], NULL));
    }
}

static struct ck_gc_figures gc(void)
{
    struct ck_gc_figures f;

    OK(ck_gc(store, &all_of_it, &f, &err));
    return f;
}

static int find_strays(const struct pk_pack_info *pack, void *arg)
{
    struct marks *m = arg;

    for (size_t at = 0; at < pack->run_len; at += sizeof(struct flic_id))
        ck_assert_msg(marks_claim((const struct flic_id *)(pack->run + at), m), "pack %08x has what nothing uses, or a second copy",
                      pack->number);
    return 0;
}

/* Every object in the packs is one that is in use, and there is one copy of it. */
static void nothing_is_left_over(void)
{
    struct marks m = { 0 };

    OK(ck_reach_all(store, NULL, 0, &m, &err));
    OK(pk_each_pack(ck_packs(store), NULL, find_strays, &m));
    marks_fini(&m);
}

static uint64_t pack_count(void)
{
    struct pk_stats stats;

    pk_get_stats(ck_packs(store), &stats);
    return stats.packs;
}

START_TEST(invariant_5_gc_gives_back_all_that_is_unreachable_and_nothing_that_is_reachable)
{
    uint64_t before;
    struct ck_gc_figures f;

    save_all();
    for (size_t i = 0; i < N_SAVES; i++)
        if (i != 2 && i != 5)
            forget(&names[i]);
    before = scene_flash_bytes();
    f = gc();
    ck_assert_uint_gt(f.packs_compacted, 0);
    ck_assert_uint_gt(f.freed_bytes, 90 * PAGE / 2);
    ck_assert_uint_eq(before - scene_flash_bytes(), f.freed_bytes);
    ck_assert_uint_eq(f.removed_bytes - f.flash_bytes, f.freed_bytes);
    nothing_is_left_over();
    for (int round = 0; round < 2; round++) {
        scene_restore_and_compare(&names[2], &images[2]);
        scene_restore_and_compare(&names[5], &images[5]);
        ck_assert_uint_eq(scene_count(), 2);
        scene_reopen();
    }
    f = gc();
    ck_assert_uint_eq(f.removed_bytes, 0);
    ck_assert_uint_eq(f.flash_bytes, 0);
}
END_TEST

START_TEST(what_gc_left_comes_back_without_nvram_and_index)
{
    save_all();
    for (size_t i = 0; i < N_SAVES - 1; i++)
        forget(&names[i]);
    (void)gc();
    scene_close();
    scene_lose_arena();
    scene_lose_index();
    scene_open();
    ck_assert_uint_eq(scene_count(), 1);
    scene_restore_and_compare(&names[N_SAVES - 1], &images[N_SAVES - 1]);
}
END_TEST

START_TEST(packs_that_are_used_well_are_left_as_they_are)
{
    const struct ck_gc_params half = { .live_percent = 50 };
    struct ck_gc_figures f;

    save_all();
    forget(&names[1]);
    OK(ck_gc(store, &half, &f, &err));
    ck_assert_uint_lt(f.packs_compacted, f.packs / 2);
    ck_assert_uint_le(f.flash_bytes, f.removed_bytes);
    for (size_t i = 0; i < N_SAVES; i++)
        if (i != 1)
            scene_restore_and_compare(&names[i], &images[i]);
}
END_TEST

START_TEST(a_dry_run_changes_nothing_and_says_about_what_it_would_free)
{
    struct ck_gc_params params = { .live_percent = 100, .dry_run = true };
    struct ck_gc_figures would, did;
    uint64_t before;

    save_all();
    for (size_t i = 0; i < 4; i++)
        forget(&names[i]);
    before = scene_flash_bytes();
    OK(ck_gc(store, &params, &would, &err));
    ck_assert_uint_eq(scene_flash_bytes(), before);
    did = gc();
    ck_assert_uint_eq(would.removed_bytes, did.removed_bytes);
    ck_assert_uint_eq(would.packs_compacted + would.packs_removed, did.packs_compacted + did.packs_removed);
    ck_assert_uint_le(did.freed_bytes, would.freed_bytes * 5 / 4);
    ck_assert_uint_ge(did.freed_bytes, would.freed_bytes * 3 / 4);
}
END_TEST

START_TEST(many_forgotten_ones_leave_one_small_pack_and_stay_forgotten)
{
    struct nv_name last;
    uint64_t before;

    for (uint32_t i = 0; i < 24; i++) {
        scene_dirty(GUEST, 300, 2, i);
        last = scene_save(GUEST, NULL, NULL);
        if (i)
            forget(&last);
    }
    before = pack_count();
    ck_assert_uint_ge(before, 24);
    (void)gc();
    ck_assert_uint_le(pack_count(), 2);
    scene_close();
    scene_lose_index();
    scene_lose_arena();
    scene_open();
    ck_assert(ck_was_forgotten(store, &last.guest, last.seq));
    ck_assert_uint_eq(scene_count(), 0);        /* the first was in the lost NVRAM alone */
    last = scene_save(GUEST, NULL, NULL);
    ck_assert_uint_gt(last.seq, 24);
}
END_TEST

START_TEST(packs_that_a_running_operation_needs_are_left_alone)
{
    struct pk_writer *writer;
    struct ck_gc_figures f;
    struct flic_id id;
    bool is_new;

    save_all();
    OK(pk_writer_new(ck_packs(store), &writer, &err));
    OK(pk_put(writer, PK_PAGE, images[0].bytes + 128 * PAGE, PAGE, &id, &is_new, &err));
    ck_assert(!is_new);
    for (size_t i = 0; i < N_SAVES - 1; i++)
        forget(&names[i]);
    f = gc();
    ck_assert_uint_ge(f.packs_in_use, 1);
    ck_assert(pk_has(ck_packs(store), &id));
    ck_end_writer(store, writer);
    f = gc();
    ck_assert_uint_eq(f.packs_in_use, 0);
    ck_assert(!pk_has(ck_packs(store), &id));
    nothing_is_left_over();
    scene_restore_and_compare(&names[N_SAVES - 1], &images[N_SAVES - 1]);
}
END_TEST

static struct pk_writer *taker;

/* When gc has looked around and moved nothing yet: a save takes up a page of each pack. */
static bool take_up(void *arg)
{
    struct flic_id id;
    bool is_new;

    (void)arg;
    if (taker)
        return false;
    OK(pk_writer_new(ck_packs(store), &taker, &err));
    for (size_t i = 0; i < N_SAVES; i++)
        for (size_t page = 0; page < images[i].gfns; page++)
            OK(pk_put(taker, PK_PAGE, images[i].bytes + page * PAGE, PAGE, &id, &is_new, &err));
    return false;
}

START_TEST(nothing_is_moved_out_of_a_pack_that_a_save_took_up_meanwhile)
{
    struct ck_gc_params params = { .live_percent = 100, .cancelled = take_up };
    struct ck_gc_figures f;

    taker = NULL;
    save_all();
    for (size_t i = 0; i < N_SAVES - 1; i++)
        forget(&names[i]);
    OK(ck_gc(store, &params, &f, &err));
    ck_assert_uint_ge(f.packs_in_use, 1);
    ck_assert_uint_eq(f.objects_moved, 0);
    ck_end_writer(store, taker);
    f = gc();
    ck_assert_uint_gt(f.objects_moved, 0);
    nothing_is_left_over();
    scene_restore_and_compare(&names[N_SAVES - 1], &images[N_SAVES - 1]);
}
END_TEST

static unsigned asked, stop_after;

static bool stop_then(void *arg)
{
    (void)arg;
    return ++asked > stop_after;
}

START_TEST(a_gc_that_is_stopped_anywhere_loses_nothing_and_can_go_on)
{
    struct ck_gc_params params = { .live_percent = 100, .cancelled = stop_then };
    struct ck_gc_figures f;
    int rc = FLIC_E_CANCELLED;

    save_all();
    for (size_t i = 0; i < N_SAVES - 1; i++)
        forget(&names[i]);
    for (stop_after = 0; rc == FLIC_E_CANCELLED; stop_after++) {
        asked = 0;
        rc = ck_gc(store, &params, &f, &err);
        ck_assert(!rc || rc == FLIC_E_CANCELLED);
        scene_restore_and_compare(&names[N_SAVES - 1], &images[N_SAVES - 1]);
    }
    ck_assert_uint_ge(stop_after, 4);
    (void)gc();
    nothing_is_left_over();
}
END_TEST

/* It asks once per 20 ms that it waits for its pace, so this is the time that it gets; what was moved before takes hardly any. */
START_TEST(a_gc_that_never_gets_long_at_a_time_ends_all_the_same)
{
    struct ck_gc_params params = { .live_percent = 100, .kib_per_s = 8192, .cancelled = stop_then };
    int rc = FLIC_E_CANCELLED, runs = 0;
    uint64_t moved = 0, in_use = 0;
    struct ck_gc_figures f;

    save_all();
    for (size_t i = 0; i < N_SAVES - 1; i++)
        forget(&names[i]);
    for (stop_after = 24; rc == FLIC_E_CANCELLED; runs++) {
        ck_assert_int_lt(runs, 20);
        asked = 0;
        rc = ck_gc(store, &params, &f, &err);
        in_use = in_use ? in_use : f.objects_in_use;
        moved += f.objects_moved;
    }
    ck_assert_int_eq(rc, 0);
    ck_assert_int_gt(runs, 1);
    ck_assert_uint_le(moved, in_use + 256u * (unsigned)runs);       /* less than a MiB is not worth a seal */
    nothing_is_left_over();
    scene_restore_and_compare(&names[N_SAVES - 1], &images[N_SAVES - 1]);
}
END_TEST

START_TEST(gc_moves_no_faster_than_it_may)
{
    struct ck_gc_params params = { .live_percent = 100, .kib_per_s = 8192 };
    struct ck_gc_figures f;

    save_all();
    for (size_t i = 0; i < N_SAVES - 1; i++)
        forget(&names[i]);
    OK(ck_gc(store, &params, &f, &err));
    ck_assert_uint_gt(f.objects_moved, 500);
    ck_assert_uint_ge(f.took_us, (f.objects_moved - 300) * PAGE / 1024 * 1000000 / 8192);
}
END_TEST

/* ---- damage ---- */

/* In the first frame of the one large pack. */
static int flip_at(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    uint8_t byte;
    int fd;

    (void)ftw;
    if (type != FTW_F || !strstr(path, "00000000.pack"))
        return 0;
    ck_assert_int_gt(st->st_size, MIB);
    fd = open(path, O_RDWR);
    ck_assert(fd >= 0 && pread(fd, &byte, 1, 1000) == 1);
    byte ^= 0x10;
    ck_assert(pwrite(fd, &byte, 1, 1000) == 1 && !close(fd));
    return 1;
}

START_TEST(a_pack_with_something_in_use_that_cannot_be_read_is_kept)
{
    struct ck_gc_figures f;
    uint32_t domid;

    names[0] = scene_save(GUEST, NULL, NULL);
    scene_dirty(GUEST, 128, GUEST_PAGES - 128, 3);
    names[1] = scene_save(GUEST, &images[1], NULL);
    OK(scene_destage(&names[1], NULL));
    forget(&names[0]);
    scene_close();
    ck_assert_int_eq(nftw(scene_dir, flip_at, 16, FTW_PHYS), 1);
    scene_open();
    for (int round = 0; round < 2; round++) {
        f = gc();
        ck_assert_uint_eq(f.packs_damaged, 1);
        ck_assert_int_eq(scene_restore(&names[1], &domid, NULL), FLIC_E_DAMAGED);
        flx_fake_kill(domid);
    }
    scene_close();
    ck_assert_int_eq(nftw(scene_dir, flip_at, 16, FTW_PHYS), 1);       /* mended: it is all still there */
    scene_open();
    scene_restore_and_compare(&names[1], &images[1]);
    f = gc();
    ck_assert_uint_eq(f.packs_damaged, 0);
    scene_restore_and_compare(&names[1], &images[1]);
    nothing_is_left_over();
}
END_TEST

/* ---- on a full flash ---- */

ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
static bool spare_is_there(void)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/spare", scene_dir);
    return !access(path, F_OK);
}

static uint64_t flash_taken(void)
{
    return scene_flash_bytes() + (spare_is_there() ? MIB : 0);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
    if (!flash_limit || flash_taken() + len <= flash_limit)
        return __real_pwrite(fd, data, len, at);
    errno = ENOSPC;
    return -1;
}

/* Two are kept; one pack has nothing in use, others little or much. */
static void fill_flash(void)
{
    save_all();
    for (size_t i = 0; i < N_SAVES; i++)
        if (i != 0 && i != 4)
            OK(ck_forget(store, &names[i], false, NULL, &err));
    flash_limit = flash_taken();
}

static void two_are_whole(void)
{
    scene_restore_and_compare(&names[0], &images[0]);
    scene_restore_and_compare(&names[4], &images[4]);
}

START_TEST(on_a_full_flash_what_needs_no_room_goes_first_and_is_the_room_for_the_rest)
{
    struct ck_gc_figures f;
    uint64_t before;

    fill_flash();
    before = scene_flash_bytes();
    OK(ck_gc(store, &all_of_it, &f, &err));
    ck_assert_uint_gt(f.packs_removed, 0);
    ck_assert_uint_gt(f.packs_compacted, 0);
    ck_assert_uint_lt(scene_flash_bytes(), before);
    flash_limit = 0;
    nothing_is_left_over();
    two_are_whole();
}
END_TEST

/* Whatever the room: what is free stays free, and what could not be done can be once there is more. */
START_TEST(gc_on_a_flash_with_little_room_gives_back_what_it_can)
{
    struct ck_gc_figures f;
    uint64_t before;
    int rc;

    fill_flash();
    for (uint64_t less = 0; less < 8; less++) {
        before = scene_flash_bytes();
        flash_limit = flash_taken() - less * 64 * PAGE;
        rc = ck_gc(store, &all_of_it, &f, &err);
        ck_assert(!rc || rc == FLIC_E_NOSPACE);
        ck_assert_uint_le(scene_flash_bytes(), before);
        ck_assert(less || f.packs_removed);
        two_are_whole();
    }
    flash_limit = 0;
    (void)gc();
    nothing_is_left_over();
    two_are_whole();
}
END_TEST

/* As take_up(), of all packs but the first and largest. */
static bool take_up_the_small(void *arg)
{
    struct flic_id id;
    bool is_new;

    (void)arg;
    if (taker)
        return false;
    OK(pk_writer_new(ck_packs(store), &taker, &err));
    for (size_t i = 1; i < N_SAVES; i++) {
        OK(pk_put(taker, PK_PAGE, images[i].bytes + (200 + 100 * i + 5) * PAGE, PAGE, &id, &is_new, &err));
        ck_assert(!is_new);
    }
    return false;
}

START_TEST(gc_ends_when_what_does_not_fit_comes_after_packs_that_were_taken_up)
{
    struct ck_gc_params params = { .live_percent = 100, .cancelled = take_up_the_small };
    struct ck_gc_figures f;

    taker = NULL;
    fill_flash();
    OK(ck_forget(store, &names[0], false, NULL, &err));
    ck_assert_int_eq(ck_gc(store, &params, &f, &err), FLIC_E_NOSPACE);
    ck_assert_uint_gt(f.packs_in_use, 1);
    ck_end_writer(store, taker);
    scene_restore_and_compare(&names[4], &images[4]);
}
END_TEST

START_TEST(on_a_full_flash_checkpoints_can_still_be_forgotten)
{
    struct ck_gc_figures f;
    int rc;

    save_all();
    flash_limit = flash_taken();
    ck_assert(spare_is_there());
    for (size_t i = 0; i < N_SAVES - 1; i++)
        OK(ck_forget(store, &names[i], false, NULL, &err));
    ck_assert(!spare_is_there());
    rc = ck_gc(store, &all_of_it, &f, &err);
    ck_assert(!rc || rc == FLIC_E_NOSPACE);
    ck_assert_uint_gt(f.packs_compacted, 0);
    ck_assert(spare_is_there());
    ck_assert_uint_le(flash_taken(), flash_limit);
    scene_restore_and_compare(&names[N_SAVES - 1], &images[N_SAVES - 1]);
}
END_TEST

START_TEST(what_is_kept_for_forgetting_is_there_again_after_a_start)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/spare", scene_dir);
    ck_assert_int_eq(unlink(path), 0);
    scene_reopen();
    ck_assert(spare_is_there());
    ck_assert_int_eq(truncate(path, 0), 0);         /* as a power cut may leave it */
    scene_reopen();
    ck_assert(spare_is_there());
    save_all();
    flash_limit = flash_taken() - MIB / 2;          /* it is what is to be given up first */
    OK(ck_forget(store, &names[0], false, NULL, &err));
}
END_TEST

/* ---- beside others ---- */

static atomic_bool over;
static atomic_uint rounds;

static void *gc_all_the_time(void *arg)
{
    struct ck_gc_figures f;
    struct flic_err why;

    (void)arg;
    while (!atomic_load(&over)) {
        why = (struct flic_err){ 0 };
        if (ck_gc(store, &all_of_it, &f, &why))
            return strdup(why.text);
        atomic_fetch_add(&rounds, 1);
    }
    return NULL;
}

START_TEST(invariant_5_gc_runs_beside_saves_destages_restores_and_forgets)
{
    pthread_t thread;
    void *bad;

    atomic_store(&over, false);
    atomic_store(&rounds, 0);
    save_all();
    ck_assert(!pthread_create(&thread, NULL, gc_all_the_time, NULL));
    for (uint32_t i = 0; i < 24; i++) {
        size_t at = i % N_SAVES;

        forget(&names[at]);
        image_free(&images[at]);
        scene_dirty(GUEST, 128 + 31 * i, 60, 5000 + i);
        names[at] = scene_save(GUEST, &images[at], NULL);
        if (i % 2)
            OK(scene_destage(&names[at], NULL));
        scene_restore_and_compare(&names[(at + 3) % N_SAVES], &images[(at + 3) % N_SAVES]);
    }
    atomic_store(&over, true);
    ck_assert(!pthread_join(thread, &bad));
    ck_assert_msg(!bad, "%s", (const char *)bad);
    ck_assert_uint_gt(atomic_load(&rounds), 3);
    (void)gc();
    nothing_is_left_over();
    scene_reopen();
    for (size_t i = 0; i < N_SAVES; i++)
        scene_restore_and_compare(&names[i], &images[i]);
}
END_TEST

static unsigned busy;

static bool begin_another(void *arg)
{
    struct ck_gc_figures f;
    struct flic_err why = { 0 };

    busy += ck_gc(store, &all_of_it, &f, &why) == FLIC_E_BUSY;
    return arg != NULL;
}

START_TEST(a_second_gc_beside_a_running_one_is_refused)
{
    struct ck_gc_params params = { .live_percent = 100, .cancelled = begin_another };
    struct ck_gc_figures f;

    save_all();
    for (size_t i = 0; i < N_SAVES - 1; i++)
        forget(&names[i]);
    busy = 0;
    OK(ck_gc(store, &params, &f, &err));
    ck_assert_uint_gt(busy, 0);
    (void)gc();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("checkpoint-gc");
    TCase *t = tcase_create("gc");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, invariant_5_gc_gives_back_all_that_is_unreachable_and_nothing_that_is_reachable);
    tcase_add_test(t, what_gc_left_comes_back_without_nvram_and_index);
    tcase_add_test(t, packs_that_are_used_well_are_left_as_they_are);
    tcase_add_test(t, a_dry_run_changes_nothing_and_says_about_what_it_would_free);
    tcase_add_test(t, many_forgotten_ones_leave_one_small_pack_and_stay_forgotten);
    tcase_add_test(t, packs_that_a_running_operation_needs_are_left_alone);
    tcase_add_test(t, a_gc_that_is_stopped_anywhere_loses_nothing_and_can_go_on);
    tcase_add_test(t, a_gc_that_never_gets_long_at_a_time_ends_all_the_same);
    tcase_add_test(t, gc_moves_no_faster_than_it_may);
    tcase_add_test(t, on_a_full_flash_what_needs_no_room_goes_first_and_is_the_room_for_the_rest);
    tcase_add_test(t, gc_ends_when_what_does_not_fit_comes_after_packs_that_were_taken_up);
    tcase_add_test(t, on_a_full_flash_checkpoints_can_still_be_forgotten);
    tcase_add_test(t, what_is_kept_for_forgetting_is_there_again_after_a_start);
    tcase_add_test(t, gc_on_a_flash_with_little_room_gives_back_what_it_can);
    tcase_add_test(t, a_pack_with_something_in_use_that_cannot_be_read_is_kept);
    tcase_add_test(t, invariant_5_gc_runs_beside_saves_destages_restores_and_forgets);
    tcase_add_test(t, nothing_is_moved_out_of_a_pack_that_a_save_took_up_meanwhile);
    tcase_add_test(t, a_second_gc_beside_a_running_one_is_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
