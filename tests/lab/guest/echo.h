/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * The lab's echo: a frame is a header and a payload, and comes back the same. Both sides check the sum, so damage on
 * either way is noticed by whoever receives it. Little-endian, as both ends are.
 */
#ifndef FLIC_LAB_ECHO_H
#define FLIC_LAB_ECHO_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define ECHO_PORT 7000
#define CONTROL_PORT 7001
#define ECHO_MAGIC UINT32_C(0x4f484345)
#define ECHO_MAX (64u << 10)

struct echo_header {
    uint32_t magic;
    uint32_t size; /* of the payload, at most ECHO_MAX */
    uint64_t sum;  /* checksum() of the payload */
};
static_assert(sizeof(struct echo_header) == 16, "wire format");

/* Both return false when the other side is gone or silent for longer than the socket's timeout. */
bool get_all(int fd, void *data, uint32_t size);
bool put_all(int fd, const void *data, uint32_t size);

#endif
