/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* store_priv - the store's insides, shared by store.c, catalog.c and collect.c only. */
#ifndef FLIC_DAEMON_CHECKPOINT_STORE_PRIV_H
#define FLIC_DAEMON_CHECKPOINT_STORE_PRIV_H

#include <pthread.h>

#include "daemon/checkpoint/identity.h"
#include "daemon/checkpoint/store.h"

struct ck_store {
    struct nv_arena *arena;
    struct pk_store *packs;
    struct ix_index *index;
    struct ck_identity identity;
    struct ck_recovery recovery;

    /* Lock order: growing, then lock; neither is held while nv_*, pk_* or ix_* are asked for I/O on guests. */
    pthread_rwlock_t growing;   /* read: puts objects whose root is not findable yet; write: collects */
    pthread_mutex_t lock;       /* all below */
    pthread_cond_t turn;        /* quiet or working changed */
    unsigned quiet, working;
    struct ck_entry *entries; size_t n_entries, room;   /* by commit, oldest first */
    struct nv_name *tombs; size_t n_tombs;              /* forgotten ones: their numbers stay taken */
    struct nv_name *users; size_t n_users;
};

/* One scan of arena and packs; unpublished objects are dropped; the index is brought in line. */
int ck_catalog_build(struct ck_store *store, struct flic_err *err);
int ck_catalog_remove(struct ck_store *store, const struct nv_name *name, struct flic_err *err);

#endif
