/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#ifndef FLIC_TESTS_UNIT_TEST_NVRAM_CRASH_H
#define FLIC_TESTS_UNIT_TEST_NVRAM_CRASH_H

#include <check.h>

TCase *damage_tests(void);      /* test-nvram-damage.c */

#endif
