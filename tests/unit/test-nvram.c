/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The arena on a real file under TMPDIR (a DAX file system does too): what it keeps, gives up, refuses and says. */
#include "tests/unit/nvram-story.h"

#include "common/io.h"
#include "daemon/nvram/cpu.h"
#include "daemon/nvram/layout.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ull << 20)

static char folder[64], path[96];
static struct nv_arena *arena;
static struct story story;
static struct flic_err err;

static void open_it(void)
{
    ck_assert_msg(!nv_open(path, &STORY_STORE, &arena, &err), "%s", err.text);
}

static void make_it(uint64_t size)
{
    ck_assert_msg(!nv_create(path, size, &STORY_STORE, &err), "%s", err.text);
    open_it();
}

static void open_again(void)
{
    nv_close(arena);
    arena = NULL;
    open_it();
}

static void setup(void)
{
    const char *tmp = getenv("TMPDIR");

    ck_assert_int_lt(snprintf(folder, sizeof(folder), "%s/test-nvram.XXXXXX", tmp ? tmp : "/tmp"), sizeof(folder));
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/arena", folder);
    err = (struct flic_err){ 0 };
    arena = NULL;
    story_begin(&story);
}

static void teardown(void)
{
    nv_close(arena);
    story_fini(&story);
    (void)unlink(path);
    ck_assert_int_eq(rmdir(folder), 0);
}

static struct nv_info info(void)
{
    struct nv_info i;

    nv_get_info(arena, &i);
    return i;
}

/* The arena holds what the story says. */
static void check_story(void)
{
    char why[160] = "";

    ck_assert_msg(story_holds(arena, story_now(&story), story_now(&story), NULL, why, sizeof(why)), "%s", why);
}

static bool is_present(unsigned number)
{
    struct nv_name name = story_name(number);
    struct nv_object obj;

    if (!nv_pin(arena, &name, &obj))
        return false;
    nv_unpin(arena, &name);
    return true;
}

static void poke(uint64_t at, uint8_t change)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(flic_pread_all(fd, &byte, 1, at), 0);
    byte ^= change;
    ck_assert_int_eq(flic_pwrite_all(fd, &byte, 1, at), 0);
    (void)close(fd);
}

/* ---- keeping ---- */

START_TEST(a_committed_object_is_there_and_whole_after_reopening)
{
    make_it(MIB);
    ck_assert_int_ne(info().kind, NV_DEV_DAX);
    if (getenv("NVRAM_REPORT"))
        printf("on %s\n", info().kind == NV_FS_DAX ? "fs-DAX" : "a plain file: emulated");
    ck_assert_int_eq(story_commit(&story, arena, 1, 9, 5000), 0);
    check_story();
    open_again();
    check_story();
    ck_assert_uint_eq(info().damaged, 0);
}
END_TEST

START_TEST(an_aborted_or_forgotten_transaction_leaves_nothing)
{
    uint32_t all;

    make_it(MIB);
    all = info().frames_free;
    ck_assert_int_eq(story_abort(&story, arena, 9), 0);
    ck_assert_uint_eq(info().frames_free, all);
    open_again();
    check_story();
}
END_TEST

START_TEST(an_object_without_frames_and_one_with_the_longest_root_are_kept)
{
    make_it(MIB);
    ck_assert_int_eq(story_commit(&story, arena, 1, 0, 10), 0);
    ck_assert_int_eq(story_note(&story, arena, 1, NV_NOTE_PUBLISHED, 0), 0);
    ck_assert_int_eq(story_commit(&story, arena, 2, 1, NV_ROOT_MAX), 0);
    open_again();
    check_story();
}
END_TEST

START_TEST(frames_that_were_reserved_and_not_used_are_free_after_the_commit)
{
    struct nv_name name = story_name(1);
    struct nv_txn *txn;
    uint32_t all;

    make_it(MIB);
    all = info().frames_free;
    ck_assert_int_eq(nv_txn_begin(arena, 20, &txn, &err), 0);
    ck_assert_uint_eq(nv_txn_frames(txn), 20);
    ck_assert_uint_eq(info().frames_free, all - 20);
    ck_assert_int_eq(nv_txn_commit(txn, &name, 3, "r", 1, &err), 0);
    ck_assert_uint_eq(info().frames_free, all - 3);
    open_again();
    ck_assert_uint_eq(info().frames_free, all - 3);
}
END_TEST

START_TEST(notes_of_every_kind_are_there_after_reopening)
{
    make_it(16 * MIB);
    for (unsigned i = 1; i <= 4; i++)
        ck_assert_int_eq(story_commit(&story, arena, i, i, 100), 0);
    ck_assert_int_eq(story_note(&story, arena, 1, NV_NOTE_PUBLISHED, 16384), 0);
    ck_assert_int_eq(story_note(&story, arena, 2, NV_NOTE_PUBLISHED, 0), 0);
    ck_assert_int_eq(story_note(&story, arena, 2, NV_NOTE_DESTAGED, 0), 0);
    ck_assert_int_eq(story_note(&story, arena, 3, NV_NOTE_RESTORED, 40), 0);
    ck_assert_int_eq(story_note(&story, arena, 3, NV_NOTE_RESTORED, 50), 0);
    ck_assert_int_eq(story_note(&story, arena, 4, NV_NOTE_FORGOTTEN, 7), 0);
    check_story();
    open_again();
    check_story();
    ck_assert_uint_eq(info().frames_cached, 2);
}
END_TEST

START_TEST(a_forgotten_object_stays_forgotten_until_its_note_is_dropped)
{
    make_it(MIB);
    ck_assert_int_eq(story_commit(&story, arena, 1, 5, 100), 0);
    ck_assert_int_eq(story_note(&story, arena, 1, NV_NOTE_FORGOTTEN, 0), 0);
    ck_assert_uint_eq(info().frames_free, info().frames);
    open_again();
    check_story();
    ck_assert_int_eq(story_commit(&story, arena, 1, 1, 1), -EEXIST);
    ck_assert_int_eq(story_drop_note(&story, arena, 1, NV_NOTE_FORGOTTEN), 0);
    check_story();
    open_again();
    check_story();
}
END_TEST

START_TEST(notes_about_what_is_only_on_flash_are_kept_and_others_refused)
{
    struct nv_name name = story_name(9);

    make_it(MIB);
    ck_assert_int_eq(story_note(&story, arena, 8, NV_NOTE_FORGOTTEN, 0), 0);
    ck_assert_int_eq(story_note(&story, arena, 9, NV_NOTE_RESTORED, 5), 0);
    ck_assert_int_eq(nv_note_add(arena, &name, NV_NOTE_PUBLISHED, NULL, 0, &err), FLIC_E_NOCHECKPOINT);
    ck_assert_int_eq(nv_note_add(arena, &name, NV_NOTE_DESTAGED, NULL, 0, &err), FLIC_E_NOCHECKPOINT);
    ck_assert_int_eq(nv_note_add(arena, &name, (enum nv_note)5, NULL, 0, &err), -EINVAL);
    open_again();
    check_story();
}
END_TEST

START_TEST(only_an_unpublished_object_can_be_dropped)
{
    struct nv_name name = story_name(1);

    make_it(MIB);
    ck_assert_int_eq(story_commit(&story, arena, 1, 2, 0), 0);
    ck_assert_int_eq(story_commit(&story, arena, 2, 2, 0), 0);
    ck_assert_int_eq(story_note(&story, arena, 1, NV_NOTE_PUBLISHED, 0), 0);
    ck_assert_int_eq(nv_drop_unpublished(arena, &name, &err), FLIC_E_REFUSED);
    ck_assert_int_eq(story_drop(&story, arena, 2), 0);
    name = story_name(2);
    ck_assert_int_eq(nv_drop_unpublished(arena, &name, &err), FLIC_E_NOCHECKPOINT);
    open_again();
    check_story();
}
END_TEST

START_TEST(the_log_wraps_many_times_and_loses_nothing)
{
    make_it(MIB);
    ck_assert_int_eq(story_commit(&story, arena, 1, 3, 3000), 0);
    ck_assert_int_eq(story_note(&story, arena, 1, NV_NOTE_PUBLISHED, 100), 0);
    for (unsigned i = 0; i < 200; i++) {
        ck_assert_int_eq(story_note(&story, arena, 2 + i % 3, NV_NOTE_RESTORED, 3000 + i), 0);
        if (i % 20 == 0)
            open_again();
        check_story();
    }
    ck_assert_uint_gt(info().bytes_written, 0);
    ck_assert_uint_le(info().log_used, info().log_bytes);
}
END_TEST

static int count_up(const struct nv_object *obj, void *arg)
{
    uint64_t *last = arg;

    if (obj->name.seq <= *last)
        return 77;
    *last = obj->name.seq;
    return obj->name.seq == 3 ? 33 : 0;
}

START_TEST(objects_are_seen_oldest_first_and_the_callback_can_stop)
{
    uint64_t last = 0;

    make_it(16 * MIB);
    for (unsigned i = 1; i <= 4; i++)
        ck_assert_int_eq(story_commit(&story, arena, i, 1, 10), 0);
    open_again();
    ck_assert_int_eq(nv_each(arena, count_up, &last), 33);
    ck_assert_uint_eq(last, 3);
}
END_TEST

/* ---- frames ---- */

START_TEST(all_frames_wear_alike)
{
    struct nv_txn *txn;
    uint32_t n;
    unsigned *uses;

    make_it(MIB);
    n = info().frames;
    uses = calloc(n, sizeof(*uses));
    ck_assert_ptr_nonnull(uses);
    for (unsigned round = 0; round < n; round++) {
        ck_assert_int_eq(nv_txn_begin(arena, 5, &txn, &err), 0);
        for (uint32_t i = 0; i < 5; i++)
            uses[((uintptr_t)nv_txn_frame(txn, i) / FLIC_PAGE_SIZE) % n]++;
        nv_txn_abort(txn);
    }
    for (uint32_t i = 0; i < n; i++)
        ck_assert_uint_eq(uses[i], 5);
    free(uses);
}
END_TEST

START_TEST(writes_of_frames_are_counted)
{
    static const uint8_t data[5 * FLIC_PAGE_SIZE] = { 1 };
    struct nv_txn *txn;
    uint32_t n;

    make_it(MIB);
    n = info().frames;
    ck_assert_uint_eq(info().frame_writes, 0);
    for (unsigned round = 0; round < n; round++) {
        ck_assert_int_eq(nv_txn_begin(arena, 5, &txn, &err), 0);
        ck_assert_uint_eq(nv_txn_put_bytes(txn, 0, data, sizeof(data)), 5);
        nv_txn_abort(txn);
    }
    ck_assert_uint_eq(info().frame_writes, 5ull * n);
    ck_assert_uint_eq(info().frame_writes_least, 5);
    ck_assert_uint_eq(info().frame_writes_most, 5);
}
END_TEST

START_TEST(the_rotation_goes_on_after_reopening)
{
    struct nv_name name = story_name(1);
    const uint8_t *last, *next;
    struct nv_object obj;
    struct nv_txn *txn;

    make_it(MIB);
    ck_assert_int_eq(story_commit(&story, arena, 1, 40, 0), 0);
    ck_assert_int_eq(story_commit(&story, arena, 2, 7, 0), 0);
    ck_assert_int_eq(story_note(&story, arena, 1, NV_NOTE_FORGOTTEN, 0), 0);
    open_again();
    name = story_name(2);
    ck_assert(nv_pin(arena, &name, &obj));
    last = nv_object_frame(arena, &name, 6);
    nv_unpin(arena, &name);
    ck_assert_int_eq(nv_txn_begin(arena, 1, &txn, &err), 0);
    next = nv_txn_frame(txn, 0);
    nv_txn_abort(txn);
    ck_assert_ptr_eq(next, last + FLIC_PAGE_SIZE);
}
END_TEST

START_TEST(cached_objects_are_given_up_oldest_first_and_only_as_many_as_needed)
{
    uint32_t n;

    make_it(16 * MIB);
    n = info().frames;
    for (unsigned i = 1; i <= 3; i++)
        ck_assert_int_eq(story_commit(&story, arena, i, n / 4, 100), 0);
    ck_assert_int_eq(story_note(&story, arena, 2, NV_NOTE_DESTAGED, 0), 0);
    ck_assert_int_eq(story_note(&story, arena, 3, NV_NOTE_DESTAGED, 0), 0);
    ck_assert_int_eq(story_commit(&story, arena, 4, n / 4 + n / 8, 100), 0);
    ck_assert(is_present(1) && !is_present(2) && is_present(3) && is_present(4));
    check_story();
    open_again();
    check_story();
}
END_TEST

START_TEST(what_is_pinned_or_not_on_flash_is_never_given_up)
{
    struct nv_name name = story_name(2);
    struct nv_object obj;
    struct nv_txn *txn;
    char there[32];
    uint32_t n;

    make_it(MIB);
    n = info().frames;
    ck_assert_int_eq(story_commit(&story, arena, 1, n / 3, 0), 0);
    ck_assert_int_eq(story_commit(&story, arena, 2, n / 3, 0), 0);
    ck_assert_int_eq(story_note(&story, arena, 2, NV_NOTE_DESTAGED, 0), 0);
    ck_assert(nv_pin(arena, &name, &obj));
    ck_assert_int_eq(nv_txn_begin(arena, n / 2, &txn, &err), FLIC_E_NOSPACE);
    (void)snprintf(there, sizeof(there), "%u of %u are free", info().frames_free, n);
    ck_assert_msg(strstr(err.text, there) && strstr(err.text, "forget"), "%s", err.text);
    nv_unpin(arena, &name);
    ck_assert_int_eq(nv_txn_begin(arena, n / 2, &txn, &err), 0);
    nv_txn_abort(txn);
    ck_assert(is_present(1) && !is_present(2));
}
END_TEST

START_TEST(no_file_is_made_in_the_place_of_a_device_that_is_not_there)
{
    static const char node[] = "/dev/dax99.9-of-a-test";

    ck_assert_int_eq(nv_create(node, 16 * MIB, &STORY_STORE, &err), FLIC_E_NVRAM);
    ck_assert_msg(strstr(err.text, node) && strstr(err.text, "driver"), "%s", err.text);
    ck_assert_int_ne(access(node, F_OK), 0);
}
END_TEST

START_TEST(what_is_said_not_to_be_on_flash_any_more_is_no_cache)
{
    struct nv_name name = story_name(9);
    struct nv_txn *txn;
    uint32_t n;

    make_it(MIB);
    n = info().frames;
    ck_assert_int_eq(story_commit(&story, arena, 1, n / 2, 0), 0);
    ck_assert_int_eq(story_note(&story, arena, 1, NV_NOTE_DESTAGED, 0), 0);
    ck_assert_int_eq(story_drop_note(&story, arena, 1, NV_NOTE_DESTAGED), 0);
    ck_assert_uint_eq(info().frames_cached, 0);
    ck_assert_int_eq(nv_txn_begin(arena, n - n / 4, &txn, &err), FLIC_E_NOSPACE);
    open_again();
    check_story();
    ck_assert_int_eq(nv_txn_begin(arena, n - n / 4, &txn, &err), FLIC_E_NOSPACE);
    ck_assert_int_eq(nv_note_drop(arena, &name, NV_NOTE_DESTAGED, &err), FLIC_E_NOCHECKPOINT);
}
END_TEST

START_TEST(nothing_is_given_up_in_vain)
{
    struct nv_txn *txn;
    uint32_t n;

    make_it(MIB);
    n = info().frames;
    ck_assert_int_eq(story_commit(&story, arena, 1, n / 2, 0), 0);
    ck_assert_int_eq(story_commit(&story, arena, 2, n / 4, 0), 0);
    ck_assert_int_eq(story_note(&story, arena, 2, NV_NOTE_DESTAGED, 0), 0);
    ck_assert_int_eq(nv_txn_begin(arena, n - n / 4, &txn, &err), FLIC_E_NOSPACE);
    ck_assert_int_eq(nv_txn_begin(arena, n + 1, &txn, &err), FLIC_E_NOSPACE);
    ck_assert(is_present(2));
    check_story();
}
END_TEST

START_TEST(a_pinned_object_keeps_its_bytes_when_it_is_forgotten)
{
    struct nv_name name = story_name(1);
    uint8_t page[FLIC_PAGE_SIZE], note[60];
    struct nv_object obj;

    make_it(MIB);
    ck_assert_int_eq(story_commit(&story, arena, 1, 6, 500), 0);
    ck_assert_int_eq(story_note(&story, arena, 1, NV_NOTE_PUBLISHED, sizeof(note)), 0);
    ck_assert(nv_pin(arena, &name, &obj));
    ck_assert(nv_pin(arena, &name, &obj));
    ck_assert_int_eq(story_note(&story, arena, 1, NV_NOTE_FORGOTTEN, 0), 0);
    ck_assert_uint_eq(info().frames_free, info().frames - 6);
    ck_assert_int_eq(story_commit(&story, arena, 2, info().frames_free, 0), 0);
    story_bytes(1, 5, page, sizeof(page));
    ck_assert_mem_eq(nv_object_frame(arena, &name, 5), page, sizeof(page));
    story_bytes(1, 1001, note, sizeof(note));
    ck_assert_mem_eq(obj.published_note, note, sizeof(note));
    nv_unpin(arena, &name);
    ck_assert_uint_eq(info().frames_free, 0);
    nv_unpin(arena, &name);
    ck_assert_uint_eq(info().frames_free, 6);
    check_story();
    open_again();
    check_story();
}
END_TEST

/* ---- a full log ---- */

START_TEST(a_full_log_says_what_to_do_and_can_still_be_freed)
{
    struct nv_name name = story_name(90);
    unsigned n = 1;

    make_it(NVL_SIZE_MIN);
    while (n < 60 && !story_note(&story, arena, n, NV_NOTE_RESTORED, 16384))
        n++;
    while (n < 89 && !story_note(&story, arena, n, NV_NOTE_RESTORED, 900))
        n++;
    ck_assert_uint_lt(n, 89);
    while (n < 89 && !story_note(&story, arena, n, NV_NOTE_RESTORED, 0))
        n++;
    ck_assert_int_eq(nv_note_add(arena, &name, NV_NOTE_RESTORED, NULL, 0, &err), FLIC_E_NOSPACE);
    ck_assert_msg(strstr(err.text, "forget checkpoints") != NULL, "%s", err.text);
    check_story();
    ck_assert_int_eq(story_drop_note(&story, arena, 1, NV_NOTE_RESTORED), 0);
    ck_assert_int_eq(story_note(&story, arena, 90, NV_NOTE_RESTORED, 16000), 0);
    open_again();
    check_story();
}
END_TEST

START_TEST(an_open_transaction_always_finds_room_for_its_commit_and_its_published_note)
{
    struct nv_name name = story_name(1);
    static uint8_t root[NV_ROOT_MAX], note[16384];
    struct nv_object obj;
    struct nv_txn *txn;
    unsigned n = 2;

    make_it(NVL_SIZE_MIN);
    ck_assert_int_eq(nv_txn_begin(arena, 1, &txn, &err), 0);
    while (n < 89 && !story_note(&story, arena, n, NV_NOTE_RESTORED, 500))
        n++;
    while (n < 89 && !story_note(&story, arena, n, NV_NOTE_RESTORED, 0))
        n++;
    ck_assert_uint_lt(n, 89);
    story_bytes(1, 1000, root, sizeof(root));
    ck_assert_msg(!nv_txn_commit(txn, &name, 1, root, sizeof(root), &err), "%s", err.text);
    ck_assert_int_ne(story_note(&story, arena, 90, NV_NOTE_RESTORED, 16000), 0);
    ck_assert_msg(!nv_note_add(arena, &name, NV_NOTE_PUBLISHED, note, sizeof(note), &err), "%s", err.text);
    open_again();
    ck_assert(nv_pin(arena, &name, &obj));
    ck_assert(obj.published && obj.root_len == sizeof(root));
    ck_assert_mem_eq(obj.root, root, sizeof(root));
    nv_unpin(arena, &name);
}
END_TEST

/* ---- copying ---- */

struct copier {
    pthread_t thread;
    struct nv_txn *txn;
    struct nv_room *room;
    uint32_t pages;
};

static struct flic_id ids[64];
static struct flic_secret secret;

static void *copy_some(void *arg)
{
    struct copier *c = arg;
    uint8_t page[FLIC_PAGE_SIZE];

    for (uint32_t i = 0; i < c->pages; i++) {
        struct flic_id id;
        uint32_t frame;

        story_bytes(1, i, page, sizeof(page));
        id = nv_txn_add_page(c->txn, c->room, page, &secret, &frame);
        if (frame != NV_NO_FRAME)
            ids[frame] = id;
    }
    return NULL;
}

START_TEST(several_threads_fill_one_transaction)
{
    struct nv_room room = { .end = 64 };
    struct copier c[4];
    struct nv_name name = story_name(1);
    struct nv_object obj;
    struct nv_txn *txn;

    make_it(2 * MIB);
    ck_assert_int_eq(flic_secret_draw(&secret), 0);
    ck_assert_int_eq(nv_txn_begin(arena, 64, &txn, &err), 0);
    for (unsigned i = 0; i < 4; i++) {
        c[i] = (struct copier){ .txn = txn, .room = &room, .pages = 16 };
        ck_assert_int_eq(pthread_create(&c[i].thread, NULL, copy_some, &c[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(c[i].thread, NULL), 0);
    ck_assert_int_eq(nv_txn_commit(txn, &name, 64, "root", 4, &err), 0);
    open_again();
    ck_assert(nv_pin(arena, &name, &obj));
    for (uint32_t i = 0; i < 64; i++)
        ck_assert(flic_id_matches(&secret, &ids[i], nv_object_frame(arena, &name, i), FLIC_PAGE_SIZE));
    nv_unpin(arena, &name);
}
END_TEST

static void *try_commit(void *arg)
{
    struct nv_name name = story_name(1);
    static int rc;

    rc = nv_txn_commit(arg, &name, 1, "", 0, NULL);
    return &rc;
}

START_TEST(a_page_of_zeros_takes_no_frame_and_one_page_too_many_gets_none)
{
    static uint8_t page[FLIC_PAGE_SIZE];
    struct nv_room room = { .next = 1, .end = 3 };
    struct flic_id id;
    struct nv_txn *txn;
    uint32_t frame;

    make_it(MIB);
    ck_assert_int_eq(nv_txn_begin(arena, 4, &txn, &err), 0);
    id = nv_txn_add_page(txn, &room, page, &secret, &frame);
    ck_assert(flic_id_equal(&id, &FLIC_ID_ZERO));
    ck_assert_uint_eq(frame, NV_NO_FRAME);
    for (uint32_t i = 1; i < 5; i++) {
        page[77] = (uint8_t)i;
        id = nv_txn_add_page(txn, &room, page, &secret, &frame);
        ck_assert_uint_eq(frame, i < 3 ? i : NV_NO_FRAME);
        ck_assert(flic_id_matches(&secret, &id, page, sizeof(page)));
    }
    ck_assert_uint_eq(((const uint8_t *)nv_txn_frame(txn, 2))[77], 2);
    nv_txn_abort(txn);
}
END_TEST

START_TEST(a_commit_by_another_thread_than_the_one_that_filled_is_refused)
{
    struct nv_room room = { .end = 2 };
    struct nv_txn *txn = NULL;
    struct copier c;
    void *rc;

    make_it(MIB);
    ck_assert_int_eq(nv_txn_begin(arena, 2, &txn, &err), 0);
    c = (struct copier){ .txn = txn, .room = &room, .pages = 1 };
    (void)copy_some(&c);
    ck_assert_int_eq(pthread_create(&c.thread, NULL, try_commit, txn), 0);
    ck_assert_int_eq(pthread_join(c.thread, &rc), 0);
    ck_assert_int_eq(*(int *)rc, FLIC_E_INTERNAL);
    nv_txn_abort(txn);
    ck_assert_int_eq(nv_txn_begin(arena, 2, &txn, &err), 0);    /* the other way about is fine */
    c.txn = txn;
    ck_assert_int_eq(pthread_create(&c.thread, NULL, copy_some, &c), 0);
    ck_assert_int_eq(pthread_join(c.thread, NULL), 0);
    ck_assert_int_eq(*(int *)try_commit(txn), 0);
}
END_TEST

/* Another process, as a guest or its backend would be. */
static pid_t keep_changing(volatile uint64_t *page)
{
    pid_t parent = getpid(), child = fork();

    if (child)
        return child;
    for (uint64_t v = 0; v % 65536 || getppid() == parent; v++)
        page[v % (FLIC_PAGE_SIZE / 8)] = v;
    _exit(0);
}

START_TEST(the_id_is_that_of_the_stored_bytes_even_when_the_page_changes_meanwhile)
{
    void *page = mmap(NULL, FLIC_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned changes = 0;
    struct flic_id last = FLIC_ID_ZERO;
    struct nv_txn *txn;
    pid_t child;

    ck_assert_ptr_ne(page, MAP_FAILED);
    make_it(MIB);
    ck_assert_int_eq(nv_txn_begin(arena, 20, &txn, &err), 0);
    child = keep_changing(page);
    ck_assert_int_gt(child, 0);
    for (unsigned round = 0; round < 100000 && changes < 1000; round++) {
        struct nv_room room = { .next = round % 20, .end = 20 };
        uint32_t frame;
        struct flic_id id = nv_txn_add_page(txn, &room, page, &secret, &frame);

        if (frame == NV_NO_FRAME)       /* before its first change */
            continue;
        ck_assert(flic_id_matches(&secret, &id, nv_txn_frame(txn, frame), FLIC_PAGE_SIZE));
        changes += !flic_id_equal(&id, &last);
        last = id;
    }
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_uint_gt(changes, 1);
    nv_txn_abort(txn);
    (void)munmap(page, FLIC_PAGE_SIZE);
}
END_TEST

START_TEST(bytes_put_into_frames_are_padded_with_zeros)
{
    uint8_t data[FLIC_PAGE_SIZE + 100];
    struct nv_txn *txn;

    make_it(MIB);
    memset(data, 0xee, sizeof(data));
    ck_assert_int_eq(nv_txn_begin(arena, 3, &txn, &err), 0);
    ck_assert_uint_eq(nv_txn_put_bytes(txn, 1, data, sizeof(data)), 2);
    ck_assert_mem_eq(nv_txn_frame(txn, 1), data, FLIC_PAGE_SIZE);
    ck_assert_mem_eq(nv_txn_frame(txn, 2), data, 100);
    ck_assert(flic_is_zero((const uint8_t *)nv_txn_frame(txn, 2) + 100, FLIC_PAGE_SIZE - 100));
    ck_assert_uint_eq(nv_txn_put_bytes(txn, 0, data, 0), 0);
    nv_txn_abort(txn);
}
END_TEST

START_TEST(streaming_stores_copy_every_byte_and_no_more)
{
    static _Alignas(64) uint8_t from[8192], to[8192];

    for (unsigned shift = 0; shift < 16; shift++) {     /* the source may stand anywhere */
        for (size_t i = 0; i < sizeof(from); i++)
            from[i] = (uint8_t)(i * 7 + i / 256 + shift);
        memset(to, 0x55, sizeof(to));
        nv_cpu_stream(to + 64, from + shift, FLIC_PAGE_SIZE);
        nv_cpu_flush(to + 33, 100);
        nv_cpu_fence();
        ck_assert_mem_eq(to + 64, from + shift, FLIC_PAGE_SIZE);
        ck_assert(to[63] == 0x55 && to[64 + FLIC_PAGE_SIZE] == 0x55);
    }
    ck_assert_ptr_nonnull(nv_cpu_flush_name());
}
END_TEST

/* ---- refusing ---- */

START_TEST(a_second_flicd_cannot_open_the_arena)
{
    struct nv_arena *second;

    make_it(MIB);
    ck_assert_int_eq(nv_open(path, &STORY_STORE, &second, &err), FLIC_E_BUSY);
    ck_assert_ptr_nonnull(strstr(err.text, path));
}
END_TEST

START_TEST(the_arena_of_another_store_is_refused_and_both_are_named)
{
    struct flic_uuid other = { { 9, 9 } };
    char text[FLIC_UUID_TEXT];

    make_it(MIB);
    nv_close(arena);
    arena = NULL;
    ck_assert_int_eq(nv_open(path, &other, &arena, &err), FLIC_E_FOREIGN);
    flic_uuid_text(&other, text);
    ck_assert_ptr_nonnull(strstr(err.text, text));
    flic_uuid_text(&STORY_STORE, text);
    ck_assert_ptr_nonnull(strstr(err.text, text));
}
END_TEST

START_TEST(a_foreign_file_is_neither_opened_nor_overwritten)
{
    FILE *f = fopen(path, "w");
    static uint8_t before[MIB], after[MIB];
    int fd;

    ck_assert_ptr_nonnull(f);
    for (size_t i = 0; i < sizeof(before); i++)
        before[i] = i == MIB - 1;       /* zeros, and one byte at the very end */
    ck_assert_uint_eq(fwrite(before, 1, sizeof(before), f), sizeof(before));
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(nv_open(path, &STORY_STORE, &arena, &err), FLIC_E_FOREIGN);
    ck_assert_int_eq(nv_create(path, 0, &STORY_STORE, &err), FLIC_E_FOREIGN);
    ck_assert_int_eq(nv_create(path, 2 * MIB, &STORY_STORE, &err), FLIC_E_FOREIGN);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(flic_read_all(fd, after, sizeof(after)), 0);
    (void)close(fd);
    ck_assert_mem_eq(before, after, sizeof(before));
}
END_TEST

START_TEST(an_arena_is_not_created_over_an_arena)
{
    make_it(MIB);
    ck_assert_int_eq(story_commit(&story, arena, 1, 2, 3), 0);
    nv_close(arena);
    ck_assert_int_eq(nv_create(path, MIB, &STORY_STORE, &err), FLIC_E_FOREIGN);
    open_it();
    check_story();
}
END_TEST

START_TEST(an_existing_file_of_zeros_is_used_whole)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;

    ck_assert_int_eq(ftruncate(fd, 3 * MIB + 100), 0);
    (void)close(fd);
    make_it(0);
    ck_assert_uint_eq(info().size_bytes, 3 * MIB);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_ge((uint64_t)st.st_blocks * 512, 3 * MIB);   /* every block is allocated */
}
END_TEST

START_TEST(too_small_missing_and_shortened_arenas_are_refused)
{
    ck_assert_int_eq(nv_open(path, &STORY_STORE, &arena, &err), FLIC_E_NVRAM);
    ck_assert_int_eq(nv_create(path, 100000, &STORY_STORE, &err), FLIC_E_NVRAM);
    ck_assert_int_eq(nv_create(path, 0, &STORY_STORE, &err), FLIC_E_NVRAM);
    ck_assert_int_eq(access(path, F_OK), -1);
    make_it(MIB);
    nv_close(arena);
    arena = NULL;
    ck_assert_int_eq(truncate(path, MIB - 1), 0);
    ck_assert_int_eq(nv_open(path, &STORY_STORE, &arena, &err), FLIC_E_NVRAM);
    ck_assert_ptr_nonnull(strstr(err.text, "cut short"));
    ck_assert_int_eq(truncate(path, 5000), 0);
    ck_assert_int_eq(nv_open(path, &STORY_STORE, &arena, &err), FLIC_E_NVRAM);
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_int_eq(nv_open(path, &STORY_STORE, &arena, &err), FLIC_E_NVRAM);
    ck_assert_int_eq(nv_open("/dev/null", &STORY_STORE, &arena, &err), FLIC_E_NVRAM);
    ck_assert_int_eq(nv_open("/", &STORY_STORE, &arena, &err), -EISDIR);
}
END_TEST

START_TEST(a_creation_that_finds_no_room_leaves_no_file)
{
    struct rlimit limit = { .rlim_cur = MIB, .rlim_max = RLIM_INFINITY };

    ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(nv_create(path, 4 * MIB, &STORY_STORE, &err), -EFBIG);
    ck_assert_int_eq(access(path, F_OK), -1);
    limit.rlim_cur = RLIM_INFINITY;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}
END_TEST

START_TEST(one_bad_superblock_is_repaired_and_two_are_refused)
{
    for (unsigned copy = 0; copy < 2; copy++) {
        if (!arena)
            make_it(MIB);
        nv_close(arena);
        poke(NVL_SUPER_AT(copy) + 17, 1);
        open_it();
        ck_assert_uint_eq(info().damaged, 1);
        open_again();
        ck_assert_uint_eq(info().damaged, 0);
    }
    nv_close(arena);
    arena = NULL;
    poke(NVL_SUPER_AT(0) + 17, 1);
    poke(NVL_SUPER_AT(1) + 50, 1);
    ck_assert_int_eq(nv_open(path, &STORY_STORE, &arena, &err), FLIC_E_DAMAGED);
    ck_assert_msg(strstr(err.text, "on flash stay") && strstr(err.text, "it makes a new one"), "%s", err.text);
}
END_TEST

static void write_supers(struct nvl_super *super)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    super->sum = flic_checksum(super, offsetof(struct nvl_super, sum));
    ck_assert_int_eq(flic_pwrite_all(fd, super, sizeof(*super), NVL_SUPER_AT(0)), 0);
    ck_assert_int_eq(flic_pwrite_all(fd, super, sizeof(*super), NVL_SUPER_AT(1)), 0);
    (void)close(fd);
}

START_TEST(a_newer_format_and_a_lying_superblock_are_refused)
{
    struct nvl_super super, lie;
    int fd;

    make_it(MIB);
    nv_close(arena);
    arena = NULL;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(flic_read_all(fd, &super, sizeof(super)), 0);
    (void)close(fd);
    lie = super;
    lie.version = 7;
    write_supers(&lie);
    ck_assert_int_eq(nv_open(path, &STORY_STORE, &arena, &err), FLIC_E_VERSION);
    ck_assert_ptr_nonnull(strstr(err.text, "version 7"));
    lie = super;
    lie.frames *= 100;
    write_supers(&lie);
    ck_assert_int_eq(nv_open(path, &STORY_STORE, &arena, &err), FLIC_E_DAMAGED);
    lie = super;
    lie.log_bytes = 1ull << 60;
    write_supers(&lie);
    ck_assert_int_eq(nv_open(path, &STORY_STORE, &arena, &err), FLIC_E_DAMAGED);
    write_supers(&super);
    open_it();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nvram");
    TCase *tcase = tcase_create("the arena on a file");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_committed_object_is_there_and_whole_after_reopening);
    tcase_add_test(tcase, an_aborted_or_forgotten_transaction_leaves_nothing);
    tcase_add_test(tcase, an_object_without_frames_and_one_with_the_longest_root_are_kept);
    tcase_add_test(tcase, frames_that_were_reserved_and_not_used_are_free_after_the_commit);
    tcase_add_test(tcase, notes_of_every_kind_are_there_after_reopening);
    tcase_add_test(tcase, a_forgotten_object_stays_forgotten_until_its_note_is_dropped);
    tcase_add_test(tcase, notes_about_what_is_only_on_flash_are_kept_and_others_refused);
    tcase_add_test(tcase, only_an_unpublished_object_can_be_dropped);
    tcase_add_test(tcase, the_log_wraps_many_times_and_loses_nothing);
    tcase_add_test(tcase, objects_are_seen_oldest_first_and_the_callback_can_stop);
    tcase_add_test(tcase, all_frames_wear_alike);
    tcase_add_test(tcase, writes_of_frames_are_counted);
    tcase_add_test(tcase, the_rotation_goes_on_after_reopening);
    tcase_add_test(tcase, cached_objects_are_given_up_oldest_first_and_only_as_many_as_needed);
    tcase_add_test(tcase, what_is_pinned_or_not_on_flash_is_never_given_up);
    tcase_add_test(tcase, no_file_is_made_in_the_place_of_a_device_that_is_not_there);
    tcase_add_test(tcase, what_is_said_not_to_be_on_flash_any_more_is_no_cache);
    tcase_add_test(tcase, nothing_is_given_up_in_vain);
    tcase_add_test(tcase, a_pinned_object_keeps_its_bytes_when_it_is_forgotten);
    tcase_add_test(tcase, a_full_log_says_what_to_do_and_can_still_be_freed);
    tcase_add_test(tcase, an_open_transaction_always_finds_room_for_its_commit_and_its_published_note);
    tcase_add_test(tcase, several_threads_fill_one_transaction);
    tcase_add_test(tcase, a_page_of_zeros_takes_no_frame_and_one_page_too_many_gets_none);
    tcase_add_test(tcase, a_commit_by_another_thread_than_the_one_that_filled_is_refused);
    tcase_add_test(tcase, the_id_is_that_of_the_stored_bytes_even_when_the_page_changes_meanwhile);
    tcase_add_test(tcase, bytes_put_into_frames_are_padded_with_zeros);
    tcase_add_test(tcase, streaming_stores_copy_every_byte_and_no_more);
    tcase_add_test(tcase, a_second_flicd_cannot_open_the_arena);
    tcase_add_test(tcase, the_arena_of_another_store_is_refused_and_both_are_named);
    tcase_add_test(tcase, a_foreign_file_is_neither_opened_nor_overwritten);
    tcase_add_test(tcase, an_arena_is_not_created_over_an_arena);
    tcase_add_test(tcase, an_existing_file_of_zeros_is_used_whole);
    tcase_add_test(tcase, too_small_missing_and_shortened_arenas_are_refused);
    tcase_add_test(tcase, a_creation_that_finds_no_room_leaves_no_file);
    tcase_add_test(tcase, one_bad_superblock_is_repaired_and_two_are_refused);
    tcase_add_test(tcase, a_newer_format_and_a_lying_superblock_are_refused);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
