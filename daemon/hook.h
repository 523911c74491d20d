/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * hook - disk_snapshot_hook (flicd.conf(5)): a program that snapshots disks which FLIC cannot clone itself.
 *
 * It is called as  HOOK VERB VDEV PATH NAME  and says by its exit status whether that was done; the last line of what it writes to
 * its standard error is the reason it was not. It is waited for, for at most HK_LIMIT_S, and at "take", while the guest stands still,
 * HK_PAUSE_LIMIT_S.
 */
#ifndef FLIC_DAEMON_HOOK_H
#define FLIC_DAEMON_HOOK_H

#include "common/err.h"

#define HK_LIMIT_S 120
#define HK_PAUSE_LIMIT_S 30

struct hk_disk { const char *program, *vdev, *path, *name; };   /* program NULL or "": none is configured */
int hk_run(const struct hk_disk *disk, const char *verb, struct flic_err *err);

#endif
