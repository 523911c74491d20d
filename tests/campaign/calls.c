/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/campaign/calls.h"

#include "daemon/nvram/nv_media.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int (*calls_hook)(const struct call *call);
static char watched[256];
static uint8_t *nvram;              /* where it is mapped; known from the first store on */
static uint64_t nvram_size;
static bool inside;                 /* of the hook: what it does itself passes unseen */

extern const char __executable_start, etext;

void calls_half(const struct call *call)
{
    uint64_t at = call->kind == CALL_STORE ? call->at : 0;

    if (call->kind == CALL_WRITE)
        (void)syscall(SYS_pwrite64, call->fd, call->data, call->len / 2, call->at);
    else if (call->kind == CALL_STORE)
        memcpy(nvram + at, call->data, call->len / 2);
}

void calls_watch(const char *folder)
{
    (void)snprintf(watched, sizeof(watched), "%s", folder);
}

const char *calls_kind_name(enum call_kind kind)
{
    static const char *const names[CALL_KINDS] = { "create", "truncate", "write", "fsync", "rename", "unlink", "mkdir", "store",
                                                   "flush", "fence", "msync" };

    return names[kind];
}

/* ---- which file, and who calls ---- */

static bool below(const char *path)
{
    size_t n = strlen(watched);

    return n && !strncmp(path, watched, n) && (path[n] == '/' || !path[n]);
}

static bool path_of_fd(int fd, char path[256])
{
    char link[64];
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, 255);
    path[n > 0 ? n : 0] = '\0';
    return n > 0 && below(path);
}

static bool path_at(int dir_fd, const char *name, char path[256])
{
    char dir[256];

    if (name[0] == '/') {
        (void)snprintf(path, 256, "%s", name);
        return below(path);
    }
    if (dir_fd == AT_FDCWD || !path_of_fd(dir_fd, dir) || strlen(dir) + strlen(name) + 2 > 256)
        return false;
    (void)snprintf(path, 256, "%.*s/%.*s", 200, dir, 50, name);
    return true;
}

/* The first two places in the program above the wrapper, which is `skip` frames up. */
static __attribute__((noinline)) void find_site(struct call *call, int skip)
{
    void *stack[6] = { NULL };
    int n = backtrace(stack, 6);

    for (int i = 0; i < 2; i++) {
        const char *at = i + skip < n ? stack[i + skip] : NULL;

        call->site[i] = at > &__executable_start && at < &etext ? (uintptr_t)(at - &__executable_start) : 0;
    }
}

/* `depth`: functions of this file between the C library's name and here, that one included. */
static __attribute__((noinline)) int ask(struct call *call, int depth)
{
    int rc;

    if (!calls_hook || inside)
        return 0;
    inside = true;
    find_site(call, 2 + depth);
    rc = calls_hook(call);
    inside = false;
    return rc;
}

static bool watching(void)
{
    return calls_hook && !inside;
}

/* ---- the C library's names ---- */

#define WRAPPER __attribute__((noinline))

static int refused(int rc)
{
    errno = rc;
    return -1;
}

ssize_t write(int fd, const void *data, size_t len);
WRAPPER ssize_t write(int fd, const void *data, size_t len)
{
    struct call call = { .kind = CALL_WRITE, .fd = fd, .data = data, .len = len };
    int rc = 0;

    if (watching() && path_of_fd(fd, call.path)) {
        call.at = (uint64_t)lseek(fd, 0, SEEK_CUR);
        rc = ask(&call, 1);
    }
    if (rc)
        return rc == CALL_SKIPPED ? (ssize_t)len : refused(rc);
    return syscall(SYS_write, fd, data, len);
}

static WRAPPER int asked_pwrite(int fd, const void *data, size_t len, off_t at)
{
    struct call call = { .kind = CALL_WRITE, .fd = fd, .data = data, .len = len, .at = (uint64_t)at };

    return watching() && path_of_fd(fd, call.path) ? ask(&call, 2) : 0;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at);
WRAPPER ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    int rc = asked_pwrite(fd, data, len, at);

    if (rc)
        return rc == CALL_SKIPPED ? (ssize_t)len : refused(rc);
    return syscall(SYS_pwrite64, fd, data, len, at);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t at) __attribute__((alias("pwrite")));

static WRAPPER int asked_fd(enum call_kind kind, int fd, uint64_t at)
{
    struct call call = { .kind = kind, .fd = fd, .at = at };

    return watching() && path_of_fd(fd, call.path) ? ask(&call, 2) : 0;
}

int fsync(int fd);
WRAPPER int fsync(int fd)
{
    int rc = asked_fd(CALL_SYNC, fd, 0);

    if (rc)
        return rc == CALL_SKIPPED ? 0 : refused(rc);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd);
WRAPPER int fdatasync(int fd)
{
    int rc = asked_fd(CALL_SYNC, fd, 0);

    if (rc)
        return rc == CALL_SKIPPED ? 0 : refused(rc);
    return (int)syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t len);
WRAPPER int ftruncate(int fd, off_t len)
{
    int rc = asked_fd(CALL_TRUNCATE, fd, (uint64_t)len);

    if (rc)
        return rc == CALL_SKIPPED ? 0 : refused(rc);
    return (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate64(int fd, off_t len) __attribute__((alias("ftruncate")));

static WRAPPER int asked_path(enum call_kind kind, int dir_fd, const char *name, int to_fd, const char *to)
{
    struct call call = { .kind = kind, .fd = -1 };

    if (!watching() || !path_at(dir_fd, name, call.path) || (to && !path_at(to_fd, to, call.path2)))
        return 0;
    return ask(&call, 2);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to);
WRAPPER int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    int rc = asked_path(CALL_RENAME, from_fd, from, to_fd, to);

    if (rc)
        return rc == CALL_SKIPPED ? 0 : refused(rc);
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int rename(const char *from, const char *to);
WRAPPER int rename(const char *from, const char *to)
{
    int rc = asked_path(CALL_RENAME, AT_FDCWD, from, AT_FDCWD, to);

    if (rc)
        return rc == CALL_SKIPPED ? 0 : refused(rc);
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int fd, const char *name, int flags);
WRAPPER int unlinkat(int fd, const char *name, int flags)
{
    int rc = asked_path(CALL_UNLINK, fd, name, -1, NULL);

    if (rc)
        return rc == CALL_SKIPPED ? 0 : refused(rc);
    return (int)syscall(SYS_unlinkat, fd, name, flags);
}

int unlink(const char *name);
WRAPPER int unlink(const char *name)
{
    int rc = asked_path(CALL_UNLINK, AT_FDCWD, name, -1, NULL);

    if (rc)
        return rc == CALL_SKIPPED ? 0 : refused(rc);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, name, 0);
}

int mkdir(const char *name, mode_t mode);
WRAPPER int mkdir(const char *name, mode_t mode)
{
    struct stat st;
    int rc = stat(name, &st) ? asked_path(CALL_MKDIR, AT_FDCWD, name, -1, NULL) : 0;    /* EEXIST comes first */

    if (rc)
        return rc == CALL_SKIPPED ? 0 : refused(rc);
    return (int)syscall(SYS_mkdirat, AT_FDCWD, name, mode);
}

/* Only what creates or shortens is a change. */
static WRAPPER int asked_open(int dir_fd, const char *name, int flags)
{
    struct call call = { .fd = -1 };
    struct stat st;
    bool there;

    if (!watching() || !(flags & (O_CREAT | O_TRUNC)) || !path_at(dir_fd, name, call.path))
        return 0;
    there = !stat(call.path, &st);
    if (there && !(flags & O_TRUNC))
        return 0;
    call.kind = there ? CALL_TRUNCATE : CALL_CREATE;
    return ask(&call, 2);
}

#define OPEN(dir_fd) \
    mode_t mode = 0; \
    va_list ap; \
    int rc; \
    va_start(ap, flags); \
    if (flags & O_CREAT) \
        mode = va_arg(ap, mode_t); \
    va_end(ap); \
    rc = asked_open(dir_fd, name, flags); \
    return rc ? refused(rc == CALL_SKIPPED ? EIO : rc) : (int)syscall(SYS_openat, dir_fd, name, flags, mode);

int open(const char *name, int flags, ...);
WRAPPER int open(const char *name, int flags, ...) { OPEN(AT_FDCWD) }
int open64(const char *name, int flags, ...) __attribute__((alias("open")));
int openat(int fd, const char *name, int flags, ...);
WRAPPER int openat(int fd, const char *name, int flags, ...) { OPEN(fd) }
int openat64(int fd, const char *name, int flags, ...) __attribute__((alias("openat")));

/* ---- NVRAM ---- */

int msync(void *from, size_t len, int flags);
WRAPPER int msync(void *from, size_t len, int flags)
{
    struct call call = { .kind = CALL_MSYNC, .fd = -1, .len = len };
    const uint8_t *at = from;
    int rc = 0;

    if (watching() && nvram && at >= nvram && at < nvram + nvram_size) {
        call.at = (uint64_t)(at - nvram);
        rc = ask(&call, 1);
    }
    if (rc)
        return rc == CALL_SKIPPED ? 0 : refused(rc);
    return (int)syscall(SYS_msync, from, len, flags);
}

static WRAPPER int asked_nvram(enum call_kind kind, struct nv_media *media, uint64_t at, const void *data, size_t len)
{
    struct call call = { .kind = kind, .fd = -1, .at = at, .data = data, .len = len };

    nvram = media->base;
    nvram_size = media->size;
    return watching() ? ask(&call, 2) : 0;
}

void __real_nv_store(struct nv_media *media, uint64_t at, const void *data, size_t len);
void __wrap_nv_store(struct nv_media *media, uint64_t at, const void *data, size_t len);
WRAPPER void __wrap_nv_store(struct nv_media *media, uint64_t at, const void *data, size_t len)
{
    if (!asked_nvram(CALL_STORE, media, at, data, len))
        __real_nv_store(media, at, data, len);
}

void __real_nv_store_word(struct nv_media *media, uint64_t at, uint64_t word);
void __wrap_nv_store_word(struct nv_media *media, uint64_t at, uint64_t word);
WRAPPER void __wrap_nv_store_word(struct nv_media *media, uint64_t at, uint64_t word)
{
    if (!asked_nvram(CALL_STORE, media, at, &word, sizeof(word)))
        __real_nv_store_word(media, at, word);
}

void __real_nv_stream(struct nv_media *media, uint64_t at, const void *data, size_t len);
void __wrap_nv_stream(struct nv_media *media, uint64_t at, const void *data, size_t len);
WRAPPER void __wrap_nv_stream(struct nv_media *media, uint64_t at, const void *data, size_t len)
{
    if (!asked_nvram(CALL_STORE, media, at, data, len))
        __real_nv_stream(media, at, data, len);
}

void __real_nv_flush(struct nv_media *media, uint64_t at, uint64_t len);
void __wrap_nv_flush(struct nv_media *media, uint64_t at, uint64_t len);
WRAPPER void __wrap_nv_flush(struct nv_media *media, uint64_t at, uint64_t len)
{
    if (!asked_nvram(CALL_FLUSH, media, at, NULL, len))
        __real_nv_flush(media, at, len);
}

int __real_nv_fence(struct nv_media *media, struct flic_err *err);
int __wrap_nv_fence(struct nv_media *media, struct flic_err *err);
WRAPPER int __wrap_nv_fence(struct nv_media *media, struct flic_err *err)
{
    return asked_nvram(CALL_FENCE, media, 0, NULL, 0) ? 0 : __real_nv_fence(media, err);
}
