/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/disks.h"

#include "common/mem.h"

#include <jansson.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_MS 5000

/* ---- libxl's list ---- */

static int parse_config(const char *config, json_t **ret_root, json_t **ret_disks, struct flic_err *err)
{
    json_t *root = json_loads(config, 0, NULL);

    if (!json_is_object(root)) {
        json_decref(root);
        return flic_err_set(err, FLIC_E_PROTOCOL, "the domain's configuration is not libxl JSON");
    }
    *ret_root = root;
    *ret_disks = json_object_get(root, "disks");
    return 0;
}

/* True for a drive that holds guest state; an empty CD drive is none. */
static bool take_disk(json_t *d, struct fd_disk *disk)
{
    disk->vdev = json_string_value(json_object_get(d, "vdev"));
    disk->path = json_string_value(json_object_get(d, "pdev_path"));
    disk->format = json_string_value(json_object_get(d, "format"));
    disk->writable = json_integer_value(json_object_get(d, "readwrite")) != 0;
    if (!disk->vdev)
        disk->vdev = "?";
    return disk->path && disk->path[0];
}

static int is_file(const struct fd_disk *disk, struct stat *st, struct flic_err *err)
{
    if (stat(disk->path, st))
        return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s': %s", disk->vdev, disk->path, strerror(errno));
    if (!S_ISREG(st->st_mode))
        return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s' is not a file, and a block device cannot be told from a changed "
                            "one: keep the disk in a file, or use --ram-only and answer for the disk yourself", disk->vdev, disk->path);
    return 0;
}

int fd_disks_each(const char *config, fd_disk_fn *see, void *arg, struct flic_err *err)
{
    json_t *root = NULL, *disks = NULL, *d;
    struct fd_disk disk;
    size_t i;
    int rc = parse_config(config, &root, &disks, err);

    if (rc)
        return rc;
    json_array_foreach(disks, i, d)
        if (!rc && take_disk(d, &disk))
            rc = see(&disk, arg, err);
    json_decref(root);
    return rc;
}

bool fd_disks_is_raw(const struct fd_disk *disk)
{
    return !disk->format || !strcmp(disk->format, "raw") || !strcmp(disk->format, "unknown");
}

int fd_disks_check_format(const struct fd_disk *disk, struct flic_err *err)
{
    return fd_disks_is_raw(disk) ? 0 : flic_err_set(err, FLIC_E_DISK, "disk %s: '%s' is a %s image, whose backend keeps part of it in memory: only raw images "
        "can be kept as they are now; use --ram-only and answer for the disk yourself", disk->vdev, disk->path, disk->format);
}

static int can_one(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    const bool *snapshots = arg;
    struct stat st;
    int rc = 0;

    if (*snapshots && disk->writable)   /* snapshot.c says */
        return 0;
    if (disk->writable)
        rc = fd_disks_check_format(disk, err);
    return rc ? rc : is_file(disk, &st, err);
}

int fd_disks_can(const char *config, bool snapshots, struct flic_err *err)
{
    return fd_disks_each(config, can_one, &snapshots, err);
}

static int is_shareable(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    (void)arg;
    if (!disk->writable)
        return 0;
    return flic_err_set(err, FLIC_E_ALIVE, "disk %s, '%s', would be written to by both", disk->vdev, disk->path);
}

int fd_disks_can_share(const char *config, struct flic_err *err)
{
    return fd_disks_each(config, is_shareable, NULL, err);
}

/* ---- settling ---- */

static bool backed_by(const char *loop, const struct stat *st)
{
    char path[PATH_MAX], target[PATH_MAX];
    struct stat other;
    FILE *f;
    bool same = false;

    (void)snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", loop);
    f = fopen(path, "re");
    if (f && fgets(target, sizeof(target), f)) {
        target[strcspn(target, "\n")] = '\0';
        same = !stat(target, &other) && other.st_dev == st->st_dev && other.st_ino == st->st_ino;
    }
    if (f)
        (void)fclose(f);    /* only read */
    return same;
}

static unsigned long in_flight(const char *loop)
{
    unsigned long reads = 0, writes = 0;
    char path[PATH_MAX];
    FILE *f;

    (void)snprintf(path, sizeof(path), "/sys/block/%s/inflight", loop);
    f = fopen(path, "re");
    if (f && fscanf(f, "%lu %lu", &reads, &writes) != 2)
        reads = writes = 0;
    if (f)
        (void)fclose(f);
    return reads + writes;
}

/* Requests of this file's loop devices that have not ended yet. */
static unsigned long pending(const struct stat *st)
{
    DIR *dir = opendir("/sys/block");
    struct dirent *e;
    unsigned long sum = 0;

    while (dir && (e = readdir(dir)))
        if (!strncmp(e->d_name, "loop", 4) && backed_by(e->d_name, st))
            sum += in_flight(e->d_name);
    if (dir)
        (void)closedir(dir);
    return sum;
}

int fd_disks_drain(const char *vdev, const struct stat *st, struct flic_err *err)
{
    int waited = 0;

    for (; pending(st) && waited < DRAIN_MS; waited += 2)
        (void)usleep(2000);
    if (waited < DRAIN_MS)
        return 0;
    return flic_err_set(err, FLIC_E_DISK, "disk %s: what the guest has written of it is still under way after %d s: its medium is slow or stuck "
                        "('dmesg' may say why); try again", vdev, DRAIN_MS / 1000);
}

json_t *fd_disks_identity(const struct fd_disk *disk, const struct stat *st)
{
    char ctime_ns[32];

    (void)snprintf(ctime_ns, sizeof(ctime_ns), "%" PRId64,
                   (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec);
    return json_pack("{s:s, s:s, s:b, s:I, s:I, s:s}", "vdev", disk->vdev, "path", disk->path, "writable", disk->writable,
                     "inode", (json_int_t)st->st_ino, "size", (json_int_t)st->st_size, "ctime_ns", ctime_ns);
}

int fd_disks_settle_one(const struct fd_disk *disk, json_t *list, struct flic_err *err)
{
    FLIC_AUTO_CLOSE int fd = -1;
    struct stat st;
    int rc = is_file(disk, &st, err);

    if (rc)
        return rc;
    rc = disk->writable ? fd_disks_drain(disk->vdev, &st, err) : 0;
    if (rc)
        return rc;
    fd = open(disk->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) || fstat(fd, &st))
        return flic_err_errno(err, "flush disk %s, '%s'", disk->vdev, disk->path);
    if (json_array_append_new(list, fd_disks_identity(disk, &st)))
        return flic_err_set(err, -ENOMEM, "list the disks: out of memory");
    return 0;
}

static int settle_into(const struct fd_disk *disk, void *list, struct flic_err *err)
{
    return fd_disks_settle_one(disk, list, err);
}

static int list_shared(const struct fd_disk *disk, void *list, struct flic_err *err)
{
    return json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:b}", "vdev", disk->vdev, "path", disk->path, "writable", disk->writable, "shared", 1))
           ? flic_err_set(err, -ENOMEM, "list the disks: out of memory") : 0;
}

static int make_list(const char *config, fd_disk_fn *add, char **ret_list, struct flic_err *err)
{
    json_t *list = json_array();
    int rc = fd_disks_each(config, add, list, err);

    *ret_list = rc ? NULL : json_dumps(list, JSON_COMPACT);
    json_decref(list);
    if (!rc && !*ret_list)
        rc = flic_err_set(err, -ENOMEM, "list the disks: out of memory");
    return rc;
}

int fd_disks_settle(const char *config, char **ret_list, struct flic_err *err)
{
    return make_list(config, settle_into, ret_list, err);
}

int fd_disks_list_shared(const char *config, char **ret_list, struct flic_err *err)
{
    return make_list(config, list_shared, ret_list, err);
}

/* ---- of a copy from another phone ---- */

struct left { json_t *list; const char *where; };

static int leave_behind(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    const struct left *left = arg;
    json_t *entry = json_pack("{s:s, s:s, s:b, s:s}", "vdev", disk->vdev, "path", disk->path, "writable", disk->writable, "elsewhere", left->where);

    return entry && !json_array_append_new(left->list, entry) ? 0 : flic_err_set(err, FLIC_E_DISK, "disk %s has a name that is not text", disk->vdev);
}

int fd_disks_leave(const char *config, const char *where, char **ret_list, struct flic_err *err)
{
    struct left left = { json_array(), where };
    int rc = fd_disks_each(config, leave_behind, &left, err);

    *ret_list = rc ? NULL : json_dumps(left.list, JSON_COMPACT);
    json_decref(left.list);
    if (!rc && !*ret_list)
        rc = flic_err_set(err, -ENOMEM, "list the disks: out of memory");
    return rc;
}

/* ---- checking ---- */

/* A disk with a snapshot may have moved on: it is the snapshot that must be as it was. */
static int check_one(json_t *d, struct flic_err *err)
{
    const char *path = json_string_value(json_object_get(d, "path"));
    const char *snapshot = json_string_value(json_object_get(d, "snapshot"));
    const char *vdev = json_string_value(json_object_get(d, "vdev"));
    const char *ctime_ns = json_string_value(json_object_get(d, "ctime_ns"));
    const char *hint = snapshot ? "the checkpoint's memory has lost its disk: restore another one, or this one with --ram-only"
                                : "the checkpoint's memory does not belong to it: put the disk back, or restore with --ram-only";
    const char *at = snapshot ? snapshot : path;
    struct stat st;

    if (path && vdev && json_is_true(json_object_get(d, "shared")))
        return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s' is shared with another phone, where the guest has run on with it: the checkpoint's memory "
                            "does not belong to it any more: restore with --ram-only if you know better", vdev, path);
    if (path && vdev && json_string_value(json_object_get(d, "elsewhere")))
        return flic_err_set(err, FLIC_E_DISK, "disk %s ('%s') stayed on %s when this checkpoint was copied from there: bring the guest up there, or its "
                            "memory alone with --ram-only", vdev, path, json_string_value(json_object_get(d, "elsewhere")));
    if (path && vdev && json_string_value(json_object_get(d, "hook")))
        return 0;       /* the hook answers for it, when it is asked to put it in place */
    if (!path || !vdev || !ctime_ns)
        return flic_err_set(err, FLIC_E_DAMAGED, "the checkpoint's disk list is damaged");
    if (stat(at, &st))
        return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s': %s; put it back, or restore with --ram-only", vdev, at,
                            strerror(errno));
    if ((json_int_t)st.st_ino != json_integer_value(json_object_get(d, "inode")))
        return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s' is another file than at the save; %s", vdev, at, hint);
    if ((json_int_t)st.st_size != json_integer_value(json_object_get(d, "size")) ||
        (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec != strtoll(ctime_ns, NULL, 10))
        return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s' changed since the save; %s", vdev, at, hint);
    return 0;
}

int fd_disks_check(const char *list, struct flic_err *err)
{
    json_t *root = json_loads(list, 0, NULL), *d;
    size_t i;
    int rc = 0;

    if (!json_is_array(root))
        rc = flic_err_set(err, FLIC_E_DAMAGED, "the checkpoint's disk list is damaged");
    json_array_foreach(root, i, d)
        if (!rc)
            rc = check_one(d, err);
    json_decref(root);
    return rc;
}
