/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/collect.h"

#include "common/log.h"
#include "daemon/checkpoint/reach.h"

#include <stdlib.h>

int ck_remove_pack(struct ck_store *store, uint64_t since, const struct pk_use *use, bool *ret_gone, struct flic_err *err)
{
    struct flic_err why = { 0 };
    int rc;

    ck_work_begin(store);
    rc = pk_remove(ck_packs(store), since, use, ret_gone, err);
    if (*ret_gone && ix_drop_pack(ck_index(store), use->number, &why))
        flic_debug("a removed pack is still in the index: %s; the next start of flicd drops it", why.text);
    ck_work_end(store);
    return rc;
}

int ck_sync_packs(struct ck_store *store, struct flic_err *err)
{
    int rc;

    ck_work_begin(store);
    rc = pk_sync(ck_packs(store), err);
    ck_work_end(store);
    return rc;
}

static int remove_unused(struct ck_store *store, uint64_t since, const struct pk_use *uses, size_t n, uint64_t *freed,
                         struct flic_err *err)
{
    bool gone = false, any = false;
    int rc = 0, sync_rc;

    for (size_t i = 0; !rc && i < n; i++, any |= gone) {
        gone = false;
        if (uses[i].used || !uses[i].idle)
            continue;
        rc = ck_remove_pack(store, since, &uses[i], &gone, err);
        *freed += gone ? uses[i].bytes : 0;
    }
    sync_rc = any ? ck_sync_packs(store, rc ? NULL : err) : 0;
    return rc ? rc : sync_rc;
}

int ck_collect(struct ck_store *store, const struct nv_name *without, size_t n_without, bool dry_run, uint64_t *ret_freed_bytes,
               struct flic_err *err)
{
    uint64_t since = pk_moment(ck_packs(store));
    struct pk_use *uses = NULL;
    struct marks m = { 0 };
    size_t n = 0;
    int rc = ck_check_all_seen(store, dry_run ? NULL : err);

    *ret_freed_bytes = 0;
    if (rc)
        return dry_run ? 0 : rc;
    rc = ck_reach_all(store, without, n_without, &m, err);
    if (!rc)
        rc = pk_survey(ck_packs(store), since, marks_has, &m, &uses, &n, err);
    if (!rc && !dry_run)
        rc = remove_unused(store, since, uses, n, ret_freed_bytes, err);
    for (size_t i = 0; !rc && dry_run && i < n; i++)
        *ret_freed_bytes += uses[i].used || !uses[i].idle ? 0 : uses[i].bytes;
    free(uses);
    marks_fini(&m);
    return rc;
}
