/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * helper_wire - what a save helper and libxl say to each other.
 *
 * libxl starts a helper for each save and restore. The helper writes messages to fd 1: u16 length of what follows, u16 number,
 * arguments without padding in the host's byte order, texts as u32 length with the NUL and the bytes. libxl answers some of
 * them with one int on fd 0. Numbers and arguments: tools/libs/light/libxl_save_msgs_gen.pl of Xen 4.17 to 4.20, where they
 * are the same. A failed write or read means that libxl is gone: then there is nobody left to tell.
 */
#ifndef FLIC_LIBXL_EXT_HELPER_WIRE_H
#define FLIC_LIBXL_EXT_HELPER_WIRE_H

#include <stdint.h>

/* `level` as in xentoollog.h; `errnoval` 0: none. Cut at 4,000 bytes. All: 0 or -errno. */
int wire_log(int level, int errnoval, const char *text);
int wire_progress(const char *what, uint64_t done, uint64_t total);
#define WIRE_STATIC_DATA_DONE 8 /* its number */
/* Has the device model, if there is one, say what it writes: *ret_answer 0, or -1. */
int wire_log_dirty(uint32_t domid, unsigned enable, int *ret_answer);
/* Of a domain that is restored: what was not in the stream for libxl to make up for, bits of XGR_SDD_MISSING_*: *ret_answer 0, or not. */
int wire_static_data_done(unsigned missing, int *ret_answer);
/* Has the guest suspended and waits for it: 1 suspended, 0 not. libxl limits the wait to about a minute. */
int wire_suspend(void);
int wire_restore_results(uint64_t store_gfn, uint64_t console_gfn);
/* The last message. `errnoval` is only looked at when retval is not 0. */
int wire_complete(int retval, int errnoval);

#endif
