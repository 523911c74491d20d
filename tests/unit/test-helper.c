/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * The save helper as a process, between a libxl and a flicd that are both this test. Bytes on its pipes are checked against
 * libxl's numbers as written in tools/libs/light/libxl_save_msgs_gen.pl, not against our own code.
 */
#include "common/id.h"
#include "common/io.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELPER "libxl-ext/flic-save-helper"
#define ON_FAKE "tests/unit/helper-on-fake"     /* libxc_fake.c says what it does */
#define LONG_MS 10000

static char socket_path[64];
static int listener, flicd = -1;        /* flicd's ends */
static int to_helper, from_helper;      /* libxl's ends of fd 0 and 1 */
static int stream;
static pid_t helper;

struct msg { uint16_t number; uint8_t body[8192]; size_t len; };

static void set_up(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };

    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(socket_path, sizeof(socket_path), "/tmp/flic-helper.%d", (int)getpid());
    memcpy(at.sun_path, socket_path, strlen(socket_path) + 1);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(listener, 4), 0);
    stream = memfd_create("stream", 0);
    ck_assert_int_eq(setenv("FLIC_SOCKET", socket_path, 1), 0);
    ck_assert_int_eq(setenv("FLIC_OPERATION", "0123456789abcdef0123456789abcdef", 1), 0);
}

static void tear_down(void)
{
    if (helper > 0) {
        (void)kill(helper, SIGKILL);
        (void)waitpid(helper, NULL, 0);
    }
    (void)unlink(socket_path);
}

static void start_program(const char *program, bool restore)
{
    int in[2], out[2];
    char fd[16];

    ck_assert_int_eq(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    (void)snprintf(fd, sizeof(fd), "%d", stream);
    helper = fork();
    if (helper == 0) {
        (void)dup2(in[0], 0);
        (void)dup2(out[1], 1);
        if (restore)
            execl(program, program, "--restore-domain", fd, "-1", "9", "1", "0", "2", "0", "768", "0", (char *)NULL);
        else
            execl(program, program, "--save-domain", fd, "-1", "9", "0", "136", "0", (char *)NULL);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    to_helper = in[1];
    from_helper = out[0];
}

static void start(bool restore) { start_program(HELPER, restore); }

static void wait_for(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    ck_assert_msg(poll(&p, 1, LONG_MS) == 1, "nothing came in %d ms", LONG_MS);
}

/* ---- libxl's side ---- */

static struct msg heard(void)
{
    struct msg m;
    uint16_t len;

    wait_for(from_helper);
    ck_assert_int_eq(flic_read_all(from_helper, &len, 2), 0);
    ck_assert_uint_ge(len, 2);
    m.len = len - 2u;
    ck_assert_uint_le(m.len, sizeof(m.body));
    ck_assert_int_eq(flic_read_all(from_helper, &m.number, 2), 0);
    ck_assert_int_eq(flic_read_all(from_helper, m.body, m.len), 0);
    return m;
}

static void reply(int value)
{
    ck_assert_int_eq(flic_write_all(to_helper, &value, sizeof(value)), 0);
}

/* Message 10 with these two ints; then the helper leaves. */
static void expect_complete(int retval, int errnoval)
{
    struct msg m = heard();
    int values[2], status;

    ck_assert_uint_eq(m.number, 10);
    ck_assert_uint_eq(m.len, 8);
    memcpy(values, m.body, 8);
    ck_assert_int_eq(values[0], retval);
    if (retval)
        ck_assert_int_eq(values[1], errnoval);
    reply(0);
    ck_assert_int_eq(waitpid(helper, &status, 0), helper);
    helper = 0;
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Message 1, an error whose text has `part` in it; texts are u32 length with NUL, bytes. */
static void expect_log(const char *part)
{
    struct msg m = heard();
    uint32_t level, n;

    ck_assert_uint_eq(m.number, 1);
    memcpy(&level, m.body, 4);
    ck_assert_uint_eq(level, 8);                /* XTL_ERROR */
    memcpy(&n, m.body + 8, 4);
    ck_assert_uint_lt(12 + n, m.len);
    ck_assert_uint_eq(m.body[12 + n - 1], 0);
    ck_assert_msg(strstr((char *)m.body + 12 + n + 4, part) != NULL, "no '%s' in '%s'", part,
                  (char *)m.body + 12 + n + 4);
    ck_assert_uint_eq(m.body[m.len - 1], 0);
}

/* ---- flicd's side ---- */

static void flicd_says(const char *line)
{
    ck_assert_int_eq(flic_write_all(flicd, line, strlen(line)), 0);
}

static void flicd_hears(const char *part)
{
    char line[1024] = "";
    size_t n = 0;

    wait_for(flicd);
    while (n < sizeof(line) - 1 && read(flicd, line + n, 1) == 1 && line[n] != '\n')
        n++;
    ck_assert_msg(strstr(line, part) != NULL, "no '%s' in '%s'", part, line);
}

static void join(void)
{
    wait_for(listener);
    flicd = accept(listener, NULL, NULL);
    ck_assert_int_ge(flicd, 0);
    flicd_hears("\"op\":\"join\",\"operation\":\"0123456789abcdef0123456789abcdef\",\"domid\":9");
}

static void make_reference(uint8_t reference[96])
{
    uint32_t version = 1, size = 96;
    uint64_t sum;

    memset(reference, 0xa5, 96);
    memcpy(reference, "FLICREF1", 8);
    memcpy(reference + 8, &version, 4);
    memcpy(reference + 12, &size, 4);
    sum = flic_checksum(reference, 88);
    memcpy(reference + 88, &sum, 8);
}

static void answer_with(const uint8_t reference[96])
{
    char line[300] = "{\"ok\":true,\"reference\":\"";

    for (int i = 0; i < 96; i++)
        (void)snprintf(line + strlen(line), 3, "%02x", reference[i]);
    (void)strcat(line, "\"}\n");
    flicd_says(line);
}

/* ---- saves ---- */

START_TEST(a_save_carries_the_suspend_to_libxl_and_the_reference_to_its_stream)
{
    uint8_t reference[96], got[200];
    struct msg m;

    start(false);
    join();
    flicd_says("{\"event\":\"progress\",\"phase\":\"live\",\"done\":5,\"total\":9}\n{\"event\":\"suspend\"}\n");
    m = heard();
    ck_assert_uint_eq(m.number, 2);
    m = heard();
    ck_assert_uint_eq(m.number, 3);
    ck_assert_uint_eq(m.len, 0);
    reply(1);
    flicd_hears("\"op\":\"suspended\",\"ok\":true");
    make_reference(reference);
    answer_with(reference);
    expect_complete(0, 0);
    ck_assert_int_eq(pread(stream, got, sizeof(got), 0), 96);
    ck_assert_mem_eq(got, reference, 96);
}
END_TEST

START_TEST(a_guest_that_does_not_suspend_is_told_to_flicd_whose_reason_reaches_libxl)
{
    struct msg m;

    start(false);
    join();
    flicd_says("{\"event\":\"suspend\"}\n");
    m = heard();
    ck_assert_uint_eq(m.number, 3);
    reply(0);
    flicd_hears("\"op\":\"suspended\",\"ok\":false");
    flicd_says("{\"ok\":false,\"code\":\"FLIC_E_GUEST\",\"error\":\"it would not\"}\n");
    expect_log("it would not");
    expect_complete(-1, EIO);
    ck_assert_int_eq(lseek(stream, 0, SEEK_END), 0);
}
END_TEST

START_TEST(without_flicd_libxl_is_told)
{
    (void)unlink(socket_path);
    start(false);
    expect_log("flicd is not running");
    expect_complete(-1, ECONNREFUSED);
}
END_TEST

START_TEST(a_flicd_that_dies_is_told_to_libxl)
{
    start(false);
    join();
    (void)close(flicd);
    expect_log("closed the connection");
    expect_complete(-1, ECONNREFUSED);
}
END_TEST

START_TEST(a_flicd_that_dies_while_libxl_suspends_is_told_only_after_libxl_answered)
{
    struct msg m;
    struct pollfd p;

    start(false);
    join();
    flicd_says("{\"event\":\"suspend\"}\n");
    m = heard();
    ck_assert_uint_eq(m.number, 3);
    (void)close(flicd);
    p = (struct pollfd){ .fd = from_helper, .events = POLLIN };
    ck_assert_int_eq(poll(&p, 1, 700), 0);      /* libxl is busy: a second message now would confuse it */
    reply(1);
    expect_log("closed the connection");
    expect_complete(-1, ECONNREFUSED);
}
END_TEST

START_TEST(sigterm_cancels_and_sigint_does_not)
{
    struct pollfd p;

    start(false);
    join();
    ck_assert_int_eq(kill(helper, SIGINT), 0);
    p = (struct pollfd){ .fd = from_helper, .events = POLLIN };
    ck_assert_int_eq(poll(&p, 1, 700), 0);
    ck_assert_int_eq(kill(helper, SIGTERM), 0);
    expect_log("cancelled");
    expect_complete(-1, ECANCELED);
}
END_TEST

START_TEST(a_libxl_that_dies_ends_the_helper_and_with_it_flicds_operation)
{
    char c;

    start(false);
    join();
    (void)close(to_helper);
    (void)close(from_helper);
    wait_for(flicd);
    ck_assert_int_eq(read(flicd, &c, 1), 0);
    ck_assert_int_eq(waitpid(helper, NULL, 0), helper);
    helper = 0;
}
END_TEST

static const char *const wrong_answers[] = {
    "{\"ok\":true}\n", "{\"ok\":true,\"reference\":\"00\"}\n", "{\"ok\":true,\"reference\":7}\n", "nonsense\n", "{}\n",
};

START_TEST(nothing_goes_into_the_stream_on_a_wrong_answer)
{
    start(false);
    join();
    flicd_says(wrong_answers[_i]);
    expect_log("");
    expect_complete(-1, EIO);
    ck_assert_int_eq(lseek(stream, 0, SEEK_END), 0);
}
END_TEST

/* ---- restores ---- */

START_TEST(a_restore_takes_exactly_the_reference_and_brings_libxl_the_rings)
{
    uint8_t reference[96];
    uint64_t gfns[2];
    struct msg m;

    make_reference(reference);
    ck_assert_int_eq(flic_write_all(stream, reference, 96), 0);
    ck_assert_int_eq(flic_write_all(stream, "what follows is libxl's", 23), 0);
    ck_assert_int_eq(lseek(stream, 0, SEEK_SET), 0);
    start(true);
    wait_for(listener);
    flicd = accept(listener, NULL, NULL);
    flicd_hears("\"store_port\":1,\"store_domid\":0,\"console_port\":2,\"console_domid\":0");
    flicd_says("{\"ok\":true,\"store_gfn\":233473,\"console_gfn\":233472}\n");
    m = heard();
    ck_assert_uint_eq(m.number, 9);
    ck_assert_uint_eq(m.len, 16);
    memcpy(gfns, m.body, 16);
    ck_assert_uint_eq(gfns[0], 0x39001);
    ck_assert_uint_eq(gfns[1], 0x39000);
    expect_complete(0, 0);
    ck_assert_int_eq(lseek(stream, 0, SEEK_CUR), 96);
}
END_TEST

START_TEST(a_flipped_bit_in_the_stream_is_refused_before_flicd_is_asked)
{
    uint8_t reference[96];

    make_reference(reference);
    reference[40] ^= 4;
    ck_assert_int_eq(flic_write_all(stream, reference, 96), 0);
    ck_assert_int_eq(lseek(stream, 0, SEEK_SET), 0);
    start(true);
    expect_log("damaged");
    expect_complete(-1, EIO);
}
END_TEST

START_TEST(a_stream_that_ends_early_is_refused)
{
    ck_assert_int_eq(flic_write_all(stream, "FLICREF1 and no more", 20), 0);
    ck_assert_int_eq(lseek(stream, 0, SEEK_SET), 0);
    start(true);
    expect_log("ends inside");
    expect_complete(-1, EIO);
}
END_TEST

/* ---- guests that are libxc's ---- */

static int to_libxc;            /* flicd's end of the stream */

/* flicd says what the guest is; libxl hears of log-dirty, and the second connection comes. */
static void begin_filter(bool restore)
{
    uint32_t body[2];
    struct msg m;

    start_program(ON_FAKE, restore);
    if (restore) {
        wait_for(listener);
        flicd = accept(listener, NULL, NULL);
        flicd_hears("\"role\":\"restore\"");
    } else {
        join();
    }
    flicd_says("{\"event\":\"filter\",\"rounds\":8,\"stop_pages\":100}\n");
    wait_for(listener);
    to_libxc = accept(listener, NULL, NULL);
    ck_assert_int_ge(to_libxc, 0);
    (void)fcntl(flicd, F_SETFD, FD_CLOEXEC);
    m = heard();
    ck_assert_uint_eq(m.number, restore ? 8 : 7);
    ck_assert_uint_eq(m.len, restore ? 4 : 8);
    memcpy(body, m.body, m.len);
    ck_assert_uint_eq(body[0], restore ? 3 : 9);
    if (!restore)
        ck_assert_uint_eq(body[1], 1);
    reply(0);
}

static void stream_has(const void *what, size_t len)
{
    char got[256];

    ck_assert_uint_le(len, sizeof(got));
    wait_for(to_libxc);
    ck_assert_int_eq(flic_read_all(to_libxc, got, len), 0);
    ck_assert_mem_eq(got, what, len);
}

#define TUNNEL "{\"op\":\"tunnel\",\"operation\":\"0123456789abcdef0123456789abcdef\"}\n"

static void stream_has_mark(uint64_t dirty, uint64_t rounds)
{
    struct { uint32_t type, length; uint64_t dirty, rounds; } mark = { 0x4b52414d, 16, dirty, rounds };

    stream_has(&mark, sizeof(mark));
}

/* Until libxl has suspended the guest. */
static void suspend_it(void)
{
    struct msg m;

    flicd_says("{\"event\":\"suspend\"}\n");
    m = heard();
    ck_assert_uint_eq(m.number, 3);
    reply(1);
    flicd_hears("\"op\":\"suspended\",\"ok\":true");
}

START_TEST(libxc_saves_to_flicd_and_is_let_suspend_the_guest_when_flicd_is_ready)
{
    uint8_t reference[96];
    struct pollfd p;

    begin_filter(false);
    stream_has(TUNNEL "live pages pages pages ", strlen(TUNNEL) + 23);      /* 90 dirty pages are fewer than 100 */
    stream_has_mark(90, 2);
    p = (struct pollfd){ .fd = from_helper, .events = POLLIN };
    ck_assert_int_eq(poll(&p, 1, 300), 0);      /* not before flicd says so */
    suspend_it();
    stream_has("last end", 8);
    make_reference(reference);
    answer_with(reference);
    expect_complete(0, 0);
    ck_assert_int_eq(lseek(stream, 0, SEEK_END), 96);
}
END_TEST

START_TEST(a_guest_without_log_dirty_is_saved_from_the_pause_on)
{
    uint8_t reference[96];

    ck_assert_int_eq(setenv("FAKE_LIBXC", "no-log-dirty", 1), 0);
    begin_filter(false);
    stream_has(TUNNEL "not live ", strlen(TUNNEL) + 9);
    stream_has_mark(UINT64_MAX, 0);
    suspend_it();
    stream_has("last end", 8);
    make_reference(reference);
    answer_with(reference);
    expect_complete(0, 0);
}
END_TEST

START_TEST(libxc_s_reason_goes_to_libxl_and_flicd_sees_the_stream_end)
{
    char c;

    ck_assert_int_eq(setenv("FAKE_LIBXC", "fail", 1), 0);
    begin_filter(false);
    stream_has(TUNNEL "live pages pages pages ", strlen(TUNNEL) + 23);
    stream_has_mark(90, 2);
    suspend_it();
    expect_log("cannot go on with domain 9");
    wait_for(to_libxc);
    ck_assert_int_eq(read(to_libxc, &c, 1), 0);
    flicd_says("{\"ok\":false,\"code\":\"FLIC_E_XEN\",\"error\":\"it ended early\"}\n");
    expect_log("it ended early");
    expect_complete(-1, EIO);
}
END_TEST

START_TEST(a_flicd_that_refuses_at_the_suspend_is_heard_and_the_guest_not_suspended)
{
    begin_filter(false);
    stream_has(TUNNEL "live pages pages pages ", strlen(TUNNEL) + 23);
    stream_has_mark(90, 2);
    flicd_says("{\"ok\":false,\"code\":\"FLIC_E_NOSPACE\",\"error\":\"no room\"}\n");
    expect_log("no room");
    expect_complete(-1, ENOSPC);
}
END_TEST

START_TEST(sigterm_ends_a_libxc_that_is_at_work)
{
    ck_assert_int_eq(setenv("FAKE_LIBXC", "endless", 1), 0);
    begin_filter(false);
    stream_has(TUNNEL "live pages pages ", strlen(TUNNEL) + 17);
    ck_assert_int_eq(kill(helper, SIGTERM), 0);
    expect_log("cancelled");
    expect_complete(-1, ECANCELED);
}
END_TEST

static void begin_restore(void)
{
    uint8_t reference[96];

    make_reference(reference);
    ck_assert_int_eq(flic_write_all(stream, reference, 96), 0);
    ck_assert_int_eq(lseek(stream, 0, SEEK_SET), 0);
    begin_filter(true);
    stream_has(TUNNEL, strlen(TUNNEL));
}

START_TEST(libxc_restores_from_flicd_and_says_where_the_rings_are)
{
    uint64_t gfns[2];
    struct msg m;

    begin_restore();
    ck_assert_int_eq(flic_write_all(to_libxc, "end!", 4), 0);
    (void)close(to_libxc);
    flicd_says("{\"ok\":true}\n");
    m = heard();
    ck_assert_uint_eq(m.number, 9);
    memcpy(gfns, m.body, 16);
    ck_assert_uint_eq(gfns[0], 0x1111);
    ck_assert_uint_eq(gfns[1], 0x2222);
    expect_complete(0, 0);
}
END_TEST

START_TEST(invariant_4_a_stream_that_flicd_broke_off_fails_the_restore_for_flicd_s_reason)
{
    begin_restore();
    ck_assert_int_eq(flic_write_all(to_libxc, "en", 2), 0);
    (void)close(to_libxc);
    flicd_says("{\"ok\":false,\"code\":\"FLIC_E_DAMAGED\",\"error\":\"gfn 0x5 is damaged\"}\n");
    expect_log("gfn 0x5 is damaged");
    expect_complete(-1, EIO);
}
END_TEST

START_TEST(a_libxc_that_fails_fails_the_restore_whatever_flicd_says)
{
    begin_restore();
    ck_assert_int_eq(flic_write_all(to_libxc, "what", 4), 0);
    flicd_says("{\"ok\":true}\n");
    expect_log("libxc could not restore domain 9");
    expect_complete(-1, EIO);
}
END_TEST

/* There is no stock helper where the tests run, so becoming it fails: silently for libxl, and with a status of its own. */
START_TEST(without_an_operation_it_becomes_the_stock_helper)
{
    int status;
    char c;

    ck_assert_int_eq(unsetenv("FLIC_OPERATION"), 0);
    if (access("/usr/lib/xen/bin/libxl-save-helper", X_OK) == 0 || access("/usr/libexec/xen/bin/libxl-save-helper", X_OK) == 0)
        return;
    start(false);
    wait_for(from_helper);
    ck_assert_int_eq(read(from_helper, &c, 1), 0);
    ck_assert_int_eq(waitpid(helper, &status, 0), helper);
    helper = 0;
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 255);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("helper");
    TCase *tc = tcase_create("between libxl and flicd");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_save_carries_the_suspend_to_libxl_and_the_reference_to_its_stream);
    tcase_add_test(tc, a_guest_that_does_not_suspend_is_told_to_flicd_whose_reason_reaches_libxl);
    tcase_add_test(tc, without_flicd_libxl_is_told);
    tcase_add_test(tc, a_flicd_that_dies_is_told_to_libxl);
    tcase_add_test(tc, a_flicd_that_dies_while_libxl_suspends_is_told_only_after_libxl_answered);
    tcase_add_test(tc, sigterm_cancels_and_sigint_does_not);
    tcase_add_test(tc, a_libxl_that_dies_ends_the_helper_and_with_it_flicds_operation);
    tcase_add_loop_test(tc, nothing_goes_into_the_stream_on_a_wrong_answer, 0,
                        sizeof(wrong_answers) / sizeof(wrong_answers[0]));
    tcase_add_test(tc, a_restore_takes_exactly_the_reference_and_brings_libxl_the_rings);
    tcase_add_test(tc, a_flipped_bit_in_the_stream_is_refused_before_flicd_is_asked);
    tcase_add_test(tc, a_stream_that_ends_early_is_refused);
    tcase_add_test(tc, without_an_operation_it_becomes_the_stock_helper);
    tcase_add_test(tc, libxc_saves_to_flicd_and_is_let_suspend_the_guest_when_flicd_is_ready);
    tcase_add_test(tc, a_guest_without_log_dirty_is_saved_from_the_pause_on);
    tcase_add_test(tc, libxc_s_reason_goes_to_libxl_and_flicd_sees_the_stream_end);
    tcase_add_test(tc, a_flicd_that_refuses_at_the_suspend_is_heard_and_the_guest_not_suspended);
    tcase_add_test(tc, sigterm_ends_a_libxc_that_is_at_work);
    tcase_add_test(tc, libxc_restores_from_flicd_and_says_where_the_rings_are);
    tcase_add_test(tc, invariant_4_a_stream_that_flicd_broke_off_fails_the_restore_for_flicd_s_reason);
    tcase_add_test(tc, a_libxc_that_fails_fails_the_restore_whatever_flicd_says);
    tcase_set_timeout(tc, 30);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
