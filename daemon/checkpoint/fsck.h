/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * fsck - whether the index says what arena and packs say, and making it say so again.
 *
 * The catalog in RAM is what arena and packs said when the store was opened, and every durable change since; the index only mirrors it.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_FSCK_H
#define FLIC_DAEMON_CHECKPOINT_FSCK_H

#include "daemon/checkpoint/store.h"

struct ck_fsck_figures {
    bool index_sound;           /* SQLite's own check, and the file is the one that is open */
    bool index_replaced;        /* it was not, so it was set aside with its journal and made anew */
    bool index_rebuilt;         /* its derived tables were written again */
    uint64_t checkpoints, tombstones, packs, packs_quarantined;
    uint64_t missing, stray;    /* checkpoints that the index did not have right; rows of what there is not */
    uint64_t unseen;            /* of the stray rows, those kept because what they tell of may come back (unseen.h) */
    uint64_t damaged;           /* checkpoints that need what is lost */
    char why[512];              /* why it is not sound, or "" */
};

/* Looks; with `rebuild` also mends what is wrong. What is forgotten stays so: that stands in the packs. What only the index knows
 * (unseen.h) is given up, unless it had to be replaced. */
int ck_fsck(struct ck_store *store, bool rebuild, struct ck_fsck_figures *figures, struct flic_err *err);

#endif
