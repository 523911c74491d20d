/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* store_priv - the store's insides, shared by store.c, catalog.c and collect.c only. */
#ifndef FLIC_DAEMON_CHECKPOINT_STORE_PRIV_H
#define FLIC_DAEMON_CHECKPOINT_STORE_PRIV_H

#include <pthread.h>

#include "daemon/checkpoint/identity.h"
#include "daemon/checkpoint/marks.h"
#include "daemon/checkpoint/store.h"

struct ck_user {
    struct nv_name name;
    bool forgets;               /* alone: nobody else uses it then */
};

struct ck_store {
    struct nv_arena *arena;
    struct pk_store *packs;
    struct ix_index *index;
    struct ck_identity identity;
    struct ck_recovery recovery;
    int flash_stat;             /* for ck_device_written(); -1: none */
    int folder_fd;              /* of the store; -1: none yet */
    /* While it is opened: ids of tombstones that cannot be read, and of all that lay in packs that cannot be; and how many could be read. */
    struct marks lost_stones; size_t n_tombs_read;

    pthread_mutex_t lock;       /* all below; never held over I/O on guests */
    pthread_cond_t turn;        /* quiet or working changed */
    unsigned quiet, working;
    struct ck_entry *entries; size_t n_entries, room, reserved;     /* a guest's own in the order of their numbers */
    struct nv_name *tombs; size_t n_tombs;              /* forgotten ones: their numbers stay taken */
    struct ck_user *users; size_t n_users;
    struct ix_checkpoint *unseen; size_t n_unseen;      /* unseen.h */
    uint32_t mirrored;          /* packs before this one are in the index: a place of pk_each_pack() */
    bool moving;                /* somebody moves what is in packs */
};

/* One at a time moves packs; false: another does. */
bool ck_claim_moving(struct ck_store *store);
void ck_end_moving(struct ck_store *store);

/* A tombstone on flash, durable. Outside of work. */
int ck_bury(struct ck_store *store, const struct nv_name *name, struct flic_err *err);
/* One scan of the packs; then of the arena, where unpublished objects are dropped, and the index is brought in line. */
int ck_catalog_read_flash(struct ck_store *store, struct flic_err *err);
int ck_catalog_build(struct ck_store *store, struct flic_err *err);
/* Replaces the index's derived tables by what the catalog and the packs say; the rows of unseen ones stay. */
int ck_mirror_all(struct ck_store *store, struct flic_err *err);
/* Takes one out and keeps its number as taken. Fails only without memory, and then changes nothing. */
int ck_catalog_remove(struct ck_store *store, const struct nv_name *name, struct flic_err *err);
bool ck_catalog_has(struct ck_store *store, const struct nv_name *name);    /* lock held */

#endif
