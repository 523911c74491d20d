/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* How often all that is stored was looked through: for programs that are linked with --wrap=ck_collect. */
#ifndef FLIC_TESTS_COLLECTIONS_H
#define FLIC_TESTS_COLLECTIONS_H

#include "daemon/checkpoint/collect.h"

#include <stdatomic.h>

static atomic_uint collections;

int __real_ck_collect(struct ck_store *s, const struct nv_name *without, size_t n, bool dry_run, uint64_t *freed, struct flic_err *e);
int __wrap_ck_collect(struct ck_store *s, const struct nv_name *without, size_t n, bool dry_run, uint64_t *freed, struct flic_err *e);

int __wrap_ck_collect(struct ck_store *s, const struct nv_name *without, size_t n, bool dry_run, uint64_t *freed, struct flic_err *e)
{
    atomic_fetch_add(&collections, 1);
    return __real_ck_collect(s, without, n, dry_run, freed, e);
}

#endif
