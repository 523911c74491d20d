/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * arrival - a checkpoint whose pages come from elsewhere: put into packs as they arrive, the last ones into NVRAM, then published
 * as any other. It may begin with what this store has of the same guest already.
 *
 *   new -> page ... -> settle -> last ... -> commit -> publish -> free
 *
 * Like a save: until settle everything goes to flash, and between settle and publish nothing does unless NVRAM is full. What
 * is not published is dropped by free; its pages stay in sealed packs until the next collection that finds nobody who needs
 * them. One that ended before its end can be kept, for a second try to begin with; one that was noted is also found by the next process. For one
 * thread at a time.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_ARRIVAL_H
#define FLIC_DAEMON_CHECKPOINT_ARRIVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/checkpoint/load.h"
#include "daemon/checkpoint/root.h"
#include "daemon/checkpoint/store.h"

struct ck_arrival;

struct ck_arrival_figures {
    uint64_t pages, new_pages, dedup_pages;     /* put into packs, and of these */
    uint64_t nvram_pages, spilled_pages;        /* of the last ones */
    uint64_t flash_bytes, nvram_bytes;
};

/* `facts`: guest, name, arch and gfn_end; the number, id and store are drawn here. `config` is copied. `base` (may be NULL) is a
 * checkpoint of the store that is in use by the caller: its pages that can be read are this one's to begin with. */
/* `earlier` (may be NULL) is an arrival of the same guest that was not completed: what it had goes before the base's. It can be freed then. */
int ck_arrival_new(struct ck_store *store, const struct ck_facts *facts, const char *config, size_t config_len,
                   const struct ck_loaded *base, const struct ck_arrival *earlier, struct ck_arrival **ret_arrival, struct flic_err *err);
void ck_arrival_free(struct ck_arrival *arrival);       /* accepts NULL */

const struct ck_facts *ck_arrival_facts(const struct ck_arrival *arrival);
void ck_arrival_get_figures(const struct ck_arrival *arrival, struct ck_arrival_figures *ret_figures);
/* Of this machine's memory that it takes as long as it is kept. */
uint64_t ck_arrival_bytes(const struct ck_arrival *arrival);

/* What stands at a gfn now. */
struct flic_id ck_arrival_id(const struct ck_arrival *arrival, uint64_t gfn);
/* Reads the pages of `n` ids, as pk_read_pages(). */
int ck_arrival_read(struct ck_arrival *arrival, const struct flic_id *ids, size_t n,
                    int (*got)(size_t tag, const void *page, void *arg), void *arg, struct flic_err *err);

/* A page, before settle; FLIC_ID_ZERO and FLIC_ID_HOLE by id, and any id that ck_arrival_id() gave. */
int ck_arrival_page(struct ck_arrival *arrival, uint64_t gfn, const void *page, struct flic_err *err);
int ck_arrival_set(struct ck_arrival *arrival, uint64_t gfn, const struct flic_id *id, struct flic_err *err);
/* From here on a file at `path` says what has arrived, brought up to date with every seal that is asked for and every 32 MiB between: with its
 * help another process finds it (ck_arrival_recall()). What cannot be written is not known then; it is no error. */
int ck_arrival_note(struct ck_arrival *arrival, const char *path, struct flic_err *err);
/* What such a file says and the store still has, for ck_arrival_new()'s `earlier` and nothing else; its facts have the guest. FLIC_E_DAMAGED: it
 * says nothing of use. FLIC_E_REFUSED: it names more than `leaves_max` leaves that are not all holes or zeros; each takes 8 KiB of memory. */
int ck_arrival_recall(struct ck_store *store, const char *path, size_t leaves_max, struct ck_arrival **ret_arrival, struct flic_err *err);

/* Gives up what it holds of NVRAM, for one that is kept. */
void ck_arrival_let_go(struct ck_arrival *arrival);

/* An object that the store has, for whatever guest, is this one's too from now on: *ret_there, unless it is gone. */
int ck_arrival_adopt(struct ck_arrival *arrival, uint64_t gfn, const struct flic_id *id, bool *ret_there, struct flic_err *err);
/* Everything put so far becomes durable. */
int ck_arrival_seal(struct ck_arrival *arrival, struct flic_err *err);

/* The map and all pages so far are durable; room for about so many more in NVRAM is held. Can be called again, until the first last(). */
int ck_arrival_settle(struct ck_arrival *arrival, uint64_t pages, struct flic_err *err);
/* A page of the last ones, in any order; NULL: zeros. What came last for a gfn counts. */
int ck_arrival_last(struct ck_arrival *arrival, uint64_t gfn, const void *page, struct flic_err *err);
/* The same of a gfn that has no page any more. */
int ck_arrival_gone(struct ck_arrival *arrival, uint64_t gfn, struct flic_err *err);
/* For a guest that stands still here meanwhile: begins after settle, and ends by a second call or by free. Between them nothing of
 * ours writes flash, but what of this one does not fit into NVRAM. */
void ck_arrival_quiet(struct ck_arrival *arrival, bool on);
/* With the machine state of taken_ns (CLOCK_REALTIME of here). */
int ck_arrival_commit(struct ck_arrival *arrival, const void *state, size_t state_len, uint64_t taken_ns, struct flic_err *err);
int ck_arrival_publish(struct ck_arrival *arrival, const char *disks, size_t len, struct flic_err *err);

#endif
