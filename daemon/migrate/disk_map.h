/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * disk_map - where a disk that is kept in a file has data, and where two states of it may differ, by what its file system says of extents.
 *
 * Ranges are called out ascending, none twice, in whole blocks of 4 KiB: the last may reach beyond the end. A callback's non-zero answer ends it.
 */
#ifndef FLIC_DAEMON_MIGRATE_DISK_MAP_H
#define FLIC_DAEMON_MIGRATE_DISK_MAP_H

#include <stdint.h>

#include "common/err.h"

#define DM_BLOCK 4096u

/* Blocks, n > 0. */
typedef int dm_range_fn(uint64_t first, uint64_t n, void *arg, struct flic_err *err);

/* Everything but the holes. */
int dm_data(int fd, uint64_t size, dm_range_fn *see, void *arg, struct flic_err *err);

/*
 * `before` and `now` are clones of one file, each unwritten since it was made, `before` the older. An extent that both have in the same physical
 * place is the same: as long as `before` holds it nobody can have written there. Everything else is called out, changed or not.
 */
int dm_differ(int before, int now, uint64_t size, dm_range_fn *see, void *arg, struct flic_err *err);

#endif
