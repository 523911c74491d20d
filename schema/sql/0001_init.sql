-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Copyright (C) 2026 The FLIC authors
-- Version 1 of the index. A migration is never edited once it was released: the next one goes on from it.
-- Each is one transaction and ends by setting its own number.

BEGIN IMMEDIATE;

-- Not derived: the highest sequence number ever given to a guest's checkpoint.
CREATE TABLE guest_seq (
    guest BLOB NOT NULL PRIMARY KEY CHECK (length(guest) = 16),
    last INTEGER NOT NULL CHECK (last > 0)
) STRICT, WITHOUT ROWID;

-- Derived from the checkpoint roots in the arena and the packs.
CREATE TABLE checkpoint (
    guest BLOB NOT NULL CHECK (length(guest) = 16),
    seq INTEGER NOT NULL CHECK (seq > 0),
    name TEXT NOT NULL,
    taken_ns INTEGER NOT NULL,
    ram_bytes INTEGER NOT NULL,
    working_set_bytes INTEGER NOT NULL,
    places INTEGER NOT NULL,
    restored INTEGER NOT NULL,
    arch TEXT NOT NULL,
    PRIMARY KEY (guest, seq)
) STRICT, WITHOUT ROWID;

-- Derived from the packs' footers. The run is every id of the pack, sorted, 16 bytes each: one blob, because a row
-- per page would write twice the bytes that it indexes.
CREATE TABLE pack (
    number INTEGER NOT NULL PRIMARY KEY,
    bytes INTEGER NOT NULL,
    objects INTEGER NOT NULL,
    run BLOB NOT NULL CHECK (length(run) % 16 = 0)
) STRICT;

-- Not derived: what each operation did.
CREATE TABLE journal (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    began_ns INTEGER NOT NULL,
    took_ns INTEGER NOT NULL,
    verb TEXT NOT NULL,
    guest BLOB NOT NULL CHECK (length(guest) = 16),
    guest_name TEXT NOT NULL,
    seq INTEGER NOT NULL,
    code INTEGER NOT NULL,
    message TEXT NOT NULL,
    figures TEXT NOT NULL
) STRICT;
CREATE INDEX journal_of_guest ON journal (guest, id);

PRAGMA application_id = 0x464c4943;
PRAGMA user_version = 1;
COMMIT;
