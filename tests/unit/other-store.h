/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* other-store - the store of another phone, beside the scene's: where what travels arrives. */
#ifndef FLIC_TESTS_UNIT_OTHER_STORE_H
#define FLIC_TESTS_UNIT_OTHER_STORE_H

#include "tests/unit/checkpoint-scene.h"

extern struct ck_store *other;
extern char other_dir[96];

/* Between scene_begin() and scene_end(). */
void other_begin(uint64_t arena_bytes);
void other_end(void);
void other_reopen(void);        /* what was in memory only is gone */

/* As scene_count() and scene_restore_and_compare(), of that store. */
size_t other_count(void);
void other_restore_and_compare(const struct nv_name *name, const struct image *image);

#endif
