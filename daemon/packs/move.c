/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Moving what is in use from one pack to a writer's, so that the rest can be given back. */
#include "daemon/packs/writer.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pk_moving {
    struct pk_store *store;
    bool (*used)(const struct flic_id *id, void *arg);
    void (*lost)(const struct flic_id *id, enum pk_kind kind, void *arg);
    void *arg;
    struct pk_file file;
    struct pk_footer footer;        /* entries in the order of their places */
    uint32_t at;
    struct pk_move_stats stats;
};

void pk_leave(struct pk_store *store, const struct pk_use *uses, size_t n, bool leaving)
{
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < n; i++)
        if (store->packs[uses[i].slot])
            store->packs[uses[i].slot]->leaving = leaving;
    pthread_mutex_unlock(&store->lock);
}

static bool file_of(struct pk_store *store, uint32_t slot, struct pk_file *ret_file)
{
    const struct pk_pack *pack;

    pthread_mutex_lock(&store->lock);
    pack = store->packs[slot];
    if (pack)
        *ret_file = pk_sealed_file(store, pack);
    pthread_mutex_unlock(&store->lock);
    return pack;
}

/* Where the table stands in for the footer: each object says what its id is, and that has to agree with what the table has. One that cannot be
 * read keeps the part that is known, under which nothing is found. */
static int complete_ids(struct pk_moving *m, struct flic_err *err)
{
    for (uint32_t i = 0; i < m->footer.trailer.entries; i++) {
        struct pk_disk_entry *e = &m->footer.entries[i];
        struct flic_id part = pk_entry_id(e), id;
        struct pk_slot known = pk_slot_of(&part, 0), found;
        struct pk_object object;
        struct pk_frame *frame;
        int rc = pk_frame_get(&m->store->cache, &m->file, le32toh(e->offset), &frame, NULL);

        if (rc == -ENOMEM)
            return flic_err_set(err, rc, "move an object: out of memory");
        if (rc)
            continue;
        object.data = pk_frame_object(frame, le16toh(e->index), &object.len, &object.kind);
        if (object.data) {
            id = flic_id_of(m->store->secret, pk_slot_try(&known), object.data, object.len);
            found = pk_slot_of(&id, 0);
            if (found.tag == known.tag && found.where == known.where) {
                memcpy(e->id, id.b, sizeof(e->id));
                e->kind = (uint8_t)object.kind;
            }
        }
        pk_frame_put(&m->store->cache, frame);
    }
    return 0;
}

int pk_move_begin(struct pk_store *store, const struct pk_use *use, bool (*used)(const struct flic_id *id, void *arg), void *arg,
                  struct pk_moving **ret_moving, struct flic_err *err)
{
    struct pk_moving *m = calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return flic_err_set(err, -ENOMEM, "move pack %08x: out of memory", use->number);
    *m = (struct pk_moving){ .store = store, .used = used, .arg = arg };
    rc = pk_know_footer(store, use, &m->footer, err);
    if (rc) {
        free(m);
        return rc;
    }
    qsort(m->footer.entries, m->footer.trailer.entries, sizeof(*m->footer.entries), pk_place_order);
    if (!file_of(store, use->slot, &m->file))
        rc = flic_err_set(err, -ENOENT, "pack %08x is gone", use->number);
    else if (m->footer.from_table)
        rc = complete_ids(m, err);
    if (rc) {
        pk_move_end(m);
        return rc;
    }
    *ret_moving = m;
    return 0;
}

void pk_move_end(struct pk_moving *moving)
{
    if (!moving)
        return;
    free(moving->footer.entries);
    free(moving);
}

void pk_move_tell_lost(struct pk_moving *moving, void (*lost)(const struct flic_id *id, enum pk_kind kind, void *arg))
{
    moving->lost = lost;
}

void pk_move_stats(const struct pk_moving *moving, struct pk_move_stats *ret_stats)
{
    *ret_stats = moving->stats;
}

/* What cannot be read here may be whole elsewhere, outside of packs that are leaving; else it is lost, and told. */
static int move_lost(struct pk_writer *w, struct pk_moving *m, const struct pk_disk_entry *e, struct flic_err *err)
{
    struct flic_id id = pk_entry_id(e);
    bool elsewhere;
    int rc = pk_has_whole(w, &id, &elsewhere, err);

    if (rc || elsewhere)
        return rc;
    m->stats.lost++;
    if (m->lost)
        m->lost(&id, (enum pk_kind)e->kind, m->arg);
    return 0;
}

static int move_one(struct pk_writer *w, struct pk_moving *m, const struct pk_disk_entry *e, struct flic_err *err)
{
    struct flic_id id = pk_entry_id(e);
    struct pk_object object;
    struct pk_frame *frame;
    bool is_new = false;
    int rc;

    if (!m->used(&id, m->arg))
        return 0;
    rc = pk_frame_get(&m->store->cache, &m->file, le32toh(e->offset), &frame, NULL);
    if (rc == -ENOMEM)
        return flic_err_set(err, rc, "move an object: out of memory");
    if (rc)
        return move_lost(w, m, e, err);
    object.data = pk_frame_object(frame, le16toh(e->index), &object.len, &object.kind);
    if (!object.data || !flic_id_matches(m->store->secret, &id, object.data, object.len))
        rc = move_lost(w, m, e, err);
    else
        rc = pk_put_again(w, &id, &object, &is_new, err);
    m->stats.moved += is_new;
    m->stats.moved_bytes += is_new ? object.len : 0;
    pk_frame_put(&m->store->cache, frame);
    return rc;
}

int pk_move_some(struct pk_writer *w, struct pk_moving *m, uint32_t n, bool *ret_done, struct flic_err *err)
{
    int rc = 0;

    for (; !rc && n && m->at < m->footer.trailer.entries; n--)
        rc = move_one(w, m, &m->footer.entries[m->at++], err);
    *ret_done = m->at == m->footer.trailer.entries;
    return rc;
}
