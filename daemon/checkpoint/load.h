/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * load - reads a checkpoint's root and page map back, from the arena or from flash, every part verified.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_LOAD_H
#define FLIC_DAEMON_CHECKPOINT_LOAD_H

#include "daemon/checkpoint/map.h"
#include "daemon/checkpoint/root.h"
#include "daemon/checkpoint/store.h"

struct ck_loaded {
    struct ck_root root;
    bool in_arena;              /* pinned there: delta frames can be read; ck_unload() lets go */
    struct nv_name name;
};

/* Loads the root (arena first). FLIC_E_DAMAGED names the checkpoint and the part. */
int ck_load(struct ck_store *store, const struct ck_entry *entry, struct ck_loaded *ret_loaded, struct flic_err *err);
void ck_unload(struct ck_store *store, struct ck_loaded *loaded);
/* The root on flash alone, of one that has IX_FLASH. */
int ck_load_flash_root(struct ck_store *store, const struct ck_entry *entry, struct ck_root *root, struct flic_err *err);

/* The whole map, delta applied. */
int ck_load_map(struct ck_store *store, const struct ck_loaded *loaded, struct ck_map **ret_map, struct flic_err *err);

/* One page captured in the pause, verified: NULL when it is not (FLIC_E_DAMAGED in err, naming gfn and frame). */
const void *ck_delta_page(struct ck_store *store, const struct ck_loaded *loaded, const struct ck_delta *delta,
                          struct flic_err *err);

#endif
