/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* filter_op - what a save and a restore through libxc's stream have in common: the way to libxc, which runs in the helper. */
#ifndef FLIC_DAEMON_FILTER_OP_H
#define FLIC_DAEMON_FILTER_OP_H

#include "daemon/filter/pipe.h"
#include "daemon/op.h"

/* Tells the helper, which has joined, that the guest is libxc's, and waits for its tunnel: gives *ret_pipe. Operation's thread. */
int fd_filter_open(struct fd_op *op, struct lf_pipe **ret_pipe, struct flic_err *err);

/* Bytes as hex in a message of libflicxl's, at most LF_EMULATOR_MAX; none when it has no such member: gives *ret_bytes (NULL for none). */
int fd_filter_records(const json_t *message, const char *member, void **ret_bytes, size_t *ret_len, struct flic_err *err);
/* The other way; takes nothing. -ENOMEM */
int fd_filter_add_records(json_t *message, const char *member, const void *bytes, size_t len, struct flic_err *err);

#endif
