/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * store - arena, packs and index as one thing, and the catalog of checkpoints assembled from them.
 *
 * The catalog is the truth in RAM: a checkpoint is in it when its root's switch is durable in the arena and published,
 * or its root lies in a sealed pack, and no tombstone names it. ck_open() builds it by one scan of each and
 * brings the index in line. Thread-safe: one lock guards the catalog; it is never held over I/O on guests.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_STORE_H
#define FLIC_DAEMON_CHECKPOINT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/id.h"
#include "common/uuid.h"
#include "daemon/index/index.h"
#include "daemon/nvram/nvram.h"
#include "daemon/packs/packs.h"

struct ck_store;

struct ck_config {
    const char *folder;         /* on flash: store identity, packs/, index */
    const char *arena;          /* NVRAM: path of the arena */
    uint64_t arena_bytes;       /* to create it with, when it is missing; 0: do not create */
};

/* What recovery found: for the log and `flic status`. */
struct ck_recovery {
    uint32_t checkpoints, unpublished_dropped, tombstones;
    uint32_t damaged_roots;         /* and tombstones that cannot be read */
    uint32_t packs_quarantined, packs_unfinished, arena_damaged;
    uint32_t packs_unread, roots_unread;    /* of these on flash: they may be read another time */
    uint32_t unseen;                /* checkpoints that the index knows and nothing else */
    bool index_rebuilt;
    int64_t took_ms;
};


int ck_open(const struct ck_config *config, struct ck_store **ret_store, struct flic_err *err);
void ck_close(struct ck_store *store);      /* accepts NULL */

/* What the kernel counts as written to the store's block device, by anybody; 0 where it cannot tell. */
uint64_t ck_flash_written(const struct ck_store *store);
struct nv_arena *ck_arena(struct ck_store *store);
struct pk_store *ck_packs(struct ck_store *store);
struct ix_index *ck_index(struct ck_store *store);
const struct flic_secret *ck_secret(const struct ck_store *store);
const struct flic_uuid *ck_store_uuid(const struct ck_store *store);
void ck_get_recovery(const struct ck_store *store, struct ck_recovery *ret_recovery);
/* FLIC_E_REFUSED while there may be checkpoints that the start did not see whole, and whose pages, disks or packs must therefore stay: says
 * why, and what to do. What frees by itself asks first. */
int ck_check_all_seen(struct ck_store *store, struct flic_err *err);

/* ---- the catalog ---- */

struct ck_entry {               /* a copy; stays valid */
    struct ix_checkpoint info;
    struct flic_uuid id;        /* of this checkpoint: what a reference names */
    struct flic_id flash_root;  /* when info.places has IX_FLASH */
    bool destaged;
    uint64_t stuck_until_us;    /* it cannot be moved to flash: destage passes it by until then */
    bool damaged;               /* something of it is lost: see ck_damage_text() */
    uint64_t lost_pages, lost_gfn;      /* how many, at least, and the first of them */
    bool lost_leaf;             /* nor is it known which pages it needs beside them */
};

/* The newest checkpoint of a guest (seq 0) or exactly this one. `name` is the guest's name or uuid; a name that two guests'
 * checkpoints share is FLIC_E_REFUSED and lists the uuids. FLIC_E_NOCHECKPOINT says which exist. */
int ck_find(struct ck_store *store, const char *name, uint64_t seq, struct ck_entry *ret_entry, struct flic_err *err);
/* Whether this one was forgotten: an absent one may also be lost with its NVRAM. */
bool ck_was_forgotten(struct ck_store *store, const struct flic_uuid *guest, uint64_t seq);
int ck_find_exact(struct ck_store *store, const struct flic_uuid *guest, uint64_t seq, struct ck_entry *ret_entry,
                  struct flic_err *err);
/* Makes a copy anew; false: it is gone. *ret_changed (may be NULL): it lies elsewhere than the copy said, so that what failed by that
 * may go well now. */
bool ck_find_again(struct ck_store *store, struct ck_entry *entry, bool *ret_changed);
/* Newest first, copies. gives *ret_entries (free()). */
int ck_list(struct ck_store *store, struct ck_entry **ret_entries, size_t *ret_n, struct flic_err *err);

/* A new sequence number, above everything ever given to this guest. */
int ck_next_seq(struct ck_store *store, const struct flic_uuid *guest, uint64_t *ret_seq, struct flic_err *err);

/* Room for one ck_add(), so that nothing can fail once a checkpoint is durable. Each is used or given back. */
int ck_reserve(struct ck_store *store, struct flic_err *err);
void ck_unreserve(struct ck_store *store);

/* Called by save, destage, restore and forget after the durable fact; outside of work. They cannot fail: an index that
 * cannot be written is derived, and the next start brings it in line. */
void ck_add(struct ck_store *store, const struct ck_entry *entry);      /* uses a reservation */
void ck_moved_to_flash(struct ck_store *store, const struct nv_name *name, const struct flic_id *root);
/* What somebody found out about its damage (pages 0 and root false: there is none). */
struct ck_damage {
    uint64_t pages, first_gfn;
    bool leaf;                  /* a list of pages is lost */
    bool root;                  /* not even its root or the list of its leaves can be read */
    bool flash;                 /* its flash form lacks what its NVRAM form has: ck_lost_flash() */
};
void ck_set_damage(struct ck_store *store, const struct nv_name *name, const struct ck_damage *damage);
/* Its flash form is not whole, its NVRAM form has more: that is no cache any more, durably, and is moved to flash again. */
void ck_lost_flash(struct ck_store *store, const struct nv_name *name);
/* "300 of its pages are lost, the first at gfn 0x264". */
#define CK_DAMAGE_TEXT 128
void ck_damage_text(const struct ck_entry *entry, char out[CK_DAMAGE_TEXT]);
void ck_mirror_packs(struct ck_store *store);       /* those sealed since the last time */
void ck_cannot_move(struct ck_store *store, const struct nv_name *name, uint64_t until_us);
void ck_count_restore(struct ck_store *store, const struct nv_name *name);
/* Durable tombstone first, then the catalog, then frames and packs nobody needs any more; with ret_freed_bytes NULL the packs are left
 * to the caller's ck_collect(). */
int ck_forget(struct ck_store *store, const struct nv_name *name, bool dry_run, uint64_t *ret_freed_bytes,
              struct flic_err *err);

/* ---- who may run when ---- */

/* A checkpoint in use by a running operation is not forgotten (FLIC_E_BUSY); one that is being forgotten, or is gone, is not
 * used (FLIC_E_BUSY, FLIC_E_NOCHECKPOINT). */
int ck_use(struct ck_store *store, const struct nv_name *name, struct flic_err *err);
void ck_unuse(struct ck_store *store, const struct nv_name *name);

/* Between ck_quiet_begin() and _end() (a pause) nothing of ours writes flash. Every flash-writing step of live rounds, destage and
 * collection stands between ck_work_begin() and _end(), each a few ms at most: begin waits while a pause is on, and
 * ck_quiet_begin() waits for the steps that have begun. Never nested. */
void ck_quiet_begin(struct ck_store *store);
void ck_quiet_end(struct ck_store *store);
void ck_work_begin(struct ck_store *store);
void ck_work_end(struct ck_store *store);

/* Ends a writer (accepts NULL), after the catalog has what it was for. Outside of work. */
void ck_end_writer(struct ck_store *store, struct pk_writer *writer);

#endif
