/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "common/talk.h"

#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef FLIC_DEFAULT_SOCKET
#define FLIC_DEFAULT_SOCKET "/run/flic/flicd.sock"
#endif

#define READ_STEP 16384u

struct flic_talk {
    int fd;
    char *data;         /* received, not yet handed out */
    size_t len, room;
    size_t scanned;     /* no newline before this offset */
};

/* ---- opening ---- */

static int explain_connect(struct flic_err *err, const char *path)
{
    int e = errno;

    if (e == ENOENT || e == ECONNREFUSED)
        return flic_err_set(err, FLIC_E_NODAEMON,
                            "flicd is not running (%s): start it with 'systemctl start flicd'", path);
    if (e == EACCES || e == EPERM)
        return flic_err_set(err, FLIC_E_DENIED, "%s may not be opened by this user: run this as root", path);
    return flic_err_errno(err, "connect to flicd at %s", path);
}

/* A connect() interrupted by a signal goes on by itself; poll() tells when it is done. */
static int wait_connected(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int so = 0;
    socklen_t len = sizeof(so);

    while (poll(&p, 1, -1) < 0)
        if (errno != EINTR)
            return -1;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &so, &len))
        return -1;
    errno = so;
    return so ? -1 : 0;
}

int flic_talk_open(const char *path, struct flic_talk **ret_talk, struct flic_err *err)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct flic_talk *talk;
    int rc;

    if (!path)
        path = getenv("FLIC_SOCKET");
    if (!path || !*path)
        path = FLIC_DEFAULT_SOCKET;
    if (strlen(path) >= sizeof(to.sun_path))
        return flic_err_set(err, FLIC_E_USAGE, "socket path '%s' is longer than %zu bytes", path,
                            sizeof(to.sun_path) - 1);
    memcpy(to.sun_path, path, strlen(path) + 1);
    talk = calloc(1, sizeof(*talk));
    if (!talk)
        return flic_err_set(err, -ENOMEM, "connect to flicd: out of memory");
    talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (talk->fd < 0) {
        rc = flic_err_errno(err, "connect to flicd");
        goto out;
    }
    rc = connect(talk->fd, (struct sockaddr *)&to, sizeof(to));
    if (rc && errno == EINTR)
        rc = wait_connected(talk->fd);
    if (rc)
        rc = explain_connect(err, path);
out:
    if (rc)
        flic_talk_close(talk);
    else
        *ret_talk = talk;
    return rc;
}

void flic_talk_close(struct flic_talk *talk)
{
    if (!talk)
        return;
    if (talk->fd >= 0)
        (void)close(talk->fd);
    free(talk->data);
    free(talk);
}

int flic_talk_fd(const struct flic_talk *talk)
{
    return talk->fd;
}

/* ---- sending ---- */

static int send_all(struct flic_talk *talk, const char *data, size_t len, struct flic_err *err)
{
    while (len) {
        ssize_t n = send(talk->fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return 0;           /* the next flic_talk_next() tells, after what was said before */
        if (n < 0)
            return flic_err_errno(err, "send to flicd");
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int flic_talk_send(struct flic_talk *talk, json_t *msg, struct flic_err *err)
{
    char *text = msg ? json_dumps(msg, JSON_COMPACT) : NULL;
    size_t len;
    int rc;

    json_decref(msg);
    if (!text)
        return flic_err_set(err, -ENOMEM, "send to flicd: the message cannot be built");
    len = strlen(text);
    text[len] = '\n';           /* the NUL is not needed any more */
    if (len + 1 > FLIC_TALK_LINE_MAX)
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "a message of %zu bytes is too long for flicd", len);
    else
        rc = send_all(talk, text, len + 1, err);
    free(text);
    return rc;
}

/* ---- receiving ---- */

static int64_t now_ms(void) { return (int64_t)(flic_now_us() / 1000); }

/* Takes the first `n` bytes (a line with its newline) out of the buffer and parses them. */
static int take_line(struct flic_talk *talk, size_t n, json_t **ret_msg, struct flic_err *err)
{
    json_t *msg = json_loadb(talk->data, n - 1, JSON_REJECT_DUPLICATES, NULL);

    talk->len -= n;
    memmove(talk->data, talk->data + n, talk->len);
    talk->scanned = 0;
    if (!json_is_object(msg)) {
        json_decref(msg);
        return flic_err_set(err, FLIC_E_PROTOCOL, "flicd sent a line that is no JSON object");
    }
    *ret_msg = msg;
    return 0;
}

/* Waits for bytes until `deadline` (ms; < 0: no limit) and appends them. */
static int receive_some(struct flic_talk *talk, int64_t deadline, struct flic_err *err)
{
    struct pollfd p = { .fd = talk->fd, .events = POLLIN };
    int64_t left = deadline < 0 ? -1 : deadline - now_ms();
    ssize_t n;
    int ready;

    if (talk->room - talk->len < READ_STEP) {
        char *grown = realloc(talk->data, talk->room + 2 * READ_STEP);

        if (!grown)
            return flic_err_set(err, -ENOMEM, "receive from flicd: out of memory");
        talk->data = grown;
        talk->room += 2 * READ_STEP;
    }
    ready = poll(&p, 1, deadline < 0 ? -1 : left > 0 ? (int)left : 0);
    if (ready == 0)
        return flic_err_set(err, FLIC_E_TIMEOUT, "flicd did not answer in time");
    n = ready < 0 ? -1 : recv(talk->fd, talk->data + talk->len, talk->room - talk->len, 0);
    if (n < 0 && errno != ECONNRESET)
        return flic_err_errno(err, "receive from flicd");
    if (n <= 0)
        return flic_err_set(err, FLIC_E_NODAEMON, "flicd closed the connection");
    talk->len += (size_t)n;
    return 0;
}

int flic_talk_next(struct flic_talk *talk, int timeout_ms, json_t **ret_msg, struct flic_err *err)
{
    int64_t deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;

    for (;;) {
        size_t fresh = talk->len - talk->scanned;
        char *end = fresh ? memchr(talk->data + talk->scanned, '\n', fresh) : NULL;
        int rc;

        if (end && (size_t)(end - talk->data) < FLIC_TALK_LINE_MAX)
            return take_line(talk, (size_t)(end - talk->data) + 1, ret_msg, err);
        if (end || talk->len >= FLIC_TALK_LINE_MAX)
            return flic_err_set(err, FLIC_E_PROTOCOL, "flicd sent a line of more than %u bytes",
                                FLIC_TALK_LINE_MAX);
        talk->scanned = talk->len;
        rc = receive_some(talk, deadline, err);
        if (rc)
            return rc;
    }
}

/* ---- what a message is ---- */

bool flic_talk_is_event(const json_t *msg, const char **ret_name)
{
    const char *name = json_string_value(json_object_get(msg, "event"));

    if (!name)
        return false;
    if (ret_name)
        *ret_name = name;
    return true;
}

int flic_talk_outcome(const json_t *answer, struct flic_err *err)
{
    const json_t *ok = json_object_get(answer, "ok");
    const char *code = json_string_value(json_object_get(answer, "code"));
    const char *text = json_string_value(json_object_get(answer, "error"));
    int rc;

    if (json_is_true(ok))
        return 0;
    if (!json_is_false(ok))
        return flic_err_set(err, FLIC_E_PROTOCOL, "flicd sent a message that is neither event nor answer");
    rc = code ? flic_code_from_name(code) : FLIC_E_INTERNAL;
    if (rc == 0)
        rc = FLIC_E_INTERNAL;
    return flic_err_set(err, rc, "%s", text && *text ? text : flic_code_text(rc));
}

int flic_talk_ask(struct flic_talk *talk, json_t *request, json_t **ret_answer, struct flic_err *err)
{
    json_t *msg = NULL;
    int rc = flic_talk_send(talk, request, err);

    while (!rc) {
        rc = flic_talk_next(talk, -1, &msg, err);
        if (rc || !flic_talk_is_event(msg, NULL))
            break;
        json_decref(msg);
    }
    if (rc)
        return rc;
    rc = flic_talk_outcome(msg, err);
    if (rc)
        json_decref(msg);
    else
        *ret_answer = msg;
    return rc;
}
