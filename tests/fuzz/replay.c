/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * replay - main() of a target without libFuzzer: every seed of its folder, each cut short everywhere, and each with one byte changed
 * everywhere (of long ones at a few hundred places). Without an argument the folder is tests/fuzz/seeds/NAME below $srcdir.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <libgen.h>
#include <limits.h>

#define SEED_MAX (1u << 20)
#define PLACES 400u

static unsigned runs;

/* From memory of just that length, so that reading past its end is seen. */
static void run(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    FUZZ_ASSERT(copy);
    if (len)
        memcpy(copy, data, len);
    (void)LLVMFuzzerTestOneInput(copy, len);
    free(copy);
    runs++;
}

static void replay(uint8_t *data, size_t len)
{
    size_t step = len / PLACES + 1;

    run(data, len);
    for (size_t i = 0; i < len; i += step)
        run(data, i);
    for (size_t i = 0; i < len; i += step) {
        uint8_t was = data[i];

        data[i] = (uint8_t)(i % 3 ? was ^ 1u << i % 8 : i % 2 ? 0xff : 0);
        run(data, len);
        data[i] = was;
    }
}

static unsigned replay_folder(const char *folder)
{
    uint8_t *data = malloc(SEED_MAX);
    DIR *dir = folder ? opendir(folder) : NULL;
    const struct dirent *e;
    unsigned seeds = 0;

    FUZZ_ASSERT(data);
    while (dir && (e = readdir(dir))) {
        char path[800];
        size_t len;
        FILE *f;

        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        f = fopen(path, "rb");
        FUZZ_ASSERT(f);
        len = fread(data, 1, SEED_MAX, f);
        (void)fclose(f);        /* only read */
        replay(data, len);
        seeds++;
    }
    if (dir)
        (void)closedir(dir);
    free(data);
    return seeds;
}

int main(int argc, char **argv)
{
    const char *top = getenv("srcdir");
    char folder[400], whole[PATH_MAX] = "";
    unsigned seeds;

    (void)snprintf(folder, sizeof(folder), "%s/tests/fuzz/seeds/%s", top ? top : ".", basename(argv[0]));
    seeds = replay_folder(realpath(argc > 1 ? argv[1] : folder, whole));    /* a target may change its folder */
    printf("%u seeds, %u runs\n", seeds, runs);
    if (!seeds)
        (void)fprintf(stderr, "no seeds in %s\n", argc > 1 ? argv[1] : folder);
    return seeds ? EXIT_SUCCESS : EXIT_FAILURE;
}
