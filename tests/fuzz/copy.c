/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Everything a giving phone can say to one that takes a copy: frames, greeting, offer, leaves, digests, pages, state, sums, last word. The first
 * byte says how much of a good beginning is put in front: 1 the greeting, 2 the offer too, 3 an offer of a guest that is known here.
 */
#include "tests/fuzz/fuzz.h"

#include "daemon/migrate/hello.h"
#include "daemon/migrate/take.h"
#include "tests/fuzz/kept.h"
#include "tests/fuzz/peer-wire.h"

#define GFNS_MAX 4096u

static void start_once(void) { (void)fuzz_keep_once(600); }

static void begin_well(int peer, unsigned how_far)
{
    struct mw_wire *good = fuzz_good(peer);
    struct mc_offer offer = { .push = scene_uuid(0x61), .guest = scene_uuid(how_far == 3 ? 1 : 2), .name = "web", .arch = "fake", .from = "phone",
                              .seq = 1, .gfn_end = 600, .pages = 590, .handed = true, .config = (char *)"{}" };

    if (how_far >= 1)
        fuzz_greet(good);
    if (how_far >= 2)
        FUZZ_ASSERT(!mc_send_offer(good, &offer, NULL));
    mw_free(good);
}

/* ---- the taker, as far as it goes: nothing is published ---- */

static void take(struct mt_taker *t)
{
    uint64_t seq;
    bool there, handed;

    if (!mt_take(t, NULL) && !mt_commit(t, &seq, &there, NULL) && !mt_ready(t, seq, &handed, NULL))
        (void)mt_done(t, NULL);
}

/* With a checkpoint of the guest at hand when it is the one that is offered. */
static void take_offered(struct mt_taker *t)
{
    struct ck_loaded loaded;
    bool known = flic_uuid_equal(&mt_offer(t)->guest, &fuzz_kept.guest);

    fuzz_load_kept(&loaded);
    if (!mt_begin(t, known ? &loaded : NULL, NULL, NULL))
        take(t);
    mt_free(t);
    ck_unload(store, &loaded);
}

static void receive(struct mw_wire *wire)
{
    struct md_key key;
    const struct mt_params params = { .wire = wire, .key = &key, .store = store, .progress = scene_no_progress };
    struct mt_taker *t;

    if (mh_greet(wire, false, &key, NULL) || mt_hear(&params, &t, NULL))
        return;
    if (mt_offer(t)->gfn_end <= GFNS_MAX)
        take_offered(t);
    else
        mt_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_meet(data, len, start_once, begin_well, receive);
    return 0;
}
