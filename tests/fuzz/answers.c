/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Everything a phone that is sent a checkpoint can answer to one that gives it: frames, greeting, acceptance, what it has and lacks of each
 * leaf, its number, its last word. The first byte says how much of a good beginning is put in front: 1 the greeting, 2 and 3 an acceptance
 * too, of one that has nothing and of one that wants to be asked.
 */
#include "tests/fuzz/fuzz.h"

#include "daemon/migrate/give.h"
#include "daemon/migrate/hello.h"
#include "tests/fuzz/kept.h"
#include "tests/fuzz/peer-wire.h"

#define PAGES 120u      /* all of them fit the socket */

static void start_once(void) { (void)fuzz_keep_once(PAGES); }

static void begin_well(int peer, unsigned how_far)
{
    struct mw_wire *good = fuzz_good(peer);

    if (how_far >= 1)
        fuzz_greet(good);
    if (how_far >= 2)
        FUZZ_ASSERT(!mh_send_accept(good, how_far == 3, 0, NULL));
    mw_free(good);
}

static void give(struct mw_wire *wire)
{
    const struct flic_uuid push = scene_uuid(0x61);
    struct md_key key;
    struct ck_loaded loaded;
    struct mg_params params = { .wire = wire, .key = &key, .store = store, .loaded = &loaded, .push = &push, .from = "phone", .owner_group = "ours",
                                .handed = true, .progress = scene_no_progress };
    struct mg_giver *giver;
    uint64_t seq;
    bool sent;

    fuzz_load_kept(&loaded);
    if (!mh_greet(wire, true, &key, NULL) && !mg_new(&params, &giver, NULL)) {
        if (!mg_send(giver, &seq, NULL))
            (void)mg_hand_over(giver, true, &sent, NULL);
        mg_free(giver);
    }
    ck_unload(store, &loaded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_meet(data, len, start_once, begin_well, give);
    return 0;
}
