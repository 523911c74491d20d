/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * inplace - a suspended guest that goes on where it is, instead of starting in a new domain.
 *
 * A guest asks to be suspended by a hypercall, whose result says how it woke up: 0 in a new domain, so every frontend
 * connects again; 1 in the old one ("cancelled"). Xen leaves 0 there, and on ARM libxc does not change it, so a guest
 * resumed by stock means tears its own event channels down and dies. Used by flx and by libflicxl.
 */
#ifndef FLIC_LIBXL_EXT_INPLACE_H
#define FLIC_LIBXL_EXT_INPLACE_H

#include <stdint.h>

#include <xenctrl.h>

/* Makes the next resume of a suspended domain an in-place one. A domain that is not suspended is left alone and 0
 * returned: writing the register of a guest that runs would corrupt it. Harmless twice. 0 or -errno. */
int inplace_mark(xc_interface *xch, uint32_t domid);

#endif
