/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * collect - removes packs that no checkpoint can reach any more. Any number at once, beside saves, destages and gc.h: what
 * a writer needs meanwhile stays (packs.h, pk_moment()).
 */
#ifndef FLIC_DAEMON_CHECKPOINT_COLLECT_H
#define FLIC_DAEMON_CHECKPOINT_COLLECT_H

#include "daemon/checkpoint/store.h"

/* Finds out what the catalog's checkpoints reach (all but the n of `without`), then removes the packs in which there is nothing of it.
 * dry_run: nothing is removed, and *ret_freed_bytes is what would be. FLIC_E_REFUSED is ck_check_all_seen()'s. */
int ck_collect(struct ck_store *store, const struct nv_name *without, size_t n, bool dry_run, uint64_t *ret_freed_bytes,
               struct flic_err *err);

/* One step each, standing still in pauses: a pack, and its row in the index; and making removals durable. */
int ck_remove_pack(struct ck_store *store, uint64_t since, const struct pk_use *use, bool *ret_gone, struct flic_err *err);
int ck_sync_packs(struct ck_store *store, struct flic_err *err);

#endif
