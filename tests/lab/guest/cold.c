/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Memory that is written once and only read again: tmpfs files of 1 MiB with known SHA-256, 64 in a 512 MiB guest. */
#include "part.h"
#include "pattern.h"
#include "sha256.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_SIZE (1u << 20)
#define FOLDER "/cold"

static uint8_t (*known)[32];
static unsigned files, next_file;
static uint8_t content[FILE_SIZE];

static void digest_of(const void *data, uint8_t digest[32])
{
    struct sha256 h;

    sha256_init(&h);
    sha256_add(&h, data, FILE_SIZE);
    sha256_end(&h, digest);
}

static int open_file(unsigned i, int flags)
{
    char path[64];

    snprintf(path, sizeof(path), FOLDER "/%03u", i);
    return open(path, flags, 0600);
}

static void start(struct part *p)
{
    files = p->config->memory_mib * 64 / 512;
    known = calloc(files, sizeof(*known));
    if (known == NULL)
        abort();
    for (unsigned i = 0; i < files; i++) {
        int fd = open_file(i, O_WRONLY | O_CREAT | O_TRUNC);

        for (unsigned page = 0; page < FILE_SIZE / PATTERN_SIZE; page++)
            pattern_fill(content + page * PATTERN_SIZE, p->config->cold_seed, (uint64_t)(i + 1) << 32 | page, 0);
        digest_of(content, known[i]);
        if (fd < 0 || write(fd, content, FILE_SIZE) != FILE_SIZE)
            part_error(p, "cannot fill file %u", i);
        close(fd);
    }
}

static void check_file(struct part *p, unsigned i)
{
    uint8_t digest[32];
    int fd = open_file(i, O_RDONLY);

    memset(content, 0, sizeof(content));
    if (fd < 0 || read(fd, content, FILE_SIZE) != FILE_SIZE)
        part_error(p, "file %u cannot be read", i);
    close(fd);
    digest_of(content, digest);
    if (memcmp(digest, known[i], sizeof(digest)) != 0)
        part_error(p, "file %u has another SHA-256", i);
    p->checks++;
}

static void step(struct part *p)
{
    check_file(p, next_file);
    next_file = (next_file + 1) % files;
    p->work++;
    pace(p, 1, p->config->rate);
}

/* The digest over all files' digests depends on the cold seed and the guest's size alone. */
static void verify(struct part *p)
{
    struct sha256 h;
    uint8_t all[32];
    char hex[65];

    sha256_init(&h);
    for (unsigned i = 0; i < files; i++) {
        check_file(p, i);
        sha256_add(&h, known[i], sizeof(known[i]));
    }
    sha256_end(&h, all);
    for (unsigned i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", all[i]);
    part_summary(p, "\"cold_files\":%u,\"cold_sha256\":\"%s\"", files, hex);
}

struct part cold_part = { .name = "cold", .start = start, .step = step, .verify = verify };
