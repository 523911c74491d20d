/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/take.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "daemon/checkpoint/load.h"
#include "daemon/migrate/hello.h"
#include "libxl-ext/flx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GO_S 120u

struct mt_taker {
    struct mt_params params;
    struct mc_offer offer;
    struct lt_leaves leaves;
    bool committed;
    struct nv_name same;        /* in use from when it was found to be what came */
    bool in_use;
    void *state; size_t state_len;
    uint64_t taken_ns;          /* by the clock of here */
};

static int no_memory(const struct mt_taker *t, struct flic_err *err)
{
    return flic_err_set(err, -ENOMEM, "store '%s': out of memory", t->offer.name);
}

/* ---- beginning ---- */

int mt_hear(const struct mt_params *params, struct mt_taker **ret_taker, struct flic_err *err)
{
    struct mt_taker *t = calloc(1, sizeof(*t));
    int rc;

    if (!t)
        return flic_err_set(err, -ENOMEM, "store a checkpoint: out of memory");
    t->params = *params;
    rc = lt_init(&t->leaves, params->wire, params->key, params->store, "store", err);
    if (!rc)
        rc = mc_get_offer(params->wire, &t->offer, err);
    if (rc)
        mt_free(t);
    else
        *ret_taker = t;
    return rc;
}

void mt_free(struct mt_taker *t)
{
    if (!t)
        return;
    if (t->in_use)
        ck_unuse(t->params.store, &t->same);
    lt_fini(&t->leaves);
    mc_offer_fini(&t->offer);
    free(t->state);
    free(t);
}

const struct mc_offer *mt_offer(const struct mt_taker *t) { return &t->offer; }

void mt_set_config(struct mt_taker *t, char *config)
{
    free(t->offer.config);
    t->offer.config = config;
}

bool mt_is_group(const struct mt_taker *t, const char *group)
{
    return mh_is_group(t->params.key, group, &t->offer.group);
}

int mt_know(struct mt_taker *t, const struct ck_loaded *other, struct flic_err *err)
{
    return lt_know(&t->leaves, other, err);
}

int mt_begin(struct mt_taker *t, const struct ck_loaded *base, const struct ck_arrival *earlier, struct flic_err *err)
{
    struct ck_facts facts = { .guest = t->offer.guest, .gfn_end = t->offer.gfn_end, .pages = t->offer.pages };
    int rc;

    memcpy(facts.name, t->offer.name, sizeof(facts.name));
    memcpy(facts.arch, t->offer.arch, sizeof(facts.arch));
    rc = lt_begin(&t->leaves, &facts, t->offer.config, base, earlier, err);
    return rc ? rc : mh_send_accept(t->params.wire, t->leaves.has, 0, err);
}

/* ---- what comes ---- */

static int on_leaf(struct mt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    struct mp_leaf leaf;
    int rc = mp_get_leaf(m->data, m->len, t->offer.gfn_end, &leaf, err);

    if (!rc && t->state)
        rc = mw_broken(err, "a leaf came out of order");
    if (!rc)
        rc = lt_mark(&t->leaves, &leaf, err);
    return rc ? rc : lt_answer(&t->leaves, &leaf, NULL, err);
}

static int on_pages(struct mt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    const uint8_t *pages;
    uint64_t gfns[MP_BATCH];
    size_t n;
    int rc = t->state ? mw_broken(err, "a page came out of order") : lt_decode(&t->leaves, m, gfns, &n, &pages, err);

    for (size_t i = 0; !rc && i < n; i++) {
        lt_came(&t->leaves, gfns[i], pages + i * FLIC_PAGE_SIZE);
        rc = ck_arrival_page(t->leaves.arrival, gfns[i], pages + i * FLIC_PAGE_SIZE, err);
    }
    return rc;
}

static int on_state(struct mt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    struct flic_reader reader = flic_reader_of(m->data, m->len);
    uint64_t ago_ns = flic_get_u64(&reader), now_ns = flic_wall_ns();

    if (reader.bad || t->state || !reader.left || reader.left > FLX_STATE_MAX)
        return mw_broken(err, "a machine state out of order");
    t->state = malloc(reader.left);
    if (!t->state)
        return no_memory(t, err);
    memcpy(t->state, reader.at, reader.left);
    t->state_len = reader.left;
    t->taken_ns = ago_ns < now_ns ? now_ns - ago_ns : 0;
    return 0;
}

static int on_check(struct mt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    int rc;

    if (!t->state)
        return mw_broken(err, "sums out of order");
    if (t->leaves.figures.ram_pages != t->offer.pages)
        return mw_broken(err, "it has not so many pages as were offered");
    rc = lt_check(&t->leaves, m, err);
    return rc ? rc : lt_drop_absent(&t->leaves, err);
}

static int on_message(struct mt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    switch (m->type) {
    case MW_LEAF: return on_leaf(t, m, err);
    case MW_PAGES: return on_pages(t, m, err);
    case MW_STATE: return on_state(t, m, err);
    case MW_CHECK: return on_check(t, m, err);
    default: return mw_broken(err, "an unexpected message");
    }
}

int mt_take(struct mt_taker *t, struct flic_err *err)
{
    struct mw_message m = { .type = 0 };
    int rc = 0;

    while (!rc && m.type != MW_CHECK) {
        rc = mw_receive(t->params.wire, 0, &m, err);
        if (!rc)
            rc = on_message(t, &m, err);
        t->params.progress(t->params.arg, "receive", t->leaves.figures.ram_pages * FLIC_PAGE_SIZE, t->offer.pages * FLIC_PAGE_SIZE);
    }
    return rc;
}

const void *mt_state(const struct mt_taker *t, size_t *ret_len)
{
    *ret_len = t->state_len;
    return t->state;
}

/* ---- the end ---- */

static bool same_map(const struct mt_taker *t, const struct ck_loaded *other)
{
    struct ck_map *map;
    bool same = true;

    if (ck_load_map(t->params.store, other, &map, NULL))
        return false;
    for (uint64_t gfn = 0; same && gfn < t->offer.gfn_end; gfn++) {
        struct flic_id a = ck_arrival_id(t->leaves.arrival, gfn), b = ck_map_get(map, gfn);

        same = flic_id_equal(&a, &b);
    }
    ck_map_free(map);
    return same;
}

/* One that is damaged is not: this one may have been sent to have it whole again. */
static bool is_same(const struct mt_taker *t, const struct ck_entry *entry)
{
    struct ck_loaded loaded;
    bool same;

    if (entry->damaged || !flic_uuid_equal(&entry->info.guest, &t->offer.guest) || ck_load(t->params.store, entry, &loaded, NULL))
        return false;
    same = loaded.root.facts.gfn_end == t->offer.gfn_end && loaded.root.state_len == t->state_len &&
           !memcmp(loaded.root.state, t->state, t->state_len) && mc_same_config(loaded.root.config, t->offer.config) && same_map(t, &loaded);
    ck_unload(t->params.store, &loaded);
    return same;
}

/* Nobody forgets it between the answer that it is here and the last word. */
static bool use_same(struct mt_taker *t, const struct ck_entry *entry)
{
    t->same = (struct nv_name){ .guest = entry->info.guest, .seq = entry->info.seq };
    t->in_use = !ck_use(t->params.store, &t->same, NULL);
    if (t->in_use && !is_same(t, entry)) {
        ck_unuse(t->params.store, &t->same);
        t->in_use = false;
    }
    return t->in_use;
}

/* A copy that is made again, since its last word was lost or by habit, is one checkpoint and not two. */
static bool find_same(struct mt_taker *t, uint64_t *ret_seq)
{
    struct ck_entry *entries;
    bool found = false;
    size_t n;

    if (ck_list(t->params.store, &entries, &n, NULL))
        return false;
    for (size_t i = 0; i < n && !found; i++) {
        found = use_same(t, &entries[i]);
        *ret_seq = entries[i].info.seq;
    }
    free(entries);
    return found;
}

int mt_commit(struct mt_taker *t, uint64_t *ret_seq, bool *ret_there, struct flic_err *err)
{
    int rc;

    *ret_there = find_same(t, ret_seq);
    if (*ret_there)
        return 0;
    *ret_seq = ck_arrival_facts(t->leaves.arrival)->seq;
    rc = ck_arrival_settle(t->leaves.arrival, 0, err);
    if (rc)
        return rc;
    t->committed = true;        /* what could be kept is not what it was any more */
    return ck_arrival_commit(t->leaves.arrival, t->state, t->state_len, t->taken_ns, err);
}

int mt_publish(struct mt_taker *t, const char *disks, size_t len, struct flic_err *err)
{
    return ck_arrival_publish(t->leaves.arrival, disks, len, err);
}

int mt_ready(struct mt_taker *t, uint64_t seq, bool *ret_handed, struct flic_err *err)
{
    struct mw_message m;
    int rc = mw_send_u64(t->params.wire, MW_READY, seq, NULL, 0, err);

    if (!rc)
        rc = mw_expect(t->params.wire, MW_GO, GO_S, &m, err);
    if (!rc && (m.len != 1 || m.data[0] > t->offer.handed))
        rc = mw_broken(err, "its last word is none");
    if (!rc)
        *ret_handed = m.data[0] == 1;
    return rc;
}

struct ck_arrival *mt_arrival(struct mt_taker *t) { return t->leaves.arrival; }

int mt_done(struct mt_taker *t, struct flic_err *err)
{
    return mw_send_bytes(t->params.wire, MW_DONE, NULL, 0, err);
}

struct ck_arrival *mt_keep(struct mt_taker *t)
{
    return t->committed ? NULL : lt_keep(&t->leaves);
}

void mt_get_figures(const struct mt_taker *t, struct lt_figures *ret_figures)
{
    lt_get_figures(&t->leaves, ret_figures);
}
