/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/wire.h"

#include "common/bytes.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEAD 8u
#define TICK_MS 200
#define PIECES_MAX 4u
#define REASON_MAX 400u

struct mw_wire {
    int fd;
    bool (*cancelled)(void *arg);
    void *arg;
    uint8_t *in;                /* HEAD + MW_PAYLOAD_MAX */
    size_t have, taken;         /* bytes in it; of these, the message given out last */
    bool ended, peer_aborted;
    bool in_frame;              /* sent a part of one */
    bool tells;                 /* MW_ALIVE, while it waits */
    uint64_t deadline_ms;       /* 0: none */
    unsigned deadline_s;        /* how long it was given */
    struct mw_counts counts;
};

static uint64_t now_ms(void) { return flic_now_us() / 1000; }

int mw_new(int fd, const void *early, size_t n_early, bool (*cancelled)(void *arg), void *arg, struct mw_wire **ret_wire,
           struct flic_err *err)
{
    struct mw_wire *w = calloc(1, sizeof(*w));
    uint8_t *in = malloc(HEAD + MW_PAYLOAD_MAX);
    int flags = fcntl(fd, F_GETFL);

    if (!w || !in || n_early > HEAD + MW_PAYLOAD_MAX || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK)) {
        free(in);
        free(w);
        (void)close(fd);
        return flic_err_set(err, -ENOMEM, "talk to the peer: out of memory");
    }
    *w = (struct mw_wire){ .fd = fd, .cancelled = cancelled, .arg = arg, .in = in, .have = n_early };
    if (n_early)
        memcpy(in, early, n_early);
    w->counts.received = n_early;
    *ret_wire = w;
    return 0;
}

void mw_free(struct mw_wire *w)
{
    if (!w)
        return;
    (void)close(w->fd);
    free(w->in);
    free(w);
}

/* ---- what the peer says on its own ---- */

static int told_why(struct mw_wire *w, const uint8_t *data, size_t len, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(data, len);
    int code = (int)flic_get_u32(&r);
    size_t n;
    const char *reason = flic_get_blob(&r, REASON_MAX, &n);

    w->peer_aborted = true;
    if (r.bad || code >= 0)
        return flic_err_set(err, FLIC_E_PROTOCOL, "the peer gave up without a reason");
    return flic_err_set(err, code, "the peer says: %.*s", (int)n, reason);
}

/* The message at the start of what was read, if it is there whole. 1: yes, 0: not yet. */
static int look(struct mw_wire *w, struct mw_message *ret, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(w->in, w->have);
    uint32_t len;

    if (w->have < HEAD)
        return 0;
    len = flic_get_u32(&r);
    ret->type = (enum mw_type)flic_get_u16(&r);
    if (len > MW_PAYLOAD_MAX || flic_get_u16(&r))
        return flic_err_set(err, FLIC_E_PROTOCOL, "the peer sent what is no message");
    if (w->have < HEAD + len)
        return 0;
    ret->data = w->in + HEAD;
    ret->len = len;
    return 1;
}

/* Reads what is there. An end of the stream is remembered, not an error yet: a last message may stand before it. */
static int fill(struct mw_wire *w, struct flic_err *err)
{
    ssize_t n = read(w->fd, w->in + w->have, HEAD + MW_PAYLOAD_MAX - w->have);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0 && errno != ECONNRESET && errno != EPIPE)
        return flic_err_errno(err, "read from the peer");
    if (n <= 0)
        w->ended = true;
    else
        w->have += (size_t)n, w->counts.received += (uint64_t)n;
    return 0;
}

static int lost(struct flic_err *err)
{
    return flic_err_set(err, -ECONNRESET, "the connection to the peer was lost");
}

/* The stream ended, or cannot be written to: what the peer said last is the reason, if it said one. */
static int why_lost(struct mw_wire *w, struct flic_err *err)
{
    struct mw_message m;

    for (uint64_t end = now_ms() + 1000; !w->ended && now_ms() < end;) {
        struct pollfd p = { .fd = w->fd, .events = POLLIN };

        if (w->have == HEAD + MW_PAYLOAD_MAX || poll(&p, 1, 100) < 0 || fill(w, NULL))
            break;
    }
    while (look(w, &m, NULL) == 1) {
        if (m.type == MW_ABORT)
            return told_why(w, m.data, m.len, err);
        w->have -= HEAD + m.len;
        memmove(w->in, w->in + HEAD + m.len, w->have);
    }
    return lost(err);
}

static int check(const struct mw_wire *w, uint64_t since, unsigned silence_s, struct flic_err *err)
{
    if (w->cancelled(w->arg))
        return flic_err_set(err, FLIC_E_CANCELLED, "cancelled");
    if (w->deadline_ms && now_ms() > w->deadline_ms)
        return flic_err_set(err, FLIC_E_TIMEOUT, "the peer, or the link to it, is too slow: it had %u s", w->deadline_s);
    if (now_ms() - since > (silence_s ? silence_s : MW_SILENCE_S) * 1000ull)
        return flic_err_set(err, FLIC_E_TIMEOUT, "the peer was silent for %u s", silence_s ? silence_s : MW_SILENCE_S);
    return 0;
}

/* A byte makes up for a millisecond of silence: who moves less than a KB a second on average is as good as silent. */
static void moved(uint64_t *since, size_t bytes)
{
    uint64_t now = now_ms();

    *since = now - *since < bytes ? now : *since + bytes;
}

/* ---- sending ---- */

/* A peer that gives up while it is sent to says so now: what it says then is no answer to anything else. */
static int listen_while_sending(struct mw_wire *w, struct flic_err *err)
{
    struct mw_message m;
    int rc = fill(w, err);

    if (rc)
        return rc;
    if (w->ended)
        return why_lost(w, err);
    rc = look(w, &m, err);
    return rc == 1 && m.type == MW_ABORT ? told_why(w, m.data, m.len, err) : rc < 0 ? rc : 0;
}

/* Moves the pieces on by what was written. */
static void advance(struct iovec *v, size_t *at, size_t n)
{
    while (n && n >= v[*at].iov_len) {
        n -= v[*at].iov_len;
        ++*at;
    }
    if (n) {
        v[*at].iov_base = (char *)v[*at].iov_base + n;
        v[*at].iov_len -= n;
    }
}

static int write_all(struct mw_wire *w, struct iovec *v, size_t n, struct flic_err *err)
{
    uint64_t since = now_ms();
    size_t at = 0;
    int rc;

    while (at < n) {
        struct pollfd p = { .fd = w->fd, .events = POLLOUT | (w->have < HEAD + MW_PAYLOAD_MAX ? POLLIN : 0) };
        struct msghdr msg = { .msg_iov = v + at, .msg_iovlen = n - at };
        ssize_t wrote = sendmsg(w->fd, &msg, MSG_NOSIGNAL);

        if (wrote > 0) {
            w->counts.sent += (uint64_t)wrote;
            advance(v, &at, (size_t)wrote);
            moved(&since, (size_t)wrote);
            continue;
        }
        if (wrote < 0 && errno != EAGAIN && errno != EINTR)
            return why_lost(w, err);
        rc = check(w, since, 0, err);
        if (rc)
            return rc;
        if (poll(&p, 1, TICK_MS) > 0 && p.revents & POLLIN && (rc = listen_while_sending(w, err)))
            return rc;
    }
    return 0;
}

int mw_send(struct mw_wire *w, enum mw_type type, const struct mw_piece *pieces, size_t n, struct flic_err *err)
{
    struct iovec v[PIECES_MAX + 1];
    uint8_t head[HEAD];
    size_t len = 0, k = 1;
    int rc;

    for (size_t i = 0; i < n && i < PIECES_MAX; i++) {
        len += pieces[i].len;
        if (pieces[i].len)
            v[k++] = (struct iovec){ (void *)(uintptr_t)pieces[i].data, pieces[i].len };
    }
    if (n > PIECES_MAX || len > MW_PAYLOAD_MAX)
        return flic_err_set(err, FLIC_E_INTERNAL, "a message of %zu bytes is too long for the peer", len);
    for (size_t i = 0; i < 4; i++)
        head[i] = (uint8_t)(len >> 8 * i);
    head[4] = (uint8_t)type;
    head[5] = head[6] = head[7] = 0;
    v[0] = (struct iovec){ head, HEAD };
    w->in_frame = true;
    rc = write_all(w, v, k, err);
    w->in_frame = rc != 0;
    return rc;
}

int mw_send_bytes(struct mw_wire *w, enum mw_type type, const void *data, size_t len, struct flic_err *err)
{
    struct mw_piece piece = { data, len };

    return mw_send(w, type, &piece, 1, err);
}

int mw_send_u64(struct mw_wire *w, enum mw_type type, uint64_t v, const void *rest, size_t len, struct flic_err *err)
{
    uint8_t head[8];
    struct mw_piece pieces[2] = { { head, sizeof(head) }, { rest, len } };

    for (size_t i = 0; i < sizeof(head); i++)
        head[i] = (uint8_t)(v >> 8 * i);
    return mw_send(w, type, pieces, 2, err);
}

/* In the middle of a frame nothing else can be said. The reason is short: there is room for it, or the peer reads nothing. */
void mw_abort(struct mw_wire *w, int code, const char *reason)
{
    size_t len = strlen(reason) < REASON_MAX ? strlen(reason) : REASON_MAX;
    struct pollfd p = { .fd = w->fd, .events = POLLOUT };
    struct flic_builder b;

    if (w->ended || w->peer_aborted || w->in_frame)
        return;
    flic_builder_init(&b);
    flic_put_u32(&b, (uint32_t)(4 + 4 + len));
    flic_put_u16(&b, MW_ABORT);
    flic_put_u16(&b, 0);
    flic_put_u32(&b, (uint32_t)code);
    flic_put_blob(&b, reason, (uint32_t)len);
    if (!b.bad && poll(&p, 1, 1000) == 1)
        (void)send(w->fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);     /* the connection ends anyway */
    flic_builder_fini(&b);
}

bool mw_peer_aborted(const struct mw_wire *w) { return w->peer_aborted; }

/* ---- receiving ---- */

static void drop_taken(struct mw_wire *w)
{
    w->have -= w->taken;
    memmove(w->in, w->in + w->taken, w->have);
    w->taken = 0;
}

void mw_tell_alive(struct mw_wire *w) { w->tells = true; }

void mw_deadline(struct mw_wire *w, unsigned seconds)
{
    w->deadline_s = seconds;
    w->deadline_ms = seconds ? now_ms() + seconds * 1000ull : 0;
}

/* The next message but MW_ALIVE: 1, or 0: not there yet. */
static int look_past_alive(struct mw_wire *w, struct mw_message *ret, struct flic_err *err)
{
    int rc;

    while ((rc = look(w, ret, err)) == 1 && ret->type == MW_ALIVE) {
        w->taken = HEAD + ret->len;
        drop_taken(w);
    }
    return rc;
}

/* For a tick at most. */
static int wait_for_more(struct mw_wire *w, uint64_t *told, struct flic_err *err)
{
    struct pollfd p = { .fd = w->fd, .events = POLLIN };

    if (w->tells && now_ms() - *told >= MW_ALIVE_S * 1000) {
        int rc = mw_send(w, MW_ALIVE, NULL, 0, err);

        if (rc)
            return rc;
        *told = now_ms();
    }
    return poll(&p, 1, TICK_MS) > 0 ? fill(w, err) : 0;
}

int mw_receive(struct mw_wire *w, unsigned silence_s, struct mw_message *ret, struct flic_err *err)
{
    uint64_t since = now_ms(), told = since;
    size_t had;
    int rc;

    drop_taken(w);
    had = w->have;
    while (!(rc = look_past_alive(w, ret, err))) {
        if (w->ended)
            return lost(err);
        if (w->have > had)
            moved(&since, w->have - had);
        had = w->have;
        rc = check(w, since, silence_s, err);
        if (!rc)
            rc = wait_for_more(w, &told, err);
        if (rc)
            return rc;
    }
    if (rc < 0)
        return rc;
    if (ret->type == MW_ABORT)
        return told_why(w, ret->data, ret->len, err);
    w->taken = HEAD + ret->len;
    return 0;
}

int mw_expect(struct mw_wire *w, enum mw_type type, unsigned silence_s, struct mw_message *ret, struct flic_err *err)
{
    int rc = mw_receive(w, silence_s, ret, err);

    if (!rc && ret->type != type)
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer sent message %u where %u was due", (unsigned)ret->type, (unsigned)type);
    return rc;
}

int mw_broken(struct flic_err *err, const char *what)
{
    return flic_err_set(err, FLIC_E_PROTOCOL, "the peer breaks the protocol: %s", what);
}

void mw_get_counts(const struct mw_wire *w, struct mw_counts *ret_counts)
{
    *ret_counts = w->counts;
}
