/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/kept.h"

#include "common/clock.h"
#include "common/log.h"
#include "daemon/arrive.h"
#include "daemon/daemon.h"
#include "daemon/migrate/leaf_take.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT_MAX 4u             /* guests; the oldest gives way */
#define KEPT_S 3600             /* its pages are kept from collections so long */

static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept { struct ck_arrival *arrival; struct ar_kept *disks; struct flic_uuid guest; uint64_t since; } kept[KEPT_MAX];

/* ---- files ---- */

static bool path_of(struct fd_daemon *daemon, const struct flic_uuid *guest, char path[PATH_MAX])
{
    char uuid[FLIC_UUID_TEXT];

    if (snprintf(path, PATH_MAX, "%s/arrivals", daemon->conf.store) >= PATH_MAX || (mkdir(path, 0700) && errno != EEXIST))
        return false;
    flic_uuid_text(guest, uuid);
    return snprintf(path, PATH_MAX, "%s/arrivals/%s", daemon->conf.store, uuid) < PATH_MAX;
}

/* Gone or not: a file that stays costs a look at the next start. */
static void remove_note(struct fd_daemon *daemon, const struct flic_uuid *guest)
{
    char path[PATH_MAX];

    if (path_of(daemon, guest, path))
        (void)unlink(path);
}

void fd_kept_note(struct fd_daemon *daemon, const struct flic_uuid *guest, struct ck_arrival *arrival)
{
    char path[PATH_MAX];

    if (path_of(daemon, guest, path))
        (void)ck_arrival_note(arrival, path, NULL);
}

static struct ck_arrival *recall(struct fd_daemon *daemon, const struct flic_uuid *guest)
{
    struct ck_arrival *arrival = NULL;
    struct flic_err err = { 0 };
    char path[PATH_MAX];

    if (!path_of(daemon, guest, path) || access(path, F_OK))
        return NULL;
    if (!ck_arrival_recall(daemon->store, path, lt_room() / LT_LEAF_COST, &arrival, &err) && flic_uuid_equal(&ck_arrival_facts(arrival)->guest, guest))
        return arrival;
    flic_warn("what arrived of a guest before is not known any more: %s", err.text);
    ck_arrival_free(arrival);
    (void)unlink(path);
    return NULL;
}

/* ---- the table ---- */

static void free_kept(struct kept *k)
{
    ck_arrival_free(k->arrival);
    ar_kept_free(k->disks);
}

static struct kept take(const struct flic_uuid *guest)
{
    struct kept found = { 0 };

    (void)pthread_mutex_lock(&kept_lock);
    for (size_t i = 0; i < KEPT_MAX; i++) {
        if (!kept[i].arrival || !flic_uuid_equal(&kept[i].guest, guest))
            continue;
        found = kept[i];
        kept[i] = (struct kept){ 0 };
    }
    (void)pthread_mutex_unlock(&kept_lock);
    return found;
}

struct ck_arrival *fd_kept_take(struct fd_daemon *daemon, const struct flic_uuid *guest, struct ar_kept **ret_disks)
{
    struct kept found = take(guest);

    if (ret_disks)
        *ret_disks = found.disks;
    else
        ar_kept_free(found.disks);
    return found.arrival ? found.arrival : recall(daemon, guest);
}

/* Where it had one before; else a free place; else the oldest's. kept_lock is held. */
static size_t place_for(const struct flic_uuid *guest)
{
    size_t at = 0;

    for (size_t i = 0; i < KEPT_MAX; i++) {
        if (kept[i].arrival && flic_uuid_equal(&kept[i].guest, guest))
            return i;
        if (kept[at].arrival && (!kept[i].arrival || kept[i].since < kept[at].since))
            at = i;
    }
    return at;
}

/* The oldest, when all together take more memory than arrivals may; that of `but` stays. kept_lock is held. */
static struct kept too_much(const struct flic_uuid *but)
{
    struct kept oldest = { 0 };
    uint64_t bytes = 0;
    size_t at = KEPT_MAX;

    for (size_t i = 0; i < KEPT_MAX; i++) {
        if (!kept[i].arrival)
            continue;
        bytes += ck_arrival_bytes(kept[i].arrival);
        if (!flic_uuid_equal(&kept[i].guest, but) && (at == KEPT_MAX || kept[i].since < kept[at].since))
            at = i;
    }
    if (at < KEPT_MAX && bytes > lt_room()) {
        oldest = kept[at];
        kept[at] = (struct kept){ 0 };
    }
    return oldest;
}

static void drop_too_much(struct fd_daemon *daemon, const struct flic_uuid *but)
{
    struct kept old;

    do {
        (void)pthread_mutex_lock(&kept_lock);
        old = too_much(but);
        (void)pthread_mutex_unlock(&kept_lock);
        if (old.arrival)
            remove_note(daemon, &old.guest);
        free_kept(&old);
    } while (old.arrival);
}

void fd_kept_put(struct fd_daemon *daemon, const struct flic_uuid *guest, struct ck_arrival *arrival, struct ar_kept *disks)
{
    struct kept gives_way;
    size_t at;

    if (!arrival) {
        ar_kept_free(disks);
        return;
    }
    (void)pthread_mutex_lock(&kept_lock);
    at = place_for(guest);
    gives_way = kept[at];
    kept[at] = (struct kept){ arrival, disks, *guest, flic_now_s() };
    (void)pthread_mutex_unlock(&kept_lock);
    if (gives_way.arrival && !flic_uuid_equal(&gives_way.guest, guest))
        remove_note(daemon, &gives_way.guest);
    free_kept(&gives_way);
    drop_too_much(daemon, guest);
}

void fd_kept_drop(struct fd_daemon *daemon, const struct flic_uuid *guest)
{
    struct kept old = take(guest);

    free_kept(&old);
    remove_note(daemon, guest);
}

void fd_kept_expire(struct fd_daemon *daemon)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        struct kept old = { 0 };

        (void)pthread_mutex_lock(&kept_lock);
        if (kept[i].arrival && flic_now_s() - kept[i].since > KEPT_S) {
            old = kept[i];
            kept[i] = (struct kept){ 0 };
        }
        (void)pthread_mutex_unlock(&kept_lock);
        if (old.arrival)
            remove_note(daemon, &old.guest);
        free_kept(&old);
    }
}

void fd_kept_release(void)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        free_kept(&kept[i]);
        kept[i] = (struct kept){ 0 };
    }
}

/* ---- at start ---- */

void fd_kept_load(struct fd_daemon *daemon)
{
    char folder[PATH_MAX];
    struct dirent *entry;
    DIR *dir;

    if (snprintf(folder, sizeof(folder), "%s/arrivals", daemon->conf.store) >= (int)sizeof(folder) || !(dir = opendir(folder)))
        return;                 /* nothing has been noted yet */
    while ((entry = readdir(dir))) {
        struct flic_uuid guest;

        if (flic_uuid_parse(entry->d_name, &guest))
            fd_kept_put(daemon, &guest, recall(daemon, &guest), NULL);
    }
    (void)closedir(dir);
}
