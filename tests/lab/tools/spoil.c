/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * spoil - flips bits of a byte of a store, where it is sure to matter. Run again, it puts the byte right.
 *
 *   spoil nvram UUID SEQ first N      of one byte in each of the first N frames (the pages) of that checkpoint in the arena: a single
 *                                     page may also be on flash, where a restore would find it
 *   spoil nvram UUID SEQ last         of one byte in the last frame (a part)
 *   spoil at FILE OFFSET
 * Prints each place. The arena's format is daemon/nvram/layout.h; this reads it on its own, as it would any file.
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

/* The arena, opened, and its log, for the caller to close and free. */
static uint8_t *open_arena(int *ret_fd, uint64_t *ret_log_bytes)
{
    uint8_t head[PAGE], *log;
    int fd = open(ARENA, O_RDONLY | O_CLOEXEC);
    uint64_t log_bytes;

    if (fd < 0 || pread(fd, head, PAGE, 0) != PAGE)
        die(ARENA);
    memcpy(&log_bytes, head + 24, 8);
    log_bytes = 2 * le64toh(log_bytes);
    log = malloc(log_bytes);
    if (!log || pread(fd, log, log_bytes, LOG_AT) != (ssize_t)log_bytes)
        die(ARENA);
    *ret_fd = fd;
    *ret_log_bytes = log_bytes;
    return log;
}

/* The payload of that checkpoint's record. Records start at multiples of 64, their payload 64 later. */
static const uint8_t *record_of(const uint8_t *log, uint64_t log_bytes, const uint8_t name[24])
{
    for (uint64_t at = 0; at + 4 * PAGE < log_bytes; at += 64)
        if (log[at + 12] == OBJECT && !memcmp(log + at + 64, name, 24))
            return log + at + 64;
    errno = ENOENT;
    die("that checkpoint in " ARENA);
    return NULL;
}

/* In the checkpoint's frames [from, to), counted along its extents; a negative from counts from the end. */
static void flip_frames(const uint8_t name[24], long from, long to)
{
    uint64_t log_bytes;
    int fd;
    uint8_t *log = open_arena(&fd, &log_bytes);
    const uint8_t *payload = record_of(log, log_bytes, name), *extent = payload + 40;
    uint32_t n = u32(payload + 28);
    long frames = 0, at = 0;

    for (uint32_t i = 0; i < n; i++)
        frames += u32(extent + 8 * i + 4);
    if (from < 0) {
        from += frames;
        to = frames;
    }
    for (; n--; extent += 8)
        for (uint32_t i = 0; i < u32(extent + 4); i++, at++)
            if (at >= from && at < to)
                flip(ARENA, LOG_AT + (off_t)log_bytes + ((off_t)u32(extent) + i) * PAGE + 8);
    free(log);
    if (close(fd))
        die(ARENA);
}

int main(int argc, char **argv)
{
    uint8_t name[24];

    if (argc == 6 && !strcmp(argv[1], "nvram") && !strcmp(argv[4], "first")) {
        name_of(argv[2], argv[3], name);
        flip_frames(name, 0, strtol(argv[5], NULL, 10));
    } else if (argc == 5 && !strcmp(argv[1], "nvram") && !strcmp(argv[4], "last")) {
        name_of(argv[2], argv[3], name);
        flip_frames(name, -1, 0);
    } else if (argc == 4 && !strcmp(argv[1], "at")) {
        flip(argv[2], (off_t)strtoll(argv[3], NULL, 10));
    } else {
        (void)fputs("usage: spoil nvram UUID SEQ first N|last | spoil at FILE OFFSET\n", stderr);
        return 2;
    }
    return 0;
}
