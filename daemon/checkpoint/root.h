/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * root - what a checkpoint is made of, and its two stored forms.
 *
 *   in the arena   the log record holds the facts and where each part lies in the object's frames:
 *                  working-set pages first, then state, config, leaf table, delta. The delta has
 *                  one entry for each gfn captured in the pause and stands in front of the leaf table.
 *   on flash       one PK_ROOT object with all parts inline and no delta: the leaves say everything.
 *
 * Both are little endian, versioned, and parsed with every length bounded. Pure: no I/O but reading given bytes.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_ROOT_H
#define FLIC_DAEMON_CHECKPOINT_ROOT_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/hex.h"
#include "common/id.h"
#include "common/uuid.h"

#define CK_LEAF_PAGES 512u                      /* one leaf covers 2 MiB */
#define CK_GFN_END_MAX (1ull << 28)             /* 1 TiB of guest-physical space */
#define CK_CONFIG_MAX (256u << 10)
#define CK_DISKS_MAX (12u << 10)

struct ck_facts {
    struct flic_uuid guest, id, store;
    uint64_t seq;
    char name[256];
    char arch[16];
    uint64_t taken_ns;          /* CLOCK_REALTIME when the guest was found suspended */
    uint64_t gfn_end;
    uint64_t pages;             /* present: RAM and zero pages */
    uint64_t ws_pages;          /* captured in the pause */
};

struct ck_delta {               /* one gfn captured in the pause */
    uint64_t gfn;
    uint32_t frame;             /* index among the object's frames, or CK_NO_FRAME */
    struct flic_id id;          /* ZERO, HOLE, or the page's */
};
#define CK_NO_FRAME UINT32_MAX

struct ck_root {                /* all parts owned; ck_root_fini() */
    struct ck_facts facts;
    void *state; size_t state_len;
    char *config; size_t config_len;            /* libxl JSON text, NUL after its end */
    char *disks; size_t disks_len;              /* JSON text of disks.h, "[]" when none are kept */
    struct flic_id *leaves; size_t n_leaves;    /* gfn_end / CK_LEAF_PAGES rounded up */
    struct ck_delta *delta; size_t n_delta;     /* sorted by gfn, each once; none in the flash form */
};
void ck_root_init(struct ck_root *root);
void ck_root_fini(struct ck_root *root);

static inline size_t ck_leaf_count(uint64_t gfn_end)
{
    return (size_t)((gfn_end + CK_LEAF_PAGES - 1) / CK_LEAF_PAGES);
}

/* ---- arena form ---- */

/* Frames that the parts other than pages need, at most, for `n_delta` delta entries. */
uint32_t ck_root_frames(const struct ck_root *root, size_t n_delta);

struct ck_part { uint32_t frame; uint64_t len; uint64_t checksum; };
struct ck_parts { struct ck_part state, config, leaves, delta; };

/* The log record's bytes: gives *ret_data. */
int ck_root_encode_record(const struct ck_facts *facts, const struct ck_parts *parts, void **ret_data, size_t *ret_len);
/* Parses one; `frames` is how many frames the object has: every part must lie within. */
int ck_root_parse_record(const void *data, size_t len, uint32_t frames, struct ck_facts *ret_facts,
                         struct ck_parts *ret_parts, struct flic_err *err);

/* One entry of the delta part, written in place so that a pause allocates nothing for it. */
#define CK_DELTA_ENTRY 28u
void ck_delta_put(uint8_t out[CK_DELTA_ENTRY], const struct ck_delta *entry);
/* The whole part, checked against gfn order, gfn_end and the object's frames: gives. */
int ck_delta_parse(const void *data, size_t len, const struct ck_facts *facts, uint32_t frames,
                   struct ck_delta **ret_delta, size_t *ret_n, struct flic_err *err);

/* ---- flash form ---- */

int ck_root_encode_flash(const struct ck_root *root, void **ret_data, size_t *ret_len);
int ck_root_parse_flash(const void *data, size_t len, struct ck_root *ret_root, struct flic_err *err);
/* Only the facts, for the catalog. */
int ck_root_parse_flash_facts(const void *data, size_t len, struct ck_facts *ret_facts, struct flic_err *err);

/* ---- tombstones (PK_TOMBSTONE objects) and references (docs/protocol.md) ---- */

#define CK_TOMBSTONE_SIZE 48
void ck_tombstone_encode(const struct flic_uuid *guest, uint64_t seq, uint8_t out[CK_TOMBSTONE_SIZE]);
/* FLIC_E_DAMAGED, FLIC_E_VERSION. */
int ck_tombstone_parse(const void *data, size_t len, struct flic_uuid *ret_guest, uint64_t *ret_seq, struct flic_err *err);

#define CK_REFERENCE_SIZE 96
void ck_reference_encode(const struct ck_facts *facts, uint8_t out[CK_REFERENCE_SIZE]);
/* The same in hex, as it travels to a helper. */
void ck_reference_text(const struct ck_facts *facts, char out[FLIC_HEX_TEXT(CK_REFERENCE_SIZE)]);
int ck_reference_parse(const void *data, size_t len, struct ck_facts *ret_facts, struct flic_err *err);

#endif
