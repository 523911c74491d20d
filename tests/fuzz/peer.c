/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Everything a sending phone can say to a receiving one: frames, greeting, offer, sketch, leaves, digests, pages, state, sums. The first
 * byte says how much of a good beginning is put in front: 1 the greeting, 2 the offer too, 3 the sketch too.
 */
#include "tests/fuzz/fuzz.h"

#include "daemon/migrate/receive.h"
#include "tests/fuzz/kept.h"
#include "tests/fuzz/peer-wire.h"

#define GFNS_MAX 4096u
#define THERE 40u

static void *sketch;
static size_t sketch_len;

static void start_once(void)
{
    struct flx_dom *dom;

    if (!fuzz_keep_once(600))
        return;
    FUZZ_ASSERT(!flx_open(GUEST, &dom, NULL) && !flx_state_sketch(dom, &sketch, &sketch_len, NULL));
    flx_close(dom);
}

/* ---- the good beginning ---- */

static void begin_well(int peer, unsigned how_far)
{
    struct mh_offer offer = { .migration = scene_uuid(0x61), .guest = scene_uuid(1), .name = "web", .gfn_end = 600, .pages = 590,
                              .config = (char *)"{}", .disks = (char *)"[]" };
    struct mw_wire *good = fuzz_good(peer);

    if (how_far >= 1)
        fuzz_greet(good);
    if (how_far >= 2)
        FUZZ_ASSERT(!mh_send_offer(good, &offer, NULL));
    if (how_far >= 3)
        FUZZ_ASSERT(!mw_send_bytes(good, MW_SKETCH, sketch, sketch_len, NULL));
    mw_free(good);
}

/* ---- the receiver, as far as it goes ---- */

static void take(struct mr_receiver *r, struct flx_dom *dom)
{
    const struct flx_ports ports = { 1, 0, 2, 0 };
    struct flx_built built;

    if (!mr_accept(r, 0, NULL) && !mr_take(r, dom, NULL) && !mr_finish(r, &ports, &built, NULL))
        (void)mr_ready(r, NULL);
}

/* With a checkpoint of the guest at hand when it is the one that is offered. */
static void receive_offered(struct mr_receiver *r)
{
    struct ck_loaded loaded;
    struct flx_dom *dom;
    bool known = flic_uuid_equal(&mr_offer(r)->guest, &fuzz_kept.guest);

    fuzz_load_kept(&loaded);
    flx_fake_add(THERE, "web", &mr_offer(r)->guest, mr_offer(r)->gfn_end, 0);
    FUZZ_ASSERT(!flx_open(THERE, &dom, NULL));
    if (!mr_begin(r, "fake", known ? &loaded : NULL, NULL, NULL))
        take(r, dom);
    mr_free(r);
    flx_close(dom);
    flx_fake_kill(THERE);
    ck_unload(store, &loaded);
}

static void receive(struct mw_wire *wire)
{
    const struct mr_params params = { .wire = wire, .store = store, .progress = scene_no_progress };
    struct mr_receiver *r;

    if (mr_hear(&params, &r, NULL))
        return;
    if (mr_offer(r)->gfn_end <= GFNS_MAX)
        receive_offered(r);
    else
        mr_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_meet(data, len, start_once, begin_well, receive);
    return 0;
}
