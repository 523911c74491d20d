/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What each operation did. */
#include "daemon/index/db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add(struct ix_index *ix, const struct ix_entry *entry, struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, IX_journal_add);
    int rc = SQLITE_OK;

    if (!stmt)
        return ix_in_use(ix, "write the journal", err);
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

int ix_journal_trim(struct ix_index *ix, uint32_t keep, struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, IX_journal_trim);

    return stmt ? ix_run(ix, stmt, sqlite3_bind_int64(stmt, 1, keep), "shorten the journal", err) : ix_in_use(ix, "shorten the journal", err);
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

/* ---- reading: so many at a time, then the index is free for others until they have been looked at ---- */

#define BATCH 64u

struct kept {
    struct ix_entry entry;
    char *message, *figures;    /* what its pointers point to */
};

static int keep(struct ix_index *ix, sqlite3_stmt *stmt, struct kept *ret, struct flic_err *err)
{
    struct ix_entry *e = &ret->entry;

    if (!read_entry(stmt, e))
        return flic_err_set(err, FLIC_E_DAMAGED, "'%s': a journal entry's guest is not a uuid", ix->path);
    e->message = ret->message = strdup(e->message);
    e->figures = ret->figures = strdup(e->figures);
    return e->message && e->figures ? 0 : flic_err_set(err, -ENOMEM, "read the journal: out of memory");
}

/* `batch` is all zeros; what it has of them is the caller's to free, also after an error. */
static int read_batch(struct ix_index *ix, const struct flic_uuid *guest, uint64_t before, struct kept batch[BATCH], unsigned *ret_n,
                      struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, guest ? IX_journal_of_guest : IX_journal_all);
    int rc, result = 0;

    *ret_n = 0;
    if (!stmt)
        return ix_in_use(ix, "read the journal", err);
    rc = sqlite3_bind_int64(stmt, 1, BATCH);
    ix_bind_u64(stmt, 2, before, &rc);
    if (guest)
        ix_bind_guest(stmt, 3, guest, &rc);
    while (rc == SQLITE_OK && !result && *ret_n < BATCH && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = SQLITE_OK;
        result = keep(ix, stmt, &batch[(*ret_n)++], err);
    }
    if (rc != SQLITE_OK && rc != SQLITE_DONE)
        result = ix_error(ix, "read the journal", err);
    ix_give(ix, stmt);
    return result;
}

int ix_journal_each(struct ix_index *ix, const struct flic_uuid *guest, uint64_t before,
                    int (*see)(const struct ix_entry *entry, void *arg), void *arg, struct flic_err *err)
{
    unsigned n = BATCH;
    int result = 0;

    if (!before || before > INT64_MAX)
        before = INT64_MAX;
    while (!result && n == BATCH) {
        struct kept batch[BATCH] = { 0 };

        result = read_batch(ix, guest, before, batch, &n, err);
        for (unsigned i = 0; i < n; i++) {
            if (!result)
                result = see(&batch[i].entry, arg);
            before = batch[i].entry.id;
            free(batch[i].message);
            free(batch[i].figures);
        }
    }
    return result;
}
