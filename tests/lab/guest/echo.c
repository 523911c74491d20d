/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "echo.h"

#include <errno.h>
#include <sys/socket.h>

bool get_all(int fd, void *data, uint32_t size)
{
    for (uint32_t done = 0; done < size;) {
        ssize_t n = recv(fd, (char *)data + done, size - done, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (uint32_t)n;
    }
    return true;
}

bool put_all(int fd, const void *data, uint32_t size)
{
    for (uint32_t done = 0; done < size;) {
        ssize_t n = send(fd, (const char *)data + done, size - done, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (uint32_t)n;
    }
    return true;
}
