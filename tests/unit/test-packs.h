/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What the tests of daemon/packs share: a store in a folder of its own, contents, and a look at its files. */
#ifndef FLIC_TESTS_UNIT_TEST_PACKS_H
#define FLIC_TESTS_UNIT_TEST_PACKS_H

#include "daemon/packs/packs.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE FLIC_PAGE_SIZE
#define OK(call) do { int ok_rc = (call); ck_assert_msg(ok_rc >= 0, "%s: %d, %s", #call, ok_rc, err.text); } while (0)

static char dir[64];
static struct flic_secret secret;
static struct pk_store *store;
static struct flic_err err;

static inline void open_store(void)
{
    OK(pk_open(dir, &secret, &store, &err));
}

static inline void reopen(void)
{
    pk_close(store);
    store = NULL;
    open_store();
}

static inline void set_up(void)
{
    snprintf(dir, sizeof(dir), "/tmp/flic-test-packs-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(flic_secret_draw(&secret), 0);
    open_store();
}

/* Calls `see` for every file of the folder. */
static inline void each_file(void (*see)(const char *path, const char *name, off_t size, void *arg), void *arg)
{
    DIR *d = opendir(dir);
    const struct dirent *e;

    ck_assert_ptr_nonnull(d);
    while ((e = readdir(d))) {
        char path[512];
        struct stat st;

        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        if (!stat(path, &st) && S_ISREG(st.st_mode))
            see(path, e->d_name, st.st_size, arg);
    }
    closedir(d);
}

static inline void remove_one(const char *path, const char *name, off_t size, void *arg)
{
    (void)name, (void)size, (void)arg;
    unlink(path);
}

static inline void tear_down(void)
{
    pk_close(store);
    store = NULL;
    each_file(remove_one, NULL);
    ck_assert_int_eq(rmdir(dir), 0);
}

struct files {
    int sealed, unfinished, others;
    uint64_t bytes;
};

static inline void count_one(const char *path, const char *name, off_t size, void *arg)
{
    struct files *files = arg;
    const char *end = strchr(name, '.');

    (void)path;
    files->bytes += (uint64_t)size;
    if (end && !strcmp(end, ".pack"))
        files->sealed++;
    else if (end && !strcmp(end, ".pack.new"))
        files->unfinished++;
    else
        files->others++;
}

static inline struct files files(void)
{
    struct files found = { 0 };

    each_file(count_one, &found);
    return found;
}

static inline struct pk_stats stats(void)
{
    struct pk_stats st;

    pk_get_stats(store, &st);
    return st;
}

/* Removes every pack of which `used` knows nothing, as a collection does: how many, or an error. */
static inline int collect(bool (*used)(const struct flic_id *id, void *arg), void *arg, uint64_t *ret_bytes)
{
    uint64_t since = pk_moment(store);
    struct pk_use *uses = NULL;
    int removed = 0, rc;
    bool gone = false;
    size_t n = 0;

    *ret_bytes = 0;
    rc = pk_survey(store, since, used, arg, &uses, &n, &err);
    for (size_t i = 0; !rc && i < n; i++) {
        if (uses[i].used)
            continue;
        rc = pk_remove(store, since, &uses[i], &gone, &err);
        removed += gone;
        *ret_bytes += gone ? uses[i].bytes : 0;
    }
    free(uses);
    if (!rc && removed)
        rc = pk_sync(store, &err);
    return rc ? rc : removed;
}

/* A page that only `n` decides: half random, half one word again and again, so that it shrinks but not to nothing. */
static inline void fill(uint8_t *page, size_t len, uint64_t n)
{
    uint64_t x = (n + 1) * 0x9e3779b97f4a7c15ull;

    for (size_t i = 0; i < len; i++) {
        if (i % 8 == 0) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
        page[i] = i % 16 < 8 ? (uint8_t)(x >> (i % 8 * 8)) : (uint8_t)(n >> (i % 8 * 8));
    }
}

/* Bytes that do not compress. */
static inline void fill_random(uint8_t *data, size_t len, uint64_t n)
{
    for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
        uint64_t x = (n << 32 | i) + 0x9e3779b97f4a7c15ull;

        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
        x = (x ^ x >> 27) * 0x94d049bb133111ebull;
        x ^= x >> 31;
        memcpy(data + i, &x, len - i < sizeof(x) ? len - i : sizeof(x));
    }
}

static inline const uint8_t *page_of(uint64_t n)
{
    static uint8_t page[PAGE];

    fill(page, PAGE, n);
    return page;
}

static inline struct pk_writer *writer(void)
{
    struct pk_writer *w = NULL;

    OK(pk_writer_new(store, &w, &err));
    return w;
}

/* Puts page number n; true when it was stored anew. */
static inline bool put_page(struct pk_writer *w, uint64_t n, struct flic_id *ret_id)
{
    struct flic_id id;
    bool anew = false;

    OK(pk_put(w, PK_PAGE, page_of(n), PAGE, &id, &anew, &err));
    if (ret_id)
        *ret_id = id;
    return anew;
}

static inline void put_pages(struct pk_writer *w, uint64_t first, size_t n, struct flic_id *ret_ids)
{
    for (size_t i = 0; i < n; i++)
        put_page(w, first + i, ret_ids ? &ret_ids[i] : NULL);
}

/* One sealed pack with these pages. */
static inline void seal_pages(uint64_t first, size_t n, struct flic_id *ret_ids)
{
    struct pk_writer *w = writer();

    put_pages(w, first, n, ret_ids);
    OK(pk_seal(w, &err));
    pk_writer_free(w);
}

static inline bool reads_as(const struct flic_id *id, const void *data, size_t len)
{
    uint8_t *buf = malloc(len + 1);
    size_t got = 0;
    bool same;

    ck_assert_ptr_nonnull(buf);
    same = pk_read(store, id, buf, len + 1, &got, &err) == 0 && got == len && !memcmp(buf, data, len);
    free(buf);
    return same;
}

static inline bool page_reads(const struct flic_id *id, uint64_t n)
{
    return reads_as(id, page_of(n), PAGE);
}

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
