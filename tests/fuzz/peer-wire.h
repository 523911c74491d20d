/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* peer-wire - the other phone, for targets that play it: what it says is a good beginning, then bytes of the fuzzer, then nothing more. */
#ifndef FLIC_TESTS_FUZZ_PEER_WIRE_H
#define FLIC_TESTS_FUZZ_PEER_WIRE_H

#include "daemon/migrate/wire.h"

#include <stddef.h>
#include <stdint.h>

#define FUZZ_SAYS_MAX 120000u

/* The end of the one that is tried; *ret_peer is the other, to close. What either says fits the socket: nobody waits for the other to read. */
struct mw_wire *fuzz_connect(int *ret_peer);

/* For frames of a good beginning; to free. */
struct mw_wire *fuzz_good(int peer);
void fuzz_greet(struct mw_wire *good);

/* At most FUZZ_SAYS_MAX bytes, then the end. */
void fuzz_say(int peer, const uint8_t *data, size_t len);

/* One input, unless it is empty or too long: its first byte, 0 to 3, says how far the good beginning goes; the others are said then, and `meet` hears all
 * of it. `start` runs before, each time. */
void fuzz_meet(const uint8_t *data, size_t len, void (*start)(void), void (*begin_well)(int peer, unsigned how_far),
               void (*meet)(struct mw_wire *wire));

#endif
