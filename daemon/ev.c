/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/ev.h"

#include "common/log.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/thread.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEND_MAX (4u << 20)
#define SIGNALS_MAX 4

struct ev_conn {
    struct ev_loop *loop;
    struct ev_conn *prev, *next;
    struct bufferevent *bev;
    void *user;
    bool cut;                   /* it will be closed, by the call below; nothing more is sent */
    struct ev_call close;
};

struct on_signal {
    struct event *event;
    void (*call)(int signo, void *arg);
    void *arg;
};

struct ev_loop {
    struct event_base *base;
    struct evconnlistener *listener;
    struct ev_handlers handlers;
    struct ev_conn *conns;
    unsigned n_conns;
    struct on_signal signals[SIGNALS_MAX];
    unsigned n_signals;
    struct event *wake;
    pthread_mutex_t lock;                   /* the queue below */
    struct ev_call *first, **last;
};

static void log_libevent(int severity, const char *message)
{
    flic_log(severity >= EVENT_LOG_WARN ? FLIC_LOG_WARNING : FLIC_LOG_DEBUG, "libevent: %s", message);
}

/* ---- calls from other threads ---- */

static void run_deferred(evutil_socket_t fd, short what, void *arg)
{
    struct ev_loop *loop = arg;
    struct ev_call *list, *next;

    (void)fd;
    (void)what;
    (void)pthread_mutex_lock(&loop->lock);
    list = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    (void)pthread_mutex_unlock(&loop->lock);
    for (; list; list = next) {
        next = list->next;
        list->call(list->arg);
    }
}

void ev_defer(struct ev_loop *loop, struct ev_call *slot, void (*call)(void *arg), void *arg)
{
    *slot = (struct ev_call){ .call = call, .arg = arg };
    (void)pthread_mutex_lock(&loop->lock);
    *loop->last = slot;
    loop->last = &slot->next;
    (void)pthread_mutex_unlock(&loop->lock);
    event_active(loop->wake, EV_READ, 1);
}

struct question {
    void (*call)(void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool is_answered;
};

static void answer(void *arg)
{
    struct question *q = arg;

    q->call(q->arg);
    (void)pthread_mutex_lock(&q->lock);
    q->is_answered = true;
    (void)pthread_cond_signal(&q->answered);
    (void)pthread_mutex_unlock(&q->lock);
}

void ev_ask(struct ev_loop *loop, void (*call)(void *arg), void *arg)
{
    struct question q = { .call = call, .arg = arg, .lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER };
    struct ev_call slot;

    ev_defer(loop, &slot, answer, &q);
    (void)pthread_mutex_lock(&q.lock);
    while (!q.is_answered)
        (void)pthread_cond_wait(&q.answered, &q.lock);
    (void)pthread_mutex_unlock(&q.lock);
}

/* ---- the loop ---- */

int ev_new(struct ev_loop **ret_loop, struct flic_err *err)
{
    struct ev_loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return flic_err_set(err, -ENOMEM, "event loop: out of memory");
    event_set_log_callback(log_libevent);
    if (evthread_use_pthreads() || !(loop->base = event_base_new()) ||
        !(loop->wake = event_new(loop->base, -1, EV_PERSIST, run_deferred, loop))) {
        if (loop->base)
            event_base_free(loop->base);
        free(loop);
        return flic_err_set(err, -ENOMEM, "event loop: libevent could not be started");
    }
    (void)pthread_mutex_init(&loop->lock, NULL);
    loop->last = &loop->first;
    *ret_loop = loop;
    return 0;
}

void ev_free(struct ev_loop *loop)
{
    if (!loop)
        return;
    if (loop->listener)
        evconnlistener_free(loop->listener);
    run_deferred(-1, 0, loop);      /* may name connections: before they go */
    while (loop->conns)
        ev_close(loop->conns);
    run_deferred(-1, 0, loop);
    for (unsigned i = 0; i < loop->n_signals; i++)
        event_free(loop->signals[i].event);
    event_free(loop->wake);
    event_base_free(loop->base);
    (void)pthread_mutex_destroy(&loop->lock);
    free(loop);
}

int ev_run(struct ev_loop *loop, struct flic_err *err)
{
    if (event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
        return flic_err_set(err, FLIC_E_INTERNAL, "event loop: libevent failed");
    return 0;
}

void ev_stop(struct ev_loop *loop)
{
    (void)event_base_loopbreak(loop->base);     /* fails only for a NULL base */
}

static void got_signal(evutil_socket_t signo, short what, void *arg)
{
    struct on_signal *on = arg;

    (void)what;
    on->call((int)signo, on->arg);
}

int ev_on_signal(struct ev_loop *loop, int signo, void (*call)(int signo, void *arg), void *arg, struct flic_err *err)
{
    struct on_signal *on = &loop->signals[loop->n_signals];

    if (loop->n_signals == SIGNALS_MAX)
        return flic_err_set(err, FLIC_E_INTERNAL, "event loop: too many signals");
    *on = (struct on_signal){ .call = call, .arg = arg };
    on->event = evsignal_new(loop->base, signo, got_signal, on);
    if (!on->event || event_add(on->event, NULL))
        return flic_err_set(err, -ENOMEM, "event loop: cannot watch signal %d", signo);
    loop->n_signals++;
    return 0;
}

/* ---- connections ---- */

void ev_close(struct ev_conn *conn)
{
    struct ev_loop *loop = conn->loop;

    if (conn->prev)
        conn->prev->next = conn->next;
    else
        loop->conns = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    loop->n_conns--;
    loop->handlers.on_close(conn, loop->handlers.arg);
    bufferevent_free(conn->bev);
    free(conn);
}

/* A handler may close the connection it is called for: then `conns` no longer has it. */
static int still_open(const struct ev_loop *loop, const struct ev_conn *conn)
{
    for (const struct ev_conn *c = loop->conns; c; c = c->next)
        if (c == conn)
            return 1;
    return 0;
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct ev_conn *conn = arg;
    struct ev_loop *loop = conn->loop;
    size_t len;
    char *line;

    while ((line = evbuffer_readln(bufferevent_get_input(bev), &len, EVBUFFER_EOL_LF))) {
        if (len <= loop->handlers.line_max)
            loop->handlers.on_line(conn, line, len, loop->handlers.arg);
        else
            ev_close(conn);
        free(line);
        if (!still_open(loop, conn) || conn->cut)       /* a cut one's close is on its way, and nobody else's */
            return;
    }
    if (evbuffer_get_length(bufferevent_get_input(bev)) > loop->handlers.line_max)
        ev_close(conn);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        ev_close(arg);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr, int len, void *arg)
{
    struct ev_loop *loop = arg;
    struct ev_conn *conn = loop->n_conns < loop->handlers.conns_max ? calloc(1, sizeof(*conn)) : NULL;

    (void)listener;
    (void)addr;
    (void)len;
    if (conn)
        conn->bev = bufferevent_socket_new(loop->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!conn || !conn->bev) {
        free(conn);
        (void)close(fd);
        flic_warn("a connection was refused: %u are open", loop->n_conns);
        return;
    }
    conn->loop = loop;
    conn->next = loop->conns;
    if (conn->next)
        conn->next->prev = conn;
    loop->conns = conn;
    loop->n_conns++;
    bufferevent_setcb(conn->bev, on_read, NULL, on_event, conn);
    (void)bufferevent_enable(conn->bev, EV_READ | EV_WRITE);    /* fails only for a closed fd, which then ends in on_event */
    loop->handlers.on_open(conn, loop->handlers.arg);
}

int ev_listen(struct ev_loop *loop, int fd, const struct ev_handlers *handlers, struct flic_err *err)
{
    loop->handlers = *handlers;
    if (evutil_make_socket_nonblocking(fd) ||
        !(loop->listener = evconnlistener_new(loop->base, on_accept, loop, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd)))
        return flic_err_errno(err, "listen on the socket");
    return 0;
}

static void close_later(void *arg)
{
    ev_close(arg);
}

void ev_send(struct ev_conn *conn, const void *data, size_t len)
{
    struct evbuffer *out = bufferevent_get_output(conn->bev);

    if (conn->cut)
        return;
    if (evbuffer_get_length(out) + len > SEND_MAX || bufferevent_write(conn->bev, data, len)) {
        flic_warn("a client does not read its answers, cutting it off");
        conn->cut = true;
        /* Not now: the caller still holds the connection. Reading stops, so nothing else can close it first. */
        (void)bufferevent_disable(conn->bev, EV_READ | EV_WRITE);
        bufferevent_setcb(conn->bev, NULL, NULL, NULL, NULL);
        ev_defer(conn->loop, &conn->close, close_later, conn);
    }
}

int ev_detach(struct ev_conn *conn, int *ret_fd, void **ret_early, size_t *ret_n_early)
{
    struct evbuffer *in = bufferevent_get_input(conn->bev);
    size_t n = evbuffer_get_length(in);
    void *early;
    int fd;

    if (conn->cut)
        return -EPIPE;
    early = malloc(n + 1);
    fd = fcntl(bufferevent_getfd(conn->bev), F_DUPFD_CLOEXEC, 3);
    if (!early || fd < 0) {
        int rc = fd < 0 ? -errno : -ENOMEM;

        free(early);
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    *ret_n_early = evbuffer_remove(in, early, n) < 0 ? 0 : n;
    *ret_early = early;
    *ret_fd = fd;
    ev_close(conn);
    return 0;
}

int ev_fd(const struct ev_conn *conn) { return bufferevent_getfd(conn->bev); }
void ev_set_user(struct ev_conn *conn, void *user) { conn->user = user; }
void *ev_user(const struct ev_conn *conn) { return conn->user; }
