/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The index: what it keeps, what it refuses, what survives. */
#include "daemon/index/index.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static char dir[64], path[96];
static struct ix_index *ix;
static struct flic_err err;

static const struct flic_uuid web = { { 1, 2, 3 } }, db = { { 4, 5, 6 } };

/* SQLite's calls end up here: the linker looks into the program before the C library. */
static unsigned syncs;

int fsync(int fd)
{
    syncs++;
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}

static void open_index(void)
{
    ck_assert_msg(ix_open(path, &ix, &err) == 0, "%s", err.text);
}

static void reopen(void)
{
    ix_close(ix);
    open_index();
}

static void set_up(void)
{
    snprintf(dir, sizeof(dir), "/tmp/flic-test-index-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/index.db", dir);
    open_index();
}

static void remove_beside(const char *end)
{
    char name[PATH_MAX];

    snprintf(name, sizeof(name), "%s%s", path, end);
    unlink(name);
}

static void tear_down(void)
{
    static const char *const ends[] = { "", "-wal", "-shm", "-journal", ".damaged", ".damaged-wal", ".damaged-shm" };

    ix_close(ix);
    ix = NULL;
    for (size_t i = 0; i < N_OF(ends); i++)
        remove_beside(ends[i]);
    ck_assert_int_eq(rmdir(dir), 0);
}

static off_t size_of(const char *end)
{
    char name[PATH_MAX];
    struct stat st;

    snprintf(name, sizeof(name), "%s%s", path, end);
    return stat(name, &st) ? 0 : st.st_size;
}

static struct ix_checkpoint checkpoint_of(const struct flic_uuid *guest, uint64_t seq, uint64_t taken)
{
    struct ix_checkpoint ck = { .guest = *guest, .seq = seq, .name = "web", .taken_ns = taken, .ram_bytes = 512u << 20,
                                .working_set_bytes = 9u << 20, .places = IX_NVRAM | IX_FLASH, .restored = 2,
                                .arch = "arm64" };
    return ck;
}

static void put(const struct flic_uuid *guest, uint64_t seq, uint64_t taken)
{
    struct ix_checkpoint ck = checkpoint_of(guest, seq, taken);

    ck_assert_msg(ix_put_checkpoint(ix, &ck, &err) == 0, "%s", err.text);
}

struct seen {
    struct ix_checkpoint list[16];
    int n, stop_after;
};

static int note(const struct ix_checkpoint *ck, void *arg)
{
    struct seen *seen = arg;

    seen->list[seen->n++] = *ck;
    return seen->n == seen->stop_after ? 77 : 0;
}

static struct seen list(const struct flic_uuid *guest)
{
    struct seen seen = { .n = 0 };

    ck_assert_msg(ix_each_checkpoint(ix, guest, note, &seen, &err) == 0, "%s", err.text);
    return seen;
}

static uint64_t next(const struct flic_uuid *guest, uint64_t at_least)
{
    uint64_t seq = 0;

    ck_assert_msg(ix_next_seq(ix, guest, at_least, &seq, &err) == 0, "%s", err.text);
    return seq;
}

static void add_entry(const struct flic_uuid *guest, const char *verb, int code, const char *message)
{
    struct ix_entry entry = { .began_ns = 1000, .took_ns = 50, .guest = *guest, .guest_name = "web", .seq = 3,
                              .code = code, .message = message, .figures = "{\"pause_us\":7}" };

    snprintf(entry.verb, sizeof(entry.verb), "%s", verb);
    ck_assert_msg(ix_journal_add(ix, &entry, &err) == 0, "%s", err.text);
}

struct verbs {
    char text[256];
    uint64_t last_id;
};

static int note_verb(const struct ix_entry *entry, void *arg)
{
    struct verbs *verbs = arg;

    ck_assert(!verbs->last_id || entry->id < verbs->last_id);
    verbs->last_id = entry->id;
    snprintf(verbs->text + strlen(verbs->text), sizeof(verbs->text) - strlen(verbs->text), "%s ", entry->verb);
    return 0;
}

static const char *journal(const struct flic_uuid *guest, uint64_t before)
{
    static struct verbs verbs;

    verbs = (struct verbs){ .text = "" };
    ck_assert_msg(ix_journal_each(ix, guest, before, note_verb, &verbs, &err) == 0, "%s", err.text);
    return verbs.text;
}

struct tally {
    uint64_t n, last_id;
};

static int in_turn(const struct ix_entry *entry, void *arg)
{
    struct tally *tally = arg;

    ck_assert(!tally->n++ || entry->id == tally->last_id - 1);
    tally->last_id = entry->id;
    return 0;
}

/* ---- checkpoints ---- */

START_TEST(a_checkpoint_comes_back_with_every_field_also_after_reopening)
{
    struct ix_checkpoint want = checkpoint_of(&web, 7, 123456789), got;

    put(&web, 7, 123456789);
    reopen();
    got = list(&web).list[0];
    ck_assert_int_eq(list(&web).n, 1);
    ck_assert(flic_uuid_equal(&got.guest, &want.guest));
    ck_assert_uint_eq(got.seq, want.seq);
    ck_assert_str_eq(got.name, want.name);
    ck_assert_str_eq(got.arch, want.arch);
    ck_assert_uint_eq(got.taken_ns, want.taken_ns);
    ck_assert_uint_eq(got.ram_bytes, want.ram_bytes);
    ck_assert_uint_eq(got.working_set_bytes, want.working_set_bytes);
    ck_assert_uint_eq(got.places, want.places);
    ck_assert_uint_eq(got.restored, want.restored);
}
END_TEST

START_TEST(checkpoints_come_newest_first_and_of_one_guest_when_asked)
{
    struct seen seen;

    put(&web, 1, 100);
    put(&db, 1, 300);
    put(&web, 2, 200);
    seen = list(NULL);
    ck_assert_int_eq(seen.n, 3);
    ck_assert_uint_eq(seen.list[0].taken_ns, 300);
    ck_assert_uint_eq(seen.list[2].taken_ns, 100);
    seen = list(&web);
    ck_assert_int_eq(seen.n, 2);
    ck_assert_uint_eq(seen.list[0].seq, 2);
    ck_assert_uint_eq(seen.list[1].seq, 1);
}
END_TEST

START_TEST(putting_a_checkpoint_again_replaces_it)
{
    struct ix_checkpoint ck = checkpoint_of(&web, 1, 100);

    put(&web, 1, 100);
    ck.places = IX_FLASH;
    ck_assert_int_eq(ix_put_checkpoint(ix, &ck, &err), 0);
    ck_assert_int_eq(list(&web).n, 1);
    ck_assert_uint_eq(list(&web).list[0].places, IX_FLASH);
}
END_TEST

START_TEST(a_dropped_checkpoint_is_gone_and_dropping_it_again_is_no_error)
{
    put(&web, 1, 100);
    put(&web, 2, 200);
    ck_assert_int_eq(ix_drop_checkpoint(ix, &web, 1, &err), 0);
    ck_assert_int_eq(ix_drop_checkpoint(ix, &web, 1, &err), 0);
    ck_assert_int_eq(list(&web).n, 1);
    ck_assert_uint_eq(list(&web).list[0].seq, 2);
}
END_TEST

START_TEST(a_callback_ends_the_walk_with_its_own_value)
{
    struct seen seen = { .stop_after = 1 };

    put(&web, 1, 100);
    put(&web, 2, 200);
    ck_assert_int_eq(ix_each_checkpoint(ix, NULL, note, &seen, &err), 77);
    ck_assert_int_eq(seen.n, 1);
    ck_assert_int_eq(list(NULL).n, 2);
}
END_TEST

static int drop_it(const struct ix_checkpoint *ck, void *arg)
{
    int *walks = arg, rc;

    ++*walks;
    rc = ix_each_checkpoint(ix, NULL, drop_it, arg, &err);
    ck_assert_int_eq(rc, FLIC_E_INTERNAL);
    return ix_drop_checkpoint(ix, &ck->guest, ck->seq, &err);
}

START_TEST(a_callback_may_change_the_index_but_not_start_its_own_walk_again)
{
    int walks = 0;

    put(&web, 1, 100);
    put(&web, 2, 200);
    ck_assert_int_eq(ix_each_checkpoint(ix, NULL, drop_it, &walks, &err), 0);
    ck_assert_int_eq(walks, 2);
    ck_assert_int_eq(list(NULL).n, 0);
}
END_TEST

START_TEST(a_figure_beyond_what_sqlite_holds_is_refused_and_nothing_written)
{
    struct ix_checkpoint ck = checkpoint_of(&web, 1, 1ull << 63);

    ck_assert_int_eq(ix_put_checkpoint(ix, &ck, &err), FLIC_E_INTERNAL);
    ck_assert_int_eq(list(NULL).n, 0);
}
END_TEST

/* ---- synchronising ---- */

START_TEST(a_synchronisation_replaces_all_derived_rows_at_once)
{
    put(&web, 1, 100);
    put(&web, 2, 200);
    ck_assert_int_eq(ix_begin_sync(ix, &err), 0);
    put(&web, 2, 200);
    put(&db, 9, 900);
    ck_assert_int_eq(ix_end_sync(ix, true, &err), 0);
    reopen();
    ck_assert_int_eq(list(NULL).n, 2);
    ck_assert_uint_eq(list(NULL).list[0].seq, 9);
    ck_assert_uint_eq(list(NULL).list[1].seq, 2);
}
END_TEST

START_TEST(a_synchronisation_that_is_given_up_changes_nothing)
{
    put(&web, 1, 100);
    ck_assert_int_eq(ix_begin_sync(ix, &err), 0);
    put(&db, 9, 900);
    ck_assert_int_eq(ix_end_sync(ix, false, &err), 0);
    ck_assert_int_eq(list(NULL).n, 1);
    ck_assert_uint_eq(list(NULL).list[0].seq, 1);
    put(&db, 9, 900);       /* it takes rows again */
    ck_assert_int_eq(list(NULL).n, 2);
}
END_TEST

START_TEST(a_synchronisation_that_changes_nothing_writes_nothing_to_flash)
{
    static uint8_t run[16 * 4096];
    off_t before;

    memset(run, 7, sizeof(run));
    put(&web, 1, 100);
    ck_assert_int_eq(ix_put_pack(ix, 5, 1000, 4096, run, sizeof(run), &err), 0);
    reopen();       /* the write-ahead log is empty now */
    before = size_of("-wal");
    ck_assert_int_eq(ix_begin_sync(ix, &err), 0);
    put(&web, 1, 100);
    ck_assert_int_eq(ix_put_pack(ix, 5, 1000, 4096, run, sizeof(run), &err), 0);
    ck_assert_int_eq(ix_end_sync(ix, true, &err), 0);
    ck_assert_int_eq(size_of("-wal"), before);
    memset(run, 1, sizeof(run));    /* and a changed run is written: the measurement can see writes */
    ck_assert_int_eq(ix_put_pack(ix, 5, 1000, 4096, run, sizeof(run), &err), 0);
    ck_assert_int_gt(size_of("-wal"), before + (off_t)sizeof(run));
}
END_TEST

START_TEST(journal_and_sequence_numbers_are_refused_during_a_synchronisation)
{
    struct ix_entry entry = { .verb = "save" };
    uint64_t seq;

    ck_assert_int_eq(ix_begin_sync(ix, &err), 0);
    ck_assert_int_eq(ix_journal_add(ix, &entry, &err), FLIC_E_INTERNAL);
    ck_assert_int_eq(ix_next_seq(ix, &web, 1, &seq, &err), FLIC_E_INTERNAL);
    ck_assert_int_eq(ix_begin_sync(ix, &err), FLIC_E_INTERNAL);
    ck_assert_int_eq(ix_end_sync(ix, true, &err), 0);
    ck_assert_int_eq(ix_end_sync(ix, true, &err), FLIC_E_INTERNAL);
    ck_assert_uint_eq(next(&web, 1), 1);
}
END_TEST

static void *add_from_elsewhere(void *arg)
{
    add_entry(&db, "other", 0, "");
    *(bool *)arg = true;
    return NULL;
}

START_TEST(another_threads_journal_entry_waits_for_the_synchronisation_and_outlives_its_rollback)
{
    bool done = false;
    pthread_t other;

    ck_assert_int_eq(ix_begin_sync(ix, &err), 0);
    ck_assert_int_eq(pthread_create(&other, NULL, add_from_elsewhere, &done), 0);
    put(&web, 1, 100);
    ck_assert_int_eq(ix_end_sync(ix, false, &err), 0);
    pthread_join(other, NULL);
    ck_assert(done);
    ck_assert_str_eq(journal(NULL, 0), "other ");
    ck_assert_int_eq(list(NULL).n, 0);
}
END_TEST

/* ---- packs ---- */

START_TEST(packs_can_be_put_replaced_and_dropped_and_a_crooked_run_is_refused)
{
    uint8_t run[64] = { 0 };

    ck_assert_int_eq(ix_put_pack(ix, 1, 100, 4, run, sizeof(run), &err), 0);
    ck_assert_int_eq(ix_put_pack(ix, 1, 200, 2, run, 32, &err), 0);
    ck_assert_int_eq(ix_put_pack(ix, 2, 200, 0, NULL, 0, &err), 0);
    ck_assert_int_ne(ix_put_pack(ix, 3, 200, 2, run, 33, &err), 0);
    ck_assert_int_eq(ix_drop_pack(ix, 1, &err), 0);
    ck_assert_int_eq(ix_drop_pack(ix, 1, &err), 0);
}
END_TEST

/* ---- sequence numbers ---- */

START_TEST(sequence_numbers_count_up_for_each_guest_alone)
{
    ck_assert_uint_eq(next(&web, 0), 1);
    ck_assert_uint_eq(next(&web, 0), 2);
    ck_assert_uint_eq(next(&db, 0), 1);
    ck_assert_uint_eq(next(&web, 1), 3);
}
END_TEST

START_TEST(a_sequence_number_is_never_given_twice_though_its_checkpoint_is_forgotten)
{
    uint64_t seq = next(&web, 0);

    put(&web, seq, 100);
    ck_assert_int_eq(ix_drop_checkpoint(ix, &web, seq, &err), 0);
    ck_assert_int_eq(ix_begin_sync(ix, &err), 0);
    ck_assert_int_eq(ix_end_sync(ix, true, &err), 0);
    reopen();
    ck_assert_uint_eq(next(&web, 0), seq + 1);
}
END_TEST

START_TEST(after_the_file_was_lost_numbers_go_on_from_what_roots_and_tombstones_say)
{
    ck_assert_uint_eq(next(&web, 0), 1);
    ix_close(ix);
    ix = NULL;
    ck_assert_int_eq(ix_set_aside(path, &err), 0);
    open_index();
    ck_assert_uint_eq(next(&web, 41), 41);
    ck_assert_uint_eq(next(&web, 7), 42);
    put(&db, 10, 100);
    ck_assert_uint_eq(next(&db, 0), 11);
}
END_TEST

START_TEST(a_killed_process_loses_no_number_and_no_journal_entry_it_was_told_of)
{
    int fds[2], status;
    struct tally tally = { 0 };
    uint64_t told = 0;
    pid_t child;

    ix_close(ix);
    ix = NULL;
    ck_assert_int_eq(pipe(fds), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (!child) {
        if (ix_open(path, &ix, NULL))
            _exit(1);
        for (uint64_t seq;;) {
            struct ix_entry entry = { .verb = "save", .guest = web };

            if (ix_next_seq(ix, &web, 0, &seq, NULL) || ix_journal_add(ix, &entry, NULL) ||
                write(fds[1], &seq, sizeof(seq)) != sizeof(seq))
                _exit(1);
        }
    }
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(read(fds[0], &told, sizeof(told)), sizeof(told));
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    close(fds[1]);
    while (read(fds[0], &told, sizeof(told)) == sizeof(told))
        continue;       /* the last number it was told before it died */
    close(fds[0]);
    open_index();
    ck_assert_uint_gt(next(&web, 0), told);
    ck_assert_int_eq(ix_journal_each(ix, &web, 0, in_turn, &tally, &err), 0);
    ck_assert_uint_ge(tally.n, 20);
}
END_TEST

START_TEST(numbers_and_journal_entries_are_synced_when_their_call_returns_and_derived_rows_need_not_be)
{
    unsigned before;

    put(&web, 1, 100);
    (void)next(&web, 0);
    before = syncs;
    (void)next(&web, 0);
    ck_assert_uint_gt(syncs, before);
    before = syncs;
    add_entry(&web, "save", 0, "");
    ck_assert_uint_gt(syncs, before);
    before = syncs;
    put(&web, 2, 200);
    ck_assert_uint_eq(syncs, before);   /* a sync a row would wear flash for what can be rebuilt */
}
END_TEST

/* ---- the journal ---- */

static int stop_at_once(const struct ix_entry *entry, void *arg)
{
    *(uint64_t *)arg = entry->id;
    return 77;
}

START_TEST(the_journal_comes_newest_first_from_an_entry_on_and_by_guest)
{
    uint64_t newest = 0;

    add_entry(&web, "save", 0, "");
    add_entry(&db, "restore", 0, "");
    add_entry(&web, "forget", 0, "");
    reopen();
    ck_assert_str_eq(journal(NULL, 0), "forget restore save ");
    ck_assert_str_eq(journal(&web, 0), "forget save ");
    ck_assert_int_eq(ix_journal_each(ix, NULL, 0, stop_at_once, &newest, &err), 77);
    ck_assert_str_eq(journal(NULL, newest), "restore save ");
    ck_assert_str_eq(journal(&web, newest), "save ");
    ck_assert_str_eq(journal(NULL, newest - 2), "");
}
END_TEST

START_TEST(of_a_long_journal_each_entry_comes_once)
{
    static const unsigned sizes[] = { 64, 128, 200 };
    unsigned had = 0;

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct tally tally = { 0 };

        for (; had < sizes[i]; had++)
            add_entry(&web, "save", 0, "");
        ck_assert_int_eq(ix_journal_each(ix, &web, 0, in_turn, &tally, &err), 0);
        ck_assert_uint_eq(tally.n, sizes[i]);
    }
}
END_TEST

START_TEST(a_journal_that_is_shortened_keeps_its_newest_entries)
{
    struct tally tally = { 0 };
    uint64_t newest = 0;

    for (unsigned i = 0; i < 100; i++) {
        add_entry(&web, "save", 0, "");
        ck_assert_int_eq(ix_journal_trim(ix, 32, &err), 0);
    }
    ck_assert_int_eq(ix_journal_each(ix, NULL, 0, stop_at_once, &newest, &err), 77);
    ck_assert_uint_eq(newest, 100);
    ck_assert_int_eq(ix_journal_each(ix, NULL, 0, in_turn, &tally, &err), 0);
    ck_assert_uint_ge(tally.n, 32);
    ck_assert_uint_le(tally.n, 35);
    add_entry(&db, "gc", 0, "");
    ck_assert_int_eq(ix_journal_each(ix, NULL, 0, stop_at_once, &newest, &err), 77);
    ck_assert_uint_eq(newest, 101);     /* no number comes twice */
}
END_TEST

static void *write_entry(void *arg)
{
    (void)arg;
    add_entry(&db, "gc", 0, "");
    return NULL;
}

/* Waits for another thread that writes: for ever, if that waits for this one. */
static int wait_for_a_writer(const struct ix_entry *entry, void *arg)
{
    pthread_t thread;

    ck_assert_str_eq(entry->verb, "save");
    *(int *)arg += 1;
    ck_assert(!pthread_create(&thread, NULL, write_entry, NULL));
    ck_assert(!pthread_join(thread, NULL));
    return 0;
}

START_TEST(the_journal_is_written_while_somebody_looks_at_it)
{
    int n = 0;

    add_entry(&web, "save", 0, "");
    add_entry(&web, "save", 0, "");
    ck_assert_int_eq(ix_journal_each(ix, NULL, 0, wait_for_a_writer, &n, &err), 0);
    ck_assert_int_eq(n, 2);
    ck_assert_str_eq(journal(NULL, 0), "gc gc save save ");
}
END_TEST

static int check_entry(const struct ix_entry *entry, void *arg)
{
    *(int *)arg += 1;
    ck_assert_uint_eq(entry->began_ns, 1000);
    ck_assert_uint_eq(entry->took_ns, 50);
    ck_assert_uint_eq(entry->seq, 3);
    ck_assert_int_eq(entry->code, FLIC_E_NOSPACE);
    ck_assert_str_eq(entry->verb, "save");
    ck_assert_str_eq(entry->guest_name, "web");
    ck_assert_str_eq(entry->message, "it's full; \"forget\" --something");
    ck_assert_str_eq(entry->figures, "{\"pause_us\":7}");
    ck_assert(flic_uuid_equal(&entry->guest, &web));
    return 0;
}

START_TEST(a_journal_entry_comes_back_with_every_field)
{
    int n = 0;

    add_entry(&web, "save", FLIC_E_NOSPACE, "it's full; \"forget\" --something");
    ck_assert_int_eq(ix_journal_each(ix, NULL, 0, check_entry, &n, &err), 0);
    ck_assert_int_eq(n, 1);
}
END_TEST

START_TEST(a_synchronisation_leaves_the_journal_alone)
{
    add_entry(&web, "save", 0, "");
    ck_assert_int_eq(ix_begin_sync(ix, &err), 0);
    ck_assert_int_eq(ix_end_sync(ix, true, &err), 0);
    ck_assert_str_eq(journal(NULL, 0), "save ");
}
END_TEST

/* ---- bad files ---- */

static void write_at(off_t at, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, data, len, at), (ssize_t)len);
    close(fd);
}

static int try_open(void)
{
    int rc;

    err = (struct flic_err){ 0 };
    rc = ix_open(path, &ix, &err);
    if (rc)
        ix = NULL;
    return rc;
}

START_TEST(an_older_flic_refuses_the_file_of_a_newer_one_naming_both_versions)
{
    static const uint8_t version[4] = { 0, 0, 3, 0xe7 };    /* 999, at byte 60 of SQLite's header */

    put(&web, 1, 100);
    ix_close(ix);
    write_at(60, version, sizeof(version));
    ck_assert_int_eq(try_open(), FLIC_E_VERSION);
    ck_assert_ptr_nonnull(strstr(err.text, "999"));
    ck_assert_ptr_nonnull(strstr(err.text, "knows 1"));
}
END_TEST

START_TEST(another_programs_database_is_refused_and_not_touched)
{
    static const uint8_t id[4] = "abcd";
    struct stat before, after;

    ix_close(ix);
    write_at(68, id, sizeof(id));   /* the application id in SQLite's header */
    ck_assert_int_eq(stat(path, &before), 0);
    ck_assert_int_eq(try_open(), FLIC_E_FOREIGN);
    ck_assert_int_eq(stat(path, &after), 0);
    ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    ck_assert_int_eq(before.st_size, after.st_size);
}
END_TEST

START_TEST(a_file_that_is_no_database_is_damaged_and_can_be_set_aside)
{
    static const char junk[8192] = "not a database at all, and longer than a page of one";

    ix_close(ix);
    ck_assert_int_eq(unlink(path), 0);
    write_at(0, junk, sizeof(junk));
    ck_assert_int_eq(try_open(), FLIC_E_DAMAGED);
    ck_assert_int_eq(ix_set_aside(path, &err), 0);
    ck_assert_int_eq(size_of(".damaged"), sizeof(junk));
    open_index();
    ck_assert_uint_eq(next(&web, 0), 1);
}
END_TEST

START_TEST(one_that_could_not_be_made_anew_says_so_until_it_is)
{
    char aside[300];
    uint64_t seq;

    (void)snprintf(aside, sizeof(aside), "%s.damaged", path);
    ck_assert_int_eq(mkdir(aside, 0700), 0);
    ck_assert_int_ne(ix_replace(ix, &err), 0);
    ck_assert_int_eq(ix_next_seq(ix, &web, 0, &seq, &err), FLIC_E_DAMAGED);
    ck_assert_msg(strstr(err.text, "could not be made anew"), "%s", err.text);
    ck_assert_int_eq(ix_begin_sync(ix, &err), FLIC_E_DAMAGED);
    ck_assert_int_eq(ix_check(ix, &err), FLIC_E_DAMAGED);
    ck_assert_int_eq(rmdir(aside), 0);
    ck_assert_int_eq(ix_replace(ix, &err), 0);
    ck_assert_uint_eq(next(&web, 0), 1);
}
END_TEST

START_TEST(an_overwritten_page_is_damage_not_wrong_rows)
{
    uint8_t junk[4096];
    off_t pages;
    int found = 0;

    for (uint64_t seq = 1; seq < 200; seq++)
        put(&web, seq, seq);
    ix_close(ix);
    ix = NULL;
    pages = size_of("") / 4096;
    ck_assert_int_gt(pages, 4);
    memset(junk, 0xa5, sizeof(junk));
    for (off_t page = 1; page < pages; page++) {
        uint8_t old[4096];
        int fd = open(path, O_RDONLY);

        ck_assert_int_eq(pread(fd, old, sizeof(old), page * 4096), sizeof(old));
        close(fd);
        write_at(page * 4096, junk, sizeof(junk));
        if (try_open() == FLIC_E_DAMAGED)
            found++;
        ix_close(ix);
        ix = NULL;
        write_at(page * 4096, old, sizeof(old));
    }
    ck_assert_int_eq(found, pages - 1);
    open_index();
    ck_assert_int_eq(ix_drop_checkpoint(ix, &web, 1, &err), 0);
}
END_TEST

START_TEST(a_file_cut_short_is_damage)
{
    for (uint64_t seq = 1; seq < 200; seq++)
        put(&web, seq, seq);
    ix_close(ix);
    ck_assert_int_eq(truncate(path, size_of("") / 8192 * 4096), 0);
    ck_assert_int_eq(try_open(), FLIC_E_DAMAGED);
}
END_TEST

START_TEST(a_second_opener_is_told_that_the_file_is_in_use)
{
    int status;
    pid_t child;

    put(&web, 1, 100);
    child = fork();
    if (!child) {
        struct ix_index *second;

        _exit(ix_open(path, &second, NULL) == FLIC_E_BUSY ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_full_flash_fails_a_write_with_advice_and_keeps_what_was_there)
{
    static uint8_t run[16 * 65536];
    struct rlimit limit, old;
    int rc;

    put(&web, 1, 100);
    getrlimit(RLIMIT_FSIZE, &old);
    limit = old;
    limit.rlim_cur = 128 << 10;     /* EFBIG instead of ENOSPC: the same paths, without a file system of our own */
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    memset(run, 1, sizeof(run));
    rc = ix_put_pack(ix, 1, 100, 65536, run, sizeof(run), &err);
    setrlimit(RLIMIT_FSIZE, &old);
    ck_assert_int_lt(rc, 0);
    ck_assert_ptr_nonnull(strstr(err.text, "index.db"));
    ck_assert_int_eq(list(NULL).n, 1);
    ck_assert_uint_eq(next(&web, 0), 2);
    reopen();
    ck_assert_int_eq(list(NULL).n, 1);
}
END_TEST

START_TEST(the_file_is_not_readable_by_others)
{
    struct stat st;

    put(&web, 1, 100);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0077, 0);
    ck_assert_int_eq(size_of("-shm"), 0);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_named)
{
    struct ix_index *none;

    ck_assert_int_eq(ix_open("/nonexistent/flic/index.db", &none, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/flic"));
}
END_TEST

static Suite *index_suite(void)
{
    Suite *suite = suite_create("index");
    TCase *tc = tcase_create("index");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_checkpoint_comes_back_with_every_field_also_after_reopening);
    tcase_add_test(tc, checkpoints_come_newest_first_and_of_one_guest_when_asked);
    tcase_add_test(tc, putting_a_checkpoint_again_replaces_it);
    tcase_add_test(tc, a_dropped_checkpoint_is_gone_and_dropping_it_again_is_no_error);
    tcase_add_test(tc, a_callback_ends_the_walk_with_its_own_value);
    tcase_add_test(tc, a_callback_may_change_the_index_but_not_start_its_own_walk_again);
    tcase_add_test(tc, a_figure_beyond_what_sqlite_holds_is_refused_and_nothing_written);
    tcase_add_test(tc, a_synchronisation_replaces_all_derived_rows_at_once);
    tcase_add_test(tc, a_synchronisation_that_is_given_up_changes_nothing);
    tcase_add_test(tc, a_synchronisation_that_changes_nothing_writes_nothing_to_flash);
    tcase_add_test(tc, journal_and_sequence_numbers_are_refused_during_a_synchronisation);
    tcase_add_test(tc, another_threads_journal_entry_waits_for_the_synchronisation_and_outlives_its_rollback);
    tcase_add_test(tc, packs_can_be_put_replaced_and_dropped_and_a_crooked_run_is_refused);
    tcase_add_test(tc, sequence_numbers_count_up_for_each_guest_alone);
    tcase_add_test(tc, a_sequence_number_is_never_given_twice_though_its_checkpoint_is_forgotten);
    tcase_add_test(tc, after_the_file_was_lost_numbers_go_on_from_what_roots_and_tombstones_say);
    tcase_add_test(tc, a_killed_process_loses_no_number_and_no_journal_entry_it_was_told_of);
    tcase_add_test(tc, numbers_and_journal_entries_are_synced_when_their_call_returns_and_derived_rows_need_not_be);
    tcase_add_test(tc, the_journal_comes_newest_first_from_an_entry_on_and_by_guest);
    tcase_add_test(tc, of_a_long_journal_each_entry_comes_once);
    tcase_add_test(tc, a_journal_that_is_shortened_keeps_its_newest_entries);
    tcase_add_test(tc, the_journal_is_written_while_somebody_looks_at_it);
    tcase_add_test(tc, a_journal_entry_comes_back_with_every_field);
    tcase_add_test(tc, a_synchronisation_leaves_the_journal_alone);
    tcase_add_test(tc, an_older_flic_refuses_the_file_of_a_newer_one_naming_both_versions);
    tcase_add_test(tc, another_programs_database_is_refused_and_not_touched);
    tcase_add_test(tc, a_file_that_is_no_database_is_damaged_and_can_be_set_aside);
    tcase_add_test(tc, one_that_could_not_be_made_anew_says_so_until_it_is);
    tcase_add_test(tc, an_overwritten_page_is_damage_not_wrong_rows);
    tcase_add_test(tc, a_file_cut_short_is_damage);
    tcase_add_test(tc, a_second_opener_is_told_that_the_file_is_in_use);
    tcase_add_test(tc, a_full_flash_fails_a_write_with_advice_and_keeps_what_was_there);
    tcase_add_test(tc, the_file_is_not_readable_by_others);
    tcase_add_test(tc, a_folder_that_is_not_there_is_named);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(index_suite());
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
