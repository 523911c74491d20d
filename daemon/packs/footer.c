/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Reading what a sealed pack says of itself. */
#include "daemon/packs/store.h"

#include "common/io.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

static int read_at(int fd, void *data, size_t len, uint64_t offset, uint32_t number, struct flic_err *err)
{
    int rc = flic_pread_all(fd, data, len, offset);

    if (!rc)
        return 0;
    errno = -rc;
    return flic_err_errno(err, "read pack %08x, offset %llu", number, (unsigned long long)offset);
}

static int open_sized(struct pk_store *store, uint32_t number, uint64_t *ret_size, struct flic_err *err)
{
    char name[PK_NAME];
    struct stat st;
    int fd;

    pk_name(name, number, true);
    fd = openat(store->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return flic_err_errno(err, "open pack %08x", number);
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > (off_t)PK_MAX_BYTES ||
        st.st_size < (off_t)(sizeof(struct pk_disk_header) + sizeof(struct pk_disk_trailer))) {
        (void)close(fd);
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x is cut off, too long or not a plain file", number);
    }
    *ret_size = (uint64_t)st.st_size;
    return fd;
}

static int read_entries(int fd, const struct pk_disk_trailer *t, struct pk_disk_entry **ret_entries,
                        struct flic_err *err)
{
    size_t len = (size_t)t->entries * sizeof(struct pk_disk_entry);
    struct pk_disk_entry *entries = malloc(len);
    int rc;

    if (!entries)
        return flic_err_set(err, -ENOMEM, "read the footer of pack %08x: out of memory", t->number);
    rc = read_at(fd, entries, len, t->footer_offset, t->number, err);
    if (!rc)
        rc = pk_entries_check(t, entries, err);
    if (rc)
        free(entries);
    else
        *ret_entries = entries;
    return rc;
}

int pk_load_footer(struct pk_store *store, uint32_t number, struct pk_footer *ret_footer, struct flic_err *err)
{
    FLIC_AUTO_CLOSE int fd = -1;
    struct pk_footer footer = { .entries = NULL };
    struct pk_disk_header header;
    int rc;

    rc = fd = open_sized(store, number, &footer.size, err);
    if (rc < 0)
        return rc;
    rc = read_at(fd, &header, sizeof(header), 0, number, err);
    if (!rc)
        rc = pk_header_check(&header, number, &store->mark, err);
    if (!rc)
        rc = read_at(fd, &footer.trailer, sizeof(footer.trailer), footer.size - sizeof(footer.trailer), number, err);
    if (!rc)
        rc = pk_trailer_check(&footer.trailer, number, footer.size, err);
    if (!rc)
        rc = read_entries(fd, &footer.trailer, &footer.entries, err);
    if (!rc)
        *ret_footer = footer;
    return rc;
}
