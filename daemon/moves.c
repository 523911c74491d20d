/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/moves.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/daemon.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX 8192u
#define REFUSED_MAX 1000u       /* files of what was refused: whoever may ask can draw ids without end */
#define REFUSED_NS (86400 * UINT64_C(1000000000))       /* no arrival that was refused is still under way then */

static const char *const state_names[] = { [MV_HANDING] = "handing", [MV_GONE] = "gone", [MV_RUNNING] = "running", [MV_REFUSED] = "refused",
                                           [MV_PUSHED] = "pushed", [MV_COPY] = "copy" };
#define N_STATES (sizeof(state_names) / sizeof(state_names[0]))

/* All files together: a decision reads and writes. */
static pthread_mutex_t files = PTHREAD_MUTEX_INITIALIZER;

static int folder_of(const struct fd_daemon *daemon, char path[PATH_MAX], struct flic_err *err)
{
    if (snprintf(path, PATH_MAX, "%s/moves", daemon->conf.store) >= PATH_MAX)
        return flic_err_set(err, FLIC_E_CONFIG, "the store's path is too long");
    return 0;
}

static int path_of(const struct fd_daemon *daemon, const struct flic_uuid *migration, char path[PATH_MAX], struct flic_err *err)
{
    char uuid[FLIC_UUID_TEXT];

    flic_uuid_text(migration, uuid);
    if (snprintf(path, PATH_MAX, "%s/moves/%s.json", daemon->conf.store, uuid) >= PATH_MAX)
        return flic_err_set(err, FLIC_E_CONFIG, "the store's path is too long");
    return 0;
}

/* ---- one file ---- */

static char *to_text(const struct mv_move *m)
{
    char migration[FLIC_UUID_TEXT], guest[FLIC_UUID_TEXT], at[24];
    json_t *json;
    char *text;

    flic_uuid_text(&m->migration, migration);
    flic_uuid_text(&m->guest, guest);
    (void)snprintf(at, sizeof(at), "%llu", (unsigned long long)m->at_ns);
    json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "version", 1, "migration", migration, "guest", guest, "name", m->name,
                     "peer", m->peer, "command", m->command, "state", state_names[m->state], "seq", (json_int_t)m->seq, "domid",
                     (json_int_t)m->domid, "at_ns", at);
    text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    return text;
}

static bool get_text(const json_t *json, const char *member, char *out, size_t room)
{
    const char *text = json_string_value(json_object_get(json, member));

    return text && (size_t)snprintf(out, room, "%s", text) < room;
}

static bool parse(const json_t *json, struct mv_move *m)
{
    char migration[64], guest[64], state[16], at[24];

    *m = (struct mv_move){ 0 };
    if (json_integer_value(json_object_get(json, "version")) != 1 || !get_text(json, "migration", migration, sizeof(migration)) ||
        !get_text(json, "guest", guest, sizeof(guest)) || !get_text(json, "state", state, sizeof(state)) ||
        !get_text(json, "name", m->name, sizeof(m->name)) || !get_text(json, "peer", m->peer, sizeof(m->peer)) ||
        !get_text(json, "command", m->command, sizeof(m->command)) || !get_text(json, "at_ns", at, sizeof(at)) ||
        !flic_uuid_parse(migration, &m->migration) || !flic_uuid_parse(guest, &m->guest))
        return false;
    for (size_t i = 1; i < N_STATES; i++)
        if (!strcmp(state, state_names[i]))
            m->state = (enum mv_state)i;
    m->seq = (uint64_t)json_integer_value(json_object_get(json, "seq"));
    m->domid = (uint32_t)json_integer_value(json_object_get(json, "domid"));
    m->at_ns = strtoull(at, NULL, 10);
    return m->state != 0;
}

static int load(const char *path, struct mv_move *ret, struct flic_err *err)
{
    FLIC_AUTO_FREE void *data = NULL;
    size_t len;
    json_t *json;
    bool good;
    int rc = flic_load_file(path, FILE_MAX, &data, &len, err);

    if (rc)
        return rc;
    json = json_loadb(data, len, 0, NULL);
    good = json && parse(json, ret);
    json_decref(json);
    return good ? 0 : flic_err_set(err, FLIC_E_DAMAGED, "'%s' is not what flicd wrote there", path);
}

static int write_file(struct fd_daemon *daemon, const struct mv_move *move, struct flic_err *err)
{
    FLIC_AUTO_FREE char *text = to_text(move);
    char path[PATH_MAX];
    int rc = folder_of(daemon, path, err);

    if (!rc)
        rc = flic_make_folder(path, 0700, err);
    if (!rc)
        rc = path_of(daemon, &move->migration, path, err);
    if (!rc && !text)
        rc = flic_err_set(err, -ENOMEM, "note a migration: out of memory");
    return rc ? rc : flic_publish_file(path, text, strlen(text), 0600, err);
}

static int read_file(struct fd_daemon *daemon, const struct flic_uuid *migration, struct mv_move *ret, struct flic_err *err)
{
    char path[PATH_MAX];
    int rc = path_of(daemon, migration, path, err);

    if (!rc && access(path, F_OK))
        rc = flic_err_set(err, FLIC_E_NOCHECKPOINT, "no such migration is known here");
    return rc ? rc : load(path, ret, err);
}

int mv_write(struct fd_daemon *daemon, const struct mv_move *move, struct flic_err *err)
{
    struct mv_move stamped = *move;
    int rc;

    stamped.at_ns = flic_wall_ns();
    (void)pthread_mutex_lock(&files);
    rc = write_file(daemon, &stamped, err);
    (void)pthread_mutex_unlock(&files);
    return rc;
}

int mv_read(struct fd_daemon *daemon, const struct flic_uuid *migration, struct mv_move *ret_move, struct flic_err *err)
{
    int rc;

    (void)pthread_mutex_lock(&files);
    rc = read_file(daemon, migration, ret_move, err);
    (void)pthread_mutex_unlock(&files);
    return rc;
}

static int drop_file(struct fd_daemon *daemon, const struct flic_uuid *migration, struct flic_err *err)
{
    char path[PATH_MAX];
    int rc = path_of(daemon, migration, path, err);

    if (!rc && unlink(path))
        return errno == ENOENT ? 0 : flic_err_errno(err, "remove '%s'", path);
    return rc ? rc : flic_sync_parent(path, err);
}

int mv_drop(struct fd_daemon *daemon, const struct flic_uuid *migration, struct flic_err *err)
{
    int rc;

    (void)pthread_mutex_lock(&files);
    rc = drop_file(daemon, migration, err);
    (void)pthread_mutex_unlock(&files);
    return rc;
}

const char *mv_state_name(enum mv_state state) { return state_names[state]; }

int mv_mark(struct flx_dom *dom, const char *key, const struct flic_uuid *migration, struct flic_err *err)
{
    char uuid[FLIC_UUID_TEXT];

    flic_uuid_text(migration, uuid);
    return flx_tell_guest(dom, key, uuid, err);
}

/* ---- all of them ---- */

/* False: it is there and cannot be read. */
static bool add_file(const char *folder, const char *name, struct mv_move **moves, size_t *n, size_t *room)
{
    struct flic_err err = { 0 };
    struct mv_move *more;
    char path[PATH_MAX];

    if (strlen(name) != FLIC_UUID_TEXT - 1 + 5 || strcmp(name + FLIC_UUID_TEXT - 1, ".json") ||
        snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
        return true;
    if (*n == *room) {
        more = realloc(*moves, (*room + 16) * sizeof(**moves));
        if (!more)
            return false;
        *moves = more;
        *room += 16;
    }
    if (load(path, &(*moves)[*n], &err)) {
        flic_warn("a migration is not known any more: %s", err.text);
        return false;
    }
    ++*n;
    return true;
}

/* With the lock held. */
static int list_files(struct fd_daemon *daemon, struct mv_move **ret_moves, size_t *ret_n, bool *ret_all, struct flic_err *err)
{
    char folder[PATH_MAX];
    size_t room = 0;
    struct dirent *entry;
    bool all = true;
    DIR *dir;
    int rc;

    *ret_moves = NULL;
    *ret_n = 0;
    rc = folder_of(daemon, folder, err);
    if (rc)
        return rc;
    dir = opendir(folder);
    if (!dir && errno != ENOENT)        /* there may be no migration yet */
        rc = flic_err_errno(err, "read '%s'", folder);
    while (dir && (entry = readdir(dir)))
        all &= add_file(folder, entry->d_name, ret_moves, ret_n, &room);
    if (dir)
        (void)closedir(dir);
    if (ret_all)
        *ret_all = all;
    return rc;
}

int mv_list(struct fd_daemon *daemon, struct mv_move **ret_moves, size_t *ret_n, bool *ret_all, struct flic_err *err)
{
    int rc;

    (void)pthread_mutex_lock(&files);
    rc = list_files(daemon, ret_moves, ret_n, ret_all, err);
    (void)pthread_mutex_unlock(&files);
    return rc;
}

int mv_find(struct fd_daemon *daemon, const struct flic_uuid *guest, unsigned states, struct mv_move *ret_move)
{
    struct mv_move *moves;
    bool found = false, all;
    size_t n;
    int rc = mv_list(daemon, &moves, &n, &all, NULL);

    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (!flic_uuid_equal(&moves[i].guest, guest) || !(states & 1u << moves[i].state) || (found && moves[i].at_ns < ret_move->at_ns))
            continue;
        *ret_move = moves[i];
        found = true;
    }
    free(moves);
    return found ? 1 : all ? 0 : -EIO;
}

/* ---- running or refused ---- */

/* With the lock held: room for one more that was refused. None that an arrival under way may have yet to see is dropped for it. */
static int make_room(struct fd_daemon *daemon, uint64_t now_ns, struct flic_err *err)
{
    struct mv_move *moves;
    size_t n, refused = 0;
    char path[PATH_MAX];
    bool full;
    int rc = list_files(daemon, &moves, &n, NULL, err);

    for (size_t i = 0; !rc && i < n; i++)
        refused += moves[i].state == MV_REFUSED;
    full = refused >= REFUSED_MAX;
    for (size_t i = 0; !rc && full && i < n; i++)
        if (moves[i].state == MV_REFUSED && now_ns > moves[i].at_ns && now_ns - moves[i].at_ns > REFUSED_NS &&
            !path_of(daemon, &moves[i].migration, path, NULL) && !unlink(path))
            refused--;          /* should it come back after a power cut, it goes again */
    free(moves);
    if (!rc && refused >= REFUSED_MAX)
        rc = flic_err_set(err, FLIC_E_BUSY, "%u migrations that are not known here were asked about within a day: no more are answered until those are "
                          "older; 'flic claim' on the phone that asks decides without", REFUSED_MAX);
    return rc;
}

int mv_decide(struct fd_daemon *daemon, const struct mv_move *as, enum mv_state *ret_state, struct flic_err *err)
{
    struct mv_move there = *as, stamped = *as;
    int rc;

    stamped.at_ns = flic_wall_ns();
    (void)pthread_mutex_lock(&files);
    rc = read_file(daemon, &as->migration, &there, err);
    if (rc == FLIC_E_NOCHECKPOINT) {
        rc = as->state == MV_REFUSED ? make_room(daemon, stamped.at_ns, err) : 0;
        if (!rc)
            rc = write_file(daemon, &stamped, err);
        there.state = as->state;
    }
    (void)pthread_mutex_unlock(&files);
    *ret_state = there.state;
    return rc;
}

/* ---- the right comes ---- */

/* With the lock held: the guest's files that say that it is elsewhere. "running" stays: its sender may not have asked yet. */
static int drop_elsewhere(struct fd_daemon *daemon, const struct flic_uuid *guest, const struct mv_move *moves, size_t n, struct flic_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < n; i++)
        if (flic_uuid_equal(&moves[i].guest, guest) && MV_ELSEWHERE >> moves[i].state & 1)
            rc = drop_file(daemon, &moves[i].migration, err);
    return rc;
}

int mv_forget_guest(struct fd_daemon *daemon, const struct flic_uuid *guest, struct flic_err *err)
{
    struct mv_move *moves;
    size_t n;
    int rc;

    (void)pthread_mutex_lock(&files);
    rc = list_files(daemon, &moves, &n, NULL, err);
    if (!rc)
        rc = drop_elsewhere(daemon, guest, moves, n, err);
    (void)pthread_mutex_unlock(&files);
    free(moves);
    return rc;
}

int mv_take_right(struct fd_daemon *daemon, const struct flic_uuid *guest, bool *ret_begun, struct flic_err *err)
{
    struct mv_move *moves;
    size_t n;
    int rc;

    (void)pthread_mutex_lock(&files);
    rc = list_files(daemon, &moves, &n, NULL, err);
    for (size_t i = 0; !rc && i < n; i++)
        if (flic_uuid_equal(&moves[i].guest, guest) && moves[i].state == MV_HANDING)
            rc = flic_err_set(err, FLIC_E_BUSY, "'%s' is being migrated from here, and it is not known yet whether it arrived: wait, or 'flic claim %s'",
                              moves[i].name, moves[i].name);
    *ret_begun = !rc;
    if (!rc)
        rc = drop_elsewhere(daemon, guest, moves, n, err);
    (void)pthread_mutex_unlock(&files);
    free(moves);
    return rc;
}

static bool has_arrived(const struct mv_move *held, const struct mv_move *moves, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (moves[i].state == MV_RUNNING && moves[i].seq == held->seq && flic_uuid_equal(&moves[i].guest, &held->guest))
            return true;
    return false;
}

void mv_tidy(struct fd_daemon *daemon)
{
    struct flic_err err = { 0 };
    struct mv_move *moves;
    size_t n;

    if (mv_list(daemon, &moves, &n, NULL, NULL))
        return;
    for (size_t i = 0; i < n; i++)
        if (moves[i].state == MV_COPY && has_arrived(&moves[i], moves, n) && mv_drop(daemon, &moves[i].migration, &err))
            flic_warn("'%s' arrived here, but: %s", moves[i].name, err.text);
    free(moves);
}
