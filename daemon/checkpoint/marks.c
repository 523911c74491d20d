/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/marks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void marks_fini(struct marks *m)
{
    free(m->slot);
    free(m->claimed);
    *m = (struct marks){ 0 };
}

/* Open addressing, the id's first bytes are the hash. HOLE marks a free slot. */
static size_t place(const struct marks *m, const struct flic_id *id)
{
    uint64_t h;
    size_t at;

    memcpy(&h, id->b, sizeof(h));
    for (at = h & (m->size - 1);; at = (at + 1) & (m->size - 1))
        if (flic_id_equal(&m->slot[at], id) || flic_id_equal(&m->slot[at], &FLIC_ID_HOLE))
            return at;
}

static int grow(struct marks *m)
{
    struct marks bigger = { .size = m->size ? m->size * 2 : 4096, .used = m->used };

    bigger.slot = malloc(bigger.size * sizeof(*bigger.slot));
    bigger.claimed = calloc(bigger.size, 1);
    if (!bigger.slot || !bigger.claimed) {
        marks_fini(&bigger);
        return -ENOMEM;
    }
    memset(bigger.slot, 0xff, bigger.size * sizeof(*bigger.slot));
    for (size_t i = 0; i < m->size; i++) {
        size_t at;

        if (flic_id_equal(&m->slot[i], &FLIC_ID_HOLE))
            continue;
        at = place(&bigger, &m->slot[i]);
        bigger.slot[at] = m->slot[i];
        bigger.claimed[at] = m->claimed[i];
    }
    marks_fini(m);
    *m = bigger;
    return 0;
}

int marks_add(struct marks *m, const struct flic_id *id, bool *ret_new)
{
    size_t at;
    bool is_new;

    if (ret_new)
        *ret_new = false;
    if (flic_id_equal(id, &FLIC_ID_HOLE) || flic_id_equal(id, &FLIC_ID_ZERO))
        return 0;
    if (m->used * 4 >= m->size * 3 && grow(m))
        return -ENOMEM;
    at = place(m, id);
    is_new = flic_id_equal(&m->slot[at], &FLIC_ID_HOLE);
    if (is_new) {
        m->slot[at] = *id;
        m->used++;
    }
    if (ret_new)
        *ret_new = is_new;
    return 0;
}

bool marks_has(const struct flic_id *id, void *arg)
{
    const struct marks *m = arg;

    return m->size && flic_id_equal(&m->slot[place(m, id)], id);
}

bool marks_claim(const struct flic_id *id, void *arg)
{
    struct marks *m = arg;
    size_t at;

    if (!m->size)
        return false;
    at = place(m, id);
    if (!flic_id_equal(&m->slot[at], id) || m->claimed[at])
        return false;
    m->claimed[at] = 1;
    return true;
}
