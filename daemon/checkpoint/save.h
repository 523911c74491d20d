/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * save - from a running domain to a published checkpoint (docs: ARCHITECTURE.md "Life of a save").
 *
 *   ck_save_live      log-dirty on; rounds of copy, hash, dedup, compress into packs until little is left; everything
 *                     copied is sealed on flash, NVRAM is reserved
 *   ck_save_capture   the caller's suspend(); last bitmap, machine state, the dirty pages and all parts into
 *                     NVRAM; one switch: *captured*. In between, nothing of ours writes flash
 *   ck_save_publish   with the guest's disks flushed and identified: *published*, in the catalog, offered
 *   ck_save_free      ends it at any point; what was not published is dropped
 *
 * After any failure the guest runs, or is suspended and marked so that whoever resumes it does so in place.
 *
 * A guest tracked ahead lends what it knows (base.h): log-dirty is on and stays on, and only what is dirty is copied. Between
 * ck_save_new() and ck_save_free() the base is the save's; afterwards it says what is still not on flash, captured pages
 * included, whether or not the save went through.
 *
 * One save is run by one thread. The domain handle is borrowed. Without a base log-dirty is off again after ck_save_free().
 */
#ifndef FLIC_DAEMON_CHECKPOINT_SAVE_H
#define FLIC_DAEMON_CHECKPOINT_SAVE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/checkpoint/base.h"
#include "daemon/checkpoint/root.h"
#include "daemon/checkpoint/store.h"
#include "libxl-ext/flx.h"

struct ck_save_figures {        /* for the journal; all counts exact */
    uint64_t ram_pages, zero_pages, hole_pages;     /* of the finished checkpoint */
    uint64_t live_pages;        /* copied while the guest ran, all rounds */
    uint32_t rounds;
    uint64_t ws_pages;          /* captured in the pause */
    uint64_t ahead_pages;       /* of the last bitmap, mapped before the pause */
    uint64_t ws_zero_pages;     /* of the last bitmap, found to be zero or gone: need no frame */
    uint64_t spilled_pages;     /* to flash inside the pause because NVRAM was full */
    uint64_t dirty_live_last;   /* left when the live rounds ended */
    uint64_t nvram_bytes;       /* pages and parts put into NVRAM */
    uint64_t flash_bytes;       /* packs written by this save before the pause, footers included */
    uint64_t flash_bytes_in_pause;  /* 0 unless spilled */
    uint64_t device_bytes_in_pause; /* the store's block device, suspended to captured, whoever wrote: the kernel's count */
    uint64_t dedup_pages;       /* pages found in the store already */
    uint64_t new_pages;
    /* the pause, in microseconds: asked to suspend -> suspended -> ... -> captured (-> runs again) */
    uint64_t suspend_us, bitmap_us, state_us, map_us, copy_us, spill_us, parts_us, switch_us, pause_us, captured_us;
    uint64_t end_us;            /* the caller's captured(): disk snapshots and the resume of a guest that runs on; part of pause_us */
    uint64_t live_us, publish_us;
};

struct ck_save_params {
    struct flx_dom *dom;                        /* borrowed */
    struct ck_base *base;                       /* borrowed; NULL: nothing is known of the guest */
    const char *config; size_t config_len;      /* libxl JSON; borrowed */
    unsigned live_rounds_max;
    uint64_t live_stop_pages;
    unsigned threads;
    /* asks the toolstack to suspend the guest; 0 when it is suspended. Called once, by ck_save_capture(). */
    int (*suspend)(void *arg, struct flic_err *err);
    /* NULL, or ends the pause of a guest that runs on: called once, right after the switch, before anything is unmapped. A failure
     * fails the capture. */
    int (*captured)(void *arg, struct flic_err *err);
    bool captured_waits;                        /* captured() waits for another machine: what else writes flash does not wait for it, too */
    /* NULL, or is told of each bitmap that log-dirty gave, the last one included: bits over gfn_end, borrowed. */
    void (*dirtied)(void *arg, const uint64_t *bitmap, uint64_t gfn_end);
    bool (*cancelled)(void *arg);
    void (*progress)(void *arg, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
    void *arg;
};

struct ck_save;
int ck_save_new(struct ck_store *store, const struct ck_save_params *params, struct ck_save **ret_save, struct flic_err *err);
int ck_save_live(struct ck_save *save, struct flic_err *err);
/* What ck_save_live() does, for a caller who has more to do between: all rounds; one round more at a time, each ending with a CLEAN;
 * then what has to be ready for the pause, after which there are no rounds. *ret_left: pages that a round would copy now. */
int ck_save_rounds(struct ck_save *save, struct flic_err *err);
int ck_save_round(struct ck_save *save, uint64_t *ret_left, struct flic_err *err);
int ck_save_settle(struct ck_save *save, struct flic_err *err);
/* A CLEAN alone: what it names is left to the pause, or to the next round. */
int ck_save_clean(struct ck_save *save, struct flic_err *err);
int ck_save_capture(struct ck_save *save, struct flic_err *err);
/* `disks`: JSON text (disks.h), at most CK_DISKS_MAX. */
int ck_save_publish(struct ck_save *save, const char *disks, size_t len, struct flic_err *err);
void ck_save_free(struct ck_save *save);        /* accepts NULL */

/* Bits over gfn_end of what is not in packs: between rounds what a later one, or the pause, will copy; afterwards what the pause
 * captured. Borrowed until the next call. */
const uint64_t *ck_save_dirty(const struct ck_save *save);
/* From captured() on: the machine state. Borrowed. */
const void *ck_save_state(const struct ck_save *save, size_t *ret_len);

const struct ck_facts *ck_save_facts(const struct ck_save *save);
const struct ck_save_figures *ck_save_get_figures(const struct ck_save *save);

#endif
