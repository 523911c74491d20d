/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/send.h"

#include "common/bytes.h"
#include "daemon/migrate/digest.h"
#include "daemon/migrate/heat.h"
#include "daemon/migrate/hello.h"
#include "daemon/migrate/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READY_S 300u            /* the peer's libxl builds the devices in it */
#define MAPS_MAX 65536u
#define KNOWS_LINK (2u << 20)   /* bytes of pages after which the link's speed is known */
#define REST_MIN 64u            /* pages: with no more to send the pause is as short as it gets */
#define CATCH_UP 3u             /* rounds after both sides prepared */
#define RACE_STEPS 24u
#define SLOW_LINK (4u << 20)    /* bytes a second, until then: Wi-Fi with a wall in between */

struct ms_sender {
    struct ms_params params;
    struct flx_info info;
    struct md_key key;
    bool peer_has;              /* pages of its own that it may ask with */
    uint32_t peer_disks;
    struct mp_coder *coder;

    uint64_t *unsent;           /* bits over gfn_end: not sent, or written since */
    uint64_t *sent_once;
    uint64_t *present;          /* as the peer was told */
    struct mt_heat heat;
    uint64_t cleaned_us;        /* when the last bitmap came */
    uint64_t *newest;           /* it */
    uint64_t *raced;            /* sent by race(), and not written since */
    uint64_t *sum;              /* of what the peer has at each gfn, as far as we know: mp_sum() */

    /* one batch, in the making */
    uint64_t gfns[MP_BATCH], zeros[MP_BATCH];
    size_t n, n_zeros;
    uint8_t *batch;             /* MP_BATCH pages */
    uint8_t *leaf;              /* MD_LEAF_PAGES pages, a private copy */
    bool in_pause;
    uint64_t link_us;           /* spent in sending pages, and in waiting for the peer to have them */
    struct flx_map **maps; size_t n_maps;       /* of the pause: unmapped after it */
    struct ms_figures figures;
};

static void set_bit(uint64_t *bits, uint64_t n) { bits[n / 64] |= 1ull << (n % 64); }
static void clear_bit(uint64_t *bits, uint64_t n) { bits[n / 64] &= ~(1ull << (n % 64)); }

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
    s->batch = malloc((size_t)MP_BATCH * FLIC_PAGE_SIZE);
    s->leaf = malloc((size_t)MD_LEAF_PAGES * FLIC_PAGE_SIZE);
    s->maps = calloc(MAPS_MAX, sizeof(*s->maps));
    if (!s->unsent || !s->sent_once || !s->present || !s->newest || !s->raced || !s->sum || !s->batch || !s->leaf || !s->maps ||
        mt_heat_init(&s->heat, end, ck_now_us()))
        return flic_err_set(err, -ENOMEM, "migrate '%s': out of memory", s->info.name);
    return mp_coder_new(&s->coder, err);
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
        rc = mh_get_accept(s->params.wire, READY_S, &s->peer_has, &s->peer_disks, err);
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
    mp_coder_free(s->coder);
    free(s->unsent);
    free(s->sent_once);
    free(s->present);
    free(s->newest);
    free(s->raced);
    mt_heat_fini(&s->heat);
    free(s->sum);
    free(s->batch);
    free(s->leaf);
    free(s->maps);
    free(s);
}

void ms_dirtied(struct ms_sender *s, const uint64_t *bitmap, uint64_t gfn_end)
{
    if (gfn_end > s->info.gfn_end)
        gfn_end = s->info.gfn_end;
    for (size_t i = 0; i < ck_words(gfn_end); i++)
        s->unsent[i] |= bitmap[i];
    memcpy(s->newest, bitmap, ck_words(gfn_end) * 8);
    s->cleaned_us = ck_now_us();
    mt_heat_wrote(&s->heat, bitmap, ck_words(gfn_end), s->cleaned_us);
}

/* ---- pages out ---- */

static int flush_pages(struct ms_sender *s, struct flic_err *err)
{
    const void *head, *body;
    size_t head_len, body_len;
    struct mw_piece pieces[2];
    uint64_t began;
    int rc;

    if (!s->n)
        return 0;
    rc = mp_encode(s->coder, s->gfns, s->n, s->batch, &head, &head_len, &body, &body_len, err);
    pieces[0] = (struct mw_piece){ head, head_len };
    pieces[1] = (struct mw_piece){ body, body_len };
    began = ck_now_us();
    if (!rc)
        rc = mw_send(s->params.wire, MW_PAGES, pieces, 2, err);
    s->link_us += ck_now_us() - began;
    s->figures.sent_pages += s->n;
    s->figures.last_pages += s->in_pause ? s->n : 0;
    s->figures.page_bytes += body_len;
    s->n = 0;
    return rc;
}

static int flush_zeros(struct ms_sender *s, struct flic_err *err)
{
    const void *head, *body;
    size_t head_len, body_len;
    int rc;

    if (!s->n_zeros)
        return 0;
    rc = mp_encode(s->coder, s->zeros, s->n_zeros, NULL, &head, &head_len, &body, &body_len, err);
    if (!rc)
        rc = mw_send_bytes(s->params.wire, MW_ZEROS, head, head_len, err);
    s->figures.last_zero_pages += s->in_pause ? s->n_zeros : 0;
    s->n_zeros = 0;
    return rc;
}

/* `page` NULL: zeros. It is a private copy: a running guest's page may change between its sum and its being sent. */
static int put(struct ms_sender *s, uint64_t gfn, const void *page, struct flic_err *err)
{
    s->sum[gfn] = mp_sum(page);
    clear_bit(s->unsent, gfn);
    set_bit(s->raced, gfn);
    if (!page) {
        s->zeros[s->n_zeros++] = gfn;
        return s->n_zeros == MP_BATCH ? flush_zeros(s, err) : 0;
    }
    s->figures.resent_pages += ck_bit(s->sent_once, gfn);
    set_bit(s->sent_once, gfn);
    memcpy(s->batch + s->n * FLIC_PAGE_SIZE, page, FLIC_PAGE_SIZE);
    s->gfns[s->n++] = gfn;
    return s->n == MP_BATCH ? flush_pages(s, err) : 0;
}

static int flush(struct ms_sender *s, struct flic_err *err)
{
    int rc = flush_pages(s, err);

    return rc ? rc : flush_zeros(s, err);
}

/* ---- the first round: leaf by leaf ---- */

struct look {                   /* at one leaf */
    uint64_t first;
    uint64_t gfns[MD_LEAF_PAGES];
    size_t n;
    uint8_t kind[MD_LEAF_PAGES];
    struct md_digest digest[MD_LEAF_PAGES];     /* only where the peer may ask with them */
    uint64_t sum[MD_LEAF_PAGES];
    struct mp_leaf leaf;
};

/* Where a guest can have pages, of one leaf. */
static void ask_for(const struct ms_sender *s, struct look *l)
{
    struct flx_range ranges[16];
    size_t n = flx_ranges(&s->info, ranges);

    l->n = 0;
    for (uint64_t gfn = l->first; gfn < l->first + MD_LEAF_PAGES && gfn < s->info.gfn_end; gfn++)
        for (size_t i = 0; i < n; i++)
            if (gfn >= ranges[i].first_gfn && gfn - ranges[i].first_gfn < ranges[i].pages) {
                l->gfns[l->n++] = gfn;
                break;
            }
}

/* Copies the leaf and says of each page what it is. */
static int look_at(struct ms_sender *s, struct look *l, struct flic_err *err)
{
    struct flx_map *map;
    const uint8_t *from;
    int rc;

    l->leaf = (struct mp_leaf){ .leaf = (uint32_t)(l->first / MD_LEAF_PAGES), .ask = s->peer_has };
    memset(l->digest, 0xff, sizeof(l->digest));
    ask_for(s, l);
    if (!l->n)
        return 0;
    rc = flx_map_pages(s->params.dom, l->gfns, l->n, false, &map, l->kind, err);
    if (rc)
        return rc;
    from = flx_map_base(map);
    for (size_t i = 0; i < l->n; i++) {
        unsigned at = (unsigned)(l->gfns[i] - l->first);
        uint8_t *page = s->leaf + (size_t)at * FLIC_PAGE_SIZE;
        bool zero = l->kind[i] == FLX_PAGE_RING;

        if (l->kind[i] != FLX_PAGE_RAM && l->kind[i] != FLX_PAGE_RING)
            continue;
        mp_set_bit(l->leaf.present, at);
        set_bit(s->present, l->gfns[i]);
        set_bit(s->unsent, l->gfns[i]);
        s->figures.ram_pages++;
        if (!zero) {
            memcpy(page, from + i * FLIC_PAGE_SIZE, FLIC_PAGE_SIZE);
            zero = flic_is_zero(page, FLIC_PAGE_SIZE);
        }
        l->sum[at] = mp_sum(zero ? NULL : page);
        l->digest[at] = zero || !s->peer_has ? MD_ZERO : md_of(&s->key, page, FLIC_PAGE_SIZE);
        if (zero)
            mp_set_bit(l->leaf.zero, at);
        s->figures.zero_pages += zero;
    }
    flx_unmap(map);
    if (s->peer_has)
        l->leaf.digest = md_of_leaf(&s->key, l->digest);
    return 0;
}

/* All of it is there already. */
static void note_same(struct ms_sender *s, const struct look *l)
{
    for (unsigned i = 0; i < MD_LEAF_PAGES; i++) {
        if (!mp_bit(l->leaf.present, i))
            continue;
        s->sum[l->first + i] = l->sum[i];
        clear_bit(s->unsent, l->first + i);
        s->figures.there_pages += !mp_bit(l->leaf.zero, i);
    }
}

/* Which of the leaf's pages the peer wants; all where it cannot ask. */
static int ask(struct ms_sender *s, const struct look *l, uint8_t need[MP_BITS], bool *ret_same, struct flic_err *err)
{
    struct mw_message m;
    int rc;

    *ret_same = false;
    for (unsigned i = 0; i < MP_BITS; i++)
        need[i] = (uint8_t)(l->leaf.present[i] & ~l->leaf.zero[i]);
    if (!s->peer_has)
        return 0;
    rc = mw_expect(s->params.wire, MW_SAME, 0, &m, err);
    if (!rc && m.len != 1)
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer's answer about a leaf is none");
    if (!rc)
        *ret_same = m.data[0] == 1;
    if (rc || *ret_same)
        return rc;
    rc = mw_send_bytes(s->params.wire, MW_DIGESTS, l->digest, sizeof(l->digest), err);
    if (!rc)
        rc = mw_expect(s->params.wire, MW_NEED, 0, &m, err);
    if (!rc && m.len != MP_BITS)
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer's answer about pages is none");
    for (unsigned i = 0; !rc && i < MP_BITS; i++)
        need[i] &= m.data[i];
    return rc;
}

/* `later` are pages that will be sent again anyway: they wait. */
static int send_leaf(struct ms_sender *s, const struct look *l, const uint64_t *later, struct flic_err *err)
{
    uint8_t out[MP_LEAF_SIZE], need[MP_BITS];
    bool same;
    int rc;

    mp_put_leaf(&l->leaf, out);
    rc = mw_send_bytes(s->params.wire, MW_LEAF, out, sizeof(out), err);
    if (!rc)
        rc = ask(s, l, need, &same, err);
    if (rc)
        return rc;
    if (same) {
        note_same(s, l);
        return 0;
    }
    for (unsigned i = 0; !rc && i < MD_LEAF_PAGES; i++) {
        uint64_t gfn = l->first + i;

        if (!mp_bit(l->leaf.present, i))
            continue;
        if (mp_bit(need, i) && ck_bit(later, gfn))
            continue;
        if (mp_bit(need, i)) {
            rc = put(s, gfn, s->leaf + (size_t)i * FLIC_PAGE_SIZE, err);
            continue;
        }
        s->sum[gfn] = l->sum[i];
        clear_bit(s->unsent, gfn);
        s->figures.there_pages += !mp_bit(l->leaf.zero, i);
    }
    return rc ? rc : flush(s, err);
}

static bool is_empty(const struct mp_leaf *leaf)
{
    for (unsigned i = 0; i < MP_BITS; i++)
        if (leaf->present[i])
            return false;
    return true;
}

static int first_round(struct ms_sender *s, const uint64_t *later, struct flic_err *err)
{
    struct look *l = malloc(sizeof(*l));
    uint64_t end = s->info.gfn_end;
    int rc = l ? 0 : flic_err_set(err, -ENOMEM, "migrate '%s': out of memory", s->info.name);

    for (uint64_t first = 0; !rc && first < end; first += MD_LEAF_PAGES) {
        l->first = first;
        rc = look_at(s, l, err);
        if (!rc && l->n && !is_empty(&l->leaf))
            rc = send_leaf(s, l, later, err);
        s->params.progress(s->params.arg, "send", s->figures.ram_pages * FLIC_PAGE_SIZE, s->info.pages * FLIC_PAGE_SIZE);
    }
    free(l);
    return rc;
}

/* ---- later rounds, and the last ---- */

/* What became of a page that was there, or not: its memory was resized, which the peer cannot follow. */
static int check_kind(const struct ms_sender *s, uint64_t gfn, uint8_t kind, struct flic_err *err)
{
    bool is = kind == FLX_PAGE_RAM || kind == FLX_PAGE_RING;

    if (is == ck_bit(s->present, gfn))
        return 0;
    return flic_err_set(err, FLIC_E_BUSY, "migrate '%s': its memory was resized just now: migrate it again", s->info.name);
}

static int send_some(struct ms_sender *s, const uint64_t *gfns, size_t n, struct flic_err *err)
{
    uint8_t kind[MP_BATCH], page[FLIC_PAGE_SIZE];
    struct flx_map *map;
    const uint8_t *from;
    int rc = flx_map_pages(s->params.dom, gfns, n, false, &map, kind, err);

    if (rc)
        return rc;
    from = flx_map_base(map);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = check_kind(s, gfns[i], kind[i], err);
        if (rc || (kind[i] != FLX_PAGE_RAM && kind[i] != FLX_PAGE_RING)) {
            clear_bit(s->unsent, gfns[i]);
            continue;
        }
        if (kind[i] == FLX_PAGE_RAM)
            memcpy(page, from + i * FLIC_PAGE_SIZE, FLIC_PAGE_SIZE);
        rc = put(s, gfns[i], kind[i] == FLX_PAGE_RING || flic_is_zero(page, FLIC_PAGE_SIZE) ? NULL : page, err);
    }
    if (s->in_pause && s->n_maps < MAPS_MAX)
        s->maps[s->n_maps++] = map;     /* unmapping costs more than mapping */
    else
        flx_unmap(map);
    return rc;
}

struct choice {                 /* of what is unsent; a member that is NULL or 0 rules nothing out */
    const uint64_t *only, *but;
    uint64_t until_us;
};

static uint64_t chosen(const struct ms_sender *s, const struct choice *c, size_t word)
{
    return s->unsent[word] & (c->only ? c->only[word] : ~0ull) & ~(c->but ? c->but[word] : 0);
}

static int send_chosen(struct ms_sender *s, const struct choice *c, struct flic_err *err)
{
    uint64_t total = ck_count_bits(s->unsent, s->info.gfn_end), done = 0, gfns[MP_BATCH];
    size_t n = 0;
    int rc = 0;

    for (size_t word = 0; !rc && word < ck_words(s->info.gfn_end); word++) {
        for (uint64_t bits = chosen(s, c, word); !rc && bits; bits &= bits - 1) {
            gfns[n++] = word * 64 + (uint64_t)__builtin_ctzll(bits);
            if (n == MP_BATCH) {
                rc = send_some(s, gfns, n, err);
                done += n;
                n = 0;
                s->params.progress(s->params.arg, s->in_pause ? "last" : "send", done * FLIC_PAGE_SIZE, total * FLIC_PAGE_SIZE);
            }
        }
        if (c->until_us && ck_now_us() >= c->until_us)
            break;
    }
    if (!rc && n)
        rc = send_some(s, gfns, n, err);
    return rc ? rc : flush(s, err);
}

/* What has cooled down. */
static int send_cool(struct ms_sender *s, struct flic_err *err)
{
    return send_chosen(s, &(struct choice){ .but = mt_heat_warm(&s->heat) }, err);
}

/* ---- rounds ---- */

static int sync_round(struct ms_sender *s, struct flic_err *err)
{
    uint8_t round[4] = { (uint8_t)s->figures.rounds, (uint8_t)(s->figures.rounds >> 8) };
    uint64_t began = ck_now_us();
    struct mw_message m;
    int rc = mw_send_bytes(s->params.wire, MW_SYNC, round, sizeof(round), err);

    if (!rc)
        rc = mw_expect(s->params.wire, MW_SYNCED, 0, &m, err);
    if (!rc && (m.len != sizeof(round) || memcmp(m.data, round, sizeof(round))))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer acknowledged another round");
    s->figures.rounds++;
    s->link_us += ck_now_us() - began;
    return rc;
}

/* How long the link would take for what is left, as fast as it was so far, with the pages as they compressed so far. Little was sent: that says
 * more of the first packets than of the link, which is taken to be a slow one. */
static void expect_downtime(struct ms_sender *s)
{
    uint64_t left = ck_count_bits(s->unsent, s->info.gfn_end);
    uint64_t page = s->figures.sent_pages ? s->figures.page_bytes / s->figures.sent_pages : FLIC_PAGE_SIZE;
    uint64_t rate = s->link_us ? s->figures.page_bytes * 1000000 / s->link_us : 0;

    if (s->figures.page_bytes < KNOWS_LINK && rate < SLOW_LINK)
        rate = SLOW_LINK;
    s->figures.bytes_per_s = rate;
    s->figures.expected_downtime_us = left * (page + 8) * 1000000 / (rate ? rate : 1);
}

static void sleep_until(uint64_t due_us)
{
    uint64_t now = ck_now_us(), left = now < due_us ? due_us - now : 0;
    struct timespec t = { .tv_sec = (time_t)(left / 1000000), .tv_nsec = (long)(left % 1000000 * 1000) };

    (void)nanosleep(&t, NULL);
}

/* A round that had little to send says nothing of which pages have cooled down: the guest is given the time to show it. */
static void let_cool(const struct ms_sender *s)
{
    sleep_until(s->cleaned_us + s->heat.window_us);
}

/* The first round takes long: of all that was written since log-dirty is on it leaves to the later ones what the peer lacks. */
static int one_round(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    bool first = !s->figures.rounds;
    uint64_t ignored;
    int rc = first ? first_round(s, mt_heat_warm(&s->heat), err) : send_cool(s, err);

    if (first)
        mt_heat_window(&s->heat, s->params.cool_ms * 1000ull, ck_now_us());
    if (!rc)
        rc = sync_round(s, err);
    if (rc)
        return rc;
    let_cool(s);
    rc = ck_save_round(save, &ignored, err);
    expect_downtime(s);
    return rc;
}

static bool is_too_long(const struct ms_sender *s)
{
    return s->figures.expected_downtime_us > s->params.max_downtime_ms * 1000ull;
}

/* The next round cannot make it much shorter. */
static int give_up(const struct ms_sender *s, struct flic_err *err)
{
    return flic_err_set(err, FLIC_E_GUEST, "migrate '%s': it writes memory as fast as the link carries it: %llu MiB are left after %llu rounds, a "
                        "pause of about %llu ms; it runs on here. Allow that with --max-downtime, or migrate it when it is calmer",
                        s->info.name, (unsigned long long)(ck_count_bits(s->unsent, s->info.gfn_end) >> 8),
                        (unsigned long long)s->figures.rounds, (unsigned long long)s->figures.expected_downtime_us / 1000);
}

/* As long as they help, however long a pause is allowed: a page that has cooled down is sent once, now or in the pause. */
static int all_rounds(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    uint64_t before, left = UINT64_MAX;
    int rc;

    do {
        before = left;
        rc = one_round(s, save, err);
        if (rc)
            return rc;
        left = ck_count_bits(s->unsent, s->info.gfn_end);
    } while (left > REST_MIN && s->figures.rounds < s->params.rounds_max && left < before - before / 8);
    return is_too_long(s) ? give_up(s, err) : 0;
}

static int prepare(struct ms_sender *s, struct flic_err *err)
{
    uint64_t pages = ck_count_bits(s->unsent, s->info.gfn_end) * 2 + 1024;
    struct flic_builder b;
    struct mw_message m;
    int rc;

    flic_builder_init(&b);
    flic_put_u64(&b, pages < s->info.pages ? pages : s->info.pages);
    rc = b.bad ? flic_err_set(err, -ENOMEM, "migrate '%s': out of memory", s->info.name)
               : mw_send_bytes(s->params.wire, MW_PREPARE, b.data, b.len, err);
    flic_builder_fini(&b);
    return rc ? rc : mw_expect(s->params.wire, MW_PREPARED, 0, &m, err);
}

int ms_live(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    uint64_t began = ck_now_us();
    int rc;

    memset(s->unsent, 0, ck_words(s->info.gfn_end) * 8);   /* the first round looks at every page */
    rc = all_rounds(s, save, err);
    if (!rc)
        rc = prepare(s, err);
    s->figures.live_us = ck_now_us() - began;
    return rc;
}

static int once_more(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    int rc = ck_save_clean(save, err);

    if (!rc)
        rc = send_cool(s, err);
    if (!rc)
        rc = sync_round(s, err);
    expect_downtime(s);
    return rc;
}

/* Of what was sent, how much the newest bitmap takes back. */
static uint64_t take_back(struct ms_sender *s)
{
    uint64_t n = 0;

    for (size_t i = 0; i < ck_words(s->info.gfn_end); i++) {
        n += (uint64_t)__builtin_popcountll(s->raced[i] & s->newest[i]);
        s->raced[i] &= ~s->newest[i];
    }
    return n;
}

/*
 * What is written all the time is mostly written in turn: a page that was written this very moment is the one that is left alone longest.
 * So the newest of each short while are sent, until as many of those sent are written again as go out: the guest has come round, and more would
 * not help. What is written without pause comes back at once, and this ends at once.
 */
static int race(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    uint64_t sent = 0;
    int rc = 0;

    memset(s->raced, 0, ck_words(s->info.gfn_end) * 8);
    for (unsigned i = 0; !rc && i < RACE_STEPS && s->figures.expected_downtime_us > s->params.race_us; i++) {
        uint64_t before = s->figures.sent_pages, until;

        rc = ck_save_clean(save, err);
        if (rc || (take_back(s) >= sent && i))
            break;
        until = ck_now_us() + s->params.race_us;
        rc = send_chosen(s, &(struct choice){ .only = s->newest, .until_us = until }, err);
        sleep_until(until);
        sent = s->figures.sent_pages - before;
        expect_downtime(s);
    }
    return rc;
}

/* Preparing took its time, in which much may have been written. */
int ms_once_more(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    int rc = once_more(s, save, err);

    for (unsigned i = 1; !rc && i < CATCH_UP && is_too_long(s); i++) {
        let_cool(s);
        rc = once_more(s, save, err);
    }
    if (!rc)
        rc = race(s, save, err);
    return rc || !is_too_long(s) ? rc : give_up(s, err);
}

static int send_state(struct ms_sender *s, const void *state, size_t len, uint64_t suspended_us, struct flic_err *err)
{
    struct flic_builder b;
    struct mw_piece pieces[2];
    int rc;

    flic_builder_init(&b);
    flic_put_u64(&b, (ck_now_us() - suspended_us) * 1000);
    pieces[0] = (struct mw_piece){ b.data, b.len };
    pieces[1] = (struct mw_piece){ state, len };
    rc = b.bad ? flic_err_set(err, -ENOMEM, "migrate '%s': out of memory", s->info.name)
               : mw_send(s->params.wire, MW_STATE, pieces, 2, err);
    flic_builder_fini(&b);
    return rc;
}

/* One sum a leaf, from the first to the last: what all pages are now. */
static int send_check(struct ms_sender *s, struct flic_err *err)
{
    uint64_t leaves = (s->info.gfn_end + MD_LEAF_PAGES - 1) / MD_LEAF_PAGES;
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

int ms_last(struct ms_sender *s, const void *state, size_t state_len, uint64_t suspended_us, struct flic_err *err)
{
    uint64_t began = ck_now_us();
    int rc;

    s->in_pause = true;
    rc = send_chosen(s, &(struct choice){ 0 }, err);
    if (!rc)
        rc = send_state(s, state, state_len, suspended_us, err);
    if (!rc)
        rc = send_check(s, err);
    s->figures.last_us = ck_now_us() - began;
    return rc;
}

int ms_await(struct ms_sender *s, struct flic_err *err)
{
    uint64_t began = ck_now_us();
    struct mw_message m;
    int rc = mw_expect(s->params.wire, MW_READY, READY_S, &m, err);

    s->figures.await_us = ck_now_us() - began;
    return rc;
}

int ms_hand_over(struct ms_sender *s, bool *ret_sent, struct flic_err *err)
{
    struct mw_message m;
    int rc;

    *ret_sent = true;
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
    struct mw_counts counts;

    mw_get_counts(s->params.wire, &counts);
    *ret_figures = s->figures;
    ret_figures->sent_bytes = counts.sent;
    ret_figures->received_bytes = counts.received;
}
