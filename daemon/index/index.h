/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * index - what the store holds, in SQLite (WAL), for questions and for a quick start.
 *
 * Everything but the journal and the sequence counters is derived from the arena and the packs and can be rebuilt
 * (ix_begin_sync ... ix_end_sync replaces it in one transaction). The SQL stands in schema/sql/, one statement a
 * name. Never called between pause and captured. The only folder that includes sqlite3.h.
 *
 * Journal entries and sequence numbers are durable when their call returns; derived rows may be lost in a power cut, so
 * the caller synchronises at start. One process has the file open at a time (FLIC_E_BUSY).
 * Thread-safe. A callback may call the index, except to start the walk that it is called from (FLIC_E_INTERNAL).
 *
 * Errors besides those named: FLIC_E_DAMAGED when the file turns out corrupt at any call, FLIC_E_NOSPACE, -errno.
 */
#ifndef FLIC_DAEMON_INDEX_INDEX_H
#define FLIC_DAEMON_INDEX_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid.h"

struct ix_index;

/* Opens or creates; a corrupt file is FLIC_E_DAMAGED, a newer one FLIC_E_VERSION, another program's FLIC_E_FOREIGN, and
 * the caller decides to move it away. An older one is upgraded. */
int ix_open(const char *path, struct ix_index **ret_index, struct flic_err *err);
void ix_close(struct ix_index *ix);     /* accepts NULL */
/* Renames the closed file at `path` and what SQLite keeps beside it to "<name>.damaged", replacing earlier ones. */
int ix_set_aside(const char *path, struct flic_err *err);

/* Whether the open file is sound, and still the one at its path; FLIC_E_DAMAGED says why not. */
int ix_check(struct ix_index *ix, struct flic_err *err);
/* Sets the file aside, journal and counters with it, and goes on with a new, empty one; whoever uses the index meanwhile waits. After
 * an error every call fails until it is opened again. */
int ix_replace(struct ix_index *ix, struct flic_err *err);

/* ---- checkpoints (derived) ---- */

enum ix_place { IX_NVRAM = 1, IX_FLASH = 2 };   /* bits */

struct ix_checkpoint {
    struct flic_uuid guest;
    uint64_t seq;
    char name[256];             /* the guest's name at that time */
    uint64_t taken_ns;          /* CLOCK_REALTIME at pause */
    uint64_t ram_bytes;         /* pages present x 4096 */
    uint64_t working_set_bytes; /* captured in the pause */
    uint32_t places;            /* enum ix_place bits */
    uint32_t restored;          /* how often */
    char arch[16];
};
/* Starts replacing the derived tables: rows that are not put again until ix_end_sync(commit) are gone then. Rows put
 * again unchanged cost no write. Both calls by one thread; other threads wait meanwhile, and this one must not ask for
 * sequence numbers or write the journal (FLIC_E_INTERNAL). `commit` false leaves everything as it was. */
int ix_begin_sync(struct ix_index *ix, struct flic_err *err);
int ix_end_sync(struct ix_index *ix, bool commit, struct flic_err *err);
/* Replaces what is known of that checkpoint. seq > 0; all figures below 2^63. */
int ix_put_checkpoint(struct ix_index *ix, const struct ix_checkpoint *ck, struct flic_err *err);
int ix_drop_checkpoint(struct ix_index *ix, const struct flic_uuid *guest, uint64_t seq, struct flic_err *err);
/* Newest first: by seq for one guest, by taken_ns for all (`guest` NULL). A callback's non-zero value ends the walk and is returned. */
int ix_each_checkpoint(struct ix_index *ix, const struct flic_uuid *guest,
                       int (*see)(const struct ix_checkpoint *ck, void *arg), void *arg, struct flic_err *err);
/* The next never-used sequence number of a guest, durable when returned; at least `at_least` (what roots and tombstones
 * say, after the file was lost) and above every checkpoint that the index knows. */
int ix_next_seq(struct ix_index *ix, const struct flic_uuid *guest, uint64_t at_least, uint64_t *ret_seq,
                struct flic_err *err);

/* ---- packs and their hash runs (derived) ---- */

/* run_len is a multiple of 16. */
int ix_put_pack(struct ix_index *ix, uint32_t number, uint64_t bytes, uint32_t objects,
                const void *run, size_t run_len, struct flic_err *err);
int ix_drop_pack(struct ix_index *ix, uint32_t number, struct flic_err *err);
/* The runs, borrowed during the call. A callback's non-zero value ends the walk and is returned. */
int ix_each_run(struct ix_index *ix, int (*see)(uint32_t number, const uint8_t *run, size_t len, void *arg), void *arg, struct flic_err *err);

/* ---- the journal: what each operation did (not derived) ---- */

struct ix_entry {
    uint64_t id;                /* given by ix_journal_add() */
    uint64_t began_ns, took_ns; /* CLOCK_REALTIME; duration */
    char verb[24];              /* save, restore, destage, forget, recovery ... */
    char guest_name[256];
    struct flic_uuid guest;
    uint64_t seq;               /* 0: none */
    int code;                   /* 0 or the error */
    const char *message;        /* the error's sentence, or "" ; borrowed */
    const char *figures;        /* one JSON object: phases in us, pages by kind, bytes; borrowed */
};
/* message and figures may be NULL for "" and "{}". */
int ix_journal_add(struct ix_index *ix, const struct ix_entry *entry, struct flic_err *err);
/* As soon as there are a sixteenth more than `keep` (> 0): the oldest go until `keep` are left, 256 of them a call at most. */
int ix_journal_trim(struct ix_index *ix, uint32_t keep, struct flic_err *err);
/* Newest first, only this guest unless NULL, only ids below `before` unless 0. Nobody waits for the index while `see` is called, which may take
 * its time; what is written meanwhile is not seen. A value other than 0 of `see` ends the walk and is returned. */
int ix_journal_each(struct ix_index *ix, const struct flic_uuid *guest, uint64_t before,
                    int (*see)(const struct ix_entry *entry, void *arg), void *arg, struct flic_err *err);

#endif
