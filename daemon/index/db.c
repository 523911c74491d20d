/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/index/db.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int io_error(struct ix_index *ix, int fallback)
{
    int sys = sqlite3_system_errno(ix->db);

    if (sys == ENOSPC || sys == EDQUOT)
        return FLIC_E_NOSPACE;
    return sys ? -sys : fallback;
}

static int code_of(struct ix_index *ix)
{
    switch (sqlite3_errcode(ix->db) & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
        return FLIC_E_DAMAGED;
    case SQLITE_FULL:
        return FLIC_E_NOSPACE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return FLIC_E_BUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
        return -EACCES;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return io_error(ix, -EIO);
    default:
        return FLIC_E_INTERNAL;
    }
}

/* After an ix_replace() that failed. */
static int not_open(struct ix_index *ix, const char *what, struct flic_err *err)
{
    return flic_err_set(err, FLIC_E_DAMAGED, "%s: '%s' was set aside and could not be made anew", what, ix->path);
}

int ix_error(struct ix_index *ix, const char *what, struct flic_err *err)
{
    int code;

    if (!ix->db)
        return not_open(ix, what, err);
    code = code_of(ix);
    return flic_err_set(err, code, "%s in '%s': %s%s", what, ix->path, sqlite3_errmsg(ix->db),
                        code == FLIC_E_NOSPACE ? "; make room there, or forget checkpoints (flic forget)" : "");
}

sqlite3_stmt *ix_take(struct ix_index *ix, enum ix_stmt which)
{
    sqlite3_stmt *stmt;

    pthread_mutex_lock(&ix->lock);
    stmt = ix->stmts[which];
    if (stmt && !sqlite3_stmt_busy(stmt))
        return stmt;
    pthread_mutex_unlock(&ix->lock);
    return NULL;
}

void ix_give(struct ix_index *ix, sqlite3_stmt *stmt)
{
    (void)sqlite3_reset(stmt);              /* repeats the error of the last step, which was told */
    (void)sqlite3_clear_bindings(stmt);
    pthread_mutex_unlock(&ix->lock);
}

int ix_in_use(struct ix_index *ix, const char *what, struct flic_err *err)
{
    bool is_open;

    pthread_mutex_lock(&ix->lock);
    is_open = ix->db;
    pthread_mutex_unlock(&ix->lock);
    if (!is_open)
        return not_open(ix, what, err);
    return flic_err_set(err, FLIC_E_INTERNAL, "%s: called from within itself", what);
}

void ix_bind_u64(sqlite3_stmt *stmt, int at, uint64_t value, int *rc)
{
    if (*rc != SQLITE_OK)
        return;
    *rc = value > INT64_MAX ? SQLITE_RANGE : sqlite3_bind_int64(stmt, at, (sqlite3_int64)value);
}

void ix_bind_text(sqlite3_stmt *stmt, int at, const char *text, int *rc)
{
    if (*rc == SQLITE_OK)
        *rc = sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
}

void ix_bind_guest(sqlite3_stmt *stmt, int at, const struct flic_uuid *guest, int *rc)
{
    if (*rc == SQLITE_OK)
        *rc = sqlite3_bind_blob(stmt, at, guest->b, sizeof(guest->b), SQLITE_STATIC);
}

int ix_run(struct ix_index *ix, sqlite3_stmt *stmt, int rc, const char *what, struct flic_err *err)
{
    int code = 0;

    if (rc == SQLITE_NOMEM)
        code = flic_err_set(err, -ENOMEM, "%s: out of memory", what);
    else if (rc != SQLITE_OK)
        code = flic_err_set(err, FLIC_E_INTERNAL, "%s: a figure beyond 2^63", what);
    else if (sqlite3_step(stmt) != SQLITE_DONE)
        code = ix_error(ix, what, err);
    ix_give(ix, stmt);
    return code;
}

int ix_do(struct ix_index *ix, enum ix_stmt which, const char *what, struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, which);

    return stmt ? ix_run(ix, stmt, SQLITE_OK, what, err) : ix_in_use(ix, what, err);
}

void ix_get_text(sqlite3_stmt *stmt, int at, char *ret, size_t size)
{
    const unsigned char *text = sqlite3_column_text(stmt, at);

    (void)snprintf(ret, size, "%s", text ? (const char *)text : "");    /* a cut name is still a name */
}

bool ix_get_guest(sqlite3_stmt *stmt, int at, struct flic_uuid *ret_guest)
{
    const void *blob = sqlite3_column_blob(stmt, at);

    if (!blob || sqlite3_column_bytes(stmt, at) != (int)sizeof(ret_guest->b))
        return false;
    memcpy(ret_guest->b, blob, sizeof(ret_guest->b));
    return true;
}
