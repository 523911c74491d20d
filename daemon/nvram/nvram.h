/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * nvram - the arena: page frames and a commit log in byte-addressable non-volatile memory.
 *
 * The arena is one file on fs-DAX (mapped with MAP_SYNC), one device-DAX node, or, reported as
 * *emulated*, a plain file (msync in the place of cache-line flushes). It holds objects. An object is a
 * set of frames plus one root record in the commit log; it exists exactly when its record's switch, an
 * aligned 8-byte store, is durable. Every byte an object refers to is durable before that switch.
 *
 *   txn_begin (reserves frames; may fail for room) -> fill frames -> txn_commit (log record, flush,
 *   fence, 8-byte switch, flush, fence) or txn_abort. Between begin and commit nothing allocates.
 *
 * Notes about an object (published, destaged, restored, forgotten) are later log records with the same
 * commit rule. The log wraps by compacting live records into its other half and switching halves with the same
 * 8-byte word. Recovery is one scan of the log; nv_open() does it and tells what it found.
 *
 * Every NVRAM store goes through the three calls of nv_media.h (store, flush, fence).
 * Thread-safe; frames of an open transaction belong to its owner. Does not know what is in an object.
 */
#ifndef FLIC_DAEMON_NVRAM_NVRAM_H
#define FLIC_DAEMON_NVRAM_NVRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/id.h"
#include "common/uuid.h"

struct nv_arena;
struct nv_txn;

enum nv_media_kind { NV_FS_DAX, NV_DEV_DAX, NV_PLAIN_FILE };

struct nv_info {
    enum nv_media_kind kind;    /* NV_PLAIN_FILE is "emulated" wherever it is shown */
    struct flic_uuid arena;
    struct flic_uuid store;     /* the flash store that this arena belongs to */
    uint64_t size_bytes;
    uint32_t frames;            /* of FLIC_PAGE_SIZE each */
    uint32_t frames_free;
    uint32_t frames_cached;     /* hold destaged objects: given up when room is needed */
    uint64_t log_bytes;         /* of one half */
    uint64_t log_used;
    uint64_t bytes_written;     /* to frames and log since open */
    uint64_t frame_writes;      /* since open, each frame's counted up to UINT16_MAX */
    uint32_t frame_writes_least, frame_writes_most;     /* of any one frame */
    uint32_t damaged;           /* log records that recovery could not read */
    bool broken;                /* it failed to take a write: no more changes, and what of the last one is durable shows the next open */
};

/* Creates and pre-faults an arena (zeros written, so that no first touch happens in a pause). `size` 0 means the
 * whole device or existing file. Refuses (FLIC_E_FOREIGN) to overwrite anything that is not empty or zero, and (FLIC_E_NVRAM) to make a
 * file below /dev, but for /dev/shm. */
int nv_create(const char *path, uint64_t size_bytes, const struct flic_uuid *store, struct flic_err *err);

/* Opens and recovers. FLIC_E_NVRAM: missing or too small; FLIC_E_FOREIGN: not an arena, or of another store
 * (`store` is compared; the message names both); FLIC_E_VERSION; FLIC_E_DAMAGED: both superblocks bad, or no half of
 * the log fits its switch; FLIC_E_BUSY: open elsewhere. Damaged records are skipped and counted (nv_info.damaged): the
 * objects and notes they held are gone, all others are there. What it tells is durable, also after a kill -9. */
int nv_open(const char *path, const struct flic_uuid *store, struct nv_arena **ret_arena, struct flic_err *err);
void nv_close(struct nv_arena *arena);      /* accepts NULL; open transactions must be gone */
void nv_get_info(struct nv_arena *arena, struct nv_info *ret_info);

/* ---- objects ---- */

/* What names an object: the guest and its checkpoint's sequence number, never reused. */
struct nv_name {
    struct flic_uuid guest;
    uint64_t seq;
};

/* Reserves `frames` frames. Takes free frames first, then gives up the oldest cached objects (their frames and
 * records) if that is enough; FLIC_E_NOSPACE otherwise, naming how much is there. Rotates through the arena (wear). */
int nv_txn_begin(struct nv_arena *arena, uint32_t frames, struct nv_txn **ret_txn, struct flic_err *err);
void nv_txn_abort(struct nv_txn *txn);      /* accepts NULL; frees the frames */

uint32_t nv_txn_frames(const struct nv_txn *txn);
/* The i-th frame of the transaction, i < nv_txn_frames(). Write it only through the calls below. */
const void *nv_txn_frame(const struct nv_txn *txn, uint32_t i);

/* A hint, ahead of a pause, that frames 0..n-1 will be written next. May take a while. */
void nv_txn_expect(struct nv_txn *txn, uint32_t n);

/* Frames [next, end) of a transaction that pages may go to, shared by whoever adds pages. Given out too often, `next` passes `end`. */
struct nv_room { _Atomic uint32_t next; uint32_t end; };
#define NV_NO_FRAME UINT32_MAX

/* Copies one page into the next frame of `room` with streaming stores and computes its id (secret 0) in the same pass. The id
 * is that of the bytes in the frame, also when the page changes meanwhile. *ret_frame is the frame, or NV_NO_FRAME: a page of
 * zeros needs none (FLIC_ID_ZERO), and another got none because there was none left. Callable from several threads at
 * once. The bytes are durable after nv_txn_commit()'s fence. Fastest in the thread that called nv_txn_begin(); any other pays
 * a store barrier per page. If the beginning thread copies, it must also commit. */
struct flic_id nv_txn_add_page(struct nv_txn *txn, struct nv_room *room, const void *page, const struct flic_secret *secret,
                               uint32_t *ret_frame);

/* Copies `len` bytes into consecutive frames from frame `i` on (padding the last with zeros); returns frames used. */
uint32_t nv_txn_put_bytes(struct nv_txn *txn, uint32_t i, const void *data, size_t len);

/* Commits: log record {name, frame list, root bytes}. `root` <= NV_ROOT_MAX. Frees the frames from
 * `used_frames` on, reserved and not used. On success the txn is gone. Fails only for a full log that cannot be
 * compacted (FLIC_E_NOSPACE; cannot happen, the room was reserved), a media error, -EEXIST for a name that is taken, or
 * FLIC_E_INTERNAL for the wrong thread (above); the txn then stays for nv_txn_abort(). After a media error the arena
 * refuses every further change with -EIO, because what is durable is unknown until it is opened again. */
#define NV_ROOT_MAX 65536u
int nv_txn_commit(struct nv_txn *txn, const struct nv_name *name, uint32_t used_frames,
                  const void *root, size_t root_len, struct flic_err *err);

/* ---- notes about committed objects ---- */

enum nv_note {
    NV_NOTE_PUBLISHED = 1,  /* offered for restore; payload: caller's bytes (disk identities) */
    NV_NOTE_DESTAGED = 2,   /* also on flash: frames are only a cache from here on */
    NV_NOTE_RESTORED = 3,   /* payload: caller's bytes (instance, boot id) */
    NV_NOTE_FORGOTTEN = 4,  /* tombstone: frees the frames; kept until nv_note_drop() */
};
/* Durable when it returns 0. `payload` <= 16 KiB. A note about an unknown object is legal for FORGOTTEN and RESTORED
 * (the object may live on flash only); PUBLISHED and DESTAGED give FLIC_E_NOCHECKPOINT then. The room for one PUBLISHED
 * note per object is reserved at begin. A note replaces an older one of its kind. */
int nv_note_add(struct nv_arena *arena, const struct nv_name *name, enum nv_note note,
                const void *payload, size_t len, struct flic_err *err);

/* Forgets a FORGOTTEN or RESTORED note once flash holds the same fact, or a DESTAGED one that is no longer true: once this returns 0
 * the frames are no cache. A note that is not there is no error; DESTAGED of an object that is not there is FLIC_E_NOCHECKPOINT. */
int nv_note_drop(struct nv_arena *arena, const struct nv_name *name, enum nv_note note, struct flic_err *err);

/* ---- reading ---- */

struct nv_object {              /* a view, valid until the object is given up or forgotten: hold a pin */
    struct nv_name name;
    bool published, destaged, forgotten, present;   /* !present: only notes are known */
    const void *root;
    size_t root_len;
    uint32_t frames;
    const void *published_note; size_t published_len;
    const void *restored_note; size_t restored_len;     /* valid until the next RESTORED note or its drop */
};
/* Calls back for every known object or note-only name, oldest commit first. The callback must not call nv_*. */
int nv_each(struct nv_arena *arena, int (*see)(const struct nv_object *obj, void *arg), void *arg);
/* Pins an object so that its frames stay, also when it is forgotten meanwhile; false when it is not present. Pins
 * count; unpin with nv_unpin(). */
bool nv_pin(struct nv_arena *arena, const struct nv_name *name, struct nv_object *ret_obj);
void nv_unpin(struct nv_arena *arena, const struct nv_name *name);
/* The i-th frame of a pinned object, i < obj.frames. */
const void *nv_object_frame(struct nv_arena *arena, const struct nv_name *name, uint32_t i);
/* Drops an object that was never published (its operation is gone). FLIC_E_REFUSED for a published one. */
int nv_drop_unpublished(struct nv_arena *arena, const struct nv_name *name, struct flic_err *err);

#endif
