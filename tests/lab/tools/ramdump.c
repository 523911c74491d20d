/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * ramdump DOMID FILE - what saving without FLIC costs: all of a guest's memory written to FILE and fsynced.
 *
 * The yardstick of scripts/demo: the same pages, the same mappings, the same flash. Prints one JSON object: pages, bytes,
 * and how long reading and writing took. The file is removed again: it is no checkpoint.
 */
#include "guestmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static void put(int fd, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0)
            die("write: %s", strerror(errno));
        data += n;
        len -= (size_t)n;
    }
}

int main(int argc, char **argv)
{
    struct guestmem mem;
    double began, mapped;
    uint64_t gfn;
    int fd;

    if (argc != 3)
        die("usage: ramdump DOMID FILE");
    fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        die("%s: %s", argv[2], strerror(errno));
    began = now_ms();
    guestmem_open(&mem, (uint32_t)atoi(argv[1]));
    guestmem_map(&mem);
    mapped = now_ms();
    for (gfn = 0; gfn < mem.nr; gfn++)
        if (mem.page[gfn])
            put(fd, mem.page[gfn], GUESTMEM_PAGE);
    if (fsync(fd))
        die("fsync: %s", strerror(errno));
    printf("{\"pages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"map_ms\":%.1f,\"write_ms\":%.1f,\"total_ms\":%.1f}\n", mem.present,
           mem.present * GUESTMEM_PAGE, mapped - began, now_ms() - mapped, now_ms() - began);
    unlink(argv[2]);
    guestmem_close(&mem);
    return 0;
}
