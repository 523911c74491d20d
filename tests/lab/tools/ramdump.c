/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * ramdump DOMID FILE - what saving without FLIC costs: all of a guest's memory written to FILE and fsynced.
 *
 * The yardstick of scripts/demo: the same pages, the same mappings, the same flash. Prints one JSON object: pages, bytes,
 * and how long it took. The file is removed again: it is no checkpoint.
 */
#include "guestmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

#define FIRST_GFN 0x40000u      /* where an arm64 guest's RAM begins (xen/include/public/arch-arm.h: GUEST_RAM0_BASE) */
#define BATCH 1024u             /* pages mapped at a time, as libxc's own save does */

/* Writes the pages from `gfn` on that are there; returns how many. */
static uint64_t dump_batch(const struct guestmem *mem, uint64_t gfn, size_t n, int fd)
{
    xen_pfn_t gfns[BATCH];
    int missing[BATCH];
    uint64_t pages = 0;
    const uint8_t *base;

    for (size_t i = 0; i < n; i++)
        gfns[i] = gfn + i;
    base = xenforeignmemory_map(mem->fmem, mem->domid, PROT_READ, n, gfns, missing);
    if (!base)
        die("map gfn %#" PRIx64 ": %s", gfn, strerror(errno));
    for (size_t i = 0; i < n; i++) {
        if (missing[i])
            continue;
        put(fd, base + i * GUESTMEM_PAGE, GUESTMEM_PAGE);
        pages++;
    }
    xenforeignmemory_unmap(mem->fmem, (void *)base, n);
    return pages;
}

int main(int argc, char **argv)
{
    struct guestmem mem;
    uint64_t pages = 0, end;
    double began;
    int fd;

    if (argc != 3)
        die("usage: ramdump DOMID FILE");
    fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        die("%s: %s", argv[2], strerror(errno));
    guestmem_open(&mem, (uint32_t)atoi(argv[1]));
    end = guestmem_frames(&mem);
    began = now_ms();
    for (uint64_t gfn = FIRST_GFN; gfn < end; gfn += BATCH)
        pages += dump_batch(&mem, gfn, end - gfn < BATCH ? (size_t)(end - gfn) : BATCH, fd);
    if (fsync(fd))
        die("fsync: %s", strerror(errno));
    printf("{\"pages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"total_ms\":%.1f}\n", pages, pages * GUESTMEM_PAGE,
           now_ms() - began);
    unlink(argv[2]);
    return 0;
}
