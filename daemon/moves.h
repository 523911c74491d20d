/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * moves - on which side a migrated guest is: a small file for each migration, STORE/moves/UUID.json, durable before the word that it
 * stands for is given (design invariant 6).
 *
 *   handing   sender    the hand-over message may have been sent: only the peer knows whether the guest is its own
 *   gone      sender    the peer has it
 *   running   receiver  it is ours; written before it runs
 *   refused   receiver  it will never be ours by this migration: said to a sender who asked
 *   pushed    sender    of a copy: the peer may bring the guest up
 *   copy      receiver  of a copy, or of a guest that arrives and is not ours yet: the peer may, not we (lease.h)
 *
 * Whoever finds "handing" asks the peer (settle) until it answers, and lets the guest go on or destroys it; `flic claim` decides by hand.
 */
#ifndef FLIC_DAEMON_MOVES_H
#define FLIC_DAEMON_MOVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid.h"

struct fd_daemon;
struct flx_info;

enum mv_state { MV_HANDING = 1, MV_GONE, MV_RUNNING, MV_REFUSED, MV_PUSHED, MV_COPY };
/* For mv_find(): it is not this phone that may bring the guest up. */
#define MV_ELSEWHERE (1u << MV_HANDING | 1u << MV_GONE | 1u << MV_PUSHED | 1u << MV_COPY)

struct mv_move {
    struct flic_uuid migration, guest;
    char name[256];
    char peer[256];             /* sender: the host, as it was typed */
    char command[512];          /* sender: what reaches it, "" for ssh */
    enum mv_state state;
    uint64_t seq;               /* of the checkpoint that went or came */
    uint32_t domid;
    uint64_t at_ns;             /* CLOCK_REALTIME */
};

const char *mv_state_name(enum mv_state state);
/* Durable when it returns 0. */
int mv_write(struct fd_daemon *daemon, const struct mv_move *move, struct flic_err *err);
/* FLIC_E_NOCHECKPOINT when there is none. */
int mv_read(struct fd_daemon *daemon, const struct flic_uuid *migration, struct mv_move *ret_move, struct flic_err *err);
int mv_drop(struct fd_daemon *daemon, const struct flic_uuid *migration, struct flic_err *err);
/* All there are, gives *ret_moves (free()). What cannot be read is left out and logged; *ret_all (may be NULL) says whether none was. */
int mv_list(struct fd_daemon *daemon, struct mv_move **ret_moves, size_t *ret_n, bool *ret_all, struct flic_err *err);
/* The newest of this guest in one of the states given as bits (1 << state): 1 found, 0 none, negative: not known, something cannot be
 * read, and the guest may be elsewhere. */
int mv_find(struct fd_daemon *daemon, const struct flic_uuid *guest, unsigned states, struct mv_move *ret_move);
/* It is here again, or its owner decided: what says otherwise is dropped. */
int mv_forget_guest(struct fd_daemon *daemon, const struct flic_uuid *guest, struct flic_err *err);
/* The same when the right to bring it up came with a copy. FLIC_E_BUSY, and nothing dropped, while it may be on its way from here to a third phone:
 * then only that phone knows whose it is. After another failure *ret_begun says whether some may have been dropped: then the right may be here. */
int mv_take_right(struct fd_daemon *daemon, const struct flic_uuid *guest, bool *ret_begun, struct flic_err *err);
/* At start: of guests that arrived, what they were held for until then (fd_lease_hold_arrival()). */
void mv_tidy(struct fd_daemon *daemon);

/* The mark in a domain's xenstore, that it is this migration's: domids come again after a boot, and so do guests. */
struct flx_dom;
int mv_mark(struct flx_dom *dom, const char *key, const struct flic_uuid *migration, struct flic_err *err);

/* Receiver: one of the two is written, whichever comes first; both tell which in *ret_state. */
int mv_decide(struct fd_daemon *daemon, const struct mv_move *as, enum mv_state *ret_state, struct flic_err *err);

/* Sender, with the peer's word: the guest here is let go, or destroyed. */
int mv_settle(struct fd_daemon *daemon, const struct mv_move *move, bool is_there, struct flic_err *err);

/* The thread that asks peers; between fd_orphans' start and stop. */
int fd_moves_start(struct fd_daemon *daemon, struct flic_err *err);
void fd_moves_stop(struct fd_daemon *daemon);

/* The keeper found it suspended, or paused in a restore, and nobody's: 1 when a migration is the reason, which has then been dealt with, 0
 * when it is not. An error when it is, and that failed. */
int fd_moves_explain(struct fd_daemon *daemon, const struct flx_info *info, struct flic_err *err);

/* Questions: what became of a migration, asked by its sender; and the owner's decision about a guest whose peer is gone. */
struct json_t;
struct json_t *fd_settle(struct fd_daemon *daemon, struct json_t *request);
struct json_t *fd_claim(struct fd_daemon *daemon, struct json_t *request);
/* For `status`: guests that went from here, or may have. */
struct json_t *fd_moves_status(struct fd_daemon *daemon);

#endif
