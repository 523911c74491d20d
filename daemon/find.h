/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* find - which checkpoint a request means: "domain" (name or uuid) with "seq", or "reference" (hex); and whether a guest is alive. */
#ifndef FLIC_DAEMON_FIND_H
#define FLIC_DAEMON_FIND_H

#include "daemon/daemon.h"

int fd_find(struct fd_daemon *daemon, json_t *request, struct ck_entry *ret_entry, struct flic_err *err);

/* A domain that is not dying: of this guest or, unless that is NULL, of this name. 1 and *ret_info, 0: there is none, negative: an error. */
int fd_find_living(const struct flic_uuid *guest, const char *name, struct flx_info *ret_info, struct flic_err *err);

#endif
