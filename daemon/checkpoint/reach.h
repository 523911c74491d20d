/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* reach - which objects in packs checkpoints refer to. */
#ifndef FLIC_DAEMON_CHECKPOINT_REACH_H
#define FLIC_DAEMON_CHECKPOINT_REACH_H

#include "daemon/checkpoint/marks.h"
#include "daemon/checkpoint/store.h"

/* Adds all that one checkpoint refers to. A leaf that is in the marks already is not read again: what it names is there too.
 * An error is what keeps it from being read. */
int ck_reach(struct ck_store *store, const struct ck_entry *entry, struct marks *marks, struct flic_err *err);

/* The same of one out of a list that may be old by now: `entry` is made anew where it helps. Nothing of one that was forgotten meanwhile, and what can
 * be read of one that is known to be damaged, is no error. */
int ck_reach_what_is_there(struct ck_store *store, struct ck_entry *entry, struct marks *marks, struct flic_err *err);

/* Adds what all of the catalog's checkpoints refer to (all but the n of `without`), and the tombstones. One that was
 * forgotten meanwhile does not matter; one that cannot be read is an error: nobody knows what it needs. So is an arena that failed to take a write: nobody
 * knows then which checkpoints there are.
 * Of one that is known to be damaged, what can be read counts. */
int ck_reach_all(struct ck_store *store, const struct nv_name *without, size_t n, struct marks *marks, struct flic_err *err);

#endif
