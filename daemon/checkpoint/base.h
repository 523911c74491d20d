/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * base - what is known of a running guest's pages on flash: a map, the writer that keeps what it names, and which gfns the
 * map is not right about.
 *
 * A save that starts from nothing makes its own. A guest tracked ahead has one already (daemon/track) and lends it to the
 * save for its duration (ck_save_params.base): then only what is dirty is copied. The rules, for lender and borrower:
 *
 *   - The map's id of a gfn counts only if its bit in `dirty` is clear after a CLEAN that came after the page was copied.
 *     The lender does a CLEAN just before it lends, the save does one after each round, and a PEEK of the suspended guest.
 *   - A page that a save captured in its pause lies in NVRAM and not in the map: its bit stays set.
 *   - What a damaged pack lost is not known any more: verify finds that beside everything else, so both look again in time.
 *   - The writer lives as long as the map: until then no collection takes what the map names, what it found in the store
 *     included. `lost` is set by whoever missed a CLEAN's answer or lost unsealed objects: then nothing in it counts.
 *
 * For one thread at a time.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_BASE_H
#define FLIC_DAEMON_CHECKPOINT_BASE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/checkpoint/load.h"
#include "daemon/checkpoint/map.h"
#include "daemon/checkpoint/store.h"
#include "libxl-ext/flx.h"

#define CK_WINDOW 1024u         /* pages mapped at a time, at most: 4 MiB */

struct ck_base {
    uint64_t gfn_end;
    struct ck_map *map;
    struct pk_writer *writer;
    uint64_t *dirty;            /* bitmap of gfn_end bits */
    uint64_t *hot;              /* of these, what is expected to be written again soon: left to the pause. NULL: none */
    uint64_t *fetched;          /* room for one log-dirty bitmap */
    uint64_t losses;            /* of the store: what was lost up to then is not known here */
    bool lost;
};

static inline bool ck_bit(const uint64_t *bits, uint64_t n)
{
    return bits[n / 64] >> (n % 64) & 1;
}

static inline size_t ck_words(uint64_t bits)
{
    return (size_t)((bits + 63) / 64);
}

uint64_t ck_count_bits(const uint64_t *bits, uint64_t n);

/* All holes, nothing dirty. */
int ck_base_new(struct ck_store *store, uint64_t gfn_end, struct ck_base **ret_base, struct flic_err *err);
void ck_base_free(struct ck_store *store, struct ck_base *base);    /* accepts NULL; outside of work */
/* What is known of a guest that was filled from this checkpoint and has not run since: all but what the checkpoint's pause captured,
 * which is dirty. The checkpoint is in use by the caller. */
int ck_base_of(struct ck_store *store, const struct ck_loaded *loaded, struct ck_base **ret_base, struct flic_err *err);

/* Puts a new writer in the place of the base's, which has sealed all: packs of which the map names nothing any more can be
 * collected then. An error leaves the base as it was. Outside of work. */
int ck_base_renew(struct ck_base *base, struct ck_store *store, struct flic_err *err);

/* When packs were set aside since the last look: what is in no pack any more becomes dirty, and is stored anew by the guest's own copy. *ret_lost
 * (may be NULL): so many pages and leaves. Seals what the writer has put, which makes the base lost when it fails. Outside of work. */
int ck_base_look_again(struct ck_base *base, struct ck_store *store, uint64_t *ret_lost, struct flic_err *err);

/* Of a base that knows nothing yet, all holes: every gfn where the guest may have a page becomes dirty. Log-dirty is on. */
void ck_base_mark_all(struct ck_base *base, struct flx_dom *dom, const struct flx_info *info);

/* One CLEAN into base->fetched; gfns that Xen did not report on count as dirty. An error makes the base lost: what the
 * answer held is gone. The caller adds it to base->dirty. */
int ck_base_fetch(struct ck_base *base, struct flx_dom *dom, enum flx_clean how, struct flic_err *err);
/* The same of a suspended guest by a PEEK: nothing is write-protected again, and should the guest go on, its next CLEAN has these
 * pages too. An error loses nothing. */
int ck_base_fetch_last(struct ck_base *base, struct flx_dom *dom, struct flic_err *err);

struct ck_copied {
    uint64_t pages, new_pages, dedup_pages;
};
/* Copies the pages at up to CK_WINDOW gfns through `window` (room for n pages: a running guest's page may change between
 * hash and store), stores what is new and notes all in the map. base->dirty is left alone. An error of the writer makes the
 * base lost. */
int ck_base_copy(struct ck_base *base, struct ck_store *store, struct flx_dom *dom, const uint64_t *gfns, size_t n,
                 uint8_t *window, struct ck_copied *copied, struct flic_err *err);

#endif
