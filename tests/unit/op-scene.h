/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * op-scene - what the tests of flicd's operations share: a flicd on a real socket, with the test as libflicxl and helper, and the link-time
 * twin in Xen's place. Included by one file of a program, which wraps posix_spawn and waitpid: the worker is the test's, a hook is real.
 */
#ifndef FLIC_TESTS_UNIT_OP_SCENE_H
#define FLIC_TESTS_UNIT_OP_SCENE_H

#include "tests/unit/checkpoint-scene.h"

#include "common/talk.h"
#include "daemon/op.h"
#include "daemon/protect.h"

#include <jansson.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fd_daemon flicd;
static pthread_t thread;
static char path[96];

/* main.c's, which is not in the library: here the host is always ready. */
int fd_check_ready(const struct fd_daemon *daemon, struct flic_err *why)
{
    (void)daemon;
    (void)why;
    return 0;
}

/* ---- protect's worker: it runs until the test says so ---- */

#define WORKER 424242

static atomic_uint spawned;
static atomic_int worker_status = -1;   /* -1: still there */
static char worker_line_[256];
static pthread_mutex_t worker_lock = PTHREAD_MUTEX_INITIALIZER;

/* What was started last; the thread that starts workers may be at the next one. */
static inline const char *worker_line(void)
{
    static char copy[256];

    (void)pthread_mutex_lock(&worker_lock);
    memcpy(copy, worker_line_, sizeof(copy));
    (void)pthread_mutex_unlock(&worker_lock);
    return copy;
}

int __real_posix_spawn(pid_t *pid, const char *program, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
                       char *const argv[], char *const env[]);
int __wrap_posix_spawn(pid_t *pid, const char *program, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
                       char *const argv[], char *const env[]);
int __wrap_posix_spawn(pid_t *pid, const char *program, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
                       char *const argv[], char *const env[])
{
    if (!strcmp(program, flicd.conf.disk_snapshot_hook))
        return __real_posix_spawn(pid, program, actions, attr, argv, env);
    (void)pthread_mutex_lock(&worker_lock);
    (void)snprintf(worker_line_, sizeof(worker_line_), "%s: %s %s %s, %s", program, argv[0], argv[1], argv[2], env[0]);
    (void)pthread_mutex_unlock(&worker_lock);
    atomic_store(&worker_status, -1);
    *pid = WORKER;
    atomic_fetch_add(&spawned, 1);
    return 0;
}

pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    if (pid != WORKER)
        return __real_waitpid(pid, status, options);
    while (!(options & WNOHANG) && atomic_load(&worker_status) < 0)
        (void)usleep(1000);
    if (atomic_load(&worker_status) < 0)
        return 0;
    if (status)
        *status = atomic_load(&worker_status) << 8;
    return pid;
}

static atomic_bool loop_ended;

static inline void *run(void *arg)
{
    (void)arg;
    (void)ev_run(flicd.loop, NULL);
    atomic_store(&loop_ended, true);
    return NULL;
}

static inline void set_up(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)signal(SIGPIPE, SIG_IGN);     /* as main() does: clients go away */
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    (void)snprintf(path, sizeof(path), "%s/sock", scene_dir);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    ck_assert(!bind(fd, (struct sockaddr *)&addr, sizeof(addr)) && !listen(fd, 8));
    fd_conf_defaults(&flicd.conf);
    flicd.store = store;
    (void)snprintf(flicd.conf.store, sizeof(flicd.conf.store), "%s", scene_dir);
    (void)snprintf(flicd.conf.socket, sizeof(flicd.conf.socket), "%s", path);
    atomic_store(&spawned, 0);
    atomic_store(&worker_status, -1);
    atomic_store(&loop_ended, false);
    flx_host_probe(&flicd.host);
    OK(ev_new(&flicd.loop, &err));
    OK(ev_listen(flicd.loop, fd, fd_session_handlers(&flicd), &err));
    ck_assert(!pthread_create(&thread, NULL, run, NULL));
}

static inline void stop(void *arg)
{
    (void)arg;
    flicd.stopping = true;
    fd_protect_close(&flicd);
    fd_op_abort_all(&flicd);
    if (!flicd.ops && !flicd.tasks)
        ev_stop(flicd.loop);
}

static inline void tear_down(void)
{
    if (!atomic_load(&loop_ended))
        ev_ask(flicd.loop, stop, NULL);
    ck_assert(!pthread_join(thread, NULL));
    fd_protect_stop(&flicd);
    ev_free(flicd.loop);
    memset(&flicd, 0, sizeof(flicd));
    scene_end();
}

/* ---- the other side ---- */

static inline struct flic_talk *connect_and_say(json_t *request)
{
    struct flic_talk *talk;

    OK(flic_talk_open(path, &talk, &err));
    OK(flic_talk_send(talk, request, &err));
    return talk;
}

/* The next message that is no progress. */
static inline json_t *hear(struct flic_talk *talk)
{
    const char *name;
    json_t *msg;

    for (;;) {
        OK(flic_talk_next(talk, 5000, &msg, &err));
        if (!flic_talk_is_event(msg, &name) || strcmp(name, "progress"))
            return msg;
        json_decref(msg);
    }
}

static inline void hear_event(struct flic_talk *talk, const char *event, char operation[FD_OP_ID])
{
    json_t *msg = hear(talk);
    const char *name = json_string_value(json_object_get(msg, "event"));

    ck_assert_msg(name && !strcmp(name, event), "not '%s' but %s", event, json_dumps(msg, 0));
    if (operation)
        (void)snprintf(operation, FD_OP_ID, "%s", json_string_value(json_object_get(msg, "operation")));
    json_decref(msg);
}

static inline void hear_refusal(struct flic_talk *talk, int code)
{
    json_t *msg = hear(talk);
    int got = flic_talk_outcome(msg, &err);

    ck_assert_msg(got == code, "%d, not %d: %s", got, code, err.text);
    json_decref(msg);
}

static inline void hear_ok(struct flic_talk *talk)
{
    json_t *msg = hear(talk);

    OK(flic_talk_outcome(msg, &err));
    json_decref(msg);
}

static inline json_t *a_save(void)
{
    return json_pack("{s:s, s:i, s:s}", "op", "save", "domid", (int)GUEST, "config", "{\"disks\": []}");
}

static inline json_t *about(const char *verb, const char *operation)
{
    return json_pack("{s:s, s:s}", "op", verb, "operation", operation);
}

/* An answer comes a little before the end of its operation. */
static inline void await_idle(void)
{
    for (int i = 0; i < 500 && fd_op_holds(&flicd, GUEST); i++)
        (void)usleep(10000);
    ck_assert(!fd_op_holds(&flicd, GUEST));
}

static inline void look_at_operations(void *arg)
{
    *(bool *)arg = flicd.ops != NULL;
}

/* The list is the loop's thread's own: it is asked. */
static inline bool has_operations(void)
{
    bool has;

    ev_ask(flicd.loop, look_at_operations, &has);
    return has;
}

static inline void await_no_operation(void)
{
    for (int i = 0; i < 500 && has_operations(); i++)
        (void)usleep(10000);
    ck_assert(!has_operations());
}

/* A whole save up to its answer; the guest is left suspended. */
static inline void save_whole_of(json_t *request)
{
    struct flic_talk *owner = connect_and_say(request), *helper;
    char operation[FD_OP_ID];

    hear_event(owner, "ready", operation);
    helper = connect_and_say(about("join", operation));
    hear_event(helper, "suspend", NULL);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    OK(flic_talk_send(helper, json_pack("{s:s, s:b}", "op", "suspended", "ok", 1), &err));
    hear_ok(helper);
    OK(flic_talk_send(owner, about("publish", operation), &err));
    hear_ok(owner);
    ck_assert_msg(!flx_fake_tracked(GUEST), "log-dirty is still on when the save is answered");
    flic_talk_close(helper);
    await_no_operation();
    ck_assert_msg(fd_op_holds(&flicd, GUEST), "flicd would resume a guest that its owner is about to destroy");
    flic_talk_close(owner);
    await_idle();
}

static inline void save_whole(void)
{
    save_whole_of(a_save());
}

static inline json_t *a_restore(bool clone)
{
    return json_pack("{s:s, s:s, s:b}", "op", "restore", "domain", "web", "clone", clone);
}

/* A connection that is an operation's tunnel from now on. */
static inline int tunnel_of(const char *operation)
{
    struct flic_talk *talk = connect_and_say(about("tunnel", operation));
    int fd = dup(flic_talk_fd(talk));

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
    flic_talk_close(talk);
    return fd;
}

#endif
