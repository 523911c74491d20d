/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "libxl-ext/flicxl_op.h"

#include "common/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#define TICK_MS 300             /* how soon a cancel is seen */
#define ABORT_MS 10000          /* how long flicd may take to let go */
#define MAX_FDS 64
#define HELPER FLIC_LIBEXECDIR "/flic-save-helper"

static int64_t now_ms(void) { return (int64_t)(flic_now_us() / 1000); }

void op_init(struct op *op, libxl_ctx *ctx, const struct op_limits *limits)
{
    memset(op, 0, sizeof(*op));
    op->ctx = ctx;
    op->socket = limits->socket;
    op->cancel = limits->cancel;
    op->progress = limits->progress;
    op->user = limits->user;
    op->deadline = limits->timeout_s ? now_ms() + (int64_t)limits->timeout_s * 1000 : -1;
}

void op_fini(struct op *op)
{
    flic_talk_close(op->talk);
    op->talk = NULL;
    json_decref(op->answer);
    op->answer = NULL;
}

/* ---- why to stop ---- */

static int why_stop(const struct op *op, struct flic_err *err)
{
    if (op->cancel && *op->cancel)
        return flic_err_set(err, FLIC_E_CANCELLED, "cancelled");
    if (op->deadline >= 0 && now_ms() > op->deadline)
        return flic_err_set(err, FLIC_E_TIMEOUT, "the time limit is over");
    return 0;
}

/* ---- listening to flicd ---- */

static void see_event(struct op *op, const json_t *msg, const char *name)
{
    const char *phase = json_string_value(json_object_get(msg, "phase"));

    if (!strcmp(name, "resumed"))
        op->resumed = true;
    if (!strcmp(name, "progress") && op->progress)
        op->progress(op->user, phase ? phase : "",
                     (uint64_t)json_integer_value(json_object_get(msg, "done")),
                     (uint64_t)json_integer_value(json_object_get(msg, "total")));
}

/* One message, waited for up to timeout_ms: FLIC_E_TIMEOUT when none came. The event `wanted` (may be NULL) is given, an answer kept; else it is
 * a progress. A lost connection is closed, so that it is not asked again. */
static int listen_once(struct op *op, int timeout_ms, const char *wanted, json_t **ret_event, struct flic_err *err)
{
    const char *name;
    json_t *msg;
    int rc;

    if (!op->talk)
        return flic_err_set(err, FLIC_E_NODAEMON, "flicd closed the connection");
    rc = flic_talk_next(op->talk, timeout_ms, &msg, err);
    if (rc == -EINTR)
        rc = flic_err_set(err, FLIC_E_TIMEOUT, "interrupted");
    if (rc && rc != FLIC_E_TIMEOUT) {
        flic_talk_close(op->talk);
        op->talk = NULL;
    }
    if (rc)
        return rc;
    if (!flic_talk_is_event(msg, &name)) {
        json_decref(op->answer);
        op->answer = msg;
        return 0;
    }
    see_event(op, msg, name);
    if (wanted && !strcmp(name, wanted)) {
        *ret_event = msg;
        return 0;
    }
    json_decref(msg);
    return 0;
}

static int send_abort(struct op *op, struct flic_err *err)
{
    return flic_talk_send(op->talk, json_pack("{s:s, s:s}", "op", "abort", "operation", op->operation), err);
}

/* Until the answer to our request is there; `limit` in ms of the monotonic clock, < 0: none. */
static int await_answer(struct op *op, int64_t limit, struct flic_err *err)
{
    while (!op->answer) {
        int rc = listen_once(op, TICK_MS, NULL, NULL, err);

        if (rc && rc != FLIC_E_TIMEOUT)
            return rc;
        if (limit >= 0 && now_ms() > limit)
            return flic_err_set(err, FLIC_E_TIMEOUT, "flicd did not answer in time");
        if (limit >= 0 || op->answer || op->asked_abort || !op->cancel || !*op->cancel)
            continue;
        /* A wish, told once: flicd knows whether it comes too late, and its answer is awaited all the same, for the outcome must be known. */
        op->asked_abort = true;
        rc = send_abort(op, err);
        if (rc)
            return rc;
    }
    return flic_talk_outcome(op->answer, err);
}

static int take_operation(struct op *op, const json_t *ready, struct flic_err *err)
{
    const char *id = json_string_value(json_object_get(ready, "operation")), *mark = json_string_value(json_object_get(ready, "mark"));

    if (!id || !*id || strlen(id) >= sizeof(op->operation) || (mark && strlen(mark) >= sizeof(op->mark)))
        return flic_err_set(err, FLIC_E_PROTOCOL, "flicd named no operation");
    memcpy(op->operation, id, strlen(id) + 1);
    (void)snprintf(op->mark, sizeof(op->mark), "%s", mark ? mark : id);
    return 0;
}

int op_event(struct op *op, const char *wanted, json_t **ret_event, struct flic_err *err)
{
    json_t *event = NULL;
    int rc = 0;

    while (!rc && !event) {
        rc = listen_once(op, TICK_MS, wanted, &event, err);
        if (!rc && op->answer)
            rc = flic_talk_outcome(op->answer, err) ? err->code
                 : flic_err_set(err, FLIC_E_PROTOCOL, "flicd answered before it was %s", wanted);
        if (rc == FLIC_E_TIMEOUT)
            rc = why_stop(op, err);
    }
    if (!rc)
        *ret_event = event;
    else
        json_decref(event);
    return rc;
}

int op_tunnel(struct op *op, flicxl_attach *attach, void *user, struct flic_err *err)
{
    struct flic_talk *talk;
    int fd, rc = flic_talk_open(op->socket, &talk, err);

    if (rc)
        return rc;
    rc = flic_talk_send(talk, json_pack("{s:s, s:s}", "op", "tunnel", "operation", op->operation), err);
    fd = rc ? -1 : dup(flic_talk_fd(talk));
    flic_talk_close(talk);
    if (rc)
        return rc;
    if (fd < 0)
        return flic_err_errno(err, "open a tunnel to the peer");
    rc = attach(user, fd);
    return rc ? flic_err_set(err, rc, "reach the peer: %s", strerror(-rc)) : 0;
}

int op_open(struct op *op, json_t *request, json_t **ret_ready, struct flic_err *err)
{
    json_t *ready = NULL;
    int rc = flic_talk_open(op->socket, &op->talk, err);

    if (rc)
        json_decref(request);
    else
        rc = flic_talk_send(op->talk, request, err);
    if (!rc)
        rc = op_event(op, "ready", &ready, err);
    if (!rc)
        rc = take_operation(op, ready, err);
    if (rc)
        json_decref(ready);
    else
        *ret_ready = ready;
    return rc;
}

/* ---- the environment in which libxl starts its helper ---- */

static const char *const env_names[] = { "LIBXL_SAVE_HELPER", "FLIC_OPERATION", "FLIC_SOCKET" };
#define N_ENV (sizeof(env_names) / sizeof(env_names[0]))

static int set_env(const struct op *op, char *old[N_ENV], struct flic_err *err)
{
    const char *values[N_ENV] = { HELPER, op->operation, op->socket };

    for (size_t i = 0; i < N_ENV; i++) {
        const char *now = getenv(env_names[i]);

        old[i] = now ? strdup(now) : NULL;
        if (values[i] && setenv(env_names[i], values[i], 1))
            return flic_err_errno(err, "set %s", env_names[i]);
    }
    return 0;
}

static void restore_env(char *old[N_ENV])
{
    for (size_t i = 0; i < N_ENV; i++) {
        if (old[i])
            (void)setenv(env_names[i], old[i], 1);
        else
            (void)unsetenv(env_names[i]);
        free(old[i]);
    }
}

/* ---- driving libxl ---- */

static void on_done(libxl_ctx *ctx, int rc, void *for_callback)
{
    struct op *op = for_callback;

    (void)ctx;
    op->libxl_done = true;
    op->libxl_rc = rc;
}

static void abort_libxl(struct op *op)
{
    op->aborting = true;
    (void)libxl_ao_abort(op->ctx, &op->how);    /* too late for some steps; then libxl completes as it can */
}

/* One turn: libxl's descriptors and flicd's. */
static int turn(struct op *op, struct flic_err *err)
{
    struct pollfd fds[MAX_FDS + 1];
    int n = MAX_FDS, timeout = TICK_MS;
    struct timeval now;

    (void)gettimeofday(&now, NULL);
    if (libxl_osevent_beforepoll(op->ctx, &n, fds, &timeout, now))
        return flic_err_set(err, FLIC_E_XEN, "libxl gave no descriptors to wait for");
    if (timeout < 0 || timeout > TICK_MS)
        timeout = TICK_MS;
    fds[n] = (struct pollfd){ .fd = op->talk ? flic_talk_fd(op->talk) : -1, .events = POLLIN };
    if (poll(fds, (nfds_t)n + 1, timeout) < 0 && errno != EINTR)
        return flic_err_errno(err, "wait for libxl");
    (void)gettimeofday(&now, NULL);
    libxl_osevent_afterpoll(op->ctx, n, fds, now);
    return 0;
}

/* All that flicd has said so far. Its "no" ends the libxl operation; so does its death. */
static int listen_all(struct op *op, struct flic_err *err)
{
    int rc;

    do
        rc = listen_once(op, 0, NULL, NULL, err);
    while (!rc && !op->answer);
    if (!rc)
        rc = flic_talk_outcome(op->answer, err);
    return rc == FLIC_E_TIMEOUT && !op->answer ? 0 : rc;
}

/* The reason that came first is the one to tell; what follows from it is not. */
static int drive(struct op *op, struct flic_err *err)
{
    struct flic_err later;
    int why = 0;

    while (!op->libxl_done) {
        int rc = turn(op, why ? &later : err);

        if (!rc && !why)
            rc = listen_all(op, err);
        if (!rc && !why)
            rc = why_stop(op, err);
        if (rc && !why)
            why = rc;
        if (why && !op->aborting)
            abort_libxl(op);
    }
    return why;
}

int op_run(struct op *op, int (*start)(struct op *op, void *arg), void *arg, struct flic_err *err)
{
    char *old[N_ENV] = { NULL };
    int rc;

    op->how = (libxl_asyncop_how){ .callback = on_done, .u.for_callback = op };
    rc = set_env(op, old, err);
    if (!rc) {
        int began = start(op, arg);

        if (began)
            op->libxl_rc = began;
        else                    /* it may be over already: on_done() was called within start() */
            rc = drive(op, err);
        if (!rc && op->libxl_rc)
            rc = flic_err_set(err, FLIC_E_XEN, "libxl failed (error %d): its messages say why", op->libxl_rc);
    }
    restore_env(old);
    return rc;
}

/* ---- ending ---- */

int op_tell(struct op *op, const char *name, uint32_t domid, struct flic_err *err)
{
    json_t *msg = json_pack("{s:s}", "op", name);

    if (domid && msg)
        (void)json_object_set_new(msg, "domid", json_integer(domid));
    return op_tell_more(op, msg, err);
}

int op_tell_more(struct op *op, json_t *msg, struct flic_err *err)
{
    int rc;

    (void)json_object_set_new(msg, "operation", json_string(op->operation));
    if (!op->talk) {
        json_decref(msg);
        return flic_err_set(err, FLIC_E_NODAEMON, "flicd closed the connection");
    }
    rc = flic_talk_send(op->talk, msg, err);
    return rc ? rc : await_answer(op, -1, err);
}

void op_abort(struct op *op, struct flic_err *err)
{
    bool vague = err->code == FLIC_E_XEN || err->code == FLIC_E_NODAEMON;
    struct flic_err said = { 0 };
    int rc;

    if (!op->talk)
        return;
    rc = op->answer || op->asked_abort ? 0 : send_abort(op, &said);
    if (!rc)
        (void)await_answer(op, now_ms() + ABORT_MS, &said);
    if (vague && op->answer && said.code && said.code != FLIC_E_CANCELLED)
        *err = said;
}

static int libxl_error_of(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case FLIC_E_CANCELLED:
        return ERROR_ABORTED;
    case FLIC_E_TIMEOUT:
        return ERROR_TIMEDOUT;
    case FLIC_E_USAGE:
        return ERROR_INVAL;
    case FLIC_E_NODOMAIN:
        return ERROR_DOMAIN_NOTFOUND;
    case -ENOMEM:
        return ERROR_NOMEM;
    default:
        return ERROR_FAIL;
    }
}

int op_result(const struct op *op, int rc, const struct flic_err *err, struct flicxl_info *info)
{
    const json_t *figures = json_object_get(op->answer, "figures");
    const json_t *seq = json_object_get(op->answer, "seq");

    info->code = rc;
    if (rc)
        (void)snprintf(info->text, sizeof(info->text), "%s", err->text);
    if (json_is_integer(seq))
        info->seq = (uint64_t)json_integer_value(seq);
    if (figures)
        info->figures = json_dumps(figures, JSON_COMPACT);
    return libxl_error_of(rc);
}
