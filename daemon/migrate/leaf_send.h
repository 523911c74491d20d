/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * leaf_send - leaves and pages to a peer, which says of each leaf what it lacks. What give.h and send.h have in common; the other side of
 * leaf_take.h. Where pages come from, and when they go, is the caller's to know.
 *
 *   ls_begin    a leaf of which nothing is known
 *   ls_found    each page that is in it
 *   ls_ask      the leaf is told; which of its pages the peer needs
 *   ls_put      a page goes, in a batch with others; what is left of one goes with ls_flush()
 *
 * One thread.
 */
#ifndef FLIC_DAEMON_MIGRATE_LEAF_SEND_H
#define FLIC_DAEMON_MIGRATE_LEAF_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/migrate/pages.h"
#include "daemon/migrate/wire.h"

struct ls_figures {
    uint64_t ram_pages, zero_pages;     /* of the guest, when its leaves were told */
    uint64_t there_pages;               /* the peer had them */
    uint64_t sent_pages, page_bytes;    /* page_bytes: as they were on the wire, compressed */
    uint64_t sent_bytes, received_bytes;        /* everything on the wire */
};

struct ls_leaf {
    struct mp_leaf told;
    uint64_t first;                     /* its gfn */
    unsigned pages;                     /* in it */
    struct md_digest digest[MD_LEAF_PAGES];     /* only where the peer may ask with them */
    uint64_t sum[MD_LEAF_PAGES];        /* mp_sum() */
};

struct ls_link {
    struct mw_wire *wire;               /* borrowed, as the key */
    const struct md_key *key;
    bool peer_has;                      /* pages of its own that it may ask with; the caller's to set */
    uint8_t *room;                      /* MD_LEAF_PAGES pages, for the caller */
    uint64_t busy_us;                   /* spent in sending pages; whoever waits for the peer to have them adds to it */
    struct ls_figures figures;

    /* one batch, in the making */
    struct mp_coder *coder;
    uint64_t gfns[MP_BATCH], zeros[MP_BATCH];
    size_t n, n_zeros;
    uint8_t *batch;                     /* MP_BATCH pages */
};

/* In any case ls_fini() is to be called. */
int ls_init(struct ls_link *link, struct mw_wire *wire, const struct md_key *key, struct flic_err *err);
void ls_fini(struct ls_link *link);     /* accepts zeros */

void ls_begin(struct ls_leaf *leaf, uint64_t first);
/* `page` is the leaf's i-th; NULL: zeros. */
void ls_found(struct ls_link *link, struct ls_leaf *leaf, unsigned i, const void *page);
/* *need: bits of those that are to be sent; none of zeros. All others are there already. */
int ls_ask(struct ls_link *link, struct ls_leaf *leaf, uint8_t need[MP_BITS], struct flic_err *err);

/* `page` is copied; NULL: zeros. Of one kind gfns are to come in ascending order up to the next flush. */
int ls_put(struct ls_link *link, uint64_t gfn, const void *page, struct flic_err *err);
int ls_flush(struct ls_link *link, struct flic_err *err);

void ls_get_figures(const struct ls_link *link, struct ls_figures *ret_figures);

#endif
