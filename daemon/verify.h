/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * verify - reading everything that is stored, asked for or gone on with.
 *
 * How far a reading of everything has come stands in STORE/verify.json; one that flicd's end cut off is gone on with, paced, when
 * flicd is there again.
 */
#ifndef FLIC_DAEMON_VERIFY_H
#define FLIC_DAEMON_VERIFY_H

#include "daemon/daemon.h"

/* A question: {"all": true} or a checkpoint, {"paced": bool}. Answers when everything was read. */
json_t *fd_verify(struct fd_daemon *daemon, json_t *request);

/* A question: {"rebuild": bool}. Whether the index is sound and says what arena and packs say; mends it. */
json_t *fd_fsck(struct fd_daemon *daemon, json_t *request);

/* Goes on with what was cut off, if anything was; `cancelled` ends it, and it is still to be gone on with. */
void fd_verify_go_on(struct fd_daemon *daemon, bool (*cancelled)(void *arg), void *arg);

#endif
