/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* kept - a store with one checkpoint of one guest, for targets whose parser works beside one. It stays from input to input. */
#ifndef FLIC_TESTS_FUZZ_KEPT_H
#define FLIC_TESTS_FUZZ_KEPT_H

#include "tests/unit/checkpoint-scene.h"

extern struct nv_name fuzz_kept;

/* false: it was made before. */
bool fuzz_keep_once(unsigned pages);
/* To be unloaded. */
void fuzz_load_kept(struct ck_loaded *ret_loaded);

#endif
