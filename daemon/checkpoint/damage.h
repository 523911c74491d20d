/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* damage - what of one checkpoint is in no pack. */
#ifndef FLIC_DAEMON_CHECKPOINT_DAMAGE_H
#define FLIC_DAEMON_CHECKPOINT_DAMAGE_H

#include "daemon/checkpoint/marks.h"
#include "daemon/checkpoint/store.h"

/* Pages are looked up, leaves are read, frames in NVRAM are taken for good. `whole` are leaves known to be whole, and gets more.
 * Of one that lies in NVRAM and on flash both forms are looked at. An error is what kept it from looking; damage is none. */
int ck_look_for_damage(struct ck_store *store, const struct ck_entry *entry, struct marks *whole, struct ck_damage *ret_damage,
                       struct flic_err *err);

#endif
