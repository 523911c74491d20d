/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/leaf.h"

#include "daemon/checkpoint/fill.h"

#include <string.h>

_Static_assert(CK_LEAF_PAGES <= CK_WINDOW, "a leaf is filled as one stretch");

static enum ck_kind kind_of(const struct flic_id *id)
{
    return flic_id_equal(id, &FLIC_ID_HOLE) ? CK_HOLE : flic_id_equal(id, &FLIC_ID_ZERO) ? CK_ZERO : CK_PAGE;
}

/* They were filled one behind another: to their places, the last first. */
static void spread(const struct ck_stretch *s, uint64_t first)
{
    for (size_t i = s->n; i-- > 0 && s->gfns[i] != first + i;)
        memcpy(s->base + (s->gfns[i] - first) * FLIC_PAGE_SIZE, s->base + i * FLIC_PAGE_SIZE, FLIC_PAGE_SIZE);
}

int ck_read_leaf(struct ck_store *store, const struct ck_loaded *loaded, const struct ck_map *map, uint64_t first,
                 enum ck_kind kind[CK_LEAF_PAGES], uint8_t *pages, struct flic_err *err)
{
    const struct ck_source from = { store, loaded, map };
    struct ck_stretch s = { .base = pages };
    int rc;

    for (unsigned i = 0; i < CK_LEAF_PAGES; i++) {
        struct flic_id id = ck_map_get(map, first + i);

        kind[i] = kind_of(&id);
        if (kind[i] == CK_PAGE)
            s.gfns[s.n++] = first + i;
    }
    if (!s.n)
        return 0;
    rc = ck_fill(&from, &s, err);
    if (!rc)
        spread(&s, first);
    return rc;
}
