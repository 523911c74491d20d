/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * spare - room on flash that is kept for forgetting: a file "spare" in the store's folder, which holds nothing. Without it a flash
 * that is full stays full, as what makes room there has to write a tombstone first. Some hundred of them fit into what it leaves.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_SPARE_H
#define FLIC_DAEMON_CHECKPOINT_SPARE_H

#include <stdbool.h>

struct ck_store;

/* Makes it, unless it is there, there is no room for it, or the file system cannot: then there is none until the next call. */
void ck_spare_make(struct ck_store *store);
/* Removes it; whether there is more room now. */
bool ck_spare_give(struct ck_store *store);

#endif
