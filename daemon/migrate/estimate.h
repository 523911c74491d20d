/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* estimate - how long the link would take for pages, from what it took so far. Pure. */
#ifndef FLIC_DAEMON_MIGRATE_ESTIMATE_H
#define FLIC_DAEMON_MIGRATE_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

struct me_seen {
    uint64_t pages, page_bytes;     /* sent; bytes as compressed */
    uint64_t busy_us;               /* spent in sending them, and in waiting until the peer had them */
    uint64_t waits, least_wait_us;  /* of the latter how many, and the shortest: with next to nothing on its way it is the peer's, not the link's */
};

/* Enough was sent to tell the link's speed, and how well pages compress, from it. */
bool me_is_enough(const struct me_seen *seen);
uint64_t me_bytes_per_s(const struct me_seen *seen);
/* For so many pages, each compressed like those so far, and the peer's word that it has them. */
uint64_t me_time_us(const struct me_seen *seen, uint64_t pages);

#endif
