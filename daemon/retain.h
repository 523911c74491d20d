/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* retain - applies the rules of retention.h to the store: after each publish, and by 'flic gc'. */
#ifndef FLIC_DAEMON_RETAIN_H
#define FLIC_DAEMON_RETAIN_H

#include "daemon/daemon.h"

struct fd_retained {
    json_t *forgotten;          /* [{domain, uuid, seq}] */
    struct nv_name *names;      /* the same */
    size_t n;
};

/* Forgets what the rules no longer keep, or says what it would. The flash that only they needed is given back by whoever calls. One
 * that is in use is passed by until the next time. Nothing is done, and FLIC_E_DAMAGED or FLIC_E_VERSION returned, when it is not known
 * what is pinned. *ret is set in any case; fd_retained_fini(). */
int fd_retain(struct fd_daemon *daemon, bool dry_run, struct fd_retained *ret, struct flic_err *err);
void fd_retained_fini(struct fd_retained *ret);

#endif
