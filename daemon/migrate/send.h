/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * send - a running guest to a peer: rounds while it runs, what is left in its pause. Beside a save of the same guest, which finds out what was
 * written and makes the guest durable here; pages are read from the guest itself.
 *
 *   ms_new     hello, offer: the peer takes it or says why not
 *   ms_live    all pages, then what was written meanwhile, until the rest fits the pause that is allowed
 *   ms_once_more   after ck_save_settle(): what was written while both sides prepared for the pause; a few rounds if it is too much for it
 *   ms_race_on  between the wish to suspend and the pause: what is written then
 *   ms_limit_pause   the guest is suspended: from here on nothing waits for a slow peer without end
 *   ms_last    in the pause: the rest, the machine state, the sums of all
 *   ms_await   until it is whole and durable there
 *   ms_hand_over   the one message after which the guest is the peer's
 *
 * With auto_converge the guest is slower from some round of ms_live() or ms_once_more() on, until ms_race_on(), or ms_free().
 *
 * Every page that goes unsent into ms_last() is one that log-dirty named after it was sent, or that was never sent. One thread.
 */
#ifndef FLIC_DAEMON_MIGRATE_SEND_H
#define FLIC_DAEMON_MIGRATE_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid.h"
#include "daemon/checkpoint/save.h"
#include "daemon/migrate/leaf_send.h"
#include "libxl-ext/flx.h"

struct ms_params {
    struct mw_wire *wire;               /* borrowed, as all */
    struct flx_dom *dom;
    const struct flic_uuid *migration;  /* drawn for this one */
    const char *config;                 /* libxl JSON */
    const char *disks;                  /* JSON text of disks.h; arrive.h */
    const char *owner_group;            /* "": none */
    unsigned max_downtime_ms;           /* for the rest of the pages: how long the link may take for them */
    unsigned rounds_max;
    unsigned cool_ms;                   /* a page that was not written for so long is worth sending while the guest runs; no round is shorter */
    bool auto_converge;                 /* slow the guest down before it is said that the rest is too much */
    unsigned race_us;                   /* a step of what is sent right before the pause, if the link needs longer for the rest */
    void (*progress)(void *arg, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
    void *arg;
};

struct ms_figures {
    struct ls_figures pages;
    uint64_t resent_pages;              /* of those sent, how many had been sent before */
    uint64_t slowed_percent, slowed_us; /* to how much of the CPU time that it used, at last; 0: it was not; how long it was slower at all */
    uint64_t race_steps, race_pages;    /* right before the pause */
    uint64_t last_pages, last_zero_pages;       /* sent in the pause */
    uint64_t rounds, live_us, last_us, await_us, expected_downtime_us;
    uint64_t last_link_us;              /* of last_us: until the link had taken the pages */
    uint64_t bytes_per_s;               /* of the link, as far as it is known */
};

struct ms_sender;
int ms_new(const struct ms_params *params, struct ms_sender **ret_sender, struct flic_err *err);
void ms_free(struct ms_sender *sender);         /* accepts NULL */

/* For ck_save_params.dirtied: from ck_save_rounds() on. */
void ms_dirtied(struct ms_sender *sender, const uint64_t *bitmap, uint64_t gfn_end);

int ms_live(struct ms_sender *sender, struct ck_save *save, struct flic_err *err);
int ms_once_more(struct ms_sender *sender, struct ck_save *save, struct flic_err *err);
/* From the wish to suspend until it is answered, while the guest writes on, as long as it helps. `is_suspended` waits for the answer, no longer than
 * until then. */
int ms_race_on(struct ms_sender *sender, struct ck_save *save, bool (*is_suspended)(void *arg, uint64_t until_us), void *arg, struct flic_err *err);
/* Ten times the pause that is allowed, or two minutes: then what is sent fails, ms_last()'s and what else goes over the wire in the pause. ms_await()
 * and ms_hand_over() have limits of their own. */
void ms_limit_pause(struct ms_sender *sender);
/* suspended_us: CLOCK_MONOTONIC, when the guest was found suspended. */
int ms_last(struct ms_sender *sender, const void *state, size_t state_len, uint64_t suspended_us, struct flic_err *err);
int ms_await(struct ms_sender *sender, struct flic_err *err);
/* *ret_sent: whether the message may have reached the peer. Then only it can tell where the guest is, unless 0 is returned. */
int ms_hand_over(struct ms_sender *sender, bool *ret_sent, struct flic_err *err);

/* For disk_send.h: the connection's key, and of which disks the peer has an older state. */
const struct md_key *ms_key(const struct ms_sender *sender, uint32_t *ret_peer_disks);

void ms_get_figures(const struct ms_sender *sender, struct ms_figures *ret_figures);

#endif
