/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Dom0's end of the guest's network.
 *
 *   lab-net ask ADDRESS COMMAND     sends one command to the guest's control port, prints the answer
 *   lab-net skew ADDRESS            prints how many ms the guest's wall clock is ahead of this one
 *   lab-net set-clock ADDRESS       steps the guest's wall clock to this one
 *   lab-net echo ADDRESS BYTES      echoes that much and checks it; exit status
 *   lab-net load ADDRESS BYTES/S    echoes for ever, reconnecting; prints one line when the state changes
 */
#include "echo.h"
#include "pattern.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FRAME (16u << 10)

static int dial(const char *address, uint16_t port, unsigned seconds)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct timeval limit = { .tv_sec = seconds };
    int s = socket(AF_INET, SOCK_STREAM, 0);

    if (inet_pton(AF_INET, address, &a.sin_addr) != 1) {
        fprintf(stderr, "lab-net: '%s' is no address\n", address);
        exit(2);
    }
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(s, (struct sockaddr *)&a, sizeof(a)) != 0) {
        close(s);
        return -1;
    }
    return s;
}

/* Returns NULL when the frame came back whole, or what went wrong. */
static const char *echo_once(int s, uint64_t number)
{
    static uint8_t sent[FRAME], received[FRAME];
    struct echo_header h = { ECHO_MAGIC, FRAME, 0 }, back;

    for (unsigned i = 0; i < FRAME / PATTERN_SIZE; i++)
        pattern_fill(sent + i * PATTERN_SIZE, 7, i, number);
    h.sum = checksum(sent, FRAME);
    if (!put_all(s, &h, sizeof(h)) || !put_all(s, sent, FRAME))
        return "the guest does not take data";
    if (!get_all(s, &back, sizeof(back)) || !get_all(s, received, FRAME))
        return "no answer";
    if (memcmp(&h, &back, sizeof(h)) != 0 || memcmp(sent, received, FRAME) != 0)
        return "the answer is damaged";
    return NULL;
}

static int do_ask(const char *address, const char *command)
{
    char answer[4096];
    ssize_t n;
    bool any = false;
    int s = dial(address, CONTROL_PORT, 300);

    if (s < 0 || !put_all(s, command, (uint32_t)strlen(command))) {
        fprintf(stderr, "lab-net: %s: the control port does not answer\n", address);
        return 1;
    }
    while ((n = recv(s, answer, sizeof(answer), 0)) > 0) {
        fwrite(answer, 1, (size_t)n, stdout);
        any = true;
    }
    return any ? 0 : 1;
}

static int64_t wall_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* The guest read its clock some time between question and answer; the shortest of five exchanges tells best. */
static bool measure_skew(const char *address, int64_t *ret_ns)
{
    int64_t shortest = INT64_MAX;

    for (unsigned i = 0; i < 5; i++) {
        char answer[64] = "";
        int s = dial(address, CONTROL_PORT, 60);
        int64_t before = wall_ns(), after;

        if (s < 0 || !put_all(s, "clock", 5) || recv(s, answer, sizeof(answer) - 1, 0) <= 0) {
            fprintf(stderr, "lab-net: %s: the control port does not answer\n", address);
            return false;
        }
        after = wall_ns();
        close(s);
        if (after - before < shortest) {
            shortest = after - before;
            *ret_ns = strtoll(answer, NULL, 10) - (before + after) / 2;
        }
    }
    return true;
}

static int do_skew(const char *address)
{
    int64_t ns;

    if (!measure_skew(address, &ns))
        return 1;
    printf("%lld\n", (long long)(ns / 1000000));
    return 0;
}

static int do_set_clock(const char *address)
{
    char command[64], answer[64];
    int64_t ns;
    int s;

    if (!measure_skew(address, &ns))
        return 1;
    s = dial(address, CONTROL_PORT, 60);
    snprintf(command, sizeof(command), "clock%+lld", (long long)-ns);
    return s >= 0 && put_all(s, command, (uint32_t)strlen(command)) && recv(s, answer, sizeof(answer), 0) > 0 ? 0 : 1;
}

static int do_echo(const char *address, unsigned long bytes)
{
    const char *wrong = "no connection";
    int s = dial(address, ECHO_PORT, 20);

    if (s >= 0)
        wrong = NULL;
    for (unsigned long done = 0; wrong == NULL && done < bytes; done += FRAME)
        wrong = echo_once(s, done);
    if (wrong) {
        fprintf(stderr, "lab-net: %s: echo: %s\n", address, wrong);
        return 1;
    }
    return 0;
}

static void do_load(const char *address, unsigned long per_second)
{
    struct timespec pause = { 0, (long)(1e9 * FRAME / (double)per_second) };
    const char *state = "", *now;
    int s = -1;

    for (uint64_t number = 0;; number++) {
        if (s < 0)
            s = dial(address, ECHO_PORT, 5);
        now = s < 0 ? "no connection" : echo_once(s, number);
        if (now && s >= 0) {
            close(s);
            s = -1;
        }
        if (strcmp(state, now ? now : "ok") != 0) {
            state = now ? now : "ok";
            printf("%lld %s\n", (long long)time(NULL), state);
            fflush(stdout);
        }
        if (now)
            sleep(1);
        else
            nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "ask") == 0)
        return do_ask(argv[2], argv[3]);
    if (argc == 3 && strcmp(argv[1], "skew") == 0)
        return do_skew(argv[2]);
    if (argc == 3 && strcmp(argv[1], "set-clock") == 0)
        return do_set_clock(argv[2]);
    if (argc == 4 && strcmp(argv[1], "echo") == 0)
        return do_echo(argv[2], strtoul(argv[3], NULL, 10));
    if (argc == 4 && strcmp(argv[1], "load") == 0 && strtoul(argv[3], NULL, 10) >= FRAME)
        do_load(argv[2], strtoul(argv[3], NULL, 10));
    fprintf(stderr, "usage: lab-net ask ADDRESS COMMAND | skew ADDRESS | set-clock ADDRESS | echo ADDRESS BYTES | load ADDRESS BYTES/S\n");
    return 2;
}
