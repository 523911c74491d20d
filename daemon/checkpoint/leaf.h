/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* leaf - the pages of a stored checkpoint, one leaf at a time, from NVRAM or packs. */
#ifndef FLIC_DAEMON_CHECKPOINT_LEAF_H
#define FLIC_DAEMON_CHECKPOINT_LEAF_H

#include "daemon/checkpoint/load.h"

enum ck_kind { CK_HOLE, CK_ZERO, CK_PAGE };

/* The leaf from gfn `first` on (a multiple of CK_LEAF_PAGES): what stands where, and into `pages` (room for all) those that are CK_PAGE, each
 * verified. `map` is ck_load_map()'s. FLIC_E_DAMAGED names the gfn and the place, as ck_fill()'s. */
int ck_read_leaf(struct ck_store *store, const struct ck_loaded *loaded, const struct ck_map *map, uint64_t first,
                 enum ck_kind kind[CK_LEAF_PAGES], uint8_t *pages, struct flic_err *err);

#endif
