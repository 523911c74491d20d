/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/packs/compare.h"

#include <errno.h>
#include <string.h>

enum pk_verdict pk_compare(const struct flic_secret *secret, const struct flic_id *id, const struct pk_object *mine,
                           const struct pk_object *there)
{
    struct flic_id its;

    if (there->len == mine->len && !memcmp(there->data, mine->data, mine->len))
        return there->kind == mine->kind ? PK_SAME : PK_OTHER;
    its = flic_id_of(secret, flic_id_try(id), there->data, there->len);
    return flic_id_equal(&its, id) ? PK_COLLISION : PK_OTHER;
}

int pk_compare_spot(struct pk_store *store, const struct flic_id *id, const struct pk_object *mine,
                    const struct pk_spot *spot, struct flic_err *err)
{
    struct pk_object there;
    struct pk_frame *frame;
    int rc = pk_frame_get(&store->cache, &spot->file, spot->offset, &frame, NULL);

    if (rc == -ENOMEM)
        return flic_err_set(err, rc, "compare with a stored object: out of memory");
    if (rc)
        return PK_OTHER;
    there.data = pk_frame_object(frame, spot->index, &there.len, &there.kind);
    rc = there.data ? pk_compare(store->secret, id, mine, &there) : PK_OTHER;
    pk_frame_put(&store->cache, frame);
    return rc;
}
