/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* find - which checkpoint a request means: "domain" (name or uuid) with "seq", or "reference" (hex). */
#ifndef FLIC_DAEMON_FIND_H
#define FLIC_DAEMON_FIND_H

#include "daemon/daemon.h"

int fd_find(struct fd_daemon *daemon, json_t *request, struct ck_entry *ret_entry, struct flic_err *err);

#endif
