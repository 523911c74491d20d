/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/retain.h"

#include "daemon/checkpoint/reach.h"
#include "daemon/pins.h"
#include "daemon/protect.h"
#include "daemon/retention.h"

#include <errno.h>
#include <stdlib.h>

struct job {
    struct fd_daemon *daemon;
    struct ck_entry *entries;
    struct rt_item *items;
    size_t n;
    struct marks marks;         /* of the sizer */
    struct flic_err *err;
};

static struct rt_rules rules_of(const struct fd_conf *c)
{
    return (struct rt_rules){
        .keep_last = (unsigned)c->keep_last, .keep_hourly = (unsigned)c->keep_hourly, .keep_daily = (unsigned)c->keep_daily,
        .guest_bytes = (uint64_t)c->guest_quota_mib << 20, .total_bytes = (uint64_t)c->total_quota_mib << 20,
    };
}

/* ---- sizes: every object that they refer to, once ---- */

static void reset(void *arg)
{
    struct job *job = arg;

    marks_fini(&job->marks);
}

static int add(const struct rt_item *item, uint64_t *ret_bytes, void *arg)
{
    struct job *job = arg;
    int rc = ck_reach_what_is_there(job->daemon->store, &job->entries[item->tag], &job->marks, job->err);

    *ret_bytes = (uint64_t)job->marks.used * FLIC_PAGE_SIZE;
    return rc;
}

/* ---- choosing ---- */

static int look(struct job *job, struct flic_err *err)
{
    struct pn_pin *pins;
    size_t n_pins;
    int rc = pn_load(job->daemon->conf.store, &pins, &n_pins, err);

    if (rc)
        return rc;
    rc = ck_list(job->daemon->store, &job->entries, &job->n, err);
    if (!rc) {
        job->items = calloc(job->n ? job->n : 1, sizeof(*job->items));
        rc = job->items ? 0 : flic_err_set(err, -ENOMEM, "look what may be forgotten: out of memory");
    }
    for (size_t i = 0; !rc && i < job->n; i++) {
        const struct ix_checkpoint *info = &job->entries[i].info;

        job->items[i] = (struct rt_item){ .guest = info->guest, .seq = info->seq, .taken_ns = info->taken_ns, .tag = i,
                                          .held = pn_of(pins, n_pins, &info->guest, info->seq) ||
                                                  fd_protect_will_drop(job->daemon, &info->guest, info->seq) };
    }
    free(pins);
    return rc;
}

static int choose(struct job *job, const struct rt_rules *rules)
{
    struct rt_sizer sizer = { .reset = reset, .add = add, .arg = job };

    rt_begin(job->items, job->n);
    rt_by_age(rules, job->items, job->n);
    return rt_by_size(rules, job->items, job->n, &sizer);
}

/* ---- doing ---- */

static void tell(struct fd_retained *ret, const struct ck_entry *entry)
{
    char uuid[FLIC_UUID_TEXT];

    flic_uuid_text(&entry->info.guest, uuid);
    ret->names[ret->n++] = (struct nv_name){ .guest = entry->info.guest, .seq = entry->info.seq };
    (void)json_array_append_new(ret->forgotten, json_pack("{s:s, s:s, s:I}", "domain", entry->info.name, "uuid", uuid, "seq",
                                                          (json_int_t)entry->info.seq));
}

/* Each is written down as forgotten, those worth keeping least first; nothing is collected yet. */
static int forget(struct job *job, bool dry_run, struct fd_retained *ret, struct flic_err *err)
{
    int rc = 0;

    ret->names = calloc(job->n ? job->n : 1, sizeof(*ret->names));
    if (!ret->names)
        return flic_err_set(err, -ENOMEM, "look what may be forgotten: out of memory");
    for (size_t i = job->n; !rc && i--;) {
        const struct ck_entry *entry = &job->entries[job->items[i].tag];

        if (!job->items[i].drop)
            continue;
        rc = dry_run ? 0 : fd_forget(job->daemon, entry, false, NULL, err);
        if (!rc)
            tell(ret, entry);
        else if (rc == FLIC_E_BUSY || rc == FLIC_E_NOCHECKPOINT)
            rc = 0;
    }
    if (!rc && err)
        *err = (struct flic_err){ 0 };
    return rc;
}

void fd_retained_fini(struct fd_retained *ret)
{
    json_decref(ret->forgotten);
    free(ret->names);
    *ret = (struct fd_retained){ 0 };
}

int fd_retain(struct fd_daemon *daemon, bool dry_run, struct fd_retained *ret, struct flic_err *err)
{
    struct job job = { .daemon = daemon, .err = err };
    struct rt_rules rules = rules_of(&daemon->conf);
    int rc;

    *ret = (struct fd_retained){ .forgotten = json_array() };
    if (!rt_any(&rules))
        return 0;
    rc = look(&job, err);
    if (!rc)
        rc = choose(&job, &rules);
    if (!rc)
        rc = forget(&job, dry_run, ret, err);
    marks_fini(&job.marks);
    free(job.items);
    free(job.entries);
    return rc;
}
