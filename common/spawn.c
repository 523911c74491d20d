/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "common/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

extern char **environ;

static bool can_append(const char *log)
{
    char copy[PATH_MAX];

    return snprintf(copy, sizeof(copy), "%s", log) < (int)sizeof(copy) && !access(dirname(copy), W_OK);
}

/* Nothing of ours stays open in it: a caller that waits for the end of our output would wait for the guest's end. */
static int detach(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attr, const char *log)
{
    int r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID);

    if (!r)
        r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!r)
        r = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!r)
        r = can_append(log) ? posix_spawn_file_actions_addopen(actions, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0640)
                            : posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    return r ? r : posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
}

int flic_spawn_detached(char *const *argv, const char *log)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    pid_t pid;
    int r = posix_spawn_file_actions_init(&actions);

    if (r)
        return -r;
    r = posix_spawnattr_init(&attr);
    if (!r) {
        r = detach(&actions, &attr, log);
        if (!r)
            r = posix_spawn(&pid, argv[0], &actions, &attr, argv, environ);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return -r;
}
