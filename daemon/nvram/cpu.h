/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* cpu - the instructions that push cache lines out to memory, chosen once for the CPU we run on. */
#ifndef FLIC_DAEMON_NVRAM_CPU_H
#define FLIC_DAEMON_NVRAM_CPU_H

#include <stdbool.h>
#include <stddef.h>

/* False where this build knows no such instruction: then only NV_PLAIN_FILE can be served. */
bool nv_cpu_can_flush(void);

/* "clwb", "dc cvap", ...; for the log. */
const char *nv_cpu_flush_name(void);

void nv_cpu_flush(const void *at, size_t len);
void nv_cpu_fence(void);

/* Copies a multiple of 64 bytes to a 64-byte aligned place and leaves no dirty line behind; nv_cpu_fence() completes. */
void nv_cpu_stream(void *to, const void *from, size_t len);

#endif
