/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/receive.h"

#include "common/bytes.h"
#include "daemon/checkpoint/base.h"
#include "daemon/migrate/digest.h"
#include "daemon/migrate/learn.h"
#include "daemon/migrate/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GO_S 120u
#define PATIENCE_S 3600u        /* the sender copies to its flash in between; a broken link is noticed by who carries this */
#define MAPS_MAX 65536u
#define NO_LEAF UINT64_MAX

/* One leaf of the guest, mapped writable. */
struct leaf {
    uint64_t first;             /* NO_LEAF: none */
    struct flx_map *map;
    uint8_t *at[MD_LEAF_PAGES]; /* NULL: no page there */
};

struct mr_receiver {
    struct mr_params params;
    struct mh_offer offer;
    struct md_key key;
    void *sketch; size_t sketch_len;
    struct mk_known *known;
    bool has;
    struct ck_arrival *arrival;
    struct flx_dom *dom;
    struct mp_coder *coder;

    uint64_t *present;          /* bits over gfn_end: what the domain has */
    uint64_t *sum;              /* mp_sum() of what it has, one a gfn */
    uint64_t n_present;
    struct leaf leaf;
    struct md_digest digest[MD_LEAF_PAGES];     /* of the leaf's pages, as far as they are here */
    bool last;                  /* pages go to NVRAM */
    struct flx_map **maps; size_t n_maps;       /* of the last pages: unmapped in the end */
    uint8_t *batch;
    void *state; size_t state_len;
    uint64_t taken_ns, state_us;        /* wall clock of here when the guest was suspended; monotonic, when we learned it */
    struct mr_figures figures;
};

static uint64_t wall_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);    /* cannot fail for this clock */
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int no_memory(const struct mr_receiver *r, struct flic_err *err)
{
    return flic_err_set(err, -ENOMEM, "take in '%s': out of memory", r->offer.name);
}

static int broken(struct flic_err *err, const char *what)
{
    return flic_err_set(err, FLIC_E_PROTOCOL, "the peer breaks the protocol: %s", what);
}

/* ---- beginning ---- */

static int hear_sketch(struct mr_receiver *r, struct flic_err *err)
{
    struct mw_message m;
    int rc = mw_expect(r->params.wire, MW_SKETCH, 0, &m, err);

    if (rc)
        return rc;
    if (m.len > FLX_STATE_MAX)
        return broken(err, "its sketch is too long");
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
    ck_arrival_free(r->arrival);
    mp_coder_free(r->coder);
    mk_free(r->known);
    mh_offer_fini(&r->offer);
    free(r->sketch);
    free(r->state);
    free(r->present);
    free(r->sum);
    free(r->maps);
    free(r->batch);
    free(r);
}

const struct md_key *mr_key(const struct mr_receiver *r) { return &r->key; }
const struct mh_offer *mr_offer(const struct mr_receiver *r) { return &r->offer; }
const struct ck_facts *mr_facts(const struct mr_receiver *r) { return ck_arrival_facts(r->arrival); }

const void *mr_sketch(const struct mr_receiver *r, size_t *ret_len)
{
    *ret_len = r->sketch_len;
    return r->sketch;
}

bool mr_is_group(const struct mr_receiver *r, const char *group)
{
    struct md_digest proof;

    mh_prove_group(&r->key, group, &proof);
    return *group && md_equal(&proof, &r->offer.group);
}

/* ---- what the store has ---- */

int mr_know(struct mr_receiver *r, const struct ck_loaded *other, struct flic_err *err)
{
    if (!r->known && !(r->known = mk_new()))
        return no_memory(r, err);
    return mk_learn(r->known, &r->key, r->params.store, other, err);
}

static int allocate(struct mr_receiver *r, struct flic_err *err)
{
    uint64_t end = r->offer.gfn_end;

    r->present = calloc(ck_words(end) + MD_LEAF_PAGES / 64, 8);
    r->sum = calloc(end + MD_LEAF_PAGES, sizeof(*r->sum));      /* MP_SUM_HOLE */
    r->maps = calloc(MAPS_MAX, sizeof(*r->maps));
    r->batch = malloc((size_t)MP_BATCH * FLIC_PAGE_SIZE);
    if (!r->known)
        r->known = mk_new();
    if (!r->present || !r->sum || !r->maps || !r->batch || !r->known)
        return no_memory(r, err);
    return mp_coder_new(&r->coder, err);
}

int mr_begin(struct mr_receiver *r, const char *arch, const struct ck_loaded *base, const struct ck_arrival *earlier, struct flic_err *err)
{
    struct ck_facts facts = { .guest = r->offer.guest, .gfn_end = r->offer.gfn_end };
    int rc = allocate(r, err);

    if (rc)
        return rc;
    memcpy(facts.name, r->offer.name, sizeof(facts.name));
    strncpy(facts.arch, arch, sizeof(facts.arch) - 1);
    r->has = base || earlier || mk_count(r->known);
    return ck_arrival_new(r->params.store, &facts, r->offer.config, strlen(r->offer.config), base, earlier, &r->arrival, err);
}

/* Once the last pages are under way the map is no longer all there is; before, it is as good as when they came. */
struct ck_arrival *mr_keep(struct mr_receiver *r)
{
    struct ck_arrival *arrival = r->arrival;

    if (!arrival || ck_arrival_seal(arrival, NULL))
        return NULL;
    ck_arrival_let_go(arrival);
    mr_get_figures(r, &r->figures);
    r->arrival = NULL;
    return arrival;
}

struct ck_arrival *mr_arrival(struct mr_receiver *r) { return r->arrival; }

int mr_accept(struct mr_receiver *r, uint32_t has_disks, struct flic_err *err)
{
    return mh_send_accept(r->params.wire, r->has, has_disks, err);
}

/* ---- leaves ---- */

static int populate(struct mr_receiver *r, const struct mp_leaf *leaf, struct flic_err *err)
{
    uint64_t first = (uint64_t)leaf->leaf * MD_LEAF_PAGES, end = first + MD_LEAF_PAGES;

    for (uint64_t w = first / 64; w < end / 64; w++)
        if (r->present[w])
            return broken(err, "a leaf came twice");
    for (unsigned i = 0; i < MD_LEAF_PAGES; i++) {
        if (!mp_bit(leaf->present, i))
            continue;
        r->present[(first + i) / 64] |= 1ull << (i % 64);
        r->n_present++;
    }
    return flx_build_populate(r->dom, r->present, first, end < r->offer.gfn_end ? end : r->offer.gfn_end, err);
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
        if (ck_bit(r->present, gfn))
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

static int set_zero(struct mr_receiver *r, uint64_t gfn, uint8_t *at, struct flic_err *err)
{
    memset(at, 0, FLIC_PAGE_SIZE);
    r->sum[gfn] = mp_sum(NULL);
    r->figures.zero_pages++;
    return ck_arrival_set(r->arrival, gfn, &FLIC_ID_ZERO, err);
}

struct place {
    struct mr_receiver *r;
    unsigned *at;               /* page i goes to the leaf's at[i]-th */
    const struct flic_id *ids;
};

/* A page of the store into the guest. */
static int place_page(size_t tag, const void *page, void *arg)
{
    struct place *p = arg;
    struct mr_receiver *r = p->r;
    unsigned i = p->at[tag];

    memcpy(r->leaf.at[i], page, FLIC_PAGE_SIZE);
    r->sum[r->leaf.first + i] = mp_sum(page);
    r->digest[i] = md_of(&r->key, page, FLIC_PAGE_SIZE);
    mk_add(r->known, &r->digest[i], &p->ids[tag]);
    return 0;
}

/* Of a leaf that was asked for: what the checkpoint that we began with has there. A page that cannot be read is sent again. */
static void place_base(struct mr_receiver *r, const struct mp_leaf *leaf)
{
    struct flic_id ids[MD_LEAF_PAGES];
    unsigned at[MD_LEAF_PAGES];
    struct place p = { r, at, ids };
    size_t n = 0;

    for (unsigned i = 0; i < MD_LEAF_PAGES; i++) {
        struct flic_id id = ck_arrival_id(r->arrival, r->leaf.first + i);

        if (!mp_bit(leaf->present, i) || mp_bit(leaf->zero, i) || flic_id_equal(&id, &FLIC_ID_HOLE) || flic_id_equal(&id, &FLIC_ID_ZERO))
            continue;
        at[n] = i;
        ids[n++] = id;
    }
    if (n)
        (void)ck_arrival_read(r->arrival, ids, n, place_page, &p, NULL);
}

/* Zeros and holes are as the sender says, and not what stood there before. */
static int place_rest(struct mr_receiver *r, const struct mp_leaf *leaf, struct flic_err *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < MD_LEAF_PAGES; i++) {
        uint64_t gfn = r->leaf.first + i;

        r->digest[i] = MD_HOLE;
        if (mp_bit(leaf->zero, i)) {
            r->digest[i] = MD_ZERO;
            rc = set_zero(r, gfn, r->leaf.at[i], err);
        } else if (!mp_bit(leaf->present, i) && gfn < r->offer.gfn_end) {
            rc = ck_arrival_set(r->arrival, gfn, &FLIC_ID_HOLE, err);
        }
    }
    return rc;
}

/* The one at gfn that we know elsewhere in the store, into its place. */
static bool place_known(struct mr_receiver *r, unsigned i, const struct md_digest *wanted)
{
    struct flic_id id;
    unsigned at[1] = { i };
    struct place p = { r, at, &id };
    bool there = false;

    return mk_find(r->known, wanted, &id) && !ck_arrival_read(r->arrival, &id, 1, place_page, &p, NULL) &&
           md_equal(&r->digest[i], wanted) && !ck_arrival_adopt(r->arrival, r->leaf.first + i, &id, &there, NULL) && there;
}

static int answer_digests(struct mr_receiver *r, const struct mp_leaf *leaf, struct flic_err *err)
{
    uint8_t need[MP_BITS] = { 0 };
    struct mw_message m;
    int rc = mw_expect(r->params.wire, MW_DIGESTS, 0, &m, err);

    if (rc)
        return rc;
    if (m.len != MD_LEAF_PAGES * sizeof(struct md_digest))
        return broken(err, "its digests are not those of a leaf");
    for (unsigned i = 0; i < MD_LEAF_PAGES; i++) {
        struct md_digest wanted;

        if (!mp_bit(leaf->present, i) || mp_bit(leaf->zero, i))
            continue;
        memcpy(wanted.b, m.data + i * sizeof(wanted), sizeof(wanted));
        if (md_equal(&r->digest[i], &wanted)) {
            r->figures.same_pages++;
        } else if (place_known(r, i, &wanted)) {
            r->figures.found_pages++;
        } else {
            mp_set_bit(need, i);
            rc = ck_arrival_set(r->arrival, r->leaf.first + i, &FLIC_ID_HOLE, err);
            if (rc)
                return rc;
        }
    }
    return mw_send_bytes(r->params.wire, MW_NEED, need, sizeof(need), err);
}

static uint64_t count_same(const struct mp_leaf *leaf)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < MP_BITS; i++)
        n += (uint64_t)__builtin_popcount((unsigned)(leaf->present[i] & ~leaf->zero[i]));
    return n;
}

static int on_leaf(struct mr_receiver *r, const struct mw_message *m, struct flic_err *err)
{
    struct md_digest mine;
    struct mp_leaf leaf;
    uint8_t same;
    int rc = mp_get_leaf(m->data, m->len, r->offer.gfn_end, &leaf, err);

    if (!rc && (r->last || leaf.ask != r->has))
        rc = broken(err, "a leaf came out of order");
    if (!rc)
        rc = populate(r, &leaf, err);
    if (!rc)
        rc = map_leaf(r, (uint64_t)leaf.leaf * MD_LEAF_PAGES, err);
    if (!rc)
        rc = place_rest(r, &leaf, err);
    if (rc || !leaf.ask)
        return rc;
    place_base(r, &leaf);
    mine = md_of_leaf(&r->key, r->digest);
    same = md_equal(&mine, &leaf.digest);
    rc = mw_send_bytes(r->params.wire, MW_SAME, &same, 1, err);
    r->figures.same_pages += same ? count_same(&leaf) : 0;
    return rc || same ? rc : answer_digests(r, &leaf, err);
}

/* ---- pages ---- */

static int keep_page(struct mr_receiver *r, uint64_t gfn, const void *page, uint8_t *at, struct flic_err *err)
{
    if (page)
        memcpy(at, page, FLIC_PAGE_SIZE);
    else
        memset(at, 0, FLIC_PAGE_SIZE);
    r->sum[gfn] = mp_sum(page);
    r->figures.received_pages += page != NULL;
    r->figures.last_pages += r->last;
    if (r->last)
        return ck_arrival_last(r->arrival, gfn, page, err);
    return page ? ck_arrival_page(r->arrival, gfn, page, err) : ck_arrival_set(r->arrival, gfn, &FLIC_ID_ZERO, err);
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
    uint8_t *pages = m->type == MW_PAGES ? r->batch : NULL;
    uint64_t gfns[MP_BATCH];
    size_t n;
    int rc = mp_decode(r->coder, m->data, m->len, r->offer.gfn_end, gfns, &n, pages, err);

    for (size_t i = 0; !rc && i < n; i++)
        if (!ck_bit(r->present, gfns[i]))
            rc = broken(err, "a page came where the guest has none");
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
        return broken(err, "a round without its number");
    memcpy(round, m->data, sizeof(round));
    rc = r->last ? 0 : ck_arrival_seal(r->arrival, err);
    return rc ? rc : mw_send_bytes(r->params.wire, MW_SYNCED, round, sizeof(round), err);
}

/* Whole leaves that the guest had once, and has no more, were not named. */
static int drop_absent(struct mr_receiver *r, struct flic_err *err)
{
    int rc = 0;

    for (uint64_t gfn = 0; !rc && gfn < r->offer.gfn_end; gfn++) {
        struct flic_id id = ck_arrival_id(r->arrival, gfn);

        if (!ck_bit(r->present, gfn) && !flic_id_equal(&id, &FLIC_ID_HOLE))
            rc = ck_arrival_set(r->arrival, gfn, &FLIC_ID_HOLE, err);
    }
    return rc;
}

static int on_prepare(struct mr_receiver *r, const struct mw_message *m, struct flic_err *err)
{
    struct flic_reader reader = flic_reader_of(m->data, m->len);
    uint64_t pages = flic_get_u64(&reader);
    int rc;

    if (reader.bad || reader.left || r->last || pages > r->offer.gfn_end)
        return broken(err, "a preparation out of order");
    drop_leaf(r);
    rc = drop_absent(r, err);
    if (!rc)
        rc = ck_arrival_settle(r->arrival, pages, err);
    r->last = true;
    return rc ? rc : mw_send_bytes(r->params.wire, MW_PREPARED, NULL, 0, err);
}

static int on_state(struct mr_receiver *r, const struct mw_message *m, struct flic_err *err)
{
    struct flic_reader reader = flic_reader_of(m->data, m->len);
    uint64_t ago_ns = flic_get_u64(&reader), now_ns = wall_us() * 1000;

    if (reader.bad || !r->last || r->state || reader.left > FLX_STATE_MAX)
        return broken(err, "a machine state out of order");
    r->state = malloc(reader.left + 1);
    if (!r->state)
        return no_memory(r, err);
    memcpy(r->state, reader.at, reader.left);
    r->state_len = reader.left;
    r->taken_ns = ago_ns < now_ns ? now_ns - ago_ns : now_ns;
    r->state_us = ck_now_us() - (ago_ns < now_ns ? ago_ns / 1000 : 0);
    return 0;
}

static int on_check(struct mr_receiver *r, const struct mw_message *m, struct flic_err *err)
{
    uint64_t leaves = (r->offer.gfn_end + MD_LEAF_PAGES - 1) / MD_LEAF_PAGES;
    struct flic_reader reader = flic_reader_of(m->data, m->len);

    if (m->len != leaves * sizeof(uint64_t) || !r->state)
        return broken(err, "sums out of order");
    for (uint64_t gfn = 0; gfn < r->offer.gfn_end; gfn++)
        if (ck_bit(r->present, gfn) && r->sum[gfn] == MP_SUM_HOLE)
            return flic_err_set(err, FLIC_E_DAMAGED, "take in '%s': gfn 0x%llx never came", r->offer.name, (unsigned long long)gfn);
    for (uint64_t i = 0; i < leaves; i++)
        if (flic_get_u64(&reader) != mp_sum_leaf(r->sum + i * MD_LEAF_PAGES))
            return flic_err_set(err, FLIC_E_DAMAGED, "take in '%s': what arrived from gfn 0x%llx on is not what was sent", r->offer.name,
                                (unsigned long long)(i * MD_LEAF_PAGES));
    return 0;
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
    default: return broken(err, "an unexpected message");
    }
}

int mr_take(struct mr_receiver *r, struct flx_dom *dom, struct flic_err *err)
{
    uint64_t began = ck_now_us();
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
        r->params.progress(r->params.arg, r->last ? "last" : "receive", r->n_present * FLIC_PAGE_SIZE, r->offer.pages * FLIC_PAGE_SIZE);
    }
    r->figures.take_us = ck_now_us() - began;
    return rc;
}

/* ---- the end ---- */

int mr_finish(struct mr_receiver *r, const struct flx_ports *ports, struct flx_built *ret_built, struct flic_err *err)
{
    uint64_t began = ck_now_us();
    int rc = flx_state_fits(r->state, r->state_len, err);

    if (!rc)
        rc = ck_arrival_commit(r->arrival, r->state, r->state_len, r->taken_ns, err);
    if (!rc)
        rc = flx_build_finish(r->dom, r->state, r->state_len, ports, (ck_now_us() - r->state_us) * 1000, ret_built, err);
    r->figures.finish_us = ck_now_us() - began;
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
    return ck_arrival_publish(r->arrival, disks, len, err);
}

int mr_confirm(struct mr_receiver *r, struct flic_err *err)
{
    return mw_send_bytes(r->params.wire, MW_RUNNING, NULL, 0, err);
}

void mr_get_figures(const struct mr_receiver *r, struct mr_figures *ret_figures)
{
    *ret_figures = r->figures;
    ret_figures->known_pages = r->known ? mk_count(r->known) : 0;
    if (r->arrival)
        ck_arrival_get_figures(r->arrival, &ret_figures->store);
}
