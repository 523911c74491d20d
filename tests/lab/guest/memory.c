/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The guest's working set: 16 MiB rewritten page by page, each page checked against its generation first. */
#include "part.h"
#include "pattern.h"

#include <stdlib.h>
#include <string.h>

#define PAGES_PER_SECOND 4096
#define BURST 64

static uint8_t *buffer;
static uint64_t *generation;
static uint64_t pages, next_page;

static void check_page(struct part *p, uint64_t i)
{
    uint8_t expected[PATTERN_SIZE];

    pattern_fill(expected, p->config->seed, i, generation[i]);
    if (memcmp(expected, buffer + i * PATTERN_SIZE, PATTERN_SIZE) != 0)
        part_error(p, "page %llu is not its generation %llu", (unsigned long long)i, (unsigned long long)generation[i]);
    p->checks++;
}

static void start(struct part *p)
{
    pages = (uint64_t)p->config->memory_mib * 16 * 256 / 512;
    buffer = aligned_alloc(PATTERN_SIZE, pages * PATTERN_SIZE);
    generation = calloc(pages, sizeof(*generation));
    if (buffer == NULL || generation == NULL)
        abort();
    for (uint64_t i = 0; i < pages; i++)
        pattern_fill(buffer + i * PATTERN_SIZE, p->config->seed, i, 0);
}

static void step(struct part *p)
{
    for (unsigned n = 0; n < BURST; n++) {
        check_page(p, next_page);
        pattern_fill(buffer + next_page * PATTERN_SIZE, p->config->seed, next_page, ++generation[next_page]);
        next_page = (next_page + 1) % pages;
    }
    p->work += BURST;
    pace(p, BURST, PAGES_PER_SECOND * p->config->rate);
}

static void verify(struct part *p)
{
    for (uint64_t i = 0; i < pages; i++)
        check_page(p, i);
    part_summary(p, "\"memory_pages\":%llu", (unsigned long long)pages);
}

struct part memory_part = { .name = "mem", .start = start, .step = step, .verify = verify };
