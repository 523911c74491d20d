/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Opening: whose file it is, whether it is sound, which version it has. */
#include "daemon/index/db.h"

#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define APPLICATION_ID 0x464c4943       /* "FLIC"; 0001_init.sql sets it */

static const char *const migrations[] = { SQL_MIGRATIONS };
#define NEWEST ((int)(sizeof(migrations) / sizeof(migrations[0])))

#define X(name, text) static const char sql_##name[] = text;
SQL_OPEN(X)
#undef X

static const char *const statement_texts[] = {
#define X(name, text) text,
    SQL_STATEMENTS(X)
#undef X
};

static void to_log(void *arg, int code, const char *message)
{
    (void)arg;
    flic_debug("sqlite says (%d): %s", code, message);
}

static void configure_once(void)
{
    /* Refused only when something initialised SQLite before us; then its messages go nowhere, as by default. */
    (void)sqlite3_config(SQLITE_CONFIG_LOG, to_log, NULL);
}

/* The first column of the first row as a number. */
static int ask(struct ix_index *ix, const char *sql, int *ret_value, struct flic_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = 0;

    if (sqlite3_prepare_v2(ix->db, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW)
        rc = ix_error(ix, "read", err);
    else
        *ret_value = sqlite3_column_int(stmt, 0);
    (void)sqlite3_finalize(stmt);       /* repeats the error told above */
    return rc;
}

static int execute(struct ix_index *ix, const char *sql, const char *what, struct flic_err *err)
{
    return sqlite3_exec(ix->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : ix_error(ix, what, err);
}

static int check_sound(struct ix_index *ix, struct flic_err *err)
{
    sqlite3_stmt *stmt = NULL;
    const unsigned char *verdict;
    int rc = 0;

    if (sqlite3_prepare_v2(ix->db, sql_check, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW) {
        rc = ix_error(ix, "check", err);
    } else {
        verdict = sqlite3_column_text(stmt, 0);
        if (!verdict || strcmp((const char *)verdict, "ok"))
            rc = flic_err_set(err, FLIC_E_DAMAGED, "'%s' is damaged: %s", ix->path,
                              verdict ? (const char *)verdict : "no verdict");
    }
    (void)sqlite3_finalize(stmt);
    return rc;
}

/* Ours, empty, or somebody else's; *ret_version is 0 for an empty file. */
static int check_owner(struct ix_index *ix, int *ret_version, struct flic_err *err)
{
    int id, objects;
    int rc = ask(ix, sql_application_id, &id, err);

    if (!rc)
        rc = ask(ix, sql_objects, &objects, err);
    if (!rc)
        rc = ask(ix, sql_user_version, ret_version, err);
    if (rc)
        return rc;
    if (id != APPLICATION_ID && (id || objects))
        return flic_err_set(err, FLIC_E_FOREIGN, "'%s' is the database of another program", ix->path);
    if (*ret_version > NEWEST)
        return flic_err_set(err, FLIC_E_VERSION,
                            "'%s' has version %d, this build of FLIC knows %d; use the newer flicd", ix->path,
                            *ret_version, NEWEST);
    if (*ret_version < 0 || (!*ret_version && objects))
        return flic_err_set(err, FLIC_E_DAMAGED, "'%s' is damaged: it says that it has version %d", ix->path,
                            *ret_version);
    return 0;
}

static int migrate(struct ix_index *ix, int version, struct flic_err *err)
{
    int rc = 0;

    while (!rc && version < NEWEST) {
        rc = execute(ix, migrations[version++], "upgrade", err);
        if (rc)
            (void)sqlite3_exec(ix->db, sql_undo, NULL, NULL, NULL);     /* the first error is the one to tell */
    }
    return rc;
}

static int prepare_all(struct ix_index *ix, struct flic_err *err)
{
    for (int i = 0; i < IX_STATEMENTS; i++)
        if (sqlite3_prepare_v3(ix->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT, &ix->stmts[i], NULL))
            return ix_error(ix, "prepare a statement", err);
    return 0;
}

/* Not readable by others from the first byte on: it names guests. */
static int create_file(const char *path, struct flic_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST)
        return 0;
    if (fd < 0)
        return flic_err_errno(err, "create '%s'", path);
    (void)close(fd);        /* empty */
    return flic_sync_parent(path, err);
}

static int connect_file(struct ix_index *ix, struct flic_err *err)
{
    struct stat st;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    int rc = create_file(ix->path, err);

    if (rc)
        return rc;
    if (sqlite3_open_v2(ix->path, &ix->db, flags, NULL) != SQLITE_OK)
        return ix->db ? ix_error(ix, "open", err) : flic_err_set(err, -ENOMEM, "open '%s': out of memory", ix->path);
    ix->inode = stat(ix->path, &st) ? 0 : st.st_ino;
    (void)sqlite3_extended_result_codes(ix->db, 1);
    (void)sqlite3_db_config(ix->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return execute(ix, sql_connect, "set up", err);
}

/* Nothing is written to the file before it is known to be ours, sound and not newer than we are. */
static int open_connection(struct ix_index *ix, struct flic_err *err)
{
    int version = 0;
    int rc = connect_file(ix, err);

    if (!rc)
        rc = check_owner(ix, &version, err);
    if (!rc)
        rc = check_sound(ix, err);
    if (!rc)
        rc = execute(ix, sql_wal, "set up", err);
    if (!rc)
        rc = migrate(ix, version, err);
    if (!rc)
        rc = execute(ix, SQL_SESSION, "set up", err);
    if (!rc)
        rc = prepare_all(ix, err);
    return rc;
}

int ix_durable(struct ix_index *ix, bool on, struct flic_err *err)
{
    if (ix->syncing)
        return flic_err_set(err, FLIC_E_INTERNAL, "a durable write was asked for during a synchronisation of the index");
    return execute(ix, on ? sql_durable : sql_relaxed, "set how durable writes are", err);
}

static struct ix_index *index_new(const char *path)
{
    struct ix_index *ix = calloc(1, sizeof(*ix));
    pthread_mutexattr_t attr;

    if (!ix)
        return NULL;
    (void)pthread_mutexattr_init(&attr);    /* none of these can fail on Linux with these arguments */
    (void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    (void)pthread_mutex_init(&ix->lock, &attr);
    (void)pthread_mutexattr_destroy(&attr);
    ix->path = strdup(path);
    if (!ix->path) {
        ix_close(ix);
        return NULL;
    }
    return ix;
}

int ix_open(const char *path, struct ix_index **ret_index, struct flic_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct ix_index *ix;
    int rc;

    (void)pthread_once(&once, configure_once);
    ix = index_new(path);
    if (!ix)
        return flic_err_set(err, -ENOMEM, "open '%s': out of memory", path);
    rc = open_connection(ix, err);
    if (rc)
        ix_close(ix);
    else
        *ret_index = ix;
    return rc;
}

static void disconnect(struct ix_index *ix)
{
    for (int i = 0; i < IX_STATEMENTS; i++) {
        (void)sqlite3_finalize(ix->stmts[i]);   /* repeats errors that were told */
        ix->stmts[i] = NULL;
    }
    (void)sqlite3_close(ix->db);                /* no statement is left that could keep it open */
    ix->db = NULL;
}

void ix_close(struct ix_index *ix)
{
    if (!ix)
        return;
    disconnect(ix);
    (void)pthread_mutex_destroy(&ix->lock);
    free(ix->path);
    free(ix);
}

/* ---- while it is open ---- */

static int check_file(struct ix_index *ix, struct flic_err *err)
{
    struct stat at_path;

    if (!ix->db)
        return flic_err_set(err, FLIC_E_DAMAGED, "'%s' could not be opened again", ix->path);
    if (stat(ix->path, &at_path) || at_path.st_ino != ix->inode)
        return flic_err_set(err, FLIC_E_DAMAGED, "'%s' was removed or replaced while it was open", ix->path);
    return check_sound(ix, err);
}

int ix_check(struct ix_index *ix, struct flic_err *err)
{
    int rc;

    (void)pthread_mutex_lock(&ix->lock);
    rc = check_file(ix, err);
    (void)pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ix_replace(struct ix_index *ix, struct flic_err *err)
{
    int rc;

    (void)pthread_mutex_lock(&ix->lock);
    disconnect(ix);
    rc = ix_set_aside(ix->path, err);
    if (!rc)
        rc = open_connection(ix, err);
    if (rc)
        disconnect(ix);
    (void)pthread_mutex_unlock(&ix->lock);
    return rc;
}

int ix_set_aside(const char *path, struct flic_err *err)
{
    static const char *const ends[] = { "-wal", "-shm", "" };
    char from[PATH_MAX], to[PATH_MAX];

    /* The main file last: as long as it has its name, this can be done again. */
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (snprintf(from, sizeof(from), "%s%s", path, ends[i]) >= (int)sizeof(from) ||
            snprintf(to, sizeof(to), "%s.damaged%s", path, ends[i]) >= (int)sizeof(to))
            return flic_err_set(err, -ENAMETOOLONG, "'%s': path too long", path);
        if (rename(from, to) && errno != ENOENT)
            return flic_err_errno(err, "rename '%s' to '%s'", from, to);
    }
    return flic_sync_parent(path, err);
}
