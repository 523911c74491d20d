/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Lines on flicd's socket: what any program of a user who may talk to it could send, to all of flicd but its main(). */
#include "tests/fuzz/fuzz.h"

#include "daemon/moves.h"
#include "daemon/op.h"
#include "daemon/protect.h"
#include "daemon/upkeep.h"
#include "tests/unit/checkpoint-scene.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LEN_MAX 60000u
#define HANGS_S 30      /* so much that it says something of flicd also where others have the CPUs */

static struct fd_daemon flicd;
static struct sockaddr_un addr = { .sun_family = AF_UNIX };

int fd_check_ready(const struct fd_daemon *daemon, struct flic_err *why)    /* main.c has it */
{
    (void)daemon;
    (void)why;
    return 0;
}

/* A worker that flicd starts would be a program of this machine. */
int __wrap_posix_spawn(pid_t *pid, const char *program, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
                       char *const argv[], char *const env[]);
int __wrap_posix_spawn(pid_t *pid, const char *program, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
                       char *const argv[], char *const env[])
{
    (void)pid, (void)program, (void)actions, (void)attr, (void)argv, (void)env;
    return EAGAIN;
}

static void *run(void *arg)
{
    (void)arg;
    (void)ev_run(flicd.loop, NULL);
    return NULL;
}

/* flicd runs on meanwhile: what it has open goes with the process. */
static void remove_folder(void) { scene_remove(scene_dir); }

static void start_once(void)
{
    pthread_t thread;
    int fd;

    if (flicd.loop)
        return;
    (void)signal(SIGPIPE, SIG_IGN);
    scene_threads = 1;
    scene_begin(8 * MIB);
    FUZZ_ASSERT(!atexit(remove_folder));
    scene_guest(GUEST, "web", 1, 128);
    (void)scene_save(GUEST, NULL, NULL);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/sock", scene_dir);
    FUZZ_ASSERT(!bind(fd, (struct sockaddr *)&addr, sizeof(addr)) && !listen(fd, 8));
    fd_conf_defaults(&flicd.conf);
    flicd.store = store;
    (void)snprintf(flicd.conf.store, sizeof(flicd.conf.store), "%s", scene_dir);
    (void)snprintf(flicd.conf.socket, sizeof(flicd.conf.socket), "%s", addr.sun_path);
    flx_host_probe(&flicd.host);
    FUZZ_ASSERT(!ev_new(&flicd.loop, NULL) && !ev_listen(flicd.loop, fd, fd_session_handlers(&flicd), NULL));
    FUZZ_ASSERT(!fd_protect_start(&flicd, NULL) && !fd_upkeep_start(&flicd, NULL) && !fd_moves_start(&flicd, NULL));
    FUZZ_ASSERT(!pthread_create(&thread, NULL, run, NULL));
}

/* libFuzzer's alarm, every half a minute, interrupts whatever waits. */
static bool is_interrupted(ssize_t n) { return n < 0 && errno == EINTR; }

static int connect_to_flicd(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

    FUZZ_ASSERT(fd >= 0);
    do
        rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
    while (is_interrupted(rc));
    FUZZ_ASSERT(!rc);
    return fd;
}

static void say(int fd, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (is_interrupted(n))
            continue;
        FUZZ_ASSERT(n > 0);
        data += n;
        len -= (size_t)n;
    }
}

/* An interruption counts as a second, of which there is one in half a minute. */
static bool is_heard(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int ready = 0;

    for (unsigned i = 0; ready <= 0 && i < HANGS_S; i++) {
        ready = poll(&p, 1, 1000);
        FUZZ_ASSERT(ready >= 0 || is_interrupted(ready));
    }
    return ready > 0;
}

static void look(void *arg)
{
    *(bool *)arg = !flicd.tasks && !flicd.ops;
}

/* What is under way belongs to the loop's thread. */
static bool is_at_rest(void)
{
    bool rests;

    ev_ask(flicd.loop, look, &rests);
    return rests;
}

/* An input ends with all that it began: LeakSanitizer does not know a thread that is just beginning, and takes what it has for lost. */
static void await_rest(void)
{
    unsigned ms = 0;

    while (!is_at_rest()) {
        FUZZ_ASSERT(ms++ < HANGS_S * 1000);
        (void)usleep(1000);
    }
}

/* Until flicd has said what it says: it closes when it is done with a client that has said its last. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char answer[4096];
    int fd;

    if (len > LEN_MAX)
        return 0;
    start_once();
    fd = connect_to_flicd();
    say(fd, data, len);
    (void)shutdown(fd, SHUT_WR);
    for (;;) {
        FUZZ_ASSERT(is_heard(fd));
        if (recv(fd, answer, sizeof(answer), 0) <= 0)
            break;
    }
    (void)close(fd);
    await_rest();
    return 0;
}
