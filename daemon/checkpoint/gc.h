/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * gc - gives back the flash that nothing in use takes: packs that are not used at all go, of those used little what is used moves
 * to a new pack first, and many small packs become one.
 *
 * Order: the new pack is sealed, its folder synced, then the old packs are removed. Wherever it is cut off, everything is there
 * at least once; what is there twice goes the next time. Runs beside saves, restores, destages and forgets; packs that a running
 * operation or a tracked guest needs are left alone and counted. One at a time (FLIC_E_BUSY).
 *
 * What needs no room goes first, and without room for a whole batch packs go one by one. When it is called off, what was moved so
 * far is sealed if it is a MiB or finishes a pack: a gc that is called off every few seconds comes to an end, too.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_GC_H
#define FLIC_DAEMON_CHECKPOINT_GC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/checkpoint/store.h"

struct ck_gc_params {
    unsigned live_percent;          /* packs of whose objects fewer are in use are compacted; 0: none */
    uint64_t kib_per_s;             /* of what is moved; 0: as fast as it goes */
    bool anyway;                    /* also when ck_check_all_seen() refuses: somebody asked for it */
    bool dry_run;                   /* only find out; the figures are then what would be, the moved bytes an estimate */
    const struct nv_name *without;  /* of a dry run: as if these were forgotten */
    size_t n_without;
    bool (*cancelled)(void *arg);   /* asked between steps */
    void *arg;
};

struct ck_gc_figures {
    uint64_t packs, packs_removed, packs_compacted, packs_written;
    uint64_t packs_in_use;          /* left alone: a running operation or a tracked guest needs them */
    uint64_t packs_damaged;         /* left alone: something in use in them cannot be read */
    uint64_t objects_in_use, objects_moved;
    uint64_t removed_bytes, flash_bytes;    /* of packs removed; written for that */
    uint64_t freed_bytes;           /* the difference, never negative */
    uint64_t took_us;
};

/* FLIC_E_CANCELLED and FLIC_E_NOSPACE keep what was done before; the figures say what. */
int ck_gc(struct ck_store *store, const struct ck_gc_params *params, struct ck_gc_figures *figures, struct flic_err *err);

#endif
