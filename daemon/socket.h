/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* socket - flicd's listening socket when no service manager passed one. */
#ifndef FLIC_DAEMON_SOCKET_H
#define FLIC_DAEMON_SOCKET_H

#include "common/err.h"
#include "daemon/conf.h"

/* Creates it (mode 0600, or 0660 with socket_group), its folder too. FLIC_E_BUSY when another flicd listens there. */
int fd_socket_open(const struct fd_conf *conf, int *ret_fd, struct flic_err *err);

#endif
