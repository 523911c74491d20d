/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_all(void)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_folder(void)
{
    if (!folder[0]) {
        (void)snprintf(folder, sizeof(folder), "%s/flic-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        FUZZ_ASSERT(mkdtemp(folder));
        (void)atexit(remove_all);
    }
    return folder;
}

void fuzz_file(const char *name, const uint8_t *data, size_t len)
{
    char path[256];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", fuzz_folder(), name);
    if (strchr(name, '/')) {
        *strrchr(path, '/') = '\0';
        (void)mkdir(path, 0700);        /* it is there from the second time on */
        path[strlen(path)] = '/';
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_ASSERT(fd >= 0 && write(fd, data, len) == (ssize_t)len && !close(fd));
}
