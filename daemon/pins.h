/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * pins - STORE/pinned.json: which checkpoints no rule drops, and why: 'flic pin', which 'flic forget' respects too, or a FILE that
 * 'xl save' wrote. It moves with the store. Thread-safe.
 */
#ifndef FLIC_DAEMON_PINS_H
#define FLIC_DAEMON_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid.h"

#define PN_MAX 4096u

enum pn_by { PN_USER = 1, PN_FILE = 2 };    /* bits */

struct pn_pin {
    struct flic_uuid guest;
    uint64_t seq;
    unsigned by;
};

/* A missing file is no pins; gives *ret_pins (free()). FLIC_E_DAMAGED: what is pinned is not known. */
int pn_load(const char *folder, struct pn_pin **ret_pins, size_t *ret_n, struct flic_err *err);
/* 0, or enum pn_by bits. */
unsigned pn_of(const struct pn_pin *pins, size_t n, const struct flic_uuid *guest, uint64_t seq);
/* Durable when it returns; saying what is so already writes nothing. */
int pn_set(const char *folder, const struct flic_uuid *guest, uint64_t seq, unsigned by, bool on, struct flic_err *err);

#endif
