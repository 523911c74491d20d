/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * spoil - flips bits of one byte of a store, where it is sure to matter. Run again, it puts the byte right.
 *
 *   spoil nvram UUID SEQ first|last   in the first frame (a page) or the last (a part) of that checkpoint in the arena
 *   spoil at FILE OFFSET
 * Prints the place. The arena's format is daemon/nvram/layout.h; this reads it on its own, as it would any file.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARENA "/nvram/flic.arena"
#define PAGE 4096
#define LOG_AT (3 * PAGE)
#define OBJECT 2

static void die(const char *what)
{
    (void)fprintf(stderr, "spoil: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    if (fd < 0 || pread(fd, &byte, 1, at) != 1)
        die(path);
    byte ^= 0x18;
    if (pwrite(fd, &byte, 1, at) != 1 || fsync(fd) || close(fd))
        die(path);
    printf("%s: byte %lld\n", path, (long long)at);
}

static uint32_t u32(const uint8_t *at)
{
    uint32_t v;

    memcpy(&v, at, sizeof(v));
    return le32toh(v);
}

/* Bytes that an object's record starts its payload with: the guest, then the number. */
static void name_of(const char *uuid, const char *seq, uint8_t name[24])
{
    uint64_t n = htole64(strtoull(seq, NULL, 10));
    unsigned byte;

    for (int i = 0; i < 16; i++) {
        uuid += *uuid == '-';
        if (sscanf(uuid, "%2x", &byte) != 1)
            die("UUID");
        name[i] = (uint8_t)byte;
        uuid += 2;
    }
    memcpy(name + 16, &n, 8);
}

static off_t frame_of(const uint8_t name[24], int last)
{
    uint8_t head[PAGE], *log;
    int fd = open(ARENA, O_RDONLY | O_CLOEXEC);
    uint64_t log_bytes;

    if (fd < 0 || pread(fd, head, PAGE, 0) != PAGE)
        die(ARENA);
    memcpy(&log_bytes, head + 24, 8);
    log_bytes = 2 * le64toh(log_bytes);
    log = malloc(log_bytes);
    if (!log || pread(fd, log, log_bytes, LOG_AT) != (ssize_t)log_bytes || close(fd))
        die(ARENA);
    for (uint64_t at = 0; at + 4 * PAGE < log_bytes; at += 64) {     /* records start at multiples of 64, their payload 64 later */
        const uint8_t *payload = log + at + 64, *extents = payload + 40;

        if (log[at + 12] == OBJECT && !memcmp(payload, name, 24)) {
            uint32_t n = u32(payload + 28);
            uint32_t frame = last ? u32(extents + 8 * (n - 1)) + u32(extents + 8 * (n - 1) + 4) - 1 : u32(extents);

            return LOG_AT + (off_t)log_bytes + (off_t)frame * PAGE;
        }
    }
    errno = ENOENT;
    die("that checkpoint in " ARENA);
    return 0;
}

int main(int argc, char **argv)
{
    uint8_t name[24];

    if (argc == 5 && !strcmp(argv[1], "nvram")) {
        name_of(argv[2], argv[3], name);
        flip(ARENA, frame_of(name, !strcmp(argv[4], "last")) + 8);
    } else if (argc == 4 && !strcmp(argv[1], "at")) {
        flip(argv[2], (off_t)strtoll(argv[3], NULL, 10));
    } else {
        (void)fputs("usage: spoil nvram UUID SEQ first|last | spoil at FILE OFFSET\n", stderr);
        return 2;
    }
    return 0;
}
