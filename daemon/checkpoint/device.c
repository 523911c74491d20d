/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/device.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int ck_device_open(const char *folder)
{
    char path[64];
    struct stat st;

    if (stat(folder, &st))
        return -1;
    (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(st.st_dev), minor(st.st_dev));
    return open(path, O_RDONLY | O_CLOEXEC);
}

uint64_t ck_device_written(int fd)
{
    char text[512];
    uint64_t sectors = 0;
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

    if (n <= 0)
        return 0;
    text[n] = '\0';
    if (sscanf(text, "%*u %*u %*u %*u %*u %*u %" SCNu64, &sectors) != 1)
        return 0;
    return sectors * 512;
}
