/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * ev - flicd's event loop: sockets that carry lines, signals, timers, and calls from other threads.
 *
 * The only file that includes libevent. Everything here is called from the loop's thread but ev_defer() and ev_ask(), which are for
 * other threads. Connections are closed by ev_close() or by the peer; on_close is called once for each, last.
 */
#ifndef FLIC_DAEMON_EV_H
#define FLIC_DAEMON_EV_H

#include <stddef.h>

#include "common/err.h"

struct ev_loop;
struct ev_conn;

struct ev_handlers {
    /* One line without its newline, NUL-terminated; borrowed, writable. */
    void (*on_line)(struct ev_conn *conn, char *line, size_t len, void *arg);
    void (*on_open)(struct ev_conn *conn, void *arg);
    void (*on_close)(struct ev_conn *conn, void *arg);
    void *arg;
    size_t line_max;            /* a longer line closes the connection */
    unsigned conns_max;         /* further ones are refused by closing them */
};

int ev_new(struct ev_loop **ret_loop, struct flic_err *err);
void ev_free(struct ev_loop *loop);             /* accepts NULL; closes every connection, calling on_close */
int ev_listen(struct ev_loop *loop, int fd /* listening socket; takes */, const struct ev_handlers *handlers, struct flic_err *err);
int ev_on_signal(struct ev_loop *loop, int signo, void (*call)(int signo, void *arg), void *arg, struct flic_err *err);
/* Returns after ev_stop(). */
int ev_run(struct ev_loop *loop, struct flic_err *err);
void ev_stop(struct ev_loop *loop);

/* A call on its way to the loop's thread: the caller's storage until it begins, and then free to be reused or to go. */
struct ev_call {
    struct ev_call *next;
    void (*call)(void *arg);
    void *arg;
};

/* Has call(arg) run in the loop's thread; any thread. Order is kept. Nothing is allocated: what ended can always say so. */
void ev_defer(struct ev_loop *loop, struct ev_call *slot, void (*call)(void *arg), void *arg);
/* The same, and returns when call(arg) has. Not from the loop's thread, and only while the loop runs. */
void ev_ask(struct ev_loop *loop, void (*call)(void *arg), void *arg);

/* Queues bytes for sending. A peer that does not read is cut off when 4 MiB wait for it. */
void ev_send(struct ev_conn *conn, const void *data, size_t len);
void ev_close(struct ev_conn *conn);
/* Takes the connection's descriptor out of the loop, for a thread that speaks something else on it: gives *ret_fd (close()) and what
 * was read of it already (free()), then closes the connection, calling on_close. -errno: nothing was done. */
int ev_detach(struct ev_conn *conn, int *ret_fd, void **ret_early, size_t *ret_n_early);
int ev_fd(const struct ev_conn *conn);          /* for SO_PEERCRED */
void ev_set_user(struct ev_conn *conn, void *user);
void *ev_user(const struct ev_conn *conn);

#endif
