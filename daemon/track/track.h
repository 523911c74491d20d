/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * track - one guest tracked ahead of its save: log-dirty on, read every epoch; what stayed clean is copied to packs.
 *
 *   epoch    one CLEAN. Short while the guest writes much, long while it is idle, within tk_conf's bounds.
 *   history  a byte a page: in which of the last eight epochs it was written (bit 0: the last).
 *   copy     a page that is not known to be on flash, was clean for `clean_epochs` and is not in the write set is copied, and is
 *            *pending* until the next CLEAN: only if its bit is clear there does the copy count (invariant 3).
 *   lend     a save takes over map, writer and dirty bits (ck_base) and gives them back.
 *
 * Nothing outlives tk_free(), and nothing is trusted from before tk_new(): all pages begin as unknown, but for a guest that was
 * just restored (tk_new_filled). Whatever fails, the error comes out of tk_step() or tk_lend() and the guest is to be freed;
 * made anew it copies again, and what is on flash already is found there.
 *
 * For one thread at a time, which is also where the guest's domain handle is used.
 */
#ifndef FLIC_DAEMON_TRACK_TRACK_H
#define FLIC_DAEMON_TRACK_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid.h"
#include "daemon/checkpoint/base.h"
#include "daemon/checkpoint/store.h"
#include "daemon/track/pace.h"
#include "libxl-ext/flx.h"

struct tk_conf {
    unsigned epoch_min_ms, epoch_max_ms;
    unsigned clean_epochs;      /* 1..8 */
};

/* One epoch's measure of the write set. Reads leave no trace: this says nothing about pages that are only read. */
struct tk_sample {
    uint64_t at_ns;             /* CLOCK_REALTIME at its end */
    uint32_t epoch_ms;
    uint32_t written_pages;     /* in this epoch */
    uint32_t ws_pages;          /* the write set: written in at least two of the last eight epochs */
    uint32_t stable_pages;      /* of these, written in each of the last four */
    uint32_t ws_regions;        /* 2 MiB regions that the write set touches */
};
#define TK_SERIES 600u          /* samples kept */

struct tk_status {
    struct flx_info info;       /* as of the last epoch */
    uint64_t epochs, epoch_ms;  /* done; length now */
    uint64_t unknown_pages;     /* not known to be on flash: would be copied by a save now */
    uint64_t pending_pages;     /* of these, copied and waiting for the next CLEAN */
    uint64_t started_over;      /* how often all pages became unknown again */
    struct ck_copied copied;    /* in the background */
    uint64_t flash_bytes;       /* written by that */
    struct tk_sample last;
};

struct tk_guest;
/* Refuses what cannot be saved (flx_can_save) or tracked. `store` and `pace` are borrowed. */
int tk_new(struct ck_store *store, uint32_t domid, const struct tk_conf *conf, struct tk_pace *pace, struct tk_guest **ret_guest,
           struct flic_err *err);
/* The same of a domain that is filled from a checkpoint, all of it, and has not run yet: log-dirty is on before its first instruction,
 * so what the packs have of the checkpoint is known. The caller keeps the checkpoint in use during the call. FLIC_E_MISMATCH when
 * the domain is not what the checkpoint says: then nothing is known of it. */
int tk_new_filled(struct ck_store *store, uint32_t domid, const struct tk_conf *conf, struct tk_pace *pace,
                  const struct ck_loaded *from, struct tk_guest **ret_guest, struct flic_err *err);
void tk_free(struct tk_guest *guest);           /* accepts NULL; log-dirty off */

/* When tk_step() has something to do, on the pace's clock. */
uint64_t tk_due_us(const struct tk_guest *guest);
/* One short step: the end of an epoch, or one batch of copying. FLIC_E_NODOMAIN when the guest is gone or its domid has
 * become another's. */
int tk_step(struct tk_guest *guest, struct flic_err *err);

/* A CLEAN, then everything known, for one save of this guest; *ret_base stays valid until tk_give_back(). In between the
 * guest is not stepped. */
int tk_lend(struct tk_guest *guest, struct ck_base **ret_base, struct flic_err *err);
void tk_give_back(struct tk_guest *guest);

void tk_get_status(const struct tk_guest *guest, struct tk_status *ret_status);
/* The newest `max` samples, oldest first; returns how many. */
size_t tk_series(const struct tk_guest *guest, struct tk_sample *ret_samples, size_t max);

#endif
