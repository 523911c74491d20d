/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * restore - libxc's stream out of a checkpoint: what was kept, with the checkpoint's pages in their place, each once and verified before it
 * is handed on. A page that cannot be verified ends the stream there: libxc then fails, and libxl destroys the half domain.
 */
#ifndef FLIC_DAEMON_FILTER_RESTORE_H
#define FLIC_DAEMON_FILTER_RESTORE_H

#include "daemon/checkpoint/load.h"
#include "daemon/checkpoint/restore.h"
#include "daemon/filter/kept.h"
#include "daemon/filter/pipe.h"

struct lf_restore_params {
    struct lf_pipe *to;
    void (*progress)(void *arg, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
    void *arg;
};

/* What a checkpoint kept, when its machine state is of this kind (lf_is_kept) and this host's architecture: FLIC_E_MISMATCH, FLIC_E_DAMAGED,
 * FLIC_E_VERSION. Borrowed from `loaded`. */
int lf_restore_kept(const struct ck_loaded *loaded, struct lf_kept *ret_kept, struct flic_err *err);

int lf_restore(struct ck_store *store, const struct ck_loaded *loaded, const struct lf_restore_params *params,
               struct ck_restore_figures *figures, struct flic_err *err);

#endif
