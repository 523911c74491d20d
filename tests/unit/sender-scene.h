/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The test as the phone that sends over an operation's tunnel: the guest 9, "nine", whose memory is one page of zeros. */
#ifndef FLIC_TESTS_SENDER_SCENE_H
#define FLIC_TESTS_SENDER_SCENE_H

#include "tests/unit/op-scene.h"

#include "daemon/migrate/hello.h"
#include "daemon/migrate/pages.h"

#define NINE "\"c_info\": {\"name\": \"nine\", \"uuid\": \"09090909-0909-0909-0909-090909090909\"}"

static inline void *sketch_of(uint32_t domid, size_t *ret_len)
{
    struct flx_dom *dom;
    void *sketch;

    OK(flx_open(domid, &dom, &err));
    OK(flx_state_sketch(dom, &sketch, ret_len, &err));
    flx_close(dom);
    return sketch;
}

static inline struct mw_wire *greet_through(const char *operation)
{
    struct mw_wire *wire;
    struct md_key key;

    OK(mw_new(tunnel_of(operation), NULL, 0, scene_never, NULL, &wire, &err));
    OK(mh_greet(wire, true, &key, &err));
    return wire;
}

/* Once the other side has accepted. */
static inline void send_memory(struct mw_wire *wire)
{
    struct mp_leaf leaf = { .leaf = 0 };
    uint8_t out[MP_LEAF_SIZE];
    uint32_t disks;
    bool has;

    OK(mh_get_accept(wire, 5, &has, &disks, &err));
    mp_set_bit(leaf.present, 0);
    mp_set_bit(leaf.zero, 0);
    mp_put_leaf(&leaf, out);
    OK(mw_send_bytes(wire, MW_LEAF, out, sizeof(out), &err));
}

static inline void send_state(struct mw_wire *wire, const void *state, size_t len)
{
    uint64_t sums[MD_LEAF_PAGES] = { mp_sum(NULL) }, sum = mp_sum_leaf(sums);

    OK(mw_send_u64(wire, MW_STATE, 0, state, len, &err));
    OK(mw_send_bytes(wire, MW_CHECK, &sum, sizeof(sum), &err));
}

static inline void await_ready(struct mw_wire *wire)
{
    struct mw_message m = { .type = 0 };

    while (m.type != MW_READY)
        OK(mw_receive(wire, 5, &m, &err));
}

#endif
