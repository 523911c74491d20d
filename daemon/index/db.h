/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * db - the connection, its prepared statements, and SQLite's errors in our terms. Private to daemon/index.
 *
 * A statement is used between ix_take() and ix_give(), which hold the index's (recursive) lock.
 */
#ifndef FLIC_DAEMON_INDEX_DB_H
#define FLIC_DAEMON_INDEX_DB_H

#include <pthread.h>
#include <sqlite3.h>
#include <sys/types.h>

#include "daemon/index/index.h"
#include "daemon/index/sql.h"

enum ix_stmt {
#define X(name, text) IX_##name,
    SQL_STATEMENTS(X)
#undef X
    IX_STATEMENTS
};

struct ix_index {
    char *path;
    sqlite3 *db;
    pthread_mutex_t lock;
    ino_t inode;                /* of the file that is open */
    bool syncing;
    sqlite3_stmt *stmts[IX_STATEMENTS];
};

/* FLIC_E_DAMAGED, FLIC_E_NOSPACE, FLIC_E_BUSY, -errno ... for what SQLite last said; "<what> in '<path>': ...". */
int ix_error(struct ix_index *ix, const char *what, struct flic_err *err);

/* Locks and gives the statement, reset and without values. NULL, unlocked, when a walk is using it. */
sqlite3_stmt *ix_take(struct ix_index *ix, enum ix_stmt which);
/* Ends what ix_take() began. */
void ix_give(struct ix_index *ix, sqlite3_stmt *stmt);
int ix_in_use(struct ix_index *ix, const char *what, struct flic_err *err);

/* Binding; the first error sticks in *rc (SQLITE_OK at the start). Texts and blobs are borrowed until ix_give(). */
void ix_bind_u64(sqlite3_stmt *stmt, int at, uint64_t value, int *rc);
void ix_bind_text(sqlite3_stmt *stmt, int at, const char *text, int *rc);
void ix_bind_guest(sqlite3_stmt *stmt, int at, const struct flic_uuid *guest, int *rc);

/* Runs a statement that returns no row, if binding went well (`rc`), and gives it back. */
int ix_run(struct ix_index *ix, sqlite3_stmt *stmt, int rc, const char *what, struct flic_err *err);

/* Runs a statement without values. */
int ix_do(struct ix_index *ix, enum ix_stmt which, const char *what, struct flic_err *err);

/* From now on a commit is durable when it returns (or no longer need be). Refused inside a synchronisation. */
int ix_durable(struct ix_index *ix, bool on, struct flic_err *err);

/* Column readers that never overrun: cut text, a wrong length of guest is false. */
void ix_get_text(sqlite3_stmt *stmt, int at, char *ret, size_t size);
bool ix_get_guest(sqlite3_stmt *stmt, int at, struct flic_uuid *ret_guest);

#endif
