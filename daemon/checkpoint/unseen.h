/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * unseen - checkpoints that there may be although a start did not see them: their pack cannot be read just now, or their NVRAM is not
 * there. What they need is not freed as long as it may come back.
 *
 * The index remembers them: a row that is neither in the catalog nor buried stays as it is until it is given up.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_UNSEEN_H
#define FLIC_DAEMON_CHECKPOINT_UNSEEN_H

#include "daemon/checkpoint/store.h"

/* Compares the index with the catalog as far as that is built; a damaged index is set aside. While the store is opened. */
int ck_unseen_find(struct ck_store *store, struct flic_err *err);
/* FLIC_E_NVRAM when the arena at this path does not exist and some of them may be in it. While the store is opened. */
int ck_unseen_check_arena(struct ck_store *store, const char *path, struct flic_err *err);
/* Puts their rows again, within a synchronisation. */
int ck_unseen_mirror(struct ck_store *store, struct flic_err *err);
/* They are lost, somebody says. */
void ck_unseen_give_up(struct ck_store *store);

#endif
