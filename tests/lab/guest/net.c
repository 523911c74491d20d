/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The guest's end of the echo. Traffic comes from Dom0 (lab-net); the kernel answers ping by itself. */
#include "echo.h"
#include "part.h"
#include "pattern.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 16

static int listening = -1;
static _Atomic int connections;
static _Atomic int64_t last_frame;

static void start(struct part *p)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(ECHO_PORT) };
    int on = 1;

    listening = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(listening, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(listening, 16) != 0)
        part_error(p, "cannot listen: %s", strerror(errno));
}

static bool echo_frame(struct part *p, int fd, uint8_t *payload)
{
    struct echo_header h;

    if (!get_all(fd, &h, sizeof(h)))
        return false;
    if (h.magic != ECHO_MAGIC || h.size > ECHO_MAX) {
        part_error(p, "a frame starts with %08x, size %u", h.magic, h.size);
        return false;
    }
    if (!get_all(fd, payload, h.size))
        return false;
    if (checksum(payload, h.size) != h.sum)
        part_error(p, "a frame of %u bytes arrived damaged", h.size);
    p->checks++;
    p->work += h.size;
    last_frame = monotonic_ns();
    return put_all(fd, &h, sizeof(h)) && put_all(fd, payload, h.size);
}

/* A peer that lost power never says goodbye: ten silent seconds end the connection. */
static void *connection_thread(void *arg)
{
    int fd = (int)(intptr_t)arg;
    struct timeval limit = { .tv_sec = 10 };
    uint8_t *payload = malloc(ECHO_MAX);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    while (payload && echo_frame(&net_part, fd, payload))
        ;
    free(payload);
    close(fd);
    connections--;
    return NULL;
}

static void step(struct part *p)
{
    struct timeval limit = { .tv_sec = 1 };
    pthread_t thread;
    int fd;

    setsockopt(listening, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    fd = accept(listening, NULL, NULL);
    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR)
            part_error(p, "accept: %s", strerror(errno));
        return;
    }
    if (connections >= MAX_CONNECTIONS) {
        close(fd);
        return;
    }
    connections++;
    if (pthread_create(&thread, NULL, connection_thread, (void *)(intptr_t)fd) != 0) {
        connections--;
        close(fd);
        return;
    }
    pthread_detach(thread);
}

static void verify(struct part *p)
{
    int64_t last = last_frame;

    part_summary(p, "\"net_bytes\":%llu,\"net_silent_ms\":%lld", (unsigned long long)p->work,
                 last ? (long long)((monotonic_ns() - last) / 1000000) : -1LL);
}

struct part net_part = { .name = "net", .start = start, .step = step, .verify = verify };
