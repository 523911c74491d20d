/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * verify - reads everything that checkpoints are made of, and sets aside what is bad.
 *
 * A pack with something bad in it: what is good moves to a new one, what is lost is taken from NVRAM where it lies there too, or from
 * another pack; then the bad one is set aside, never removed. One whose footer cannot be read is bad too: while the store is open it is known
 * without it what lies in the pack. Checkpoints that need what is left over are marked as damaged in the catalog.
 * Runs beside everything else; reads from flash, whatever memory holds.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_VERIFY_H
#define FLIC_DAEMON_CHECKPOINT_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/checkpoint/store.h"

struct ck_verify_params {
    const struct ck_entry *only;    /* NULL: everything */
    uint32_t from_pack;             /* packs with a lower number were read already */
    uint64_t kib_per_s;             /* 0: as fast as it goes */
    bool (*cancelled)(void *arg);
    void (*read_pack)(uint32_t number, void *arg);      /* a pack is done; may be NULL */
    void *arg;
};

struct ck_verify_figures {
    uint64_t packs, packs_set_aside, packs_unreadable;  /* unreadable: cannot even be opened; left as it is */
    uint64_t objects, bad_objects, repaired_objects, lost_objects;
    uint64_t read_bytes;
    uint64_t nvram_pages, nvram_bad_pages, nvram_repaired_pages;    /* repaired: a pack has the same page */
    uint64_t checkpoints, damaged;
    uint64_t took_us;
};

/* Damage is no error: the figures and the catalog tell of it. FLIC_E_CANCELLED between steps. */
int ck_verify(struct ck_store *store, const struct ck_verify_params *params, struct ck_verify_figures *figures, struct flic_err *err);

/* Looks through all checkpoints for what is in no pack and marks those; quick: pages are looked up, not read. */
int ck_find_damaged(struct ck_store *store, struct flic_err *err);

#endif
