/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/unit/other-store.h"

#include <sys/stat.h>

struct ck_store *other;
char other_dir[96];

/* With 0 the arena has to be there. */
static void open_it(uint64_t arena_bytes)
{
    char arena[128];
    struct ck_config config = { .folder = other_dir, .arena = arena, .arena_bytes = arena_bytes };

    (void)snprintf(arena, sizeof(arena), "%s/arena", other_dir);
    OK(ck_open(&config, &other, &err));
}

void other_begin(uint64_t arena_bytes)
{
    (void)snprintf(other_dir, sizeof(other_dir), "%s.other", scene_dir);
    ck_assert_int_eq(mkdir(other_dir, 0700), 0);
    open_it(arena_bytes);
}

void other_end(void)
{
    ck_close(other);
    other = NULL;
    scene_remove(other_dir);
}

void other_reopen(void)
{
    ck_close(other);
    open_it(0);
}

/* ---- the scene looks, and restores from, where `store` points ---- */

size_t other_count(void)
{
    struct ck_store *mine = store;
    size_t n;

    store = other;
    n = scene_count();
    store = mine;
    return n;
}

void other_restore_and_compare(const struct nv_name *name, const struct image *image)
{
    struct ck_store *mine = store;

    store = other;
    scene_restore_and_compare(name, image);
    store = mine;
}
