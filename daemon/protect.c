/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/protect.h"

#include "common/clock.h"
#include "common/log.h"
#include "daemon/cond.h"
#include "daemon/op.h"
#include "daemon/protect_file.h"
#include "daemon/schedule.h"
#include "daemon/upkeep.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define TICK_US 100000u         /* how late a beat can be, and how soon the end of a worker is seen */
#define DOMAINS_MAX 64

extern char **environ;

struct guest {
    struct pt_setting set;
    struct sc_plan plan;
    pid_t worker;               /* 0: none */
    bool answered;              /* the save of this worker has ended, with: */
    int code;
    char message[FLIC_ERR_TEXT];
    uint64_t ended;             /* tries that came to an end */
    unsigned awaited;           /* by so many who asked for its protection */
    bool present, was_late, fresh;
};

struct fd_protect {
    struct fd_daemon *daemon;
    pthread_t thread;
    pthread_mutex_t lock;       /* all below */
    pthread_cond_t changed;
    bool closing, stop;
    struct guest guests[PT_GUESTS_MAX];
    size_t n;
    pid_t strays[PT_GUESTS_MAX];        /* workers whose guest is not protected any more; 0: none */
};

static struct guest *find(struct fd_protect *p, const struct flic_uuid *uuid)
{
    for (size_t i = 0; i < p->n; i++)
        if (flic_uuid_equal(&p->guests[i].set.guest, uuid))
            return &p->guests[i];
    return NULL;
}

/* What ends in write_down() begins so: in a guest's pause it waits, and nobody shall then wait for the lock, least of all the loop's thread. */
static void begin_change(struct fd_protect *p)
{
    ck_work_begin(p->daemon->store);
    (void)pthread_mutex_lock(&p->lock);
}

static void end_change(struct fd_protect *p)
{
    (void)pthread_mutex_unlock(&p->lock);
    ck_work_end(p->daemon->store);
}

static int write_down(struct fd_protect *p, struct flic_err *err)
{
    const struct pt_setting *all[PT_GUESTS_MAX];

    for (size_t i = 0; i < p->n; i++)
        all[i] = &p->guests[i].set;
    return pt_file_save(p->daemon->conf.store, all, p->n, err);
}

/* ---- what to keep ---- */

static bool is_there(struct fd_protect *p, const struct flic_uuid *guest, uint64_t seq)
{
    struct ck_entry entry;

    return !ck_find_exact(p->daemon->store, guest, seq, &entry, NULL);
}

/* Leaves out what was never published or is forgotten; with the lock held. */
static void prune(struct fd_protect *p, struct pt_setting *set)
{
    size_t n = 0;

    for (size_t i = 0; i < set->n_made; i++)
        if (is_there(p, &set->guest, set->made[i]))
            set->made[n++] = set->made[i];
    set->n_made = n;
}

int fd_protect_note(struct fd_daemon *daemon, const struct flic_uuid *guest, uint64_t seq, struct flic_err *err)
{
    struct fd_protect *p = daemon->protect;
    struct guest *g;
    int rc;

    if (!p)
        return flic_err_set(err, FLIC_E_REFUSED, "this flicd protects nothing");
    begin_change(p);
    g = find(p, guest);
    if (g) {
        prune(p, &g->set);
        if (g->set.n_made == PT_MADE_MAX)       /* they could not be forgotten: the oldest is nobody's then, and stays */
            memmove(g->set.made, g->set.made + 1, --g->set.n_made * sizeof(g->set.made[0]));
        g->set.made[g->set.n_made++] = seq;
        rc = write_down(p, err);
    } else {
        rc = flic_err_set(err, FLIC_E_REFUSED, "this guest is not protected (any more): 'flic protect' begins it");
    }
    end_change(p);
    return rc;
}

bool fd_protects(struct fd_daemon *daemon, const struct flic_uuid *guest)
{
    struct fd_protect *p = daemon->protect;
    bool does;

    if (!p)
        return false;
    (void)pthread_mutex_lock(&p->lock);
    does = guest ? find(p, guest) != NULL : p->n > 0;
    (void)pthread_mutex_unlock(&p->lock);
    return does;
}

bool fd_protect_will_drop(struct fd_daemon *daemon, const struct flic_uuid *guest, uint64_t seq)
{
    struct fd_protect *p = daemon->protect;
    const struct guest *g;
    bool will = false;

    if (!p)
        return false;
    (void)pthread_mutex_lock(&p->lock);
    g = find(p, guest);
    for (size_t i = 0; g && g->present && !g->code && i < g->set.n_made; i++)
        will |= g->set.made[i] == seq;
    (void)pthread_mutex_unlock(&p->lock);
    return will;
}

/* To look through all that is stored at each beat would be too much: upkeep does that when it is worth it. */
static void drop_surplus(struct fd_protect *p, const struct flic_uuid *guest)
{
    uint64_t made[PT_MADE_MAX];
    size_t n = 0, surplus = 0;
    struct guest *g;

    (void)pthread_mutex_lock(&p->lock);
    g = find(p, guest);
    if (g) {
        prune(p, &g->set);
        n = g->set.n_made;
        memcpy(made, g->set.made, n * sizeof(made[0]));
        surplus = sc_surplus(made, n, g->set.keep);
    }
    (void)pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < surplus; i++) {
        struct flic_err err = { 0 };
        struct ck_entry entry;

        if (!ck_find_exact(p->daemon->store, guest, made[i], &entry, NULL))
            (void)fd_forget(p->daemon, &entry, false, NULL, &err);  /* it is in the journal, and tried again */
    }
    if (surplus)
        fd_upkeep_left_packs(p->daemon);
}

/* ---- how it went ---- */

/* Which checkpoint stands in NVRAM's way longest. */
static void advise_room(struct fd_protect *p, char *out, size_t room)
{
    struct ck_entry *entries;
    size_t n;

    out[0] = '\0';
    if (ck_list(p->daemon->store, &entries, &n, NULL))
        return;
    for (size_t i = 0; i < n; i++)      /* newest first: the last match is the oldest */
        if (!entries[i].destaged)
            (void)snprintf(out, room, "; 'flic forget %s@%llu' frees the oldest that is not on flash yet, 'flic release' lets them move",
                           entries[i].info.name, (unsigned long long)entries[i].info.seq);
    free(entries);
}

void fd_protect_result(struct fd_daemon *daemon, const struct flic_uuid *guest, int rc, const struct ck_save_figures *figures,
                       const struct flic_err *err)
{
    struct fd_protect *p = daemon->protect;
    char advice[400] = "";
    struct guest *g;

    if (!p)
        return;
    if (rc == FLIC_E_NOSPACE || (!rc && figures->spilled_pages))
        advise_room(p, advice, sizeof(advice));
    (void)pthread_mutex_lock(&p->lock);
    g = find(p, guest);
    if (g) {
        g->answered = true;
        g->code = rc;
        g->message[0] = '\0';
        if (rc)
            (void)snprintf(g->message, sizeof(g->message), "%.200s%.300s", err->text, advice);
        else if (figures->spilled_pages)
            (void)snprintf(g->message, sizeof(g->message), "NVRAM was full, so the pause wrote to flash%.400s", advice);
    }
    (void)pthread_mutex_unlock(&p->lock);
}

/* Only when something changed: a checkpoint every few seconds must not fill the journal with the same words. */
static void say(struct fd_protect *p, const struct guest *g, int code, const char *message, uint64_t left_out)
{
    struct ix_entry entry = { .verb = "protect", .guest = g->set.guest, .code = code, .message = message };

    entry.began_ns = flic_wall_ns();
    (void)snprintf(entry.guest_name, sizeof(entry.guest_name), "%s", g->set.name);
    fd_journal(p->daemon, &entry, json_pack("{s:I, s:I}", "every_ms", (json_int_t)g->set.every_ms, "beats_left_out", (json_int_t)left_out));
}

/* With the lock held; `copy` is what is to be said without it, if that is returned. */
static bool end_try(struct guest *g, int status, struct guest *copy)
{
    bool failed_before = g->plan.failures != 0, late;
    uint64_t left_out;

    if (!g->answered) {
        g->code = FLIC_E_INTERNAL;
        (void)snprintf(g->message, sizeof(g->message), "the worker flic-guest ended with status %d before it asked for the checkpoint: "
                       "flicd's log has what it said", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    left_out = sc_end(&g->plan, flic_now_us(), !g->code);
    late = left_out != 0;
    g->worker = 0;
    g->ended++;
    if (late && !g->message[0])
        (void)snprintf(g->message, sizeof(g->message), "a checkpoint takes longer than %llu ms: %llu beats were left out",
                       (unsigned long long)g->set.every_ms, (unsigned long long)g->plan.left_out);
    *copy = *g;
    if (!g->code && g->was_late != late) {
        g->was_late = late;
        return true;
    }
    return (g->code && !failed_before) || (!g->code && failed_before);
}

static void reap(struct fd_protect *p, size_t i)
{
    struct guest copy = { .worker = 0 };
    bool ended = false, tell = false;
    int status = 0;

    (void)pthread_mutex_lock(&p->lock);
    if (i < p->n && p->guests[i].worker && waitpid(p->guests[i].worker, &status, WNOHANG) == p->guests[i].worker) {
        tell = end_try(&p->guests[i], status, &copy);
        ended = true;
        (void)pthread_cond_broadcast(&p->changed);
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (tell)
        say(p, &copy, copy.code, copy.message, copy.plan.left_out);
    if (ended && !copy.code)
        drop_surplus(p, &copy.set.guest);
}

static void reap_strays(struct fd_protect *p)
{
    (void)pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < PT_GUESTS_MAX; i++)
        if (p->strays[i] && waitpid(p->strays[i], NULL, WNOHANG) == p->strays[i])
            p->strays[i] = 0;
    (void)pthread_mutex_unlock(&p->lock);
}

/* ---- starting one ---- */

struct domains {
    struct flx_info info[DOMAINS_MAX];
    size_t n;
};

static int see_domain(const struct flx_info *info, void *arg)
{
    struct domains *all = arg;

    if (info->run != FLX_DYING && all->n < DOMAINS_MAX)
        all->info[all->n++] = *info;
    return 0;
}

/* The worker finds flicd where it listens. */
static int spawn_worker(const struct fd_daemon *daemon, uint32_t domid, bool ram_only, pid_t *ret_pid)
{
    char text[16], socket_at[sizeof(daemon->conf.socket) + 16];
    char *argv[] = { (char *)"flic-guest", (char *)"checkpoint", text, ram_only ? (char *)"--ram-only" : NULL, NULL };
    size_t n = 0;
    char **env;
    int r;

    while (environ[n])
        n++;
    env = calloc(n + 2, sizeof(*env));
    if (!env)
        return -ENOMEM;
    (void)snprintf(text, sizeof(text), "%u", domid);
    (void)snprintf(socket_at, sizeof(socket_at), "FLIC_SOCKET=%s", daemon->conf.socket);
    env[0] = socket_at;
    memcpy(env + 1, environ, n * sizeof(*env));
    r = posix_spawn(ret_pid, FLIC_LIBEXECDIR "/flic-guest", NULL, NULL, argv, env);
    free(env);
    return -r;
}

/* Nobody waits for a guest that may be away, or paused, for as long as its user likes. */
static void answer_waiting(struct fd_protect *p, struct guest *g, const struct flx_info *found)
{
    if (!g->awaited)
        return;
    g->code = found ? FLIC_E_GUEST : FLIC_E_NODOMAIN;
    (void)snprintf(g->message, sizeof(g->message), found ? "guest '%.200s' does not run: 'xl list' shows its state, 'xl unpause' lets a paused one run" :
                   "guest '%.200s' is not there any more", g->set.name);
    g->ended++;
    (void)pthread_cond_broadcast(&p->changed);
}

static void try_one(struct fd_protect *p, struct guest *g, const struct domains *all)
{
    uint64_t now = flic_now_us();
    const struct flx_info *found = NULL;
    bool held;
    int rc;

    for (size_t i = 0; i < all->n; i++)
        if (flic_uuid_equal(&all->info[i].uuid, &g->set.guest))
            found = &all->info[i];
    g->present = found != NULL;
    held = found && fd_op_holds(p->daemon, found->domid);
    if (!found || found->run != FLX_RUNNING || held) {
        sc_postpone(&g->plan, now);
        if (!held)      /* else it is another operation's, which ends */
            answer_waiting(p, g, found);
        return;
    }
    (void)snprintf(g->set.name, sizeof(g->set.name), "%s", found->name);
    g->answered = false;
    rc = spawn_worker(p->daemon, found->domid, g->set.ram_only, &g->worker);
    if (rc) {
        g->worker = 0;
        g->code = rc;
        g->ended++;
        (void)snprintf(g->message, sizeof(g->message), "start " FLIC_LIBEXECDIR "/flic-guest: %s", strerror(-rc));
        (void)sc_end(&g->plan, now, false);
        (void)pthread_cond_broadcast(&p->changed);
    }
}

static bool any_due(struct fd_protect *p)
{
    uint64_t now = flic_now_us();

    for (size_t i = 0; i < p->n; i++)
        if (!p->guests[i].worker && sc_is_due(&p->guests[i].plan, now))
            return true;
    return false;
}

static void start_due(struct fd_protect *p)
{
    struct domains all = { .n = 0 };
    struct flic_err err = { 0 };
    uint64_t now = flic_now_us();
    bool due;

    (void)pthread_mutex_lock(&p->lock);
    due = !p->closing && any_due(p);
    (void)pthread_mutex_unlock(&p->lock);
    if (!due || flx_each_domain(see_domain, &all, &err))
        return;
    (void)pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->n && !p->closing; i++)
        if (!p->guests[i].worker && sc_is_due(&p->guests[i].plan, now))
            try_one(p, &p->guests[i], &all);
    (void)pthread_mutex_unlock(&p->lock);
}

static bool rest(struct fd_protect *p)
{
    bool stop;

    (void)pthread_mutex_lock(&p->lock);
    if (!p->stop)
        fd_cond_wait_until(&p->changed, &p->lock, flic_now_us() + TICK_US);
    stop = p->stop;
    (void)pthread_mutex_unlock(&p->lock);
    return !stop;
}

static void *run(void *arg)
{
    struct fd_protect *p = arg;

    do {
        for (size_t i = 0; i < PT_GUESTS_MAX; i++)
            reap(p, i);
        reap_strays(p);
        start_due(p);
    } while (rest(p));
    return NULL;
}

/* ---- start and stop ---- */

static void begin_loaded(struct fd_protect *p)
{
    static struct pt_setting settings[PT_GUESTS_MAX];
    struct flic_err err = { 0 };
    size_t n;

    if (pt_file_load(p->daemon->conf.store, settings, &n, &err)) {
        flic_error("%s", err.text);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        p->guests[i].set = settings[i];
        sc_begin(&p->guests[i].plan, settings[i].every_ms * 1000, flic_now_us());
    }
    p->n = n;
    if (n)
        flic_info("%zu guests are protected", n);
}

int fd_protect_start(struct fd_daemon *daemon, struct flic_err *err)
{
    struct fd_protect *p;

    if (!daemon->store)
        return 0;
    p = calloc(1, sizeof(*p));
    if (!p)
        return flic_err_set(err, -ENOMEM, "start protecting: out of memory");
    p->daemon = daemon;
    (void)pthread_mutex_init(&p->lock, NULL);
    fd_cond_init(&p->changed);
    begin_loaded(p);
    daemon->protect = p;
    if (pthread_create(&p->thread, NULL, run, p)) {
        daemon->protect = NULL;
        free(p);
        return flic_err_set(err, -EAGAIN, "start protecting: no thread");
    }
    return 0;
}

void fd_protect_close(struct fd_daemon *daemon)
{
    struct fd_protect *p = daemon->protect;

    if (!p)
        return;
    (void)pthread_mutex_lock(&p->lock);
    p->closing = true;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
}

/* A worker that is still there sees flicd gone, and lets its guest go on by itself. */
void fd_protect_stop(struct fd_daemon *daemon)
{
    struct fd_protect *p = daemon->protect;

    if (!p)
        return;
    (void)pthread_mutex_lock(&p->lock);
    p->closing = p->stop = true;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_join(p->thread, NULL);
    (void)pthread_cond_destroy(&p->changed);
    (void)pthread_mutex_destroy(&p->lock);
    daemon->protect = NULL;
    free(p);
}

/* ---- questions ---- */

static int find_living(struct fd_daemon *daemon, const char *what, struct flx_info *ret_info, struct flic_err *err)
{
    struct domains all = { .n = 0 };
    struct flic_uuid uuid;
    bool is_uuid = flic_uuid_parse(what, &uuid);
    int rc = fd_check_ready(daemon, err);

    if (!rc)
        rc = flx_each_domain(see_domain, &all, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < all.n; i++) {
        if (is_uuid ? !flic_uuid_equal(&uuid, &all.info[i].uuid) : strcmp(what, all.info[i].name) != 0)
            continue;
        *ret_info = all.info[i];
        return 0;
    }
    return flic_err_set(err, FLIC_E_NODOMAIN, "no guest '%s' is running: protection begins with a first checkpoint of it", what);
}

static int take_request(json_t *request, struct pt_setting *ret_set, struct flic_err *err)
{
    json_int_t every = json_integer_value(json_object_get(request, "every_ms")), keep = json_integer_value(json_object_get(request, "keep"));

    if (every < PT_EVERY_MIN_MS || every > PT_EVERY_MAX_MS)
        return flic_err_set(err, FLIC_E_USAGE, "a guest can be protected every 1 s to 24 h");
    if (keep < 1 || keep > PT_KEEP_MAX)
        return flic_err_set(err, FLIC_E_USAGE, "1 to %d checkpoints can be kept", PT_KEEP_MAX);
    ret_set->every_ms = (uint64_t)every;
    ret_set->keep = (unsigned)keep;
    ret_set->ram_only = json_is_true(json_object_get(request, "ram_only"));
    return 0;
}

/* A checkpoint under way ends as it ends: its save is told that it is not protected (any more), or is published and nobody's. */
static void remove_guest(struct fd_protect *p, struct guest *g)
{
    for (size_t i = 0; g->worker && i < PT_GUESTS_MAX; i++) {
        if (p->strays[i])
            continue;
        p->strays[i] = g->worker;
        g->worker = 0;
    }
    *g = p->guests[--p->n];
}

/* With the lock held: a new one, or new settings for one that is there. */
static struct guest *add_guest(struct fd_protect *p, const struct flx_info *info, const struct pt_setting *set, struct flic_err *err)
{
    struct guest *g = find(p, &info->uuid);

    if (!g && p->n == PT_GUESTS_MAX) {
        (void)flic_err_set(err, FLIC_E_FULL_TABLE, "%d guests are protected, which is as many as can be: 'flic unprotect' one", PT_GUESTS_MAX);
        return NULL;
    }
    if (!g) {
        g = &p->guests[p->n++];
        *g = (struct guest){ .fresh = true };
        g->set.guest = info->uuid;
    }
    (void)snprintf(g->set.name, sizeof(g->set.name), "%s", info->name);
    g->set.every_ms = set->every_ms;
    g->set.keep = set->keep;
    g->set.ram_only = set->ram_only;
    sc_begin(&g->plan, set->every_ms * 1000, flic_now_us());
    return g;
}

/* Until a try that began after now has ended; with the lock held. */
static int await_try(struct fd_protect *p, const struct flic_uuid *uuid, uint64_t after, struct flic_err *err)
{
    struct guest *g;

    while ((g = find(p, uuid)) && g->ended <= after && !p->closing) {
        g->awaited++;
        (void)pthread_cond_wait(&p->changed, &p->lock);
        g = find(p, uuid);      /* the table may have moved */
        if (g)
            g->awaited--;
    }
    if (!g)
        return flic_err_set(err, FLIC_E_CANCELLED, "its protection was ended meanwhile");
    if (g->ended <= after)
        return flic_err_set(err, FLIC_E_BUSY, "flicd is stopping");
    return g->code ? flic_err_set(err, g->code, "%s", g->message) : 0;
}

static int protect(struct fd_protect *p, const struct flx_info *info, const struct pt_setting *set, struct flic_err *err)
{
    struct guest *g;
    bool fresh = false;
    int rc = FLIC_E_FULL_TABLE;

    (void)pthread_mutex_lock(&p->lock);
    g = add_guest(p, info, set, err);
    if (g) {
        uint64_t after = g->ended + (g->worker != 0);

        fresh = g->fresh;
        (void)pthread_cond_broadcast(&p->changed);
        rc = await_try(p, &info->uuid, after, err);
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (!g)
        return rc;
    begin_change(p);
    g = find(p, &info->uuid);
    if (g && rc && fresh)
        remove_guest(p, g);
    else if (g)
        g->fresh = false;
    if (write_down(p, rc ? NULL : err) && !rc)
        rc = err->code;
    end_change(p);
    return rc;
}

json_t *fd_protect_on(struct fd_daemon *daemon, json_t *request)
{
    const char *what = json_string_value(json_object_get(request, "domain"));
    struct flic_err err = { 0 };
    struct pt_setting set = { 0 };
    struct ck_entry newest = { .destaged = false };
    char uuid[FLIC_UUID_TEXT];
    struct flx_info info;
    int rc = what ? take_request(request, &set, &err) : flic_err_set(&err, FLIC_E_PROTOCOL, "the request names no guest");

    if (!rc)
        rc = find_living(daemon, what, &info, &err);
    if (!rc)
        rc = protect(daemon->protect, &info, &set, &err);
    if (rc)
        return fd_answer_error(rc, err.text);
    flic_uuid_text(&info.uuid, uuid);
    (void)ck_find(daemon->store, uuid, 0, &newest, NULL);       /* it was just published */
    return json_pack("{s:b, s:s, s:s, s:I, s:I, s:i}", "ok", 1, "domain", info.name, "uuid", uuid, "seq", (json_int_t)newest.info.seq,
                     "every_ms", (json_int_t)set.every_ms, "keep", (int)set.keep);
}

json_t *fd_protect_off(struct fd_daemon *daemon, json_t *request)
{
    const char *what = json_string_value(json_object_get(request, "domain"));
    struct fd_protect *p = daemon->protect;
    struct flic_err err = { 0 };
    char uuid[FLIC_UUID_TEXT] = "", name[256] = "";
    size_t kept = 0;
    int rc = 0;

    begin_change(p);
    for (size_t i = 0; what && i < p->n && !name[0]; i++) {
        struct guest *g = &p->guests[i];

        flic_uuid_text(&g->set.guest, uuid);
        if (strcmp(what, g->set.name) && strcmp(what, uuid))
            continue;
        (void)snprintf(name, sizeof(name), "%s", g->set.name);
        prune(p, &g->set);
        kept = g->set.n_made;
        remove_guest(p, g);
        rc = write_down(p, &err);
        (void)pthread_cond_broadcast(&p->changed);
    }
    end_change(p);
    if (!rc && !name[0])
        rc = flic_err_set(&err, FLIC_E_NODOMAIN, "no guest '%s' is protected: 'flic status' shows those that are", what ? what : "");
    if (rc)
        return fd_answer_error(rc, err.text);
    return json_pack("{s:b, s:s, s:s, s:I}", "ok", 1, "domain", name, "uuid", uuid, "checkpoints_left", (json_int_t)kept);
}

static json_t *describe(struct fd_daemon *daemon, const struct guest *g)
{
    const char *state = g->worker ? "saving" : !g->present ? "absent" : g->code ? "failing" : "waiting";
    uint64_t now_ns = flic_wall_ns();
    char uuid[FLIC_UUID_TEXT];
    struct ck_entry newest;
    json_t *o;

    flic_uuid_text(&g->set.guest, uuid);
    o = json_pack("{s:s, s:s, s:I, s:i, s:b, s:s, s:I, s:I, s:s}", "domain", g->set.name, "uuid", uuid, "every_ms",
                  (json_int_t)g->set.every_ms, "keep", (int)g->set.keep, "ram_only", (int)g->set.ram_only, "state", state,
                  "beats_left_out", (json_int_t)g->plan.left_out, "failures", (json_int_t)g->plan.failures, "message", g->message);
    if (o && !ck_find(daemon->store, uuid, 0, &newest, NULL)) {
        (void)json_object_set_new(o, "last_seq", json_integer((json_int_t)newest.info.seq));
        (void)json_object_set_new(o, "age_ms", json_integer(now_ns > newest.info.taken_ns ?
                                                           (json_int_t)((now_ns - newest.info.taken_ns) / 1000000) : 0));
    }
    return o;
}

json_t *fd_protect_status(struct fd_daemon *daemon)
{
    struct fd_protect *p = daemon->protect;
    json_t *list = json_array();

    if (!p)
        return list;
    (void)pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->n; i++)
        (void)json_array_append_new(list, describe(daemon, &p->guests[i]));
    (void)pthread_mutex_unlock(&p->lock);
    return list;
}
