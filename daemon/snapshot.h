/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * snapshot - the disks of a guest that runs on after its checkpoint, as they were in its pause (docs/decisions/disk-snapshots.md).
 *
 * A snapshot is a reflink clone in the hidden folder `.flic` beside the disk, named STORE.GUEST.SEQ.dN; sequence numbers are
 * never used again, so a name means one checkpoint for ever. The folders are listed in the store, so that leftovers are found.
 *
 *   sn_prepare   guest runs: every disk can be cloned (tried once), the files are there and open
 *   sn_flush     guest runs: what the disks have in memory goes to the medium, so that the pause need not wait for it
 *   sn_take      in the pause: one clone a disk
 *   sn_settle    guest runs on: the clones are durable; gives the checkpoint's disk list (disks.h)
 *   sn_free      removes them unless sn_keep() was called
 *
 * A disk that cannot be cloned is left to disk_snapshot_hook, if there is one; STORE/hooked/NAME then says that it has a snapshot.
 * Disks that the guest cannot write have no snapshot: they are identified as any disk is.
 */
#ifndef FLIC_DAEMON_SNAPSHOT_H
#define FLIC_DAEMON_SNAPSHOT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid.h"

struct sn_where {               /* whose snapshots: a store's folder and its uuid */
    const char *folder;
    struct flic_uuid store;
    const char *hook;           /* what snapshots the disks that cannot be cloned (hook.h); NULL or "": nothing */
};
struct sn_name { struct flic_uuid guest; uint64_t seq; };

struct sn_figures {
    uint64_t flush_us, take_us, settle_us;      /* only take_us belongs to the pause */
    uint64_t take_bytes;                        /* what the disks' devices wrote in the pause: file system metadata and late data */
    uint64_t settle_bytes;                      /* and until the snapshots were durable, the running guest's own writes included */
};

struct sn_set;
int sn_prepare(const struct sn_where *where, const struct sn_name *name, const char *config, struct sn_set **ret_set,
               struct flic_err *err);
int sn_flush(struct sn_set *set, struct flic_err *err);
int sn_take(struct sn_set *set, struct flic_err *err);
int sn_settle(struct sn_set *set, char **ret_list, struct flic_err *err);
void sn_keep(struct sn_set *set);
void sn_free(struct sn_set *set);               /* accepts NULL */
const struct sn_figures *sn_get_figures(const struct sn_set *set);

/* Removes everything kept for a forgotten checkpoint: its snapshots and the disks that its restores displaced (swap.h). */
int sn_drop(const struct sn_where *where, const struct sn_name *name, struct flic_err *err);

/* At start, after sw_settle(): removes what an interrupted save, restore or forget left. Of a checkpoint that is not there but was
 * not forgotten either (its NVRAM was lost), a displaced disk stays: it is somebody's data. */
enum sn_fate { SN_THERE, SN_FORGOTTEN, SN_UNKNOWN };
int sn_sweep(const struct sn_where *where, enum sn_fate (*fate)(const struct sn_name *name, void *arg), void *arg,
             struct flic_err *err);

/* ---- for swap.c ---- */

#define SN_FOLDER ".flic"
/* "/guests/.flic/STORE.GUEST.SEQ.d0" -> *ret_ino when the name ends in ".swap-INO"; 0 otherwise. */
uint64_t sn_swap_inode(const char *name);
int sn_clone(int to, int from, const char *vdev, const char *path, struct flic_err *err);

/* ---- for disks that travel (leave.h, arrive.h) ---- */

/* The i-th disk of a set, in the order of the configuration's writable ones; descriptors are borrowed. False: there are no more. Not for a hook's. */
struct sn_shot { const char *vdev, *path; int disk_fd, snapshot_fd, folder_fd; };
bool sn_get_shot(const struct sn_set *set, size_t i, struct sn_shot *ret_shot);
/* When a file was made, as text, "" where its file system does not say: with the inode this tells it from any that comes after it. `path` may be
 * "" for the descriptor itself, and is not followed. */
#define SN_BORN 32
void sn_born(int fd, const char *path, char ret_text[SN_BORN]);
/* The hidden folder beside `path`, listed in the store and open: the descriptor, or an error. */
int sn_folder_beside(const struct sn_where *where, const char *path, char ret_folder[PATH_MAX], struct flic_err *err);
/* The name of a checkpoint's i-th snapshot in it. */
void sn_file_name(const struct sn_where *where, const struct sn_name *name, size_t i, char *out, size_t room);

#endif
