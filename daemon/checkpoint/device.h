/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* device - what the kernel counts as written to the block device under a folder: the witness that a pause writes no flash. */
#ifndef FLIC_DAEMON_CHECKPOINT_DEVICE_H
#define FLIC_DAEMON_CHECKPOINT_DEVICE_H

#include <stdint.h>

/* A descriptor for ck_device_written(), or -1 where the folder lies on no block device of its own (tmpfs, overlay). */
int ck_device_open(const char *folder);

/* Bytes ever written to it (/sys/block/<dev>/stat, field 7, in sectors of 512 bytes); 0 for fd -1. One small read, nothing waits. */
uint64_t ck_device_written(int fd);

#endif
