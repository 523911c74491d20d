/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * filter_mark - the one record that is not libxc's in the stream between flic-save-helper and flicd: where libxc asks for the guest to
 * be suspended. What comes before it was sent while the guest ran. u64 pages found dirty last (all ones: not known), u64 rounds;
 * little endian.
 */
#ifndef FLIC_LIBXL_EXT_FILTER_MARK_H
#define FLIC_LIBXL_EXT_FILTER_MARK_H

#define FILTER_MARK 0x4b52414du     /* "MARK"; libxc's own count from 0, optional ones from 0x80000000 */
#define FILTER_MARK_LEN 16u

#endif
