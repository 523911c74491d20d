/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Packs when the n-th system call or allocation fails, when the process is killed at it, and in what order the calls
 * come. The linker puts the functions below in front of the real ones (--wrap).
 */
#include "test-packs.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

enum call { NONE, PWRITE, PREAD, FSYNC, OPENAT, RENAMEAT, UNLINKAT, MALLOC, FADVISE, CALLS };

/* What to do to the calls of one sort, or of all writing sorts when `sort` is NONE. */
static struct {
    enum call sort;
    int left;               /* calls until it strikes; 0: never */
    int code;               /* errno, or 0: SIGKILL */
    bool struck;
} fault;

static struct {
    uint64_t written;       /* bytes that pwrite() took */
    unsigned calls[CALLS];
} seen;

static bool strikes(enum call call)
{
    bool concerned = fault.sort == call ||
                     (fault.sort == NONE && call != PREAD && call != MALLOC && call != FADVISE);

    seen.calls[call]++;
    if (!fault.left || !concerned || --fault.left)
        return false;
    fault.struck = true;
    if (!fault.code)
        (void)raise(SIGKILL);
    errno = fault.code;
    return true;
}

static void strike(enum call sort, int at, int code)
{
    fault.sort = sort;
    fault.code = code;
    fault.struck = false;
    fault.left = at;
}

/* From here on nothing strikes; fault.struck still says whether anything did. */
static void disarm(void)
{
    fault.left = 0;
}

ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __real_pread(int fd, void *data, size_t len, off_t at);
int __real_fsync(int fd);
int __real_openat(int fd, const char *name, int flags, mode_t mode);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_unlinkat(int fd, const char *name, int flags);
int __real_posix_fadvise(int fd, off_t at, off_t len, int advice);
void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *p, size_t len);

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at);
int __wrap_fsync(int fd);
int __wrap_openat(int fd, const char *name, int flags, ...);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_unlinkat(int fd, const char *name, int flags);
int __wrap_posix_fadvise(int fd, off_t at, off_t len, int advice);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *p, size_t len);

/* ---- the order of things ---- */

/* One letter a call: W a write to a pack, S fsync of a pack, D fsync of a folder, R a rename, A "drop the cache". */
static char order[4096];
static bool order_on;

static void note(char letter)
{
    size_t len = strlen(order);

    if (order_on && len + 1 < sizeof(order) && !(letter == 'W' && len && order[len - 1] == 'W'))
        order[len] = letter;
}

static bool is_folder(int fd)
{
    struct stat st;

    return !fstat(fd, &st) && S_ISDIR(st.st_mode);
}

/* A failing write first takes half: the file is longer, and the caller has to know what to do about it. */
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
    static bool half;
    ssize_t n;

    if (fault.sort == PWRITE && fault.left == 1 && !half && len > 1 && fault.code) {
        half = true;
        n = __real_pwrite(fd, data, len / 2, at);
    } else {
        half = false;
        if (strikes(PWRITE))
            return -1;
        n = __real_pwrite(fd, data, len, at);
    }
    note('W');
    seen.written += n > 0 ? (uint64_t)n : 0;
    return n;
}

ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at)
{
    return strikes(PREAD) ? -1 : __real_pread(fd, data, len, at);
}

int __wrap_fsync(int fd)
{
    note(is_folder(fd) ? 'D' : 'S');
    return strikes(FSYNC) ? -1 : __real_fsync(fd);
}

int __wrap_openat(int fd, const char *name, int flags, ...)
{
    mode_t mode = 0;
    va_list ap;

    va_start(ap, flags);
    if (flags & O_CREAT)
        mode = va_arg(ap, mode_t);
    va_end(ap);
    return strikes(OPENAT) ? -1 : __real_openat(fd, name, flags, mode);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    note('R');
    return strikes(RENAMEAT) ? -1 : __real_renameat(from_fd, from, to_fd, to);
}

int __wrap_unlinkat(int fd, const char *name, int flags)
{
    return strikes(UNLINKAT) ? -1 : __real_unlinkat(fd, name, flags);
}

int __wrap_posix_fadvise(int fd, off_t at, off_t len, int advice)
{
    if (advice == POSIX_FADV_DONTNEED && !at && !len)
        note('A');
    seen.calls[FADVISE]++;
    return __real_posix_fadvise(fd, at, len, advice);
}

void *__wrap_malloc(size_t len)
{
    return strikes(MALLOC) ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t n, size_t len)
{
    return strikes(MALLOC) ? NULL : __real_calloc(n, len);
}

void *__wrap_realloc(void *p, size_t len)
{
    return strikes(MALLOC) ? NULL : __real_realloc(p, len);
}

/* ---- the story that everything below interrupts ---- */

#define BASE 40         /* pages sealed before */
#define MORE 60         /* pages that the operation adds */

static struct flic_id base[BASE];

static void set_up_base(void)
{
    set_up();
    seal_pages(0, BASE, base);
    memset(&seen, 0, sizeof(seen));
}

static void tear_down_base(void)
{
    disarm();
    tear_down();
}

static bool base_used(const struct flic_id *id, void *arg)
{
    (void)arg;
    for (int i = 0; i < BASE; i++)
        if (flic_id_equal(id, &base[i]))
            return true;
    return false;
}

/* Puts some shared and some new pages and seals twice. Returns the first error. */
static int operate(struct pk_put_stats *ret_put, struct flic_id ids[MORE])
{
    struct pk_writer *w;
    struct flic_id id;
    int rc = pk_writer_new(store, &w, &err);

    if (rc)
        return rc;
    for (uint64_t i = 0; !rc && i < MORE; i++) {
        rc = pk_put(w, PK_PAGE, page_of(1000 + i), PAGE, &ids[i], NULL, &err);
        if (!rc && i < BASE)
            rc = pk_put(w, PK_PAGE, page_of(i), PAGE, &id, NULL, &err);
        if (!rc && i == MORE / 2)
            rc = pk_seal(w, &err);
    }
    if (!rc)
        rc = pk_seal(w, &err);
    if (rc) {
        struct flic_err again;

        disarm();
        ck_assert_int_eq(pk_put(w, PK_PAGE, page_of(1), PAGE, &id, NULL, &again), rc);
        ck_assert_int_eq(pk_seal(w, &again), rc);
    }
    pk_get_put_stats(w, ret_put);
    pk_writer_free(w);
    return rc;
}

static void check_base(void)
{
    for (uint64_t i = 0; i < BASE; i++)
        ck_assert_msg(page_reads(&base[i], i), "page %d: %s", (int)i, err.text);
}

/* Whatever failed: what was sealed reads, nothing unfinished stays, the counts fit the files, a new start works. */
static void check_sound(void)
{
    struct pk_put_stats put;
    struct flic_id ids[MORE];

    disarm();
    check_base();
    ck_assert_int_eq(files().unfinished, 0);
    ck_assert_uint_eq(files().bytes, stats().bytes);
    ck_assert_int_eq(files().sealed, (int)stats().packs);
    ck_assert_int_eq(operate(&put, ids), 0);
    for (uint64_t i = 0; i < MORE; i++)
        ck_assert(page_reads(&ids[i], 1000 + i));
    reopen();
    ck_assert_uint_eq(stats().quarantined + stats().unfinished, 0);
    check_base();
    for (uint64_t i = 0; i < MORE; i++)
        ck_assert(page_reads(&ids[i], 1000 + i));
}

/* A new store with the base pages, and nothing in the frame cache. */
static void start_over(void)
{
    pk_close(store);
    store = NULL;
    each_file(remove_one, NULL);
    open_store();
    seal_pages(0, BASE, base);
    reopen();
}

/* Takes away what the last round added. */
static void forget_more(void)
{
    uint64_t freed;

    OK(collect(base_used, NULL, &freed));
    ck_assert_int_eq(files().sealed, 1);
}

struct kind_of_fault {
    enum call sort;
    int code;
    int expect;
};

static const struct kind_of_fault kinds[] = {
    { PWRITE, ENOSPC, FLIC_E_NOSPACE }, { PWRITE, EIO, -EIO }, { PWRITE, EDQUOT, FLIC_E_NOSPACE },
    { FSYNC, EIO, -EIO }, { FSYNC, ENOSPC, 0 }, { OPENAT, ENOSPC, 0 }, { OPENAT, EMFILE, 0 },
    { RENAMEAT, EIO, -EIO }, { RENAMEAT, ENOSPC, FLIC_E_NOSPACE }, { MALLOC, ENOMEM, -ENOMEM },
    { PREAD, EIO, 0 },
};

START_TEST(whichever_call_of_a_sort_fails_nothing_sealed_is_lost_and_the_next_operation_works)
{
    const struct kind_of_fault *kind = &kinds[_i];
    struct flic_id ids[MORE];
    bool struck = true;
    int failed = 0;

    for (int at = 1; struck; at++) {
        struct pk_put_stats put = { 0 };
        uint64_t before = seen.written;
        int rc;

        strike(kind->sort, at, kind->code);
        rc = operate(&put, ids);
        disarm();
        ck_assert_uint_eq(put.flash_bytes, seen.written - before);
        struck = fault.struck;
        ck_assert_msg(!rc || struck, "failed by itself: %s", err.text);
        ck_assert(!rc || !kind->expect || rc == kind->expect);
        ck_assert(!rc || err.text[0]);
        failed += rc != 0;
        check_sound();
        start_over();
    }
    if (kind->sort == PREAD)
        ck_assert_int_eq(failed, 0);    /* what cannot be read is stored again */
    else
        ck_assert_int_gt(failed, 0);
}
END_TEST

START_TEST(no_room_says_how_much_was_needed_and_what_to_do)
{
    struct pk_put_stats put;
    struct flic_id ids[MORE];

    strike(PWRITE, 2, ENOSPC);
    ck_assert_int_eq(operate(&put, ids), FLIC_E_NOSPACE);
    ck_assert_ptr_nonnull(strstr(err.text, "bytes do not fit"));
    ck_assert_ptr_nonnull(strstr(err.text, dir));
    ck_assert_ptr_nonnull(strstr(err.text, "flic forget"));
}
END_TEST

START_TEST(a_failing_read_never_gives_wrong_bytes_and_passes_when_the_cause_does)
{
    uint8_t buf[PAGE];
    size_t len;

    for (int at = 1; at <= 2; at++) {
        reopen();
        strike(at == 1 ? OPENAT : PREAD, 1, EIO);
        ck_assert_int_eq(pk_read(store, &base[0], buf, PAGE, &len, &err), -EIO);
        check_base();
    }
}
END_TEST

START_TEST(a_failing_open_of_the_store_loses_nothing)
{
    static const struct { enum call sort; int code; } faults[] = { { OPENAT, EMFILE }, { MALLOC, ENOMEM } };

    for (size_t i = 0; i < N_OF(faults); i++)
        for (int at = 1;; at++) {
            int rc;

            pk_close(store);
            store = NULL;
            strike(faults[i].sort, at, faults[i].code);
            rc = pk_open(dir, &secret, &store, &err);
            disarm();
            ck_assert(!rc || (fault.struck && !store && err.text[0]));
            if (!fault.struck)
                break;
            if (rc)
                open_store();
            ck_assert_uint_eq(stats().packs + stats().quarantined, 1);
            if (!stats().quarantined)
                check_base();
            reopen();
            check_base();
        }
}
END_TEST

START_TEST(a_failing_collection_keeps_what_is_used_and_can_be_repeated)
{
    static const enum call sorts[] = { UNLINKAT, FSYNC, OPENAT, PREAD, MALLOC };
    uint64_t freed;

    for (size_t i = 0; i < N_OF(sorts); i++)
        for (int at = 1;; at++) {
            seal_pages(5000, 40, NULL);
            seal_pages(6000, 40, NULL);
            strike(sorts[i], at, sorts[i] == MALLOC ? ENOMEM : EIO);
            (void)collect(base_used, NULL, &freed);
            disarm();
            check_base();
            reopen();
            check_base();
            OK(collect(base_used, NULL, &freed));
            ck_assert_int_eq(files().sealed, 1);
            if (!fault.struck)
                break;
        }
}
END_TEST

/* ---- killed ---- */

struct keep {
    const struct flic_id *ids;
    uint64_t n;
};

static bool kept_used(const struct flic_id *id, void *arg)
{
    const struct keep *keep = arg;

    for (uint64_t i = 0; i < keep->n; i++)
        if (flic_id_equal(id, &keep->ids[i]))
            return true;
    return base_used(id, NULL);
}

/* In the child: operations without end, each telling through `fd` what it sealed, and collections of what is not told. */
static void live_and_die(int fd, int at)
{
    static struct flic_id told[100];
    struct flic_id id;

    if (pk_open(dir, &secret, &store, NULL))
        _exit(1);
    strike(NONE, at, 0);
    for (uint64_t i = 0; i < N_OF(told); i++) {
        struct keep keep = { .ids = told, .n = i + 1 };
        uint64_t freed;

        for (int kept = 0; kept < 2; kept++) {
            struct pk_writer *w;

            if (pk_writer_new(store, &w, NULL))
                _exit(1);
            for (uint64_t p = 0; p < 20; p++)
                if (pk_put(w, PK_PAGE, page_of(2000 + i * 100 + p + (kept ? 0 : 50)), PAGE, &id, NULL, NULL))
                    _exit(1);
            if (pk_seal(w, NULL))
                _exit(1);
            pk_writer_free(w);
        }
        told[i] = id;
        if (write(fd, &id, sizeof(id)) != sizeof(id) || collect(kept_used, &keep, &freed) != 1)
            _exit(1);
    }
    _exit(2);
}

START_TEST(killed_at_any_call_it_loses_nothing_sealed_and_opens_without_help)
{
    pk_close(store);
    store = NULL;
    for (int at = 1; at <= 60; at++) {
        struct flic_id id;
        int fds[2], status;
        uint64_t i = 0;
        pid_t child;

        ck_assert_int_eq(pipe(fds), 0);
        child = fork();
        ck_assert_int_ge(child, 0);
        if (!child)
            live_and_die(fds[1], at);
        close(fds[1]);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        open_store();
        ck_assert_uint_eq(stats().quarantined, 0);
        ck_assert_int_eq(files().unfinished, 0);
        check_base();
        for (; read(fds[0], &id, sizeof(id)) == sizeof(id); i++)
            ck_assert(page_reads(&id, 2000 + i * 100 + 19));
        close(fds[0]);
        forget_more();
        pk_close(store);
        store = NULL;
    }
    open_store();
}
END_TEST

/* ---- order ---- */

START_TEST(bytes_are_synced_before_the_name_and_the_folder_after_it_and_the_cache_is_dropped)
{
    struct pk_writer *w = writer();

    put_pages(w, 1000, 40, NULL);
    order_on = true;
    OK(pk_seal(w, &err));
    order_on = false;
    pk_writer_free(w);
    ck_assert_str_eq(order, "WSARD");
}
END_TEST

START_TEST(of_several_packs_the_last_gets_its_name_after_the_others_are_durable)
{
    uint8_t *big = malloc(PK_OBJECT_MAX);
    struct pk_writer *w = writer();
    struct flic_id id;

    order_on = true;
    for (uint64_t i = 0; i < 17; i++) {
        fill_random(big, PK_OBJECT_MAX, i);
        OK(pk_put(w, PK_LEAF, big, PK_OBJECT_MAX, &id, NULL, &err));
    }
    OK(pk_seal(w, &err));
    order_on = false;
    pk_writer_free(w);
    free(big);
    ck_assert_int_eq(files().sealed, 1 + 3);
    ck_assert_str_eq(order, "WSAWSAWSARRDRD");
}
END_TEST

static int count_page(size_t tag, const void *page, void *arg)
{
    (void)tag, (void)page;
    ++*(size_t *)arg;
    return 0;
}

START_TEST(many_pages_are_read_with_each_frame_once)
{
    enum { N = 1600 };      /* 100 frames, more than the cache keeps */
    struct flic_id *ids = calloc(N, sizeof(*ids));
    size_t pages = 0;

    seal_pages(10000, N, ids);
    for (size_t i = 0; i < N; i++) {        /* far from the order they lie in */
        size_t j = (i * 7919 + 13) % N;
        struct flic_id swap = ids[i];

        ids[i] = ids[j];
        ids[j] = swap;
    }
    reopen();
    memset(&seen, 0, sizeof(seen));
    OK(pk_read_pages(store, ids, N, count_page, &pages, &err));
    ck_assert_uint_eq(pages, N);
    ck_assert_uint_le(seen.calls[PREAD], 2 * N / 16);   /* a frame takes two calls at most */
    ck_assert_uint_eq(seen.calls[OPENAT], 1);
    free(ids);
}
END_TEST

static Suite *faults_suite(void)
{
    Suite *suite = suite_create("packs-faults");
    TCase *tc = tcase_create("faults");

    tcase_add_checked_fixture(tc, set_up_base, tear_down_base);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, whichever_call_of_a_sort_fails_nothing_sealed_is_lost_and_the_next_operation_works, 0,
                        N_OF(kinds));
    tcase_add_test(tc, no_room_says_how_much_was_needed_and_what_to_do);
    tcase_add_test(tc, a_failing_read_never_gives_wrong_bytes_and_passes_when_the_cause_does);
    tcase_add_test(tc, a_failing_open_of_the_store_loses_nothing);
    tcase_add_test(tc, a_failing_collection_keeps_what_is_used_and_can_be_repeated);
    tcase_add_test(tc, killed_at_any_call_it_loses_nothing_sealed_and_opens_without_help);
    tcase_add_test(tc, bytes_are_synced_before_the_name_and_the_folder_after_it_and_the_cache_is_dropped);
    tcase_add_test(tc, of_several_packs_the_last_gets_its_name_after_the_others_are_durable);
    tcase_add_test(tc, many_pages_are_read_with_each_frame_once);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return run_suite(faults_suite());
}
