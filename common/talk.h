/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * talk - a client's connection to flicd: JSON objects, one a line (docs/protocol.md).
 *
 * Blocking, for one thread. Used by the commands, libflicxl and the save helper; flicd has its own end.
 */
#ifndef FLIC_COMMON_TALK_H
#define FLIC_COMMON_TALK_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"

#define FLIC_TALK_LINE_MAX (1u << 20)

struct flic_talk;

/* `path` NULL: $FLIC_SOCKET, else the built-in default. FLIC_E_NODAEMON ("flicd is not running: start it with
 * 'systemctl start flicd'"), FLIC_E_DENIED when the socket may not be opened. */
int flic_talk_open(const char *path, struct flic_talk **ret_talk, struct flic_err *err);
void flic_talk_close(struct flic_talk *talk);       /* accepts NULL */
int flic_talk_fd(const struct flic_talk *talk);     /* to poll for reading; see flic_talk_next() */

/* Takes `msg` (decref'd also on failure). That flicd has closed is no failure here: it may have said why, which is heard first. */
int flic_talk_send(struct flic_talk *talk, json_t *msg, struct flic_err *err);

/* The next message: gives *ret_msg. timeout_ms < 0: no limit. FLIC_E_TIMEOUT, FLIC_E_NODAEMON when flicd closed,
 * FLIC_E_PROTOCOL for a line that is no JSON object or too long. A signal gives -EINTR, so that Ctrl-C is seen. */
int flic_talk_next(struct flic_talk *talk, int timeout_ms, json_t **ret_msg, struct flic_err *err);

/* What a message is: true for an event; an answer's outcome goes to flic_talk_outcome(). */
bool flic_talk_is_event(const json_t *msg, const char **ret_name);
/* 0 for {"ok":true}; else the code named in the answer, its sentence in err. */
int flic_talk_outcome(const json_t *answer, struct flic_err *err);

/* Sends (takes `request`) and waits for the answer, skipping events: gives *ret_answer when it is ok. */
int flic_talk_ask(struct flic_talk *talk, json_t *request, json_t **ret_answer, struct flic_err *err);

#endif
