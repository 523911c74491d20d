/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* A start that does not see everything: what it did not see is there when it comes back, and what it needs has not been freed. */
#include "tests/unit/checkpoint-scene.h"

#include "daemon/checkpoint/collect.h"
#include "daemon/checkpoint/fsck.h"
#include "daemon/checkpoint/gc.h"
#include "daemon/checkpoint/verify.h"
#include "daemon/daemon.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct image image;
static struct nv_name name;
static char bad[160];           /* the pack with its root and what its destage moved; no other has it */

/* main.c's, which is not in the library. */
int fd_check_ready(const struct fd_daemon *daemon, struct flic_err *why)
{
    (void)daemon;
    (void)why;
    return 0;
}

/* ---- a checkpoint that lies on flash alone, and another guest's beside it ---- */

static void find_last_pack(void)
{
    char path[160];

    for (unsigned i = 0; i < 64; i++) {
        (void)snprintf(path, sizeof(path), "%s/packs/%08x.pack", scene_dir, i);
        if (!access(path, F_OK))
            memcpy(bad, path, sizeof(path));
    }
}

static void lose_cache(void)
{
    struct nv_txn *txn;
    struct nv_info info;

    nv_get_info(ck_arena(store), &info);
    OK(nv_txn_begin(ck_arena(store), info.frames_free + 1, &txn, &err));
    nv_txn_abort(txn);
}

static void set_up(void)
{
    const struct scene_work work = { .first = 600, .n = 50, .seed = 6060 };

    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    name = scene_save_with_work(GUEST, &work, &image, NULL);
    OK(scene_destage(&name, NULL));
    find_last_pack();
    lose_cache();
}

static void tear_down(void)
{
    image_free(&image);
    scene_end();
}

/* What anybody does meanwhile: a checkpoint of another guest comes, and is forgotten. */
static uint64_t save_and_forget_another(void)
{
    struct nv_name other;
    uint64_t freed;

    scene_guest(8, "db", 2, GUEST_PAGES);
    scene_dirty(8, 128, GUEST_PAGES - 128, 4711);
    other = scene_save(8, NULL, NULL);
    flx_fake_kill(8);
    OK(ck_forget(store, &other, false, &freed, &err));
    return freed;
}

static int collect_by_itself(void)
{
    const struct ck_gc_params params = { .live_percent = 100 };
    struct ck_gc_figures f;

    return ck_gc(store, &params, &f, &err);
}

static void gc_by_hand(void)
{
    const struct ck_gc_params params = { .live_percent = 100, .anyway = true };
    struct ck_gc_figures f;

    OK(ck_gc(store, &params, &f, &err));
}

static void flip(const char *path, off_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);

    ck_assert(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 4;
    ck_assert(pwrite(fd, &byte, 1, at) == 1 && !close(fd));
}

static off_t last_byte(const char *path)
{
    struct stat st;

    ck_assert(!stat(path, &st));
    return st.st_size - 1;
}

static void refuses_to_free(const char *words)
{
    ck_assert_uint_eq(save_and_forget_another(), 0);
    ck_assert_int_eq(collect_by_itself(), FLIC_E_REFUSED);
    ck_assert_msg(strstr(err.text, words), "%s", err.text);
}

/* ---- packs ---- */

START_TEST(what_a_pack_that_cannot_be_read_may_need_stays_until_it_can)
{
    scene_close();
    flip(bad, last_byte(bad) - 8);
    scene_open();
    ck_assert(!scene_offers(&name));
    refuses_to_free("1 packs could not be read");
    scene_close();
    flip(bad, last_byte(bad) - 8);
    scene_open();
    scene_restore_and_compare(&name, &image);
    ck_assert_uint_gt(save_and_forget_another(), 0);
    OK(collect_by_itself());
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(what_a_root_that_cannot_be_read_needs_stays_until_it_can)
{
    off_t at = last_byte(bad) + 1 - 64 - 24 * 52 - 200;     /* before the footer: the last frame, which has the root */

    scene_close();
    flip(bad, at);
    scene_open();
    ck_assert(!scene_offers(&name));
    refuses_to_free("1 checkpoint roots on flash");
    scene_close();
    flip(bad, at);
    scene_open();
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(a_checkpoint_that_the_index_alone_knows_is_remembered_until_it_is_back)
{
    struct ck_recovery r;
    char away[200];

    (void)snprintf(away, sizeof(away), "%s.bad", bad);
    scene_close();
    ck_assert(!rename(bad, away));
    for (int i = 0; i < 2; i++) {           /* at every start */
        scene_open();
        ck_get_recovery(store, &r);
        ck_assert_uint_eq(r.unseen, 1);
        refuses_to_free("such as web@1");
        scene_close();
    }
    ck_assert(!rename(away, bad));
    scene_open();
    ck_get_recovery(store, &r);
    ck_assert_uint_eq(r.unseen, 0);
    scene_restore_and_compare(&name, &image);
    OK(collect_by_itself());
}
END_TEST

START_TEST(what_is_lost_for_good_is_given_up_by_hand)
{
    struct ck_fsck_figures f;
    uint64_t before;

    scene_close();
    ck_assert(!unlink(bad));
    scene_open();
    refuses_to_free("flic fsck --rebuild");
    before = scene_flash_bytes();
    OK(ck_fsck(store, true, &f, &err));
    ck_assert_uint_eq(f.stray, 1);
    ck_assert_uint_eq(f.unseen, 1);
    OK(collect_by_itself());
    ck_assert_uint_lt(scene_flash_bytes(), before / 4);
    scene_reopen();
    OK(collect_by_itself());
}
END_TEST

START_TEST(an_index_that_is_replaced_while_in_use_still_knows_them)
{
    struct ck_fsck_figures f;

    scene_close();
    ck_assert(!unlink(bad));
    scene_open();
    scene_lose_index();
    OK(ck_fsck(store, true, &f, &err));
    ck_assert(f.index_replaced);
    refuses_to_free("such as web@1");
    scene_reopen();
    refuses_to_free("such as web@1");
}
END_TEST

START_TEST(gc_by_hand_frees_all_the_same)
{
    uint64_t before;

    scene_close();
    flip(bad, last_byte(bad) - 8);
    scene_open();
    ck_assert_uint_eq(save_and_forget_another(), 0);
    before = scene_flash_bytes();
    gc_by_hand();
    ck_assert_uint_lt(scene_flash_bytes(), before / 2);
    ck_assert(!access(bad, F_OK));
}
END_TEST

/* What the lost list names is in other packs, and nothing else names it. */
START_TEST(a_checkpoint_that_lost_a_list_of_its_pages_keeps_them_until_the_pack_is_put_back)
{
    struct ck_verify_params params = { .only = NULL };
    struct ck_verify_figures f;
    struct ck_loaded loaded;
    struct ck_entry entry;
    char path[160], aside[200];
    uint64_t place;

    OK(ck_find_exact(store, &name.guest, name.seq, &entry, &err));
    OK(ck_load(store, &entry, &loaded, &err));
    place = pk_place(ck_packs(store), &loaded.root.leaves[2]);       /* one that the pause did not change */
    ck_unload(store, &loaded);
    (void)snprintf(path, sizeof(path), "%s/packs/%08x.pack", scene_dir, (unsigned)(place >> 32));
    (void)snprintf(aside, sizeof(aside), "%s.bad", path);
    scene_close();
    flip(path, (off_t)(uint32_t)place + 100);
    scene_open();
    OK(ck_verify(store, &params, &f, &err));
    ck_assert(!access(aside, F_OK));
    scene_reopen();
    OK(ck_find_exact(store, &name.guest, name.seq, &entry, &err));
    ck_assert(entry.damaged && entry.lost_leaf);
    refuses_to_free("checkpoint web@1 is damaged");
    scene_close();
    flip(aside, (off_t)(uint32_t)place + 100);
    ck_assert(!rename(aside, path));
    scene_open();
    scene_restore_and_compare(&name, &image);
    OK(collect_by_itself());
}
END_TEST

/* ---- NVRAM ---- */

START_TEST(an_arena_that_is_not_there_is_not_made_anew_while_checkpoints_must_be_in_it)
{
    struct image second = { 0 };
    struct ck_recovery r;
    struct nv_name alone;
    char away[100];
    int fd;

    alone = scene_save(GUEST, &second, NULL);
    (void)snprintf(away, sizeof(away), "%s.away", scene_arena);
    scene_close();
    ck_assert(!rename(scene_arena, away));
    ck_assert_int_eq(scene_try_open(), FLIC_E_NVRAM);
    ck_assert_msg(strstr(err.text, "web@2") && strstr(err.text, "mount it"), "%s", err.text);
    ck_assert(access(scene_arena, F_OK));
    ck_assert(!rename(away, scene_arena));
    scene_open();
    scene_restore_and_compare(&alone, &second);
    scene_close();
    image_free(&second);
    fd = open(scene_arena, O_WRONLY | O_TRUNC);     /* the way to begin a new one */
    ck_assert(fd >= 0 && !close(fd));
    scene_open();
    ck_get_recovery(store, &r);
    ck_assert_uint_eq(r.unseen, 1);
    scene_restore_and_compare(&name, &image);
    ck_assert_int_eq(collect_by_itself(), FLIC_E_REFUSED);
}
END_TEST

/* ---- disks ---- */

static bool there(const char *file)
{
    return !access(file, F_OK);
}

/* A clone of a disk of web's checkpoint number `seq`, in a folder that the store knows. */
static void make_clone(char out[300], uint64_t seq)
{
    char store_uuid[FLIC_UUID_TEXT], guest[FLIC_UUID_TEXT], list[100];
    FILE *f;

    (void)snprintf(list, sizeof(list), "%s/snapshot-folders", scene_dir);
    f = fopen(list, "w");
    ck_assert(f && fprintf(f, "%s\n", scene_dir) > 0 && !fclose(f));
    flic_uuid_text(ck_store_uuid(store), store_uuid);
    flic_uuid_text(&name.guest, guest);
    (void)snprintf(out, 300, "%s/%s.%s.%llu.d0", scene_dir, store_uuid, guest, (unsigned long long)seq);
    f = fopen(out, "w");
    ck_assert(f && !fclose(f));
}

static void tidy_disks(void)
{
    static struct fd_daemon daemon_;

    memset(&daemon_, 0, sizeof(daemon_));
    fd_conf_defaults(&daemon_.conf);
    daemon_.store = store;
    (void)snprintf(daemon_.conf.store, sizeof(daemon_.conf.store), "%s", scene_dir);
    fd_tidy_disks(&daemon_);
}

START_TEST(disks_of_a_checkpoint_that_was_not_seen_stay)
{
    char clone[300], none[300];

    make_clone(clone, name.seq);
    scene_close();
    flip(bad, last_byte(bad) - 8);
    scene_open();
    tidy_disks();
    ck_assert(there(clone));
    scene_close();
    flip(bad, last_byte(bad) - 8);
    scene_open();
    make_clone(none, name.seq + 5);         /* of a save that was cut off */
    tidy_disks();
    ck_assert(there(clone) && !there(none));
}
END_TEST

START_TEST(disks_of_what_was_forgotten_go_also_when_not_all_was_seen)
{
    char clone[300], other[300];
    struct nv_name second = scene_save(GUEST, NULL, NULL);
    uint64_t freed;

    make_clone(clone, name.seq);
    make_clone(other, second.seq);
    OK(ck_forget(store, &second, false, &freed, &err));
    scene_close();
    flip(bad, last_byte(bad) - 8);
    scene_open();
    tidy_disks();
    ck_assert(there(clone) && !there(other));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("checkpoint-unseen");
    TCase *t = tcase_create("unseen");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, what_a_pack_that_cannot_be_read_may_need_stays_until_it_can);
    tcase_add_test(t, what_a_root_that_cannot_be_read_needs_stays_until_it_can);
    tcase_add_test(t, a_checkpoint_that_the_index_alone_knows_is_remembered_until_it_is_back);
    tcase_add_test(t, what_is_lost_for_good_is_given_up_by_hand);
    tcase_add_test(t, an_index_that_is_replaced_while_in_use_still_knows_them);
    tcase_add_test(t, gc_by_hand_frees_all_the_same);
    tcase_add_test(t, a_checkpoint_that_lost_a_list_of_its_pages_keeps_them_until_the_pack_is_put_back);
    tcase_add_test(t, an_arena_that_is_not_there_is_not_made_anew_while_checkpoints_must_be_in_it);
    tcase_add_test(t, disks_of_a_checkpoint_that_was_not_seen_stay);
    tcase_add_test(t, disks_of_what_was_forgotten_go_also_when_not_all_was_seen);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
