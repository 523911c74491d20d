/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/arrival.h"

#include "common/log.h"
#include "common/mem.h"
#include "daemon/checkpoint/base.h"
#include "daemon/checkpoint/ending.h"
#include "daemon/checkpoint/note.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEAL_BYTES (8u << 20)   /* new and unsealed: becomes durable at once */
#define NOTE_BYTES (32u << 20)  /* new and not noted: would come again after a crash */

struct ck_arrival {
    struct ck_store *store;
    struct ck_facts facts;
    struct ck_arrival_figures figures;
    char *config; size_t config_len;
    struct ck_map *map;
    struct pk_writer *writer;
    uint64_t sealed_bytes;      /* of the writer's new bytes */
    uint64_t losses;            /* of the store, before anything was found there */
    bool reserved, committed, published;
    char *note;                 /* path of the file that says what has arrived; NULL: none */
    uint64_t noted_bytes;       /* of the writer's new bytes */
    bool quiet;                 /* ours: what is written is written in it */

    struct nv_txn *txn;         /* from settle on */
    struct nv_room room;
    struct flic_id *leaves; size_t n_leaves;
    struct ck_delta *last; size_t n_last, last_room;    /* one a gfn, until commit in the order they first came */
    uint32_t *place;            /* of a gfn in `last`, plus 1; 0: none */
};

static int no_memory(const struct ck_arrival *a, struct flic_err *err)
{
    return flic_err_set(err, -ENOMEM, "take in '%s': out of memory", a->facts.name);
}

/* ---- beginning ---- */

/* A page that the base captured in its pause is in its NVRAM frame, and in no pack until it is moved there. Sealed, so that it can be
 * read like the others. */
static int take_captured(struct ck_arrival *a, const struct ck_loaded *base, struct flic_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < base->root.n_delta; i++) {
        const struct ck_delta *d = &base->root.delta[i];
        const void *page;

        if (d->frame == CK_NO_FRAME || d->gfn >= a->facts.gfn_end || pk_has(ck_packs(a->store), &d->id))
            continue;
        page = ck_delta_page(a->store, base, d, NULL);
        if (page)
            rc = ck_arrival_page(a, d->gfn, page, err);
        else if (ck_map_set(a->map, d->gfn, &FLIC_ID_HOLE))     /* damaged: it is sent again */
            rc = no_memory(a, err);
    }
    return rc ? rc : ck_arrival_seal(a, err);
}

/* Everything that the map names is kept from collections by our writer from here on; what is gone by now is not taken. */
static int take_map(struct ck_arrival *a, const struct ck_map *map, struct flic_err *err)
{
    int rc = 0;

    for (uint64_t gfn = 0; !rc && gfn < a->facts.gfn_end; gfn++) {
        struct flic_id id = ck_map_get(map, gfn);
        bool there = false;

        if (flic_id_equal(&id, &FLIC_ID_HOLE))
            continue;
        if (!flic_id_equal(&id, &FLIC_ID_ZERO))
            rc = pk_keep(a->writer, &id, &there, err);
        if (!rc && (there || flic_id_equal(&id, &FLIC_ID_ZERO)) && ck_map_set(a->map, gfn, &id))
            rc = no_memory(a, err);
    }
    return rc;
}

static int take_base(struct ck_arrival *a, const struct ck_loaded *base, struct flic_err *err)
{
    struct ck_map *map = NULL;
    struct flic_err why = { 0 };
    int rc = ck_load_map(a->store, base, &map, &why);

    if (rc && rc != FLIC_E_DAMAGED)
        return flic_err_set(err, rc, "%s", why.text);
    rc = map ? take_map(a, map, err) : 0;       /* of one whose page map is damaged, all but what its pause captured comes again */
    ck_map_free(map);
    return rc ? rc : take_captured(a, base, err);
}

static int name_it(struct ck_arrival *a, const struct ck_facts *facts, struct flic_err *err)
{
    a->facts = *facts;
    a->facts.store = *ck_store_uuid(a->store);
    if (facts->gfn_end > CK_GFN_END_MAX)
        return flic_err_set(err, FLIC_E_REFUSED, "take in '%s': it reaches gfn 0x%llx: too large", facts->name,
                            (unsigned long long)facts->gfn_end);
    if (flic_uuid_draw(&a->facts.id))
        return flic_err_errno(err, "draw a checkpoint id");
    return ck_next_seq(a->store, &a->facts.guest, &a->facts.seq, err);
}

int ck_arrival_new(struct ck_store *store, const struct ck_facts *facts, const char *config, size_t config_len,
                   const struct ck_loaded *base, const struct ck_arrival *earlier, struct ck_arrival **ret_arrival, struct flic_err *err)
{
    struct ck_arrival *a = calloc(1, sizeof(*a));
    int rc;

    if (!a)
        return flic_err_set(err, -ENOMEM, "take in a guest: out of memory");
    a->store = store;
    a->losses = pk_losses(ck_packs(store));
    rc = name_it(a, facts, err);
    if (!rc && (config_len >= CK_CONFIG_MAX || !(a->config = malloc(config_len + 1))))
        rc = no_memory(a, err);
    if (!rc) {
        memcpy(a->config, config, config_len);
        a->config_len = config_len;
        rc = ck_map_new(facts->gfn_end, &a->map, err);
    }
    if (!rc)
        rc = pk_writer_new(ck_packs(store), &a->writer, err);
    if (!rc && base)
        rc = take_base(a, base, err);
    if (!rc && earlier)
        rc = take_map(a, earlier->map, err);
    if (!rc) {
        rc = ck_reserve(store, err);
        a->reserved = !rc;
    }
    if (rc) {
        ck_arrival_free(a);
        return rc;
    }
    *ret_arrival = a;
    return 0;
}

void ck_arrival_let_go(struct ck_arrival *a)
{
    struct flic_err err = { 0 };

    nv_txn_abort(a->txn);
    a->txn = NULL;
    if (a->committed && !a->published) {
        struct nv_name name = { .guest = a->facts.guest, .seq = a->facts.seq };

        if (nv_drop_unpublished(ck_arena(a->store), &name, &err))
            flic_warn("drop a checkpoint that did not arrive whole: %s; the next start of flicd does it", err.text);
    }
    a->committed = false;
}

void ck_arrival_free(struct ck_arrival *a)
{
    if (!a)
        return;
    ck_arrival_quiet(a, false);
    ck_arrival_let_go(a);
    ck_end_writer(a->store, a->writer);
    if (a->reserved)
        ck_unreserve(a->store);
    ck_map_free(a->map);
    free(a->leaves);
    free(a->last);
    free(a->place);
    free(a->config);
    free(a->note);
    free(a);
}

const struct ck_facts *ck_arrival_facts(const struct ck_arrival *a) { return &a->facts; }
uint64_t ck_arrival_bytes(const struct ck_arrival *a) { return ck_map_bytes(a->map); }

void ck_arrival_get_figures(const struct ck_arrival *a, struct ck_arrival_figures *ret_figures)
{
    struct pk_put_stats stats;

    *ret_figures = a->figures;
    pk_get_put_stats(a->writer, &stats);
    ret_figures->flash_bytes = stats.flash_bytes;
}

/* ---- pages ---- */

struct flic_id ck_arrival_id(const struct ck_arrival *a, uint64_t gfn)
{
    return ck_map_get(a->map, gfn);
}

int ck_arrival_read(struct ck_arrival *a, const struct flic_id *ids, size_t n,
                    int (*got)(size_t tag, const void *page, void *arg), void *arg, struct flic_err *err)
{
    return pk_read_pages(ck_packs(a->store), ids, n, got, arg, err);
}

int ck_arrival_set(struct ck_arrival *a, uint64_t gfn, const struct flic_id *id, struct flic_err *err)
{
    return ck_map_set(a->map, gfn, id) ? no_memory(a, err) : 0;
}

int ck_arrival_adopt(struct ck_arrival *a, uint64_t gfn, const struct flic_id *id, bool *ret_there, struct flic_err *err)
{
    int rc = pk_keep(a->writer, id, ret_there, err);

    return rc || !*ret_there ? rc : ck_arrival_set(a, gfn, id, err);
}

static int put(struct ck_arrival *a, const void *page, struct flic_id *ret_id, struct flic_err *err)
{
    bool is_new;
    int rc = 0;

    *ret_id = FLIC_ID_ZERO;
    if (!flic_is_zero(page, FLIC_PAGE_SIZE)) {
        rc = pk_put(a->writer, PK_PAGE, page, FLIC_PAGE_SIZE, ret_id, &is_new, err);
        if (!rc)
            *(is_new ? &a->figures.new_pages : &a->figures.dedup_pages) += 1;
    }
    a->figures.pages++;
    return rc;
}

/* With a note the map's leaves go with the pages, and the file follows when both are durable. */
static int seal(struct ck_arrival *a, bool note, struct flic_err *err)
{
    struct flic_id *leaves = NULL;
    struct pk_put_stats stats;
    size_t n = 0;
    int rc;

    if (!a->quiet)
        ck_work_begin(a->store);
    rc = note ? ck_map_store(a->map, a->writer, &leaves, &n, err) : 0;
    if (!rc)
        rc = pk_seal(a->writer, err);
    if (!a->quiet)
        ck_work_end(a->store);
    pk_get_put_stats(a->writer, &stats);
    a->sealed_bytes = stats.new_bytes;
    if (note && !rc && !ck_note_write(a->note, &a->facts, leaves, n, NULL))
        a->noted_bytes = stats.new_bytes;
    free(leaves);
    return rc;
}

int ck_arrival_seal(struct ck_arrival *a, struct flic_err *err)
{
    return seal(a, a->note != NULL, err);
}

int ck_arrival_page(struct ck_arrival *a, uint64_t gfn, const void *page, struct flic_err *err)
{
    struct pk_put_stats stats;
    struct flic_id id;
    int rc;

    ck_work_begin(a->store);
    rc = put(a, page, &id, err);
    ck_work_end(a->store);
    if (!rc)
        rc = ck_arrival_set(a, gfn, &id, err);
    pk_get_put_stats(a->writer, &stats);
    if (rc || stats.new_bytes - a->sealed_bytes < SEAL_BYTES)
        return rc;
    return seal(a, a->note && stats.new_bytes - a->noted_bytes >= NOTE_BYTES, err);
}

int ck_arrival_note(struct ck_arrival *a, const char *path, struct flic_err *err)
{
    a->note = strdup(path);
    return a->note ? 0 : no_memory(a, err);
}

/* The leaves themselves, too: a later process will want to read them. */
static int keep_leaves(struct ck_arrival *a, const struct flic_id *leaves, size_t n, size_t leaves_max, struct flic_err *err)
{
    size_t kept = 0;
    bool there;
    int rc = 0;

    for (size_t i = 0; !rc && i < n; i++) {
        if (flic_id_equal(&leaves[i], &FLIC_ID_HOLE) || flic_id_equal(&leaves[i], &FLIC_ID_ZERO))
            continue;
        if (kept++ == leaves_max)
            return flic_err_set(err, FLIC_E_REFUSED, "what arrived of '%s' has more than %zu leaves, too many for this machine's memory", a->facts.name,
                                leaves_max);
        rc = pk_keep(a->writer, &leaves[i], &there, err);
    }
    return rc;
}

/* In its place: two maps at once would take twice the memory. */
static int drop_gone(struct ck_arrival *a, struct flic_err *err)
{
    int rc = 0;

    for (uint64_t gfn = 0; !rc && gfn < a->facts.gfn_end; gfn++) {
        struct flic_id id = ck_map_get(a->map, gfn);
        bool there = true;

        if (!flic_id_equal(&id, &FLIC_ID_HOLE) && !flic_id_equal(&id, &FLIC_ID_ZERO))
            rc = pk_keep(a->writer, &id, &there, err);
        if (!rc && !there)
            rc = ck_arrival_set(a, gfn, &FLIC_ID_HOLE, err);
    }
    return rc;
}

int ck_arrival_recall(struct ck_store *store, const char *path, size_t leaves_max, struct ck_arrival **ret_arrival, struct flic_err *err)
{
    struct ck_arrival *a = calloc(1, sizeof(*a));
    FLIC_AUTO_FREE struct flic_id *leaves = NULL;
    size_t n;
    int rc;

    if (!a)
        return flic_err_set(err, -ENOMEM, "find what arrived: out of memory");
    a->store = store;
    rc = ck_note_read(path, &a->facts, &leaves, &n, err);
    if (!rc)
        rc = pk_writer_new(ck_packs(store), &a->writer, err);
    if (!rc)
        rc = keep_leaves(a, leaves, n, leaves_max, err);
    if (!rc)
        rc = ck_map_load(ck_packs(store), leaves, n, a->facts.gfn_end, &a->map, err);
    if (!rc)
        rc = drop_gone(a, err);
    if (rc)
        ck_arrival_free(a);
    else
        *ret_arrival = a;
    return rc;
}

/* ---- the last ones ---- */

/* Asks for as much NVRAM as the pages need, and takes what there is: what does not fit goes to flash. */
static int reserve_nvram(struct ck_arrival *a, uint64_t pages, struct flic_err *err)
{
    struct ck_root parts = { .state_len = 1u << 20, .config_len = a->config_len, .n_leaves = a->n_leaves };
    uint32_t fixed = ck_root_frames(&parts, a->last_room);
    int rc;

    nv_txn_abort(a->txn);
    a->txn = NULL;
    rc = ck_reserve_frames(a->store, fixed, &pages, &a->txn, err);
    if (rc)
        return flic_err_wrap(err, rc, "take in '%s'", a->facts.name);
    nv_txn_expect(a->txn, nv_txn_frames(a->txn));
    a->room = (struct nv_room){ .end = (uint32_t)pages };
    return 0;
}

int ck_arrival_settle(struct ck_arrival *a, uint64_t pages, struct flic_err *err)
{
    uint64_t zero;
    int rc;

    a->facts.pages = ck_map_pages(a->map, &zero);
    a->last_room = a->facts.pages + pages + 4096;
    free(a->last);
    free(a->place);
    free(a->leaves);
    a->leaves = NULL;
    a->last = malloc(a->last_room * sizeof(*a->last));
    a->place = calloc(a->facts.gfn_end, sizeof(*a->place));
    if (!a->last || !a->place)
        return no_memory(a, err);
    ck_work_begin(a->store);
    rc = ck_map_store(a->map, a->writer, &a->leaves, &a->n_leaves, err);
    ck_work_end(a->store);
    if (!rc)
        rc = ck_arrival_seal(a, err);
    return rc ? rc : reserve_nvram(a, pages, err);
}

/* Its entry, a new one where it did not come before; NULL: it has come to more gfns than it may. */
static struct ck_delta *entry_of(struct ck_arrival *a, uint64_t gfn)
{
    if (gfn >= a->facts.gfn_end || (!a->place[gfn] && a->n_last == a->last_room))
        return NULL;
    if (!a->place[gfn]) {
        a->last[a->n_last] = (struct ck_delta){ .gfn = gfn, .frame = CK_NO_FRAME };
        a->place[gfn] = (uint32_t)++a->n_last;
    }
    return &a->last[a->place[gfn] - 1];
}

static int too_many(const struct ck_arrival *a, struct flic_err *err)
{
    return flic_err_set(err, FLIC_E_PROTOCOL, "take in '%s': it has more last pages than memory", a->facts.name);
}

/* Into the frame that it has from before: nothing is durable yet that names it. */
static struct flic_id replace(struct ck_arrival *a, uint32_t frame, const void *page)
{
    (void)nv_txn_put_bytes(a->txn, frame, page, FLIC_PAGE_SIZE);
    return flic_id_of(ck_secret(a->store), 0, page, FLIC_PAGE_SIZE);
}

int ck_arrival_last(struct ck_arrival *a, uint64_t gfn, const void *page, struct flic_err *err)
{
    struct ck_delta *d = entry_of(a, gfn);
    bool again;

    if (!d)
        return too_many(a, err);
    again = d->frame != CK_NO_FRAME;
    if (!page || flic_is_zero(page, FLIC_PAGE_SIZE)) {
        d->id = FLIC_ID_ZERO;
        d->frame = CK_NO_FRAME;
        return 0;
    }
    d->id = again ? replace(a, d->frame, page) : nv_txn_add_page(a->txn, &a->room, page, ck_secret(a->store), &d->frame);
    if (d->frame != CK_NO_FRAME) {
        a->figures.nvram_pages += !again;
        return 0;
    }
    a->figures.spilled_pages++;
    return put(a, page, &d->id, err);      /* NVRAM is full */
}

int ck_arrival_gone(struct ck_arrival *a, uint64_t gfn, struct flic_err *err)
{
    struct ck_delta *d = entry_of(a, gfn);

    if (!d)
        return too_many(a, err);
    d->id = FLIC_ID_HOLE;
    d->frame = CK_NO_FRAME;
    return 0;
}

void ck_arrival_quiet(struct ck_arrival *a, bool on)
{
    if (on && !a->quiet)
        ck_quiet_begin(a->store);
    if (!on && a->quiet)
        ck_quiet_end(a->store);
    a->quiet = on;
}

static int by_gfn(const void *a, const void *b)
{
    const struct ck_delta *x = a, *y = b;

    return x->gfn < y->gfn ? -1 : x->gfn > y->gfn;
}

/* The delta as it is stored: gives. Counts the pages that it adds to the map's. Of `last` only the order of gfns is left. */
static uint8_t *delta_bytes(struct ck_arrival *a)
{
    uint8_t *bytes = malloc(a->n_last * CK_DELTA_ENTRY + 1);

    qsort(a->last, a->n_last, sizeof(*a->last), by_gfn);
    for (size_t i = 0; bytes && i < a->n_last; i++) {
        struct flic_id before = ck_map_get(a->map, a->last[i].gfn);

        a->facts.pages += flic_id_equal(&before, &FLIC_ID_HOLE);
        a->facts.pages -= flic_id_equal(&a->last[i].id, &FLIC_ID_HOLE);
        ck_delta_put(bytes + i * CK_DELTA_ENTRY, &a->last[i]);
    }
    return bytes;
}

/* verify may have found since that something is lost which the map has from packs, and only the sender has it now. What came last counts
 * in the place of what the map has. */
static int check_there(struct ck_arrival *a, struct flic_err *err)
{
    uint64_t losses = pk_losses(ck_packs(a->store)), lost;
    FLIC_AUTO_FREE uint64_t *last = NULL;

    if (losses == a->losses)
        return 0;
    last = calloc(ck_words(a->facts.gfn_end) + 1, sizeof(*last));
    if (!last)
        return no_memory(a, err);
    for (size_t i = 0; i < a->n_last; i++)
        last[a->last[i].gfn / 64] |= 1ull << (a->last[i].gfn % 64);
    lost = ck_map_find_lost(a->map, ck_packs(a->store), last);
    a->losses = losses;
    return lost ? flic_err_set(err, FLIC_E_DAMAGED, "take in '%s': verify has just found a pack damaged that %llu of its pages were in: try it again",
                               a->facts.name, (unsigned long long)lost) : 0;
}

int ck_arrival_commit(struct ck_arrival *a, const void *state, size_t state_len, uint64_t taken_ns, struct flic_err *err)
{
    struct nv_name name = { .guest = a->facts.guest, .seq = a->facts.seq };
    uint32_t next = a->room.next < a->room.end ? a->room.next : a->room.end;
    FLIC_AUTO_FREE uint8_t *delta = delta_bytes(a);
    struct ck_parts parts;
    void *record;
    size_t len;
    int rc = a->figures.spilled_pages ? ck_arrival_seal(a, err) : 0;

    if (!delta && !rc)
        rc = no_memory(a, err);
    if (!rc)
        rc = check_there(a, err);
    if (rc)
        return rc;
    a->facts.taken_ns = taken_ns;
    a->facts.ws_pages = a->figures.nvram_pages + a->figures.spilled_pages;
    ck_put_parts(a->txn, &(struct ck_contents){ state, state_len, a->config, a->config_len, a->leaves, a->n_leaves, delta, a->n_last }, &next, &parts);
    a->figures.nvram_bytes = (uint64_t)next * FLIC_PAGE_SIZE;
    rc = ck_root_encode_record(&a->facts, &parts, &record, &len);
    if (rc)
        return no_memory(a, err);
    rc = nv_txn_commit(a->txn, &name, next, record, len, err);
    free(record);
    if (rc)
        return rc;
    a->txn = NULL;
    a->committed = true;
    return 0;
}

int ck_arrival_publish(struct ck_arrival *a, const char *disks, size_t len, struct flic_err *err)
{
    int rc = ck_publish(a->store, &a->facts, a->losses, disks, len, err);

    if (rc)
        return flic_err_wrap(err, rc, "take in '%s'", a->facts.name);
    a->published = true;
    a->reserved = false;
    return 0;
}
