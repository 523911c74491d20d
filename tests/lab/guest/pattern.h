/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Contents that can be made again from (seed, index, generation), so that a check needs no second copy. */
#ifndef FLIC_LAB_PATTERN_H
#define FLIC_LAB_PATTERN_H

#include <stdint.h>

#define PATTERN_SIZE 4096u

/* Even indexes get text (it compresses about 3 to 1), odd ones random bytes. */
void pattern_fill(void *page, uint64_t seed, uint64_t index, uint64_t generation);

uint64_t random_next(uint64_t *state);

/* FNV-1a over 64-bit words, tail bytes last. */
uint64_t checksum(const void *data, uint32_t size);

#endif
