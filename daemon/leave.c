/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/leave.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/checkpoint/load.h"
#include "daemon/daemon.h"
#include "daemon/disks.h"
#include "daemon/op.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS_MAX 8u
#define LITTLE 256u             /* blocks: what is worth no further round */

struct travel {                 /* a disk that is copied */
    int state;                  /* the snapshot that the peer has; -1: none yet */
    uint64_t size;
};

struct lv_disks {
    const char *config;         /* borrowed */
    bool copies;                /* else all are there too */
    json_t *offer;
    char *offer_text;
    struct travel travels[DW_DISKS_MAX];
    size_t n;
    struct sn_set *set;
    struct lv_link link;
    struct ds_sender *sender;
    struct ds_figures figures;
    uint64_t total_bytes, rounds, send_us, last_us, settle_us, round_us, round_blocks;
};

/* ---- can they go? ---- */

static int ask_for_way(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    (void)arg;
    return flic_err_set(err, FLIC_E_DISK, "its disk %s ('%s') is on this phone: say --disks copy to take its disks along, or --disks shared if the "
                        "other phone reaches the same disks under the same paths", disk->vdev, disk->path);
}

static int add_offer(struct lv_disks *d, const struct fd_disk *disk, bool copy, uint64_t size, uint64_t allocated, struct flic_err *err)
{
    json_t *entry = json_pack("{s:s, s:s, s:I, s:I}", "vdev", disk->vdev, "how", copy ? "copy" : "there", "size", (json_int_t)size, "allocated",
                              (json_int_t)allocated);

    return entry && !json_array_append_new(d->offer, entry)
           ? 0 : flic_err_set(err, FLIC_E_DISK, "disk %s: '%s': its name is not text, or there is no memory", disk->vdev, disk->path);
}

static int cannot_copy(const struct fd_disk *disk, const char *why, struct flic_err *err)
{
    return flic_err_set(err, FLIC_E_DISK, "its disk %s ('%s') cannot be copied: %s; keep it in a raw file on xfs or btrfs, or use --disks shared if the "
                        "other phone reaches it too", disk->vdev, disk->path, why);
}

static int look_at_copy(struct lv_disks *d, const struct fd_disk *disk, const struct stat *st, struct flic_err *err)
{
    if (!S_ISREG(st->st_mode))
        return cannot_copy(disk, "it is not a file", err);
    if (!disk->writable)
        return 0;
    if (!st->st_size || (uint64_t)st->st_size > DW_SIZE_MAX)
        return cannot_copy(disk, "it is empty, or larger than 8 TiB", err);
    if (d->n == DW_DISKS_MAX)
        return cannot_copy(disk, "the guest has more than 32 disks", err);
    d->travels[d->n++] = (struct travel){ .state = -1, .size = (uint64_t)st->st_size };
    d->total_bytes += (uint64_t)st->st_size;
    return 0;
}

static int look_at(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    FLIC_AUTO_CLOSE int fd = open(disk->path, O_RDONLY | O_CLOEXEC);
    struct lv_disks *d = arg;
    struct stat st;
    off_t size;
    int rc = 0;

    if (fd < 0 || fstat(fd, &st) || (size = lseek(fd, 0, SEEK_END)) < 0)
        return flic_err_set(err, FLIC_E_DISK, "its disk %s: '%s': %s", disk->vdev, disk->path, strerror(errno));
    if (disk->writable && !fd_disks_is_raw(disk))          /* where it is shared, its backend here would write after the guest runs there */
        return flic_err_set(err, FLIC_E_DISK, "its disk %s ('%s') is a %s image, whose backend keeps part of it in memory: only raw images travel or "
                            "are shared", disk->vdev, disk->path, disk->format);
    if (d->copies)
        rc = look_at_copy(d, disk, &st, err);
    return rc ? rc : add_offer(d, disk, d->copies && disk->writable, (uint64_t)size, (uint64_t)st.st_blocks * 512, err);
}

int lv_new(const char *way, const char *config, struct lv_disks **ret_disks, struct flic_err *err)
{
    struct lv_disks *d;
    int rc = 0;

    if (*way && strcmp(way, "copy") && strcmp(way, "shared"))
        return flic_err_set(err, FLIC_E_USAGE, "disks travel by 'copy' or are 'shared', not '%s'", way);
    if (!*way)
        rc = fd_disks_each(config, ask_for_way, NULL, err);
    d = rc ? NULL : calloc(1, sizeof(*d));
    if (rc || !d)
        return rc ? rc : flic_err_set(err, -ENOMEM, "look at the disks: out of memory");
    d->config = config;
    d->copies = !strcmp(way, "copy");
    d->offer = json_array();
    rc = fd_disks_each(config, look_at, d, err);
    d->offer_text = rc ? NULL : json_dumps(d->offer, JSON_COMPACT);
    if (!rc && !d->offer_text)
        rc = flic_err_set(err, -ENOMEM, "look at the disks: out of memory");
    if (rc) {
        lv_free(d);
        return rc;
    }
    *ret_disks = d;
    return 0;
}

const char *lv_offer(const struct lv_disks *d) { return d->offer_text; }

void lv_free(struct lv_disks *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n; i++)
        if (d->travels[i].state >= 0)
            (void)close(d->travels[i].state);   /* it has no name: that was all of it */
    ds_free(d->sender);
    sn_free(d->set);
    json_decref(d->offer);
    free(d->offer_text);
    free(d);
}

/* ---- states ---- */

int lv_prepare(struct lv_disks *d, const struct sn_where *where, const struct sn_name *name, struct flic_err *err)
{
    struct sn_where no_hook = *where;

    int rc;

    if (!d->n)
        return 0;
    no_hook.hook = NULL;        /* what a hook makes cannot be read from here */
    rc = sn_prepare(&no_hook, name, d->config, &d->set, err);
    return rc != FLIC_E_DISK ? rc : flic_err_set(err, rc, "--disks copy needs each of its disks in a raw file on a file system that clones files (xfs, "
                                                 "btrfs): move them there, or use --disks shared if the other phone reaches them too");
}

/* A clone without a name: should we die, nothing is left of it. */
static int take_state(const struct lv_disks *d, size_t i, int *ret_fd, struct flic_err *err)
{
    struct sn_shot shot;
    int rc;

    if (!sn_get_shot(d->set, i, &shot))
        return flic_err_set(err, FLIC_E_INTERNAL, "a disk of the guest is not known any more");
    *ret_fd = openat(shot.folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*ret_fd < 0)
        return flic_err_errno(err, "disk %s: a snapshot of '%s'", shot.vdev, shot.path);
    rc = sn_clone(*ret_fd, shot.disk_fd, shot.vdev, shot.path, err);
    if (rc) {
        (void)close(*ret_fd);
        *ret_fd = -1;
    }
    return rc;
}

static int check_size(const struct travel *t, int fd, struct flic_err *err)
{
    struct stat st;

    if (fstat(fd, &st))
        return flic_err_errno(err, "look at a disk's snapshot");
    return (uint64_t)st.st_size == t->size ? 0 : flic_err_set(err, FLIC_E_DISK, "a disk of the guest was resized meanwhile: migrate it again");
}

/* ---- rounds ---- */

static int send_first(struct lv_disks *d, struct flic_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < d->n; i++) {
        struct travel *t = &d->travels[i];

        rc = take_state(d, i, &t->state, err);
        if (!rc)
            rc = check_size(t, t->state, err);
        if (!rc)
            rc = ds_whole(d->sender, i, t->state, err);
    }
    return rc ? rc : ds_sync(d->sender, err);
}

static int send_changed(struct lv_disks *d, size_t i, struct flic_err *err)
{
    struct travel *t = &d->travels[i];
    uint64_t blocks = 0;
    int now, rc = take_state(d, i, &now, err);

    if (rc)
        return rc;
    rc = check_size(t, now, err);
    if (!rc)
        rc = ds_changed(d->sender, i, t->state, now, now, &blocks, err);
    (void)close(t->state);
    t->state = now;
    d->round_blocks += blocks;
    return rc;
}

static int one_round(struct lv_disks *d, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    int rc = 0;

    d->round_blocks = 0;
    for (size_t i = 0; !rc && i < d->n; i++)
        rc = send_changed(d, i, err);
    if (!rc)
        rc = ds_sync(d->sender, err);
    d->rounds++;
    d->round_us = flic_now_us() - began;
    return rc;
}

/* Until the next would be hardly smaller. */
static int rounds(struct lv_disks *d, struct flic_err *err)
{
    uint64_t before = UINT64_MAX;
    int rc;

    for (unsigned n = 0; n < ROUNDS_MAX; n++) {
        rc = one_round(d, err);
        if (rc || d->round_blocks <= LITTLE || d->round_blocks >= before - before / 8)
            return rc;
        before = d->round_blocks;
    }
    return 0;
}

int lv_send(struct lv_disks *d, const struct lv_link *link, struct flic_err *err)
{
    uint64_t began = flic_now_us(), sizes[DW_DISKS_MAX];
    struct ds_params params = { .wire = link->wire, .key = link->key, .n = d->n, .sizes = sizes, .peer_has = link->peer_has,
                                 .progress = link->progress, .arg = link->arg };
    int rc;

    d->link = *link;
    if (!d->n)
        return 0;
    for (size_t i = 0; i < d->n; i++)
        sizes[i] = d->travels[i].size;
    rc = ds_new(&params, &d->sender, err);
    if (!rc)
        rc = send_first(d, err);
    if (!rc)
        rc = rounds(d, err);
    d->send_us = flic_now_us() - began;
    return rc;
}

/* What is left for the pause takes about as long as the last round did. */
int lv_again(struct lv_disks *d, struct flic_err *err)
{
    int rc = d->n ? rounds(d, err) : 0;

    if (rc || d->round_blocks <= LITTLE || d->round_us / 1000 <= d->link.max_downtime_ms)
        return rc;
    return flic_err_set(err, FLIC_E_GUEST, "it writes its disks as fast as the link carries that: %llu MiB in the last round, which took %llu ms; it runs "
                        "on here. Allow such a pause with --max-downtime, or migrate it when it is calmer",
                        (unsigned long long)(d->round_blocks / 256), (unsigned long long)d->round_us / 1000);
}

/* ---- the pause ---- */

static int flush_shared(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    FLIC_AUTO_CLOSE int fd = -1;
    struct stat st;
    int rc = 0;

    (void)arg;
    if (!disk->writable)
        return 0;
    fd = open(disk->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st))
        return flic_err_errno(err, "flush disk %s, '%s'", disk->vdev, disk->path);
    if (S_ISREG(st.st_mode))
        rc = fd_disks_drain(disk->vdev, &st, err);
    if (rc)
        return rc;
    return fsync(fd) ? flic_err_errno(err, "flush disk %s, '%s'", disk->vdev, disk->path) : 0;
}

/* Read from the disk itself, whose newest blocks are still in memory: the guest writes no more. */
static int send_rest(struct lv_disks *d, struct flic_err *err)
{
    uint64_t blocks;
    int rc = sn_take(d->set, err);

    ds_pause(d->sender);
    for (size_t i = 0; !rc && i < d->n; i++) {
        struct sn_shot shot;

        if (!sn_get_shot(d->set, i, &shot))
            return flic_err_set(err, FLIC_E_INTERNAL, "a disk of the guest is not known any more");
        rc = check_size(&d->travels[i], shot.snapshot_fd, err);
        if (!rc)
            rc = ds_changed(d->sender, i, d->travels[i].state, shot.snapshot_fd, shot.disk_fd, &blocks, err);
    }
    return rc ? rc : ds_end(d->sender, err);
}

int lv_last(struct lv_disks *d, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    int rc = d->copies ? 0 : fd_disks_each(d->config, flush_shared, NULL, err);

    if (!rc && d->n)
        rc = send_rest(d, err);
    d->last_us = flic_now_us() - began;
    return rc;
}

int lv_settle(struct lv_disks *d, char **ret_list, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    int rc;

    if (d->n)
        rc = sn_settle(d->set, ret_list, err);
    else if (d->copies)
        rc = fd_disks_settle(d->config, ret_list, err);
    else
        rc = fd_disks_list_shared(d->config, ret_list, err);
    d->settle_us = flic_now_us() - began;
    return rc;
}

void lv_keep(struct lv_disks *d)
{
    if (d->set)
        sn_keep(d->set);
}

void lv_add_figures(const struct lv_disks *d, json_t *figures)
{
    struct ds_figures f = { 0 };

    if (d->sender)
        ds_get_figures(d->sender, &f);
    const struct fd_figure rows[] = {
        { "disk_bytes", d->total_bytes }, { "disk_there_bytes", f.there_blocks * DM_BLOCK }, { "disk_sent_bytes", f.sent_blocks * DM_BLOCK },
        { "disk_zero_bytes", f.zero_blocks * DM_BLOCK }, { "disk_last_bytes", f.last_blocks * DM_BLOCK }, { "disk_wire_bytes", f.block_bytes },
        { "disk_rounds", d->rounds }, { "disk_us", d->send_us }, { "disk_last_us", d->last_us }, { "disk_settle_us", d->settle_us },
    };

    fd_add_figures(figures, rows, sizeof(rows) / sizeof(rows[0]));
}

/* ---- it is gone ---- */

static void remove_one(const json_t *entry)
{
    const char *path = json_string_value(json_object_get(entry, "path"));
    const char *born = json_string_value(json_object_get(entry, "disk_born_ns"));
    json_int_t inode = json_integer_value(json_object_get(entry, "disk_inode"));
    char born_now[SN_BORN];
    struct stat st;

    if (!path || !born || !*born || !json_object_get(entry, "snapshot") || lstat(path, &st) || !S_ISREG(st.st_mode) || (json_int_t)st.st_ino != inode)
        return;
    sn_born(AT_FDCWD, path, born_now);
    if (strcmp(born, born_now))
        return;
    if (unlink(path) || flic_sync_parent(path, NULL))
        flic_warn("'%s', whose guest is on another phone now, could not be removed: %s", path, strerror(errno));
    else
        flic_info("'%s' went with its guest: the checkpoint that it left has it", path);
}

void lv_remove(struct fd_daemon *daemon, const struct sn_name *name)
{
    struct ck_loaded loaded;
    struct ck_entry entry;
    struct flic_err err = { 0 };
    json_t *list, *one;
    size_t i;

    if (ck_find_exact(daemon->store, &name->guest, name->seq, &entry, NULL) || ck_load(daemon->store, &entry, &loaded, NULL))
        return;         /* forgotten: then what is there is not ours to remove */
    if (fd_disks_check(loaded.root.disks, &err)) {
        flic_debug("the disks that '%s' left stay: %s", entry.info.name, err.text);
    } else {
        list = json_loads(loaded.root.disks, 0, NULL);
        json_array_foreach(list, i, one)
            remove_one(one);
        json_decref(list);
    }
    ck_unload(daemon->store, &loaded);
}
