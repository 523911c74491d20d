/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * arena - what the files of this folder share. Nothing outside includes it.
 *
 * Who does what:  frames.c  which frames are free          table.c    what is known, in RAM
 *                 log.c     writing records, compaction    recovery.c reading them back
 *                 super.c   creating, superblocks          txn.c      new objects
 *                 nvram.c   notes, pins, reading
 *
 * Every live record is kept in RAM as the image that was or will be written, so compaction and readers never
 * depend on reading the medium again. Everything here is called with the arena's lock held unless it says so.
 */
#ifndef FLIC_DAEMON_NVRAM_ARENA_H
#define FLIC_DAEMON_NVRAM_ARENA_H

#include <pthread.h>
#include <stdbool.h>

#include "daemon/nvram/layout.h"
#include "daemon/nvram/nv_media.h"
#include "daemon/nvram/nvram.h"

#define NV_NOTE_MAX 16384u      /* bytes of a note's payload */
#define NV_NOTES (NV_NOTE_FORGOTTEN + 1)

/* ---- frames.c ---- */

struct nv_frames {
    uint64_t *used;         /* a bit per frame */
    uint16_t *writes;       /* of each since open, not beyond UINT16_MAX; a frame has one writer at a time */
    uint32_t count, free, next;     /* next: where the search goes on, so that all frames wear alike */
};

int nv_frames_init(struct nv_frames *f, uint32_t count);
void nv_frames_fini(struct nv_frames *f);
void nv_frames_take(struct nv_frames *f, uint32_t n, uint32_t *ret_list);  /* n <= f->free */
bool nv_frames_mark(struct nv_frames *f, uint32_t frame);   /* false when it was in use already */
void nv_frames_wrote(struct nv_frames *f, uint32_t frame);     /* needs no lock */
void nv_frames_put(struct nv_frames *f, const uint32_t *list, uint32_t n);

/* ---- table.c ---- */

/* A record as it stands, or will stand, in the log. */
struct nv_image {
    uint64_t size;          /* of head and payload */
    struct nvl_head head;
    uint8_t payload[];
};

struct nv_entry {
    struct nv_entry *next;          /* in order of first sight */
    struct nv_name name;
    struct nv_image *object;        /* NULL: only notes are known */
    struct nv_image *notes[NV_NOTES];   /* by enum nv_note; the newest of each */
    uint32_t *frames;               /* the object's, in order */
    uint32_t n_frames;
    uint32_t pins;
    bool dead;                      /* dropped while pinned: not in the log any more, goes with the last pin */
    uint64_t reserved;              /* log bytes kept for its PUBLISHED note */
};

struct nv_arena {
    struct nv_media *media;
    struct nvl_super super;
    struct nvl_geometry geo;
    pthread_mutex_t lock;

    struct nv_frames frames;
    struct nv_entry *first, **last; /* last: where the next entry is hung */

    unsigned half;                  /* in force */
    uint32_t generation;            /* of that half */
    uint64_t tail;                  /* where the next record goes, from the half's start */
    uint64_t next_seq;
    uint64_t live;                  /* log bytes of all live records and the start record */
    uint64_t reserved;              /* log bytes promised to open transactions and unpublished objects */

    bool no_memory;                 /* recovery ran out of it: not the medium's fault */
    bool broken;                    /* a fence failed: what is durable is unknown, so nothing is written again */
    uint32_t open_txns;
    uint32_t damaged;
    uint64_t bytes_written;         /* atomic: page copies run without the lock */
};

struct nv_image *nv_image_new(enum nvl_kind kind, size_t payload_len);   /* gives, zeroed; NULL without memory */
struct nvl_name nv_name_out(const struct nv_name *name);
struct nv_name nv_name_in(const struct nvl_name *name);

struct nv_entry *nv_table_find(struct nv_arena *a, const struct nv_name *name);
/* The entry of that name, made if needed; NULL without memory (and no_memory set). */
struct nv_entry *nv_table_reach(struct nv_arena *a, const struct nv_name *name);
void nv_table_hang(struct nv_arena *a, struct nv_entry *entry);     /* takes */
void nv_table_free(struct nv_arena *a);

static inline bool nv_entry_present(const struct nv_entry *e)
{
    return e->object && !e->dead;
}

/* Log bytes that go with the object: its record and its PUBLISHED and DESTAGED notes. */
uint64_t nv_entry_log_bytes(const struct nv_entry *entry);

/* Carries a NOTE or DROP record out in RAM; takes the image on success. False: it says nothing valid (a damaged or
 * hostile record). Cannot fail for a well-formed record whose entry exists. */
bool nv_table_apply(struct nv_arena *a, struct nv_image *image);
/* As above for an OBJECT record that recovery read: checks the extents and takes the frames. */
bool nv_table_apply_object(struct nv_arena *a, struct nv_image *image);
/* Ends the object (not FORGOTTEN and RESTORED notes): its frames are free now, or after the last pin. */
void nv_table_end_object(struct nv_arena *a, struct nv_entry *entry);
/* Frees what a dead, unpinned object still holds, and the entry if nothing is left in it. */
void nv_table_settle(struct nv_arena *a, struct nv_entry *entry);

/* ---- log.c ---- */

static inline uint64_t nv_log_at(const struct nv_arena *a, unsigned half)
{
    return NVL_LOG_AT + half * a->geo.log_bytes;
}

void nv_count(struct nv_arena *a, uint64_t bytes);      /* adds to bytes_written; needs no lock */
int nv_usable(struct nv_arena *a, struct flic_err *err);
int nv_fence_or_break(struct nv_arena *a, struct flic_err *err);

/* Would `bytes` more fit beside what is live and reserved, after a compaction at most? */
bool nv_log_fits(const struct nv_arena *a, uint64_t bytes);
/* Makes sure that `bytes` more fit beside everything reserved, compacting if that helps; else FLIC_E_NOSPACE. */
int nv_log_room(struct nv_arena *a, uint64_t bytes, struct flic_err *err);
/* Writes one record by the commit rule; durable when it returns 0. The room must be there. */
int nv_log_append(struct nv_arena *a, struct nv_image *image, struct flic_err *err);
/* Writes all live records to the other half and puts that in force. */
int nv_log_compact(struct nv_arena *a, struct flic_err *err);
/* One NOTE or DROP, on the medium and in RAM; takes the image, also on failure. A change that frees at least what it
 * takes succeeds in a full log too: the compaction without the freed records is its commit. */
int nv_log_change(struct nv_arena *a, struct nv_image *image, uint64_t frees, struct flic_err *err);
/* Drops `what` (NVL_DROP_OBJECT or a note) of an entry. */
int nv_log_drop(struct nv_arena *a, struct nv_entry *entry, uint32_t what, struct flic_err *err);

/* ---- super.c ---- */

/* Reads the superblock; counts a damaged copy in ret_damaged. Errors as nv_open(). */
int nv_super_read(const struct nv_media *media, const char *path, struct nvl_super *ret_super,
                  uint32_t *ret_damaged, struct flic_err *err);

/* Writes a damaged copy again from the other, if there is one. Recovery's fence, which follows, completes it. */
void nv_super_repair(struct nv_media *media, const struct nvl_super *super);

/* ---- recovery.c ---- */

/* Fills the table, the frames and the log position from the medium. */
int nv_recover(struct nv_arena *a, struct flic_err *err);

#endif
