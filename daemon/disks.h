/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * disks - RAM and disks are one state: which disks a guest has, made durable and told apart.
 *
 * A disk kept in a file is identified by device, inode, size and change time after a flush. A block device has no such mark: without
 * a snapshot it cannot be identified, and is refused. The list travels with the checkpoint as JSON text:
 *   [{"vdev":"xvda","path":"/guests/a.img","writable":true,"inode":131,"size":268435456,"ctime_ns":"17…"}]
 * An entry with "shared" is a disk that the guest took along to, or has in common with, another phone (leave.h): it is never as it was.
 * An entry with "elsewhere" is a disk that stayed on that phone (lease.h). An entry with "hook" is a snapshot of that name which disk_snapshot_hook made. An entry with "snapshot" (snapshot.h) names that file beside, and inode, size and change time are the snapshot's.
 */
#ifndef FLIC_DAEMON_DISKS_H
#define FLIC_DAEMON_DISKS_H

#include <stdbool.h>

#include "common/err.h"

struct stat;
struct json_t;

struct fd_disk {                /* borrowed from the configuration, for the length of a call */
    const char *vdev, *path;
    const char *format;         /* libxl's name for it; NULL: not said */
    bool writable;
};
typedef int fd_disk_fn(const struct fd_disk *disk, void *arg, struct flic_err *err);
/* Calls back for each disk in the libxl JSON but empty drives; the first non-zero answer ends it. */
int fd_disks_each(const char *config, fd_disk_fn *see, void *arg, struct flic_err *err);

/* Whether every disk in the libxl JSON can be identified: asked before the guest is touched. FLIC_E_DISK names the disk. With `snapshots`
 * the writable ones need not be: there is a snapshot of each, and snapshot.h says which can have one. */
int fd_disks_can(const char *config, bool snapshots, struct flic_err *err);

/* Whether two domains with this libxl JSON could live beside each other: FLIC_E_ALIVE names the disk that both would write to. */
int fd_disks_can_share(const char *config, struct flic_err *err);

/* FLIC_E_DISK: a backend that keeps part of an image in its own memory (qcow2's tables) has told the guest of writes that the file does not
 * show, and writes them when it closes it: the file of now is not the disk of now. */
bool fd_disks_is_raw(const struct fd_disk *disk);
int fd_disks_check_format(const struct fd_disk *disk, struct flic_err *err);

/* With the guest suspended: waits for its backends' writes (at most 5 s), flushes every disk down to the medium and
 * identifies it. gives *ret_list. */
int fd_disks_settle(const char *config, char **ret_list, struct flic_err *err);

/* The list of disks that another phone writes to as well. */
int fd_disks_list_shared(const char *config, char **ret_list, struct flic_err *err);

/* The same for one disk, appended to a JSON array; its entry alone, of a file whose state is `st`; and only the wait: FLIC_E_DISK when
 * what the guest's backend has under way does not end. */
int fd_disks_settle_one(const struct fd_disk *disk, struct json_t *list, struct flic_err *err);
struct json_t *fd_disks_identity(const struct fd_disk *disk, const struct stat *st);
int fd_disks_drain(const char *vdev, const struct stat *st, struct flic_err *err);

/* The list of a checkpoint whose disks stayed on the phone `where` that it was copied from: no restore takes others for them. gives *ret_list. */
int fd_disks_leave(const char *config, const char *where, char **ret_list, struct flic_err *err);

/* Whether the disks are still as listed. FLIC_E_DISK says which is not and what differs. */
int fd_disks_check(const char *list, struct flic_err *err);

#endif
