/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/take.h"

#include "common/bytes.h"
#include "daemon/checkpoint/base.h"
#include "daemon/checkpoint/load.h"
#include "daemon/migrate/hello.h"
#include "daemon/migrate/learn.h"
#include "daemon/migrate/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GO_S 120u

struct mt_taker {
    struct mt_params params;
    struct mc_offer offer;
    struct mk_known *known;
    bool has, committed;
    struct ck_arrival *arrival;
    struct mp_coder *coder;
    uint8_t *batch;             /* MP_BATCH pages */
    uint64_t *present;          /* bits over gfn_end: what the checkpoint has */
    uint64_t *sum;              /* mp_sum() of what is here for each gfn */
    uint64_t next_leaf;         /* they come in ascending order */
    uint64_t first;             /* of the leaf in the making */
    struct md_digest digest[MD_LEAF_PAGES];     /* of its pages, as far as they are here */
    void *state; size_t state_len;
    uint64_t taken_ns;          /* by the clock of here */
    struct mt_figures figures;
};

static int no_memory(const struct mt_taker *t, struct flic_err *err)
{
    return flic_err_set(err, -ENOMEM, "store '%s': out of memory", t->offer.name);
}

static int broken(struct flic_err *err, const char *what)
{
    return flic_err_set(err, FLIC_E_PROTOCOL, "the peer breaks the protocol: %s", what);
}

/* ---- beginning ---- */

int mt_hear(const struct mt_params *params, struct mt_taker **ret_taker, struct flic_err *err)
{
    struct mt_taker *t = calloc(1, sizeof(*t));
    int rc;

    if (!t)
        return flic_err_set(err, -ENOMEM, "store a checkpoint: out of memory");
    t->params = *params;
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
    ck_arrival_free(t->arrival);
    mp_coder_free(t->coder);
    mk_free(t->known);
    mc_offer_fini(&t->offer);
    free(t->batch);
    free(t->present);
    free(t->sum);
    free(t->state);
    free(t);
}

const struct mc_offer *mt_offer(const struct mt_taker *t) { return &t->offer; }

bool mt_is_group(const struct mt_taker *t, const char *group)
{
    struct md_digest proof;

    mh_prove_group(t->params.key, group, &proof);
    return *group && md_equal(&proof, &t->offer.group);
}

int mt_know(struct mt_taker *t, const struct ck_loaded *other, struct flic_err *err)
{
    if (!t->known && !(t->known = mk_new()))
        return no_memory(t, err);
    return mk_learn(t->known, t->params.key, t->params.store, other, err);
}

static int allocate(struct mt_taker *t, struct flic_err *err)
{
    uint64_t end = t->offer.gfn_end;

    t->present = calloc(ck_words(end) + MD_LEAF_PAGES / 64, 8);
    t->sum = calloc(end + MD_LEAF_PAGES, sizeof(*t->sum));      /* MP_SUM_HOLE */
    t->batch = malloc((size_t)MP_BATCH * FLIC_PAGE_SIZE);
    if (!t->known)
        t->known = mk_new();
    if (!t->present || !t->sum || !t->batch || !t->known)
        return no_memory(t, err);
    return mp_coder_new(&t->coder, err);
}

int mt_begin(struct mt_taker *t, const struct ck_loaded *base, const struct ck_arrival *earlier, struct flic_err *err)
{
    struct ck_facts facts = { .guest = t->offer.guest, .gfn_end = t->offer.gfn_end };
    int rc = allocate(t, err);

    if (rc)
        return rc;
    memcpy(facts.name, t->offer.name, sizeof(facts.name));
    memcpy(facts.arch, t->offer.arch, sizeof(facts.arch));
    t->has = base || earlier || mk_count(t->known);
    rc = ck_arrival_new(t->params.store, &facts, t->offer.config, strlen(t->offer.config), base, earlier, &t->arrival, err);
    return rc ? rc : mh_send_accept(t->params.wire, t->has, 0, err);
}

/* ---- leaves ---- */

static int take_order(struct mt_taker *t, const struct mp_leaf *leaf, struct flic_err *err)
{
    t->first = (uint64_t)leaf->leaf * MD_LEAF_PAGES;
    if (leaf->ask != t->has || leaf->leaf < t->next_leaf || t->state)
        return broken(err, "a leaf came out of order");
    t->next_leaf = leaf->leaf + 1ull;
    for (unsigned i = 0; i < MD_LEAF_PAGES; i++) {
        if (!mp_bit(leaf->present, i))
            continue;
        t->present[(t->first + i) / 64] |= 1ull << ((t->first + i) % 64);
        t->figures.ram_pages++;
        t->figures.zero_pages += mp_bit(leaf->zero, i);
    }
    return 0;
}

/* Zeros and holes are as the sender says, and not what stood there before. */
static int set_plain(struct mt_taker *t, const struct mp_leaf *leaf, struct flic_err *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < MD_LEAF_PAGES; i++) {
        uint64_t gfn = t->first + i;
        bool zero = mp_bit(leaf->zero, i);

        t->digest[i] = zero ? MD_ZERO : MD_HOLE;
        if (gfn >= t->offer.gfn_end)
            continue;
        t->sum[gfn] = zero ? mp_sum(NULL) : MP_SUM_HOLE;
        if (zero || !mp_bit(leaf->present, i))
            rc = ck_arrival_set(t->arrival, gfn, zero ? &FLIC_ID_ZERO : &FLIC_ID_HOLE, err);
    }
    return rc;
}

struct looking {
    struct mt_taker *t;
    const unsigned *at;         /* page i is the leaf's at[i]-th */
    const struct flic_id *ids;
};

static int see_page(size_t tag, const void *page, void *arg)
{
    struct looking *l = arg;
    struct mt_taker *t = l->t;
    unsigned i = l->at[tag];

    t->sum[t->first + i] = mp_sum(page);
    t->digest[i] = md_of(t->params.key, page, FLIC_PAGE_SIZE);
    mk_add(t->known, &t->digest[i], &l->ids[tag]);
    return 0;
}

/* What is here of a leaf already. A page that cannot be read is asked for. */
static void see_base(struct mt_taker *t, const struct mp_leaf *leaf)
{
    struct flic_id ids[MD_LEAF_PAGES];
    unsigned at[MD_LEAF_PAGES];
    struct looking l = { t, at, ids };
    size_t n = 0;

    for (unsigned i = 0; i < MD_LEAF_PAGES; i++) {
        struct flic_id id = ck_arrival_id(t->arrival, t->first + i);

        if (!mp_bit(leaf->present, i) || mp_bit(leaf->zero, i) || flic_id_equal(&id, &FLIC_ID_HOLE) || flic_id_equal(&id, &FLIC_ID_ZERO))
            continue;
        at[n] = i;
        ids[n++] = id;
    }
    if (n)
        (void)ck_arrival_read(t->arrival, ids, n, see_page, &l, NULL);
}

/* The one that we know elsewhere in the store, into its place. */
static bool find_known(struct mt_taker *t, unsigned i, const struct md_digest *wanted)
{
    struct flic_id id;
    unsigned at[1] = { i };
    struct looking l = { t, at, &id };
    bool there = false;

    return mk_find(t->known, wanted, &id) && !ck_arrival_read(t->arrival, &id, 1, see_page, &l, NULL) && md_equal(&t->digest[i], wanted) &&
           !ck_arrival_adopt(t->arrival, t->first + i, &id, &there, NULL) && there;
}

static int answer_digests(struct mt_taker *t, const struct mp_leaf *leaf, struct flic_err *err)
{
    uint8_t need[MP_BITS] = { 0 };
    struct mw_message m;
    int rc = mw_expect(t->params.wire, MW_DIGESTS, 0, &m, err);

    if (!rc && m.len != MD_LEAF_PAGES * sizeof(struct md_digest))
        rc = broken(err, "its digests are not those of a leaf");
    for (unsigned i = 0; !rc && i < MD_LEAF_PAGES; i++) {
        struct md_digest wanted;

        if (!mp_bit(leaf->present, i) || mp_bit(leaf->zero, i))
            continue;
        memcpy(wanted.b, m.data + i * sizeof(wanted), sizeof(wanted));
        if (md_equal(&t->digest[i], &wanted)) {
            t->figures.same_pages++;
        } else if (find_known(t, i, &wanted)) {
            t->figures.found_pages++;
        } else {
            mp_set_bit(need, i);
            t->sum[t->first + i] = MP_SUM_HOLE;
            rc = ck_arrival_set(t->arrival, t->first + i, &FLIC_ID_HOLE, err);
        }
    }
    return rc ? rc : mw_send_bytes(t->params.wire, MW_NEED, need, sizeof(need), err);
}

static void count_same(struct mt_taker *t, const struct mp_leaf *leaf)
{
    for (unsigned i = 0; i < MP_BITS; i++)
        t->figures.same_pages += (unsigned)__builtin_popcount((unsigned)(leaf->present[i] & ~leaf->zero[i]));
}

static int on_leaf(struct mt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    struct md_digest mine;
    struct mp_leaf leaf;
    uint8_t same;
    int rc = mp_get_leaf(m->data, m->len, t->offer.gfn_end, &leaf, err);

    if (!rc)
        rc = take_order(t, &leaf, err);
    if (!rc)
        rc = set_plain(t, &leaf, err);
    if (rc || !leaf.ask)
        return rc;
    see_base(t, &leaf);
    mine = md_of_leaf(t->params.key, t->digest);
    same = md_equal(&mine, &leaf.digest);
    rc = mw_send_bytes(t->params.wire, MW_SAME, &same, 1, err);
    if (!rc && same)
        count_same(t, &leaf);
    return rc || same ? rc : answer_digests(t, &leaf, err);
}

/* ---- pages ---- */

static int on_pages(struct mt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    uint64_t gfns[MP_BATCH];
    size_t n;
    int rc = mp_decode(t->coder, m->data, m->len, t->offer.gfn_end, gfns, &n, t->batch, err);

    if (!rc && t->state)
        rc = broken(err, "a page came out of order");
    for (size_t i = 0; !rc && i < n; i++)
        if (!ck_bit(t->present, gfns[i]))
            rc = broken(err, "a page came where the guest has none");
    for (size_t i = 0; !rc && i < n; i++) {
        const uint8_t *page = t->batch + i * FLIC_PAGE_SIZE;

        t->sum[gfns[i]] = mp_sum(page);
        t->figures.received_pages++;
        rc = ck_arrival_page(t->arrival, gfns[i], page, err);
    }
    return rc;
}

static int on_state(struct mt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    struct flic_reader reader = flic_reader_of(m->data, m->len);
    uint64_t ago_ns = flic_get_u64(&reader), now_ns;
    struct timespec now;

    if (reader.bad || t->state || !reader.left || reader.left > FLX_STATE_MAX)
        return broken(err, "a machine state out of order");
    t->state = malloc(reader.left);
    if (!t->state)
        return no_memory(t, err);
    memcpy(t->state, reader.at, reader.left);
    t->state_len = reader.left;
    (void)clock_gettime(CLOCK_REALTIME, &now);  /* cannot fail for this clock */
    now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    t->taken_ns = ago_ns < now_ns ? now_ns - ago_ns : 0;
    return 0;
}

/* Whole leaves that an earlier checkpoint had, and this one has not, were not named. */
static int drop_absent(struct mt_taker *t, struct flic_err *err)
{
    int rc = 0;

    for (uint64_t gfn = 0; !rc && gfn < t->offer.gfn_end; gfn++) {
        struct flic_id id = ck_arrival_id(t->arrival, gfn);

        if (!ck_bit(t->present, gfn) && !flic_id_equal(&id, &FLIC_ID_HOLE))
            rc = ck_arrival_set(t->arrival, gfn, &FLIC_ID_HOLE, err);
    }
    return rc;
}

static int on_check(struct mt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    uint64_t leaves = ck_leaf_count(t->offer.gfn_end);
    struct flic_reader reader = flic_reader_of(m->data, m->len);

    if (m->len != leaves * sizeof(uint64_t) || !t->state)
        return broken(err, "sums out of order");
    if (t->figures.ram_pages != t->offer.pages)
        return broken(err, "it has not so many pages as were offered");
    for (uint64_t gfn = 0; gfn < t->offer.gfn_end; gfn++)
        if (ck_bit(t->present, gfn) && t->sum[gfn] == MP_SUM_HOLE)
            return flic_err_set(err, FLIC_E_DAMAGED, "store '%s': gfn 0x%llx never came", t->offer.name, (unsigned long long)gfn);
    for (uint64_t i = 0; i < leaves; i++)
        if (flic_get_u64(&reader) != mp_sum_leaf(t->sum + i * MD_LEAF_PAGES))
            return flic_err_set(err, FLIC_E_DAMAGED, "store '%s': what arrived from gfn 0x%llx on is not what was sent", t->offer.name,
                                (unsigned long long)(i * MD_LEAF_PAGES));
    return drop_absent(t, err);
}

static int on_message(struct mt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    switch (m->type) {
    case MW_LEAF: return on_leaf(t, m, err);
    case MW_PAGES: return on_pages(t, m, err);
    case MW_STATE: return on_state(t, m, err);
    case MW_CHECK: return on_check(t, m, err);
    default: return broken(err, "an unexpected message");
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
        t->params.progress(t->params.arg, "receive", t->figures.ram_pages * FLIC_PAGE_SIZE, t->offer.pages * FLIC_PAGE_SIZE);
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
        struct flic_id a = ck_arrival_id(t->arrival, gfn), b = ck_map_get(map, gfn);

        same = flic_id_equal(&a, &b);
    }
    ck_map_free(map);
    return same;
}

static bool is_same(const struct mt_taker *t, const struct ck_entry *entry)
{
    struct ck_loaded loaded;
    bool same;

    if (!flic_uuid_equal(&entry->info.guest, &t->offer.guest) || ck_load(t->params.store, entry, &loaded, NULL))
        return false;
    same = loaded.root.facts.gfn_end == t->offer.gfn_end && loaded.root.state_len == t->state_len &&
           !memcmp(loaded.root.state, t->state, t->state_len) && !strcmp(loaded.root.config, t->offer.config) && same_map(t, &loaded);
    ck_unload(t->params.store, &loaded);
    return same;
}

/* A copy that is made again, since its last word was lost or by habit, is one checkpoint and not two. */
static bool find_same(const struct mt_taker *t, uint64_t *ret_seq)
{
    struct ck_entry *entries;
    bool found = false;
    size_t n;

    if (ck_list(t->params.store, &entries, &n, NULL))
        return false;
    for (size_t i = 0; i < n && !found; i++) {
        found = is_same(t, &entries[i]);
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
    *ret_seq = ck_arrival_facts(t->arrival)->seq;
    rc = ck_arrival_settle(t->arrival, 0, err);
    if (rc)
        return rc;
    t->committed = true;        /* what could be kept is not what it was any more */
    return ck_arrival_commit(t->arrival, t->state, t->state_len, t->taken_ns, err);
}

int mt_publish(struct mt_taker *t, const char *disks, size_t len, struct flic_err *err)
{
    return ck_arrival_publish(t->arrival, disks, len, err);
}

int mt_ready(struct mt_taker *t, uint64_t seq, bool *ret_handed, struct flic_err *err)
{
    struct flic_builder b;
    struct mw_message m;
    int rc;

    flic_builder_init(&b);
    flic_put_u64(&b, seq);
    rc = b.bad ? no_memory(t, err) : mw_send_bytes(t->params.wire, MW_READY, b.data, b.len, err);
    flic_builder_fini(&b);
    if (!rc)
        rc = mw_expect(t->params.wire, MW_GO, GO_S, &m, err);
    if (!rc && (m.len != 1 || m.data[0] > t->offer.handed))
        rc = broken(err, "its last word is none");
    if (!rc)
        *ret_handed = m.data[0] == 1;
    return rc;
}

struct ck_arrival *mt_arrival(struct mt_taker *t) { return t->arrival; }

int mt_done(struct mt_taker *t, struct flic_err *err)
{
    return mw_send_bytes(t->params.wire, MW_DONE, NULL, 0, err);
}

struct ck_arrival *mt_keep(struct mt_taker *t)
{
    struct ck_arrival *arrival = t->arrival;

    if (!arrival || t->committed || ck_arrival_seal(arrival, NULL))
        return NULL;
    ck_arrival_let_go(arrival);
    mt_get_figures(t, &t->figures);
    t->arrival = NULL;
    return arrival;
}

void mt_get_figures(const struct mt_taker *t, struct mt_figures *ret_figures)
{
    *ret_figures = t->figures;
    ret_figures->known_pages = t->known ? mk_count(t->known) : 0;
    if (t->arrival)
        ck_arrival_get_figures(t->arrival, &ret_figures->store);
}
