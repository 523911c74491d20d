/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * swap - a restore puts a checkpoint's disk snapshots in the place of the disks, and keeps what they displace.
 *
 * For each disk a fresh clone of the snapshot is made beside it, named SNAPSHOT.swap-INODE after its own inode, then the two
 * names are exchanged in one step. So the file of that name is the clone while its inode is INODE, and the displaced disk
 * afterwards: at any instant the names alone say what was done. A guest's swap is written down in the store before the first
 * exchange and crossed out when its restore is complete: what is still written down at a start was not, and is put back.
 * The displaced disk stays under that name until the checkpoint is forgotten (snapshot.h).
 */
#ifndef FLIC_DAEMON_SWAP_H
#define FLIC_DAEMON_SWAP_H

#include "daemon/snapshot.h"

/* Whether a checkpoint's disk list has snapshots to put in place. */
bool sw_needed(const char *list);
/* Puts them in place. After a failure all is as it was. A swap of this guest that is still written down is put back first. */
int sw_begin(const struct sn_where *where, const struct flic_uuid *guest, const char *list, struct flic_err *err);
/* The same with files that are there already, under names as above, durable: a JSON array of {"disk":PATH,"swap":FILE}. After a failure they
 * are gone. */
struct json_t;
int sw_place(const struct sn_where *where, const struct flic_uuid *guest, struct json_t *swaps, struct flic_err *err);
/* Whether what is written down of this guest are the disks with which that checkpoint arrived (sw_place()): 1, 0, or negative, not known. */
int sw_is_of(const struct sn_where *where, const struct sn_name *name, struct flic_err *err);
int sw_commit(const struct sn_where *where, const struct flic_uuid *guest, struct flic_err *err);
/* Puts the disks back; 0 when nothing is written down. Harmless twice. */
int sw_undo(const struct sn_where *where, const struct flic_uuid *guest, struct flic_err *err);
/* At start: puts back every swap whose restore did not complete. */
int sw_settle(const struct sn_where *where, struct flic_err *err);

#endif
