/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/fuzz/kept.h"

#include "tests/fuzz/fuzz.h"

struct nv_name fuzz_kept;

bool fuzz_keep_once(unsigned pages)
{
    if (store)
        return false;
    scene_threads = 1;
    scene_begin(8 * MIB);
    FUZZ_ASSERT(!atexit(scene_end));
    scene_guest(GUEST, "web", 1, pages);
    fuzz_kept = scene_save(GUEST, NULL, NULL);
    return true;
}

void fuzz_load_kept(struct ck_loaded *ret_loaded)
{
    struct ck_entry entry;

    FUZZ_ASSERT(!ck_find_exact(store, &fuzz_kept.guest, fuzz_kept.seq, &entry, NULL) && !ck_load(store, &entry, ret_loaded, NULL));
}
