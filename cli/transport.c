/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "cli/transport.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROOM (256u << 10)

int transport_start(struct transport *t, const char *command, const char *host, const char *there, int socket)
{
    char *line;
    pid_t pid;

    if (asprintf(&line, "exec %s %s %s", command ? command : TRANSPORT_SSH, host, there) < 0) {
        (void)close(socket);
        return -ENOMEM;
    }
    pid = fork();
    if (!pid) {
        (void)signal(SIGINT, SIG_IGN);
        (void)signal(SIGPIPE, SIG_DFL);
        if (dup2(socket, STDIN_FILENO) < 0 || dup2(socket, STDOUT_FILENO) < 0)
            _exit(127);
        (void)execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    t->child[0] = pid > 0 ? pid : 0;
    free(line);
    (void)close(socket);
    return pid < 0 ? -EAGAIN : 0;
}

/* One direction, in a process of its own: neither waits for the other. The descriptors may be non-blocking. */
static int copy(int from, int to)
{
    char *data = malloc(ROOM);
    ssize_t n;

    while (data && (n = read(from, data, ROOM)) != 0) {
        struct pollfd in = { .fd = from, .events = POLLIN };

        if (n < 0 && errno != EAGAIN && errno != EINTR)
            break;
        if (n < 0) {
            (void)poll(&in, 1, -1);
            continue;
        }
        for (ssize_t at = 0; at < n;) {
            struct pollfd out = { .fd = to, .events = POLLOUT };
            ssize_t wrote = write(to, data + at, (size_t)(n - at));

            if (wrote > 0)
                at += wrote;
            else if (wrote < 0 && errno != EAGAIN && errno != EINTR)
                return 1;
            else
                (void)poll(&out, 1, -1);
        }
    }
    return 0;
}

static pid_t start_copy(int from, int to, bool to_socket)
{
    pid_t pid = fork();

    if (pid)
        return pid;
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGTERM, SIG_DFL);     /* ours only set a flag, that nobody looks at here */
    (void)signal(SIGHUP, SIG_DFL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (copy(from, to))
        _exit(1);
    if (to_socket)
        (void)shutdown(to, SHUT_WR);
    _exit(0);
}

int transport_serve(struct transport *t, int socket)
{
    t->child[0] = start_copy(socket, STDOUT_FILENO, false);
    t->child[1] = start_copy(STDIN_FILENO, socket, true);
    (void)close(socket);
    return t->child[0] > 0 && t->child[1] > 0 ? 0 : -EAGAIN;
}

static bool is_gone(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) != 0;
}

/* The first child carries what this side says: when it has ended, all of that is out. */
void transport_end(struct transport *t, unsigned seconds)
{
    const struct timespec tick = { .tv_nsec = 20 * 1000 * 1000 };

    for (unsigned i = 0; i < seconds * 50 && t->child[0] > 0; i++) {
        if (is_gone(t->child[0]))
            t->child[0] = 0;
        else
            (void)nanosleep(&tick, NULL);
    }
    for (int i = 0; i < 2; i++) {
        /* Asked first: the number of one that was reaped may be another process's by now. */
        if (t->child[i] > 0 && !is_gone(t->child[i]) && !kill(t->child[i], SIGTERM))
            (void)waitpid(t->child[i], NULL, 0);
        t->child[i] = 0;
    }
}
