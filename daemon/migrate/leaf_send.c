/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/leaf_send.h"

#include "common/clock.h"
#include "daemon/checkpoint/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ls_init(struct ls_link *l, struct mw_wire *wire, const struct md_key *key, struct flic_err *err)
{
    *l = (struct ls_link){ .wire = wire, .key = key, .room = malloc((size_t)MD_LEAF_PAGES * FLIC_PAGE_SIZE),
                           .batch = malloc((size_t)MP_BATCH * FLIC_PAGE_SIZE) };
    return l->room && l->batch ? mp_coder_new(&l->coder, err) : flic_err_set(err, -ENOMEM, "send pages: out of memory");
}

void ls_fini(struct ls_link *l)
{
    mp_coder_free(l->coder);
    free(l->room);
    free(l->batch);
}

/* ---- leaves ---- */

void ls_begin(struct ls_leaf *leaf, uint64_t first)
{
    *leaf = (struct ls_leaf){ .told.leaf = (uint32_t)(first / MD_LEAF_PAGES), .first = first };    /* sums: MP_SUM_HOLE */
    for (unsigned i = 0; i < MD_LEAF_PAGES; i++)
        leaf->digest[i] = MD_HOLE;
}

void ls_found(struct ls_link *l, struct ls_leaf *leaf, unsigned i, const void *page)
{
    mp_set_bit(leaf->told.present, i);
    if (!page)
        mp_set_bit(leaf->told.zero, i);
    leaf->digest[i] = page && l->peer_has ? md_of(l->key, page, FLIC_PAGE_SIZE) : MD_ZERO;
    leaf->sum[i] = mp_sum(page);
    leaf->pages++;
    l->figures.ram_pages++;
    l->figures.zero_pages += !page;
}

/* What the peer lacks of a leaf that it may have some of: all, none, or as it says of each page. */
static int hear_need(struct ls_link *l, const struct ls_leaf *leaf, uint8_t need[MP_BITS], struct flic_err *err)
{
    struct mw_message m;
    int rc = mw_expect(l->wire, MW_SAME, 0, &m, err);

    if (!rc && (m.len != 1 || m.data[0] > 1))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer's answer about a leaf is none");
    if (rc)
        return rc;
    if (m.data[0]) {
        memset(need, 0, MP_BITS);
        return 0;
    }
    rc = mw_send_bytes(l->wire, MW_DIGESTS, leaf->digest, sizeof(leaf->digest), err);
    if (!rc)
        rc = mw_expect(l->wire, MW_NEED, 0, &m, err);
    if (!rc && m.len != MP_BITS)
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer's answer about pages is none");
    for (unsigned i = 0; !rc && i < MP_BITS; i++)
        need[i] &= m.data[i];
    return rc;
}

int ls_ask(struct ls_link *l, struct ls_leaf *leaf, uint8_t need[MP_BITS], struct flic_err *err)
{
    uint8_t out[MP_LEAF_SIZE];
    int rc;

    leaf->told.ask = l->peer_has;
    if (l->peer_has)
        leaf->told.digest = md_of_leaf(l->key, leaf->digest);
    for (unsigned i = 0; i < MP_BITS; i++)
        need[i] = (uint8_t)(leaf->told.present[i] & ~leaf->told.zero[i]);
    mp_put_leaf(&leaf->told, out);
    rc = mw_send_bytes(l->wire, MW_LEAF, out, sizeof(out), err);
    if (!rc && l->peer_has)
        rc = hear_need(l, leaf, need, err);
    for (unsigned i = 0; !rc && i < MD_LEAF_PAGES; i++)
        l->figures.there_pages += mp_bit(leaf->told.present, i) && !mp_bit(leaf->told.zero, i) && !mp_bit(need, i);
    return rc;
}

/* ---- pages ---- */

static int flush_pages(struct ls_link *l, struct flic_err *err)
{
    const void *head, *body;
    size_t head_len, body_len, n = l->n;
    struct mw_piece pieces[2];
    uint64_t began;
    int rc;

    if (!n)
        return 0;
    l->n = 0;
    rc = mp_encode(l->coder, l->gfns, n, l->batch, &head, &head_len, &body, &body_len, err);
    if (rc)
        return rc;
    pieces[0] = (struct mw_piece){ head, head_len };
    pieces[1] = (struct mw_piece){ body, body_len };
    began = flic_now_us();
    rc = mw_send(l->wire, MW_PAGES, pieces, 2, err);
    l->busy_us += flic_now_us() - began;
    l->figures.sent_pages += n;
    l->figures.page_bytes += body_len;
    return rc;
}

static int flush_zeros(struct ls_link *l, struct flic_err *err)
{
    const void *head, *body;
    size_t head_len, body_len;
    int rc;

    if (!l->n_zeros)
        return 0;
    rc = mp_encode(l->coder, l->zeros, l->n_zeros, NULL, &head, &head_len, &body, &body_len, err);
    l->n_zeros = 0;
    return rc ? rc : mw_send_bytes(l->wire, MW_ZEROS, head, head_len, err);
}

int ls_put(struct ls_link *l, uint64_t gfn, const void *page, struct flic_err *err)
{
    if (!page) {
        l->zeros[l->n_zeros++] = gfn;
        return l->n_zeros == MP_BATCH ? flush_zeros(l, err) : 0;
    }
    memcpy(l->batch + l->n * FLIC_PAGE_SIZE, page, FLIC_PAGE_SIZE);
    l->gfns[l->n++] = gfn;
    return l->n == MP_BATCH ? flush_pages(l, err) : 0;
}

int ls_flush(struct ls_link *l, struct flic_err *err)
{
    int rc = flush_pages(l, err);

    return rc ? rc : flush_zeros(l, err);
}

void ls_get_figures(const struct ls_link *l, struct ls_figures *ret_figures)
{
    struct mw_counts counts;

    mw_get_counts(l->wire, &counts);
    *ret_figures = l->figures;
    ret_figures->sent_bytes = counts.sent;
    ret_figures->received_bytes = counts.received;
}
