/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The client's end of flicd's socket, with the test as a flicd that says anything. */
#include "common/talk.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64];
static int listener, peer;
static struct flic_talk *talk;
static struct flic_err err;

static void set_up(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };

    (void)snprintf(path, sizeof(path), "/tmp/flic-talk.%d", (int)getpid());
    memcpy(at.sun_path, path, strlen(path) + 1);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(listener, 4), 0);
    ck_assert_int_eq(flic_talk_open(path, &talk, &err), 0);
    peer = accept(listener, NULL, NULL);
    ck_assert_int_ge(peer, 0);
}

static void tear_down(void)
{
    flic_talk_close(talk);
    (void)close(peer);
    (void)close(listener);
    (void)unlink(path);
}

static void peer_says(const char *text)
{
    ck_assert_int_eq(write(peer, text, strlen(text)), (ssize_t)strlen(text));
}

static json_t *next_ok(void)
{
    json_t *msg = NULL;

    ck_assert_int_eq(flic_talk_next(talk, 1000, &msg, &err), 0);
    return msg;
}

START_TEST(messages_come_one_by_one_however_they_were_cut)
{
    json_t *a, *b;

    peer_says("{\"n\":1}\n{\"n\"");
    a = next_ok();
    peer_says(":2}\n");
    b = next_ok();
    ck_assert_int_eq(json_integer_value(json_object_get(a, "n")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(b, "n")), 2);
    json_decref(a);
    json_decref(b);
}
END_TEST

START_TEST(what_is_sent_is_one_line)
{
    char got[128] = "";

    ck_assert_int_eq(flic_talk_send(talk, json_pack("{s:s}", "op", "a\nb"), &err), 0);
    ck_assert_int_gt(read(peer, got, sizeof(got) - 1), 0);
    ck_assert_str_eq(got, "{\"op\":\"a\\nb\"}\n");
}
END_TEST

START_TEST(an_answer_is_found_behind_events)
{
    json_t *answer = NULL;

    peer_says("{\"event\":\"progress\"}\n{\"event\":\"progress\"}\n{\"ok\":true,\"seq\":7}\n");
    ck_assert_int_eq(flic_talk_ask(talk, json_pack("{s:s}", "op", "x"), &answer, &err), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(answer, "seq")), 7);
    json_decref(answer);
}
END_TEST

START_TEST(a_refusal_brings_flicds_code_and_sentence)
{
    json_t *answer = NULL;

    peer_says("{\"ok\":false,\"code\":\"FLIC_E_ALIVE\",\"error\":\"it \\u001b[31mlives\"}\n");
    ck_assert_int_eq(flic_talk_ask(talk, json_pack("{s:s}", "op", "x"), &answer, &err), FLIC_E_ALIVE);
    ck_assert_str_eq(err.text, "it ?[31mlives");    /* no control character reaches a terminal */
    ck_assert_ptr_null(answer);
}
END_TEST

START_TEST(an_unknown_code_is_an_internal_error_and_never_success)
{
    json_t *answer = json_pack("{s:b, s:s}", "ok", 0, "code", "FLIC_OK");

    ck_assert_int_eq(flic_talk_outcome(answer, &err), FLIC_E_INTERNAL);
    json_decref(answer);
}
END_TEST

START_TEST(a_message_that_is_neither_is_a_breach)
{
    json_t *answer = json_pack("{s:s}", "ok", "yes");

    ck_assert_int_eq(flic_talk_outcome(answer, &err), FLIC_E_PROTOCOL);
    json_decref(answer);
}
END_TEST

static const char *const bad_lines[] = { "\n", "nonsense\n", "[1]\n", "{\"a\":1,\"a\":2}\n", "{\"a\":\n", "\"x\"\n" };

START_TEST(a_line_that_is_no_object_is_a_breach)
{
    json_t *msg = NULL;

    peer_says(bad_lines[_i]);
    ck_assert_int_eq(flic_talk_next(talk, 1000, &msg, &err), FLIC_E_PROTOCOL);
    ck_assert_ptr_null(msg);
}
END_TEST

START_TEST(a_line_without_end_is_given_up_at_its_limit)
{
    json_t *msg = NULL;
    char *much = malloc(FLIC_TALK_LINE_MAX + 1);
    pid_t child;

    memset(much, ' ', FLIC_TALK_LINE_MAX + 1);
    child = fork();
    if (child == 0)
        _exit(write(peer, much, FLIC_TALK_LINE_MAX + 1) > 0 ? 0 : 1);
    ck_assert_int_eq(flic_talk_next(talk, 5000, &msg, &err), FLIC_E_PROTOCOL);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    free(much);
}
END_TEST

START_TEST(silence_ends_at_the_limit)
{
    json_t *msg = NULL;

    ck_assert_int_eq(flic_talk_next(talk, 20, &msg, &err), FLIC_E_TIMEOUT);
    peer_says("{\"half\":");
    ck_assert_int_eq(flic_talk_next(talk, 20, &msg, &err), FLIC_E_TIMEOUT);
}
END_TEST

START_TEST(a_flicd_that_goes_away_is_told_as_such)
{
    json_t *msg = NULL;

    (void)close(peer);
    peer = -1;
    ck_assert_int_eq(flic_talk_next(talk, 1000, &msg, &err), FLIC_E_NODAEMON);
    ck_assert_int_eq(flic_talk_send(talk, json_pack("{s:s}", "op", "x"), &err), 0);
    ck_assert_int_eq(flic_talk_next(talk, 1000, &msg, &err), FLIC_E_NODAEMON);
}
END_TEST

START_TEST(what_flicd_said_before_it_closed_is_heard_although_it_took_no_more)
{
    json_t *answer = NULL;

    peer_says("{\"ok\":false,\"code\":\"FLIC_E_ALIVE\",\"error\":\"it lives\"}\n");
    (void)close(peer);
    peer = -1;
    ck_assert_int_eq(flic_talk_ask(talk, json_pack("{s:s}", "op", "x"), &answer, &err), FLIC_E_ALIVE);
    ck_assert_str_eq(err.text, "it lives");
    ck_assert_ptr_null(answer);
}
END_TEST

START_TEST(no_flicd_says_how_to_start_one)
{
    struct flic_talk *none = NULL;

    ck_assert_int_eq(flic_talk_open("/tmp/flic-no-such-socket", &none, &err), FLIC_E_NODAEMON);
    ck_assert_ptr_nonnull(strstr(err.text, "systemctl start flicd"));
    ck_assert_ptr_null(none);
}
END_TEST

START_TEST(a_path_that_fits_no_socket_is_wrong_usage)
{
    struct flic_talk *none = NULL;
    char longer[200];

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    ck_assert_int_eq(flic_talk_open(longer, &none, &err), FLIC_E_USAGE);
}
END_TEST

static void on_alarm(int sig)
{
    (void)sig;
}

START_TEST(a_signal_ends_the_wait)
{
    struct sigaction act = { .sa_handler = on_alarm };
    json_t *msg = NULL;

    (void)sigaction(SIGALRM, &act, NULL);
    (void)alarm(1);
    ck_assert_int_eq(flic_talk_next(talk, -1, &msg, &err), -EINTR);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("talk");
    TCase *tc = tcase_create("client");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, messages_come_one_by_one_however_they_were_cut);
    tcase_add_test(tc, what_is_sent_is_one_line);
    tcase_add_test(tc, an_answer_is_found_behind_events);
    tcase_add_test(tc, a_refusal_brings_flicds_code_and_sentence);
    tcase_add_test(tc, an_unknown_code_is_an_internal_error_and_never_success);
    tcase_add_test(tc, a_message_that_is_neither_is_a_breach);
    tcase_add_loop_test(tc, a_line_that_is_no_object_is_a_breach, 0, sizeof(bad_lines) / sizeof(bad_lines[0]));
    tcase_add_test(tc, a_line_without_end_is_given_up_at_its_limit);
    tcase_add_test(tc, silence_ends_at_the_limit);
    tcase_add_test(tc, a_flicd_that_goes_away_is_told_as_such);
    tcase_add_test(tc, what_flicd_said_before_it_closed_is_heard_although_it_took_no_more);
    tcase_add_test(tc, no_flicd_says_how_to_start_one);
    tcase_add_test(tc, a_path_that_fits_no_socket_is_wrong_usage);
    tcase_add_test(tc, a_signal_ends_the_wait);
    tcase_set_timeout(tc, 20);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
