/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* save_priv - one save's insides, shared by save.c, live.c and capture.c only. */
#ifndef FLIC_DAEMON_CHECKPOINT_SAVE_PRIV_H
#define FLIC_DAEMON_CHECKPOINT_SAVE_PRIV_H

#include "daemon/checkpoint/ahead.h"
#include "daemon/checkpoint/base.h"
#include "daemon/checkpoint/save.h"
#include "daemon/checkpoint/team.h"

struct ck_save {
    struct ck_store *store;
    struct ck_save_params params;
    struct flx_info info;
    struct ck_facts facts;
    struct ck_save_figures figures;
    bool tracking, reserved, committed, published;

    struct ck_base *base;       /* lent, or its own */
    struct ck_map *map;         /* these three are the base's: what is on flash; the delta goes on top */
    struct pk_writer *writer;
    uint64_t *dirty;            /* gfns not known to be in the map */
    uint64_t flash_before;      /* what the writer had written when the save began */
    uint8_t *window;            /* private copy of a window: a running guest's page may change between hash and store */

    /* prepared ahead of the pause */
    struct team *team;
    struct nv_txn *txn;
    struct flic_id *leaves; size_t n_leaves;
    uint8_t *delta; size_t n_delta, delta_room;     /* CK_DELTA_ENTRY bytes each */
    uint64_t base_pages;
    void *state; size_t state_len;      /* taken in the pause */
    struct ck_ahead *ahead;     /* NULL: nothing is mapped ahead */
    struct flx_map **maps; size_t n_maps;   /* all there are; unmapping costs more than mapping: left for after the pause */
};

/* Fetches log-dirty and adds it to save->dirty; gfns that Xen did not report on count as dirty. The `last` bitmap, in the pause, is
 * only looked at: nothing is write-protected again, and should the guest go on, its next bitmap has these pages too. */
int ck_save_fetch_dirty(struct ck_save *save, bool last, struct flic_err *err);

/* Next up to CK_WINDOW dirty gfns from *gfn on, which moves, but for those in `without` (may be NULL); returns how many (0: end). */
size_t ck_save_next_window(const struct ck_save *save, const uint64_t *without, uint64_t *gfn, uint64_t gfns[CK_WINDOW]);

/* Maps up to CK_WINDOW gfns until ck_save_unmap(): page i is at *ret_base + i * FLIC_PAGE_SIZE. */
int ck_save_map(struct ck_save *save, const uint64_t *gfns, size_t n, const uint8_t **ret_base, uint8_t *kind, struct flic_err *err);
void ck_save_unmap(struct ck_save *save);

#endif
