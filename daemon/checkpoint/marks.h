/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * marks - a set of object ids: what a collection found in use. Not thread-safe.
 *
 * HOLE and ZERO name no object: they are never in it. An id can be claimed once, so that of two copies one counts.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_MARKS_H
#define FLIC_DAEMON_CHECKPOINT_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/id.h"

struct marks {
    struct flic_id *slot;
    uint8_t *claimed;           /* a byte a slot */
    size_t size, used;          /* size is a power of two, or 0 */
};

void marks_fini(struct marks *m);
/* -ENOMEM leaves it as it was. *ret_new (may be NULL): it was not in it. */
int marks_add(struct marks *m, const struct flic_id *id, bool *ret_new);
/* As pk_survey() and pk_move_begin() ask: `arg` is the marks. The second says yes once for an id. */
bool marks_has(const struct flic_id *id, void *arg);
bool marks_claim(const struct flic_id *id, void *arg);

#endif
