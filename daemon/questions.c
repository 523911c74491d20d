/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* questions - what can be asked without an operation: status, list, show, log, forget, hold. Threads of their own; docs/answers.md. */
#include "common/log.h"
#include "daemon/checkpoint/load.h"
#include "daemon/find.h"
#include "daemon/moves.h"
#include "daemon/op.h"
#include "daemon/pins.h"
#include "daemon/protect.h"
#include "daemon/tracking.h"
#include "daemon/upkeep.h"
#include "daemon/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *big(uint64_t v)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, v);
    return json_string(text);
}

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)v);
}

/* ---- status ---- */

static json_t *host_status(const struct fd_daemon *d)
{
    json_t *missing = json_array();

    if (!(d->host.caps & FLX_CAP_XEN))
        (void)json_array_append_new(missing, json_string("xen"));
    if (!(d->host.caps & FLX_CAP_LOG_DIRTY))
        (void)json_array_append_new(missing, json_string("log-dirty"));
    if (!(d->host.caps & FLX_CAP_CONTEXT))
        (void)json_array_append_new(missing, json_string("context"));
    return json_pack("{s:s, s:s, s:b, s:o, s:s}", "xen", d->host.xen_version, "arch", d->host.arch, "ready",
                     json_array_size(missing) == 0, "missing", missing, "advice", d->host.missing);
}

static json_t *nvram_status(const struct fd_daemon *d)
{
    static const char *const kinds[] = { [NV_FS_DAX] = "dax-file", [NV_DEV_DAX] = "dax-device", [NV_PLAIN_FILE] = "emulated" };
    struct nv_info info;

    if (!d->store)
        return json_pack("{s:s, s:b, s:s}", "path", d->conf.nvram, "ready", 0, "error", d->store_err.text);
    nv_get_info(ck_arena(d->store), &info);
    return json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i}", "path", d->conf.nvram, "kind", kinds[info.kind], "ready", 1,
                     "size_bytes", (json_int_t)info.size_bytes,
                     "used_bytes", (json_int_t)(info.frames - info.frames_free - info.frames_cached) * FLIC_PAGE_SIZE,
                     "cached_bytes", (json_int_t)info.frames_cached * FLIC_PAGE_SIZE, "log_bytes", (json_int_t)info.log_bytes,
                     "log_used_bytes", (json_int_t)info.log_used, "written_bytes", (json_int_t)info.bytes_written,
                     "frame_writes", (json_int_t)info.frame_writes, "frame_writes_least", (int)info.frame_writes_least,
                     "frame_writes_most", (int)info.frame_writes_most, "damaged", (int)info.damaged);
}

static json_t *packs_status(const struct fd_daemon *d)
{
    struct pk_stats s;

    if (!d->store)
        return json_pack("{s:s}", "path", d->conf.store);
    pk_get_stats(ck_packs(d->store), &s);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:i}", "path", d->conf.store, "count", (json_int_t)s.packs, "objects",
                     (json_int_t)s.objects, "flash_bytes", (json_int_t)s.bytes, "table_bytes", (json_int_t)s.table_bytes,
                     "quarantined", (int)s.quarantined);
}

static json_t *recovery_status(const struct fd_daemon *d)
{
    struct ck_recovery r;

    if (!d->store)
        return json_object();
    ck_get_recovery(d->store, &r);
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:I}", "checkpoints", (int)r.checkpoints, "unpublished_dropped",
                     (int)r.unpublished_dropped, "damaged_roots", (int)r.damaged_roots, "packs_unfinished",
                     (int)r.packs_unfinished, "nvram_damaged", (int)r.arena_damaged,
                     "packs_unread", (int)r.packs_unread, "unseen", (int)r.unseen, "index_rebuilt", r.index_rebuilt,
                     "took_ms", (json_int_t)r.took_ms);
}

/* As in flicd.conf(5): a word, or a list of names. */
static json_t *names_status(const char *text)
{
    json_t *names;

    if (text[0] != '\n')
        return json_string(text);
    names = json_array();
    for (const char *at = text + 1, *end; (end = strchr(at, '\n')); at = end + 1)
        (void)json_array_append_new(names, json_stringn(at, (size_t)(end - at)));
    return names;
}

static json_t *conf_status(const struct fd_conf *c)
{
    json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:s, s:i, s:s, s:s, s:o, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "nvram",
                     c->nvram, "nvram_size_mib",
                     c->nvram_size_mib, "store", c->store, "socket", c->socket, "socket_group", c->socket_group, "workers",
                     c->workers, "live_rounds_max", c->live_rounds_max, "live_stop_pages", c->live_stop_pages,
                     "suspend_timeout_s", c->suspend_timeout_s, "destage", c->destage, "destage_delay_ms",
                     c->destage_delay_ms, "disk_snapshot_hook", c->disk_snapshot_hook, "log_level", c->log_level, "track",
                     names_status(c->track), "track_epoch_min_ms", c->track_epoch_min_ms, "track_epoch_max_ms",
                     c->track_epoch_max_ms, "track_clean_epochs", c->track_clean_epochs, "track_kib_per_s", c->track_kib_per_s,
                     "track_cpu_percent", c->track_cpu_percent, "migrate_rounds_max", c->migrate_rounds_max, "migrate_downtime_ms",
                     c->migrate_downtime_ms);       /* owner_group is a secret */
    (void)json_object_update_new(o, json_pack("{s:s, s:i, s:i, s:i, s:i, s:i}", "gc", c->gc, "verify_kib_per_s", c->verify_kib_per_s,
                                              "gc_live_percent", c->gc_live_percent, "gc_kib_per_s", c->gc_kib_per_s, "gc_interval_s",
                                              c->gc_interval_s, "journal_entries", c->journal_entries));
    (void)json_object_update_new(o, json_pack("{s:i, s:i, s:i, s:i, s:i}", "keep_last", c->keep_last, "keep_hourly", c->keep_hourly,
                                              "keep_daily", c->keep_daily, "guest_quota_mib", c->guest_quota_mib, "total_quota_mib",
                                              c->total_quota_mib));
    (void)json_object_update_new(o, json_pack("{s:o, s:o}", "disk_folders", names_status(c->disk_folders), "shared_disk_folders",
                                              names_status(c->shared_disk_folders)));
    return o;
}

static json_t *one_operation(struct fd_op *op)
{
    json_t *o;

    (void)pthread_mutex_lock(&op->lock);
    o = json_pack("{s:s, s:s, s:s, s:I, s:s, s:I, s:I}", "operation", op->id, "kind", fd_op_kind_name(op), "domain", op->name,
                  "domid", (json_int_t)op->domid, "phase", op->phase, "done_bytes", (json_int_t)op->done, "total_bytes",
                  (json_int_t)op->total);
    (void)pthread_mutex_unlock(&op->lock);
    return o;
}

struct ops_question {
    const struct fd_daemon *daemon;
    json_t *list;
};

static void list_operations(void *arg)
{
    struct ops_question *q = arg;

    for (struct fd_op *op = q->daemon->ops; op; op = op->next)
        (void)json_array_append_new(q->list, one_operation(op));
}

/* They belong to the loop's thread. */
static json_t *operations(struct fd_daemon *d)
{
    struct ops_question q = { .daemon = d, .list = json_array() };

    ev_ask(d->loop, list_operations, &q);
    return q.list;
}

static json_t *on_status(struct fd_daemon *d, json_t *request)
{
    (void)request;
    return json_pack("{s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o}", "ok", 1, "version", FLIC_VERSION, "host", host_status(d),
                     "nvram", nvram_status(d), "packs", packs_status(d), "recovery", recovery_status(d), "operations",
                     operations(d), "config", conf_status(&d->conf), "destage", atomic_load(&d->held) ? "held" : "idle", "protection",
                     fd_protect_status(d), "tracked", fd_tracking_status(d), "moves", fd_moves_status(d));
}

/* ---- list, show ---- */

static json_t *describe(const struct ck_entry *e)
{
    char uuid[FLIC_UUID_TEXT], damage[CK_DAMAGE_TEXT] = "";
    json_t *places = json_array();

    flic_uuid_text(&e->info.guest, uuid);
    if (e->info.places & IX_NVRAM)
        (void)json_array_append_new(places, json_string("nvram"));
    if (e->info.places & IX_FLASH)
        (void)json_array_append_new(places, json_string("flash"));
    if (e->damaged)
        ck_damage_text(e, damage);
    return json_pack("{s:s, s:s, s:I, s:o, s:I, s:I, s:o, s:i, s:s, s:b, s:s}", "domain", e->info.name, "uuid", uuid, "seq",
                     (json_int_t)e->info.seq, "taken_ns", big(e->info.taken_ns), "ram_bytes", (json_int_t)e->info.ram_bytes,
                     "working_set_bytes", (json_int_t)e->info.working_set_bytes, "places", places, "restored",
                     (int)e->info.restored, "arch", e->info.arch, "damaged", (int)e->damaged, "damage", damage);
}

static bool is_of(const struct ck_entry *e, const char *domain)
{
    char uuid[FLIC_UUID_TEXT];

    if (!domain)
        return true;
    flic_uuid_text(&e->info.guest, uuid);
    return !strcmp(domain, e->info.name) || !strcmp(domain, uuid);
}

/* Without them known, none is shown. */
static void add_pins(struct fd_daemon *d, json_t *list, const struct ck_entry *entries, size_t n, const char *domain)
{
    struct pn_pin *pins;
    size_t n_pins, at = 0;

    if (pn_load(d->conf.store, &pins, &n_pins, NULL))
        return;
    for (size_t i = 0; i < n; i++) {
        unsigned by = pn_of(pins, n_pins, &entries[i].info.guest, entries[i].info.seq);
        json_t *o;

        if (!is_of(&entries[i], domain))
            continue;
        o = json_array_get(list, at++);
        (void)json_object_set_new(o, "pinned", json_boolean(by & PN_USER));
        (void)json_object_set_new(o, "in_file", json_boolean(by & PN_FILE));
    }
    free(pins);
}

static json_t *on_list(struct fd_daemon *d, json_t *request)
{
    const char *domain = json_string_value(json_object_get(request, "domain"));
    json_t *list = json_array();
    struct flic_err err = { 0 };
    struct ck_entry *entries;
    size_t n;

    if (ck_list(d->store, &entries, &n, &err)) {
        json_decref(list);
        return fd_answer_error(err.code, err.text);
    }
    for (size_t i = 0; i < n; i++)
        if (is_of(&entries[i], domain))
            (void)json_array_append_new(list, describe(&entries[i]));
    add_pins(d, list, entries, n, domain);
    free(entries);
    return json_pack("{s:b, s:o, s:o}", "ok", 1, "checkpoints", list, "tracked", fd_tracking_status(d));
}

static json_t *describe_loaded(const struct ck_entry *e, const struct ck_loaded *loaded)
{
    const struct ck_root *root = &loaded->root;
    json_t *disks = json_loads(root->disks_len ? root->disks : "[]", 0, NULL), *o = describe(e), *d;
    char id[FLIC_UUID_TEXT];
    size_t i;

    flic_uuid_text(&e->id, id);
    json_array_foreach(disks, i, d) {
        char identity[96];

        (void)snprintf(identity, sizeof(identity), "inode %lld, changed %s",
                       (long long)json_integer_value(json_object_get(d, "inode")),
                       json_string_value(json_object_get(d, "ctime_ns")) ? json_string_value(json_object_get(d, "ctime_ns")) : "?");
        if (json_object_get(d, "hook"))
            (void)snprintf(identity, sizeof(identity), "a snapshot of disk_snapshot_hook");
        if (json_string_value(json_object_get(d, "elsewhere")))
            (void)snprintf(identity, sizeof(identity), "stayed on %.70s", json_string_value(json_object_get(d, "elsewhere")));
        (void)json_object_set_new(d, "identity", json_string(identity));
        (void)json_object_set(d, "target", json_object_get(d, "vdev"));
    }
    (void)json_object_set_new(o, "id", json_string(id));
    (void)json_object_set_new(o, "disks", disks ? disks : json_array());
    (void)json_object_set_new(o, "state_bytes", number(root->state_len));
    (void)json_object_set_new(o, "leaves", number(root->n_leaves));
    (void)json_object_set_new(o, "delta_pages", number(root->n_delta));
    (void)json_object_set_new(o, "gfn_end", number(root->facts.gfn_end));
    return o;
}

/* What its save did, the write set included, as far as the journal has it. */
struct save_figures {
    uint64_t seq;
    json_t *figures;
};

static int see_save(const struct ix_entry *e, void *arg)
{
    struct save_figures *of = arg;

    if (e->seq != of->seq || e->code || strcmp(e->verb, "save"))
        return 0;
    of->figures = json_loads(e->figures, 0, NULL);
    return 1;
}

static json_t *figures_of_save(struct fd_daemon *d, const struct ck_entry *entry)
{
    struct save_figures of = { .seq = entry->info.seq };

    (void)ix_journal_each(ck_index(d->store), &entry->info.guest, 0, see_save, &of, NULL);     /* without it there are none to show */
    return of.figures ? of.figures : json_object();
}

static json_t *on_show(struct fd_daemon *d, json_t *request)
{
    struct flic_err err = { 0 };
    struct ck_loaded loaded;
    struct ck_entry entry;
    json_t *answer;

    if (fd_find(d, request, &entry, &err) || ck_load(d->store, &entry, &loaded, &err))
        return fd_answer_error(err.code, err.text);
    answer = json_pack("{s:b, s:o, s:s}", "ok", 1, "checkpoint", describe_loaded(&entry, &loaded), "config", loaded.root.config);
    (void)json_object_set_new(json_object_get(answer, "checkpoint"), "figures", figures_of_save(d, &entry));
    ck_unload(d->store, &loaded);
    return answer ? answer : fd_answer_error(FLIC_E_DAMAGED, "the checkpoint's configuration is not text");
}

/* ---- log ---- */

/* In one answer: more of them would keep the loop's thread, which writes and frees it, from everybody else. */
#define LOG_MAX 1000

struct log_walk {
    json_t *entries;
    const char *domain;
    json_int_t seq, limit;
};

static bool wanted(const struct log_walk *w, const struct ix_entry *e, const char *uuid)
{
    if (w->seq && (uint64_t)w->seq != e->seq)
        return false;
    return !w->domain || !strcmp(w->domain, e->guest_name) || !strcmp(w->domain, uuid);
}

static int see_entry(const struct ix_entry *e, void *arg)
{
    struct log_walk *w = arg;
    char uuid[FLIC_UUID_TEXT];
    json_t *figures, *code;

    flic_uuid_text(&e->guest, uuid);
    if (!wanted(w, e, uuid))
        return 0;
    figures = json_loads(e->figures, 0, NULL);
    code = e->code ? json_string(flic_code_name(e->code)) : json_integer(0);
    (void)json_array_append_new(w->entries, json_pack("{s:I, s:o, s:I, s:s, s:s, s:s, s:I, s:o, s:s, s:o}", "id", (json_int_t)e->id,
        "began_ns", big(e->began_ns), "took_us", (json_int_t)(e->took_ns / 1000), "verb", e->verb, "domain", e->guest_name,
        "uuid", uuid, "seq", (json_int_t)e->seq, "code", code, "message", e->message, "figures", figures ? figures : json_object()));
    return (json_int_t)json_array_size(w->entries) >= w->limit;
}

static json_t *on_log(struct fd_daemon *d, json_t *request)
{
    struct log_walk w = { .entries = json_array(), .domain = json_string_value(json_object_get(request, "domain")),
                          .seq = json_integer_value(json_object_get(request, "seq")),
                          .limit = json_integer_value(json_object_get(request, "limit")) };
    json_int_t before = json_integer_value(json_object_get(request, "before"));
    bool less = w.limit <= 0 || w.limit > LOG_MAX;
    struct flic_err err = { 0 };
    int rc;

    if (less)
        w.limit = LOG_MAX;
    rc = ix_journal_each(ck_index(d->store), NULL, before > 0 ? (uint64_t)before : 0, see_entry, &w, &err);
    if (rc < 0) {
        json_decref(w.entries);
        return fd_answer_error(err.code, err.text);
    }
    return json_pack("{s:b, s:b, s:o}", "ok", 1, "more", less && rc > 0, "entries", w.entries);
}

/* ---- forget, hold ---- */

static json_t *on_forget(struct fd_daemon *d, json_t *request)
{
    bool dry_run = json_is_true(json_object_get(request, "dry_run"));
    struct flic_err err = { 0 };
    struct ck_entry entry;
    uint64_t freed = 0;

    if (fd_find(d, request, &entry, &err) || fd_forget(d, &entry, dry_run, &freed, &err))
        return fd_answer_error(err.code, err.text);
    return json_pack("{s:b, s:s, s:I, s:I, s:b}", "ok", 1, "domain", entry.info.name, "seq", (json_int_t)entry.info.seq,
                     "freed_bytes", (json_int_t)freed, "dry_run", dry_run);
}

static json_t *on_hold(struct fd_daemon *d, json_t *request)
{
    bool hold = json_is_true(json_object_get(request, "destage"));

    atomic_store(&d->held, hold);
    if (!hold)
        fd_keeper_poke(d);
    return json_pack("{s:b, s:b}", "ok", 1, "held", hold);
}

/* ---- the table ---- */

static const struct {
    const char *op;
    json_t *(*answer)(struct fd_daemon *daemon, json_t *request);
    bool needs_store;
} questions[] = {
    { "status", on_status, false }, { "list", on_list, true }, { "show", on_show, true },
    { "log", on_log, true }, { "forget", on_forget, true }, { "hold", on_hold, false }, { "gc", fd_gc, true }, { "verify", fd_verify, true }, { "fsck", fd_fsck, true }, { "drain", fd_drain, true }, { "pin", fd_pin, true },
    { "protect", fd_protect_on, true }, { "unprotect", fd_protect_off, true },
    { "settle", fd_settle, true }, { "claim", fd_claim, true },
    { "track", fd_track, true }, { "untrack", fd_untrack, true }, { "wss", fd_wss, true },
};
#define N_QUESTIONS (sizeof(questions) / sizeof(questions[0]))

bool fd_is_question(const char *op)
{
    for (size_t i = 0; i < N_QUESTIONS; i++)
        if (!strcmp(questions[i].op, op))
            return true;
    return false;
}

json_t *fd_question(struct fd_daemon *daemon, const char *op, json_t *request)
{
    json_t *answer = NULL;

    for (size_t i = 0; i < N_QUESTIONS; i++) {
        if (strcmp(questions[i].op, op))
            continue;
        if (questions[i].needs_store && !daemon->store)
            return fd_answer_error(daemon->store_err.code, daemon->store_err.text);
        answer = questions[i].answer(daemon, request);
    }
    return answer ? answer : fd_answer_error(FLIC_E_INTERNAL, "the answer could not be built: out of memory");
}
