/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/lineage.h"

#include "daemon/daemon.h"

#include <stdlib.h>

#define OTHERS_MAX 32u          /* guests of the owner group whose newest checkpoints are looked through */

void fd_lineage_open(struct fd_daemon *daemon, const struct flic_uuid *guest, struct fd_lineage *l)
{
    struct ck_store *store = daemon->store;
    char uuid[FLIC_UUID_TEXT];
    struct ck_entry entry;

    *l = (struct fd_lineage){ .in_use = false };
    flic_uuid_text(guest, uuid);
    if (ck_find(store, uuid, 0, &entry, NULL))
        return;
    l->name = (struct nv_name){ .guest = entry.info.guest, .seq = entry.info.seq };
    l->in_use = !ck_use(store, &l->name, NULL);
    l->loaded = l->in_use && !ck_load(store, &entry, &l->base, NULL);
}

void fd_lineage_close(struct fd_daemon *daemon, struct fd_lineage *l)
{
    if (l->loaded)
        ck_unload(daemon->store, &l->base);
    if (l->in_use)
        ck_unuse(daemon->store, &l->name);
    l->loaded = l->in_use = false;
}

static int know_one(struct ck_store *store, const struct ck_entry *entry,
                    int (*know)(void *arg, const struct ck_loaded *other, struct flic_err *err), void *arg, struct flic_err *err)
{
    struct nv_name name = { .guest = entry->info.guest, .seq = entry->info.seq };
    struct ck_loaded loaded;
    int rc = 0;

    if (ck_use(store, &name, NULL))
        return 0;
    if (!ck_load(store, entry, &loaded, NULL)) {
        rc = know(arg, &loaded, err);
        ck_unload(store, &loaded);
    }
    ck_unuse(store, &name);
    return rc;
}

int fd_lineage_others(struct fd_daemon *daemon, int (*know)(void *arg, const struct ck_loaded *other, struct flic_err *err), void *arg,
                      struct flic_err *err)
{
    struct flic_uuid seen[OTHERS_MAX];
    struct ck_entry *entries;
    size_t n, n_seen = 0;
    int rc = ck_list(daemon->store, &entries, &n, err);

    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < n && n_seen < OTHERS_MAX; i++) {
        bool again = false;

        for (size_t k = 0; k < n_seen; k++)
            again |= flic_uuid_equal(&seen[k], &entries[i].info.guest);
        if (again)
            continue;
        seen[n_seen++] = entries[i].info.guest;
        rc = know_one(daemon->store, &entries[i], know, arg, err);
    }
    free(entries);
    return rc;
}
