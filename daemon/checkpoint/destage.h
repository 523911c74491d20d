/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * destage - copies a published checkpoint from NVRAM to packs: frames, changed leaves, root. Afterwards the frames are only
 * a cache for the restore, given up when NVRAM is needed. Runs beside saves; stops writing during their pauses.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_DESTAGE_H
#define FLIC_DAEMON_CHECKPOINT_DESTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/checkpoint/store.h"

struct ck_destage_figures {
    uint64_t pages, new_pages, dedup_pages;
    uint64_t flash_bytes;       /* packs, footers included */
    uint64_t took_us;
};

/* Moves one checkpoint. FLIC_E_CANCELLED when cancelled() says so between steps: nothing is lost, it starts over later. */
int ck_destage(struct ck_store *store, const struct ck_entry *entry, bool (*cancelled)(void *arg), void *arg,
               struct ck_destage_figures *figures, struct flic_err *err);

/* Whether what ck_destage() returned is that checkpoint's own: ck_destage_next() passes it by then, a damaged one until the next start
 * and another for ten minutes. */
bool ck_destage_passes_by(int rc);
/* The oldest published checkpoint that lies only in NVRAM and is not to be passed by; false when there is none. */
bool ck_destage_next(struct ck_store *store, struct ck_entry *ret_entry);
/* The same, of those that `wanted` says yes to. */
bool ck_destage_next_of(struct ck_store *store, bool (*wanted)(const struct ck_entry *entry, void *arg), void *arg,
                        struct ck_entry *ret_entry);

#endif
