/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The loop: lines in, answers out, and clients that misbehave. */
#include "daemon/ev.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char path[64];
static struct ev_loop *loop;
static struct flic_err err;
static atomic_uint opened, closed, lines;     /* the loop's thread counts */
static pthread_t thread;

/* What a detached connection carries from then on is answered here, in no loop at all: it comes back in brackets. */
static void *speak_raw(void *arg)
{
    int fd = (int)(long)arg;
    char got[64];
    ssize_t n;

    while ((n = recv(fd, got + 1, sizeof(got) - 2, 0)) > 0 || (n < 0 && errno == EAGAIN)) {
        if (n < 0)
            continue;
        got[0] = '[';
        got[n + 1] = ']';
        (void)send(fd, got, (size_t)n + 2, MSG_NOSIGNAL);
    }
    (void)close(fd);
    return NULL;
}

static void detach(struct ev_conn *conn)
{
    pthread_t raw;
    void *early;
    size_t n;
    int fd;

    if (ev_detach(conn, &fd, &early, &n))
        return;
    (void)send(fd, early, n, MSG_NOSIGNAL);
    free(early);
    if (!pthread_create(&raw, NULL, speak_raw, (void *)(long)fd))
        (void)pthread_detach(raw);
}

/* "big" is answered with more than a connection may have unsent, several times at once; "end" stops the loop; "raw" leaves it. */
static void on_line(struct ev_conn *conn, char *line, size_t len, void *arg)
{
    static char much[3 << 20];

    (void)arg;
    lines++;
    if (!strcmp(line, "end")) {
        ev_stop(loop);
    } else if (!strcmp(line, "raw")) {
        detach(conn);
    } else if (!strcmp(line, "big")) {
        for (int i = 0; i < 5; i++)
            ev_send(conn, much, sizeof(much));
    } else {
        line[len] = '\n';
        ev_send(conn, line, len + 1);
    }
}

static void on_open(struct ev_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
    opened++;
}

static void on_close(struct ev_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
    closed++;
}

static const struct ev_handlers handlers = {
    .on_line = on_line, .on_open = on_open, .on_close = on_close, .line_max = 100, .conns_max = 3,
};

static void *run(void *arg)
{
    (void)arg;
    return (void *)(long)ev_run(loop, &err);
}

static void set_up(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)snprintf(path, sizeof(path), "/tmp/test-ev.%ld", (long)getpid());
    (void)strcpy(addr.sun_path, path);
    ck_assert(!bind(fd, (struct sockaddr *)&addr, sizeof(addr)) && !listen(fd, 8));
    ck_assert_int_eq(ev_new(&loop, &err), 0);
    ck_assert_int_eq(ev_listen(loop, fd, &handlers, &err), 0);
    ck_assert(!pthread_create(&thread, NULL, run, NULL));
}

static int client(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct timeval limit = { .tv_sec = 5 };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)strcpy(addr.sun_path, path);
    ck_assert(!connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
    ck_assert(!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    return fd;
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void expect(int fd, const char *text)
{
    char got[256] = "";
    size_t n = 0;

    while (n < strlen(text)) {
        ssize_t r = recv(fd, got + n, strlen(text) - n, 0);

        ck_assert_msg(r > 0, "after '%s': %s", got, r ? strerror(errno) : "closed");
        n += (size_t)r;
    }
    ck_assert_str_eq(got, text);
}

static void expect_closed(int fd)
{
    char sink[65536];
    ssize_t r;

    while ((r = recv(fd, sink, sizeof(sink), 0)) > 0)
        ;
    ck_assert_msg(r == 0 || errno == ECONNRESET, "%s", strerror(errno));
    ck_assert_int_eq(close(fd), 0);
}

static void tear_down(void)
{
    int fd = client();

    say(fd, "end\n");
    ck_assert(!pthread_join(thread, NULL));
    ev_free(loop);
    ck_assert_uint_eq(opened, closed);
    (void)close(fd);
    (void)unlink(path);
}

START_TEST(lines_are_handed_over_one_by_one_however_they_come)
{
    int fd = client();

    say(fd, "one\ntwo\nthr");
    expect(fd, "one\ntwo\n");
    say(fd, "ee\n");
    expect(fd, "three\n");
    (void)close(fd);
}
END_TEST

START_TEST(a_line_that_is_too_long_costs_its_sender_the_connection_and_nobody_else)
{
    char line[300];
    int fd = client(), other = client();

    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\0';
    say(fd, line);              /* no end in sight */
    expect_closed(fd);
    say(other, "still here\n");
    expect(other, "still here\n");
    (void)close(other);
}
END_TEST

START_TEST(a_client_that_does_not_read_is_cut_off_once)
{
    int fd = client(), other = client();

    say(fd, "big\n");
    say(other, "hello\n");
    expect(other, "hello\n");
    expect_closed(fd);
    say(other, "again\n");
    expect(other, "again\n");
    (void)close(other);
}
END_TEST

START_TEST(more_connections_than_allowed_are_closed_at_once)
{
    int fd[4];

    for (int i = 0; i < 3; i++) {
        fd[i] = client();
        say(fd[i], "x\n");
        expect(fd[i], "x\n");
    }
    fd[3] = client();
    expect_closed(fd[3]);
    for (int i = 0; i < 3; i++)
        (void)close(fd[i]);
    (void)usleep(50000);        /* the loop sees them go before the next test's client comes */
}
END_TEST

static void count_up(void *arg)
{
    ++*(unsigned *)arg;
}

START_TEST(calls_from_other_threads_run_in_order_in_the_loop)
{
    struct ev_call calls[1000];
    unsigned n = 0;
    int fd = client();

    for (int i = 0; i < 1000; i++)
        ev_defer(loop, &calls[i], count_up, &n);
    say(fd, "end\n");
    ck_assert(!pthread_join(thread, NULL));
    ev_free(loop);              /* runs what had not run */
    ck_assert_uint_eq(n, 1000);
    (void)close(fd);
    (void)unlink(path);
    set_up();
    closed = opened = 0;
}
END_TEST

struct turn { unsigned *n, mine; };

static void take_turn(void *arg)
{
    struct turn *turn = arg;

    turn->mine = (*turn->n)++;
}

START_TEST(who_asks_the_loop_has_its_answer_and_those_of_before)
{
    struct ev_call calls[100];
    unsigned n = 0;
    struct turn turn = { .n = &n };

    for (int i = 0; i < 100; i++)
        ev_defer(loop, &calls[i], count_up, &n);
    ev_ask(loop, take_turn, &turn);
    ck_assert_uint_eq(turn.mine, 100);
    ck_assert_uint_eq(n, 101);
}
END_TEST

START_TEST(one_that_is_cut_off_for_not_reading_does_nothing_more_and_is_closed_once)
{
    int fd = client();
    unsigned before = closed, heard = lines;

    say(fd, "big\nraw\nraw\n");            /* in one piece: the loop has all three when it cuts it off */
    for (int i = 0; i < 500 && closed == before; i++)
        (void)usleep(10000);
    ck_assert_uint_eq(closed, before + 1);
    ck_assert_uint_eq(lines, heard + 1);
    (void)close(fd);
}
END_TEST

START_TEST(a_detached_connection_loses_nothing_and_is_the_loops_no_more)
{
    int fd = client(), others = client();
    unsigned before = closed;

    say(fd, "raw\nearly");
    expect(fd, "early");
    say(fd, "late");
    expect(fd, "[late]");
    say(others, "hello\n");
    expect(others, "hello\n");
    ck_assert_uint_eq(closed, before + 1);
    (void)close(fd);
    (void)close(others);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ev");
    TCase *t = tcase_create("ev");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, lines_are_handed_over_one_by_one_however_they_come);
    tcase_add_test(t, a_line_that_is_too_long_costs_its_sender_the_connection_and_nobody_else);
    tcase_add_test(t, a_client_that_does_not_read_is_cut_off_once);
    tcase_add_test(t, more_connections_than_allowed_are_closed_at_once);
    tcase_add_test(t, calls_from_other_threads_run_in_order_in_the_loop);
    tcase_add_test(t, who_asks_the_loop_has_its_answer_and_those_of_before);
    tcase_add_test(t, one_that_is_cut_off_for_not_reading_does_nothing_more_and_is_closed_once);
    tcase_add_test(t, a_detached_connection_loses_nothing_and_is_the_loops_no_more);
    suite_add_tcase(s, t);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
