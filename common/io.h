/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * io - whole reads and writes, and files that exist completely or not at all.
 */
#ifndef FLIC_COMMON_IO_H
#define FLIC_COMMON_IO_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* All `len` bytes or an error; restarts after signals. A short read is -EIO ("truncated"). */
int flic_write_all(int fd, const void *data, size_t len);
int flic_read_all(int fd, void *data, size_t len);
int flic_pwrite_all(int fd, const void *data, size_t len, uint64_t offset);
int flic_pread_all(int fd, void *data, size_t len, uint64_t offset);

/* fsync of the folder that holds `path`, so that a new or renamed name survives a power cut. */
int flic_sync_parent(const char *path, struct flic_err *err);

/* A folder that is there and stays there in a power cut, made if need be. One that is there may have been made by somebody who was
 * killed before that was so. */
int flic_make_folder(const char *path, unsigned mode, struct flic_err *err);

/* Writes a temporary file beside `path`, fsyncs it, renames it over `path` and fsyncs the folder. On any
 * failure `path` is what it was and the temporary file is gone. That file is `path`.new, whatever stood there: for folders that are ours,
 * where one that a crash left is overwritten by the next. */
int flic_publish_file(const char *path, const void *data, size_t len, unsigned mode, struct flic_err *err);

/* The same in a folder where other people's files are, none of which is touched but `path`. Mode 0600. */
int flic_publish_among_others(const char *path, const void *data, size_t len, struct flic_err *err);

/* The whole of a file that is at most `max` bytes long: gives *ret_data (free()). */
int flic_load_file(const char *path, size_t max, void **ret_data, size_t *ret_len, struct flic_err *err);

#endif
