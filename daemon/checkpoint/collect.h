/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* collect - removes packs that no checkpoint can reach any more. */
#ifndef FLIC_DAEMON_CHECKPOINT_COLLECT_H
#define FLIC_DAEMON_CHECKPOINT_COLLECT_H

#include "daemon/checkpoint/store.h"

/* Marks what the catalog's checkpoints reach (all but `without`, which may be NULL), then removes the packs in which nothing is
 * marked. Runs beside saves and destages: see ck_end_writer(). dry_run: nothing is removed, and *ret_freed_bytes is what would be. */
int ck_collect(struct ck_store *store, const struct nv_name *without, bool dry_run, uint64_t *ret_freed_bytes,
               struct flic_err *err);

#endif
