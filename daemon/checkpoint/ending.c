/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/ending.h"

#include "daemon/checkpoint/damage.h"

#include <string.h>

int ck_reserve_frames(struct ck_store *store, uint32_t fixed, uint64_t *pages, struct nv_txn **ret_txn, struct flic_err *err)
{
    int rc;

    while ((rc = nv_txn_begin(ck_arena(store), fixed + (uint32_t)*pages, ret_txn, err)) == FLIC_E_NOSPACE && *pages)
        *pages = *pages > 256 ? *pages / 2 : 0;
    if (!rc && err)
        *err = (struct flic_err){ 0 };      /* a try that was too large is no error */
    return rc;
}

static struct ck_part put_part(struct nv_txn *txn, uint32_t *next, const void *data, size_t len)
{
    struct ck_part part = { .frame = *next, .len = len, .checksum = flic_checksum(data, len) };

    *next += nv_txn_put_bytes(txn, *next, data, len);
    return part;
}

void ck_put_parts(struct nv_txn *txn, const struct ck_contents *c, uint32_t *next, struct ck_parts *ret_parts)
{
    ret_parts->state = put_part(txn, next, c->state, c->state_len);
    ret_parts->config = put_part(txn, next, c->config, c->config_len);
    ret_parts->leaves = put_part(txn, next, c->leaves, c->n_leaves * sizeof(*c->leaves));
    ret_parts->delta = put_part(txn, next, c->delta, c->n_delta * CK_DELTA_ENTRY);
}

/* verify judges those that it finds in the catalog after it set a pack aside: for one that comes later this is done here. */
static void mark_if_damaged(struct ck_store *store, const struct ck_entry *entry)
{
    struct nv_name name = { .guest = entry->info.guest, .seq = entry->info.seq };
    struct marks whole = { 0 };
    struct ck_damage damage;

    if (!ck_look_for_damage(store, entry, &whole, &damage, NULL))
        ck_set_damage(store, &name, &damage);
    marks_fini(&whole);
}

int ck_publish(struct ck_store *store, const struct ck_facts *facts, uint64_t losses, const char *disks, size_t len, struct flic_err *err)
{
    struct nv_name name = { .guest = facts->guest, .seq = facts->seq };
    struct ck_entry entry = { .id = facts->id };
    int rc;

    if (len > CK_DISKS_MAX)
        return flic_err_set(err, FLIC_E_REFUSED, "its list of disks takes %zu bytes, and %u can be recorded: give it fewer disks or shorter paths, "
                            "or save it with --ram-only", len, CK_DISKS_MAX);
    rc = nv_note_add(ck_arena(store), &name, NV_NOTE_PUBLISHED, disks, len, err);
    if (rc)
        return rc;
    entry.info = (struct ix_checkpoint){
        .guest = facts->guest, .seq = facts->seq, .taken_ns = facts->taken_ns, .ram_bytes = facts->pages * FLIC_PAGE_SIZE,
        .working_set_bytes = facts->ws_pages * FLIC_PAGE_SIZE, .places = IX_NVRAM,
    };
    memcpy(entry.info.name, facts->name, sizeof(entry.info.name));
    memcpy(entry.info.arch, facts->arch, sizeof(entry.info.arch));
    ck_add(store, &entry);
    if (pk_losses(ck_packs(store)) != losses)
        mark_if_damaged(store, &entry);
    return 0;
}
