/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * The arena's log at recovery. The input is records, one behind the other: u8 kind, u8 flags, u16 payload length, payload; each gets a
 * right head and sums, unless its flags say that one is to be wrong (1: payload, 2: head, 4: switch, 8: number, 16: generation). The
 * recorder of tests/unit is the medium: plain memory.
 */
#include "tests/fuzz/fuzz.h"

#include "daemon/nvram/layout.h"
#include "daemon/nvram/nvram.h"
#include "tests/unit/nvram-recorder.h"

#define SIZE ((size_t)NVL_SIZE_MIN)

static const struct flic_uuid STORE = { { 1 } };
static uint8_t *empty;
static uint64_t salt, log_bytes;

static void make_empty(void)
{
    struct nvl_geometry geo;
    struct nvl_super super;

    if (empty)
        return;
    FUZZ_ASSERT(nvl_geometry_of(SIZE, &geo));
    log_bytes = geo.log_bytes;
    rec_load(NULL, SIZE);
    FUZZ_ASSERT(!nv_create("memory", SIZE, &STORE, NULL));
    empty = malloc(SIZE);
    FUZZ_ASSERT(empty);
    memcpy(empty, rec_view(), SIZE);
    memcpy(&super, empty, sizeof(super));
    salt = super.salt;
}

static void put_records(uint8_t *log, const uint8_t *data, size_t len)
{
    uint64_t at = 0, seq = 1;

    while (len >= 4) {
        uint32_t n = (uint32_t)data[2] | (uint32_t)data[3] << 8;
        uint8_t flags = data[1];
        struct nvl_head head = { .magic = NVL_RECORD_MAGIC, .kind = data[0], .generation = 1u + (flags >> 4 & 1), .seq = seq++ };

        n = n < len - 4 ? n : (uint32_t)(len - 4);
        if (at + nvl_record_bytes(n) > log_bytes)
            return;
        head.payload_len = n;
        head.seq += flags >> 3 & 1;
        head.payload_sum = flic_checksum(data + 4, n) ^ (flags & 1);
        head.head_sum = nvl_head_sum(salt, &head) ^ (flags & 2);
        head.sw = nvl_record_switch(head.head_sum) ^ (flags & 4 ? UINT64_C(0xffff0000ffff) : 0);
        memcpy(log + at, &head, sizeof(head));
        memcpy(log + at + sizeof(head), data + 4, n);
        at += nvl_record_bytes(n);
        data += 4 + n;
        len -= 4 + n;
    }
}

static uint32_t held;
static struct nv_name names[64];
static size_t n_names;

static int see(const struct nv_object *obj, void *arg)
{
    (void)arg;
    held += obj->present ? obj->frames : 0;
    if (n_names < 64)
        names[n_names++] = obj->name;
    FUZZ_ASSERT(!obj->published || obj->present);
    return 0;
}

/* Every frame of what is there can be read, and no frame is lost or given twice. */
static void look(struct nv_arena *a)
{
    static volatile uint8_t sink;
    struct nv_info info;
    struct nv_object obj;
    struct nv_txn *txn;

    held = 0;
    n_names = 0;
    FUZZ_ASSERT(!nv_each(a, see, NULL));
    nv_get_info(a, &info);
    FUZZ_ASSERT(n_names == 64 || info.frames_free + held == info.frames);
    for (size_t i = 0; i < n_names; i++) {
        if (!nv_pin(a, &names[i], &obj))
            continue;
        for (uint32_t k = 0; k < obj.frames; k++)
            sink = *(const uint8_t *)nv_object_frame(a, &names[i], k);
        nv_unpin(a, &names[i]);
    }
    (void)sink;
    if (!nv_txn_begin(a, 1, &txn, NULL))
        nv_txn_abort(txn);
    for (size_t i = 0; i < n_names; i++)
        (void)nv_note_add(a, &names[i], NV_NOTE_FORGOTTEN, NULL, 0, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nv_arena *a;

    make_empty();
    memcpy(rec_view(), empty, SIZE);
    put_records(rec_view() + NVL_LOG_AT, data, len);
    for (int turn = 0; turn < 2; turn++) {      /* opening heals: the second time it finds what the first one left */
        if (nv_open("memory", &STORE, &a, NULL))
            return 0;
        if (turn)
            look(a);
        nv_close(a);
    }
    return 0;
}
