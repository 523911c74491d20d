/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/verify.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/checkpoint/fsck.h"
#include "daemon/checkpoint/verify.h"
#include "daemon/find.h"
#include "daemon/upkeep.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLACE_MAX (PATH_MAX + 16)

static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER;     /* one reading of everything at a time */

/* ---- how far it is ---- */

static void path_of(const char *folder, char out[PLACE_MAX])
{
    (void)snprintf(out, PLACE_MAX, "%s/verify.json", folder);
}

/* The first pack to read; false: no reading was cut off. What cannot be read there is begun again from the start. */
static bool load_place(const struct fd_daemon *daemon, uint32_t *ret_pack)
{
    FLIC_AUTO_FREE void *text = NULL;
    char path[PLACE_MAX];
    json_t *root;
    size_t len;

    *ret_pack = 0;
    path_of(daemon->conf.store, path);
    if (access(path, F_OK))
        return false;
    if (flic_load_file(path, 4096, &text, &len, NULL))
        return true;
    root = json_loadb(text, len, 0, NULL);
    if (json_integer_value(json_object_get(root, "version")) == 1 && json_integer_value(json_object_get(root, "next_pack")) > 0 &&
        json_integer_value(json_object_get(root, "next_pack")) <= UINT32_MAX)
        *ret_pack = (uint32_t)json_integer_value(json_object_get(root, "next_pack"));
    json_decref(root);
    return true;
}

/* Losing it costs reading some packs twice. */
static void save_place(struct fd_daemon *daemon, uint32_t pack)
{
    char path[PLACE_MAX], text[64];
    struct flic_err err = { 0 };
    int rc;

    path_of(daemon->conf.store, path);
    (void)snprintf(text, sizeof(text), "{\"version\": 1, \"next_pack\": %u}\n", pack);
    ck_work_begin(daemon->store);
    rc = flic_publish_file(path, text, strlen(text), 0600, &err);
    ck_work_end(daemon->store);
    if (rc)
        flic_debug("how far verify is was not written: %s", err.text);
}

static void drop_place(struct fd_daemon *daemon)
{
    char path[PLACE_MAX];

    path_of(daemon->conf.store, path);
    ck_work_begin(daemon->store);
    (void)unlink(path);         /* still there: it is read again */
    ck_work_end(daemon->store);
}

/* ---- running ---- */

struct run {
    struct fd_daemon *daemon;
    bool (*cancelled)(void *arg);
    void *arg;
};

static bool cancelled(void *arg)
{
    struct run *run = arg;

    return run->cancelled(run->arg);
}

static void read_pack(uint32_t number, void *arg)
{
    struct run *run = arg;

    save_place(run->daemon, number == UINT32_MAX ? number : number + 1);
}

static json_t *figures_of(const struct ck_verify_figures *f)
{
    json_t *o = json_object();
    const struct { const char *name; uint64_t value; } rows[] = {
        { "packs", f->packs }, { "packs_set_aside", f->packs_set_aside }, { "packs_unreadable", f->packs_unreadable },
        { "objects", f->objects }, { "bad_objects", f->bad_objects }, { "repaired_objects", f->repaired_objects },
        { "lost_objects", f->lost_objects }, { "read_bytes", f->read_bytes }, { "nvram_pages", f->nvram_pages },
        { "nvram_bad_pages", f->nvram_bad_pages }, { "nvram_repaired_pages", f->nvram_repaired_pages },
        { "checkpoints", f->checkpoints }, { "checkpoints_damaged", f->damaged }, { "took_us", f->took_us },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        (void)json_object_set_new(o, rows[i].name, json_integer((json_int_t)rows[i].value));
    return o;
}

static json_t *damaged_ones(struct fd_daemon *daemon)
{
    char uuid[FLIC_UUID_TEXT], what[CK_DAMAGE_TEXT];
    json_t *list = json_array();
    struct ck_entry *entries;
    size_t n;

    if (ck_list(daemon->store, &entries, &n, NULL))
        return list;
    for (size_t i = 0; i < n; i++) {
        if (!entries[i].damaged)
            continue;
        flic_uuid_text(&entries[i].info.guest, uuid);
        ck_damage_text(&entries[i], what);
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s}", "domain", entries[i].info.name, "uuid", uuid, "seq",
                                                    (json_int_t)entries[i].info.seq, "damage", what));
    }
    free(entries);
    return list;
}

static void say(const struct ck_verify_figures *f)
{
    if (f->packs_set_aside || f->packs_unreadable || f->damaged)
        flic_error("verify: %llu packs were bad and set aside, %llu cannot be read at all; %llu objects repaired, %llu lost; %llu checkpoints are "
                   "damaged: 'flic list' shows which", (unsigned long long)f->packs_set_aside, (unsigned long long)f->packs_unreadable,
                   (unsigned long long)f->repaired_objects, (unsigned long long)f->lost_objects, (unsigned long long)f->damaged);
}

static int run_verify(struct run *run, struct ck_verify_params *params, struct ck_verify_figures *f, struct flic_err *err)
{
    struct ix_entry journal = { .verb = "verify", .began_ns = flic_wall_ns() };
    struct flic_err why = { 0 };
    int rc;

    params->cancelled = cancelled;
    params->read_pack = params->only ? NULL : read_pack;
    params->arg = run;
    rc = ck_verify(run->daemon->store, params, f, err);
    if (rc == FLIC_E_CANCELLED)
        return rc;
    say(f);
    if (f->damaged && ck_check_all_seen(run->daemon->store, &why))
        flic_warn("%s", why.text);
    journal.took_ns = f->took_us * 1000;
    journal.code = rc;
    journal.message = rc ? err->text : "";
    if (params->only) {
        journal.guest = params->only->info.guest;
        journal.seq = params->only->info.seq;
        memcpy(journal.guest_name, params->only->info.name, sizeof(journal.guest_name));
    }
    fd_journal(run->daemon, &journal, figures_of(f));
    if (f->packs_set_aside)
        fd_keeper_poke(run->daemon);        /* what lost its form on flash is moved there again */
    return rc;
}

/* Everything, from where the last one was cut off; `reading` held. */
static int verify_all(struct run *run, bool paced, struct ck_verify_figures *f, struct flic_err *err)
{
    struct ck_verify_params params = { .kib_per_s = paced ? (uint64_t)run->daemon->conf.verify_kib_per_s : 0 };
    int rc;

    if (!load_place(run->daemon, &params.from_pack))
        save_place(run->daemon, 0);
    rc = run_verify(run, &params, f, err);
    if (rc != FLIC_E_CANCELLED)
        drop_place(run->daemon);
    return rc;
}

static int verify_all_alone(struct run *run, bool paced, struct ck_verify_figures *f, struct flic_err *err)
{
    int rc;

    if (pthread_mutex_trylock(&reading))
        return flic_err_set(err, FLIC_E_BUSY, "everything is being verified already: 'flic log' shows the outcome when it is done");
    rc = verify_all(run, paced, f, err);
    (void)pthread_mutex_unlock(&reading);
    return rc;
}

void fd_verify_go_on(struct fd_daemon *daemon, bool (*stop)(void *arg), void *arg)
{
    struct run run = { .daemon = daemon, .cancelled = stop, .arg = arg };
    struct ck_verify_figures f;
    struct flic_err err = { 0 };
    uint32_t at;

    /* Looked for first: a reading that somebody asks for now must not be refused for a look. */
    if (!load_place(daemon, &at) || pthread_mutex_trylock(&reading))    /* somebody does it now */
        return;
    if (load_place(daemon, &at)) {
        flic_info("going on with 'flic verify --all' at pack %08x", at);
        if (verify_all(&run, true, &f, &err) && err.code != FLIC_E_CANCELLED)
            flic_warn("verify: %s", err.text);
    }
    (void)pthread_mutex_unlock(&reading);
}

json_t *fd_verify(struct fd_daemon *daemon, json_t *request)
{
    struct run run = { .daemon = daemon, .cancelled = fd_upkeep_closing, .arg = daemon };
    bool all = json_is_true(json_object_get(request, "all")), paced = json_is_true(json_object_get(request, "paced"));
    struct ck_verify_params params = { .kib_per_s = paced ? (uint64_t)daemon->conf.verify_kib_per_s : 0 };
    struct ck_verify_figures f;
    struct flic_err err = { 0 };
    struct ck_entry entry;
    json_t *answer;
    int rc;

    if (all) {
        rc = verify_all_alone(&run, paced, &f, &err);
    } else {
        rc = fd_find(daemon, request, &entry, &err);
        params.only = &entry;
        if (!rc)
            rc = run_verify(&run, &params, &f, &err);
    }
    if (rc)
        return fd_answer_error(err.code, err.text);
    answer = figures_of(&f);
    (void)json_object_set_new(answer, "ok", json_true());
    (void)json_object_set_new(answer, "damaged", damaged_ones(daemon));
    return answer;
}

/* ---- the index ---- */

json_t *fd_fsck(struct fd_daemon *daemon, json_t *request)
{
    struct ix_entry journal = { .verb = "fsck", .began_ns = flic_wall_ns() };
    struct ck_fsck_figures f;
    struct flic_err err = { 0 };
    json_t *answer;

    if (ck_fsck(daemon->store, json_is_true(json_object_get(request, "rebuild")), &f, &err))
        return fd_answer_error(err.code, err.text);
    answer = json_pack("{s:b, s:b, s:b, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "ok", 1, "index_sound", (int)f.index_sound,
                       "index_replaced", (int)f.index_replaced, "index_rebuilt", (int)f.index_rebuilt, "why", f.why, "checkpoints",
                       (json_int_t)f.checkpoints, "checkpoints_damaged", (json_int_t)f.damaged, "forgotten", (json_int_t)f.tombstones,
                       "packs", (json_int_t)f.packs, "packs_quarantined", (json_int_t)f.packs_quarantined, "missing",
                       (json_int_t)f.missing, "stray", (json_int_t)f.stray, "unseen", (json_int_t)f.unseen);
    if (!f.index_rebuilt)
        return answer;
    fd_upkeep_forgot(daemon);           /* what was not found may be what kept it from its work */
    fd_journal(daemon, &journal, json_pack("{s:b, s:I, s:I, s:I}", "index_replaced", (int)f.index_replaced, "checkpoints",
                                           (json_int_t)f.checkpoints, "missing", (json_int_t)f.missing, "stray", (json_int_t)f.stray));
    return answer;
}
