/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Between suspended and captured nothing of ours writes flash, whatever else flicd is doing. Counted are the calls of the engine's own
 * code (replaced at link time), and the process's writes as the kernel counts them, which sees SQLite too.
 */
#include "tests/unit/checkpoint-scene.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <unistd.h>

/* ---- counting ---- */

static atomic_ulong flash_calls;    /* that change files: writes, flushes, names */

#define COUNT(result, name, params, args) \
    result __real_##name params; \
    result __wrap_##name params; \
    result __wrap_##name params { atomic_fetch_add(&flash_calls, 1); return __real_##name args; }

COUNT(ssize_t, pwrite, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o))
COUNT(int, fsync, (int fd), (fd))
COUNT(int, fdatasync, (int fd), (fd))
COUNT(int, renameat, (int a, const char *f, int b, const char *t), (a, f, b, t))
COUNT(int, unlinkat, (int a, const char *p, int f), (a, p, f))

/* Write calls of this process so far: /proc/[pid]/io of proc(5), all threads. */
static unsigned long kernel_writes(void)
{
    unsigned long n = 0;
    char line[128];
    FILE *f = fopen("/proc/self/io", "re");

    if (!f)             /* not an assertion: libcheck writes each one down */
        ck_abort_msg("/proc/self/io cannot be read");
    while (fgets(line, sizeof(line), f))
        (void)sscanf(line, "syscw: %lu", &n);
    fclose(f);
    return n;
}

static unsigned long calls_at_suspend, writes_at_suspend, calls_in_pause, writes_in_pause;
static atomic_bool in_pause;

/* Captured is the commit's return; right after it the gate opens and the others go on. */
int __real_nv_txn_commit(struct nv_txn *t, const struct nv_name *n, uint32_t u, const void *r, size_t l, struct flic_err *e);
int __wrap_nv_txn_commit(struct nv_txn *t, const struct nv_name *n, uint32_t u, const void *r, size_t l, struct flic_err *e);

int __wrap_nv_txn_commit(struct nv_txn *t, const struct nv_name *n, uint32_t u, const void *r, size_t l, struct flic_err *e)
{
    int rc = __real_nv_txn_commit(t, n, u, r, l, e);

    if (in_pause) {
        calls_in_pause += atomic_load(&flash_calls) - calls_at_suspend;
        writes_in_pause += kernel_writes() - writes_at_suspend;
        in_pause = false;
    }
    return rc;
}

static int suspend_and_count(struct saving *s, struct flic_err *why)
{
    int rc;

    scene_dirty(s->domid, 200, 300, 17 + s->asked);
    rc = saving_suspend(s, why);
    calls_at_suspend = atomic_load(&flash_calls);
    writes_at_suspend = kernel_writes();
    in_pause = true;
    (void)usleep(20000);            /* as a toolstack takes: time in which others would write */
    return rc;
}

static void set_up(void)
{
    scene_begin(32 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    scene_guest(8, "db", 2, GUEST_PAGES);
    calls_in_pause = writes_in_pause = 0;
}

static void tear_down(void)
{
    scene_end();
}

static struct nv_name save_counting(uint32_t domid)
{
    struct saving s;

    saving_init(&s, domid);
    s.at_suspend = suspend_and_count;
    OK(saving_run(&s));
    saving_end(&s);
    flx_fake_set_run(domid, FLX_RUNNING);
    ck_assert_uint_ge(s.figures.ws_pages, 300);
    ck_assert_uint_eq(s.figures.flash_bytes_in_pause, 0);
    scene_restore_and_compare(&s.name, &s.image);
    image_free(&s.image);
    return s.name;
}

START_TEST(the_counter_counts)
{
    unsigned long calls = atomic_load(&flash_calls), writes = kernel_writes();

    (void)save_counting(GUEST);
    ck_assert_uint_gt(atomic_load(&flash_calls), calls);
    ck_assert_uint_gt(kernel_writes(), writes);
}
END_TEST

START_TEST(a_save_alone_writes_no_flash_in_its_pause)
{
    for (int i = 0; i < 5; i++)
        (void)save_counting(GUEST);
    ck_assert_uint_eq(calls_in_pause, 0);
    ck_assert_uint_eq(writes_in_pause, 0);
}
END_TEST

/* ---- with company ---- */

static atomic_bool over;
static atomic_uint rounds;

static void *destage_all_the_time(void *arg)
{
    struct ck_destage_figures figures;
    struct ck_entry entry;

    (void)arg;
    while (!atomic_load(&over)) {
        if (!atomic_load(&in_pause) || !ck_destage_next(store, &entry))     /* begins in a pause, to be stopped at the gate */
            (void)usleep(200);
        else if (ck_destage(store, &entry, scene_never, NULL, &figures, NULL))
            return (void *)1;
        else
            atomic_fetch_add(&rounds, 1);
    }
    return NULL;
}

static struct nv_name victims[64];
static atomic_size_t n_victims;

static void *forget_all_the_time(void *arg)
{
    size_t next = 0;

    (void)arg;
    while (!atomic_load(&over) || next < atomic_load(&n_victims)) {
        uint64_t freed;
        int rc;

        if (next == atomic_load(&n_victims) || (!atomic_load(&in_pause) && !atomic_load(&over))) {
            (void)usleep(200);
            continue;
        }
        rc = ck_forget(store, &victims[next], false, &freed, NULL);
        if (rc == FLIC_E_BUSY)
            continue;
        if (rc)
            return (void *)1;
        next++;
        atomic_fetch_add(&rounds, 1);
    }
    return NULL;
}

static void *save_all_the_time(void *arg)
{
    uint32_t seed = 1;

    (void)arg;
    while (!atomic_load(&over)) {
        struct saving s;

        saving_init(&s, 8);
        scene_dirty(8, 500, 100, seed++);
        if (saving_run(&s))
            return (void *)1;
        saving_end(&s);
        image_free(&s.image);
        flx_fake_set_run(8, FLX_RUNNING);
        atomic_fetch_add(&rounds, 1);
    }
    return NULL;
}

static void save_beside(void *(*company)(void *))
{
    pthread_t thread;
    void *bad;

    atomic_store(&over, false);
    atomic_store(&rounds, 0);
    ck_assert(!pthread_create(&thread, NULL, company, NULL));
    for (int i = 0; i < 8; i++) {
        victims[i] = save_counting(GUEST);
        atomic_store(&n_victims, (size_t)i + 1);
    }
    atomic_store(&over, true);
    ck_assert(!pthread_join(thread, &bad));
    ck_assert_ptr_null(bad);
    ck_assert_uint_gt(atomic_load(&rounds), 2);
    ck_assert_uint_eq(calls_in_pause, 0);
    ck_assert_uint_eq(writes_in_pause, 0);
}

START_TEST(a_destage_stands_still_during_a_pause)
{
    save_beside(destage_all_the_time);
}
END_TEST

START_TEST(forgetting_and_collecting_stand_still_during_a_pause)
{
    save_beside(forget_all_the_time);
}
END_TEST

/* The other save publishes, and its live rounds write, while this one's guest is paused: both wait. */
START_TEST(another_guests_save_stands_still_during_a_pause)
{
    pthread_t thread;
    void *bad;

    atomic_store(&over, false);
    atomic_store(&rounds, 0);
    ck_assert(!pthread_create(&thread, NULL, save_all_the_time, NULL));
    for (int i = 0; i < 8; i++) {
        struct saving s;

        saving_init(&s, GUEST);
        s.at_suspend = suspend_and_count;
        if (saving_run(&s))
            ck_abort_msg("save: %s", err.text);
        saving_end(&s);
        image_free(&s.image);
        flx_fake_set_run(GUEST, FLX_RUNNING);
    }
    atomic_store(&over, true);
    ck_assert(!pthread_join(thread, &bad));
    ck_assert_ptr_null(bad);
    ck_assert_uint_gt(atomic_load(&rounds), 2);
    ck_assert_uint_eq(calls_in_pause, 0);
    ck_assert_uint_eq(writes_in_pause, 0);
}
END_TEST

static atomic_bool worked;

static void *work(void *arg)
{
    ck_work_begin(store);
    atomic_store(&worked, true);
    ck_work_end(store);
    return arg;
}

static pthread_t worker;
static bool worked_meanwhile;

/* As with a peer that takes its time. */
static int wait_for_work(void *arg, struct flic_err *why)
{
    (void)arg;
    (void)why;
    ck_assert(!pthread_create(&worker, NULL, work, NULL));
    for (int i = 0; i < 100 && !atomic_load(&worked); i++)
        (void)usleep(5000);
    worked_meanwhile = atomic_load(&worked);
    return 0;
}

static bool others_work_while_captured_runs(bool it_waits)
{
    struct saving s;

    atomic_store(&worked, false);
    saving_init(&s, GUEST);
    s.at_suspend = suspend_and_count;
    s.captured = wait_for_work;
    s.captured_waits = it_waits;
    OK(saving_run(&s));
    saving_end(&s);
    ck_assert(!pthread_join(worker, NULL));
    ck_assert_uint_eq(calls_in_pause, 0);
    image_free(&s.image);
    flx_fake_set_run(GUEST, FLX_RUNNING);
    return worked_meanwhile;
}

START_TEST(others_wait_for_the_pause_to_end_but_not_for_another_machine)
{
    ck_assert(!others_work_while_captured_runs(false));
    ck_assert(others_work_while_captured_runs(true));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("checkpoint-quiet");
    TCase *t = tcase_create("quiet");

    tcase_set_timeout(t, 40);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, the_counter_counts);
    tcase_add_test(t, a_save_alone_writes_no_flash_in_its_pause);
    tcase_add_test(t, a_destage_stands_still_during_a_pause);
    tcase_add_test(t, forgetting_and_collecting_stand_still_during_a_pause);
    tcase_add_test(t, another_guests_save_stands_still_during_a_pause);
    tcase_add_test(t, others_wait_for_the_pause_to_end_but_not_for_another_machine);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
