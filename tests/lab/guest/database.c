/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * SQLite on the PV disk: each transaction moves money between two of 1,000 accounts and writes a ledger row. The sum
 * never changes, and memory remembers how many transactions were committed: a lost or repeated one shows.
 */
#include "part.h"
#include "pattern.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNTS 1000
#define START_SUM (ACCOUNTS * 1000)
#define LEDGER_ROWS 20000
#define PER_SECOND 10
#define VERIFY_EVERY 300 /* transactions */

static sqlite3 *db;
static uint64_t chance;
static long long committed;

static bool run_sql(struct part *p, const char *sql)
{
    char *message = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK)
        return true;
    part_error(p, "%.40s: %s", sql, message ? message : "no message");
    sqlite3_free(message);
    return false;
}

static void start(struct part *p)
{
    chance = p->config->seed * 2 + 3;
    if (sqlite3_open("/disk/load.db", &db) != SQLITE_OK) {
        part_error(p, "cannot open the database");
        return;
    }
    run_sql(p, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;"
               "BEGIN;"
               "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);"
               "CREATE TABLE ledger (id INTEGER PRIMARY KEY, debit INTEGER, credit INTEGER, amount INTEGER, note TEXT);"
               "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
               "  INSERT INTO account SELECT i, 1000 FROM n;"
               "COMMIT;");
}

static long long number(struct part *p, const char *sql)
{
    sqlite3_stmt *s = NULL;
    long long value = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        value = sqlite3_column_int64(s, 0);
    else
        part_error(p, "%.40s: %s", sql, sqlite3_errmsg(db));
    sqlite3_finalize(s);
    return value;
}

static void check_integrity(struct part *p)
{
    sqlite3_stmt *s = NULL;
    const char *says = "nothing";

    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        says = (const char *)sqlite3_column_text(s, 0);
    if (says == NULL || strcmp(says, "ok") != 0)
        part_error(p, "integrity_check: %s", says ? says : "no memory");
    sqlite3_finalize(s);
}

static void verify(struct part *p)
{
    long long sum, last, rows;

    /* What SQLite holds in its own cache is dropped: the disk has to answer. */
    sqlite3_db_release_memory(db);
    check_integrity(p);
    sum = number(p, "SELECT sum(balance) FROM account");
    last = number(p, "SELECT coalesce(max(id), 0) FROM ledger");
    rows = number(p, "SELECT count(*) FROM ledger");
    if (sum != START_SUM)
        part_error(p, "the balances add up to %lld, not %d", sum, START_SUM);
    if (last != committed)
        part_error(p, "the last ledger row is %lld, but %lld were committed", last, committed);
    if (rows != (committed < LEDGER_ROWS ? committed : LEDGER_ROWS))
        part_error(p, "the ledger has %lld rows after %lld transactions", rows, committed);
    p->checks++;
    part_summary(p, "\"db_transactions\":%lld,\"db_rows\":%lld", committed, rows);
}

static void step(struct part *p)
{
    unsigned from = 1 + (unsigned)(random_next(&chance) % ACCOUNTS), to = 1 + (unsigned)(random_next(&chance) % ACCOUNTS);
    unsigned amount = 1 + (unsigned)(random_next(&chance) % 50);
    char sql[640];

    snprintf(sql, sizeof(sql),
             "BEGIN IMMEDIATE;"
             "UPDATE account SET balance = balance - %u WHERE id = %u;"
             "UPDATE account SET balance = balance + %u WHERE id = %u;"
             "INSERT INTO ledger VALUES (%lld, %u, %u, %u, hex(randomblob(60)));"
             "DELETE FROM ledger WHERE id <= %lld;"
             "COMMIT;", amount, from, amount, to, committed + 1, from, to, amount, committed + 1 - LEDGER_ROWS);
    if (run_sql(p, sql))
        committed++;
    else
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    p->work++;
    if (p->work % VERIFY_EVERY == 0)
        verify(p);
    pace(p, 1, PER_SECOND * p->config->rate);
}

struct part database_part = { .name = "db", .start = start, .step = step, .verify = verify };
