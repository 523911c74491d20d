/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * nvram-rate - how fast memory can be copied into NVRAM and made durable there: the physical limit of a checkpoint's pause.
 *
 *   nvram-rate FILE MIB RUNS THREADS    FILE lies on a DAX file system and is made; prints {"bytes_per_s": [...]}, a number per run
 *
 * Each thread copies its share, page after page, out of memory that was written just before, with the stores and cache cleans
 * of this CPU that flicd uses too (daemon/nvram/cpu.h), and ends with a barrier. Nothing is mapped, hashed or noted.
 */
#include "daemon/nvram/cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define MAX_THREADS 16u

struct share {
    pthread_t thread;
    char *to, *from;
    size_t bytes;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "nvram-rate: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *copy_share(void *arg)
{
    struct share *s = arg;

    for (size_t at = 0; at < s->bytes; at += PAGE)
        nv_cpu_stream(s->to + at, s->from + at, PAGE);
    nv_cpu_fence();
    return NULL;
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

static double copy_all(char *to, char *from, size_t bytes, unsigned threads)
{
    struct share s[MAX_THREADS];
    double began = seconds();

    for (unsigned i = 0; i < threads; i++) {
        size_t first = bytes / PAGE * i / threads * PAGE, end = bytes / PAGE * (i + 1) / threads * PAGE;

        s[i] = (struct share){ .to = to + first, .from = from + first, .bytes = end - first };
        if (i + 1 < threads && pthread_create(&s[i].thread, NULL, copy_share, &s[i]))
            die("a thread");
    }
    (void)copy_share(&s[threads - 1]);
    for (unsigned i = 0; i + 1 < threads; i++)
        (void)pthread_join(s[i].thread, NULL);
    return seconds() - began;
}

int main(int argc, char **argv)
{
    size_t bytes = argc == 5 ? strtoul(argv[2], NULL, 10) << 20 : 0;
    unsigned runs = argc == 5 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    unsigned threads = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
    char *to, *from;

    if (!bytes || !runs || !threads || threads > MAX_THREADS) {
        (void)fputs("usage: nvram-rate FILE MIB RUNS THREADS\n", stderr);
        return 2;
    }
    to = map_file(argv[1], bytes);
    from = malloc(bytes);
    if (!from)
        die("memory");
    printf("{\"bytes_per_s\": [");
    for (unsigned run = 0; run < runs; run++) {
        memset(from, (int)run + 1, bytes);
        printf("%s%.0f", run ? ", " : "", (double)bytes / copy_all(to, from, bytes, threads));
    }
    puts("]}");
    free(from);
    return 0;
}
