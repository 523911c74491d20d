/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What goes over the wire between peers: frames, payloads, digests; and what a hostile peer may send. */
#include "common/clock.h"
#include "daemon/migrate/digest.h"
#include "daemon/migrate/hello.h"
#include "daemon/migrate/known.h"
#include "daemon/migrate/pages.h"
#include "daemon/migrate/wire.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OK(call) do { err = (struct flic_err){ 0 }; int ok_rc = (call); \
                      ck_assert_msg(!ok_rc, "%s: %d, %s", #call, ok_rc, err.text); } while (0)

static struct flic_err err;
static int sockets[2];
static struct mw_wire *a, *b;
static atomic_bool stop;

static bool stopped(void *arg)
{
    (void)arg;
    return stop;
}

static void set_up(void)
{
    stop = false;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    OK(mw_new(sockets[0], NULL, 0, stopped, NULL, &a, &err));
    OK(mw_new(sockets[1], NULL, 0, stopped, NULL, &b, &err));
}

static void tear_down(void)
{
    mw_free(a);
    mw_free(b);
}

START_TEST(a_word_that_somebody_waits_is_no_message_and_ends_no_silence)
{
    struct mw_message m;

    OK(mw_send_bytes(a, MW_ALIVE, NULL, 0, &err));
    OK(mw_send_bytes(a, MW_SAME, "x", 1, &err));
    OK(mw_send_bytes(a, MW_ALIVE, NULL, 0, &err));
    OK(mw_expect(b, MW_SAME, 1, &m, &err));
    ck_assert_uint_eq(m.len, 1);
    ck_assert_int_eq(mw_receive(b, 1, &m, &err), FLIC_E_TIMEOUT);
}
END_TEST

static void *say_alive(void *arg)
{
    static struct flic_err mine;

    for (int i = 0; i < 40 && !mw_send_bytes(a, MW_ALIVE, NULL, 0, &mine); i++)
        (void)usleep(100000);
    return arg;
}

START_TEST(invariant_7_a_peer_that_says_for_ever_that_it_waits_is_silent)
{
    struct mw_message m;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, say_alive, NULL), 0);
    ck_assert_int_eq(mw_receive(b, 1, &m, &err), FLIC_E_TIMEOUT);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static void *wait_for_long(void *arg)
{
    static struct flic_err mine;
    struct mw_message m;

    mw_tell_alive(b);
    (void)mw_receive(b, 60, &m, &mine);
    return arg;
}

/* What tells a sender's kernel, back after a power cut, that somebody holds a connection that it knows nothing of. */
START_TEST(who_waits_says_so_into_the_connection)
{
    struct pollfd p = { .fd = sockets[0], .events = POLLIN };
    uint8_t frame[9];
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_long, NULL), 0);
    ck_assert_int_eq(poll(&p, 1, 20000), 1);
    ck_assert_int_eq(read(sockets[0], frame, sizeof(frame)), 8);
    ck_assert_uint_eq(frame[4], MW_ALIVE);
    atomic_store(&stop, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static void *send_large(void *arg)
{
    static struct flic_err mine;
    uint8_t *data = arg;

    for (int i = 0; i < 20; i++)
        if (mw_send_bytes(a, MW_STATE, data, MW_PAYLOAD_MAX, &mine))
            return &mine;
    return NULL;
}

START_TEST(messages_of_any_size_arrive_whole_and_in_order)
{
    uint8_t *data = malloc(MW_PAYLOAD_MAX);
    struct mw_message m;
    struct mw_counts counts;
    pthread_t thread;
    void *failed;

    for (size_t i = 0; i < MW_PAYLOAD_MAX; i++)
        data[i] = (uint8_t)(i * 7 + i / 4096);
    ck_assert_int_eq(pthread_create(&thread, NULL, send_large, data), 0);
    for (int i = 0; i < 20; i++) {
        OK(mw_expect(b, MW_STATE, 5, &m, &err));
        ck_assert_uint_eq(m.len, MW_PAYLOAD_MAX);
        ck_assert(!memcmp(m.data, data, m.len));
    }
    ck_assert_int_eq(pthread_join(thread, &failed), 0);
    ck_assert_ptr_null(failed);
    mw_get_counts(b, &counts);
    ck_assert_uint_eq(counts.received, 20ull * (MW_PAYLOAD_MAX + 8));
    free(data);
}
END_TEST

START_TEST(what_was_read_before_the_wire_was_made_counts)
{
    struct mw_message m;
    struct mw_wire *w;
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    OK(mw_new(pair[0], "\x03\0\0\0\x09\0\0\0ab", 10, stopped, NULL, &w, &err));
    ck_assert_int_eq(write(pair[1], "c", 1), 1);
    OK(mw_expect(w, MW_PAGES, 5, &m, &err));
    ck_assert_uint_eq(m.len, 3);
    ck_assert(!memcmp(m.data, "abc", 3));
    mw_free(w);
    (void)close(pair[1]);
}
END_TEST

START_TEST(invariant_7_a_frame_that_is_too_long_ends_it)
{
    struct mw_message m;

    ck_assert_int_eq(write(sockets[0], "\x01\0\x20\0\x09\0\0\0", 8), 8);
    ck_assert_int_eq(mw_receive(b, 5, &m, &err), FLIC_E_PROTOCOL);
}
END_TEST

START_TEST(a_message_of_another_type_than_is_due_ends_it)
{
    struct mw_message m;

    OK(mw_send_bytes(a, MW_GO, NULL, 0, &err));
    ck_assert_int_eq(mw_expect(b, MW_READY, 5, &m, &err), FLIC_E_PROTOCOL);
}
END_TEST

START_TEST(a_peer_that_gives_up_says_why_to_one_who_waits)
{
    struct mw_message m;

    mw_abort(a, FLIC_E_NOSPACE, "no room on flash");
    ck_assert_int_eq(mw_expect(b, MW_READY, 5, &m, &err), FLIC_E_NOSPACE);
    ck_assert_ptr_nonnull(strstr(err.text, "no room on flash"));
    ck_assert(mw_peer_aborted(b));
}
END_TEST

START_TEST(a_peer_that_gives_up_says_why_to_one_who_sends)
{
    uint8_t *data = calloc(1, MW_PAYLOAD_MAX);
    int rc = 0;

    mw_abort(b, FLIC_E_NOSPACE, "no room on flash");
    mw_free(b);
    b = NULL;
    for (int i = 0; !rc && i < 20; i++)
        rc = mw_send_bytes(a, MW_STATE, data, MW_PAYLOAD_MAX, &err);
    ck_assert_int_eq(rc, FLIC_E_NOSPACE);
    free(data);
}
END_TEST

START_TEST(a_lost_connection_is_said_to_be_lost)
{
    struct mw_message m;

    mw_free(b);
    b = NULL;
    ck_assert_int_eq(mw_receive(a, 5, &m, &err), -ECONNRESET);
}
END_TEST

START_TEST(a_silent_peer_is_not_waited_for_for_ever)
{
    struct mw_message m;

    ck_assert_int_eq(mw_receive(a, 1, &m, &err), FLIC_E_TIMEOUT);
    stop = true;
    ck_assert_int_eq(mw_receive(a, 60, &m, &err), FLIC_E_CANCELLED);
}
END_TEST

/* Of a message that never ends, a byte now and then. */
static void *drip(void *arg)
{
    static const uint8_t head[8] = { 0, 0, 1, 0, MW_READY };

    for (unsigned i = 0; i < 80 && !stop; i++) {
        if (write(sockets[1], i < 8 ? head + i : (const uint8_t *)"x", 1) != 1)
            break;
        (void)usleep(50000);
    }
    return arg;
}

START_TEST(a_deadline_holds_for_a_peer_of_whom_a_little_comes_all_the_time)
{
    struct mw_message m;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, drip, NULL), 0);
    mw_deadline(a, 1);
    ck_assert_int_eq(mw_expect(a, MW_READY, 300, &m, &err), FLIC_E_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(err.text, "too slow"));
    ck_assert(!stop);
    stop = true;
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

START_TEST(invariant_7_a_peer_of_whom_next_to_nothing_comes_is_silent)
{
    uint64_t began = flic_now_us();
    struct mw_message m;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, drip, NULL), 0);
    ck_assert_int_eq(mw_expect(a, MW_READY, 1, &m, &err), FLIC_E_TIMEOUT);
    ck_assert_uint_lt(flic_now_us() - began, 3000000);  /* it drips for four seconds */
    stop = true;
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* 2.5 KB a second, for three times as long as the other's patience. */
static void *trickle(void *arg)
{
    static const uint8_t head[8] = { 0x00, 0x1d, 0, 0, MW_STATE };
    static const uint8_t some[256];
    ssize_t n = write(sockets[1], head, sizeof(head));

    for (unsigned i = 0; i < 29 && n > 0; i++) {
        (void)usleep(100000);
        n = write(sockets[1], some, sizeof(some));
    }
    return arg;
}

START_TEST(a_slow_link_is_not_taken_for_a_silent_peer)
{
    struct mw_message m;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, trickle, NULL), 0);
    OK(mw_expect(a, MW_STATE, 1, &m, &err));
    ck_assert_uint_eq(m.len, 29 * 256);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static void *sip(void *arg)
{
    char some[4096];

    for (unsigned i = 0; i < 80 && !stop; i++) {
        if (read(sockets[1], some, sizeof(some)) <= 0)
            (void)usleep(10000);
        (void)usleep(50000);
    }
    return arg;
}

START_TEST(a_deadline_holds_for_a_peer_that_takes_a_little_all_the_time)
{
    uint8_t *data = calloc(1, MW_PAYLOAD_MAX);
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, sip, NULL), 0);
    mw_deadline(a, 1);
    ck_assert_int_eq(mw_send_bytes(a, MW_STATE, data, MW_PAYLOAD_MAX, &err), FLIC_E_TIMEOUT);
    stop = true;
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    free(data);
}
END_TEST

START_TEST(without_a_deadline_any_more_a_slow_message_arrives)
{
    struct mw_message m;

    mw_deadline(a, 1);
    mw_deadline(a, 0);
    (void)usleep(1100000);
    OK(mw_send_bytes(b, MW_READY, "x", 1, &err));
    OK(mw_expect(a, MW_READY, 5, &m, &err));
}
END_TEST

/* ---- hello ---- */

static struct md_key key_a, key_b;

static void *greet_b(void *arg)
{
    static struct flic_err mine;

    (void)arg;
    return mh_greet(b, false, &key_b, &mine) ? &mine : NULL;
}

START_TEST(both_sides_find_the_same_key_and_a_group_is_known_only_to_who_knows_it)
{
    struct md_digest one, two;
    pthread_t thread;
    void *failed;

    ck_assert_int_eq(pthread_create(&thread, NULL, greet_b, NULL), 0);
    OK(mh_greet(a, true, &key_a, &err));
    ck_assert_int_eq(pthread_join(thread, &failed), 0);
    ck_assert_ptr_null(failed);
    ck_assert(!memcmp(&key_a, &key_b, sizeof(key_a)));
    mh_prove_group(&key_a, "ours", &one);
    mh_prove_group(&key_b, "ours", &two);
    ck_assert(md_equal(&one, &two));
    mh_prove_group(&key_b, "other", &two);
    ck_assert(!md_equal(&one, &two));
    mh_prove_group(&key_b, "", &two);
    ck_assert(md_equal(&two, &MD_ZERO));
}
END_TEST

START_TEST(a_peer_of_another_version_is_refused_with_the_version_named)
{
    static const char hello[] = "{\"version\":7,\"nonce\":\"00\"}";

    OK(mw_send_bytes(b, MW_HELLO, hello, strlen(hello), &err));
    ck_assert_int_eq(mh_greet(a, true, &key_a, &err), FLIC_E_VERSION);
    ck_assert_ptr_nonnull(strstr(err.text, "version 7"));
}
END_TEST

START_TEST(invariant_7_an_offer_out_of_bounds_is_refused)
{
    static const char *const offers[] = {
        "{}", "[]", "x",
        "{\"migration\":\"1\"}",
        "{\"migration\":\"01020304-0506-4708-890a-0b0c0d0e0f10\",\"guest\":\"01020304-0506-4708-890a-0b0c0d0e0f10\",\"name\":\"g\","
        "\"gfn_end\":99999999999,\"pages\":1,\"group\":\"00000000000000000000000000000000\",\"config\":\"{}\",\"disks\":\"[]\"}",
        "{\"migration\":\"01020304-0506-4708-890a-0b0c0d0e0f10\",\"guest\":\"01020304-0506-4708-890a-0b0c0d0e0f10\",\"name\":\"\","
        "\"gfn_end\":100,\"pages\":1,\"group\":\"00000000000000000000000000000000\",\"config\":\"{}\",\"disks\":\"[]\"}",
        "{\"migration\":\"01020304-0506-4708-890a-0b0c0d0e0f10\",\"guest\":\"01020304-0506-4708-890a-0b0c0d0e0f10\",\"name\":\"g\","
        "\"gfn_end\":100,\"pages\":101,\"group\":\"00000000000000000000000000000000\",\"config\":\"{}\",\"disks\":\"[]\"}",
        "{\"migration\":\"01020304-0506-4708-890a-0b0c0d0e0f10\",\"guest\":\"01020304-0506-4708-890a-0b0c0d0e0f10\",\"name\":\"g\","
        "\"gfn_end\":100,\"pages\":1,\"group\":\"zz000000000000000000000000000000\",\"config\":\"{}\",\"disks\":\"[]\"}",
        "{\"migration\":\"01020304-0506-4708-890a-0b0c0d0e0f10\",\"guest\":\"01020304-0506-4708-890a-0b0c0d0e0f10\",\"name\":\"g\","
        "\"gfn_end\":100,\"pages\":1,\"group\":\"00000000000000000000000000000000\",\"disks\":\"[]\"}",
    };
    struct mh_offer offer;

    for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
        OK(mw_send_bytes(a, MW_OFFER, offers[i], strlen(offers[i]), &err));
        ck_assert_msg(mh_get_offer(b, &offer, &err) == FLIC_E_PROTOCOL, "offer %zu was taken", i);
    }
}
END_TEST

/* ---- payloads ---- */

static uint8_t pages[MP_BATCH][FLIC_PAGE_SIZE], back[MP_BATCH][FLIC_PAGE_SIZE];

static size_t encode(struct mp_coder *coder, const uint64_t *gfns, size_t n, uint8_t *out)
{
    const void *head, *body;
    size_t head_len, body_len;

    OK(mp_encode(coder, gfns, n, pages, &head, &head_len, &body, &body_len, &err));
    memcpy(out, head, head_len);
    memcpy(out + head_len, body, body_len);
    return head_len + body_len;
}

START_TEST(pages_come_back_as_they_were_and_damaged_ones_do_not)
{
    static uint8_t bytes[MP_BATCH * (FLIC_PAGE_SIZE + 64)];
    uint64_t gfns[MP_BATCH], got[MP_BATCH];
    struct mp_coder *coder;
    size_t len, n;

    OK(mp_coder_new(&coder, &err));
    for (size_t i = 0; i < MP_BATCH; i++) {
        gfns[i] = 3 * i + 1;
        for (size_t k = 0; k < FLIC_PAGE_SIZE; k++)
            pages[i][k] = (uint8_t)(i % 2 ? k * k * (i + 1) >> 3 : i);
    }
    len = encode(coder, gfns, MP_BATCH, bytes);
    OK(mp_decode(coder, bytes, len, 1000, got, &n, back, &err));
    ck_assert_uint_eq(n, MP_BATCH);
    ck_assert(!memcmp(got, gfns, sizeof(gfns)) && !memcmp(pages, back, sizeof(pages)));
    for (size_t cut = 0; cut < len; cut += 1 + len / 200)
        ck_assert_int_eq(mp_decode(coder, bytes, cut, 1000, got, &n, back, &err), FLIC_E_PROTOCOL);
    ck_assert_int_eq(mp_decode(coder, bytes, len, gfns[MP_BATCH - 1], got, &n, back, &err), FLIC_E_PROTOCOL);    /* beyond the guest */
    memcpy(bytes + 4, bytes + 8, 4);                                                                            /* twice the same */
    ck_assert_int_eq(mp_decode(coder, bytes, len, 1000, got, &n, back, &err), FLIC_E_PROTOCOL);
    mp_coder_free(coder);
}
END_TEST

START_TEST(a_leaf_comes_back_and_one_with_pages_beyond_the_guest_is_refused)
{
    struct mp_leaf leaf = { .leaf = 2, .ask = true }, got;
    uint8_t out[MP_LEAF_SIZE];

    mp_set_bit(leaf.present, 3);
    mp_set_bit(leaf.present, 511);
    mp_set_bit(leaf.zero, 3);
    mp_put_leaf(&leaf, out);
    OK(mp_get_leaf(out, sizeof(out), 3 * 512, &got, &err));
    ck_assert(got.leaf == 2 && got.ask && mp_bit(got.present, 511) && !mp_bit(got.zero, 511) && mp_bit(got.zero, 3));
    ck_assert_int_eq(mp_get_leaf(out, sizeof(out), 3 * 512 - 1, &got, &err), FLIC_E_PROTOCOL);
    ck_assert_int_eq(mp_get_leaf(out, sizeof(out) - 1, 3 * 512, &got, &err), FLIC_E_PROTOCOL);
    mp_set_bit(leaf.zero, 4);       /* zero, but not there */
    mp_put_leaf(&leaf, out);
    ck_assert_int_eq(mp_get_leaf(out, sizeof(out), 3 * 512, &got, &err), FLIC_E_PROTOCOL);
    leaf = (struct mp_leaf){ .leaf = 3 };       /* nothing in it, and beyond the guest all the same */
    mp_put_leaf(&leaf, out);
    ck_assert_int_eq(mp_get_leaf(out, sizeof(out), 3 * 512, &got, &err), FLIC_E_PROTOCOL);
    OK(mp_get_leaf(out, sizeof(out), 3 * 512 + 1, &got, &err));
    memset(out, 0xff, sizeof(out));
    ck_assert_int_eq(mp_get_leaf(out, sizeof(out), 1ull << 28, &got, &err), FLIC_E_PROTOCOL);
}
END_TEST

START_TEST(known_pages_are_found_by_digest_however_many)
{
    struct mk_known *known = mk_new();
    struct md_key key = { { 1 } };
    struct flic_id id = { { 0 } }, got;
    struct md_digest digest;

    for (uint32_t i = 0; i < 20000; i++) {
        digest = md_of(&key, &i, sizeof(i));
        memcpy(id.b, &i, sizeof(i));
        mk_add(known, &digest, &id);
    }
    ck_assert_uint_eq(mk_count(known), 20000);
    for (uint32_t i = 0; i < 20000; i++) {
        digest = md_of(&key, &i, sizeof(i));
        ck_assert(mk_find(known, &digest, &got) && !memcmp(got.b, &i, sizeof(i)));
    }
    key.b[0] = 2;
    digest = md_of(&key, &(uint32_t){ 5 }, 4);
    ck_assert(!mk_find(known, &digest, &got));
    mk_free(known);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("wire");
    TCase *t = tcase_create("wire");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_word_that_somebody_waits_is_no_message_and_ends_no_silence);
    tcase_add_test(t, invariant_7_a_peer_that_says_for_ever_that_it_waits_is_silent);
    tcase_add_test(t, who_waits_says_so_into_the_connection);
    tcase_add_test(t, messages_of_any_size_arrive_whole_and_in_order);
    tcase_add_test(t, what_was_read_before_the_wire_was_made_counts);
    tcase_add_test(t, invariant_7_a_frame_that_is_too_long_ends_it);
    tcase_add_test(t, a_message_of_another_type_than_is_due_ends_it);
    tcase_add_test(t, a_peer_that_gives_up_says_why_to_one_who_waits);
    tcase_add_test(t, a_peer_that_gives_up_says_why_to_one_who_sends);
    tcase_add_test(t, a_lost_connection_is_said_to_be_lost);
    tcase_add_test(t, a_silent_peer_is_not_waited_for_for_ever);
    tcase_add_test(t, a_deadline_holds_for_a_peer_of_whom_a_little_comes_all_the_time);
    tcase_add_test(t, invariant_7_a_peer_of_whom_next_to_nothing_comes_is_silent);
    tcase_add_test(t, a_slow_link_is_not_taken_for_a_silent_peer);
    tcase_add_test(t, a_deadline_holds_for_a_peer_that_takes_a_little_all_the_time);
    tcase_add_test(t, without_a_deadline_any_more_a_slow_message_arrives);
    tcase_add_test(t, both_sides_find_the_same_key_and_a_group_is_known_only_to_who_knows_it);
    tcase_add_test(t, a_peer_of_another_version_is_refused_with_the_version_named);
    tcase_add_test(t, invariant_7_an_offer_out_of_bounds_is_refused);
    tcase_add_test(t, pages_come_back_as_they_were_and_damaged_ones_do_not);
    tcase_add_test(t, a_leaf_comes_back_and_one_with_pages_beyond_the_guest_is_refused);
    tcase_add_test(t, known_pages_are_found_by_digest_however_many);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
