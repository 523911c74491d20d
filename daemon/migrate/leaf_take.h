/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * leaf_take - a guest's leaves from a peer: which of its pages the store has already, and that all of them have come. What take.h and receive.h have in
 * common; the other side of leaf_send.h.
 *
 *   lt_init     nothing is here yet
 *   lt_know     pages of other guests that the peer may ask for too
 *   lt_begin    with what the store has of this guest
 *   lt_mark, lt_answer      a leaf: its pages are the guest's from now on; the peer hears which of them it is to send
 *   lt_decode, lt_came      pages
 *   lt_check    the sums: every page of the guest came, and is what was sent
 *   lt_keep     of one that failed: what is here, durable, for another's lt_begin()
 *
 * The peer is hostile: it is answered about pages of the guest itself, and of those that lt_know() was called for, by digests under the connection's
 * key; never by the store's ids. A leaf costs it few bytes, and us LT_LEAF_COST: all arrivals together are told of no more leaves than fit
 * lt_room(). One thread.
 */
#ifndef FLIC_DAEMON_MIGRATE_LEAF_TAKE_H
#define FLIC_DAEMON_MIGRATE_LEAF_TAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/checkpoint/arrival.h"
#include "daemon/migrate/known.h"
#include "daemon/migrate/pages.h"
#include "daemon/migrate/wire.h"

/* Bytes of this machine's memory that arrivals may take: a quarter. */
uint64_t lt_room(void);
#define LT_LEAF_COST (24u << 10)        /* at most: its ids in the map that is made, the base's and an earlier arrival's; sums when the base's is gone */

struct lt_figures {
    uint64_t ram_pages, zero_pages;             /* of the guest, as its leaves said */
    uint64_t same_pages, found_pages;           /* were here already: in their place; elsewhere */
    uint64_t received_pages;
    uint64_t known_pages;                       /* that the peer could ask for */
    struct ck_arrival_figures store;
};

/* Callers read it, and write nothing in it. */
struct lt_leaves {
    struct mw_wire *wire;       /* borrowed, as the next three */
    const struct md_key *key;
    struct ck_store *store;
    const char *doing;          /* what messages begin with: "store" */
    struct mk_known *known;
    bool has;                   /* there are pages that the peer is to ask for */
    struct ck_arrival *arrival; /* NULL before lt_begin() */
    uint64_t gfn_end;
    uint64_t *present;          /* bits over gfn_end: where the guest has pages */
    uint64_t *sum;              /* mp_sum() of what is here, one a gfn; MP_SUM_HOLE: it is still to come */
    struct mp_coder *coder;
    uint8_t *batch;             /* MP_BATCH pages */
    struct lt_figures figures;
    uint64_t next;              /* the first leaf that may still come: they ascend */
    uint64_t leaves, claimed;   /* that came; that count against lt_room() */

    /* the leaf that is answered about */
    uint64_t first;
    uint8_t *const *place;
    struct md_digest digest[MD_LEAF_PAGES];     /* of its pages, as far as they are here */
};

/* In any case lt_fini() is to be called. */
int lt_init(struct lt_leaves *leaves, struct mw_wire *wire, const struct md_key *key, struct ck_store *store, const char *doing, struct flic_err *err);
void lt_fini(struct lt_leaves *leaves);         /* accepts zeros */

int lt_know(struct lt_leaves *leaves, const struct ck_loaded *other, struct flic_err *err);
/* As ck_arrival_new(); of the facts `pages`, too, as the peer says. FLIC_E_REFUSED: they, or later their leaves, do not fit lt_room(). */
int lt_begin(struct lt_leaves *leaves, const struct ck_facts *facts, const char *config, const struct ck_loaded *base,
             const struct ck_arrival *earlier, struct flic_err *err);

/* `leaf`: from mp_get_leaf(). One that came before, or does not ask as `has` says, is refused by lt_mark(). `place` (may be NULL): what is here is put there too, page i at place[i], which
 * is not NULL where the leaf has a page; zeros are written. A page that cannot be read is asked for. */
int lt_mark(struct lt_leaves *leaves, const struct mp_leaf *leaf, struct flic_err *err);
int lt_answer(struct lt_leaves *leaves, const struct mp_leaf *leaf, uint8_t *const place[MD_LEAF_PAGES], struct flic_err *err);

/* MW_PAGES, or MW_ZEROS: *ret_pages is NULL then, else `batch`. All are where the guest has pages. */
int lt_decode(struct lt_leaves *leaves, const struct mw_message *m, uint64_t gfns[MP_BATCH], size_t *ret_n, const uint8_t **ret_pages,
              struct flic_err *err);
/* It is the caller's to put it into the arrival. NULL: zeros. */
void lt_came(struct lt_leaves *leaves, uint64_t gfn, const void *page);

/* Whole leaves that the guest had once, and has no more, were not named: nothing stands there any longer. */
int lt_drop_absent(struct lt_leaves *leaves, struct flic_err *err);
int lt_check(const struct lt_leaves *leaves, const struct mw_message *m, struct flic_err *err);

/* Gives it, or NULL. */
struct ck_arrival *lt_keep(struct lt_leaves *leaves);
void lt_get_figures(const struct lt_leaves *leaves, struct lt_figures *ret_figures);

#endif
