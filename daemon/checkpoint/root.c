/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/root.h"

#include "common/bytes.h"
#include "libxl-ext/flx.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_MAGIC 0x31524b43u    /* "CKR1" */
#define FLASH_MAGIC 0x31464b43u     /* "CKF1" */
#define TOMB_MAGIC 0x31544b43u      /* "CKT1" */
#define FORM_VERSION 1u

void ck_root_init(struct ck_root *root)
{
    *root = (struct ck_root){ 0 };
}

void ck_root_fini(struct ck_root *root)
{
    free(root->state);
    free(root->config);
    free(root->disks);
    free(root->leaves);
    free(root->delta);
    ck_root_init(root);
}

/* ---- facts, common to both forms ---- */

static void put_facts(struct flic_builder *b, const struct ck_facts *f)
{
    flic_put_bytes(b, f->guest.b, sizeof(f->guest.b));
    flic_put_bytes(b, f->id.b, sizeof(f->id.b));
    flic_put_bytes(b, f->store.b, sizeof(f->store.b));
    flic_put_u64(b, f->seq);
    flic_put_u64(b, f->taken_ns);
    flic_put_u64(b, f->gfn_end);
    flic_put_u64(b, f->pages);
    flic_put_u64(b, f->ws_pages);
    flic_put_bytes(b, f->name, sizeof(f->name));
    flic_put_bytes(b, f->arch, sizeof(f->arch));
}

static void get_fixed(struct flic_reader *r, void *out, size_t len)
{
    const void *at = flic_get_bytes(r, len);

    if (at)
        memcpy(out, at, len);
}

static void get_facts(struct flic_reader *r, struct ck_facts *f)
{
    get_fixed(r, f->guest.b, sizeof(f->guest.b));
    get_fixed(r, f->id.b, sizeof(f->id.b));
    get_fixed(r, f->store.b, sizeof(f->store.b));
    f->seq = flic_get_u64(r);
    f->taken_ns = flic_get_u64(r);
    f->gfn_end = flic_get_u64(r);
    f->pages = flic_get_u64(r);
    f->ws_pages = flic_get_u64(r);
    get_fixed(r, f->name, sizeof(f->name));
    get_fixed(r, f->arch, sizeof(f->arch));
    if (f->name[sizeof(f->name) - 1] || f->arch[sizeof(f->arch) - 1] || !f->seq ||
        f->gfn_end > CK_GFN_END_MAX || f->pages > f->gfn_end || f->ws_pages > f->gfn_end)
        r->bad = true;
}

static int begin_form(struct flic_reader *r, uint32_t magic, struct flic_err *err)
{
    uint32_t got_magic = flic_get_u32(r), version = flic_get_u32(r);

    if (r->bad || got_magic != magic)
        return flic_err_set(err, FLIC_E_DAMAGED, "checkpoint root: wrong magic");
    if (version != FORM_VERSION)
        return flic_err_set(err, FLIC_E_VERSION, "checkpoint root has format version %u, this build knows %u",
                            version, FORM_VERSION);
    return 0;
}

static int finish_build(struct flic_builder *b, void **ret_data, size_t *ret_len)
{
    void *data = flic_builder_take(b, ret_len);

    if (!data)
        return -ENOMEM;
    *ret_data = data;
    return 0;
}

/* ---- arena form ---- */

static uint32_t frames_for(uint64_t len)
{
    return (uint32_t)((len + FLIC_PAGE_SIZE - 1) / FLIC_PAGE_SIZE);
}

uint32_t ck_root_frames(const struct ck_root *root, size_t n_delta)
{
    return frames_for(root->state_len) + frames_for(root->config_len) +
           frames_for(root->n_leaves * sizeof(struct flic_id)) + frames_for((uint64_t)n_delta * CK_DELTA_ENTRY);
}

static void put_part(struct flic_builder *b, const struct ck_part *part)
{
    flic_put_u32(b, part->frame);
    flic_put_u64(b, part->len);
    flic_put_u64(b, part->checksum);
}

static void get_part(struct flic_reader *r, uint32_t frames, uint64_t max, struct ck_part *part)
{
    part->frame = flic_get_u32(r);
    part->len = flic_get_u64(r);
    part->checksum = flic_get_u64(r);
    if (part->len > max || part->frame > frames || frames_for(part->len) > frames - part->frame)
        r->bad = true;
}

int ck_root_encode_record(const struct ck_facts *facts, const struct ck_parts *parts, void **ret_data, size_t *ret_len)
{
    struct flic_builder b;

    flic_builder_init(&b);
    flic_put_u32(&b, RECORD_MAGIC);
    flic_put_u32(&b, FORM_VERSION);
    put_facts(&b, facts);
    put_part(&b, &parts->state);
    put_part(&b, &parts->config);
    put_part(&b, &parts->leaves);
    put_part(&b, &parts->delta);
    return finish_build(&b, ret_data, ret_len);
}

int ck_root_parse_record(const void *data, size_t len, uint32_t frames, struct ck_facts *ret_facts,
                         struct ck_parts *ret_parts, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(data, len);
    struct ck_facts facts = { 0 };
    struct ck_parts parts = { 0 };
    int rc = begin_form(&r, RECORD_MAGIC, err);

    if (rc)
        return rc;
    get_facts(&r, &facts);
    get_part(&r, frames, FLX_STATE_MAX, &parts.state);
    get_part(&r, frames, CK_CONFIG_MAX, &parts.config);
    get_part(&r, frames, CK_GFN_END_MAX / CK_LEAF_PAGES * sizeof(struct flic_id), &parts.leaves);
    get_part(&r, frames, (uint64_t)CK_GFN_END_MAX * CK_DELTA_ENTRY, &parts.delta);
    if (r.bad || parts.leaves.len != ck_leaf_count(facts.gfn_end) * sizeof(struct flic_id) ||
        parts.delta.len % CK_DELTA_ENTRY)
        return flic_err_set(err, FLIC_E_DAMAGED, "checkpoint root in NVRAM: its parts do not fit together");
    *ret_facts = facts;
    *ret_parts = parts;
    return 0;
}

void ck_delta_put(uint8_t out[CK_DELTA_ENTRY], const struct ck_delta *entry)
{
    uint64_t gfn = htole64(entry->gfn);
    uint32_t frame = htole32(entry->frame);

    memcpy(out, &gfn, sizeof(gfn));
    memcpy(out + 8, &frame, sizeof(frame));
    memcpy(out + 12, entry->id.b, sizeof(entry->id.b));
}

static bool delta_entry_ok(const struct ck_delta *e, const struct ck_delta *before, const struct ck_facts *facts,
                           uint32_t frames)
{
    bool stored = !flic_id_equal(&e->id, &FLIC_ID_ZERO) && !flic_id_equal(&e->id, &FLIC_ID_HOLE);

    if (e->gfn >= facts->gfn_end || (before && before->gfn >= e->gfn))
        return false;
    return e->frame == CK_NO_FRAME || (stored && e->frame < frames);
}

int ck_delta_parse(const void *data, size_t len, const struct ck_facts *facts, uint32_t frames,
                   struct ck_delta **ret_delta, size_t *ret_n, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(data, len);
    size_t n = len / CK_DELTA_ENTRY;
    struct ck_delta *delta = calloc(n ? n : 1, sizeof(*delta));

    if (!delta)
        return flic_err_set(err, -ENOMEM, "page delta: out of memory");
    for (size_t i = 0; i < n; i++) {
        delta[i].gfn = flic_get_u64(&r);
        delta[i].frame = flic_get_u32(&r);
        get_fixed(&r, delta[i].id.b, sizeof(delta[i].id.b));
        if (r.bad || !delta_entry_ok(&delta[i], i ? &delta[i - 1] : NULL, facts, frames)) {
            free(delta);
            return flic_err_set(err, FLIC_E_DAMAGED, "page delta: entry %zu is impossible", i);
        }
    }
    *ret_delta = delta;
    *ret_n = n;
    return 0;
}

/* ---- flash form ---- */

int ck_root_encode_flash(const struct ck_root *root, void **ret_data, size_t *ret_len)
{
    struct flic_builder b;

    flic_builder_init(&b);
    flic_put_u32(&b, FLASH_MAGIC);
    flic_put_u32(&b, FORM_VERSION);
    put_facts(&b, &root->facts);
    flic_put_blob(&b, root->state, (uint32_t)root->state_len);
    flic_put_blob(&b, root->config, (uint32_t)root->config_len);
    flic_put_blob(&b, root->disks, (uint32_t)root->disks_len);
    flic_put_blob(&b, root->leaves, (uint32_t)(root->n_leaves * sizeof(struct flic_id)));
    return finish_build(&b, ret_data, ret_len);
}

int ck_root_parse_flash_facts(const void *data, size_t len, struct ck_facts *ret_facts, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(data, len);
    struct ck_facts facts = { 0 };
    int rc = begin_form(&r, FLASH_MAGIC, err);

    if (rc)
        return rc;
    get_facts(&r, &facts);
    if (r.bad)
        return flic_err_set(err, FLIC_E_DAMAGED, "checkpoint root on flash is cut short or impossible");
    *ret_facts = facts;
    return 0;
}

/* A copy of the next blob with a NUL behind it: gives, or NULL and r->bad. */
static void *get_owned(struct flic_reader *r, size_t max, size_t *ret_len)
{
    const void *at = flic_get_blob(r, max, ret_len);
    char *copy = at ? malloc(*ret_len + 1) : NULL;

    if (!copy) {
        r->bad = true;
        return NULL;
    }
    memcpy(copy, at, *ret_len);
    copy[*ret_len] = '\0';
    return copy;
}

int ck_root_parse_flash(const void *data, size_t len, struct ck_root *ret_root, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(data, len);
    struct ck_root root;
    size_t leaf_bytes = 0;
    int rc = begin_form(&r, FLASH_MAGIC, err);

    if (rc)
        return rc;
    ck_root_init(&root);
    get_facts(&r, &root.facts);
    root.state = get_owned(&r, FLX_STATE_MAX, &root.state_len);
    root.config = get_owned(&r, CK_CONFIG_MAX, &root.config_len);
    root.disks = get_owned(&r, CK_DISKS_MAX, &root.disks_len);
    root.leaves = get_owned(&r, CK_GFN_END_MAX / CK_LEAF_PAGES * sizeof(struct flic_id), &leaf_bytes);
    root.n_leaves = leaf_bytes / sizeof(struct flic_id);
    if (r.bad || r.left || leaf_bytes % sizeof(struct flic_id) || root.n_leaves != ck_leaf_count(root.facts.gfn_end)) {
        ck_root_fini(&root);
        return flic_err_set(err, FLIC_E_DAMAGED, "checkpoint root on flash: its parts do not fit together");
    }
    *ret_root = root;
    return 0;
}

/* ---- tombstones and references ---- */

/* Both are fixed-size and end in the checksum of what stands before. */
static void put_le(uint8_t **at, uint64_t v, size_t len)
{
    v = htole64(v);
    memcpy(*at, &v, len);
    *at += len;
}

static void put_uuid(uint8_t **at, const struct flic_uuid *uuid)
{
    memcpy(*at, uuid->b, sizeof(uuid->b));
    *at += sizeof(uuid->b);
}

static void seal(uint8_t *out, size_t size)
{
    uint8_t *at = out + size - 8;

    put_le(&at, flic_checksum(out, size - 8), 8);
}

static bool sealed(const void *data, size_t size)
{
    struct flic_reader r = flic_reader_of((const uint8_t *)data + size - 8, 8);

    return flic_get_u64(&r) == flic_checksum(data, size - 8);
}

void ck_tombstone_encode(const struct flic_uuid *guest, uint64_t seq, uint8_t out[CK_TOMBSTONE_SIZE])
{
    uint8_t *at = out;

    memset(out, 0, CK_TOMBSTONE_SIZE);
    put_le(&at, TOMB_MAGIC, 4);
    put_le(&at, FORM_VERSION, 4);
    put_uuid(&at, guest);
    put_le(&at, seq, 8);
    seal(out, CK_TOMBSTONE_SIZE);
}

int ck_tombstone_parse(const void *data, size_t len, struct flic_uuid *ret_guest, uint64_t *ret_seq, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(data, len);
    int rc = begin_form(&r, TOMB_MAGIC, err);

    if (rc)
        return rc;
    if (len != CK_TOMBSTONE_SIZE || !sealed(data, len))
        return flic_err_set(err, FLIC_E_DAMAGED, "a tombstone is damaged");
    get_fixed(&r, ret_guest->b, sizeof(ret_guest->b));
    *ret_seq = flic_get_u64(&r);
    return 0;
}

static const char reference_magic[8] = { 'F', 'L', 'I', 'C', 'R', 'E', 'F', '1' };

void ck_reference_encode(const struct ck_facts *facts, uint8_t out[CK_REFERENCE_SIZE])
{
    uint8_t *at = out + sizeof(reference_magic);

    memset(out, 0, CK_REFERENCE_SIZE);
    memcpy(out, reference_magic, sizeof(reference_magic));
    put_le(&at, FORM_VERSION, 4);
    put_le(&at, CK_REFERENCE_SIZE, 4);
    put_uuid(&at, &facts->store);
    put_uuid(&at, &facts->guest);
    put_le(&at, facts->seq, 8);
    put_uuid(&at, &facts->id);
    seal(out, CK_REFERENCE_SIZE);
}

void ck_reference_text(const struct ck_facts *facts, char out[FLIC_HEX_TEXT(CK_REFERENCE_SIZE)])
{
    uint8_t reference[CK_REFERENCE_SIZE];

    ck_reference_encode(facts, reference);
    flic_to_hex(reference, sizeof(reference), out);
}

int ck_reference_parse(const void *data, size_t len, struct ck_facts *ret_facts, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(data, len);
    const void *magic = flic_get_bytes(&r, sizeof(reference_magic));
    uint32_t version = flic_get_u32(&r), size = flic_get_u32(&r);

    if (!magic || memcmp(magic, reference_magic, sizeof(reference_magic)))
        return flic_err_set(err, FLIC_E_FOREIGN, "this is not a FLIC reference");
    if (!r.bad && version != FORM_VERSION)
        return flic_err_set(err, FLIC_E_VERSION, "the reference has version %u, this build knows %u", version, FORM_VERSION);
    if (r.bad || len != CK_REFERENCE_SIZE || size != CK_REFERENCE_SIZE || !sealed(data, len))
        return flic_err_set(err, FLIC_E_DAMAGED, "the reference is damaged: restore by name instead ('flic list')");
    *ret_facts = (struct ck_facts){ 0 };
    get_fixed(&r, ret_facts->store.b, sizeof(ret_facts->store.b));
    get_fixed(&r, ret_facts->guest.b, sizeof(ret_facts->guest.b));
    ret_facts->seq = flic_get_u64(&r);
    get_fixed(&r, ret_facts->id.b, sizeof(ret_facts->id.b));
    return 0;
}
