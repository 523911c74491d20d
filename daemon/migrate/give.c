/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/give.h"

#include "common/bytes.h"
#include "daemon/checkpoint/leaf.h"
#include "daemon/migrate/copy.h"
#include "daemon/migrate/hello.h"
#include "daemon/migrate/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READY_S 600u            /* the peer stores its map, and moves what is in its NVRAM if there is no room */

struct mg_giver {
    struct mg_params params;
    const struct ck_facts *facts;
    struct ck_map *map;
    struct mp_coder *coder;
    bool peer_has;              /* pages of its own that it may ask with */
    uint8_t *pages;             /* MD_LEAF_PAGES pages */
    uint8_t *batch;             /* MP_BATCH pages */
    uint64_t gfns[MP_BATCH];
    size_t n;
    uint64_t *sum;              /* one a leaf */
    enum ck_kind kind[MD_LEAF_PAGES];
    struct md_digest digest[MD_LEAF_PAGES];
    struct mg_figures figures;
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
    return rc ? rc : mh_get_accept(g->params.wire, READY_S, &g->peer_has, &no_disks, err);
}

static int begin(struct mg_giver *g, struct flic_err *err)
{
    size_t leaves = ck_leaf_count(g->facts->gfn_end);
    int rc;

    g->pages = malloc((size_t)MD_LEAF_PAGES * FLIC_PAGE_SIZE);
    g->batch = malloc((size_t)MP_BATCH * FLIC_PAGE_SIZE);
    g->sum = calloc(leaves + 1, sizeof(*g->sum));
    if (!g->pages || !g->batch || !g->sum)
        return flic_err_set(err, -ENOMEM, "send '%s': out of memory", g->facts->name);
    if (g->facts->gfn_end > MH_GFN_END_MAX)
        return flic_err_set(err, FLIC_E_REFUSED, "send '%s': it is too large for the wire", g->facts->name);
    rc = mp_coder_new(&g->coder, err);
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
    mp_coder_free(g->coder);
    free(g->pages);
    free(g->batch);
    free(g->sum);
    free(g);
}

/* ---- leaves ---- */

/* Reads a leaf and says of each page what it is: present pages in it. */
static int look(struct mg_giver *g, uint64_t first, struct mp_leaf *leaf, size_t *ret_present, struct flic_err *err)
{
    uint64_t sums[MD_LEAF_PAGES];
    size_t present = 0;
    int rc = ck_read_leaf(g->params.store, g->params.loaded, g->map, first, g->kind, g->pages, err);

    if (rc)
        return flic_err_wrap(err, rc, "send %s@%llu", g->facts->name, (unsigned long long)g->facts->seq);
    *leaf = (struct mp_leaf){ .leaf = (uint32_t)(first / MD_LEAF_PAGES), .ask = g->peer_has };
    for (unsigned i = 0; i < MD_LEAF_PAGES; i++) {
        const uint8_t *page = g->kind[i] == CK_PAGE ? g->pages + (size_t)i * FLIC_PAGE_SIZE : NULL;

        g->digest[i] = g->kind[i] == CK_HOLE ? MD_HOLE : MD_ZERO;
        sums[i] = g->kind[i] == CK_HOLE ? MP_SUM_HOLE : mp_sum(page);
        if (g->kind[i] == CK_HOLE)
            continue;
        present++;
        mp_set_bit(leaf->present, i);
        if (!page)
            mp_set_bit(leaf->zero, i);
        else if (g->peer_has)
            g->digest[i] = md_of(g->params.key, page, FLIC_PAGE_SIZE);
        g->figures.zero_pages += !page;
    }
    g->sum[first / MD_LEAF_PAGES] = mp_sum_leaf(sums);
    g->figures.ram_pages += present;
    if (g->peer_has)
        leaf->digest = md_of_leaf(g->params.key, g->digest);
    *ret_present = present;
    return 0;
}

/* Which of the leaf's pages the peer wants; all where it cannot ask. */
static int ask(struct mg_giver *g, uint8_t need[MP_BITS], struct flic_err *err)
{
    struct mw_message m;
    int rc = mw_expect(g->params.wire, MW_SAME, 0, &m, err);

    if (!rc && (m.len != 1 || m.data[0] > 1))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer's answer about a leaf is none");
    if (rc)
        return rc;
    if (m.data[0]) {
        memset(need, 0, MP_BITS);
        return 0;
    }
    rc = mw_send_bytes(g->params.wire, MW_DIGESTS, g->digest, sizeof(g->digest), err);
    if (!rc)
        rc = mw_expect(g->params.wire, MW_NEED, 0, &m, err);
    if (!rc && m.len != MP_BITS)
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer's answer about pages is none");
    for (unsigned i = 0; !rc && i < MP_BITS; i++)
        need[i] &= m.data[i];
    return rc;
}

static int flush(struct mg_giver *g, struct flic_err *err)
{
    const void *head, *body;
    size_t head_len, body_len;
    struct mw_piece pieces[2];
    int rc;

    if (!g->n)
        return 0;
    rc = mp_encode(g->coder, g->gfns, g->n, g->batch, &head, &head_len, &body, &body_len, err);
    pieces[0] = (struct mw_piece){ head, head_len };
    pieces[1] = (struct mw_piece){ body, body_len };
    if (!rc)
        rc = mw_send(g->params.wire, MW_PAGES, pieces, 2, err);
    g->figures.sent_pages += g->n;
    g->figures.page_bytes += body_len;
    g->n = 0;
    return rc;
}

static int send_needed(struct mg_giver *g, uint64_t first, const uint8_t need[MP_BITS], struct flic_err *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < MD_LEAF_PAGES; i++) {
        if (g->kind[i] != CK_PAGE)
            continue;
        if (!mp_bit(need, i)) {
            g->figures.there_pages++;
            continue;
        }
        memcpy(g->batch + g->n * FLIC_PAGE_SIZE, g->pages + (size_t)i * FLIC_PAGE_SIZE, FLIC_PAGE_SIZE);
        g->gfns[g->n++] = first + i;
        if (g->n == MP_BATCH)
            rc = flush(g, err);
    }
    return rc ? rc : flush(g, err);
}

static int send_leaf(struct mg_giver *g, uint64_t first, struct flic_err *err)
{
    uint8_t out[MP_LEAF_SIZE], need[MP_BITS];
    struct mp_leaf leaf;
    size_t present;
    int rc = look(g, first, &leaf, &present, err);

    if (rc || !present)
        return rc;
    for (unsigned i = 0; i < MP_BITS; i++)
        need[i] = (uint8_t)(leaf.present[i] & ~leaf.zero[i]);
    mp_put_leaf(&leaf, out);
    rc = mw_send_bytes(g->params.wire, MW_LEAF, out, sizeof(out), err);
    if (!rc && g->peer_has)
        rc = ask(g, need, err);
    return rc ? rc : send_needed(g, first, need, err);
}

/* ---- the end ---- */

static int send_state(struct mg_giver *g, struct flic_err *err)
{
    const struct ck_root *root = &g->params.loaded->root;
    struct flic_builder b;
    struct mw_piece pieces[2];
    struct timespec t;
    uint64_t now_ns;
    int rc;

    (void)clock_gettime(CLOCK_REALTIME, &t);    /* cannot fail for this clock */
    now_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    flic_builder_init(&b);
    flic_put_u64(&b, now_ns > g->facts->taken_ns ? now_ns - g->facts->taken_ns : 0);
    pieces[0] = (struct mw_piece){ b.data, b.len };
    pieces[1] = (struct mw_piece){ root->state, root->state_len };
    rc = b.bad ? flic_err_set(err, -ENOMEM, "send '%s': out of memory", g->facts->name) : mw_send(g->params.wire, MW_STATE, pieces, 2, err);
    flic_builder_fini(&b);
    return rc;
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
        g->params.progress(g->params.arg, "send", g->figures.ram_pages * FLIC_PAGE_SIZE, total);
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

void mg_get_figures(const struct mg_giver *g, struct mg_figures *ret_figures)
{
    struct mw_counts counts;

    mw_get_counts(g->params.wire, &counts);
    *ret_figures = g->figures;
    ret_figures->sent_bytes = counts.sent;
    ret_figures->received_bytes = counts.received;
}
