/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Random reads and writes of 4 KiB to 1 MiB on the PV disk, O_DIRECT and buffered in turn, fsync every second. The
 * generation of every block is kept in memory: disk and memory must belong together for the check to hold.
 */
#define _GNU_SOURCE
#include "part.h"
#include "pattern.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "/disk/load"
#define BLOCKS (64u << 20 >> 12)
#define MAX_RUN 256u /* blocks: 1 MiB */
#define BYTES_PER_SECOND (2 << 20)

static uint64_t *generation, chance;
static uint8_t *run, expected[PATTERN_SIZE];
static int buffered, direct;
static int64_t next_sync;

static void start(struct part *p)
{
    chance = p->config->seed * 2 + 1;
    generation = calloc(BLOCKS, sizeof(*generation));
    run = aligned_alloc(PATTERN_SIZE, MAX_RUN * PATTERN_SIZE);
    if (generation == NULL || run == NULL)
        abort();
    buffered = open(FILE_NAME, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (buffered < 0 || ftruncate(buffered, (off_t)BLOCKS * PATTERN_SIZE) != 0)
        part_error(p, "%s: %s", FILE_NAME, strerror(errno));
    direct = open(FILE_NAME, O_RDWR | O_DIRECT);
    if (direct < 0)
        part_error(p, "%s, O_DIRECT: %s", FILE_NAME, strerror(errno));
}

static void make_block(const struct part *p, uint8_t *out, uint64_t block)
{
    if (generation[block] == 0)
        memset(out, 0, PATTERN_SIZE); /* never written: a hole */
    else
        pattern_fill(out, p->config->seed, block, generation[block]);
}

static void write_run(struct part *p, int fd, uint64_t first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        generation[first + i]++;
        make_block(p, run + i * PATTERN_SIZE, first + i);
    }
    if (pwrite(fd, run, count * PATTERN_SIZE, (off_t)(first * PATTERN_SIZE)) != (ssize_t)(count * PATTERN_SIZE))
        part_error(p, "write of %u blocks at %llu: %s", count, (unsigned long long)first, strerror(errno));
}

static void check_run(struct part *p, int fd, uint64_t first, unsigned count)
{
    if (pread(fd, run, count * PATTERN_SIZE, (off_t)(first * PATTERN_SIZE)) != (ssize_t)(count * PATTERN_SIZE)) {
        part_error(p, "read of %u blocks at %llu: %s", count, (unsigned long long)first, strerror(errno));
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        make_block(p, expected, first + i);
        if (memcmp(run + i * PATTERN_SIZE, expected, PATTERN_SIZE) != 0)
            part_error(p, "block %llu is not its generation %llu (%s)", (unsigned long long)(first + i),
                       (unsigned long long)generation[first + i], fd == direct ? "direct" : "buffered");
        p->checks++;
    }
}

static void sync_when_due(struct part *p)
{
    int64_t now = monotonic_ns();

    if (now < next_sync)
        return;
    next_sync = now + INT64_C(1000000000);
    if (fsync(buffered) != 0)
        part_error(p, "fsync: %s", strerror(errno));
}

static void step(struct part *p)
{
    unsigned count = 1u << random_next(&chance) % 9;
    uint64_t first = random_next(&chance) % (BLOCKS - count + 1);
    int fd = random_next(&chance) % 2 ? direct : buffered;

    if (random_next(&chance) % 2)
        write_run(p, fd, first, count);
    else
        check_run(p, fd, first, count);
    sync_when_due(p);
    p->work += count * PATTERN_SIZE;
    pace(p, count * PATTERN_SIZE, BYTES_PER_SECOND * p->config->rate);
}

/* Reads past the page cache: this is about the device. */
static void verify(struct part *p)
{
    if (fsync(buffered) != 0)
        part_error(p, "fsync: %s", strerror(errno));
    for (uint64_t first = 0; first < BLOCKS; first += MAX_RUN)
        check_run(p, direct, first, MAX_RUN);
    part_summary(p, "\"disk_blocks\":%u", BLOCKS);
}

struct part disk_part = { .name = "disk", .start = start, .step = step, .verify = verify };
