/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Invariants 1 and 8: flicd is killed at every step of save, destage and forget. A child process runs up to the step and ends by
 * SIGKILL; the parent then opens what is left. (What a power cut takes besides is shown by the modules' own crash tests.)
 */
#include "tests/unit/checkpoint-scene.h"

#include "daemon/checkpoint/gc.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- steps: every call by which the engine changes something durable, before and after it ---- */

static unsigned steps, die_at;

static void step(void)
{
    if (++steps == die_at)
        (void)raise(SIGKILL);
}

#define STEP(result, name, params, args) \
    result __real_##name params; \
    result __wrap_##name params; \
    result __wrap_##name params { result rc; step(); rc = __real_##name args; step(); return rc; }

STEP(int, nv_txn_begin, (struct nv_arena *a, uint32_t n, struct nv_txn **t, struct flic_err *e), (a, n, t, e))
STEP(int, nv_txn_commit, (struct nv_txn *t, const struct nv_name *n, uint32_t u, const void *r, size_t l, struct flic_err *e),
     (t, n, u, r, l, e))
STEP(int, nv_note_add, (struct nv_arena *a, const struct nv_name *n, enum nv_note k, const void *p, size_t l, struct flic_err *e),
     (a, n, k, p, l, e))
STEP(int, nv_note_drop, (struct nv_arena *a, const struct nv_name *n, enum nv_note k, struct flic_err *e), (a, n, k, e))
STEP(int, nv_drop_unpublished, (struct nv_arena *a, const struct nv_name *n, struct flic_err *e), (a, n, e))
STEP(int, pk_seal, (struct pk_writer *w, struct flic_err *e), (w, e))
STEP(int, pk_remove, (struct pk_store *s, uint64_t m, const struct pk_use *u, bool *g, struct flic_err *e), (s, m, u, g, e))
STEP(int, ix_put_checkpoint, (struct ix_index *i, const struct ix_checkpoint *c, struct flic_err *e), (i, c, e))
STEP(int, ix_drop_checkpoint, (struct ix_index *i, const struct flic_uuid *g, uint64_t s, struct flic_err *e), (i, g, s, e))
STEP(int, ix_end_sync, (struct ix_index *i, bool c, struct flic_err *e), (i, c, e))

/* ---- a story that is cut at step n ---- */

static struct image images[4];
static struct nv_name names[4];

static void set_up(void)
{
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, 640);
}

static void tear_down(void)
{
    for (size_t i = 0; i < 4; i++)
        image_free(&images[i]);
    scene_end();
}

static const struct scene_work work = { .first = 300, .n = 20, .seed = 6060 };

static void save(size_t i)
{
    image_free(&images[i]);
    names[i] = scene_save_with_work(GUEST, &work, &images[i], NULL);
}

/* In a child with a store of its own process: nothing of it is left but what is durable. The exit code counts the steps. */
static bool run_and_die(void (*story)(void), unsigned at)
{
    int status;
    pid_t pid;

    scene_close();
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (!pid) {
        scene_open();
        steps = 0;
        die_at = at;
        story();
        _exit(0);                           /* the end is a crash too */
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0, "the child failed: %x", status);
    scene_open();
    return WIFSIGNALED(status);
}

static uint32_t nvram_in_use(void)
{
    struct nv_info info;

    nv_get_info(ck_arena(store), &info);
    return info.frames - info.frames_free - info.frames_cached;
}

static void save_second(void)
{
    save(1);
}

/* The child's image is not ours: the guest is made as the child's was. */
static void expect_second_image(struct image *image)
{
    scene_dirty(GUEST, work.first, work.n, work.seed);
    image_take(image, GUEST, 640);
}

START_TEST(invariant_8_a_save_killed_at_any_step_is_whole_or_not_there_and_the_one_before_stays)
{
    unsigned at = 1, whole = 0;
    bool cut = true;

    save(0);
    for (; cut; at++) {
        struct nv_name second = names[0];
        size_t n;

        cut = run_and_die(save_second, at);
        n = scene_count();
        ck_assert(n == 1 || n == 2);
        ck_assert(scene_offers(&names[0]));
        if (n == 2) {                       /* its number is above every other there */
            struct ck_entry entry;

            OK(ck_find(store, "web", 0, &entry, &err));
            second.seq = entry.info.seq;
            ck_assert_uint_gt(second.seq, names[0].seq);
            expect_second_image(&images[1]);
            scene_restore_and_compare(&second, &images[1]);
            {
                uint64_t freed;

                OK(ck_forget(store, &second, false, &freed, &err));
            }
            whole++;
        }
        scene_restore_and_compare(&names[0], &images[0]);
        ck_assert_uint_le(nvram_in_use(), 200);         /* nothing of a dead save keeps frames */
    }
    ck_assert_uint_ge(at, 10);
    ck_assert_uint_ge(whole, 2);
    ck_assert_uint_lt(whole, at - 5);
}
END_TEST

static void destage_first(void)
{
    OK(scene_destage(&names[0], NULL));
}

START_TEST(invariant_8_a_destage_killed_at_any_step_leaves_the_checkpoint_and_frees_its_nvram_in_the_end)
{
    unsigned at = 1;
    bool cut = true;

    for (; cut; at++) {
        struct ck_entry entry;

        save(0);
        cut = run_and_die(destage_first, at);
        ck_assert(scene_offers(&names[0]));
        scene_restore_and_compare(&names[0], &images[0]);
        if (ck_destage_next(store, &entry))
            OK(scene_destage(&names[0], NULL));
        ck_assert_uint_eq(nvram_in_use(), 0);
        scene_close();
        scene_lose_arena();
        scene_open();
        scene_restore_and_compare(&names[0], &images[0]);
    }
    ck_assert_uint_ge(at, 6);
}
END_TEST

static void forget_first(void)
{
    uint64_t freed;

    OK(ck_forget(store, &names[0], false, &freed, &err));
}

START_TEST(invariant_8_a_forget_killed_at_any_step_did_happen_or_did_not_and_the_other_stays)
{
    unsigned at = 1, gone = 0, there = 0;
    bool cut = true;

    for (; cut; at++) {
        uint64_t freed;

        scene_dirty(GUEST, 200, 10, at);
        save(0);
        scene_dirty(GUEST, 200, 10, 5000 + at);
        save(1);
        if (at % 2)
            OK(scene_destage(&names[0], NULL));
        cut = run_and_die(forget_first, at);
        *(scene_offers(&names[0]) ? &there : &gone) += 1;
        if (scene_offers(&names[0]))
            scene_restore_and_compare(&names[0], &images[0]);
        scene_restore_and_compare(&names[1], &images[1]);
        if (scene_offers(&names[0]))
            OK(ck_forget(store, &names[0], false, &freed, &err));
        scene_reopen();
        ck_assert(!scene_offers(&names[0]));
        scene_restore_and_compare(&names[1], &images[1]);
        OK(ck_forget(store, &names[1], false, &freed, &err));
        ck_assert_uint_eq(nvram_in_use(), 0);
    }
    ck_assert_uint_ge(there, 1);
    ck_assert_uint_ge(gone, 5);
}
END_TEST

static void gc_all(void)
{
    const struct ck_gc_params params = { .live_percent = 100 };
    struct ck_gc_figures f;

    OK(ck_gc(store, &params, &f, &err));
}

START_TEST(invariant_8_a_gc_killed_at_any_step_leaves_what_was_there_and_the_next_one_finishes)
{
    unsigned at = 1;
    bool cut = true;

    for (; cut; at++) {
        uint64_t freed, bytes;

        for (size_t i = 0; i < 4; i++) {
            scene_dirty(GUEST, 128 + 7 * i, 120, 100 * at + (uint32_t)i);
            save(i);
            OK(scene_destage(&names[i], NULL));
        }
        OK(ck_forget(store, &names[0], false, &freed, &err));
        OK(ck_forget(store, &names[2], false, &freed, &err));
        cut = run_and_die(gc_all, at);
        for (int round = 0; round < 2; round++) {
            ck_assert_uint_eq(scene_count(), 2);
            scene_restore_and_compare(&names[1], &images[1]);
            scene_restore_and_compare(&names[3], &images[3]);
            gc_all();
        }
        bytes = scene_flash_bytes();
        gc_all();
        ck_assert_uint_eq(scene_flash_bytes(), bytes);
        OK(ck_forget(store, &names[1], false, &freed, &err));
        OK(ck_forget(store, &names[3], false, &freed, &err));
    }
    ck_assert_uint_ge(at, 6);
}
END_TEST

START_TEST(invariant_1_captured_but_not_published_is_dropped_when_the_store_is_opened_again)
{
    struct ck_recovery recovery;
    struct saving s;

    scene_close();
    if (!fork()) {
        scene_open();
        saving_init(&s, GUEST);
        OK(saving_new(&s));
        OK(ck_save_live(s.save, &err));
        OK(ck_save_capture(s.save, &err));
        (void)raise(SIGKILL);
    }
    ck_assert_int_gt(wait(NULL), 0);
    scene_open();
    ck_get_recovery(store, &recovery);
    ck_assert_uint_eq(recovery.unpublished_dropped, 1);
    ck_assert_uint_eq(scene_count(), 0);
    ck_assert_uint_eq(nvram_in_use(), 0);
}
END_TEST

/* The first start was killed while it made the arena: empty, shorter than it will be, all zeros, half a superblock. */
START_TEST(invariant_8_an_arena_whose_making_was_cut_off_is_made_by_the_next_start)
{
    static const struct { off_t size; const char *start; } remains[] = { { 0, "" }, { 1 << 20, "" }, { 16 << 20, "" },
                                                                          { 16 << 20, "FLICNVA1" } };

    for (size_t i = 0; i < sizeof(remains) / sizeof(remains[0]); i++) {
        int fd;

        scene_close();
        scene_lose_arena();
        fd = open(scene_arena, O_RDWR | O_CREAT | O_EXCL, 0600);
        ck_assert(fd >= 0 && !ftruncate(fd, remains[i].size));
        ck_assert_int_eq(pwrite(fd, remains[i].start, strlen(remains[i].start), 0), strlen(remains[i].start));
        ck_assert_int_eq(close(fd), 0);
        scene_open();
        save(0);
        scene_restore_and_compare(&names[0], &images[0]);
    }
}
END_TEST

START_TEST(what_is_no_arena_is_left_alone_and_said)
{
    static const char text[] = "somebody's thesis";
    char back[sizeof(text)];
    int fd;

    scene_close();
    scene_lose_arena();
    fd = open(scene_arena, O_RDWR | O_CREAT | O_EXCL, 0600);
    ck_assert(fd >= 0 && !ftruncate(fd, 16 << 20));
    ck_assert_int_eq(pwrite(fd, text, sizeof(text), 5 << 20), sizeof(text));
    ck_assert_int_eq(scene_try_open(), FLIC_E_FOREIGN);
    ck_assert_msg(strstr(err.text, "is not a FLIC arena"), "%s", err.text);
    ck_assert_int_eq(pread(fd, back, sizeof(back), 5 << 20), sizeof(text));
    ck_assert_str_eq(back, text);
    ck_assert_int_eq(close(fd), 0);
    scene_lose_arena();
    scene_open();
}
END_TEST

START_TEST(a_store_opened_with_a_lost_index_has_every_checkpoint)
{
    struct ck_entry entry;

    save(0);
    save(1);
    OK(scene_destage(&names[0], NULL));
    scene_close();
    scene_lose_index();
    scene_open();
    ck_assert_uint_eq(scene_count(), 2);
    OK(ck_find(store, "web", 0, &entry, &err));
    ck_assert_uint_eq(entry.info.seq, names[1].seq);
    scene_restore_and_compare(&names[0], &images[0]);
    scene_restore_and_compare(&names[1], &images[1]);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("checkpoint-crash");
    TCase *t = tcase_create("crash");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, invariant_8_a_save_killed_at_any_step_is_whole_or_not_there_and_the_one_before_stays);
    tcase_add_test(t, invariant_8_a_destage_killed_at_any_step_leaves_the_checkpoint_and_frees_its_nvram_in_the_end);
    tcase_add_test(t, invariant_8_a_forget_killed_at_any_step_did_happen_or_did_not_and_the_other_stays);
    tcase_add_test(t, invariant_8_a_gc_killed_at_any_step_leaves_what_was_there_and_the_next_one_finishes);
    tcase_add_test(t, invariant_1_captured_but_not_published_is_dropped_when_the_store_is_opened_again);
    tcase_add_test(t, invariant_8_an_arena_whose_making_was_cut_off_is_made_by_the_next_start);
    tcase_add_test(t, what_is_no_arena_is_left_alone_and_said);
    tcase_add_test(t, a_store_opened_with_a_lost_index_has_every_checkpoint);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
