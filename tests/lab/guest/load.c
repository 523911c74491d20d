/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * The lab guest's only program: runs a workload, reports on the console every 2 s, answers on the control port.
 *
 *   load WORKLOAD SEED COLD-SEED MEMORY-MIB [gap]
 *
 * A report is one line "FLIC-GUEST key=value ..."; an error in addition is a line "FLIC-GUEST-ERROR ...". Each part
 * is "ok", "bad" (it found errors), "stuck" (no step finished for STUCK_S), "start" (filling its data) or "off".
 */
#include "clocks.h"
#include "echo.h"
#include "gap.h"
#include "part.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPORT_NS INT64_C(2000000000)
#define STUCK_S 20
#define VERIFY_LIMIT_S 240

static struct part *const parts[] = { &memory_part, &cold_part, &disk_part, &database_part, &net_part };
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static struct load_config config;
static _Atomic uint64_t sequence;

static const char *state_of(const struct part *p)
{
    if (!p->on)
        return "off";
    if (p->errors)
        return "bad";
    if (!p->started)
        return "start";
    return monotonic_ns() - p->beat > STUCK_S * INT64_C(1000000000) ? "stuck" : "ok";
}

static uint64_t all_errors(void)
{
    uint64_t n = clocks_errors();

    for (size_t i = 0; i < PARTS; i++)
        n += parts[i]->errors;
    return n;
}

static int describe(char *line, size_t size, uint64_t seq)
{
    struct clocks c = clocks_now();
    int64_t gap_ms, wall_gap_ms;
    uint64_t checks = 0;
    int n;

    clocks_gap(&gap_ms, &wall_gap_ms);
    for (size_t i = 0; i < PARTS; i++)
        checks += parts[i]->checks;
    n = snprintf(line, size, "FLIC-GUEST seq=%llu workload=%s wall=%lld.%03lld mono=%lld.%03lld boot=%lld.%03lld "
                 "cntvct=%llu cntfrq=%llu gap_ms=%lld wall_gap_ms=%lld time=%s", (unsigned long long)seq, config.workload,
                 (long long)(c.wall / 1000000000), (long long)(c.wall / 1000000 % 1000),
                 (long long)(c.monotonic / 1000000000), (long long)(c.monotonic / 1000000 % 1000),
                 (long long)(c.boot / 1000000000), (long long)(c.boot / 1000000 % 1000), (unsigned long long)c.counter,
                 (unsigned long long)c.frequency, (long long)gap_ms, (long long)wall_gap_ms, clocks_errors() ? "bad" : "ok");
    for (size_t i = 0; i < PARTS; i++)
        n += snprintf(line + n, size - (size_t)n, " %s=%s %s_work=%llu", parts[i]->name, state_of(parts[i]),
                      parts[i]->name, (unsigned long long)parts[i]->work);
    return n + snprintf(line + n, size - (size_t)n, " checks=%llu errors=%llu\n", (unsigned long long)checks,
                        (unsigned long long)all_errors());
}

static void report_for_ever(void)
{
    char line[1024];

    for (int64_t due = monotonic_ns();;) {
        int64_t now;

        describe(line, sizeof(line), ++sequence);
        fputs(line, stdout);
        fflush(stdout);
        now = monotonic_ns();
        due += REPORT_NS;
        if (due < now)
            due = now;
        sleep_ns(due - now);
    }
}

/* The whole self-check as one JSON object. */
static void answer_verify(int fd)
{
    char text[2048];
    bool finished = true;
    size_t n;

    for (size_t i = 0; i < PARTS; i++)
        if (parts[i]->on && !part_ask(parts[i], VERIFY_LIMIT_S))
            finished = false;
    n = (size_t)snprintf(text, sizeof(text), "{\"ok\":%s,\"finished\":%s,\"seq\":%llu,\"errors\":%llu,\"wall_ms\":%lld",
                         finished && all_errors() == 0 ? "true" : "false", finished ? "true" : "false",
                         (unsigned long long)sequence, (unsigned long long)all_errors(),
                         (long long)(clocks_now().wall / 1000000));
    for (size_t i = 0; i < PARTS; i++) {
        struct part *p = parts[i];

        if (!p->on)
            continue;
        pthread_mutex_lock(&p->lock);
        n += (size_t)snprintf(text + n, sizeof(text) - n, ",\"%s\":\"%s\",%s", p->name, state_of(p), p->summary);
        pthread_mutex_unlock(&p->lock);
        if (n > 0 && text[n - 1] == ',')
            n--;
    }
    n += (size_t)snprintf(text + n, sizeof(text) - n, ",\"first_error\":\"%s\"}\n", first_error());
    put_all(fd, text, (uint32_t)n);
}

/* Runs a shell line; its output and then "exit=STATUS" go back. */
static void answer_shell(int fd, const char *shell_line)
{
    char text[4096];
    FILE *out = popen(shell_line, "r");
    size_t n;
    int status;

    if (out == NULL)
        return;
    while ((n = fread(text, 1, sizeof(text), out)) > 0 && put_all(fd, text, (uint32_t)n))
        ;
    status = pclose(out);
    n = (size_t)snprintf(text, sizeof(text), "exit=%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128);
    put_all(fd, text, (uint32_t)n);
}

/* Stock Xen on ARM starts a guest's wall clock late by the time from its creation to its kernel: Dom0 corrects it. */
static void step_clock(long long ns)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    ns += t.tv_nsec;
    t.tv_sec += ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    if (t.tv_nsec < 0) {
        t.tv_nsec += 1000000000;
        t.tv_sec--;
    }
    clock_settime(CLOCK_REALTIME, &t);
}

static void answer_clock(int fd, const char *step)
{
    char text[64];

    if (*step)
        step_clock(strtoll(step, NULL, 10));
    put_all(fd, text, (uint32_t)snprintf(text, sizeof(text), "%lld\n", (long long)clocks_now().wall));
}

static void answer_gap(int fd)
{
    char text[64];

    put_all(fd, text, (uint32_t)snprintf(text, sizeof(text), "%lld\n", (long long)gap_longest_us()));
}

static void *control_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char command[1024] = "";
    char line[1024];
    ssize_t n = recv(fd, command, sizeof(command) - 1, 0);

    if (n > 0 && strncmp(command, "verify", 6) == 0)
        answer_verify(fd);
    else if (n > 0 && strncmp(command, "status", 6) == 0)
        put_all(fd, line, (uint32_t)describe(line, sizeof(line), sequence));
    else if (n > 0 && strncmp(command, "clock", 5) == 0)
        answer_clock(fd, command + 5);
    else if (n > 0 && strncmp(command, "gap", 3) == 0)
        answer_gap(fd);
    else if (n > 0 && strncmp(command, "sh ", 3) == 0)
        answer_shell(fd, command + 3);
    close(fd);
    return NULL;
}

static void *control_thread(void *arg)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(CONTROL_PORT) };
    int on = 1, s = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(s, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(s, 8) != 0) {
        perror("control port");
        return arg;
    }
    for (;;) {
        pthread_t thread;
        int fd = accept(s, NULL, NULL);

        if (fd < 0)
            continue;
        if (pthread_create(&thread, NULL, control_connection, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
        else
            close(fd);
    }
    return NULL;
}

static bool wants(const char *workload, const struct part *p)
{
    if (strcmp(workload, "mixed") == 0)
        return true;
    if (p == &memory_part || p == &cold_part)
        return strcmp(workload, "memory") == 0;
    return strcmp(workload, p->name) == 0;
}

int main(int argc, char **argv)
{
    static const char *const known[] = { "idle", "memory", "disk", "net", "db", "mixed" };
    bool found = false;
    pthread_t thread;

    for (size_t i = 0; argc >= 5 && i < sizeof(known) / sizeof(known[0]); i++)
        found = found || strcmp(argv[1], known[i]) == 0;
    if (!found) {
        fprintf(stderr, "usage: load idle|memory|disk|net|db|mixed SEED COLD-SEED MEMORY-MIB [gap]\n");
        return 2;
    }
    config = (struct load_config){ strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), (unsigned)strtoul(argv[4], NULL, 10),
                                   strcmp(argv[1], "mixed") == 0 ? 0.5 : 1, argv[1] };
    clocks_watch();
    if (argc > 5 && strcmp(argv[5], "gap") == 0)
        gap_watch();
    for (size_t i = 0; i < PARTS; i++)
        if (wants(config.workload, parts[i]))
            part_run(parts[i], &config);
    if (pthread_create(&thread, NULL, control_thread, NULL) != 0)
        return 1;
    report_for_ever();
    return 0;
}
