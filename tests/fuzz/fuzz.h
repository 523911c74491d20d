/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * fuzz - a target is a program with this one function: libFuzzer calls it with bytes that somebody hostile could have written
 * (scripts/fuzz), replay.c with the kept seeds and small changes of them (`make check`). Whatever comes, it returns: a crash, a
 * hang, a leak or a failed assertion is a finding.
 */
#ifndef FLIC_TESTS_FUZZ_FUZZ_H
#define FLIC_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define FUZZ_ASSERT(what) do { if (!(what)) { (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); abort(); } } while (0)

/* A folder of this process in RAM, made at the first call, emptied and removed at the end. */
const char *fuzz_folder(void);
/* Writes a file into it; `name` may have a folder in front, which is made. */
void fuzz_file(const char *name, const uint8_t *data, size_t len);

#endif
