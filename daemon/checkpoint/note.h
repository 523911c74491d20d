/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * note - the file that says what of a guest has arrived: which leaves of a page map, in sealed packs, name it.
 *
 * Little endian. 8 bytes "FLICARR1", u32 version 1, u32 leaves, 16 bytes guest, u64 gfn_end, 256 bytes name, 16 bytes arch, 16 bytes an id for
 * each leaf, u64 XXH3-64 of all before. It is a hint: what it names may be gone, and is verified when it is read.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_NOTE_H
#define FLIC_DAEMON_CHECKPOINT_NOTE_H

#include <stddef.h>

#include "common/err.h"
#include "common/id.h"
#include "daemon/checkpoint/root.h"

/* Of the facts guest, name, arch and gfn_end. Durable when it returns 0; else what was there before is there. */
int ck_note_write(const char *path, const struct ck_facts *facts, const struct flic_id *leaves, size_t n, struct flic_err *err);
/* Gives *ret_leaves, as many as gfn_end asks for. FLIC_E_DAMAGED. */
int ck_note_read(const char *path, struct ck_facts *ret_facts, struct flic_id **ret_leaves, size_t *ret_n, struct flic_err *err);

#endif
