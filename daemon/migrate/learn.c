/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/learn.h"

struct learn {
    struct mk_known *known;
    const struct md_key *key;
    const struct flic_id *ids;
};

static int learn_page(size_t tag, const void *page, void *arg)
{
    struct learn *l = arg;
    struct md_digest digest = md_of(l->key, page, FLIC_PAGE_SIZE);

    mk_add(l->known, &digest, &l->ids[tag]);
    return 0;
}

int mk_learn(struct mk_known *known, const struct md_key *key, struct ck_store *store, const struct ck_loaded *loaded, struct flic_err *err)
{
    uint64_t end = loaded->root.facts.gfn_end;
    struct flic_id ids[MD_LEAF_PAGES];
    struct ck_map *map;
    size_t n = 0;
    int rc = ck_load_map(store, loaded, &map, err);

    if (rc)
        return rc;
    for (uint64_t gfn = 0; gfn <= end; gfn++) {
        struct flic_id id = gfn < end ? ck_map_get(map, gfn) : FLIC_ID_HOLE;

        if (!flic_id_equal(&id, &FLIC_ID_HOLE) && !flic_id_equal(&id, &FLIC_ID_ZERO) && pk_has(ck_packs(store), &id))
            ids[n++] = id;
        if (n == MD_LEAF_PAGES || gfn == end) {
            struct learn l = { known, key, ids };

            (void)pk_read_pages(ck_packs(store), ids, n, learn_page, &l, NULL);
            n = 0;
        }
    }
    ck_map_free(map);
    return 0;
}
