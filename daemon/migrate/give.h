/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * give - a stored checkpoint to a peer, which stores it too. Pages come from NVRAM and packs, each verified; the peer is asked leaf by leaf and
 * gets what it lacks.
 *
 *   mg_new        offered, and accepted
 *   mg_send       everything, until it is whole and durable there
 *   mg_hand_over  the last word: with it the right to bring the guest up may go too (daemon/lease.h)
 *
 * One thread.
 */
#ifndef FLIC_DAEMON_MIGRATE_GIVE_H
#define FLIC_DAEMON_MIGRATE_GIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid.h"
#include "daemon/checkpoint/load.h"
#include "daemon/migrate/leaf_send.h"

struct mg_params {
    struct mw_wire *wire;               /* borrowed, as all; greeted: */
    const struct md_key *key;
    struct ck_store *store;
    const struct ck_loaded *loaded;     /* in use by the caller until mg_free() */
    const struct flic_uuid *push;       /* drawn for this one */
    const char *from, *owner_group;     /* "" for the second: none */
    bool handed;
    void (*progress)(void *arg, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
    void *arg;
};

struct mg_giver;
int mg_new(const struct mg_params *params, struct mg_giver **ret_giver, struct flic_err *err);
void mg_free(struct mg_giver *giver);   /* accepts NULL */
/* *ret_seq: the checkpoint's number there. */
int mg_send(struct mg_giver *giver, uint64_t *ret_seq, struct flic_err *err);
/* `handed` may have become less than was offered. *ret_sent: whether the word may have reached the peer. */
int mg_hand_over(struct mg_giver *giver, bool handed, bool *ret_sent, struct flic_err *err);
void mg_get_figures(const struct mg_giver *giver, struct ls_figures *ret_figures);

#endif
