/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * take - a checkpoint from a peer into the store, without a domain. The other side of give.h.
 *
 *   mt_hear     the offer: the caller looks whether it wants it
 *   mt_begin    with what the store has of this guest
 *   mt_take     what is lacking is asked for and put into packs, until all has come and holds
 *   mt_commit   durable, not offered yet; or found to be here already
 *   mt_publish  offered from here on
 *   mt_ready    told to the sender; 0 with his last word
 *   mt_done     heard
 *
 * The peer is hostile: it can make nothing but this one checkpoint, of the size it offered, and learns of the store only which pages of the
 * offered guest's lineage, or of the owner group that it proved to know, are there. One thread.
 */
#ifndef FLIC_DAEMON_MIGRATE_TAKE_H
#define FLIC_DAEMON_MIGRATE_TAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/migrate/copy.h"
#include "daemon/migrate/leaf_take.h"

struct mt_params {
    struct mw_wire *wire;       /* borrowed, as all; greeted: */
    const struct md_key *key;
    struct ck_store *store;
    void (*progress)(void *arg, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
    void *arg;
};

struct mt_taker;
int mt_hear(const struct mt_params *params, struct mt_taker **ret_taker, struct flic_err *err);
void mt_free(struct mt_taker *taker);   /* accepts NULL */
const struct mc_offer *mt_offer(const struct mt_taker *taker);
/* takes `config`: what is stored in place of the offer's. Before mt_begin(). */
void mt_set_config(struct mt_taker *taker, char *config);
bool mt_is_group(const struct mt_taker *taker, const char *group);

/* As mr_know() and mr_begin(). Then the peer is told that it is taken. */
int mt_know(struct mt_taker *taker, const struct ck_loaded *other, struct flic_err *err);
int mt_begin(struct mt_taker *taker, const struct ck_loaded *base, const struct ck_arrival *earlier, struct flic_err *err);
int mt_take(struct mt_taker *taker, struct flic_err *err);

/* The machine state that came, for who wants to know whether it fits this host. */
const void *mt_state(const struct mt_taker *taker, size_t *ret_len);

/* *ret_seq: its number here. *ret_there: that checkpoint, the same in every byte, was here before and whole; there is nothing to publish,
 * and nobody forgets it before mt_free(). */
int mt_commit(struct mt_taker *taker, uint64_t *ret_seq, bool *ret_there, struct flic_err *err);
int mt_publish(struct mt_taker *taker, const char *disks, size_t len, struct flic_err *err);
/* *ret_handed: with his last word the sender gave up the right to bring the guest up; never more than was offered. */
int mt_ready(struct mt_taker *taker, uint64_t seq, bool *ret_handed, struct flic_err *err);
int mt_done(struct mt_taker *taker, struct flic_err *err);

/* What is in the making, from mt_begin() on; stays the taker's. */
struct ck_arrival *mt_arrival(struct mt_taker *taker);
/* Of one that failed before mt_commit(): what arrived so far, durable; gives it, or NULL. For another's mt_begin(). */
struct ck_arrival *mt_keep(struct mt_taker *taker);
void mt_get_figures(const struct mt_taker *taker, struct lt_figures *ret_figures);

#endif
