/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "pattern.h"

#include <string.h>

static const char words[64][9] = {
    "phone   ", "battery ", "message ", "contact ", "picture ", "network ", "calendar", "service ",
    "display ", "manager ", "session ", "account ", "profile ", "package ", "version ", "storage ",
    "receiver", "activity", "provider", "resource", "layout  ", "string  ", "integer ", "boolean ",
    "default ", "enabled ", "visible ", "context ", "content ", "handler ", "request ", "response",
    "server  ", "client  ", "address ", "country ", "language", "keyboard", "speaker ", "camera  ",
    "location", "sensor  ", "gravity ", "compass ", "weather ", "morning ", "evening ", "holiday ",
    "the cat ", "and then", "of a new", "in which", "to other", "for them", "is where", "on paper",
    "with all", "as those", "at night", "by water", "from here", "over it ", "under us", "no other",
};

uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* splitmix64's finalizer: neighbouring inputs give unrelated states, and never 0. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return x ? x : 1;
}

void pattern_fill(void *page, uint64_t seed, uint64_t index, uint64_t generation)
{
    uint64_t state = mix(seed ^ mix(index ^ mix(generation))), bits = 0, *out = page;

    if (index % 2) {
        for (unsigned i = 0; i < PATTERN_SIZE / 8; i++)
            out[i] = random_next(&state);
        return;
    }
    for (unsigned i = 0; i < PATTERN_SIZE / 8; i++, bits >>= 6) {
        if (i % 10 == 0)
            bits = random_next(&state);
        memcpy(&out[i], words[bits & 63], 8);
    }
}

uint64_t checksum(const void *data, uint32_t size)
{
    const uint8_t *bytes = data;
    uint64_t sum = UINT64_C(0xcbf29ce484222325), word;
    uint32_t i = 0;

    for (; i + 8 <= size; i += 8) {
        memcpy(&word, bytes + i, 8);
        sum = (sum ^ word) * UINT64_C(0x100000001b3);
    }
    for (; i < size; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}
