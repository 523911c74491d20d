/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * pipe - a stream of bytes to or from libxc, which may stall, or end, at any byte. Reads and writes wait, and give up when
 * `stop` says why. For one thread.
 */
#ifndef FLIC_DAEMON_FILTER_PIPE_H
#define FLIC_DAEMON_FILTER_PIPE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct lf_pipe;

/* Takes `fd`, also on failure; `early` are bytes that were read from it already. `stop`: 0, or a code with the reason. */
int lf_pipe_new(int fd, const void *early, size_t n_early, int (*stop)(void *arg, struct flic_err *err), void *arg,
                struct lf_pipe **ret_pipe, struct flic_err *err);
void lf_pipe_free(struct lf_pipe *pipe);    /* accepts NULL; closes */

/* Exactly `len` bytes, or FLIC_E_XEN when the stream ends before. */
int lf_pipe_read(struct lf_pipe *pipe, void *to, size_t len, struct flic_err *err);
int lf_pipe_write(struct lf_pipe *pipe, const void *from, size_t len, struct flic_err *err);

#endif
