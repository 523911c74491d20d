/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * libxl_fake - a link-time twin of what libflicxl and cli/xl_session.c use of libxl, libxc and libxenstore. A suspend writes a stream around
 * `reference`; what completes does so at once, within the call that begins it, or in the next turn of the event loop.
 */
#ifndef FLIC_TESTS_LIBXL_FAKE_H
#define FLIC_TESTS_LIBXL_FAKE_H

#include "libxl-ext/compat.h"

#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>

#include "libxl-ext/reference.h"

struct libxl_fake {
    uint8_t reference[REFERENCE_SIZE];
    bool at_once;               /* completes before the initiating function returns 0, as libxl may */
    int result;                 /* with which it completes */
    int refused;                /* what the initiating function returns, if not 0: then nothing completes */
    void (*began)(void);        /* called when an operation begins */
    unsigned resumed, destroyed, unpaused;
    const libxl_childproc_hooks *hooks;     /* whose the process's children are; NULL: libxl's, all of them */
};

extern struct libxl_fake libxl_fake;

#endif
