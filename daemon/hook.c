/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/hook.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int64_t now_ms(void) { return (int64_t)(flic_now_us() / 1000); }

static int spawn(const struct hk_disk *disk, const char *verb, int said, pid_t *ret_pid)
{
    char *const argv[] = { (char *)disk->program, (char *)verb, (char *)disk->vdev, (char *)disk->path, (char *)disk->name, NULL };
    posix_spawn_file_actions_t actions;
    int r = posix_spawn_file_actions_init(&actions);

    if (r)
        return r;
    r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!r)
        r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (!r)
        r = posix_spawn_file_actions_adddup2(&actions, said, STDERR_FILENO);
    if (!r)
        r = posix_spawn(ret_pid, disk->program, &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* Its words until it says no more; the newest when there are many. False when the time is over. */
static bool listen_to(int said, int64_t until, char *text, size_t room)
{
    struct pollfd p = { .fd = said, .events = POLLIN };
    size_t len = 0;

    for (;;) {
        int64_t left = until - now_ms();
        ssize_t n;

        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return false;
        if (len > room / 2) {
            memmove(text, text + len / 2, len - len / 2);
            len -= len / 2;
        }
        n = read(said, text + len, room - 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    text[len] = '\0';
    return true;
}

/* It may have closed what it says its words to, and go on. */
static bool ends_by(pid_t pid, int64_t until, int *ret_status)
{
    pid_t got;

    while ((got = waitpid(pid, ret_status, WNOHANG)) == 0 && now_ms() < until)
        (void)usleep(2000);
    return got != 0;
}

/* Without the spaces that LVM and others begin theirs with. */
static const char *last_line(char *text)
{
    size_t len = strlen(text);
    char *at;

    while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
        text[--len] = '\0';
    at = strrchr(text, '\n');
    at = at ? at + 1 : text;
    return at + strspn(at, " \t");
}

static int finish(const struct hk_disk *disk, const char *verb, pid_t pid, int said, struct flic_err *err)
{
    char text[1024] = "";
    int limit_s = strcmp(verb, "take") ? HK_LIMIT_S : HK_PAUSE_LIMIT_S;
    int64_t until = now_ms() + limit_s * 1000;
    int status = -1;
    bool ended = listen_to(said, until, text, sizeof(text)) && ends_by(pid, until, &status);
    const char *why = last_line(text);

    if (!ended) {
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        return flic_err_set(err, FLIC_E_TIMEOUT, "disk %s: '%s %s %s' did not end within %d s", disk->vdev, disk->program, verb, disk->path, limit_s);
    }
    if (WIFEXITED(status) && !WEXITSTATUS(status))
        return 0;
    return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s %s %s' failed: %s", disk->vdev, disk->program, verb, disk->path,
                        *why ? why : "it does not say why");
}

int hk_run(const struct hk_disk *disk, const char *verb, struct flic_err *err)
{
    int said[2], r, rc;
    pid_t pid;

    if (!disk->program || !*disk->program)
        return flic_err_set(err, FLIC_E_DISK, "disk %s: '%s' was snapshotted by a disk_snapshot_hook, and flicd.conf names none now", disk->vdev,
                            disk->path);
    if (pipe2(said, O_CLOEXEC))
        return flic_err_errno(err, "run '%s'", disk->program);
    r = spawn(disk, verb, said[1], &pid);
    (void)close(said[1]);
    rc = r ? flic_err_set(err, -r, "disk %s: run '%s': %s", disk->vdev, disk->program, strerror(r)) : finish(disk, verb, pid, said[0], err);
    (void)close(said[0]);
    return rc;
}
