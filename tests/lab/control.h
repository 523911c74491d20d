/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What the lab's devices share: a control socket that takes one line a connection, and chance that a seed repeats. */
#ifndef FLIC_LAB_CONTROL_H
#define FLIC_LAB_CONTROL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static inline void die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

/* Returns false on error: the other side is gone. */
static inline bool put(int fd, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)data + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static inline int unix_socket(const char *path, bool listening)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (s < 0 || strlen(path) >= sizeof(a.sun_path))
        die(path);
    strcpy(a.sun_path, path);
    if (listening)
        unlink(path);
    if ((listening ? bind(s, (void *)&a, sizeof(a)) || listen(s, 4) : connect(s, (void *)&a, sizeof(a))) != 0)
        die(path);
    return s;
}

/* The other end: sends a command, prints the answer, returns an exit status. */
static inline int ask(const char *path, const char *command)
{
    char answer[512];
    int s = unix_socket(path, false);
    ssize_t n;

    if (!put(s, command, strlen(command)))
        die(path);
    while ((n = read(s, answer, sizeof(answer))) > 0)
        if (!put(1, answer, (size_t)n))
            return 1;
    return 0;
}

/* xorshift64*, so that a seed repeats a run on every machine. The state is never 0. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

#endif
