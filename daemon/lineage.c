/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/lineage.h"

#include "daemon/daemon.h"
#include "daemon/kept.h"

#include <stdlib.h>

#define OTHERS_MAX 32u          /* guests of the owner group whose newest checkpoints are looked through */

static void open_base(struct fd_lineage *l)
{
    struct ck_store *store = l->daemon->store;
    char uuid[FLIC_UUID_TEXT];
    struct ck_entry entry;

    flic_uuid_text(&l->guest, uuid);
    if (ck_find(store, uuid, 0, &entry, NULL))
        return;
    l->name = (struct nv_name){ .guest = entry.info.guest, .seq = entry.info.seq };
    l->in_use = !ck_use(store, &l->name, NULL);
    if (l->in_use && !ck_load(store, &entry, &l->loaded, NULL))
        l->base = &l->loaded;
}

void fd_lineage_open(struct fd_daemon *daemon, const struct flic_uuid *guest, bool disks, struct fd_lineage *l)
{
    *l = (struct fd_lineage){ .daemon = daemon, .guest = *guest };
    open_base(l);
    l->earlier = fd_kept_take(daemon, guest, disks ? &l->earlier_disks : NULL);
}

void fd_lineage_begun(struct fd_lineage *l, struct ck_arrival *arrival)
{
    fd_kept_note(l->daemon, &l->guest, arrival);
    ck_arrival_free(l->earlier);
    l->earlier = NULL;
}

void fd_lineage_close(struct fd_lineage *l)
{
    fd_kept_put(l->daemon, &l->guest, l->earlier, l->earlier_disks);
    if (l->base)
        ck_unload(l->daemon->store, &l->loaded);
    if (l->in_use)
        ck_unuse(l->daemon->store, &l->name);
    *l = (struct fd_lineage){ .in_use = false };
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

int fd_lineage_others(struct fd_lineage *l, int (*know)(void *arg, const struct ck_loaded *other, struct flic_err *err), void *arg,
                      struct flic_err *err)
{
    struct ck_store *store = l->daemon->store;
    struct flic_uuid seen[OTHERS_MAX];
    struct ck_entry *entries;
    size_t n, n_seen = 0;
    int rc;

    if (l->base)
        return 0;
    rc = ck_list(store, &entries, &n, err);

    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < n && n_seen < OTHERS_MAX; i++) {
        bool again = false;

        for (size_t k = 0; k < n_seen; k++)
            again |= flic_uuid_equal(&seen[k], &entries[i].info.guest);
        if (again)
            continue;
        seen[n_seen++] = entries[i].info.guest;
        rc = know_one(store, &entries[i], know, arg, err);
    }
    free(entries);
    return rc;
}
