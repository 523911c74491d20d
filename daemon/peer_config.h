/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * peer_config - the libxl configuration of a guest that comes from a peer, by a migration or a copy.
 *
 * libxl and flic-watch act upon it as root: they start device models, run scripts, open files and hand over devices as it says. The peer is hostile,
 * so only members that are known to be harmless may say something; whatever else is there must be empty. What disks there are is not judged here
 * (arrive.h), only that there is no more to a disk than a path and a raw format.
 */
#ifndef FLIC_DAEMON_PEER_CONFIG_H
#define FLIC_DAEMON_PEER_CONFIG_H

#include "common/err.h"
#include "common/uuid.h"

struct ck_root;
struct fd_conf;
struct fd_daemon;

/* gives *ret_config: what was checked, written anew. It, and not `text`, is to be stored and given to libxl: of a member that comes twice libxl takes
 * another one than we do, and such a text is refused. FLIC_E_PROTOCOL: it is no libxl JSON, or not of this guest. FLIC_E_REFUSED names the member. */
int pc_take(const struct fd_conf *conf, const char *text, const struct flic_uuid *guest, const char *name, char **ret_config, struct flic_err *err);

/* Before a checkpoint is restored: if it was copied from a peer with disks, which its list of them says (disks.h), its configuration again, and each disk
 * must be one that guests from elsewhere may have here, or known as this guest's: else FLIC_E_DISK. An own one is not looked at. */
int pc_check_copy(struct fd_daemon *daemon, const struct ck_root *root, struct flic_err *err);

#endif
