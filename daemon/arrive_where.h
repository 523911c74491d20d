/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * arrive_where - at which paths an arriving guest may have its disks, and what is known here of an older state of them.
 *
 * A disk of this guest is known by its checkpoints here: their lists (disks.h) say which inode stood at a path, and which snapshot has it.
 */
#ifndef FLIC_DAEMON_ARRIVE_WHERE_H
#define FLIC_DAEMON_ARRIVE_WHERE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/uuid.h"

struct fd_daemon;
struct fd_conf;

/* Whether a path lies in, or below, one of these folders ("\nPATH\n..."), as the file system resolves them. */
int aw_in_folders(const char *folders, const char *key, const char *vdev, const char *path, struct flic_err *err);
int aw_in_either(const struct fd_conf *conf, const char *vdev, const char *path, struct flic_err *err);

/* A file or block device of just this size is there. */
int aw_check_size(const char *vdev, const char *path, uint64_t size, struct flic_err *err);

struct aw_place {
    char path[PATH_MAX];        /* without links */
    char base[PATH_MAX];        /* a file with an older state of it; "": none */
    bool is_there;              /* a file of this guest's: */
    uid_t uid; gid_t gid; mode_t mode;
};
/* FLIC_E_DISK: something is there that is not known to be this guest's disk. */
int aw_find_place(struct fd_daemon *daemon, const struct flic_uuid *guest, const char *vdev, const char *path, struct aw_place *ret_place,
                  struct flic_err *err);
int aw_check_room(const char *vdev, const struct aw_place *place, uint64_t bytes, struct flic_err *err);

#endif
