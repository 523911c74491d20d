-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Copyright (C) 2026 The FLIC authors
-- What every connection sets up after the file was found sound. The temporary tables live in memory: they note
-- what a synchronisation put, so that it writes to flash only what changed and removes only what is gone.
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -512;
PRAGMA journal_size_limit = 1048576;
PRAGMA synchronous = NORMAL;
CREATE TEMP TABLE seen_checkpoint (guest BLOB, seq INTEGER, PRIMARY KEY (guest, seq)) WITHOUT ROWID;
CREATE TEMP TABLE seen_pack (number INTEGER PRIMARY KEY);
