/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/arrive_where.h"

#include "common/mem.h"
#include "daemon/checkpoint/load.h"
#include "daemon/daemon.h"
#include "daemon/disks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- where ---- */

/* The folder without links, then the name. The hidden folders are ours alone. */
static int resolve(const char *vdev, const char *path, char folder[PATH_MAX], const char **ret_name, struct flic_err *err)
{
    const char *slash = strrchr(path, '/'), *hidden;
    char parent[PATH_MAX];

    *ret_name = slash ? slash + 1 : "";
    if (path[0] != '/' || !**ret_name || !strcmp(*ret_name, ".") || !strcmp(*ret_name, "..") || strlen(path) >= sizeof(parent))
        return flic_err_set(err, FLIC_E_DISK, "its disk %s cannot be '%s' here: that is no absolute path of a file", vdev, path);
    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = '\0';
    if (!realpath(parent[0] ? parent : "/", folder))
        return flic_err_set(err, FLIC_E_DISK, "its disk %s belongs in '%s' here: %s: make that folder first", vdev, parent, strerror(errno));
    hidden = strstr(folder, "/" SN_FOLDER);
    if (!strcmp(*ret_name, SN_FOLDER) || (hidden && (hidden[sizeof(SN_FOLDER)] == '/' || !hidden[sizeof(SN_FOLDER)])))
        return flic_err_set(err, FLIC_E_DISK, "its disk %s cannot be '%s' here: snapshots are kept there", vdev, path);
    return 0;
}

static bool is_below(const char *folder, const char *one, size_t len)
{
    char name[PATH_MAX], real[PATH_MAX];
    size_t n;

    if (!len || len >= sizeof(name))
        return false;
    memcpy(name, one, len);
    name[len] = '\0';
    if (!realpath(name, real))
        return false;
    n = strlen(real);
    return !strcmp(real, "/") || (!strncmp(folder, real, n) && (!folder[n] || folder[n] == '/'));
}

static bool is_in(const char *folder, const char *folders)
{
    bool is = false;

    for (const char *at = folders, *end; *at && !is; at = *end ? end + 1 : end) {
        end = strchrnul(at, '\n');
        is = is_below(folder, at, (size_t)(end - at));
    }
    return is;
}

int aw_in_folders(const char *folders, const char *key, const char *vdev, const char *path, struct flic_err *err)
{
    char folder[PATH_MAX];
    const char *name;
    int rc = resolve(vdev, path, folder, &name, err);

    if (rc || is_in(folder, folders))
        return rc;
    return flic_err_set(err, FLIC_E_DISK, "its disk %s belongs in '%s' here, which is not among %s in flicd.conf: guests from elsewhere have disks only "
                        "there", vdev, folder, key);
}

int aw_in_either(const struct fd_conf *conf, const char *vdev, const char *path, struct flic_err *err)
{
    if (!aw_in_folders(conf->disk_folders, "disk_folders", vdev, path, NULL))
        return 0;
    return aw_in_folders(conf->shared_disk_folders, "shared_disk_folders", vdev, path, err);
}

int aw_check_size(const char *vdev, const char *path, uint64_t size, struct flic_err *err)
{
    FLIC_AUTO_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    off_t here;

    if (fd < 0 || fstat(fd, &st))
        return flic_err_set(err, FLIC_E_DISK, "its disk %s, '%s', is not reached from here: %s", vdev, path, strerror(errno));
    here = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ? lseek(fd, 0, SEEK_END) : -1;
    if (here < 0 || (uint64_t)here != size)
        return flic_err_set(err, FLIC_E_DISK, "its disk %s, '%s', is another one here: %lld bytes instead of %llu", vdev, path, (long long)here,
                            (unsigned long long)size);
    return 0;
}

/* ---- what is known ---- */

struct known {
    const char *path;           /* resolved */
    struct stat there;          /* what stands at it; st_ino 0: nothing */
    char born[SN_BORN];
    bool is_ours;
    char *snapshot;             /* PATH_MAX; the newest that is as it was */
};

static bool is_as_listed(const json_t *entry)
{
    json_t *alone = json_pack("[O]", entry);
    char *text = alone ? json_dumps(alone, JSON_COMPACT) : NULL;
    bool is = text && !fd_disks_check(text, NULL);

    free(text);
    json_decref(alone);
    return is;
}

/* What stands there is the disk that was snapshotted, or one that is as its checkpoint left it. */
static bool is_this(const struct known *k, const json_t *entry, bool has_snapshot)
{
    const char *born = json_string_value(json_object_get(entry, "disk_born_ns"));
    json_int_t inode = json_integer_value(json_object_get(entry, "disk_inode"));

    if (!has_snapshot)
        return is_as_listed(entry);
    return inode && (uint64_t)inode == k->there.st_ino && born && *born && !strcmp(born, k->born);
}

static void learn_entry(struct known *k, const json_t *entry)
{
    const char *path = json_string_value(json_object_get(entry, "path")), *snapshot = json_string_value(json_object_get(entry, "snapshot"));

    if (!path || strcmp(path, k->path))
        return;
    k->is_ours |= k->there.st_ino && is_this(k, entry, snapshot != NULL);
    if (snapshot && !k->snapshot[0] && strlen(snapshot) < PATH_MAX && is_as_listed(entry))
        strcpy(k->snapshot, snapshot);
}

static void learn_from(struct fd_daemon *daemon, const struct ck_entry *entry, struct known *k)
{
    struct ck_loaded loaded;
    json_t *list, *one;
    size_t i;

    if (ck_load(daemon->store, entry, &loaded, NULL))
        return;
    list = json_loads(loaded.root.disks, 0, NULL);
    json_array_foreach(list, i, one)
        learn_entry(k, one);
    json_decref(list);
    ck_unload(daemon->store, &loaded);
}

/* The newest first. */
static int learn(struct fd_daemon *daemon, const struct flic_uuid *guest, struct known *k, struct flic_err *err)
{
    struct ck_entry *entries;
    uint64_t below = UINT64_MAX;
    size_t n, at;
    int rc = ck_list(daemon->store, &entries, &n, err);

    if (rc)
        return rc;
    do {
        at = n;
        for (size_t i = 0; i < n; i++)
            if (flic_uuid_equal(&entries[i].info.guest, guest) && entries[i].info.seq < below && (at == n || entries[i].info.seq > entries[at].info.seq))
                at = i;
        if (at < n) {
            learn_from(daemon, &entries[at], k);
            below = entries[at].info.seq;
        }
    } while (at < n);
    free(entries);
    return 0;
}

int aw_find_place(struct fd_daemon *daemon, const struct flic_uuid *guest, const char *vdev, const char *path, struct aw_place *ret, struct flic_err *err)
{
    char folder[PATH_MAX];
    struct known k = { .path = ret->path, .snapshot = ret->base };
    const char *name;
    int rc = resolve(vdev, path, folder, &name, err);

    if (rc)
        return rc;
    *ret = (struct aw_place){ 0 };
    if (snprintf(ret->path, sizeof(ret->path), "%s/%s", strcmp(folder, "/") ? folder : "", name) >= (int)sizeof(ret->path))
        return flic_err_set(err, -ENAMETOOLONG, "'%s': path too long", path);
    if (lstat(ret->path, &k.there) && errno != ENOENT)
        return flic_err_errno(err, "look at '%s'", ret->path);
    sn_born(AT_FDCWD, ret->path, k.born);
    rc = learn(daemon, guest, &k, err);
    if (rc || !k.there.st_ino)
        return rc;
    if (!S_ISREG(k.there.st_mode) || !k.is_ours)
        return flic_err_set(err, FLIC_E_DISK, "its disk %s belongs at '%s', where something is that is not known as this guest's disk: move that away",
                            vdev, ret->path);
    ret->is_there = true;
    ret->uid = k.there.st_uid;
    ret->gid = k.there.st_gid;
    ret->mode = k.there.st_mode & 07777;
    strcpy(ret->base, ret->path);       /* at least as new as any snapshot of it */
    return 0;
}

int aw_check_room(const char *vdev, const struct aw_place *place, uint64_t bytes, struct flic_err *err)
{
    char folder[PATH_MAX];
    struct statvfs fs;
    uint64_t room;

    strcpy(folder, place->path);
    *strrchr(folder, '/') = '\0';
    if (statvfs(folder[0] ? folder : "/", &fs))
        return flic_err_errno(err, "look for room in '%s'", folder);
    room = (uint64_t)fs.f_bavail * fs.f_frsize;
    return bytes <= room ? 0 : flic_err_set(err, FLIC_E_NOSPACE, "its disk %s needs %llu MiB in '%s' here, where %llu are free", vdev,
                                            (unsigned long long)(bytes >> 20), folder, (unsigned long long)(room >> 20));
}
