/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What each operation did. */
#include "daemon/index/db.h"

static int add(struct ix_index *ix, const struct ix_entry *entry, struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, IX_journal_add);
    int rc = SQLITE_OK;

    if (!stmt)
        return ix_in_use("write the journal", err);
    ix_bind_u64(stmt, 1, entry->began_ns, &rc);
    ix_bind_u64(stmt, 2, entry->took_ns, &rc);
    ix_bind_text(stmt, 3, entry->verb, &rc);
    ix_bind_guest(stmt, 4, &entry->guest, &rc);
    ix_bind_text(stmt, 5, entry->guest_name, &rc);
    ix_bind_u64(stmt, 6, entry->seq, &rc);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int(stmt, 7, entry->code);
    ix_bind_text(stmt, 8, entry->message ? entry->message : "", &rc);
    ix_bind_text(stmt, 9, entry->figures ? entry->figures : "{}", &rc);
    return ix_run(ix, stmt, rc, "write the journal", err);
}

int ix_journal_add(struct ix_index *ix, const struct ix_entry *entry, struct flic_err *err)
{
    int rc;

    pthread_mutex_lock(&ix->lock);
    rc = ix_durable(ix, true, err);
    if (!rc) {
        rc = add(ix, entry, err);
        (void)ix_durable(ix, false, NULL);      /* staying durable would only be slower */
    }
    pthread_mutex_unlock(&ix->lock);
    return rc;
}

static bool read_entry(sqlite3_stmt *stmt, struct ix_entry *ret)
{
    const unsigned char *message = sqlite3_column_text(stmt, 8), *figures = sqlite3_column_text(stmt, 9);

    *ret = (struct ix_entry){
        .id = (uint64_t)sqlite3_column_int64(stmt, 0),
        .began_ns = (uint64_t)sqlite3_column_int64(stmt, 1),
        .took_ns = (uint64_t)sqlite3_column_int64(stmt, 2),
        .seq = (uint64_t)sqlite3_column_int64(stmt, 6),
        .code = sqlite3_column_int(stmt, 7),
        .message = message ? (const char *)message : "",
        .figures = figures ? (const char *)figures : "{}",
    };
    ix_get_text(stmt, 3, ret->verb, sizeof(ret->verb));
    ix_get_text(stmt, 5, ret->guest_name, sizeof(ret->guest_name));
    return ix_get_guest(stmt, 4, &ret->guest);
}

int ix_journal_each(struct ix_index *ix, const struct flic_uuid *guest, uint32_t limit,
                    int (*see)(const struct ix_entry *entry, void *arg), void *arg, struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, guest ? IX_journal_of_guest : IX_journal_all);
    int rc, result = 0;

    if (!stmt)
        return ix_in_use("read the journal", err);
    rc = sqlite3_bind_int64(stmt, 1, limit ? (sqlite3_int64)limit : -1);
    if (guest)
        ix_bind_guest(stmt, 2, guest, &rc);
    while (rc == SQLITE_OK && !result && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ix_entry entry;

        rc = SQLITE_OK;
        result = read_entry(stmt, &entry) ? see(&entry, arg)
               : flic_err_set(err, FLIC_E_DAMAGED, "'%s': a journal entry's guest is not a uuid", ix->path);
    }
    if (rc != SQLITE_OK && rc != SQLITE_DONE)
        result = ix_error(ix, "read the journal", err);
    ix_give(ix, stmt);
    return result;
}
