/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* compare - is what lies at a place the content in hand? Private to daemon/packs. */
#ifndef FLIC_DAEMON_PACKS_COMPARE_H
#define FLIC_DAEMON_PACKS_COMPARE_H

#include "daemon/packs/store.h"

struct pk_object {
    enum pk_kind kind;
    const void *data;       /* borrowed */
    size_t len;
};

enum pk_verdict {
    PK_SAME,            /* same bytes, same kind */
    PK_OTHER,           /* no reason to avoid this id: unreadable, another kind, or an id equal only in part */
    PK_COLLISION,       /* other bytes under exactly this id */
};

/* Compares `there` with `mine`, whose id is `id`. */
enum pk_verdict pk_compare(const struct flic_secret *secret, const struct flic_id *id, const struct pk_object *mine,
                           const struct pk_object *there);

/* The same with what lies at `spot`. Returns a verdict or -ENOMEM; what cannot be read is PK_OTHER. */
int pk_compare_spot(struct pk_store *store, const struct flic_id *id, const struct pk_object *mine,
                    const struct pk_spot *spot, struct flic_err *err);

#endif
