/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/send.h"

#include "common/clock.h"
#include "daemon/migrate/hello.h"
#include "daemon/migrate/send_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READY_S 300u            /* the peer's libxl builds the devices in it */

/* ---- beginning ---- */

static int allocate(struct ms_sender *s, struct flic_err *err)
{
    uint64_t end = s->info.gfn_end;

    s->unsent = calloc(ck_words(end) + 1, 8);
    s->sent_once = calloc(ck_words(end) + 1, 8);
    s->present = calloc(ck_words(end) + 1, 8);
    s->newest = calloc(ck_words(end) + 1, 8);
    s->raced = calloc(ck_words(end) + 1, 8);
    s->sum = calloc(end + MD_LEAF_PAGES, sizeof(*s->sum));      /* MP_SUM_HOLE */
    s->maps = calloc(MS_MAPS_MAX, sizeof(*s->maps));
    if (!s->unsent || !s->sent_once || !s->present || !s->newest || !s->raced || !s->sum || !s->maps ||
        mt_heat_init(&s->heat, end, flic_now_us()))
        return flic_err_set(err, -ENOMEM, "migrate '%s': out of memory", s->info.name);
    return ls_init(&s->link, s->params.wire, &s->key, err);
}

/* What the peer must know before it can make the domain. */
static int send_sketch(struct ms_sender *s, struct flic_err *err)
{
    void *state;
    size_t len;
    int rc = flx_state_sketch(s->params.dom, &state, &len, err);

    if (rc)
        return rc;
    rc = mw_send_bytes(s->params.wire, MW_SKETCH, state, len, err);
    free(state);
    return rc;
}

static int offer(struct ms_sender *s, struct flic_err *err)
{
    struct mh_offer o = {
        .migration = *s->params.migration, .guest = s->info.uuid, .gfn_end = s->info.gfn_end, .pages = s->info.pages,
        .config = (char *)(uintptr_t)s->params.config, .disks = (char *)(uintptr_t)s->params.disks,
    };
    int rc;

    memcpy(o.name, s->info.name, sizeof(o.name));
    mh_prove_group(&s->key, s->params.owner_group, &o.group);
    rc = mh_send_offer(s->params.wire, &o, err);
    if (!rc)
        rc = send_sketch(s, err);
    if (!rc)
        rc = mh_get_accept(s->params.wire, READY_S, &s->link.peer_has, &s->peer_disks, err);
    return rc;
}

int ms_new(const struct ms_params *params, struct ms_sender **ret_sender, struct flic_err *err)
{
    struct ms_sender *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return flic_err_set(err, -ENOMEM, "migrate: out of memory");
    s->params = *params;
    rc = flx_info(params->dom, &s->info, err);
    if (!rc)
        rc = allocate(s, err);
    if (!rc)
        rc = mh_greet(params->wire, true, &s->key, err);
    if (!rc)
        rc = offer(s, err);
    if (rc) {
        ms_free(s);
        return rc;
    }
    *ret_sender = s;
    return 0;
}

void ms_free(struct ms_sender *s)
{
    if (!s)
        return;
    while (s->n_maps)
        flx_unmap(s->maps[--s->n_maps]);
    ms_full_speed(s);
    ls_fini(&s->link);
    free(s->unsent);
    free(s->sent_once);
    free(s->present);
    free(s->newest);
    free(s->raced);
    mt_heat_fini(&s->heat);
    free(s->sum);
    free(s->maps);
    free(s);
}

/* ---- the end ---- */

/* One sum a leaf, from the first to the last: what all pages are now. */
static int send_check(struct ms_sender *s, struct flic_err *err)
{
    uint64_t leaves = ck_leaf_count(s->info.gfn_end);
    uint64_t *all = malloc((leaves + 1) * sizeof(*all));
    int rc;

    if (!all)
        return flic_err_set(err, -ENOMEM, "migrate '%s': out of memory", s->info.name);
    for (uint64_t i = 0; i < leaves; i++)
        all[i] = mp_sum_leaf(s->sum + i * MD_LEAF_PAGES);
    rc = mw_send_bytes(s->params.wire, MW_CHECK, all, leaves * sizeof(*all), err);
    free(all);
    return rc;
}

void ms_limit_pause(struct ms_sender *s)
{
    unsigned seconds = s->params.max_downtime_ms / 100;

    mw_deadline(s->params.wire, seconds > MW_SILENCE_S ? seconds : MW_SILENCE_S);
}

int ms_last(struct ms_sender *s, const void *state, size_t state_len, uint64_t suspended_us, struct flic_err *err)
{
    uint64_t began = flic_now_us(), busy_before = s->link.busy_us;
    int rc;

    s->in_pause = true;
    rc = ms_send_chosen(s, &(struct ms_choice){ 0 }, err);
    s->figures.last_link_us = s->link.busy_us - busy_before;
    if (!rc)
        rc = mw_send_u64(s->params.wire, MW_STATE, (flic_now_us() - suspended_us) * 1000, state, state_len, err);
    if (!rc)
        rc = send_check(s, err);
    s->figures.last_us = flic_now_us() - began;
    return rc;
}

int ms_await(struct ms_sender *s, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    struct mw_message m;
    int rc;

    mw_deadline(s->params.wire, READY_S);
    rc = mw_expect(s->params.wire, MW_READY, READY_S, &m, err);

    s->figures.await_us = flic_now_us() - began;
    return rc;
}

int ms_hand_over(struct ms_sender *s, bool *ret_sent, struct flic_err *err)
{
    struct mw_message m;
    int rc;

    *ret_sent = true;
    mw_deadline(s->params.wire, MW_SILENCE_S);
    rc = mw_send_bytes(s->params.wire, MW_GO, NULL, 0, err);
    return rc ? rc : mw_expect(s->params.wire, MW_RUNNING, 0, &m, err);
}

const struct md_key *ms_key(const struct ms_sender *s, uint32_t *ret_peer_disks)
{
    *ret_peer_disks = s->peer_disks;
    return &s->key;
}

void ms_get_figures(const struct ms_sender *s, struct ms_figures *ret_figures)
{
    *ret_figures = s->figures;
    if (s->slowed_at_us)
        ret_figures->slowed_us += flic_now_us() - s->slowed_at_us;
    ls_get_figures(&s->link, &ret_figures->pages);
}
