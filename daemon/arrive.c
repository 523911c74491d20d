/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/arrive.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/arrive_where.h"
#include "daemon/disks.h"
#include "daemon/moves.h"
#include "daemon/op.h"
#include "daemon/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct coming {                 /* a disk that is copied */
    struct aw_place place;
    char vdev[64];
    uint64_t size;
    int fd;                     /* -1: not made yet */
    bool has;
};

struct ar_disks {
    struct fd_daemon *daemon;
    struct sn_where where;
    struct sn_name name;
    const char *config;         /* the offer's; borrowed */
    json_t *offer;
    size_t n_seen;              /* of the offer's entries, while they are checked */
    bool copies, shares;
    struct coming coming[DW_DISKS_MAX];
    size_t n;
    struct dt_taker *taker;
    struct sn_set *set;
    bool placed, committed;
    uint64_t settle_us;
};

struct ar_kept {
    struct { char path[PATH_MAX]; int fd; } files[DW_DISKS_MAX];
    size_t n;
};

/* ---- can they be here? ---- */

static int bad_offer(struct flic_err *err)
{
    return flic_err_set(err, FLIC_E_PROTOCOL, "the peer's list of disks is not that of the guest's configuration, or out of bounds");
}

/* An image of another format names further files, which its backend opens. */
static int check_there(struct ar_disks *d, const struct fd_disk *disk, uint64_t size, struct flic_err *err)
{
    int rc;

    if (!fd_disks_is_raw(disk))
        return flic_err_set(err, FLIC_E_DISK, "its disk %s ('%s') is a %s image: of another phone's guests only raw ones are opened here", disk->vdev,
                            disk->path, disk->format);
    rc = disk->writable ? aw_in_folders(d->daemon->conf.shared_disk_folders, "shared_disk_folders", disk->vdev, disk->path, err)
                        : aw_in_either(&d->daemon->conf, disk->vdev, disk->path, err);

    d->shares |= disk->writable;
    return rc ? rc : aw_check_size(disk->vdev, disk->path, size, err);
}

static int check_copy(struct ar_disks *d, const struct fd_disk *disk, uint64_t size, uint64_t allocated, struct flic_err *err)
{
    struct coming *c = &d->coming[d->n];
    int rc = aw_in_folders(d->daemon->conf.disk_folders, "disk_folders", disk->vdev, disk->path, err);

    if (!rc && (!disk->writable || !size || size > DW_SIZE_MAX || d->n == DW_DISKS_MAX || !fd_disks_is_raw(disk)))
        return bad_offer(err);
    if (!rc)
        rc = aw_find_place(d->daemon, &d->name.guest, disk->vdev, disk->path, &c->place, err);
    for (size_t i = 0; !rc && i < d->n; i++)
        if (!strcmp(d->coming[i].place.path, c->place.path))
            rc = flic_err_set(err, FLIC_E_DISK, "its disks %s and %s are one file, '%s'", d->coming[i].vdev, disk->vdev, c->place.path);
    if (!rc && !c->place.base[0])
        rc = aw_check_room(disk->vdev, &c->place, allocated, err);
    if (rc)
        return rc;
    (void)snprintf(c->vdev, sizeof(c->vdev), "%s", disk->vdev);
    c->size = size;
    c->fd = -1;
    d->n++;
    d->copies = true;
    return 0;
}

/* The next entry of the offer must be this disk's. */
static int check_disk(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    struct ar_disks *d = arg;
    json_t *entry = json_array_get(d->offer, d->n_seen++);
    const char *vdev = json_string_value(json_object_get(entry, "vdev")), *how = json_string_value(json_object_get(entry, "how"));
    json_int_t size = json_integer_value(json_object_get(entry, "size")), allocated = json_integer_value(json_object_get(entry, "allocated"));

    if (!vdev || !how || strcmp(vdev, disk->vdev) || size < 0 || allocated < 0)
        return bad_offer(err);
    if (!strcmp(how, "copy"))
        return check_copy(d, disk, (uint64_t)size, (uint64_t)allocated, err);
    return strcmp(how, "there") ? bad_offer(err) : check_there(d, disk, (uint64_t)size, err);
}

int ar_new(struct fd_daemon *daemon, const struct mh_offer *offer, struct ar_disks **ret_disks, struct flic_err *err)
{
    struct ar_disks *d = calloc(1, sizeof(*d));
    int rc;

    if (!d)
        return flic_err_set(err, -ENOMEM, "take in disks: out of memory");
    d->daemon = daemon;
    d->where = fd_where(daemon);
    d->where.hook = NULL;
    d->name.guest = offer->guest;
    d->config = offer->config;
    d->offer = json_loads(offer->disks, JSON_REJECT_DUPLICATES, NULL);
    rc = json_is_array(d->offer) ? fd_disks_each(offer->config, check_disk, d, err) : bad_offer(err);
    if (!rc && (d->n_seen != json_array_size(d->offer) || (d->copies && d->shares)))
        rc = bad_offer(err);
    if (rc) {
        ar_free(d);
        return rc;
    }
    *ret_disks = d;
    return 0;
}

/* ---- in place ---- */

/* Begins as the older state, and as its owner's; else empty. */
static int begin_as(struct coming *c, int base, const char *base_path, struct flic_err *err)
{
    struct stat st;
    int rc = sn_clone(c->fd, base, c->vdev, base_path, err);

    if (!rc && (fstat(base, &st) || (c->place.is_there && (fchown(c->fd, c->place.uid, c->place.gid) || fchmod(c->fd, c->place.mode)))))
        rc = flic_err_errno(err, "begin disk %s as '%s'", c->vdev, base_path);
    c->has = !rc;
    return rc;
}

static int fill_first(struct coming *c, const struct ar_kept *kept, struct flic_err *err)
{
    FLIC_AUTO_CLOSE int base = -1;

    for (size_t i = 0; kept && i < kept->n; i++)
        if (!strcmp(kept->files[i].path, c->place.path))
            return begin_as(c, kept->files[i].fd, c->place.path, err);
    if (!c->place.base[0])
        return 0;
    base = open(c->place.base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return base < 0 ? flic_err_errno(err, "open the older state of disk %s, '%s'", c->vdev, c->place.base) : begin_as(c, base, c->place.base, err);
}

/* Under the name that swap.h gives to a file that is to take a disk's place: after its own inode. */
static int name_it(struct coming *c, int folder_fd, const char *fresh, char *name, size_t room, struct flic_err *err)
{
    size_t used = strlen(fresh) - strlen(".new");
    struct stat st;

    if (ftruncate(c->fd, (off_t)c->size) || fsync(c->fd) || fstat(c->fd, &st))
        return flic_err_errno(err, "make disk %s", c->vdev);
    (void)snprintf(name, room, "%.*s.swap-%" PRIu64, (int)used, fresh, (uint64_t)st.st_ino);
    if (renameat2(folder_fd, fresh, folder_fd, name, RENAME_NOREPLACE) || fsync(folder_fd))
        return flic_err_errno(err, "make disk %s", c->vdev);
    return 0;
}

static int make_one(struct ar_disks *d, size_t i, const struct ar_kept *kept, json_t *swaps, struct flic_err *err)
{
    FLIC_AUTO_CLOSE int folder_fd = -1;
    struct coming *c = &d->coming[i];
    char folder[PATH_MAX], fresh[200], name[256], file[PATH_MAX + 256];
    int rc;

    folder_fd = sn_folder_beside(&d->where, c->place.path, folder, err);
    if (folder_fd < 0)
        return folder_fd;
    sn_file_name(&d->where, &d->name, i, fresh, sizeof(fresh) - sizeof(".new"));
    strcat(fresh, ".new");
    c->fd = openat(folder_fd, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (c->fd < 0)
        return flic_err_errno(err, "make disk %s in '%s'", c->vdev, folder);
    rc = fill_first(c, kept, err);
    if (!rc)
        rc = name_it(c, folder_fd, fresh, name, sizeof(name), err);
    if (rc) {
        (void)unlinkat(folder_fd, fresh, 0);
        return rc;
    }
    (void)snprintf(file, sizeof(file), "%s/%s", folder, name);
    if (!json_array_append_new(swaps, json_pack("{s:s, s:s}", "disk", c->place.path, "swap", file)))
        return 0;
    (void)unlinkat(folder_fd, name, 0);
    return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s': its path is not text, or there is no memory", c->vdev, c->place.path);
}

static void unlink_all(json_t *swaps)
{
    json_t *entry;
    size_t i;

    json_array_foreach(swaps, i, entry)
        (void)unlink(json_string_value(json_object_get(entry, "swap")));
}

int ar_place(struct ar_disks *d, uint64_t seq, const struct ar_kept *kept, struct flic_err *err)
{
    json_t *swaps;
    int rc = 0;

    d->name.seq = seq;
    if (!d->n)
        return 0;
    rc = ar_tidy_guest(d->daemon, &d->name.guest, err);
    swaps = json_array();
    for (size_t i = 0; !rc && i < d->n; i++)
        rc = make_one(d, i, kept, swaps, err);
    if (rc)
        unlink_all(swaps);
    else
        rc = sw_place(&d->where, &d->name.guest, swaps, err);
    json_decref(swaps);
    d->placed = !rc;
    if (!rc)
        rc = sn_prepare(&d->where, &d->name, d->config, &d->set, err);
    return rc != FLIC_E_DISK ? rc : flic_err_set(err, rc, "its disks cannot be kept here as they arrive: '%s' and the folders of its other disks must be on a "
                                                 "file system that clones files (xfs, btrfs)", d->coming[0].place.path);
}

uint32_t ar_has(const struct ar_disks *d)
{
    uint32_t has = 0;

    for (size_t i = 0; i < d->n; i++)
        has |= d->coming[i].has ? 1u << i : 0;
    return has;
}

/* ---- taking in ---- */

int ar_begin(struct ar_disks *d, struct mw_wire *wire, const struct md_key *key, struct flic_err *err)
{
    struct dt_disk disks[DW_DISKS_MAX];

    for (size_t i = 0; i < d->n; i++)
        disks[i] = (struct dt_disk){ .name = d->coming[i].vdev, .fd = d->coming[i].fd, .size = d->coming[i].size, .has = d->coming[i].has };
    return d->n ? dt_new(wire, key, disks, d->n, &d->taker, err) : 0;
}

int ar_message(struct ar_disks *d, const struct mw_message *m, struct flic_err *err)
{
    return d->taker ? dt_message(d->taker, m, err)
                    : flic_err_set(err, FLIC_E_PROTOCOL, "the peer breaks the protocol: it tells about disks that it did not offer");
}

void ar_progress(const struct ar_disks *d, uint64_t *ret_done, uint64_t *ret_total)
{
    struct dt_figures f = { 0 };

    if (d->taker)
        dt_get_figures(d->taker, &f);
    *ret_done = (f.same_blocks + f.received_blocks) * DM_BLOCK;
    *ret_total = 0;
    for (size_t i = 0; i < d->n; i++)
        *ret_total += d->coming[i].size;
}

int ar_settle(struct ar_disks *d, char **ret_list, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    int rc = 0;

    if (d->taker && !dt_is_whole(d->taker))
        return flic_err_set(err, FLIC_E_PROTOCOL, "the peer breaks the protocol: the guest came without the end of its disks");
    if (d->n) {
        rc = sn_take(d->set, err);
        if (!rc)
            rc = sn_settle(d->set, ret_list, err);
    } else {
        rc = d->shares ? fd_disks_list_shared(d->config, ret_list, err) : fd_disks_settle(d->config, ret_list, err);
    }
    d->settle_us = flic_now_us() - began;
    return rc;
}

int ar_commit(struct ar_disks *d, struct flic_err *err)
{
    d->committed = true;
    if (!d->n)
        return 0;
    sn_keep(d->set);
    return sw_commit(&d->where, &d->name.guest, err);
}

/* ---- the end ---- */

struct ar_kept *ar_keep(struct ar_disks *d)
{
    struct ar_kept *kept = d->taker ? calloc(1, sizeof(*kept)) : NULL;

    for (size_t i = 0; kept && i < d->n; i++) {
        memcpy(kept->files[kept->n].path, d->coming[i].place.path, sizeof(kept->files[0].path));
        kept->files[kept->n++].fd = d->coming[i].fd;
        d->coming[i].fd = -1;
    }
    return kept;
}

void ar_kept_free(struct ar_kept *kept)
{
    for (size_t i = 0; kept && i < kept->n; i++)
        (void)close(kept->files[i].fd);
    free(kept);
}

void ar_undo(struct ar_disks *d)
{
    struct flic_err err = { 0 };

    sn_free(d->set);
    d->set = NULL;
    if (d->placed && !d->committed && sw_undo(&d->where, &d->name.guest, &err))
        flic_error("after a migration that failed: %s; the next start of flicd puts the disks back", err.text);
    d->placed = false;
}

void ar_free(struct ar_disks *d)
{
    if (!d)
        return;
    ar_undo(d);
    dt_free(d->taker);
    for (size_t i = 0; i < d->n; i++)
        if (d->coming[i].fd >= 0)
            (void)close(d->coming[i].fd);       /* what must last was fsynced */
    json_decref(d->offer);
    free(d);
}

void ar_add_figures(const struct ar_disks *d, json_t *figures)
{
    struct dt_figures f = { 0 };
    uint64_t done, total;

    if (d->taker)
        dt_get_figures(d->taker, &f);
    ar_progress(d, &done, &total);
    const struct fd_figure rows[] = {
        { "disk_bytes", total }, { "disk_same_bytes", f.same_blocks * DM_BLOCK }, { "disk_received_bytes", f.received_blocks * DM_BLOCK },
        { "disk_zero_bytes", f.zero_blocks * DM_BLOCK }, { "disk_sync_us", f.sync_us }, { "disk_settle_us", d->settle_us },
    };

    fd_add_figures(figures, rows, sizeof(rows) / sizeof(rows[0]));
}

static int tidy_one(struct fd_daemon *daemon, const struct mv_move *move, struct flic_err *err)
{
    struct sn_name name = { .guest = move->guest, .seq = move->seq };
    struct sn_where where = fd_where(daemon);
    int rc = move->state == MV_RUNNING ? sw_is_of(&where, &name, err) : 0;

    return rc > 0 ? sw_commit(&where, &name.guest, err) : rc;
}

int ar_tidy_guest(struct fd_daemon *daemon, const struct flic_uuid *guest, struct flic_err *err)
{
    struct mv_move *moves;
    size_t n;
    int rc = mv_list(daemon, &moves, &n, NULL, err);

    for (size_t i = 0; !rc && i < n; i++)
        if (flic_uuid_equal(&moves[i].guest, guest))
            rc = tidy_one(daemon, &moves[i], err);
    free(moves);
    return rc;
}

int ar_tidy(struct fd_daemon *daemon)
{
    struct flic_err err = { 0 };
    struct mv_move *moves;
    size_t n;
    int failed = mv_list(daemon, &moves, &n, NULL, &err), rc;

    if (failed)
        flic_error("the disks of guests that are here: %s", err.text);
    for (size_t i = 0; i < n; i++) {
        rc = tidy_one(daemon, &moves[i], &err);
        if (rc)
            flic_error("the disks of '%s', which is here: %s", moves[i].name, err.text);
        if (rc && rc != FLIC_E_DAMAGED && rc != FLIC_E_VERSION)         /* what cannot be read, nobody puts back either */
            failed = rc;
    }
    free(moves);
    return failed;
}
