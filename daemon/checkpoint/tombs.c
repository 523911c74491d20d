/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/tombs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool ck_tomb_among(const struct flic_secret *secret, const struct nv_name *name, struct marks *ids, uint8_t ret_stone[CK_TOMBSTONE_SIZE],
                   struct flic_id *ret_id)
{
    if (!ids->used)
        return false;
    ck_tombstone_encode(&name->guest, name->seq, ret_stone);
    for (unsigned try_no = 0; try_no < FLIC_ID_TRIES; try_no++) {
        *ret_id = flic_id_of(secret, try_no, ret_stone, CK_TOMBSTONE_SIZE);
        if (marks_has(ret_id, ids))
            return true;
    }
    return false;
}

struct missing {
    struct pk_use *there;       /* by number */
    size_t n;
    struct marks *ids;
};

static int by_number(const void *a, const void *b)
{
    const struct pk_use *x = a, *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

static int see_run(uint32_t number, const uint8_t *run, size_t len, void *arg)
{
    const struct missing *m = arg;
    struct pk_use key = { .number = number };
    struct flic_id id;

    if (bsearch(&key, m->there, m->n, sizeof(*m->there), by_number))
        return 0;
    for (; len >= sizeof(id.b); run += sizeof(id.b), len -= sizeof(id.b)) {
        memcpy(id.b, run, sizeof(id.b));
        if (marks_add(m->ids, &id, NULL))
            return -ENOMEM;
    }
    return 0;
}

int ck_tombs_of_missing_packs(struct ck_store *store, struct marks *ids, struct flic_err *err)
{
    struct missing m = { .ids = ids };
    int rc = pk_list(ck_packs(store), &m.there, &m.n, err);

    if (rc)
        return rc;
    qsort(m.there, m.n, sizeof(*m.there), by_number);
    rc = ix_each_run(ck_index(store), see_run, &m, err);
    free(m.there);
    return rc == -ENOMEM ? flic_err_set(err, rc, "read the catalog: out of memory") : rc;
}
