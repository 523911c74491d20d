/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * ahead - which of a running guest's pages a save has mapped before the pause, and whether they are still what they were.
 *
 * A mapping keeps the page that a gfn led to when it was made. A guest that gives that page away and takes another one at the
 * same gfn goes on in the other: what is mapped is then the wrong page. flx_layout() tells, so all of this counts only if it
 * says the same before the first page was mapped and after the guest was suspended. Where it says nothing (x86), nothing is
 * mapped ahead.
 *
 * The mappings themselves are the save's (ck_save_map()) and must outlive this.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_AHEAD_H
#define FLIC_DAEMON_CHECKPOINT_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libxl-ext/flx.h"

struct ck_ahead;

/* Room for `pages`. NULL where nothing should be mapped ahead, for want of memory too. */
struct ck_ahead *ck_ahead_begin(struct flx_dom *dom, uint64_t pages);
void ck_ahead_free(struct ck_ahead *ahead);     /* accepts NULL */

/* `n` pages as flx_map_pages() gave them, in ascending order over all calls; those beyond the room are passed over. */
void ck_ahead_add(struct ck_ahead *ahead, const uint64_t *gfns, size_t n, const uint8_t *base, const uint8_t *kind);

/* Of the suspended guest, before the first find: forgets everything if a gfn may lead elsewhere by now. Accepts NULL. */
void ck_ahead_check(struct ck_ahead *ahead, struct flx_dom *dom);
/* Asked for gfns in ascending order. Accepts NULL. */
bool ck_ahead_find(struct ck_ahead *ahead, uint64_t gfn, const uint8_t **ret_page, uint8_t *ret_kind);

#endif
