/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#ifndef FLIC_LAB_CTX_SELFTEST_H
#define FLIC_LAB_CTX_SELFTEST_H

#include "ctx-blob.h"

/*
 * Pauses the guest for a moment and takes its context; the guest goes on unharmed. In throw-away domains every kind
 * of bad context must be refused with the documented errno and without a trace, then the good one must come back as
 * it went in. Prints one line per check; returns how many failed.
 */
unsigned ctx_selftest(xc_interface *xch, uint32_t domid);

#endif
