/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * helper_filter - libxc's own save and restore, run by the helper against a stream that flicd takes apart or puts together. The stream
 * is a socket between libxc and flicd: no page passes through the helper's own hands. What libxc asks of its caller is asked of
 * libxl by helper_wire.h, as the stock helper does.
 */
#ifndef FLIC_LIBXL_EXT_HELPER_FILTER_H
#define FLIC_LIBXL_EXT_HELPER_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct filter {
    uint32_t domid;
    int fd;                     /* the stream; borrowed */
    unsigned cbflags;           /* which callbacks libxl has, 1 << their number (helper_wire.h) */
    /* a save */
    uint64_t rounds, stop_pages;    /* when to leave off copying a guest that runs */
    /* Behind the mark in the stream: 1 when libxl has suspended the guest; 0 not. */
    int (*suspend)(void *arg);
    bool (*cancelled)(void *arg);
    void *arg;
    /* a restore */
    uint32_t store_port, store_domid, console_port, console_domid;
    uint64_t store_gfn, console_gfn;    /* given */
};

/* libxc's reasons go to libxl's log as they come; err says which of the two it was. FLIC_E_XEN */
int filter_save(struct filter *f, struct flic_err *err);
int filter_restore(struct filter *f, struct flic_err *err);

#endif
