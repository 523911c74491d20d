/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/receive.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "daemon/checkpoint/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GO_S 120u
#define PATIENCE_S 3600u        /* the sender copies to its flash in between; that it is gone, mw_tell_alive() finds out */
#define MAPS_MAX 65536u
#define NO_LEAF UINT64_MAX

/* One leaf of the domain, mapped writable. */
struct mapped {
    uint64_t first;             /* NO_LEAF: none */
    struct flx_map *map;
    uint8_t *at[MD_LEAF_PAGES]; /* NULL: no page there */
};

struct mr_receiver {
    struct mr_params params;
    struct mh_offer offer;
    struct md_key key;
    void *sketch; size_t sketch_len;
    struct lt_leaves leaves;
    struct flx_dom *dom;
    struct mapped leaf;
    bool last;                  /* pages go to NVRAM */
    struct flx_map **maps; size_t n_maps;       /* of the last pages: unmapped in the end */
    void *state; size_t state_len;
    uint64_t taken_ns, state_us;        /* wall clock of here when the guest was suspended; monotonic, when we learned it */
    struct mr_figures figures;
};

static int no_memory(const struct mr_receiver *r, struct flic_err *err)
{
    return flic_err_set(err, -ENOMEM, "take in '%s': out of memory", r->offer.name);
}

/* ---- beginning ---- */

static int hear_sketch(struct mr_receiver *r, struct flic_err *err)
{
    struct mw_message m;
    int rc = mw_expect(r->params.wire, MW_SKETCH, 0, &m, err);

    if (rc)
        return rc;
    if (m.len > FLX_STATE_MAX)
        return mw_broken(err, "its sketch is too long");
    r->sketch = malloc(m.len + 1);
    if (!r->sketch)
        return no_memory(r, err);
    memcpy(r->sketch, m.data, m.len);
    r->sketch_len = m.len;
    return 0;
}

int mr_hear(const struct mr_params *params, struct mr_receiver **ret_receiver, struct flic_err *err)
{
    struct mr_receiver *r = calloc(1, sizeof(*r));
    int rc;

    if (!r)
        return flic_err_set(err, -ENOMEM, "take in a guest: out of memory");
    r->params = *params;
    r->leaf.first = NO_LEAF;
    rc = lt_init(&r->leaves, params->wire, &r->key, params->store, "take in", err);
    if (!rc)
        rc = mh_greet(params->wire, false, &r->key, err);
    if (!rc)
        rc = mh_get_offer(params->wire, &r->offer, err);
    if (!rc)
        rc = hear_sketch(r, err);
    if (rc) {
        mr_free(r);
        return rc;
    }
    *ret_receiver = r;
    return 0;
}

static void drop_leaf(struct mr_receiver *r)
{
    flx_unmap(r->leaf.map);
    r->leaf.map = NULL;
    r->leaf.first = NO_LEAF;
}

void mr_free(struct mr_receiver *r)
{
    if (!r)
        return;
    drop_leaf(r);
    while (r->n_maps)
        flx_unmap(r->maps[--r->n_maps]);
    lt_fini(&r->leaves);
    mh_offer_fini(&r->offer);
    free(r->sketch);
    free(r->state);
    free(r->maps);
    free(r);
}

const struct md_key *mr_key(const struct mr_receiver *r) { return &r->key; }
const struct mh_offer *mr_offer(const struct mr_receiver *r) { return &r->offer; }

void mr_set_config(struct mr_receiver *r, char *config)
{
    free(r->offer.config);
    r->offer.config = config;
}
const struct ck_facts *mr_facts(const struct mr_receiver *r) { return ck_arrival_facts(r->leaves.arrival); }

const void *mr_sketch(const struct mr_receiver *r, size_t *ret_len)
{
    *ret_len = r->sketch_len;
    return r->sketch;
}

bool mr_is_group(const struct mr_receiver *r, const char *group)
{
    return mh_is_group(&r->key, group, &r->offer.group);
}

int mr_know(struct mr_receiver *r, const struct ck_loaded *other, struct flic_err *err)
{
    return lt_know(&r->leaves, other, err);
}

int mr_begin(struct mr_receiver *r, const char *arch, const struct ck_loaded *base, const struct ck_arrival *earlier, struct flic_err *err)
{
    struct ck_facts facts = { .guest = r->offer.guest, .gfn_end = r->offer.gfn_end, .pages = r->offer.pages };

    r->maps = calloc(MAPS_MAX, sizeof(*r->maps));
    if (!r->maps)
        return no_memory(r, err);
    memcpy(facts.name, r->offer.name, sizeof(facts.name));
    strncpy(facts.arch, arch, sizeof(facts.arch) - 1);
    return lt_begin(&r->leaves, &facts, r->offer.config, base, earlier, err);
}

/* Once the last pages are under way the map is no longer all there is; before, it is as good as when they came. */
struct ck_arrival *mr_keep(struct mr_receiver *r) { return lt_keep(&r->leaves); }

struct ck_arrival *mr_arrival(struct mr_receiver *r) { return r->leaves.arrival; }

int mr_accept(struct mr_receiver *r, uint32_t has_disks, struct flic_err *err)
{
    return mh_send_accept(r->params.wire, r->leaves.has, has_disks, err);
}

/* ---- leaves ---- */

static int populate(struct mr_receiver *r, const struct mp_leaf *leaf, struct flic_err *err)
{
    uint64_t first = (uint64_t)leaf->leaf * MD_LEAF_PAGES, end = first + MD_LEAF_PAGES;
    int rc = lt_mark(&r->leaves, leaf, err);

    return rc ? rc : flx_build_populate(r->dom, r->leaves.present, first, end < r->offer.gfn_end ? end : r->offer.gfn_end, err);
}

static int map_leaf(struct mr_receiver *r, uint64_t first, struct flic_err *err)
{
    uint64_t gfns[MD_LEAF_PAGES];
    uint8_t kind[MD_LEAF_PAGES];
    size_t n = 0;
    int rc;

    drop_leaf(r);
    memset(r->leaf.at, 0, sizeof(r->leaf.at));
    for (uint64_t gfn = first; gfn < first + MD_LEAF_PAGES && gfn < r->offer.gfn_end; gfn++)
        if (ck_bit(r->leaves.present, gfn))
            gfns[n++] = gfn;
    rc = flx_map_pages(r->dom, gfns, n, true, &r->leaf.map, kind, err);
    if (rc)
        return rc;
    r->leaf.first = first;
    for (size_t i = 0; i < n; i++) {
        if (kind[i] == FLX_PAGE_HOLE || kind[i] == FLX_PAGE_SKIP)
            return flic_err_set(err, FLIC_E_XEN, "take in '%s': gfn 0x%llx was populated but cannot be mapped", r->offer.name,
                                (unsigned long long)gfns[i]);
        r->leaf.at[gfns[i] - first] = (uint8_t *)flx_map_base(r->leaf.map) + i * FLIC_PAGE_SIZE;
    }
    return 0;
}

static int on_leaf(struct mr_receiver *r, const struct mw_message *m, struct flic_err *err)
{
    struct mp_leaf leaf;
    int rc = mp_get_leaf(m->data, m->len, r->offer.gfn_end, &leaf, err);

    if (!rc && r->last)
        rc = mw_broken(err, "a leaf came out of order");
    if (!rc)
        rc = populate(r, &leaf, err);
    if (!rc)
        rc = map_leaf(r, (uint64_t)leaf.leaf * MD_LEAF_PAGES, err);
    return rc ? rc : lt_answer(&r->leaves, &leaf, r->leaf.at, err);
}

/* ---- pages ---- */

static int keep_page(struct mr_receiver *r, uint64_t gfn, const void *page, uint8_t *at, struct flic_err *err)
{
    if (page)
        memcpy(at, page, FLIC_PAGE_SIZE);
    else
        memset(at, 0, FLIC_PAGE_SIZE);
    lt_came(&r->leaves, gfn, page);
    r->figures.last_pages += r->last;
    if (r->last)
        return ck_arrival_last(r->leaves.arrival, gfn, page, err);
    return page ? ck_arrival_page(r->leaves.arrival, gfn, page, err) : ck_arrival_set(r->leaves.arrival, gfn, &FLIC_ID_ZERO, err);
}

static bool all_in_leaf(const struct mr_receiver *r, const uint64_t *gfns, size_t n)
{
    return r->leaf.first != NO_LEAF && gfns[0] >= r->leaf.first && gfns[n - 1] < r->leaf.first + MD_LEAF_PAGES;
}

static int keep_mapped(struct mr_receiver *r, const uint64_t *gfns, size_t n, const uint8_t *pages, struct flic_err *err)
{
    uint8_t kind[MP_BATCH];
    struct flx_map *map;
    uint8_t *at;
    int rc = flx_map_pages(r->dom, gfns, n, true, &map, kind, err);

    if (rc)
        return rc;
    at = flx_map_base(map);
    for (size_t i = 0; !rc && i < n; i++)
        rc = keep_page(r, gfns[i], pages ? pages + i * FLIC_PAGE_SIZE : NULL, at + i * FLIC_PAGE_SIZE, err);
    if (r->last && r->n_maps < MAPS_MAX)
        r->maps[r->n_maps++] = map;     /* unmapping costs more than mapping */
    else
        flx_unmap(map);
    return rc;
}

static int on_pages(struct mr_receiver *r, const struct mw_message *m, struct flic_err *err)
{
    const uint8_t *pages;
    uint64_t gfns[MP_BATCH];
    size_t n;
    int rc = r->state ? mw_broken(err, "a page came out of order") : lt_decode(&r->leaves, m, gfns, &n, &pages, err);

    if (rc)
        return rc;
    if (!all_in_leaf(r, gfns, n))
        return keep_mapped(r, gfns, n, pages, err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = keep_page(r, gfns[i], pages ? pages + i * FLIC_PAGE_SIZE : NULL, r->leaf.at[gfns[i] - r->leaf.first], err);
    return rc;
}

static int on_sync(struct mr_receiver *r, const struct mw_message *m, struct flic_err *err)
{
    uint8_t round[4];
    int rc;

    if (m->len != sizeof(round))
        return mw_broken(err, "a round without its number");
    memcpy(round, m->data, sizeof(round));
    rc = r->last ? 0 : ck_arrival_seal(r->leaves.arrival, err);
    return rc ? rc : mw_send_bytes(r->params.wire, MW_SYNCED, round, sizeof(round), err);
}

static int on_prepare(struct mr_receiver *r, const struct mw_message *m, struct flic_err *err)
{
    struct flic_reader reader = flic_reader_of(m->data, m->len);
    uint64_t pages = flic_get_u64(&reader);
    int rc;

    if (reader.bad || reader.left || r->last || pages > r->offer.gfn_end)
        return mw_broken(err, "a preparation out of order");
    drop_leaf(r);
    rc = lt_drop_absent(&r->leaves, err);
    if (!rc)
        rc = ck_arrival_settle(r->leaves.arrival, pages, err);
    r->last = true;
    return rc ? rc : mw_send_bytes(r->params.wire, MW_PREPARED, NULL, 0, err);
}

static int on_state(struct mr_receiver *r, const struct mw_message *m, struct flic_err *err)
{
    struct flic_reader reader = flic_reader_of(m->data, m->len);
    uint64_t ago_ns = flic_get_u64(&reader), now_ns = flic_wall_ns();

    if (reader.bad || !r->last || r->state || !reader.left || reader.left > FLX_STATE_MAX)
        return mw_broken(err, "a machine state out of order");
    r->state = malloc(reader.left);
    if (!r->state)
        return no_memory(r, err);
    memcpy(r->state, reader.at, reader.left);
    r->state_len = reader.left;
    r->taken_ns = ago_ns < now_ns ? now_ns - ago_ns : now_ns;
    r->state_us = flic_now_us() - (ago_ns < now_ns ? ago_ns / 1000 : 0);
    return 0;
}

static int on_check(struct mr_receiver *r, const struct mw_message *m, struct flic_err *err)
{
    return r->state ? lt_check(&r->leaves, m, err) : mw_broken(err, "sums out of order");
}

static int on_message(struct mr_receiver *r, const struct mw_message *m, struct flic_err *err)
{
    if (mw_is_disk(m->type) && r->params.disk)
        return r->params.disk(r->params.arg, m, err);
    switch (m->type) {
    case MW_LEAF: return on_leaf(r, m, err);
    case MW_PAGES:
    case MW_ZEROS: return on_pages(r, m, err);
    case MW_SYNC: return on_sync(r, m, err);
    case MW_PREPARE: return on_prepare(r, m, err);
    case MW_STATE: return on_state(r, m, err);
    case MW_CHECK: return on_check(r, m, err);
    default: return mw_broken(err, "an unexpected message");
    }
}

int mr_take(struct mr_receiver *r, struct flx_dom *dom, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    struct mw_message m = { .type = 0 };
    int rc;

    r->dom = dom;
    rc = flx_build_begin(dom, r->sketch, r->sketch_len, err);
    while (!rc && m.type != MW_CHECK) {
        rc = mw_receive(r->params.wire, PATIENCE_S, &m, err);
        if (!rc)
            rc = on_message(r, &m, err);
        if (mw_is_disk(m.type))
            continue;       /* who takes it shows it */
        r->params.progress(r->params.arg, r->last ? "last" : "receive", r->leaves.figures.ram_pages * FLIC_PAGE_SIZE, r->offer.pages * FLIC_PAGE_SIZE);
    }
    r->figures.take_us = flic_now_us() - began;
    return rc;
}

/* ---- the end ---- */

int mr_finish(struct mr_receiver *r, const struct flx_ports *ports, struct flx_built *ret_built, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    int rc = flx_state_fits(r->state, r->state_len, err);

    if (!rc)
        rc = ck_arrival_commit(r->leaves.arrival, r->state, r->state_len, r->taken_ns, err);
    if (!rc)
        rc = flx_build_finish(r->dom, r->state, r->state_len, ports, (flic_now_us() - r->state_us) * 1000, ret_built, err);
    r->figures.finish_us = flic_now_us() - began;
    return rc;
}

int mr_ready(struct mr_receiver *r, struct flic_err *err)
{
    struct mw_message m;
    int rc = mw_send_bytes(r->params.wire, MW_READY, NULL, 0, err);

    return rc ? rc : mw_expect(r->params.wire, MW_GO, GO_S, &m, err);
}

int mr_publish(struct mr_receiver *r, const char *disks, size_t len, struct flic_err *err)
{
    return ck_arrival_publish(r->leaves.arrival, disks, len, err);
}

int mr_confirm(struct mr_receiver *r, struct flic_err *err)
{
    return mw_send_bytes(r->params.wire, MW_RUNNING, NULL, 0, err);
}

void mr_get_figures(const struct mr_receiver *r, struct mr_figures *ret_figures)
{
    *ret_figures = r->figures;
    lt_get_figures(&r->leaves, &ret_figures->pages);
}
