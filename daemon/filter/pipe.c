/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/filter/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (256u << 10)
#define TICK_MS 200

struct lf_pipe {
    int fd;
    int (*stop)(void *arg, struct flic_err *err);
    void *arg;
    size_t at, have;            /* of what was read ahead */
    uint8_t ahead[ROOM];
};

int lf_pipe_new(int fd, const void *early, size_t n_early, int (*stop)(void *arg, struct flic_err *err), void *arg,
                struct lf_pipe **ret_pipe, struct flic_err *err)
{
    struct lf_pipe *p = malloc(sizeof(*p));
    int flags = fcntl(fd, F_GETFL);

    if (!p || n_early > ROOM || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK)) {
        free(p);
        (void)close(fd);
        return flic_err_set(err, -ENOMEM, "reach libxc: out of memory");
    }
    p->fd = fd;
    p->stop = stop;
    p->arg = arg;
    p->at = 0;
    p->have = n_early;
    if (n_early)
        memcpy(p->ahead, early, n_early);
    *ret_pipe = p;
    return 0;
}

void lf_pipe_free(struct lf_pipe *p)
{
    if (!p)
        return;
    (void)close(p->fd);
    free(p);
}

static int wait_for(const struct lf_pipe *p, short events, struct flic_err *err)
{
    struct pollfd fd = { .fd = p->fd, .events = events };
    int rc = p->stop(p->arg, err);

    if (rc)
        return rc;
    if (poll(&fd, 1, TICK_MS) < 0 && errno != EINTR)
        return flic_err_errno(err, "wait for libxc");
    return 0;
}

static int read_ahead(struct lf_pipe *p, struct flic_err *err)
{
    for (;;) {
        ssize_t n = read(p->fd, p->ahead, ROOM);
        int rc;

        if (n > 0) {
            p->at = 0;
            p->have = (size_t)n;
            return 0;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            rc = p->stop(p->arg, err);      /* whoever ended us ended libxc too: that is the reason */
            return rc ? rc : flic_err_set(err, FLIC_E_XEN, "libxc's stream ended early: libxl's messages say why");
        }
        rc = wait_for(p, POLLIN, err);
        if (rc)
            return rc;
    }
}

int lf_pipe_read(struct lf_pipe *p, void *to, size_t len, struct flic_err *err)
{
    uint8_t *at = to;

    while (len) {
        size_t n;
        int rc = p->have ? 0 : read_ahead(p, err);

        if (rc)
            return rc;
        n = len < p->have ? len : p->have;
        memcpy(at, p->ahead + p->at, n);
        p->at += n;
        p->have -= n;
        at += n;
        len -= n;
    }
    return 0;
}

int lf_pipe_write(struct lf_pipe *p, const void *from, size_t len, struct flic_err *err)
{
    const uint8_t *at = from;

    while (len) {
        ssize_t n = send(p->fd, at, len, MSG_NOSIGNAL);
        int rc = 0;

        if (n > 0) {
            at += n;
            len -= (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            rc = p->stop(p->arg, err);
            return rc ? rc : flic_err_set(err, FLIC_E_XEN, "libxc does not read on: libxl's messages say why");
        }
        rc = wait_for(p, POLLOUT, err);
        if (rc)
            return rc;
    }
    return 0;
}
