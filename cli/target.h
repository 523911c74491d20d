/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * target - what a command's argument names: DOMAIN, DOMAIN@N, a uuid, or a FILE.
 *
 * An argument with a '/' or that is an existing file is a FILE (design: names that users type).
 */
#ifndef FLIC_CLI_TARGET_H
#define FLIC_CLI_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "libxl-ext/reference.h"

struct target {
    char domain[256];               /* name or uuid; from a FILE: the uuid it names */
    uint64_t seq;                   /* 0: none given */
    bool from_file;
    char reference[REFERENCE_HEX];  /* from a FILE, else "" */
};

/* FLIC_E_USAGE for an empty or too long name or a number that is none; a FILE's own errors. */
int target_parse(const char *text, struct target *ret_target, struct flic_err *err);

#endif
