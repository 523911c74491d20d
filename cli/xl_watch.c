/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Starting flic-watch, the process that stands where xl's own monitor of a domain stood. */
#include "cli/xl.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <unistd.h>

#define WATCH_PROGRAM FLIC_LIBEXECDIR "/flic-watch"
#define WATCH_LOG "/var/log/xen/flic-watch.log"

extern char **environ;

/* Nothing of ours stays open in it: a caller that waits for the end of our output would wait for the guest's end. */
static int detach(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attr)
{
    int r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID);

    if (!r)
        r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!r)
        r = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!r)
        r = access("/var/log/xen", W_OK) ?
            posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) :
            posix_spawn_file_actions_addopen(actions, STDERR_FILENO, WATCH_LOG, O_WRONLY | O_CREAT | O_APPEND, 0640);
    return r ? r : posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
}

static int spawn_detached(char **argv)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    pid_t pid;
    int r = posix_spawn_file_actions_init(&actions);

    if (r)
        return r;
    r = posix_spawnattr_init(&attr);
    if (!r) {
        r = detach(&actions, &attr);
        if (!r)
            r = posix_spawn(&pid, argv[0], &actions, &attr, argv, environ);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return r;
}

int xl_watch(uint32_t domid, bool foreground, struct flic_err *err)
{
    char number[16], program[] = WATCH_PROGRAM;
    char *argv[] = { program, number, NULL };

    (void)snprintf(number, sizeof(number), "%u", domid);
    if (foreground) {
        (void)execv(argv[0], argv);
    } else {
        int r = spawn_detached(argv);

        if (!r)
            return 0;
        errno = r;
    }
    return flic_err_errno(err, "start " WATCH_PROGRAM " for domain %u", domid);
}
