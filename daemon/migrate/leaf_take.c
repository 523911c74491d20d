/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/leaf_take.h"

#include "common/bytes.h"
#include "daemon/checkpoint/base.h"
#include "daemon/migrate/learn.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

/* ---- memory ---- */

static atomic_uint_least64_t all_claimed;       /* leaves, of all arrivals */

uint64_t lt_room(void)
{
    struct sysinfo machine;

    return sysinfo(&machine) ? 0 : (uint64_t)machine.totalram * machine.mem_unit / 4;
}

/* `leaves` are this arrival's from here on, as far as it has not as many. */
static int claim(struct lt_leaves *l, uint64_t leaves, const char *name, struct flic_err *err)
{
    uint64_t more = leaves > l->claimed ? leaves - l->claimed : 0, room = more ? lt_room() : 0;

    if (!more)
        return 0;
    if (atomic_fetch_add(&all_claimed, more) + more > room / LT_LEAF_COST) {
        atomic_fetch_sub(&all_claimed, more);
        return flic_err_set(err, FLIC_E_REFUSED, "%s '%s': to take in %llu MiB or more of a guest needs more memory than there is here for all that "
                            "arrives, %llu MiB: let others arrive first, or give Dom0 more memory", l->doing, name,
                            (unsigned long long)leaves * 2, (unsigned long long)room >> 20);
    }
    l->claimed += more;
    return 0;
}

/* ---- beginning ---- */

int lt_init(struct lt_leaves *l, struct mw_wire *wire, const struct md_key *key, struct ck_store *store, const char *doing, struct flic_err *err)
{
    *l = (struct lt_leaves){ .wire = wire, .key = key, .store = store, .doing = doing, .known = mk_new() };
    return l->known ? 0 : flic_err_set(err, -ENOMEM, "%s a guest: out of memory", doing);
}

void lt_fini(struct lt_leaves *l)
{
    ck_arrival_free(l->arrival);
    mp_coder_free(l->coder);
    mk_free(l->known);
    free(l->present);
    free(l->sum);
    free(l->batch);
    atomic_fetch_sub(&all_claimed, l->claimed);
}

int lt_know(struct lt_leaves *l, const struct ck_loaded *other, struct flic_err *err)
{
    return mk_learn(l->known, l->key, l->store, other, err);
}

int lt_begin(struct lt_leaves *l, const struct ck_facts *facts, const char *config, const struct ck_loaded *base, const struct ck_arrival *earlier,
             struct flic_err *err)
{
    int rc = claim(l, ck_leaf_count(facts->pages), facts->name, err);

    if (rc)
        return rc;
    l->gfn_end = facts->gfn_end;
    l->present = calloc(ck_words(l->gfn_end) + MD_LEAF_PAGES / 64, 8);
    l->sum = calloc(l->gfn_end + MD_LEAF_PAGES, sizeof(*l->sum));       /* MP_SUM_HOLE */
    l->batch = malloc((size_t)MP_BATCH * FLIC_PAGE_SIZE);
    if (!l->present || !l->sum || !l->batch)
        return flic_err_set(err, -ENOMEM, "%s '%s': out of memory", l->doing, facts->name);
    rc = mp_coder_new(&l->coder, err);
    l->has = base || earlier || mk_count(l->known);
    return rc ? rc : ck_arrival_new(l->store, facts, config, strlen(config), base, earlier, &l->arrival, err);
}

/* ---- leaves ---- */

int lt_mark(struct lt_leaves *l, const struct mp_leaf *leaf, struct flic_err *err)
{
    uint64_t first = (uint64_t)leaf->leaf * MD_LEAF_PAGES;
    int rc;

    if (leaf->ask != l->has || leaf->leaf < l->next)
        return mw_broken(err, "a leaf came out of order");
    l->next = leaf->leaf + 1ull;
    rc = claim(l, ++l->leaves, ck_arrival_facts(l->arrival)->name, err);
    if (rc)
        return rc;
    for (unsigned i = 0; i < MD_LEAF_PAGES; i++) {
        if (!mp_bit(leaf->present, i))
            continue;
        l->present[(first + i) / 64] |= 1ull << (i % 64);
        l->figures.ram_pages++;
        l->figures.zero_pages += mp_bit(leaf->zero, i);
    }
    return 0;
}

static bool has_content(const struct mp_leaf *leaf, unsigned i)
{
    return mp_bit(leaf->present, i) && !mp_bit(leaf->zero, i);
}

/* Zeros and holes are as the sender says, and not what stood there before. */
static int set_plain(struct lt_leaves *l, const struct mp_leaf *leaf, struct flic_err *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < MD_LEAF_PAGES; i++) {
        uint64_t gfn = l->first + i;
        bool zero = mp_bit(leaf->zero, i);

        l->digest[i] = zero ? MD_ZERO : MD_HOLE;
        if (gfn >= l->gfn_end || has_content(leaf, i))
            continue;
        if (zero)
            l->sum[gfn] = mp_sum(NULL);
        if (zero && l->place)
            memset(l->place[i], 0, FLIC_PAGE_SIZE);
        rc = ck_arrival_set(l->arrival, gfn, zero ? &FLIC_ID_ZERO : &FLIC_ID_HOLE, err);
    }
    return rc;
}

struct looking {
    struct lt_leaves *l;
    const unsigned *at;         /* page i is the leaf's at[i]-th */
    const struct flic_id *ids;
};

static int see_page(size_t tag, const void *page, void *arg)
{
    struct looking *looking = arg;
    struct lt_leaves *l = looking->l;
    unsigned i = looking->at[tag];

    if (l->place)
        memcpy(l->place[i], page, FLIC_PAGE_SIZE);
    l->sum[l->first + i] = mp_sum(page);
    l->digest[i] = md_of(l->key, page, FLIC_PAGE_SIZE);
    mk_add(l->known, &l->digest[i], &looking->ids[tag]);
    return 0;
}

/* What is here of the leaf already, in its place. */
static void see_base(struct lt_leaves *l, const struct mp_leaf *leaf)
{
    struct flic_id ids[MD_LEAF_PAGES];
    unsigned at[MD_LEAF_PAGES];
    struct looking looking = { l, at, ids };
    size_t n = 0;

    for (unsigned i = 0; i < MD_LEAF_PAGES; i++) {
        struct flic_id id = ck_arrival_id(l->arrival, l->first + i);

        if (!has_content(leaf, i) || flic_id_equal(&id, &FLIC_ID_HOLE) || flic_id_equal(&id, &FLIC_ID_ZERO))
            continue;
        at[n] = i;
        ids[n++] = id;
    }
    if (n)
        (void)ck_arrival_read(l->arrival, ids, n, see_page, &looking, NULL);
}

/* The one that we know elsewhere in the store, into its place. */
static bool find_known(struct lt_leaves *l, unsigned i, const struct md_digest *wanted)
{
    struct flic_id id;
    struct looking looking = { l, &i, &id };
    bool there = false;

    return mk_find(l->known, wanted, &id) && !ck_arrival_read(l->arrival, &id, 1, see_page, &looking, NULL) && md_equal(&l->digest[i], wanted) &&
           !ck_arrival_adopt(l->arrival, l->first + i, &id, &there, NULL) && there;
}

static int answer_digests(struct lt_leaves *l, const struct mp_leaf *leaf, struct flic_err *err)
{
    uint8_t need[MP_BITS] = { 0 };
    struct mw_message m;
    int rc = mw_expect(l->wire, MW_DIGESTS, 0, &m, err);

    if (!rc && m.len != MD_LEAF_PAGES * sizeof(struct md_digest))
        rc = mw_broken(err, "its digests are not those of a leaf");
    for (unsigned i = 0; !rc && i < MD_LEAF_PAGES; i++) {
        struct md_digest wanted;

        if (!has_content(leaf, i))
            continue;
        memcpy(wanted.b, m.data + i * sizeof(wanted), sizeof(wanted));
        if (md_equal(&l->digest[i], &wanted)) {
            l->figures.same_pages++;
        } else if (find_known(l, i, &wanted)) {
            l->figures.found_pages++;
        } else {
            mp_set_bit(need, i);
            l->sum[l->first + i] = MP_SUM_HOLE;
            rc = ck_arrival_set(l->arrival, l->first + i, &FLIC_ID_HOLE, err);
        }
    }
    return rc ? rc : mw_send_bytes(l->wire, MW_NEED, need, sizeof(need), err);
}

int lt_answer(struct lt_leaves *l, const struct mp_leaf *leaf, uint8_t *const place[MD_LEAF_PAGES], struct flic_err *err)
{
    struct md_digest mine;
    uint8_t same;
    int rc;

    l->first = (uint64_t)leaf->leaf * MD_LEAF_PAGES;
    l->place = place;
    rc = set_plain(l, leaf, err);
    if (rc || !leaf->ask)
        return rc;
    see_base(l, leaf);
    mine = md_of_leaf(l->key, l->digest);
    same = md_equal(&mine, &leaf->digest);
    rc = mw_send_bytes(l->wire, MW_SAME, &same, 1, err);
    if (rc || !same)
        return rc ? rc : answer_digests(l, leaf, err);
    for (unsigned i = 0; i < MD_LEAF_PAGES; i++)
        l->figures.same_pages += has_content(leaf, i);
    return 0;
}

/* ---- pages ---- */

int lt_decode(struct lt_leaves *l, const struct mw_message *m, uint64_t gfns[MP_BATCH], size_t *ret_n, const uint8_t **ret_pages, struct flic_err *err)
{
    uint8_t *pages = m->type == MW_PAGES ? l->batch : NULL;
    int rc = mp_decode(l->coder, m->data, m->len, l->gfn_end, gfns, ret_n, pages, err);

    for (size_t i = 0; !rc && i < *ret_n; i++)
        if (!ck_bit(l->present, gfns[i]))
            rc = mw_broken(err, "a page came where the guest has none");
    *ret_pages = pages;
    return rc;
}

void lt_came(struct lt_leaves *l, uint64_t gfn, const void *page)
{
    l->sum[gfn] = mp_sum(page);
    l->figures.received_pages += page != NULL;
}

int lt_drop_absent(struct lt_leaves *l, struct flic_err *err)
{
    int rc = 0;

    for (uint64_t gfn = 0; !rc && gfn < l->gfn_end; gfn++) {
        struct flic_id id = ck_arrival_id(l->arrival, gfn);

        if (!ck_bit(l->present, gfn) && !flic_id_equal(&id, &FLIC_ID_HOLE))
            rc = ck_arrival_set(l->arrival, gfn, &FLIC_ID_HOLE, err);
    }
    return rc;
}

/* ---- the end ---- */

int lt_check(const struct lt_leaves *l, const struct mw_message *m, struct flic_err *err)
{
    struct flic_reader reader = flic_reader_of(m->data, m->len);
    uint64_t leaves = ck_leaf_count(l->gfn_end);

    if (m->len != leaves * sizeof(uint64_t))
        return mw_broken(err, "sums out of order");
    for (uint64_t gfn = 0; gfn < l->gfn_end; gfn++)
        if (ck_bit(l->present, gfn) && l->sum[gfn] == MP_SUM_HOLE)
            return flic_err_set(err, FLIC_E_DAMAGED, "%s '%s': gfn 0x%llx never came", l->doing, ck_arrival_facts(l->arrival)->name,
                                (unsigned long long)gfn);
    for (uint64_t i = 0; i < leaves; i++)
        if (flic_get_u64(&reader) != mp_sum_leaf(l->sum + i * MD_LEAF_PAGES))
            return flic_err_set(err, FLIC_E_DAMAGED, "%s '%s': what arrived from gfn 0x%llx on is not what was sent", l->doing,
                                ck_arrival_facts(l->arrival)->name, (unsigned long long)(i * MD_LEAF_PAGES));
    return 0;
}

struct ck_arrival *lt_keep(struct lt_leaves *l)
{
    struct ck_arrival *arrival = l->arrival;

    if (!arrival || ck_arrival_seal(arrival, NULL))
        return NULL;
    ck_arrival_let_go(arrival);
    lt_get_figures(l, &l->figures);
    l->arrival = NULL;
    return arrival;
}

void lt_get_figures(const struct lt_leaves *l, struct lt_figures *ret_figures)
{
    *ret_figures = l->figures;
    ret_figures->known_pages = l->known ? mk_count(l->known) : 0;
    if (l->arrival)
        ck_arrival_get_figures(l->arrival, &ret_figures->store);
}
