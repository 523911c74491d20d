/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * tombs - what a tombstone buries that cannot be read any more.
 *
 * A tombstone's id follows from what it says (guest, number and the store's secret), and is written down elsewhere: in its pack's footer,
 * and in the index's copy of that. So of any checkpoint it can be told whether an id among some lost ones is that of its tombstone.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_TOMBS_H
#define FLIC_DAEMON_CHECKPOINT_TOMBS_H

#include "daemon/checkpoint/marks.h"
#include "daemon/checkpoint/root.h"
#include "daemon/checkpoint/store.h"

/* A checkpoint's tombstone, and under which of its ids it is among these; false: under none. */
bool ck_tomb_among(const struct flic_secret *secret, const struct nv_name *name, struct marks *ids, uint8_t ret_stone[CK_TOMBSTONE_SIZE],
                   struct flic_id *ret_id);

/* Adds the ids of all that lay in packs which the index knows and the store does not have: those that cannot be used, above all. */
int ck_tombs_of_missing_packs(struct ck_store *store, struct marks *ids, struct flic_err *err);

#endif
