/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * receive - a guest from a peer: its pages into a fresh domain and into the store at once. The other side of send.h.
 *
 *   mr_hear      hello, the offer, the sketch of its state: the caller looks whether it can be taken
 *   mr_accept    with what the store has of this guest, or of its owner's others
 *   mr_take      into the domain that the toolstack made meanwhile, until the machine state and the sums have come and hold
 *   mr_finish    the domain can run; the checkpoint is durable, not published
 *   mr_ready     told to the sender; 0 when it hands over
 *   mr_confirm   the guest is ours
 *
 * The peer is hostile: it can make nothing but this one guest, of the size it offered, and learns of the store only which pages of the
 * offered guest's lineage, or of the owner group that it proved to know, are there. One thread.
 */
#ifndef FLIC_DAEMON_MIGRATE_RECEIVE_H
#define FLIC_DAEMON_MIGRATE_RECEIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/migrate/hello.h"
#include "daemon/migrate/leaf_take.h"
#include "libxl-ext/flx.h"

struct mr_params {
    struct mw_wire *wire;       /* borrowed, as all */
    struct ck_store *store;
    void (*progress)(void *arg, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
    int (*disk)(void *arg, const struct mw_message *m, struct flic_err *err);   /* sees all MW_DISK_*; NULL: there are none */
    void *arg;
};

struct mr_figures {
    struct lt_figures pages;
    uint64_t last_pages, take_us, finish_us;
};

struct mr_receiver;
int mr_hear(const struct mr_params *params, struct mr_receiver **ret_receiver, struct flic_err *err);
void mr_free(struct mr_receiver *receiver);     /* accepts NULL */

const struct md_key *mr_key(const struct mr_receiver *receiver);
const struct mh_offer *mr_offer(const struct mr_receiver *receiver);
/* takes `config`: what is stored in place of the offer's. Before mr_begin(). */
void mr_set_config(struct mr_receiver *receiver, char *config);
const void *mr_sketch(const struct mr_receiver *receiver, size_t *ret_len);
/* Whether the peer's owner group is this one. */
bool mr_is_group(const struct mr_receiver *receiver, const char *group);

/* `base`: the newest checkpoint of this guest, in use by the caller until mr_free(), or NULL. `earlier`: a migration of it that was broken
 * off, or NULL; not needed afterwards. Others that the peer may ask for come with mr_know() before. */
int mr_know(struct mr_receiver *receiver, const struct ck_loaded *other, struct flic_err *err);
int mr_begin(struct mr_receiver *receiver, const char *arch, const struct ck_loaded *base, const struct ck_arrival *earlier,
             struct flic_err *err);
int mr_accept(struct mr_receiver *receiver, uint32_t has_disks, struct flic_err *err);
const struct ck_facts *mr_facts(const struct mr_receiver *receiver);

/* The domain is borrowed until mr_free(). */
int mr_take(struct mr_receiver *receiver, struct flx_dom *dom, struct flic_err *err);
int mr_finish(struct mr_receiver *receiver, const struct flx_ports *ports, struct flx_built *ret_built, struct flic_err *err);
int mr_ready(struct mr_receiver *receiver, struct flic_err *err);
int mr_publish(struct mr_receiver *receiver, const char *disks, size_t len, struct flic_err *err);
int mr_confirm(struct mr_receiver *receiver, struct flic_err *err);

/* What is in the making, from mr_begin() on; stays the receiver's. */
struct ck_arrival *mr_arrival(struct mr_receiver *receiver);
/* Of one that failed: what arrived so far, durable; gives it, or NULL. For another's mr_begin(). */
struct ck_arrival *mr_keep(struct mr_receiver *receiver);

void mr_get_figures(const struct mr_receiver *receiver, struct mr_figures *ret_figures);

#endif
