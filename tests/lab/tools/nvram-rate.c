/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * nvram-rate - how fast memory can be copied into NVRAM and made durable there: the physical limit of a checkpoint's pause.
 *
 *   nvram-rate FILE MIB RUNS    FILE lies on a DAX file system and is made; prints {"bytes_per_s": [...]}, a number per run
 *
 * One thread copies page after page out of memory that was written just before, cleans each cache line and ends with a barrier.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <emmintrin.h>
#endif

#define PAGE 4096u

static void die(const char *what)
{
    (void)fprintf(stderr, "nvram-rate: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void copy_page(char *to, const char *from)
{
#ifdef __x86_64__
    for (unsigned i = 0; i < PAGE; i += 16)
        _mm_stream_si128((__m128i *)(to + i), _mm_loadu_si128((const __m128i *)(from + i)));
#else
    memcpy(to, from, PAGE);
    for (unsigned i = 0; i < PAGE; i += 64)
        __asm__ volatile("dc cvac, %0" : : "r"(to + i) : "memory");
#endif
}

static void barrier(void)
{
#ifdef __x86_64__
    _mm_sfence();
#else
    __asm__ volatile("dsb sy" : : : "memory");
#endif
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static char *map_file(const char *path, size_t bytes)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char *at;

    if (fd < 0 || posix_fallocate(fd, 0, (off_t)bytes))
        die(path);
    at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED || close(fd))
        die(path);
    return at;
}

int main(int argc, char **argv)
{
    size_t bytes = argc == 4 ? strtoul(argv[2], NULL, 10) << 20 : 0;
    unsigned runs = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    char *to, *from;

    if (!bytes || !runs) {
        (void)fputs("usage: nvram-rate FILE MIB RUNS\n", stderr);
        return 2;
    }
    to = map_file(argv[1], bytes);
    from = malloc(bytes);
    if (!from)
        die("memory");
    printf("{\"bytes_per_s\": [");
    for (unsigned run = 0; run < runs; run++) {
        double began;

        memset(from, (int)run + 1, bytes);
        began = seconds();
        for (size_t at = 0; at < bytes; at += PAGE)
            copy_page(to + at, from + at);
        barrier();
        printf("%s%.0f", run ? ", " : "", (double)bytes / (seconds() - began));
    }
    puts("]}");
    free(from);
    return 0;
}
