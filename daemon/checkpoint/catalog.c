/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* catalog - which checkpoints there are: built from arena and packs, mirrored to the index. */
#include "daemon/checkpoint/damage.h"
#include "daemon/checkpoint/root.h"
#include "daemon/checkpoint/store_priv.h"
#include "daemon/checkpoint/tombs.h"
#include "daemon/checkpoint/unseen.h"

#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ck_entry *entry_of(struct ck_store *store, const struct flic_uuid *guest, uint64_t seq)
{
    for (size_t i = 0; i < store->n_entries; i++)
        if (store->entries[i].info.seq == seq && flic_uuid_equal(&store->entries[i].info.guest, guest))
            return &store->entries[i];
    return NULL;
}

static struct ck_entry *entry_add(struct ck_store *store)
{
    struct ck_entry *grown;

    if (store->n_entries == store->room) {
        grown = realloc(store->entries, (store->room + 64) * sizeof(*grown));
        if (!grown)
            return NULL;
        store->entries = grown;
        store->room += 64;
    }
    return memset(&store->entries[store->n_entries++], 0, sizeof(*store->entries));
}

static void fill_from_facts(struct ck_entry *entry, const struct ck_facts *facts)
{
    entry->info.guest = facts->guest;
    entry->info.seq = facts->seq;
    memcpy(entry->info.name, facts->name, sizeof(entry->info.name));
    memcpy(entry->info.arch, facts->arch, sizeof(entry->info.arch));
    entry->info.taken_ns = facts->taken_ns;
    entry->info.ram_bytes = facts->pages * FLIC_PAGE_SIZE;
    entry->info.working_set_bytes = facts->ws_pages * FLIC_PAGE_SIZE;
    entry->id = facts->id;
}

/* ---- building ---- */

static bool buried(const struct ck_store *store, const struct flic_uuid *guest, uint64_t seq)
{
    for (size_t i = 0; i < store->n_tombs; i++)
        if (store->tombs[i].seq == seq && flic_uuid_equal(&store->tombs[i].guest, guest))
            return true;
    return false;
}

static int add_tomb(struct ck_store *store, const struct flic_uuid *guest, uint64_t seq)
{
    struct nv_name *grown = realloc(store->tombs, (store->n_tombs + 1) * sizeof(*grown));

    if (!grown)
        return -ENOMEM;
    store->tombs = grown;
    store->tombs[store->n_tombs++] = (struct nv_name){ .guest = *guest, .seq = seq };
    return 0;
}

/* A walk over packs or arena. */
struct build {
    struct ck_store *store;
    struct flic_err *err;
};

/* Whether a tombstone buries it, be that one readable or not. -ENOMEM. */
static int look_for_tomb(struct ck_store *store, const struct flic_uuid *guest, uint64_t seq, bool *ret_buried)
{
    struct nv_name name = { .guest = *guest, .seq = seq };
    uint8_t stone[CK_TOMBSTONE_SIZE];
    struct flic_id id;

    *ret_buried = buried(store, guest, seq);
    if (*ret_buried || !ck_tomb_among(ck_secret(store), &name, &store->lost_stones, stone, &id))
        return 0;
    *ret_buried = true;
    return add_tomb(store, guest, seq);
}

/* A newer flicd wrote that: to go on without it would bring back what is forgotten, or lose what is not. */
static int newer(const struct flic_err *why, struct flic_err *err)
{
    return flic_err_set(err, FLIC_E_VERSION, "open the store: %s; use the newer flicd", why->text);
}

static int see_tombstone(enum pk_kind kind, const struct flic_id *id, const void *data, size_t len, void *arg)
{
    struct build *build = arg;
    struct flic_err why = { 0 };
    struct flic_uuid guest;
    uint64_t seq;
    int rc;

    if (kind != PK_TOMBSTONE)
        return 0;
    rc = data ? ck_tombstone_parse(data, len, &guest, &seq, &why) : FLIC_E_DAMAGED;
    if (rc == FLIC_E_VERSION)
        return newer(&why, build->err);
    if (rc) {
        build->store->recovery.damaged_roots++;
        return marks_add(&build->store->lost_stones, id, NULL);
    }
    return add_tomb(build->store, &guest, seq);
}

static int see_root(enum pk_kind kind, const struct flic_id *id, const void *data, size_t len, void *arg)
{
    struct build *build = arg;
    struct ck_store *store = build->store;
    struct flic_err why = { 0 };
    struct ck_entry *entry;
    struct ck_facts facts;
    bool is_buried;
    int rc;

    if (kind != PK_ROOT)
        return 0;
    rc = data ? ck_root_parse_flash_facts(data, len, &facts, &why) : FLIC_E_DAMAGED;
    if (rc == FLIC_E_VERSION)
        return newer(&why, build->err);
    if (rc) {
        store->recovery.damaged_roots++;
        return 0;
    }
    rc = look_for_tomb(store, &facts.guest, facts.seq, &is_buried);
    if (rc || is_buried)
        return rc;
    entry = entry_of(store, &facts.guest, facts.seq);
    if (!entry)
        entry = entry_add(store);
    if (!entry)
        return -ENOMEM;
    fill_from_facts(entry, &facts);
    entry->info.places |= IX_FLASH;
    entry->flash_root = *id;
    entry->destaged = true;
    return 0;
}

/* Names are collected first: nothing may be dropped from the arena while it is being walked. */
struct arena_walk {
    struct ck_store *store;
    struct flic_err *err;
    struct to_mend {
        struct nv_name name;
        enum { UNPUBLISHED, BURIED, DESTAGED, LOST_FLASH } why;     /* its tombstone, or its root, is on flash, or no longer is */
    } mend[64];
    size_t n_mend;
    int rc;
};

static uint32_t restore_count(const struct nv_object *obj)
{
    uint32_t count = 0;

    if (obj->restored_note && obj->restored_len >= sizeof(count))
        memcpy(&count, obj->restored_note, sizeof(count));
    return count;
}

/* More than fit are met in the next walk. */
static void add_mend(struct arena_walk *walk, const struct nv_object *obj, int why)
{
    if (walk->n_mend < sizeof(walk->mend) / sizeof(walk->mend[0])) {
        walk->mend[walk->n_mend].name = obj->name;
        walk->mend[walk->n_mend++].why = why;
    }
}

static void note_only(struct arena_walk *walk, const struct nv_object *obj)
{
    struct ck_entry *entry = entry_of(walk->store, &obj->name.guest, obj->name.seq);

    if (entry)
        entry->info.restored = restore_count(obj);
}

static int see_object(const struct nv_object *obj, void *arg)
{
    struct arena_walk *walk = arg;
    struct ck_store *store = walk->store;
    struct ck_facts facts;
    struct ck_parts parts;
    struct flic_err why = { 0 };
    struct ck_entry *entry;
    bool is_buried;
    int rc = look_for_tomb(walk->store, &obj->name.guest, obj->name.seq, &is_buried);

    if (rc)
        return walk->rc = rc;
    is_buried |= obj->forgotten;
    if (is_buried || (obj->present && !obj->published)) {
        add_mend(walk, obj, is_buried ? BURIED : UNPUBLISHED);
        return 0;
    }
    if (!obj->present) {
        note_only(walk, obj);
        return 0;
    }
    rc = ck_root_parse_record(obj->root, obj->root_len, obj->frames, &facts, &parts, &why);
    if (rc == FLIC_E_VERSION)
        return newer(&why, walk->err);
    if (rc || facts.seq != obj->name.seq || !flic_uuid_equal(&facts.guest, &obj->name.guest)) {
        store->recovery.damaged_roots++;
        return 0;
    }
    entry = entry_of(store, &facts.guest, facts.seq);
    if (!entry)
        entry = entry_add(store);
    if (!entry)
        return walk->rc = -ENOMEM;
    fill_from_facts(entry, &facts);
    if (!(entry->info.places & IX_FLASH) != !obj->destaged)
        add_mend(walk, obj, obj->destaged ? LOST_FLASH : DESTAGED);
    entry->info.places |= IX_NVRAM;
    entry->info.restored = restore_count(obj);
    return 0;
}

static void apply_lost_flash(struct ck_entry *entry, const void *arg)
{
    (void)arg;
    entry->info.places &= ~(uint32_t)IX_FLASH;
    entry->destaged = false;
}

/* Its root is on flash and the note is not there: flicd ended between the two, or took the note back because more than the root is
 * needed and not there. */
static int note_destaged(struct ck_store *store, const struct nv_name *name, struct flic_err *err)
{
    struct ck_entry *entry = entry_of(store, &name->guest, name->seq);
    struct ck_damage damage = { .flash = false };
    struct marks whole = { 0 };
    int rc = ck_look_for_damage(store, entry, &whole, &damage, NULL);

    marks_fini(&whole);
    if (rc == -ENOMEM)
        return rc;
    if (!damage.flash)
        return nv_note_add(store->arena, name, NV_NOTE_DESTAGED, NULL, 0, err);
    apply_lost_flash(entry, NULL);
    return 0;
}

static int mend(struct ck_store *store, const struct to_mend *m, struct flic_err *err)
{
    int rc;

    if (m->why == UNPUBLISHED) {
        store->recovery.unpublished_dropped++;
        return nv_drop_unpublished(store->arena, &m->name, err);
    }
    if (m->why == DESTAGED)
        return note_destaged(store, &m->name, err);
    if (m->why == LOST_FLASH)       /* before anything needs room: the frames are all there is of it */
        return nv_note_drop(store->arena, &m->name, NV_NOTE_DESTAGED, err);
    rc = nv_note_add(store->arena, &m->name, NV_NOTE_FORGOTTEN, NULL, 0, err);
    if (!rc)
        rc = nv_note_drop(store->arena, &m->name, NV_NOTE_FORGOTTEN, err);
    return rc ? rc : nv_note_drop(store->arena, &m->name, NV_NOTE_RESTORED, err);
}

static int scan_arena(struct ck_store *store, struct flic_err *err)
{
    struct arena_walk walk = { .store = store, .err = err };
    int rc;

    do {
        walk.n_mend = 0;
        rc = nv_each(store->arena, see_object, &walk);
        for (size_t i = 0; !rc && i < walk.n_mend; i++)
            rc = mend(store, &walk.mend[i], err);
    } while (!rc && walk.n_mend == sizeof(walk.mend) / sizeof(walk.mend[0]));
    return rc == -ENOMEM ? flic_err_set(err, rc, "read the catalog: out of memory") : rc;
}

static int mirror_pack(const struct pk_pack_info *pack, void *arg)
{
    return ix_put_pack(arg, pack->number, pack->bytes, pack->objects, pack->run, pack->run_len, NULL);
}

/* Recovery meets flash before NVRAM: within the places that a guest's entries have, they are put in the order of their numbers. */
static void order_by_number(struct ck_store *store)
{
    for (size_t i = 0; i < store->n_entries; i++) {
        for (size_t k = i + 1; k < store->n_entries; k++) {
            struct ck_entry *a = &store->entries[i], *b = &store->entries[k], t;

            if (a->info.seq <= b->info.seq || !flic_uuid_equal(&a->info.guest, &b->info.guest))
                continue;
            t = *a;
            *a = *b;
            *b = t;
        }
    }
}

/* The catalog is copied once nobody else can write to the index: whoever adds to it after that waits to write its row. */
static int mirror_entries(struct ck_store *store, struct flic_err *err)
{
    struct ck_entry *entries;
    size_t n;
    int rc = ck_list(store, &entries, &n, err);

    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < n; i++)
        rc = ix_put_checkpoint(store->index, &entries[i].info, err);
    free(entries);
    return rc ? rc : ck_unseen_mirror(store, err);
}

int ck_mirror_all(struct ck_store *store, struct flic_err *err)
{
    uint32_t from = 0;
    int rc = ix_begin_sync(store->index, err);

    if (rc)
        return rc;
    rc = pk_each_pack(store->packs, &from, mirror_pack, store->index);
    if (!rc)
        rc = mirror_entries(store, err);
    if (rc) {
        (void)ix_end_sync(store->index, false, NULL);   /* the first error is the one to tell */
        return flic_err_set(err, rc, "bring the index in line with the packs: %s", flic_code_text(rc));
    }
    (void)pthread_mutex_lock(&store->lock);
    store->mirrored = from;
    (void)pthread_mutex_unlock(&store->lock);
    return ix_end_sync(store->index, true, err);
}

/* Those from `first` on were found by the ids of tombstones that cannot be read, and the next start may not have these. */
static void bury_again(struct ck_store *store, size_t first)
{
    struct flic_err why = { 0 };

    for (size_t i = first; i < store->n_tombs; i++)
        if (ck_bury(store, &store->tombs[i], &why))
            flic_warn("the tombstone of a forgotten checkpoint is damaged and was not written again: %s; the next start of flicd tries it", why.text);
}

int ck_catalog_read_flash(struct ck_store *store, struct flic_err *err)
{
    struct build build = { .store = store, .err = err };
    struct pk_stats packs;
    int rc = pk_each_root(store->packs, see_tombstone, &build, err);

    store->n_tombs_read = store->n_tombs;
    pk_get_stats(store->packs, &packs);
    if (!rc && packs.quarantined)
        rc = ck_tombs_of_missing_packs(store, &store->lost_stones, err);
    if (!rc)
        rc = pk_each_root(store->packs, see_root, &build, err);
    store->recovery.packs_quarantined = packs.quarantined;
    store->recovery.packs_unread = packs.unread;
    store->recovery.packs_unfinished = packs.unfinished;
    store->recovery.roots_unread = store->recovery.damaged_roots;
    return rc;
}

int ck_catalog_build(struct ck_store *store, struct flic_err *err)
{
    struct nv_info arena;
    int rc = scan_arena(store, err);

    marks_fini(&store->lost_stones);
    order_by_number(store);
    if (!rc)
        bury_again(store, store->n_tombs_read);
    if (!rc)
        rc = ck_unseen_find(store, err);
    if (!rc)
        rc = ck_mirror_all(store, err);
    nv_get_info(store->arena, &arena);
    store->recovery.checkpoints = (uint32_t)store->n_entries;
    store->recovery.tombstones = (uint32_t)store->n_tombs;
    store->recovery.unseen = (uint32_t)store->n_unseen;
    store->recovery.arena_damaged = arena.damaged;
    return rc;
}

/* ---- asking ---- */

int ck_find_exact(struct ck_store *store, const struct flic_uuid *guest, uint64_t seq, struct ck_entry *ret_entry,
                  struct flic_err *err)
{
    char text[FLIC_UUID_TEXT];
    struct ck_entry *entry;

    (void)pthread_mutex_lock(&store->lock);
    entry = entry_of(store, guest, seq);
    if (entry)
        *ret_entry = *entry;
    (void)pthread_mutex_unlock(&store->lock);
    if (entry)
        return 0;
    flic_uuid_text(guest, text);
    return flic_err_set(err, FLIC_E_NOCHECKPOINT, "there is no checkpoint %s@%llu: 'flic list' shows what there is",
                        text, (unsigned long long)seq);
}

bool ck_find_again(struct ck_store *store, struct ck_entry *entry, bool *ret_changed)
{
    struct ck_entry now;
    bool there = !ck_find_exact(store, &entry->info.guest, entry->info.seq, &now, NULL);

    if (ret_changed)
        *ret_changed = there && (now.info.places & IX_FLASH) != (entry->info.places & IX_FLASH);
    if (there && ret_changed)
        *ret_changed |= !flic_id_equal(&now.flash_root, &entry->flash_root);
    if (there)
        *entry = now;
    return there;
}

bool ck_was_forgotten(struct ck_store *store, const struct flic_uuid *guest, uint64_t seq)
{
    bool forgotten;

    (void)pthread_mutex_lock(&store->lock);
    forgotten = buried(store, guest, seq);
    (void)pthread_mutex_unlock(&store->lock);
    return forgotten;
}

static bool named(const struct ck_entry *entry, const char *name, const struct flic_uuid *uuid)
{
    return uuid ? flic_uuid_equal(&entry->info.guest, uuid) : !strcmp(entry->info.name, name);
}

/* The newest that fits, by number: the host's clock may go back. *ret_other is another guest's of the same name, or NULL. */
static const struct ck_entry *newest(const struct ck_store *store, const char *name, const struct flic_uuid *uuid,
                                     uint64_t seq, const struct ck_entry **ret_other)
{
    const struct ck_entry *best = NULL;

    *ret_other = NULL;
    for (size_t i = 0; i < store->n_entries; i++) {
        const struct ck_entry *e = &store->entries[i];

        if (!named(e, name, uuid) || (seq && e->info.seq != seq))
            continue;
        if (best && !flic_uuid_equal(&best->info.guest, &e->info.guest))
            *ret_other = e;
        else if (!best || e->info.seq > best->info.seq)
            best = e;
    }
    return best;
}

int ck_find(struct ck_store *store, const char *name, uint64_t seq, struct ck_entry *ret_entry, struct flic_err *err)
{
    char one[FLIC_UUID_TEXT], two[FLIC_UUID_TEXT];
    const struct ck_entry *best, *other;
    struct flic_uuid uuid;
    bool is_uuid = flic_uuid_parse(name, &uuid), found, several;

    (void)pthread_mutex_lock(&store->lock);
    best = newest(store, name, is_uuid ? &uuid : NULL, seq, &other);
    found = best != NULL;
    several = other != NULL;
    if (several) {
        flic_uuid_text(&best->info.guest, one);
        flic_uuid_text(&other->info.guest, two);
    } else if (found) {
        *ret_entry = *best;
    }
    (void)pthread_mutex_unlock(&store->lock);
    if (!found && seq)
        return flic_err_set(err, FLIC_E_NOCHECKPOINT, "guest '%s' has no checkpoint number %llu: 'flic list %s' shows its own",
                            name, (unsigned long long)seq, name);
    if (!found)
        return flic_err_set(err, FLIC_E_NOCHECKPOINT, "no checkpoint of a guest '%s': 'flic list' shows what there is", name);
    if (several)
        return flic_err_set(err, FLIC_E_REFUSED, "more than one guest was called '%s': name it by uuid, %s or %s ('flic list' "
                            "shows all)", name, one, two);
    return 0;
}

/* A destaged object is only a cache there, and is given up when room is needed. */
static bool still_in_arena(struct ck_store *store, const struct ck_entry *entry)
{
    struct nv_name name = { .guest = entry->info.guest, .seq = entry->info.seq };
    struct nv_object obj;

    if (!nv_pin(store->arena, &name, &obj))
        return false;
    nv_unpin(store->arena, &name);
    return true;
}

int ck_list(struct ck_store *store, struct ck_entry **ret_entries, size_t *ret_n, struct flic_err *err)
{
    struct ck_entry *copy;
    size_t n;

    (void)pthread_mutex_lock(&store->lock);
    n = store->n_entries;
    copy = calloc(n ? n : 1, sizeof(*copy));
    for (size_t i = 0; copy && i < n; i++)
        copy[i] = store->entries[n - 1 - i];
    (void)pthread_mutex_unlock(&store->lock);
    if (!copy)
        return flic_err_set(err, -ENOMEM, "list checkpoints: out of memory");
    for (size_t i = 0; i < n; i++)
        if (!still_in_arena(store, &copy[i]))
            copy[i].info.places &= ~(uint32_t)IX_NVRAM;
    *ret_entries = copy;
    *ret_n = n;
    return 0;
}

/* ---- changing, after the durable fact ---- */

int ck_next_seq(struct ck_store *store, const struct flic_uuid *guest, uint64_t *ret_seq, struct flic_err *err)
{
    struct flic_err why = { 0 };
    uint64_t above = 1;
    int rc;

    (void)pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < store->n_entries; i++)
        if (flic_uuid_equal(&store->entries[i].info.guest, guest) && store->entries[i].info.seq >= above)
            above = store->entries[i].info.seq + 1;
    for (size_t i = 0; i < store->n_tombs; i++)
        if (flic_uuid_equal(&store->tombs[i].guest, guest) && store->tombs[i].seq >= above)
            above = store->tombs[i].seq + 1;
    (void)pthread_mutex_unlock(&store->lock);
    ck_work_begin(store);
    rc = ix_next_seq(store->index, guest, above, ret_seq, &why);
    ck_work_end(store);
    if (rc == FLIC_E_DAMAGED)
        return flic_err_set(err, rc, "%s: 'flic fsck --rebuild' makes the index anew from what is stored; only its journal is lost", why.text);
    return rc ? flic_err_set(err, rc, "%s", why.text) : 0;
}

int ck_reserve(struct ck_store *store, struct flic_err *err)
{
    struct ck_entry *grown;
    int rc = 0;

    (void)pthread_mutex_lock(&store->lock);
    if (store->n_entries + store->reserved == store->room) {
        grown = realloc(store->entries, (store->room + 64) * sizeof(*grown));
        if (grown) {
            store->entries = grown;
            store->room += 64;
        } else {
            rc = flic_err_set(err, -ENOMEM, "add to the catalog: out of memory");
        }
    }
    if (!rc)
        store->reserved++;
    (void)pthread_mutex_unlock(&store->lock);
    return rc;
}

void ck_unreserve(struct ck_store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    store->reserved--;
    (void)pthread_mutex_unlock(&store->lock);
}

/* The index is derived: that a row was not written costs an answer at most, until the next start. */
static void mirror_row(struct ck_store *store, const struct ck_entry *entry)
{
    struct flic_err err = { 0 };

    ck_work_begin(store);
    if (ix_put_checkpoint(store->index, &entry->info, &err))
        flic_warn("checkpoint %s@%llu is not in the index: %s; the next start of flicd puts it there", entry->info.name,
                  (unsigned long long)entry->info.seq, err.text);
    ck_work_end(store);
}

void ck_add(struct ck_store *store, const struct ck_entry *entry)
{
    (void)pthread_mutex_lock(&store->lock);
    store->reserved--;
    store->entries[store->n_entries++] = *entry;
    (void)pthread_mutex_unlock(&store->lock);
    mirror_row(store, entry);
}

/* Applies one change to an entry and to its row in the index. */
static void change(struct ck_store *store, const struct nv_name *name, void (*apply)(struct ck_entry *, const void *),
                   const void *arg)
{
    struct ck_entry *entry, copy;

    (void)pthread_mutex_lock(&store->lock);
    entry = entry_of(store, &name->guest, name->seq);
    if (entry) {
        apply(entry, arg);
        copy = *entry;
    }
    (void)pthread_mutex_unlock(&store->lock);
    if (entry)
        mirror_row(store, &copy);
}

static void apply_flash(struct ck_entry *entry, const void *arg)
{
    entry->flash_root = *(const struct flic_id *)arg;
    entry->info.places |= IX_FLASH;
    entry->destaged = true;
}

static void apply_restore(struct ck_entry *entry, const void *arg)
{
    (void)arg;
    entry->info.restored++;
}

void ck_mirror_packs(struct ck_store *store)
{
    uint32_t from;
    int rc;

    (void)pthread_mutex_lock(&store->lock);
    from = store->mirrored;
    (void)pthread_mutex_unlock(&store->lock);
    ck_work_begin(store);
    rc = pk_each_pack(store->packs, &from, mirror_pack, store->index);
    ck_work_end(store);
    if (rc)
        flic_warn("new packs are not in the index: %s; the next start of flicd puts them there", flic_code_text(rc));
    (void)pthread_mutex_lock(&store->lock);
    if (from > store->mirrored)
        store->mirrored = from;
    (void)pthread_mutex_unlock(&store->lock);
}

void ck_moved_to_flash(struct ck_store *store, const struct nv_name *name, const struct flic_id *root)
{
    ck_mirror_packs(store);
    change(store, name, apply_flash, root);
}

static void apply_damage(struct ck_entry *entry, const void *arg)
{
    const struct ck_damage *damage = arg;

    entry->damaged = damage->root || damage->pages;
    entry->lost_leaf = damage->root || damage->leaf;
    entry->lost_pages = damage->root ? 0 : damage->pages;
    entry->lost_gfn = damage->first_gfn;
}

void ck_set_damage(struct ck_store *store, const struct nv_name *name, const struct ck_damage *damage)
{
    struct ck_entry *entry;

    (void)pthread_mutex_lock(&store->lock);
    entry = entry_of(store, &name->guest, name->seq);
    if (entry)
        apply_damage(entry, damage);
    (void)pthread_mutex_unlock(&store->lock);
}

/* The note goes first: a cut in between leaves what a start mends. One that NVRAM gave up meanwhile has its flash form alone. */
void ck_lost_flash(struct ck_store *store, const struct nv_name *name)
{
    struct flic_err err = { 0 };
    int rc = nv_note_drop(store->arena, name, NV_NOTE_DESTAGED, &err);

    if (!rc)
        change(store, name, apply_lost_flash, NULL);
    else if (rc != FLIC_E_NOCHECKPOINT)
        flic_warn("checkpoint number %llu is damaged on flash and is not moved there again: %s", (unsigned long long)name->seq, err.text);
}

void ck_damage_text(const struct ck_entry *entry, char out[CK_DAMAGE_TEXT])
{
    if (entry->lost_pages)
        (void)snprintf(out, CK_DAMAGE_TEXT, "%llu of its pages are lost, the first at gfn 0x%llx", (unsigned long long)entry->lost_pages,
                       (unsigned long long)entry->lost_gfn);
    else
        (void)snprintf(out, CK_DAMAGE_TEXT, "its root is lost");
}

void ck_count_restore(struct ck_store *store, const struct nv_name *name)
{
    change(store, name, apply_restore, NULL);
}

void ck_cannot_move(struct ck_store *store, const struct nv_name *name, uint64_t until_us)
{
    struct ck_entry *entry;

    (void)pthread_mutex_lock(&store->lock);
    entry = entry_of(store, &name->guest, name->seq);
    if (entry)
        entry->stuck_until_us = until_us;
    (void)pthread_mutex_unlock(&store->lock);
}

int ck_catalog_remove(struct ck_store *store, const struct nv_name *name, struct flic_err *err)
{
    struct flic_err why = { 0 };
    struct ck_entry *entry;
    int rc;

    (void)pthread_mutex_lock(&store->lock);
    rc = add_tomb(store, &name->guest, name->seq);
    entry = rc ? NULL : entry_of(store, &name->guest, name->seq);
    if (entry) {
        memmove(entry, entry + 1, (size_t)(store->entries + store->n_entries - entry - 1) * sizeof(*entry));
        store->n_entries--;
    }
    (void)pthread_mutex_unlock(&store->lock);
    if (rc)
        return flic_err_set(err, rc, "forget: out of memory");
    ck_work_begin(store);
    if (ix_drop_checkpoint(store->index, &name->guest, name->seq, &why))
        flic_warn("a forgotten checkpoint is still in the index: %s; the next start of flicd drops it", why.text);
    ck_work_end(store);
    return 0;
}

bool ck_catalog_has(struct ck_store *store, const struct nv_name *name)
{
    return entry_of(store, &name->guest, name->seq) != NULL;
}
