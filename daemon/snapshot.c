/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/snapshot.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/checkpoint/device.h"
#include "daemon/disks.h"
#include "daemon/hook.h"

#include <jansson.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISKS_MAX 32
#define NAME_ROOM 128
#define FOLDERS_MAX_BYTES (64u << 10)

struct shot {                   /* one disk's */
    char vdev[64], path[PATH_MAX];
    char file[PATH_MAX];        /* the snapshot; "" until it exists. Of a hook's: the note that it exists */
    char name[NAME_ROOM + 8];
    bool by_hook;
    int disk_fd, fd, folder_fd, stat_fd;
};

struct sn_set {
    struct sn_where where;
    struct sn_name name;
    char *config;
    struct shot shots[DISKS_MAX];
    size_t n;
    bool kept;
    struct sn_figures figures;
};

static struct hk_disk hook_of(const struct sn_set *set, const struct shot *shot)
{
    return (struct hk_disk){ .program = set->where.hook, .vdev = shot->vdev, .path = shot->path, .name = shot->name };
}

/* ---- names ---- */

void sn_file_name(const struct sn_where *where, const struct sn_name *name, size_t i, char *out, size_t room)
{
    char store[FLIC_UUID_TEXT], guest[FLIC_UUID_TEXT];

    flic_uuid_text(&where->store, store);
    flic_uuid_text(&name->guest, guest);
    (void)snprintf(out, room, "%s.%s.%" PRIu64 ".d%zu", store, guest, name->seq, i);
}

/* Whether a file's name is of this store: which checkpoint, and what stands behind it ("d0", "d0.new", "d0.swap-131"). */
static bool parse_name(const struct sn_where *where, const char *text, struct sn_name *ret_name, const char **ret_rest)
{
    char store[FLIC_UUID_TEXT], part[FLIC_UUID_TEXT];
    char *end;

    flic_uuid_text(&where->store, store);
    if (strlen(text) < 2 * FLIC_UUID_TEXT + 2 || strncmp(text, store, FLIC_UUID_TEXT - 1) || text[FLIC_UUID_TEXT - 1] != '.')
        return false;
    text += FLIC_UUID_TEXT;
    memcpy(part, text, FLIC_UUID_TEXT - 1);
    part[FLIC_UUID_TEXT - 1] = '\0';
    if (!flic_uuid_parse(part, &ret_name->guest) || text[FLIC_UUID_TEXT - 1] != '.')
        return false;
    text += FLIC_UUID_TEXT;
    if (*text < '0' || *text > '9')
        return false;
    ret_name->seq = strtoull(text, &end, 10);
    *ret_rest = end + 1;
    return *end == '.';
}

uint64_t sn_swap_inode(const char *name)
{
    const char *at = strstr(name, ".swap-");

    return at ? strtoull(at + strlen(".swap-"), NULL, 10) : 0;
}

/* ---- the list of folders ---- */

static pthread_mutex_t folders_lock = PTHREAD_MUTEX_INITIALIZER;

static void folders_path(const struct sn_where *where, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/snapshot-folders", where->folder);
}

/* One a line; gives text with a NUL behind it, "" when there is none yet. */
static int load_folders(const struct sn_where *where, char **ret_text, struct flic_err *err)
{
    char path[PATH_MAX], *text;
    void *data = NULL;
    size_t len = 0;
    int rc = 0;

    folders_path(where, path);
    if (!access(path, F_OK))
        rc = flic_load_file(path, FOLDERS_MAX_BYTES, &data, &len, err);
    if (rc)
        return rc;
    text = calloc(1, len + 1);
    if (text && len)
        memcpy(text, data, len);
    free(data);
    *ret_text = text;
    return text ? 0 : flic_err_set(err, -ENOMEM, "list the snapshot folders: out of memory");
}

static bool has_line(const char *text, const char *line)
{
    size_t len = strlen(line);

    for (const char *at = text; (at = strstr(at, line)); at += len)
        if ((at == text || at[-1] == '\n') && at[len] == '\n')
            return true;
    return false;
}

static int add_folder(const struct sn_where *where, const char *folder, struct flic_err *err)
{
    FLIC_AUTO_FREE char *text = NULL;
    FLIC_AUTO_FREE char *grown = NULL;
    char path[PATH_MAX];
    int rc = load_folders(where, &text, err);

    if (rc || has_line(text, folder))
        return rc;
    if (asprintf(&grown, "%s%s\n", text, folder) < 0) {
        grown = NULL;
        return flic_err_set(err, -ENOMEM, "list the snapshot folders: out of memory");
    }
    if (strlen(grown) > FOLDERS_MAX_BYTES)
        return flic_err_set(err, FLIC_E_FULL_TABLE, "there are disks in too many folders to keep snapshots of all");
    folders_path(where, path);
    return flic_publish_file(path, grown, strlen(grown), 0600, err);
}

/* In the list before anything is put there. */
static int note_folder(const struct sn_where *where, const char *folder, struct flic_err *err)
{
    int rc;

    if (strchr(folder, '\n'))
        return flic_err_set(err, FLIC_E_REFUSED, "'%s': a folder's name with a line break in it", folder);
    (void)pthread_mutex_lock(&folders_lock);
    rc = add_folder(where, folder, err);
    (void)pthread_mutex_unlock(&folders_lock);
    return rc;
}

/* The hidden folder, which must be ours alone: who could write there could put another disk into a restore. */
static int open_folder(const char *folder, bool make, struct flic_err *err)
{
    bool made = make && !mkdir(folder, 0700);
    struct stat st;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) || (made && flic_sync_parent(folder, NULL))) {
        int rc = flic_err_errno(err, "open the snapshots' folder '%s'", folder);

        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    if (st.st_uid != geteuid() || st.st_mode & 022) {
        (void)close(fd);
        return flic_err_set(err, FLIC_E_REFUSED, "'%s' can be written by others than us: it must be 0700 and ours", folder);
    }
    return fd;
}

/* ---- making ---- */

int sn_clone(int to, int from, const char *vdev, const char *path, struct flic_err *err)
{
    if (!ioctl(to, FICLONE, from))
        return 0;
    switch (errno) {
    case EOPNOTSUPP:
    case ENOTTY:
    case ENOSYS:
    case EXDEV:
    case EINVAL:
        return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s' is on a file system that cannot clone files, so it cannot be kept as it is "
                            "now: move it to xfs or btrfs, set disk_snapshot_hook, or use --ram-only and answer for the disk yourself", vdev, path);
    case ENOSPC:
    case EDQUOT:
        return flic_err_set(err, FLIC_E_NOSPACE, "disk %s: no room for a snapshot of '%s': make some, or forget old checkpoints", vdev,
                            path);
    default:
        return flic_err_errno(err, "disk %s: snapshot of '%s'", vdev, path);
    }
}

/* The file is there before the pause and has been a clone once: in the pause nothing is opened that could be missing. */
static int make_file(struct shot *shot, const char *folder, struct flic_err *err)
{
    int rc;

    if (snprintf(shot->file, sizeof(shot->file), "%s/%s", folder, shot->name) >= (int)sizeof(shot->file))
        return flic_err_set(err, -ENAMETOOLONG, "disk %s: '%s': path too long", shot->vdev, shot->path);
    shot->fd = openat(shot->folder_fd, shot->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (shot->fd < 0) {
        rc = flic_err_errno(err, "make the snapshot '%s'", shot->file);
        shot->file[0] = '\0';
        return rc;
    }
    rc = sn_clone(shot->fd, shot->disk_fd, shot->vdev, shot->path, err);
    if (!rc && ftruncate(shot->fd, 0))
        rc = flic_err_errno(err, "make the snapshot '%s'", shot->file);
    return rc;
}

int sn_folder_beside(const struct sn_where *where, const char *path, char folder[PATH_MAX], struct flic_err *err)
{
    char *slash;
    int rc;

    if (snprintf(folder, PATH_MAX, "%s", path) >= PATH_MAX || !(slash = strrchr(folder, '/')) ||
        (size_t)(slash - folder) + sizeof("/" SN_FOLDER) > PATH_MAX)
        return flic_err_set(err, -ENAMETOOLONG, "'%s': path too long", path);
    strcpy(slash, "/" SN_FOLDER);
    rc = note_folder(where, folder, err);
    return rc ? rc : open_folder(folder, true, err);
}

static int open_shot(struct sn_set *set, struct shot *shot, const char *configured, struct flic_err *err)
{
    char folder[PATH_MAX];
    struct stat st;

    shot->disk_fd = open(shot->path, O_RDONLY | O_CLOEXEC);
    if (shot->disk_fd < 0 || fstat(shot->disk_fd, &st))
        return flic_err_errno(err, "disk %s: '%s'", shot->vdev, shot->path);
    if (!S_ISREG(st.st_mode))
        return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s' is not a file and cannot be kept as it is now: keep the disk in a file on "
                            "xfs or btrfs, set disk_snapshot_hook, or use --ram-only and answer for the disk yourself", shot->vdev, configured);
    shot->folder_fd = sn_folder_beside(&set->where, shot->path, folder, err);
    if (shot->folder_fd < 0)
        return shot->folder_fd;
    shot->stat_fd = ck_device_open(folder);
    return make_file(shot, folder, err);
}

static void close_all(struct shot *shot)
{
    int *const fds[] = { &shot->disk_fd, &shot->fd, &shot->folder_fd, &shot->stat_fd };

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (*fds[i] >= 0)
            (void)close(*fds[i]);       /* what must last was fsynced */
        *fds[i] = -1;
    }
}

/* The note is durable before the hook is asked for anything that stays. */
static int write_hook_note(struct sn_set *set, struct shot *shot, struct flic_err *err)
{
    json_t *note = json_pack("{s:s, s:s}", "vdev", shot->vdev, "path", shot->path);
    FLIC_AUTO_FREE char *text = note ? json_dumps(note, JSON_COMPACT) : NULL;
    char folder[PATH_MAX];
    int rc;

    json_decref(note);
    if (!text)
        return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s': its path is not text", shot->vdev, shot->path);
    (void)snprintf(folder, sizeof(folder), "%s/hooked", set->where.folder);
    if (mkdir(folder, 0700) && errno != EEXIST)
        return flic_err_errno(err, "make '%s'", folder);
    if (snprintf(shot->file, sizeof(shot->file), "%s/%s", folder, shot->name) >= (int)sizeof(shot->file))
        return flic_err_set(err, -ENAMETOOLONG, "'%s': path too long", folder);
    rc = flic_sync_parent(folder, err);
    return rc ? rc : flic_publish_file(shot->file, text, strlen(text), 0600, err);
}

static int add_hook_shot(struct sn_set *set, struct shot *shot, const struct fd_disk *disk, struct flic_err *err)
{
    struct hk_disk hook;
    int rc;

    if (shot->file[0])
        (void)unlink(shot->file);       /* of the try to clone it */
    close_all(shot);
    shot->file[0] = '\0';
    shot->by_hook = true;
    (void)snprintf(shot->path, sizeof(shot->path), "%s", disk->path);
    hook = hook_of(set, shot);
    rc = hk_run(&hook, "check", err);
    return rc ? rc : write_hook_note(set, shot, err);
}

static int add_shot(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    struct sn_set *set = arg;
    struct shot *shot = &set->shots[set->n];
    int rc;

    if (!disk->writable)
        return 0;
    rc = fd_disks_check_format(disk, err);
    if (rc)
        return rc;
    if (set->n == DISKS_MAX)
        return flic_err_set(err, FLIC_E_DISK, "more than %d disks cannot be kept at one moment", DISKS_MAX);
    *shot = (struct shot){ .disk_fd = -1, .fd = -1, .folder_fd = -1, .stat_fd = -1 };
    sn_file_name(&set->where, &set->name, set->n, shot->name, sizeof(shot->name));
    set->n++;
    (void)snprintf(shot->vdev, sizeof(shot->vdev), "%s", disk->vdev);
    if (!realpath(disk->path, shot->path))      /* the folder beside the file itself, not beside a link to it */
        return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s': %s", disk->vdev, disk->path, strerror(errno));
    rc = open_shot(set, shot, disk->path, err);
    if (rc == FLIC_E_DISK && set->where.hook && *set->where.hook)
        rc = add_hook_shot(set, shot, disk, err);
    return rc;
}

int sn_prepare(const struct sn_where *where, const struct sn_name *name, const char *config, struct sn_set **ret_set,
               struct flic_err *err)
{
    struct sn_set *set = calloc(1, sizeof(*set));
    int rc;

    if (set) {
        set->where = *where;
        set->name = *name;
        set->config = strdup(config);
    }
    if (!set || !set->config) {
        free(set);
        return flic_err_set(err, -ENOMEM, "snapshot the disks: out of memory");
    }
    rc = fd_disks_each(config, add_shot, set, err);
    if (rc) {
        sn_free(set);
        return rc;
    }
    *ret_set = set;
    return 0;
}

int sn_flush(struct sn_set *set, struct flic_err *err)
{
    uint64_t began = flic_now_us();

    int rc = 0;

    for (size_t i = 0; !rc && i < set->n; i++) {
        const struct shot *shot = &set->shots[i];
        struct hk_disk hook = hook_of(set, shot);

        if (shot->by_hook)
            rc = hk_run(&hook, "flush", err);
        else if (fsync(shot->disk_fd))
            rc = flic_err_errno(err, "flush disk %s, '%s'", shot->vdev, shot->path);
    }
    set->figures.flush_us = flic_now_us() - began;
    return rc;
}

/* Disks on one device are counted once. */
static uint64_t written(const struct sn_set *set)
{
    uint64_t sum = 0;
    struct stat a, b;

    for (size_t i = 0; i < set->n; i++) {
        bool seen = fstat(set->shots[i].fd, &a) != 0;

        for (size_t k = 0; !seen && k < i; k++)
            seen = !fstat(set->shots[k].fd, &b) && a.st_dev == b.st_dev;
        if (!seen)
            sum += ck_device_written(set->shots[i].stat_fd);
    }
    return sum;
}

/* What the guest was told is written is in the file, at least in the kernel's memory, and the clone waits for that; what its
 * backend still has under way it will ask for again after a restore. The drain only keeps the clone from meeting it half done. */
static int take_one(const struct sn_set *set, struct shot *shot, struct flic_err *err)
{
    struct hk_disk hook = hook_of(set, shot);
    struct stat st;
    int rc;

    if (shot->by_hook)
        return hk_run(&hook, "take", err);
    rc = fstat(shot->disk_fd, &st) ? 0 : fd_disks_drain(shot->vdev, &st, err);
    return rc ? rc : sn_clone(shot->fd, shot->disk_fd, shot->vdev, shot->path, err);
}

int sn_take(struct sn_set *set, struct flic_err *err)
{
    uint64_t began = flic_now_us(), before = written(set);
    int rc = 0;

    for (size_t i = 0; !rc && i < set->n; i++)
        rc = take_one(set, &set->shots[i], err);
    set->figures.take_us = flic_now_us() - began;
    set->figures.take_bytes = written(set) - before;
    return rc;
}

/* ---- settling ---- */

static int settle_hook_shot(const struct sn_set *set, const struct shot *shot, json_t *list, struct flic_err *err)
{
    struct hk_disk hook = hook_of(set, shot);
    int rc = hk_run(&hook, "settle", err);

    if (!rc && json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s}", "vdev", shot->vdev, "path", shot->path, "writable", 1,
                                                     "hook", shot->name)))
        rc = flic_err_set(err, -ENOMEM, "list the disks: out of memory");
    return rc;
}

void sn_born(int fd, const char *path, char ret_text[SN_BORN])
{
    struct statx st;

    ret_text[0] = '\0';
    if (!statx(fd, path, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BTIME, &st) && st.stx_mask & STATX_BTIME)
        (void)snprintf(ret_text, SN_BORN, "%" PRId64, (int64_t)st.stx_btime.tv_sec * 1000000000 + st.stx_btime.tv_nsec);
}

static int settle_shot(const struct sn_set *set, size_t i, json_t *list, struct flic_err *err)
{
    const struct shot *shot = &set->shots[i];
    struct fd_disk as = { .vdev = shot->vdev, .path = shot->path, .writable = true };
    char born[SN_BORN];
    struct stat disk, st;
    json_t *entry;

    if (fchmod(shot->fd, 0400) || fsync(shot->fd) || fsync(shot->folder_fd) || fstat(shot->fd, &st) || fstat(shot->disk_fd, &disk))
        return flic_err_errno(err, "make the snapshot '%s' durable", shot->file);
    sn_born(shot->disk_fd, "", born);
    entry = fd_disks_identity(&as, &st);
    if (!entry || json_object_set_new(entry, "disk_born_ns", json_string(born)) ||
        json_object_set_new(entry, "snapshot", json_string(shot->file)) ||
        json_object_set_new(entry, "disk_inode", json_integer((json_int_t)disk.st_ino)) ||
        json_object_set_new(entry, "mode", json_integer(disk.st_mode & 07777)) ||
        json_object_set_new(entry, "uid", json_integer(disk.st_uid)) ||
        json_object_set_new(entry, "gid", json_integer(disk.st_gid)) || json_array_append(list, entry)) {
        json_decref(entry);
        return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s' cannot be listed: its path is not text, or there is no memory", shot->vdev,
                            shot->path);
    }
    json_decref(entry);
    return 0;
}

static int settle_other(const struct fd_disk *disk, void *list, struct flic_err *err)
{
    return disk->writable ? 0 : fd_disks_settle_one(disk, list, err);
}

int sn_settle(struct sn_set *set, char **ret_list, struct flic_err *err)
{
    uint64_t began = flic_now_us(), before = written(set);
    json_t *list = json_array();
    int rc = fd_disks_each(set->config, settle_other, list, err);

    for (size_t i = 0; !rc && i < set->n; i++)
        rc = set->shots[i].by_hook ? settle_hook_shot(set, &set->shots[i], list, err) : settle_shot(set, i, list, err);
    *ret_list = rc ? NULL : json_dumps(list, JSON_COMPACT);
    json_decref(list);
    if (!rc && !*ret_list)
        rc = flic_err_set(err, -ENOMEM, "list the disks: out of memory");
    set->figures.settle_us = flic_now_us() - began;
    set->figures.settle_bytes = written(set) - before;
    return rc;
}

void sn_keep(struct sn_set *set)
{
    set->kept = true;
}

void sn_free(struct sn_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->n; i++) {
        struct hk_disk hook = hook_of(set, &set->shots[i]);
        bool drop = !set->kept && set->shots[i].file[0];
        struct flic_err why = { 0 };

        if (drop && set->shots[i].by_hook && hk_run(&hook, "drop", &why)) {
            flic_warn("%s; the next start of flicd asks again", why.text);
            drop = false;       /* its note stays, and with it another try */
        }
        if (drop && unlink(set->shots[i].file))
            flic_warn("the snapshot '%s' of a save that failed is left: the next start of flicd removes it", set->shots[i].file);
        close_all(&set->shots[i]);
    }
    free(set->config);
    free(set);
}

bool sn_get_shot(const struct sn_set *set, size_t i, struct sn_shot *ret)
{
    const struct shot *shot = &set->shots[i];

    if (i >= set->n || shot->by_hook)
        return false;
    *ret = (struct sn_shot){ shot->vdev, shot->path, shot->disk_fd, shot->fd, shot->folder_fd };
    return true;
}

const struct sn_figures *sn_get_figures(const struct sn_set *set)
{
    return &set->figures;
}

/* ---- what stays, and what goes ---- */

/* One note of a hook's snapshot: the hook removes it, and of a forgotten checkpoint also what its restores displaced. */
static int drop_hooked(const struct sn_where *where, const char *file, const char *name, bool displaced_too, struct flic_err *err)
{
    FLIC_AUTO_FREE void *text = NULL;
    struct hk_disk hook = { .program = where->hook, .name = name };
    json_t *note;
    size_t len;
    int rc = flic_load_file(file, PATH_MAX + 256, &text, &len, err);

    if (rc)
        return rc;
    note = json_loadb(text, len, 0, NULL);
    hook.vdev = json_string_value(json_object_get(note, "vdev"));
    hook.path = json_string_value(json_object_get(note, "path"));
    if (!hook.vdev || !hook.path)
        rc = flic_err_set(err, FLIC_E_DAMAGED, "'%s' is damaged", file);
    if (!rc && displaced_too)
        rc = hk_run(&hook, "drop-displaced", err);
    if (!rc)
        rc = hk_run(&hook, "drop", err);
    json_decref(note);
    if (!rc && unlink(file))
        rc = flic_err_errno(err, "remove '%s'", file);
    return rc;
}

static int walk_hooked(const struct sn_where *where, enum sn_fate (*fate)(const struct sn_name *name, void *arg), void *arg,
                       struct flic_err *err)
{
    char folder[PATH_MAX], file[PATH_MAX];
    struct dirent *e;
    DIR *dir;
    int rc = 0;

    (void)snprintf(folder, sizeof(folder), "%s/hooked", where->folder);
    dir = opendir(folder);
    while (dir && !rc && (e = readdir(dir))) {
        enum sn_fate of = SN_THERE;
        struct sn_name name;
        const char *rest;

        if (parse_name(where, e->d_name, &name, &rest))
            of = fate(&name, arg);
        if (of != SN_THERE && snprintf(file, sizeof(file), "%s/%s", folder, e->d_name) < (int)sizeof(file))
            rc = drop_hooked(where, file, e->d_name, of == SN_FORGOTTEN, err);
    }
    if (dir)
        (void)closedir(dir);    /* only read */
    return rc;
}

struct walk {
    const struct sn_where *where;
    bool (*goes)(const struct walk *walk, int folder_fd, const char *file, const struct sn_name *name, const char *rest);
    const struct sn_name *only;
    enum sn_fate (*fate)(const struct sn_name *name, void *arg);
    void *arg;
};

/* A folder that is not there any more (its file system may be away) holds nothing that could be removed. */
static int walk_folder(const struct walk *walk, const char *folder, struct flic_err *err)
{
    int fd = open_folder(folder, false, err), rc = 0;
    bool removed = false;
    struct dirent *e;
    DIR *dir;

    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return fd;
    dir = fdopendir(fd);
    if (!dir) {
        rc = flic_err_errno(err, "read '%s'", folder);
        (void)close(fd);
        return rc;
    }
    while (!rc && (e = readdir(dir))) {
        struct sn_name name;
        const char *rest;

        if (!parse_name(walk->where, e->d_name, &name, &rest) || !walk->goes(walk, fd, e->d_name, &name, rest))
            continue;
        removed = true;
        if (unlinkat(fd, e->d_name, 0) && errno != ENOENT)
            rc = flic_err_errno(err, "remove '%s/%s'", folder, e->d_name);
    }
    if (!rc && removed && fsync(fd))
        rc = flic_err_errno(err, "remove from '%s'", folder);
    (void)closedir(dir);    /* only read */
    return rc;
}

static int walk_all(const struct walk *walk, struct flic_err *err)
{
    FLIC_AUTO_FREE char *text = NULL;
    struct flic_err why = { 0 };
    char *rest, *folder;
    int failed = 0, rc = load_folders(walk->where, &text, err);

    if (rc)
        return rc;
    rest = text;
    while ((folder = strsep(&rest, "\n")))
        if (*folder && (rc = walk_folder(walk, folder, failed ? &why : err)) && !failed)
            failed = rc;    /* the other folders all the same */
    return failed;
}

static bool goes_with(const struct walk *walk, int folder_fd, const char *file, const struct sn_name *name, const char *rest)
{
    (void)folder_fd;
    (void)file;
    (void)rest;
    return name->seq == walk->only->seq && flic_uuid_equal(&name->guest, &walk->only->guest);
}

static enum sn_fate only_this(const struct sn_name *name, void *arg)
{
    const struct sn_name *only = arg;

    return name->seq == only->seq && flic_uuid_equal(&name->guest, &only->guest) ? SN_FORGOTTEN : SN_THERE;
}

int sn_drop(const struct sn_where *where, const struct sn_name *name, struct flic_err *err)
{
    struct walk walk = { .where = where, .goes = goes_with, .only = name };
    int rc = walk_all(&walk, err);

    return rc ? rc : walk_hooked(where, only_this, (void *)name, err);
}

/* A swap's file that is still the clone it was made as has displaced nothing. */
static bool is_leftover(const struct walk *walk, int folder_fd, const char *file, const struct sn_name *name, const char *rest)
{
    enum sn_fate fate = walk->fate(name, walk->arg);
    uint64_t inode = sn_swap_inode(rest);
    struct stat st;

    if (fate == SN_FORGOTTEN || strstr(rest, ".new"))
        return true;
    if (!inode)
        return fate != SN_THERE;
    return !fstatat(folder_fd, file, &st, AT_SYMLINK_NOFOLLOW) && st.st_ino == inode;
}

int sn_sweep(const struct sn_where *where, enum sn_fate (*fate)(const struct sn_name *name, void *arg), void *arg,
             struct flic_err *err)
{
    struct walk walk = { .where = where, .goes = is_leftover, .fate = fate, .arg = arg };
    int rc = walk_all(&walk, err);

    return rc ? rc : walk_hooked(where, fate, arg, err);
}
