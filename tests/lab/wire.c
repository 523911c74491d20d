/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * The wire between two phones: carries ethernet frames between the datagram sockets of their second network devices.
 *
 * In the run folder of a phone its emulator listens on peer.nic and sends to peer.wire; the wire is peer.wire of both. A
 * phone that is off has no run folder, and each boot makes another: LOOK_MS says how often the wire looks for them.
 *
 * A frame waits in its way's ring until the rate and the receiver let it go. One that finds no room is dropped, as a switch
 * does. The wire never stops reading: an emulator whose wire is full asks again and again until there is room.
 *
 * Control socket, one line per connection: "stats", "cut", "mend", "rate BYTES-PER-SECOND" (0: as fast as it goes),
 * "loss PERCENT", "quit".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control.h"

#define LOOK_MS 200
#define MAX_FRAME (68u << 10) /* no frame of QEMU's is longer */
#define SLOT (sizeof(size_t) + MAX_FRAME)
#define RING (8u << 20)
#define BATCH 64 /* frames read before the other way has its turn */

enum { LOST, CUT, FULL, OFF, DROP_KINDS };
static const char *const drop_names[DROP_KINDS] = { "lost", "cut", "full", "off" };

struct end {
    const char *folder;
    int fd;         /* bound to peer.wire, connected to peer.nic; -1 while the phone is off */
    struct stat nic; /* what peer.nic was then */
};

/*
 * From one end to the other. A frame lies in one piece behind its size; the ring is one slot longer than RING, and a frame
 * that would begin behind RING begins at 0.
 */
struct way {
    uint8_t *ring;
    size_t head, tail, queued; /* queued: bytes between the two, to tell full from empty */
    bool blocked;              /* the receiver takes no more until poll() says so */
    double tokens;             /* bytes that may go now; below zero after a frame that was longer */
    uint64_t chance;
    uint64_t frames, bytes, dropped[DROP_KINDS];
};

struct wire {
    struct end end[2];
    struct way way[2]; /* way[i] begins at end[i] */
    bool cut;
    uint64_t rate;
    double loss;
    uint64_t refilled, looked; /* when, in ns */
    uint8_t spare[MAX_FRAME];
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- rings ---- */

static size_t slot_size(size_t frame)
{
    return (sizeof(size_t) + frame + 7) & ~(size_t)7;
}

/* With a rate the queue is what goes in a quarter of a second: a longer one is only delay. */
static bool has_room(const struct wire *w, const struct way *d)
{
    uint64_t most = w->rate / 4 > 2 * SLOT ? w->rate / 4 : 2 * SLOT;

    if (w->rate > 0 && d->queued >= most)
        return false;
    return d->queued == 0 || d->tail > d->head || d->head - d->tail >= SLOT;
}

static void push(struct way *d, size_t frame)
{
    memcpy(d->ring + d->tail, &frame, sizeof(frame));
    d->queued += slot_size(frame);
    d->tail += slot_size(frame);
    if (d->tail >= RING)
        d->tail = 0;
}

static size_t oldest(const struct way *d)
{
    size_t frame;

    memcpy(&frame, d->ring + d->head, sizeof(frame));
    return frame;
}

static void pop(struct way *d)
{
    size_t size = slot_size(oldest(d));

    d->queued -= size;
    d->head += size;
    if (d->head >= RING)
        d->head = 0;
}

static void drop_all(struct way *d, int why)
{
    for (; d->queued > 0; pop(d))
        d->dropped[why]++;
    d->blocked = false;
}

/* ---- ends ---- */

static void detach(struct wire *w, int i)
{
    if (w->end[i].fd >= 0)
        close(w->end[i].fd);
    w->end[i].fd = -1;
    drop_all(&w->way[!i], OFF);
}

static struct sockaddr_un address_in(int folder, const char *name)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    /* A folder's own path may be longer than a socket's name has room for. */
    snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", folder, name);
    return a;
}

/* Connected, so that poll() can say when the emulator has room again. Before it listens there is nothing to connect to. */
static int plug_in(int folder)
{
    struct sockaddr_un wire = address_in(folder, "peer.wire"), nic = address_in(folder, "peer.nic");
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (s < 0)
        die("socket");
    unlinkat(folder, "peer.wire", 0);
    if (bind(s, (void *)&wire, sizeof(wire)) == 0 && connect(s, (void *)&nic, sizeof(nic)) == 0)
        return s;
    close(s);
    unlinkat(folder, "peer.wire", 0);
    return -1;
}

static void look(struct wire *w, int i)
{
    struct end *e = &w->end[i];
    struct stat st;
    int folder = open(e->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0 || fstatat(folder, "peer.nic", &st, 0) < 0) {
        detach(w, i);
    } else if (e->fd < 0 || st.st_ino != e->nic.st_ino || st.st_dev != e->nic.st_dev ||
               st.st_ctim.tv_sec != e->nic.st_ctim.tv_sec || st.st_ctim.tv_nsec != e->nic.st_ctim.tv_nsec) {
        detach(w, i);
        e->fd = plug_in(folder);
        e->nic = st;
    }
    if (folder >= 0)
        close(folder);
}

/* ---- frames ---- */

static int fate(const struct wire *w, struct way *d, int to, bool room)
{
    bool lost = (double)(next_random(&d->chance) >> 11) / (double)(UINT64_C(1) << 53) * 100 < w->loss;

    if (w->cut)
        return CUT;
    if (lost)
        return LOST;
    if (w->end[to].fd < 0)
        return OFF;
    return room ? DROP_KINDS : FULL;
}

static void receive(struct wire *w, int from)
{
    struct way *d = &w->way[from];

    for (int i = 0; i < BATCH; i++) {
        bool room = has_room(w, d);
        uint8_t *into = room ? d->ring + d->tail + sizeof(size_t) : w->spare;
        ssize_t n = recv(w->end[from].fd, into, MAX_FRAME, 0);
        int why;

        if (n <= 0)
            return;
        why = fate(w, d, !from, room);
        if (why == DROP_KINDS)
            push(d, (size_t)n);
        else
            d->dropped[why]++;
    }
}

static bool may_go(const struct wire *w, const struct way *d)
{
    return d->queued > 0 && !d->blocked && (w->rate == 0 || d->tokens > 0);
}

static void forward(struct wire *w, int from)
{
    struct way *d = &w->way[from];
    int to = !from;

    while (may_go(w, d)) {
        size_t frame = oldest(d);

        if (send(w->end[to].fd, d->ring + d->head + sizeof(size_t), frame, MSG_NOSIGNAL) < 0) {
            if (errno == EAGAIN)
                d->blocked = true;
            else
                detach(w, to); /* its emulator was killed */
            return;
        }
        d->frames++;
        d->bytes += frame;
        d->tokens -= (double)frame;
        pop(d);
    }
}

/* What was not used in 20 ms is gone. */
static void refill(struct wire *w)
{
    uint64_t now = now_ns();
    double gained = (double)w->rate * (double)(now - w->refilled) / 1e9, most = (double)w->rate / 50;

    w->refilled = now;
    for (int i = 0; i < 2; i++) {
        double sum = w->way[i].tokens + gained;

        w->way[i].tokens = sum < most ? sum : most;
    }
}

/* How long poll() may sleep when nobody sends, in ms. */
static int patience(const struct wire *w)
{
    double ms = LOOK_MS;

    for (int i = 0; i < 2; i++) {
        const struct way *d = &w->way[i];

        if (d->queued > 0 && !d->blocked && w->rate > 0) {
            double wait = d->tokens > 0 ? 0 : (1 - d->tokens) * 1000 / (double)w->rate + 1;

            ms = wait < ms ? wait : ms;
        }
    }
    return (int)ms;
}

/* ---- control ---- */

static void stats(const struct wire *w, FILE *out)
{
    static const char *const names[2] = { "there", "back" };

    fprintf(out, "{\"first_up\":%s,\"second_up\":%s,\"cut\":%s,\"rate\":%" PRIu64 ",\"loss\":%g",
            w->end[0].fd < 0 ? "false" : "true", w->end[1].fd < 0 ? "false" : "true", w->cut ? "true" : "false", w->rate,
            w->loss);
    for (int i = 0; i < 2; i++) {
        const struct way *d = &w->way[i];

        fprintf(out, ",\"%s\":{\"frames\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"dropped\":{", names[i], d->frames, d->bytes);
        for (int k = 0; k < DROP_KINDS; k++)
            fprintf(out, "%s\"%s\":%" PRIu64, k > 0 ? "," : "", drop_names[k], d->dropped[k]);
        fprintf(out, "}}");
    }
    fprintf(out, "}\n");
}

static void set_cut(struct wire *w, bool cut)
{
    w->cut = cut;
    for (int i = 0; cut && i < 2; i++)
        drop_all(&w->way[i], CUT);
}

static void set_rate(struct wire *w, uint64_t rate)
{
    w->rate = rate;
    w->way[0].tokens = w->way[1].tokens = 0;
}

static bool percent(const char *text, double *value)
{
    char *end;

    *value = strtod(text, &end);
    return end != text && *value >= 0 && *value <= 100;
}

/* Returns false when asked to quit. */
static bool control(struct wire *w, int c)
{
    char line[128] = "";
    uint64_t rate;
    double loss;
    bool go_on = true, known = true;
    FILE *out = read(c, line, sizeof(line) - 1) > 0 ? fdopen(c, "w") : NULL;

    if (out == NULL) {
        close(c);
        return true;
    }
    if (strcmp(line, "stats") == 0) {
        stats(w, out);
        fclose(out);
        return true;
    }
    if (sscanf(line, "rate %" SCNu64, &rate) == 1)
        set_rate(w, rate);
    else if (strncmp(line, "loss ", 5) == 0 && percent(line + 5, &loss))
        w->loss = loss;
    else if (strcmp(line, "cut") == 0 || strcmp(line, "mend") == 0)
        set_cut(w, line[0] == 'c');
    else
        known = !(go_on = strcmp(line, "quit") != 0);
    fprintf(out, known ? "{}\n" : "unknown command\n");
    fclose(out);
    return go_on;
}

static void look_around(struct wire *w)
{
    uint64_t now = now_ns();

    if (w->looked != 0 && now - w->looked < LOOK_MS * UINT64_C(1000000))
        return;
    w->looked = now;
    look(w, 0);
    look(w, 1);
}

static void serve(struct wire *w, int controlling)
{
    w->refilled = now_ns();
    for (;;) {
        struct pollfd p[3] = { { .fd = w->end[0].fd }, { .fd = w->end[1].fd }, { .fd = controlling, .events = POLLIN } };

        for (int i = 0; i < 2; i++)
            p[i].events = w->way[!i].blocked ? POLLIN | POLLOUT : POLLIN;
        if (poll(p, 3, patience(w)) < 0 && errno != EINTR)
            die("poll");
        for (int i = 0; i < 2; i++) {
            if (p[i].revents & POLLOUT)
                w->way[!i].blocked = false;
            if (p[i].revents & ~POLLOUT)
                receive(w, i);
        }
        refill(w);
        forward(w, 0);
        forward(w, 1);
        if (p[2].revents && !control(w, accept4(controlling, NULL, NULL, SOCK_CLOEXEC)))
            return;
        look_around(w);
    }
}

int main(int argc, char **argv)
{
    static struct wire w;
    uint64_t seed;

    if (argc == 4 && strcmp(argv[1], "ask") == 0)
        return ask(argv[2], argv[3]);
    if (argc != 8 || strcmp(argv[1], "serve") != 0 || !percent(argv[6], &w.loss)) {
        fprintf(stderr, "usage: wire serve FOLDER FOLDER CONTROL-SOCKET BYTES-PER-SECOND LOSS-PERCENT SEED\n"
                        "       wire ask CONTROL-SOCKET COMMAND\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    w.rate = strtoull(argv[5], NULL, 10);
    seed = strtoull(argv[7], NULL, 10);
    for (int i = 0; i < 2; i++) {
        w.end[i] = (struct end){ .folder = argv[2 + i], .fd = -1 };
        w.way[i].chance = (4 * seed + 2 * (uint64_t)i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        w.way[i].ring = malloc(RING + SLOT);
        if (w.way[i].ring == NULL)
            die("malloc");
    }
    serve(&w, unix_socket(argv[4], true));
    return 0;
}
