/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * xl_stock - the distribution's own xl, for everything that is not FLIC's.
 */
#ifndef FLIC_CLI_XL_STOCK_H
#define FLIC_CLI_XL_STOCK_H

#include "common/err.h"

/* Becomes the stock xl with argv untouched. Returns only on failure, with the code. */
int xl_stock_exec(char **argv, struct flic_err *err);

#endif
