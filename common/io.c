/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "common/io.h"

#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int flic_write_all(int fd, const void *data, size_t len)
{
    const char *at = data;

    while (len) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int flic_read_all(int fd, void *data, size_t len)
{
    char *at = data;

    while (len) {
        ssize_t n = read(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int flic_pwrite_all(int fd, const void *data, size_t len, uint64_t offset)
{
    const char *at = data;

    while (len) {
        ssize_t n = pwrite(fd, at, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int flic_pread_all(int fd, void *data, size_t len, uint64_t offset)
{
    char *at = data;

    while (len) {
        ssize_t n = pread(fd, at, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int flic_sync_parent(const char *path, struct flic_err *err)
{
    char copy[PATH_MAX];
    FLIC_AUTO_CLOSE int fd = -1;

    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
        return flic_err_set(err, -ENAMETOOLONG, "'%s': path too long", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd))
        return flic_err_errno(err, "sync the folder of '%s'", path);
    return 0;
}

int flic_make_folder(const char *path, unsigned mode, struct flic_err *err)
{
    if (mkdir(path, mode) && errno != EEXIST)
        return flic_err_errno(err, "make the folder '%s'", path);
    return flic_sync_parent(path, err);
}

/* Takes `fd`, the temporary file's; < 0: it could not be opened. */
static int publish(int fd, const char *tmp, const char *path, const void *data, size_t len, struct flic_err *err)
{
    int rc = fd < 0 ? -errno : flic_write_all(fd, data, len);

    if (!rc && fsync(fd))
        rc = -errno;
    if (fd >= 0)
        (void)close(fd);        /* all of it is there since fsync() */
    if (!rc && rename(tmp, path))
        rc = -errno;
    if (rc) {
        if (fd >= 0)
            (void)unlink(tmp);  /* the first error is the one to tell */
        errno = -rc;
        return flic_err_errno(err, "write '%s'", path);
    }
    return flic_sync_parent(path, err);
}

int flic_publish_file(const char *path, const void *data, size_t len, unsigned mode, struct flic_err *err)
{
    char tmp[PATH_MAX];

    if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
        return flic_err_set(err, -ENAMETOOLONG, "'%s': path too long", path);
    return publish(open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode), tmp, path, data, len, err);
}

int flic_publish_among_others(const char *path, const void *data, size_t len, struct flic_err *err)
{
    char copy[PATH_MAX], tmp[PATH_MAX];

    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy) ||
        snprintf(tmp, sizeof(tmp), "%s/.flic-new.XXXXXX", dirname(copy)) >= (int)sizeof(tmp))
        return flic_err_set(err, -ENAMETOOLONG, "'%s': path too long", path);
    return publish(mkostemp(tmp, O_CLOEXEC), tmp, path, data, len, err);
}

int flic_load_file(const char *path, size_t max, void **ret_data, size_t *ret_len, struct flic_err *err)
{
    FLIC_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);     /* a pipe must not hold us up */
    struct stat st;
    size_t len;
    void *data;
    int rc;

    if (fd < 0 || fstat(fd, &st))
        return flic_err_errno(err, "open '%s'", path);
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > max)
        return flic_err_set(err, -EFBIG, "'%s' is not a plain file of at most %zu bytes", path, max);
    len = (size_t)st.st_size;
    data = malloc(len + 1);
    if (!data)
        return flic_err_set(err, -ENOMEM, "read '%s': out of memory", path);
    rc = flic_read_all(fd, data, len);
    if (rc) {
        free(data);
        errno = -rc;
        return flic_err_errno(err, "read '%s'", path);
    }
    ((char *)data)[len] = '\0';     /* so that text can be parsed in place; not counted */
    *ret_data = data;
    *ret_len = len;
    return 0;
}
