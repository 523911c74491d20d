/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* ending - what a save and an arrival have in common where they end in NVRAM. Private to them. */
#ifndef FLIC_DAEMON_CHECKPOINT_ENDING_H
#define FLIC_DAEMON_CHECKPOINT_ENDING_H

#include "daemon/checkpoint/root.h"
#include "daemon/checkpoint/store.h"

/* Reserves `fixed` frames and as many more as *pages says; where there is not so much room *pages becomes less, and what does not fit
 * goes to flash. */
int ck_reserve_frames(struct ck_store *store, uint32_t fixed, uint64_t *pages, struct nv_txn **ret_txn, struct flic_err *err);

/* The parts of a root beside its pages; borrowed. */
struct ck_contents {
    const void *state; size_t state_len;
    const char *config; size_t config_len;
    const struct flic_id *leaves; size_t n_leaves;
    const uint8_t *delta; size_t n_delta;       /* entries of CK_DELTA_ENTRY bytes */
};
/* Into frames from *next on, which moves. */
void ck_put_parts(struct nv_txn *txn, const struct ck_contents *contents, uint32_t *next, struct ck_parts *ret_parts);

/* What was committed under these facts is offered from here on. The caller has a reservation in the catalog, which a success uses, and says
 * of what it was in an error. `losses`: pk_losses() when all that it refers to was known to be there; if more was lost since, and something of
 * this, it is offered as damaged. */
int ck_publish(struct ck_store *store, const struct ck_facts *facts, uint64_t losses, const char *disks, size_t len, struct flic_err *err);

#endif
