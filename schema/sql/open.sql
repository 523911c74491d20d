-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Copyright (C) 2026 The FLIC authors
-- What is run while the file is being opened, before its tables can be counted on; and the settings that SQLite applies
-- when it parses them, which therefore cannot be prepared once.

-- name: connect
-- An exclusive lock keeps SQLite's shared memory file off the flash, and other processes out. What the file says is not
-- trusted: no functions from its schema, cell sizes checked.
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA mmap_size = 0;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA synchronous = FULL;

-- name: application_id
PRAGMA application_id;

-- name: objects
SELECT count(*) FROM sqlite_schema;

-- name: user_version
PRAGMA user_version;

-- name: check
PRAGMA quick_check(1);

-- name: wal
PRAGMA journal_mode = WAL;

-- name: undo
ROLLBACK;

-- name: durable
PRAGMA synchronous = FULL;

-- name: relaxed
PRAGMA synchronous = NORMAL;
