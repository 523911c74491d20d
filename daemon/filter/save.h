/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * save - a checkpoint out of libxc's stream, in the steps of daemon/checkpoint/save.h:
 *
 *   lf_save_take      pages that come while the guest runs go into packs; at the helper's mark all is sealed, NVRAM is reserved, and
 *                     the caller's suspend() is called; the pages that come then go into NVRAM. Ends behind libxc's END.
 *   lf_save_commit    with the device model's records, which libxl takes later: *captured*
 *   lf_save_publish   *published*
 *   lf_save_free      ends it at any point; what was not published is dropped
 *
 * From suspend() until captured() nothing of ours writes flash, but what does not fit into NVRAM. For one thread.
 */
#ifndef FLIC_DAEMON_FILTER_SAVE_H
#define FLIC_DAEMON_FILTER_SAVE_H

#include "daemon/checkpoint/root.h"
#include "daemon/checkpoint/save.h"
#include "daemon/checkpoint/store.h"
#include "daemon/filter/pipe.h"
#include "libxl-ext/flx.h"

struct lf_save_params {
    struct flx_dom *dom;                        /* borrowed */
    const char *config; size_t config_len;      /* libxl JSON */
    int (*suspend)(void *arg, struct flic_err *err);    /* 0 when the guest is suspended; called once */
    int (*captured)(void *arg, struct flic_err *err);   /* NULL, or ends the pause of a guest that runs on */
    void (*progress)(void *arg, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
    void *arg;
};

struct lf_save;
int lf_save_new(struct ck_store *store, const struct lf_save_params *params, struct lf_save **ret_save, struct flic_err *err);
/* FLIC_E_DAMAGED and FLIC_E_REFUSED name what is wrong with the stream. */
int lf_save_take(struct lf_save *save, struct lf_pipe *from, struct flic_err *err);
int lf_save_commit(struct lf_save *save, const void *emulator, size_t len, struct flic_err *err);
int lf_save_publish(struct lf_save *save, const char *disks, size_t len, struct flic_err *err);
void lf_save_free(struct lf_save *save);        /* accepts NULL */

const struct ck_facts *lf_save_facts(const struct lf_save *save);
/* What libxc does itself (bitmap_us, state_us, map_us ...) is 0. */
const struct ck_save_figures *lf_save_get_figures(const struct lf_save *save);

#endif
