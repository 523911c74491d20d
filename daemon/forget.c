/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* forget - a checkpoint given up, or pinned so that it is not, with what was kept of its guest's disks; and what is put in order about disks at start. */
#include "common/clock.h"
#include "common/log.h"
#include "daemon/arrive.h"
#include "daemon/daemon.h"
#include "daemon/find.h"
#include "daemon/pins.h"
#include "daemon/swap.h"
#include "daemon/upkeep.h"

#include <stdlib.h>
#include <string.h>

struct sn_where fd_where(const struct fd_daemon *daemon)
{
    return (struct sn_where){ .folder = daemon->conf.store, .hook = daemon->conf.disk_snapshot_hook, .store = *ck_store_uuid(daemon->store) };
}

/* It is forgotten once it is buried; what cannot be removed now is found at the next start. */
static void drop_disks(struct fd_daemon *daemon, const struct ck_entry *entry)
{
    struct sn_name name = { .guest = entry->info.guest, .seq = entry->info.seq };
    struct sn_where where = fd_where(daemon);
    struct flic_err err = { 0 };

    int rc;

    ck_work_begin(daemon->store);       /* it writes flash, and a pause may be on */
    rc = sn_drop(&where, &name, &err);
    ck_work_end(daemon->store);
    if (rc)
        flic_warn("disk snapshots of the forgotten %s@%llu are left: %s", entry->info.name, (unsigned long long)name.seq, err.text);
}

/* What somebody pinned is not forgotten before he says otherwise. */
static int check_pinned(struct fd_daemon *daemon, const struct ck_entry *entry, struct flic_err *err)
{
    struct pn_pin *pins;
    unsigned by;
    size_t n;
    int rc = pn_load(daemon->conf.store, &pins, &n, err);

    if (rc)
        return rc;
    by = pn_of(pins, n, &entry->info.guest, entry->info.seq);
    free(pins);
    if (by & PN_USER)
        return flic_err_set(err, FLIC_E_REFUSED, "%s@%llu is pinned: say 'flic unpin %s@%llu' first", entry->info.name,
                            (unsigned long long)entry->info.seq, entry->info.name, (unsigned long long)entry->info.seq);
    return 0;
}

/* The checkpoint is gone: that its pin is still there harms nobody. */
static void drop_pin(struct fd_daemon *daemon, const struct ck_entry *entry)
{
    struct flic_err err = { 0 };
    int rc;

    ck_work_begin(daemon->store);
    rc = pn_set(daemon->conf.store, &entry->info.guest, entry->info.seq, PN_USER | PN_FILE, false, &err);
    ck_work_end(daemon->store);
    if (rc)
        flic_warn("the pin of a forgotten checkpoint is left: %s", err.text);
}

int fd_forget(struct fd_daemon *daemon, const struct ck_entry *entry, bool dry_run, uint64_t *ret_freed_bytes, struct flic_err *err)
{
    struct nv_name name = { .guest = entry->info.guest, .seq = entry->info.seq };
    struct ix_entry journal = { .verb = "forget", .guest = name.guest, .seq = name.seq };
    int rc = check_pinned(daemon, entry, err);

    if (rc)
        return rc;
    journal.began_ns = flic_wall_ns();
    rc = ck_forget(daemon->store, &name, dry_run, ret_freed_bytes, err);
    if (dry_run)
        return rc;
    if (!rc) {
        drop_disks(daemon, entry);
        drop_pin(daemon, entry);
        fd_upkeep_forgot(daemon);
    }
    journal.code = rc;
    journal.message = rc && err ? err->text : "";
    memcpy(journal.guest_name, entry->info.name, sizeof(journal.guest_name));
    fd_journal(daemon, &journal, ret_freed_bytes ? json_pack("{s:I}", "freed_bytes", (json_int_t)*ret_freed_bytes) : NULL);
    return rc;
}

json_t *fd_pin(struct fd_daemon *daemon, json_t *request)
{
    bool on = json_is_true(json_object_get(request, "pinned"));
    struct flic_err err = { 0 };
    struct ck_entry entry;
    int rc = fd_find(daemon, request, &entry, &err);

    if (!rc) {
        ck_work_begin(daemon->store);
        rc = pn_set(daemon->conf.store, &entry.info.guest, entry.info.seq, PN_USER, on, &err);
        ck_work_end(daemon->store);
    }
    if (rc)
        return fd_answer_error(err.code, err.text);
    return json_pack("{s:b, s:s, s:I, s:b}", "ok", 1, "domain", entry.info.name, "seq", (json_int_t)entry.info.seq, "pinned", on);
}

/* What nobody knows was never published, if everything was seen. */
static enum sn_fate fate_of(const struct sn_name *name, void *arg)
{
    struct fd_daemon *daemon = arg;
    struct ck_recovery r;
    struct ck_entry entry;

    if (!ck_find_exact(daemon->store, &name->guest, name->seq, &entry, NULL))
        return SN_THERE;
    if (ck_was_forgotten(daemon->store, &name->guest, name->seq))
        return SN_FORGOTTEN;
    ck_get_recovery(daemon->store, &r);
    return r.damaged_roots || r.arena_damaged || ck_check_all_seen(daemon->store, NULL) ? SN_THERE : SN_UNKNOWN;
}

void fd_tidy_disks(struct fd_daemon *daemon)
{
    struct sn_where where = fd_where(daemon);
    struct flic_err err = { 0 };

    if (ar_tidy(daemon) || sw_settle(&where, &err))
        return;         /* said already; what those names mean is not settled, so nothing is removed */
    if (sn_sweep(&where, fate_of, daemon, &err))
        flic_warn("leftovers of disk snapshots stay: %s", err.text);
}
