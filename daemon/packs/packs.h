/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * packs - content-addressed objects on flash, in append-only files.
 *
 * A pack holds objects (pages, map leaves, checkpoint roots, tombstones) in compressed frames, then a
 * footer with the sorted ids (format.h). It is at most PK_MAX_BYTES long and immutable once sealed. While it
 * is written its name ends in ".new"; nothing durable can refer to it, and opening the store removes it.
 *
 * A writer belongs to one operation. pk_put() deduplicates against everything sealed and against the writer's own
 * objects; a hit is byte-compared before it counts, and a content that differs under an equal id is stored under
 * the next secret's id. What was put is durable and visible to others after pk_seal(), and gone after pk_writer_free()
 * without a seal. After any error of pk_put() or pk_seal() the writer's unsealed files are removed at once and every
 * later call on it fails: free it.
 *
 * A sealed pack is all there or not there; of several packs in one seal the last becomes durable last. So a root
 * that is put last never outlives, in a power cut, what was put before it.
 *
 * The lookup table in RAM is filled from *runs*, each pack's sorted footer, which the index keeps too; the packs
 * are the truth. An object may lie in more than one pack (two writers at once); a read takes the copy that verifies.
 * Thread-safe; one writer is used by one thread at a time. One process opens a folder at a time (FLIC_E_BUSY).
 * Knows no Xen and no SQLite.
 */
#ifndef FLIC_DAEMON_PACKS_PACKS_H
#define FLIC_DAEMON_PACKS_PACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/id.h"

#define PK_MAX_BYTES (64u << 20)
#define PK_OBJECT_MAX (8u << 20)

enum pk_kind { PK_PAGE = 1, PK_LEAF = 2, PK_ROOT = 3, PK_TOMBSTONE = 4 };

struct pk_store;
struct pk_writer;

struct pk_stats {
    uint64_t packs;
    uint64_t objects;
    uint64_t bytes;             /* of all sealed packs */
    uint64_t table_bytes;       /* RAM of the lookup table */
    uint32_t quarantined;       /* set aside by pk_set_aside(), or header, footer or trailer damaged: left in place, not used */
    uint32_t unread;            /* of these, under their own name still: they may be read another time */
    uint32_t foreign;           /* whole packs of another store's secret; left in place, not used */
    uint32_t unfinished;        /* removed at open */
};

/* Opens (creates) the folder `dir`. The secret is borrowed and must outlive the store. A damaged or foreign pack does not
 * stop it (see the stats); a pack of a newer format does: FLIC_E_VERSION. */
int pk_open(const char *dir, const struct flic_secret *secret, struct pk_store **ret_store, struct flic_err *err);
void pk_close(struct pk_store *store);      /* accepts NULL */
void pk_get_stats(struct pk_store *store, struct pk_stats *ret_stats);

/* ---- writing ---- */

struct pk_put_stats {
    uint64_t objects, new_objects;      /* put; of these stored anew */
    uint64_t new_bytes;                 /* of new objects before compression */
    uint64_t flash_bytes;               /* written to pack files, footers included */
};

int pk_writer_new(struct pk_store *store, struct pk_writer **ret_writer, struct flic_err *err);
/* Stores `data` unless an equal object of this kind is there; *ret_id is its id either way, *ret_new (may be NULL)
 * tells which. All-zero pages are the caller's business. 0 < len <= PK_OBJECT_MAX. FLIC_E_NOSPACE on ENOSPC, with what
 * was needed. FLIC_E_REFUSED when all FLIC_ID_TRIES ids are taken by other contents; the writer stays usable then.
 * A pack that a hit lies in is not collected before pk_writer_free(). */
int pk_put(struct pk_writer *w, enum pk_kind kind, const void *data, size_t len,
           struct flic_id *ret_id, bool *ret_new, struct flic_err *err);
/* As pk_put() for an object whose id under secret 0 the caller already has (no second hash pass). */
int pk_put_hashed(struct pk_writer *w, enum pk_kind kind, const struct flic_id *id0, const void *data, size_t len,
                  struct flic_id *ret_id, bool *ret_new, struct flic_err *err);
/* Keeps every sealed pack that may hold this object from being collected before pk_writer_free(); *ret_there: there is one. For
 * who takes over from another writer, which lives until this is done. */
int pk_keep(struct pk_writer *w, const struct flic_id *id, bool *ret_there, struct flic_err *err);
/* Makes everything durable: frames, footers, fsync of files, then of the folder. The writer can go on with new packs. */
int pk_seal(struct pk_writer *w, struct flic_err *err);
void pk_get_put_stats(const struct pk_writer *w, struct pk_put_stats *ret_stats);
/* Whether an error ended it: what it had not sealed is gone. */
bool pk_writer_failed(const struct pk_writer *w);
/* Removes what is not sealed. Accepts NULL. Ends the writer (also the normal end after a seal). Call it after the root
 * that refers to the writer's objects is durable: until then pk_remove() leaves what it sealed or hit alone. */
void pk_writer_free(struct pk_writer *w);

/* ---- reading ---- */

/* By 76 of the id's 128 bits, without touching flash; reads are exact. */
bool pk_has(struct pk_store *store, const struct flic_id *id);
/* Where an object lies, for reading in pack order: (pack << 32 | offset) or UINT64_MAX when unknown. */
uint64_t pk_place(struct pk_store *store, const struct flic_id *id);
/* Reads and verifies one object: its id is recomputed. *ret_len <= cap. FLIC_E_DAMAGED names pack and offset;
 * FLIC_E_NOCHECKPOINT never: an unknown id is FLIC_E_DAMAGED ("object ... is in no pack"). */
int pk_read(struct pk_store *store, const struct flic_id *id, void *buf, size_t cap, size_t *ret_len,
            struct flic_err *err);
/* Reads `n` pages in pack order, decoding each frame once, calling back for each page in the order they come; for
 * restore. `ids` need not be sorted or distinct; `tag` is the index into ids. The page is borrowed during the call. */
int pk_read_pages(struct pk_store *store, const struct flic_id *ids, size_t n,
                  int (*got)(size_t tag, const void *page, void *arg), void *arg, struct flic_err *err);

/* Every root and tombstone in the sealed packs, oldest first; bytes borrowed during the call. A damaged one is
 * told with data == NULL. */
int pk_each_root(struct pk_store *store,
                 int (*see)(enum pk_kind kind, const struct flic_id *id, const void *data, size_t len, void *arg),
                 void *arg, struct flic_err *err);

/* For the index: the sealed packs and their runs (16-byte ids, sorted, concatenated; borrowed during the call). */
struct pk_pack_info {
    uint32_t number;
    uint64_t bytes;
    uint32_t objects;
    const uint8_t *run;
    size_t run_len;
};
/* `from` (NULL: all) is where the last walk ended, 0 at first; a walk without an error moves it. */
int pk_each_pack(struct pk_store *store, uint32_t *from, int (*see)(const struct pk_pack_info *pack, void *arg), void *arg);

/* ---- giving space back ---- */

/*
 * Who gives space back takes a moment, then finds out what is in use, then surveys, moves and removes. A pack that a live
 * writer sealed or hit, or that one did which was freed after the moment, is not removed: what such a writer was for may not
 * be among what was found. So nothing needs to stand still meanwhile.
 */
uint64_t pk_moment(struct pk_store *store);

struct pk_use {
    uint32_t number, slot;
    uint64_t bytes;
    uint32_t objects, used;     /* used: how often `claim` said yes */
    bool idle;                  /* no writer needs it, or has since the moment */
    bool known;                 /* its footer could be read: always so in a survey's result */
};
/* All packs, newest first, but those that another moves. `claim` is asked about every object once, roots and tombstones
 * included; who says yes only once for an id counts one copy of it. Gives *ret_uses (free()). */
int pk_survey(struct pk_store *store, uint64_t since, bool (*claim)(const struct flic_id *id, void *arg), void *arg,
              struct pk_use **ret_uses, size_t *ret_n, struct flic_err *err);
/* Removes one; *ret_gone is false when somebody needs it, or another was faster. pk_sync() makes removals durable; a pack that comes
 * back in a power cut before that does no harm. */
int pk_remove(struct pk_store *store, uint64_t since, const struct pk_use *use, bool *ret_gone, struct flic_err *err);
int pk_sync(struct pk_store *store, struct flic_err *err);
/* False: pk_remove() would leave it, now and for as long as `since` is what it is asked with. */
bool pk_is_idle(struct pk_store *store, uint64_t since, const struct pk_use *use);

/* These are going to be moved (or, after all, no longer are): all that will be are said so before the first is. */
void pk_leave(struct pk_store *store, const struct pk_use *uses, size_t n, bool leaving);

/* Puts what `used` says of a pack into a writer of pk_mover_new(), unless an equal copy lies in a pack that nobody moves.
 * After pk_seal() the pack can be removed if nothing was lost. */
struct pk_moving;
struct pk_move_stats {
    uint64_t moved, moved_bytes;        /* stored anew, before compression */
    uint64_t lost;                      /* in use, unreadable, and nowhere else */
};
int pk_mover_new(struct pk_store *store, struct pk_writer **ret_writer, struct flic_err *err);
/* -ENOENT: it is gone. `used` is called by pk_move_some(). A footer that cannot be read is done without: where objects lie is in memory, and
 * each of them says what it is. */
int pk_move_begin(struct pk_store *store, const struct pk_use *use, bool (*used)(const struct flic_id *id, void *arg), void *arg,
                  struct pk_moving **ret_moving, struct flic_err *err);
int pk_move_some(struct pk_writer *w, struct pk_moving *moving, uint32_t n, bool *ret_done, struct flic_err *err);
/* Each that is lost is told, with pk_move_begin()'s arg. */
void pk_move_tell_lost(struct pk_moving *moving, void (*lost)(const struct flic_id *id, enum pk_kind kind, void *arg));
void pk_move_stats(const struct pk_moving *moving, struct pk_move_stats *ret_stats);
void pk_move_end(struct pk_moving *moving);     /* accepts NULL */

/* ---- checking ---- */

/* The packs, oldest first, without a look into them; those that another moves are left out. Gives *ret_uses (free()). */
int pk_list(struct pk_store *store, struct pk_use **ret_uses, size_t *ret_n, struct flic_err *err);

/* Reads one pack from flash, whatever memory holds of it: each frame's checksum, each object against its id. */
struct pk_checking;
struct pk_check_stats {
    uint64_t objects, bad;
    uint64_t bytes;             /* read */
};
/* FLIC_E_DAMAGED: not even its footer can be read. -ENOENT: it is gone. */
int pk_check_begin(struct pk_store *store, uint32_t number, struct pk_checking **ret_checking, struct flic_err *err);
int pk_check_some(struct pk_checking *checking, uint32_t frames, bool *ret_done, struct flic_err *err);
void pk_check_stats(const struct pk_checking *checking, struct pk_check_stats *ret_stats);
void pk_check_end(struct pk_checking *checking);        /* accepts NULL */

/* Puts an object back under the id that it had, by a mover: it has been found elsewhere. */
int pk_mend(struct pk_writer *mover, enum pk_kind kind, const struct flic_id *id, const void *data, size_t len, struct flic_err *err);
/* Sets a pack aside as "<name>.bad": it is not used any more, nor ever removed. `mover` moved what could be read of it, and
 * sealed that; pk_sync() makes it durable. What was lost is in no pack from then on. -ENOENT: it is gone. */
int pk_set_aside(struct pk_store *store, const struct pk_use *use, struct pk_writer *mover, struct flic_err *err);

/* How many packs were set aside since the store was opened. Who remembers what lies in packs looks again (pk_has()) when that changed. */
uint64_t pk_losses(struct pk_store *store);

#endif
