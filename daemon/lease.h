/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * lease - where a guest whose checkpoints lie on several phones may be brought up (design invariant 9; docs/decisions/copies.md).
 *
 * The right is on one phone: where the guest lives, or where its checkpoints are and no file of moves.h says that it is elsewhere. A copy takes it
 * along only when the guest is not alive where the copy comes from. The giver writes "pushed" before he says so, the taker holds his copy for
 * "copy" until he hears it: lost in between, neither brings it up until its owner says where (flic claim).
 */
#ifndef FLIC_DAEMON_LEASE_H
#define FLIC_DAEMON_LEASE_H

#include <stdbool.h>

#include "common/err.h"
#include "common/uuid.h"
#include "daemon/moves.h"

/* Whether it may go along with a copy. Asked by one who has claimed the guest (fd_op_claim_guest()). */
bool fd_lease_is_free(struct fd_daemon *daemon, const struct flic_uuid *guest);
/* Before a copy is offered here: whose it is not, is written down. `handed`: the right is to follow. */
int fd_lease_hold(struct fd_daemon *daemon, const struct mv_move *copy, bool handed, struct flic_err *err);
/* Before a guest that arrives is offered here: until "running" is written it is its sender's, whatever becomes of this flicd. Gives the name of what is
 * written down, for mv_drop(). */
int fd_lease_hold_arrival(struct fd_daemon *daemon, const struct mv_move *arrival, struct flic_uuid *ret_id, struct flic_err *err);

/* 0, or why this guest may not be brought up here (FLIC_E_ALIVE). */
int fd_lease_check(struct fd_daemon *daemon, const struct flic_uuid *guest, const char *name, struct flic_err *err);

#endif
