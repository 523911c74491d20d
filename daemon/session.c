/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* session - one client's connection: who it is, what it asks, and where its answer goes. Loop thread. */
#include "common/log.h"
#include "daemon/op.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TASKS_MAX 8
#define CONNS_MAX 64
#define LINE_MAX_BYTES (1u << 20)

struct fd_session {
    struct fd_session *prev, *next;
    struct fd_daemon *daemon;
    struct ev_conn *conn;
    uint64_t serial;            /* never reused: answers to a closed session find nobody */
    bool allowed, is_root;
};

/* ---- answers ---- */

json_t *fd_answer_ok(void)
{
    return json_pack("{s:b}", "ok", 1);
}

json_t *fd_answer_error(int code, const char *sentence)
{
    json_t *msg = json_pack("{s:b, s:s, s:s}", "ok", 0, "code", flic_code_name(code), "error", sentence);

    /* A sentence that is not UTF-8 (a file name can be anything) must not cost the answer. */
    return msg ? msg : json_pack("{s:b, s:s, s:s}", "ok", 0, "code", flic_code_name(code), "error", flic_code_text(code));
}

static void send_json(struct fd_session *s, const json_t *msg)
{
    char *text = msg ? json_dumps(msg, JSON_COMPACT) : NULL;
    size_t len = text ? strlen(text) : 0;

    if (!text) {
        flic_error("an answer could not be built: out of memory");
        ev_close(s->conn);
        return;
    }
    text[len] = '\n';           /* in the place of the NUL */
    ev_send(s->conn, text, len + 1);
    free(text);
}

static void answer_error(struct fd_session *s, int code, const char *sentence)
{
    json_t *msg = fd_answer_error(code, sentence);

    send_json(s, msg);
    json_decref(msg);
}

struct post {
    struct fd_daemon *daemon;
    uint64_t serial;
    json_t *msg;
    struct ev_call deliver;
};

static void deliver(void *arg)
{
    struct post *post = arg;

    for (struct fd_session *s = post->daemon->sessions; s; s = s->next) {
        if (s->serial == post->serial) {
            send_json(s, post->msg);
            break;
        }
    }
    json_decref(post->msg);
    free(post);
}

void fd_post(struct fd_daemon *daemon, uint64_t serial, json_t *msg)
{
    struct post *post = malloc(sizeof(*post));

    if (!post) {
        flic_error("a message to a client was lost: out of memory");
        json_decref(msg);
        return;
    }
    *post = (struct post){ .daemon = daemon, .serial = serial, .msg = msg };
    ev_defer(daemon->loop, &post->deliver, deliver, post);
}

/* ---- questions, each in a thread: they may read flash ---- */

struct task {
    struct fd_daemon *daemon;
    uint64_t serial;
    json_t *request;
    pthread_t thread;
    struct ev_call end;
};

static void task_ended(void *arg)
{
    struct task *task = arg;
    struct fd_daemon *daemon = task->daemon;

    (void)pthread_join(task->thread, NULL);
    json_decref(task->request);
    free(task);
    daemon->tasks--;
    if (daemon->stopping && !daemon->ops && !daemon->tasks)
        ev_stop(daemon->loop);
}

static void *run_task(void *arg)
{
    struct task *task = arg;
    const char *op = json_string_value(json_object_get(task->request, "op"));

    fd_post(task->daemon, task->serial, fd_question(task->daemon, op, task->request));
    ev_defer(task->daemon->loop, &task->end, task_ended, task);
    return NULL;
}

static void ask(struct fd_session *s, json_t *request)
{
    struct task *task = s->daemon->tasks < TASKS_MAX ? calloc(1, sizeof(*task)) : NULL;

    if (!task) {
        answer_error(s, FLIC_E_BUSY, "flicd is answering too many questions already: try again");
        return;
    }
    *task = (struct task){ .daemon = s->daemon, .serial = s->serial, .request = json_incref(request) };
    if (pthread_create(&task->thread, NULL, run_task, task)) {
        json_decref(task->request);
        free(task);
        answer_error(s, -EAGAIN, "flicd can start no thread for the question");
        return;
    }
    s->daemon->tasks++;
}

/* ---- operations ---- */

static void start_op(struct fd_session *s, enum fd_op_kind kind, json_t *request)
{
    struct flic_err err = { 0 };
    int rc = fd_check_ready(s->daemon, &err);

    if (!rc && (kind == FD_OP_SAVE || kind == FD_OP_MIGRATE) && json_integer_value(json_object_get(request, "domid")) > 0 &&
        fd_op_on_domain(s->daemon, (uint32_t)json_integer_value(json_object_get(request, "domid"))))
        rc = flic_err_set(&err, FLIC_E_BUSY, "domain %lld has an operation under way already: wait for it or cancel it ('flic status')",
                          (long long)json_integer_value(json_object_get(request, "domid")));
    if (!rc)
        rc = fd_op_start(s->daemon, kind, s->serial, request, &err);
    if (rc)
        answer_error(s, rc, err.text);
}

/* Messages about a running operation. The session must be the operation's own; cancel is for everybody allowed. */
static void on_operation(struct fd_session *s, const char *verb, json_t *request)
{
    const char *id = json_string_value(json_object_get(request, "operation"));
    struct fd_op *op = fd_op_find(s->daemon, id);
    struct flic_err err = { 0 };
    json_t *msg;

    if (!op) {
        answer_error(s, FLIC_E_NOCHECKPOINT, "there is no such operation (any more)");
    } else if (!strcmp(verb, "join")) {
        if (fd_op_join(op, s->serial, request, &err))
            answer_error(s, err.code, err.text);
    } else if (!strcmp(verb, "cancel")) {
        fd_op_abort(op);
        msg = json_pack("{s:b, s:s}", "ok", 1, "operation", id);
        send_json(s, msg);
        json_decref(msg);
    } else if (op->owner != s->serial) {
        answer_error(s, FLIC_E_DENIED, "this operation belongs to another connection");
    } else if (!strcmp(verb, "abort")) {
        fd_op_abort(op);
    } else {
        fd_op_finish(op, request);
    }
}

/* From here on the connection carries what the peers say to each other, and is not this session's any more. */
static void on_tunnel(struct fd_session *s, json_t *request)
{
    struct fd_daemon *daemon = s->daemon;
    const char *id = json_string_value(json_object_get(request, "operation"));
    struct flic_err err = { 0 };
    void *early;
    size_t n_early;
    int fd;

    if (!fd_op_find(daemon, id)) {
        answer_error(s, FLIC_E_NOCHECKPOINT, "there is no such operation (any more)");
        return;
    }
    if (ev_detach(s->conn, &fd, &early, &n_early)) {
        answer_error(s, -ENOMEM, "the connection could not be handed on");
        return;
    }
    if (fd_op_tunnel(fd_op_find(daemon, id), fd, early, n_early, &err)) {
        flic_warn("%s", err.text);
        (void)close(fd);
        free(early);
    }
}

static void on_suspended(struct fd_session *s, json_t *request)
{
    for (struct fd_op *op = s->daemon->ops; op; op = op->next)
        if (op->helper == s->serial)
            fd_op_suspend_answer(op, json_is_true(json_object_get(request, "ok")));
}

static void dispatch(struct fd_session *s, json_t *request)
{
    const char *verb = json_string_value(json_object_get(request, "op"));
    static const char *const about[] = { "join", "publish", "restored", "abort", "cancel" };

    if (!verb) {
        answer_error(s, FLIC_E_PROTOCOL, "a request needs an \"op\"");
        return;
    }
    if (s->daemon->stopping && strcmp(verb, "abort") && strcmp(verb, "suspended")) {
        answer_error(s, FLIC_E_BUSY, "flicd is stopping");
        return;
    }
    for (size_t i = 0; i < sizeof(about) / sizeof(about[0]); i++) {
        if (!strcmp(verb, about[i])) {
            on_operation(s, verb, request);
            return;
        }
    }
    if (!s->is_root)            /* it is run by us when the peer is to be asked */
        (void)json_object_del(request, "command");
    if (!strcmp(verb, "tunnel"))
        on_tunnel(s, request);
    else if (!strcmp(verb, "migrate"))
        start_op(s, FD_OP_MIGRATE, request);
    else if (!strcmp(verb, "receive"))
        start_op(s, FD_OP_RECEIVE, request);
    else if (!strcmp(verb, "give"))
        start_op(s, FD_OP_GIVE, request);
    else if (!strcmp(verb, "get"))
        start_op(s, FD_OP_GET, request);
    else if (!strcmp(verb, "save"))
        start_op(s, FD_OP_SAVE, request);
    else if (!strcmp(verb, "restore"))
        start_op(s, FD_OP_RESTORE, request);
    else if (!strcmp(verb, "suspended"))
        on_suspended(s, request);
    else if (fd_is_question(verb))
        ask(s, request);
    else
        answer_error(s, FLIC_E_PROTOCOL, "this flicd does not know that request: is the command newer than the daemon?");
}

/* ---- the connection ---- */

static void on_line(struct ev_conn *conn, char *line, size_t len, void *arg)
{
    struct fd_session *s = ev_user(conn);
    json_t *request;

    (void)arg;
    if (!s->allowed) {
        answer_error(s, FLIC_E_DENIED, "only root, or a member of the socket's group, may talk to flicd");
        return;
    }
    request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(request))
        dispatch(s, request);
    else
        answer_error(s, FLIC_E_PROTOCOL, "a line must be one JSON object");
    json_decref(request);
}

/* With a socket group configured the file's mode has decided already; without, only root and our own user are heard. */
static bool is_allowed(const struct fd_daemon *daemon, int fd, bool *ret_is_root)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
        return false;
    *ret_is_root = peer.uid == 0;
    return peer.uid == 0 || peer.uid == geteuid() || daemon->conf.socket_group[0];
}

static void on_open(struct ev_conn *conn, void *arg)
{
    struct fd_daemon *daemon = arg;
    struct fd_session *s = calloc(1, sizeof(*s));

    if (!s) {
        ev_close(conn);
        return;
    }
    s->daemon = daemon;
    s->conn = conn;
    s->serial = ++daemon->next_serial;
    s->allowed = is_allowed(daemon, ev_fd(conn), &s->is_root);
    s->next = daemon->sessions;
    if (s->next)
        s->next->prev = s;
    daemon->sessions = s;
    ev_set_user(conn, s);
}

static void on_close(struct ev_conn *conn, void *arg)
{
    struct fd_session *s = ev_user(conn);
    struct fd_daemon *daemon = arg;

    if (!s)
        return;
    if (s->prev)
        s->prev->next = s->next;
    else
        daemon->sessions = s->next;
    if (s->next)
        s->next->prev = s->prev;
    fd_op_session_closed(daemon, s->serial);
    free(s);
}

const struct ev_handlers *fd_session_handlers(struct fd_daemon *daemon)
{
    static struct ev_handlers handlers = {
        .on_line = on_line, .on_open = on_open, .on_close = on_close, .line_max = LINE_MAX_BYTES, .conns_max = CONNS_MAX,
    };

    handlers.arg = daemon;
    return &handlers;
}
