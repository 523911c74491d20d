/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/give.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "daemon/checkpoint/leaf.h"
#include "daemon/migrate/copy.h"
#include "daemon/migrate/hello.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READY_S 600u            /* the peer stores its map, and moves what is in its NVRAM if there is no room */

struct mg_giver {
    struct mg_params params;
    const struct ck_facts *facts;
    struct ck_map *map;
    struct ls_link link;
    struct ls_leaf leaf;        /* in the making */
    uint64_t *sum;              /* one a leaf */
};

/* ---- beginning ---- */

static int offer(struct mg_giver *g, struct flic_err *err)
{
    const struct ck_facts *f = g->facts;
    struct mc_offer o = {
        .push = *g->params.push, .guest = f->guest, .seq = f->seq, .gfn_end = f->gfn_end, .pages = f->pages, .handed = g->params.handed,
        .config = g->params.loaded->root.config,
    };
    uint32_t no_disks;
    int rc;

    memcpy(o.name, f->name, sizeof(o.name));
    memcpy(o.arch, f->arch, sizeof(o.arch));
    strncpy(o.from, g->params.from, sizeof(o.from) - 1);
    mh_prove_group(g->params.key, g->params.owner_group, &o.group);
    rc = mc_send_offer(g->params.wire, &o, err);
    return rc ? rc : mh_get_accept(g->params.wire, READY_S, &g->link.peer_has, &no_disks, err);
}

static int begin(struct mg_giver *g, struct flic_err *err)
{
    int rc;

    g->sum = calloc(ck_leaf_count(g->facts->gfn_end) + 1, sizeof(*g->sum));
    if (!g->sum)
        return flic_err_set(err, -ENOMEM, "send '%s': out of memory", g->facts->name);
    if (g->facts->gfn_end > MH_GFN_END_MAX)
        return flic_err_set(err, FLIC_E_REFUSED, "send '%s': it is too large for the wire", g->facts->name);
    rc = ls_init(&g->link, g->params.wire, g->params.key, err);
    if (!rc)
        rc = ck_load_map(g->params.store, g->params.loaded, &g->map, err);
    return rc ? rc : offer(g, err);
}

int mg_new(const struct mg_params *params, struct mg_giver **ret_giver, struct flic_err *err)
{
    struct mg_giver *g = calloc(1, sizeof(*g));
    int rc;

    if (!g)
        return flic_err_set(err, -ENOMEM, "send a checkpoint: out of memory");
    g->params = *params;
    g->facts = &params->loaded->root.facts;
    rc = begin(g, err);
    if (rc)
        mg_free(g);
    else
        *ret_giver = g;
    return rc;
}

void mg_free(struct mg_giver *g)
{
    if (!g)
        return;
    ck_map_free(g->map);
    ls_fini(&g->link);
    free(g->sum);
    free(g);
}

/* ---- leaves ---- */

/* What the checkpoint has there. */
static int look(struct mg_giver *g, uint64_t first, struct flic_err *err)
{
    enum ck_kind kind[MD_LEAF_PAGES];
    int rc = ck_read_leaf(g->params.store, g->params.loaded, g->map, first, kind, g->link.room, err);

    if (rc)
        return flic_err_wrap(err, rc, "send %s@%llu", g->facts->name, (unsigned long long)g->facts->seq);
    ls_begin(&g->leaf, first);
    for (unsigned i = 0; i < MD_LEAF_PAGES; i++)
        if (kind[i] != CK_HOLE)
            ls_found(&g->link, &g->leaf, i, kind[i] == CK_PAGE ? g->link.room + (size_t)i * FLIC_PAGE_SIZE : NULL);
    g->sum[first / MD_LEAF_PAGES] = mp_sum_leaf(g->leaf.sum);
    return 0;
}

static int send_leaf(struct mg_giver *g, uint64_t first, struct flic_err *err)
{
    uint8_t need[MP_BITS];
    int rc = look(g, first, err);

    if (rc || !g->leaf.pages)
        return rc;
    rc = ls_ask(&g->link, &g->leaf, need, err);
    for (unsigned i = 0; !rc && i < MD_LEAF_PAGES; i++)
        if (mp_bit(need, i))
            rc = ls_put(&g->link, first + i, g->link.room + (size_t)i * FLIC_PAGE_SIZE, err);
    return rc ? rc : ls_flush(&g->link, err);
}

/* ---- the end ---- */

static int send_state(struct mg_giver *g, struct flic_err *err)
{
    const struct ck_root *root = &g->params.loaded->root;
    uint64_t now_ns = flic_wall_ns();

    return mw_send_u64(g->params.wire, MW_STATE, now_ns > g->facts->taken_ns ? now_ns - g->facts->taken_ns : 0, root->state, root->state_len, err);
}

static int await_ready(struct mg_giver *g, uint64_t *ret_seq, struct flic_err *err)
{
    struct flic_reader r;
    struct mw_message m;
    int rc = mw_expect(g->params.wire, MW_READY, READY_S, &m, err);

    if (rc)
        return rc;
    r = flic_reader_of(m.data, m.len);
    *ret_seq = flic_get_u64(&r);
    return r.bad || r.left ? flic_err_set(err, FLIC_E_PROTOCOL, "the peer does not say under which number it is there") : 0;
}

int mg_send(struct mg_giver *g, uint64_t *ret_seq, struct flic_err *err)
{
    uint64_t total = g->facts->pages * FLIC_PAGE_SIZE;
    int rc = 0;

    for (uint64_t first = 0; !rc && first < g->facts->gfn_end; first += MD_LEAF_PAGES) {
        rc = send_leaf(g, first, err);
        g->params.progress(g->params.arg, "send", g->link.figures.ram_pages * FLIC_PAGE_SIZE, total);
    }
    if (!rc)
        rc = send_state(g, err);
    if (!rc)
        rc = mw_send_bytes(g->params.wire, MW_CHECK, g->sum, ck_leaf_count(g->facts->gfn_end) * sizeof(*g->sum), err);
    g->params.progress(g->params.arg, "store", total, total);
    return rc ? rc : await_ready(g, ret_seq, err);
}

int mg_hand_over(struct mg_giver *g, bool handed, bool *ret_sent, struct flic_err *err)
{
    uint8_t word = handed;
    struct mw_message m;
    int rc;

    *ret_sent = true;
    rc = mw_send_bytes(g->params.wire, MW_GO, &word, 1, err);
    return rc ? rc : mw_expect(g->params.wire, MW_DONE, 0, &m, err);
}

void mg_get_figures(const struct mg_giver *g, struct ls_figures *ret_figures)
{
    ls_get_figures(&g->link, ret_figures);
}
