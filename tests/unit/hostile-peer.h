/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * hostile-peer - a phone that greets as ours do and then says what the test likes. The side that has to hear it, its victim, runs in a
 * thread of its own; one at a time.
 */
#ifndef FLIC_TESTS_UNIT_HOSTILE_PEER_H
#define FLIC_TESTS_UNIT_HOSTILE_PEER_H

#include "daemon/migrate/wire.h"

#include <stdint.h>

extern struct mw_wire *hostile;
extern struct flic_err victim_err;

/* The victim takes over its end of the wire, and returns what it came to. */
void hostile_begin(int (*victim)(int fd, void *arg, struct flic_err *why), void *arg);
/* Announces pages [first, first + n) of this leaf. */
void hostile_say_leaf(uint32_t leaf, unsigned first, unsigned n);
/* Says a byte of a message now and then, for ten seconds or as long as somebody is there to hear it; FLIC_E_CANCELLED. */
int hostile_drip(int fd);
/* The victim gives up of itself, with this code. */
void victim_must_refuse(int code);

#endif
