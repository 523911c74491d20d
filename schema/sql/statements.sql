-- SPDX-License-Identifier: LGPL-2.1-or-later
-- Copyright (C) 2026 The FLIC authors
-- Every statement that flicd runs on the index, one a name; prepared once. Columns stand in the order of the C structs.

-- name: put_checkpoint
INSERT INTO checkpoint (guest, seq, name, taken_ns, ram_bytes, working_set_bytes, places, restored, arch)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (guest, seq) DO UPDATE SET
    name = excluded.name, taken_ns = excluded.taken_ns, ram_bytes = excluded.ram_bytes,
    working_set_bytes = excluded.working_set_bytes, places = excluded.places, restored = excluded.restored,
    arch = excluded.arch
WHERE (name, taken_ns, ram_bytes, working_set_bytes, places, restored, arch) IS NOT
    (excluded.name, excluded.taken_ns, excluded.ram_bytes, excluded.working_set_bytes, excluded.places,
     excluded.restored, excluded.arch);

-- name: drop_checkpoint
DELETE FROM checkpoint WHERE guest = ?1 AND seq = ?2;

-- name: all_checkpoints
SELECT guest, seq, name, taken_ns, ram_bytes, working_set_bytes, places, restored, arch
FROM checkpoint ORDER BY taken_ns DESC, seq DESC, guest;

-- name: checkpoints_of_guest
SELECT guest, seq, name, taken_ns, ram_bytes, working_set_bytes, places, restored, arch
FROM checkpoint WHERE guest = ?1 ORDER BY seq DESC;

-- name: next_seq
INSERT INTO guest_seq (guest, last)
VALUES (?1, max(?2, 1, 1 + coalesce((SELECT max(seq) FROM checkpoint WHERE guest = ?1), 0)))
ON CONFLICT (guest) DO UPDATE SET last = max(last + 1, excluded.last)
RETURNING last;

-- name: put_pack
INSERT INTO pack (number, bytes, objects, run) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (number) DO UPDATE SET bytes = excluded.bytes, objects = excluded.objects, run = excluded.run
WHERE (bytes, objects, run) IS NOT (excluded.bytes, excluded.objects, excluded.run);

-- name: drop_pack
DELETE FROM pack WHERE number = ?1;

-- name: all_runs
SELECT number, run FROM pack ORDER BY number;

-- name: begin
BEGIN IMMEDIATE;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: forget_seen_checkpoints
DELETE FROM seen_checkpoint;

-- name: forget_seen_packs
DELETE FROM seen_pack;

-- name: saw_checkpoint
INSERT OR IGNORE INTO seen_checkpoint (guest, seq) VALUES (?1, ?2);

-- name: saw_pack
INSERT OR IGNORE INTO seen_pack (number) VALUES (?1);

-- name: drop_unseen_checkpoints
DELETE FROM checkpoint WHERE (guest, seq) NOT IN (SELECT guest, seq FROM seen_checkpoint);

-- name: drop_unseen_packs
DELETE FROM pack WHERE number NOT IN (SELECT number FROM seen_pack);

-- name: journal_add
INSERT INTO journal (began_ns, took_ns, verb, guest, guest_name, seq, code, message, figures)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9);

-- a range of ids, of few rows however many there are: others wait meanwhile
-- name: journal_trim
DELETE FROM journal WHERE id <= CASE
WHEN (SELECT min(id) FROM journal) < (SELECT max(id) FROM journal) - ?1 - ?1 / 16
THEN min((SELECT max(id) FROM journal) - ?1, (SELECT min(id) FROM journal) + 255) END;

-- name: journal_all
SELECT id, began_ns, took_ns, verb, guest, guest_name, seq, code, message, figures
FROM journal WHERE id < ?2 ORDER BY id DESC LIMIT ?1;

-- name: journal_of_guest
SELECT id, began_ns, took_ns, verb, guest, guest_name, seq, code, message, figures
FROM journal WHERE id < ?2 AND guest = ?3 ORDER BY id DESC LIMIT ?1;
