/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * restore - fills a fresh, paused domain with a checkpoint, every page verified. Eager: when it returns 0, all
 * memory and the machine state are in place. On any failure the caller lets libxl destroy the domain; the
 * checkpoint is untouched.
 */
#ifndef FLIC_DAEMON_CHECKPOINT_RESTORE_H
#define FLIC_DAEMON_CHECKPOINT_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/checkpoint/fill.h"
#include "daemon/checkpoint/load.h"
#include "libxl-ext/flx.h"

struct ck_restore_figures {
    uint64_t ram_pages, zero_pages;
    uint64_t nvram_pages, flash_pages;      /* by where they were read */
    uint64_t repaired_pages;                /* of those from flash: their NVRAM frame was damaged */
    /* pages_us = install_us (the guest's pages mapped and unmapped) + fill_us (read, decoded, verified, copied) */
    uint64_t map_us, populate_us, pages_us, install_us, fill_us, state_us, total_us;
    uint64_t elapsed_ns;                    /* the guest's clock was advanced by this much */
    bool clock_went_back;                   /* the host's clock did: advanced by nothing */
};

struct ck_restore_params {
    struct flx_dom *dom;                    /* borrowed: the fresh domain */
    struct flx_ports ports;
    unsigned threads;                       /* that read, decode and verify side by side; 0 counts as 1 */
    bool (*cancelled)(void *arg);
    void (*progress)(void *arg, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
    void *arg;
};

void ck_count_filled(struct ck_restore_figures *figures, const struct ck_filled *filled);

int ck_restore(struct ck_store *store, const struct ck_loaded *loaded, const struct ck_restore_params *params,
               struct flx_built *ret_built, struct ck_restore_figures *figures, struct flic_err *err);

#endif
