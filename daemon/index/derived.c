/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Checkpoints and packs: what can be rebuilt; and the sequence counters, which count them. */
#include "daemon/index/db.h"

#include <errno.h>
#include <limits.h>

/* Notes that a synchronisation put this row; outside of one there is nothing to note. */
static int saw_checkpoint(struct ix_index *ix, const struct flic_uuid *guest, uint64_t seq, struct flic_err *err)
{
    sqlite3_stmt *stmt;
    int rc = SQLITE_OK;

    if (!ix->syncing)
        return 0;
    stmt = ix_take(ix, IX_saw_checkpoint);
    if (!stmt)
        return ix_in_use(ix, "note a checkpoint", err);
    ix_bind_guest(stmt, 1, guest, &rc);
    ix_bind_u64(stmt, 2, seq, &rc);
    return ix_run(ix, stmt, rc, "note a checkpoint", err);
}

int ix_put_checkpoint(struct ix_index *ix, const struct ix_checkpoint *ck, struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, IX_put_checkpoint);
    int rc = SQLITE_OK;

    if (!stmt)
        return ix_in_use(ix, "write a checkpoint", err);
    ix_bind_guest(stmt, 1, &ck->guest, &rc);
    ix_bind_u64(stmt, 2, ck->seq, &rc);
    ix_bind_text(stmt, 3, ck->name, &rc);
    ix_bind_u64(stmt, 4, ck->taken_ns, &rc);
    ix_bind_u64(stmt, 5, ck->ram_bytes, &rc);
    ix_bind_u64(stmt, 6, ck->working_set_bytes, &rc);
    ix_bind_u64(stmt, 7, ck->places, &rc);
    ix_bind_u64(stmt, 8, ck->restored, &rc);
    ix_bind_text(stmt, 9, ck->arch, &rc);
    rc = ix_run(ix, stmt, rc, "write a checkpoint", err);
    return rc ? rc : saw_checkpoint(ix, &ck->guest, ck->seq, err);
}

int ix_drop_checkpoint(struct ix_index *ix, const struct flic_uuid *guest, uint64_t seq, struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, IX_drop_checkpoint);
    int rc = SQLITE_OK;

    if (!stmt)
        return ix_in_use(ix, "drop a checkpoint", err);
    ix_bind_guest(stmt, 1, guest, &rc);
    ix_bind_u64(stmt, 2, seq, &rc);
    return ix_run(ix, stmt, rc, "drop a checkpoint", err);
}

static bool read_checkpoint(sqlite3_stmt *stmt, struct ix_checkpoint *ret)
{
    *ret = (struct ix_checkpoint){
        .seq = (uint64_t)sqlite3_column_int64(stmt, 1),
        .taken_ns = (uint64_t)sqlite3_column_int64(stmt, 3),
        .ram_bytes = (uint64_t)sqlite3_column_int64(stmt, 4),
        .working_set_bytes = (uint64_t)sqlite3_column_int64(stmt, 5),
        .places = (uint32_t)sqlite3_column_int64(stmt, 6),
        .restored = (uint32_t)sqlite3_column_int64(stmt, 7),
    };
    ix_get_text(stmt, 2, ret->name, sizeof(ret->name));
    ix_get_text(stmt, 8, ret->arch, sizeof(ret->arch));
    return ix_get_guest(stmt, 0, &ret->guest);
}

int ix_each_checkpoint(struct ix_index *ix, const struct flic_uuid *guest,
                       int (*see)(const struct ix_checkpoint *ck, void *arg), void *arg, struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, guest ? IX_checkpoints_of_guest : IX_all_checkpoints);
    int rc = SQLITE_OK, result = 0;

    if (!stmt)
        return ix_in_use(ix, "list the checkpoints", err);
    if (guest)
        ix_bind_guest(stmt, 1, guest, &rc);
    while (rc == SQLITE_OK && !result && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ix_checkpoint ck;

        rc = SQLITE_OK;
        result = read_checkpoint(stmt, &ck) ? see(&ck, arg)
               : flic_err_set(err, FLIC_E_DAMAGED, "'%s': a checkpoint's guest is not a uuid", ix->path);
    }
    if (rc != SQLITE_OK && rc != SQLITE_DONE)
        result = ix_error(ix, "list the checkpoints", err);
    ix_give(ix, stmt);
    return result;
}

/* ---- sequence numbers ---- */

/* Inserts or counts up, and reads the result; a second step completes the write. */
static int count_up(struct ix_index *ix, sqlite3_stmt *stmt, uint64_t *ret_seq, struct flic_err *err)
{
    uint64_t seq;

    if (sqlite3_step(stmt) != SQLITE_ROW)
        return ix_error(ix, "number a checkpoint", err);
    seq = (uint64_t)sqlite3_column_int64(stmt, 0);
    if (sqlite3_step(stmt) != SQLITE_DONE)
        return ix_error(ix, "number a checkpoint", err);
    *ret_seq = seq;
    return 0;
}

static int next_seq(struct ix_index *ix, const struct flic_uuid *guest, uint64_t at_least, uint64_t *ret_seq,
                    struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, IX_next_seq);
    int rc = SQLITE_OK;

    if (!stmt)
        return ix_in_use(ix, "number a checkpoint", err);
    ix_bind_guest(stmt, 1, guest, &rc);
    ix_bind_u64(stmt, 2, at_least, &rc);
    rc = rc == SQLITE_OK ? count_up(ix, stmt, ret_seq, err)
       : flic_err_set(err, FLIC_E_INTERNAL, "number a checkpoint: %llu is beyond 2^63", (unsigned long long)at_least);
    ix_give(ix, stmt);
    return rc;
}

int ix_next_seq(struct ix_index *ix, const struct flic_uuid *guest, uint64_t at_least, uint64_t *ret_seq,
                struct flic_err *err)
{
    uint64_t seq = 0;
    int rc;

    pthread_mutex_lock(&ix->lock);
    rc = ix_durable(ix, true, err);
    if (!rc) {
        rc = next_seq(ix, guest, at_least, &seq, err);
        (void)ix_durable(ix, false, NULL);      /* staying durable would only be slower */
    }
    pthread_mutex_unlock(&ix->lock);
    if (!rc)
        *ret_seq = seq;
    return rc;
}

/* ---- packs ---- */

static int saw_pack(struct ix_index *ix, uint32_t number, struct flic_err *err)
{
    sqlite3_stmt *stmt;
    int rc = SQLITE_OK;

    if (!ix->syncing)
        return 0;
    stmt = ix_take(ix, IX_saw_pack);
    if (!stmt)
        return ix_in_use(ix, "note a pack", err);
    ix_bind_u64(stmt, 1, number, &rc);
    return ix_run(ix, stmt, rc, "note a pack", err);
}

int ix_put_pack(struct ix_index *ix, uint32_t number, uint64_t bytes, uint32_t objects,
                const void *run, size_t run_len, struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, IX_put_pack);
    int rc = SQLITE_OK;

    if (!stmt)
        return ix_in_use(ix, "write a pack", err);
    ix_bind_u64(stmt, 1, number, &rc);
    ix_bind_u64(stmt, 2, bytes, &rc);
    ix_bind_u64(stmt, 3, objects, &rc);
    if (rc == SQLITE_OK)
        rc = run_len ? sqlite3_bind_blob64(stmt, 4, run, run_len, SQLITE_STATIC) : sqlite3_bind_zeroblob(stmt, 4, 0);
    rc = ix_run(ix, stmt, rc, "write a pack", err);
    return rc ? rc : saw_pack(ix, number, err);
}

int ix_drop_pack(struct ix_index *ix, uint32_t number, struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, IX_drop_pack);
    int rc = SQLITE_OK;

    if (!stmt)
        return ix_in_use(ix, "drop a pack", err);
    ix_bind_u64(stmt, 1, number, &rc);
    return ix_run(ix, stmt, rc, "drop a pack", err);
}

int ix_each_run(struct ix_index *ix, int (*see)(uint32_t number, const uint8_t *run, size_t len, void *arg), void *arg, struct flic_err *err)
{
    sqlite3_stmt *stmt = ix_take(ix, IX_all_runs);
    int rc = SQLITE_OK, result = 0;

    if (!stmt)
        return ix_in_use(ix, "read what packs hold", err);
    while (!result && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        result = see((uint32_t)sqlite3_column_int64(stmt, 0), sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1), arg);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        result = ix_error(ix, "read what packs hold", err);
    ix_give(ix, stmt);
    return result;
}

/* ---- replacing all of it ---- */

int ix_begin_sync(struct ix_index *ix, struct flic_err *err)
{
    int rc;

    pthread_mutex_lock(&ix->lock);      /* until ix_end_sync() */
    if (ix->syncing) {
        pthread_mutex_unlock(&ix->lock);
        return ix_in_use(ix, "synchronise the index", err);
    }
    rc = ix_do(ix, IX_forget_seen_checkpoints, "synchronise", err);
    if (!rc)
        rc = ix_do(ix, IX_forget_seen_packs, "synchronise", err);
    if (!rc)
        rc = ix_do(ix, IX_begin, "synchronise", err);
    if (rc)
        pthread_mutex_unlock(&ix->lock);
    else
        ix->syncing = true;
    return rc;
}

static int commit_sync(struct ix_index *ix, struct flic_err *err)
{
    int rc = ix_do(ix, IX_drop_unseen_checkpoints, "synchronise", err);

    if (!rc)
        rc = ix_do(ix, IX_drop_unseen_packs, "synchronise", err);
    if (!rc)
        rc = ix_do(ix, IX_commit, "synchronise", err);
    return rc;
}

int ix_end_sync(struct ix_index *ix, bool commit, struct flic_err *err)
{
    int rc = 0;

    pthread_mutex_lock(&ix->lock);
    if (!ix->syncing) {
        pthread_mutex_unlock(&ix->lock);
        return flic_err_set(err, FLIC_E_INTERNAL, "no synchronisation of the index was begun");
    }
    if (commit)
        rc = commit_sync(ix, err);
    if (!sqlite3_get_autocommit(ix->db))        /* not committed, and SQLite did not roll back by itself */
        (void)ix_do(ix, IX_rollback, "synchronise", NULL);
    ix->syncing = false;
    pthread_mutex_unlock(&ix->lock);
    pthread_mutex_unlock(&ix->lock);    /* the one of ix_begin_sync() */
    return rc;
}
