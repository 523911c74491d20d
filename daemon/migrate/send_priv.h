/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * send_priv - one sender's insides, shared by send.c, memory.c and rounds.c only: what both sides say before and after the pages; pages from the guest
 * to the peer; which of them go when.
 */
#ifndef FLIC_DAEMON_MIGRATE_SEND_PRIV_H
#define FLIC_DAEMON_MIGRATE_SEND_PRIV_H

#include "daemon/checkpoint/base.h"
#include "daemon/migrate/heat.h"
#include "daemon/migrate/leaf_send.h"
#include "daemon/migrate/send.h"

#define MS_MAPS_MAX 65536u

struct ms_sender {
    struct ms_params params;
    struct flx_info info;
    struct md_key key;
    uint32_t peer_disks;
    struct ls_link link;
    struct ms_figures figures;

    /* memory.c */
    struct ls_leaf leaf;        /* in the making */
    uint64_t *unsent;           /* bits over gfn_end: not sent, or written since */
    uint64_t *sent_once;
    uint64_t *present;          /* as the peer was told */
    uint64_t *sum;              /* of what the peer has at each gfn, as far as we know: mp_sum() */
    bool in_pause;
    struct flx_map **maps; size_t n_maps;       /* of the pause: unmapped after it */

    /* rounds.c */
    struct mt_heat heat;
    uint64_t cleaned_us;        /* when the last bitmap came */
    uint64_t *newest;           /* it */
    uint64_t *raced;            /* sent by race(), and not written since */
    uint64_t race_sent;         /* pages of its last step */
    uint64_t syncs, least_wait_us;      /* how often the peer said that it has all that was sent, and the shortest wait for that */
    uint64_t used_from_us, used_from_ns;        /* since when its use of CPUs is looked at, and how much it had used then */
    unsigned used_percent;      /* of one CPU, before it was slowed down; may be 0 */
    unsigned slowed_to;         /* percent of that as it was asked for; 0: it was not */
    uint64_t slowed_at_us;      /* 0: it runs as fast as ever */
    bool race_helps;            /* fewer of these came back than went out */
};

static inline uint64_t ms_left(const struct ms_sender *s) { return ck_count_bits(s->unsent, s->info.gfn_end); }

/* The guest runs as fast as ever again; fine when it does. */
void ms_full_speed(struct ms_sender *s);

/* Every page, leaf by leaf, for the first time. `later` are pages that will be sent again anyway: those that the peer lacks of them wait. */
int ms_send_all(struct ms_sender *s, const uint64_t *later, struct flic_err *err);

struct ms_choice {              /* of what is unsent; a member that is NULL or 0 rules nothing out */
    const uint64_t *only, *but;
    uint64_t until_us;          /* however late it is already, some go */
};
int ms_send_chosen(struct ms_sender *s, const struct ms_choice *choice, struct flic_err *err);

#endif
