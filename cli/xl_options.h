/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * xl_options - the options that save, restore and migrate have alike, as a child of their argp: its input is a struct xl_options, which the verb
 * gives at ARGP_KEY_INIT.
 */
#ifndef FLIC_CLI_XL_OPTIONS_H
#define FLIC_CLI_XL_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

struct xl_options {
    bool quiet, json;
    uint32_t timeout_s;         /* 0: none given */
    const char *socket;         /* NULL: flicd's usual one */
};

/* For struct argp's `children`. */
extern const struct argp_child xl_options_child[];

#endif
