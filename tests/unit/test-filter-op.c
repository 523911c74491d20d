/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Saves and restores of guests that are libxc's, over a real socket: the helper's second connection carries libxc's stream. */
#include "tests/unit/op-scene.h"

#define MODEL "02000000050000007161656d75000000" "0000000000000000"     /* libxl's records: one of the device model, and the end */

static void send_words(int fd, const uint32_t *words, size_t n)
{
    ck_assert_int_eq(send(fd, words, n * 4, MSG_NOSIGNAL), (ssize_t)(n * 4));
}

/* Headers, static data, one page at pfn 5, and the helper's mark. */
static void send_live(int fd)
{
    static const uint32_t head[] = { UINT32_MAX, UINT32_MAX, 0x464e4558, 0x03000000, 0, 0, 2, 12, 4, 20, 0x10, 0, 1, 8 + 8 + PAGE, 1, 0, 5, 0 };
    static const uint32_t mark[] = { 0x4b52414d, 16, 1, 0, 2, 0 };
    uint8_t page[PAGE];

    memset(page, 'p', sizeof(page));
    send_words(fd, head, sizeof(head) / 4);
    ck_assert_int_eq(send(fd, page, PAGE, MSG_NOSIGNAL), PAGE);
    send_words(fd, mark, sizeof(mark) / 4);
}

struct filtered { struct flic_talk *owner, *helper; char operation[FD_OP_ID]; int fd; };

/* Up to the suspended guest. */
static void begin_filtered(struct filtered *f, const char *after)
{
    json_t *request = a_save();

    ck_assert(!json_object_set_new(request, "after", json_string(after)) && !json_object_set_new(request, "file", json_string("/a/file")));
    flx_fake_set_way(GUEST, true, true);
    f->owner = connect_and_say(request);
    hear_event(f->owner, "ready", f->operation);
    f->helper = connect_and_say(about("join", f->operation));
    hear_event(f->helper, "filter", NULL);
    f->fd = tunnel_of(f->operation);
    send_live(f->fd);
    hear_event(f->helper, "suspend", NULL);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    OK(flic_talk_send(f->helper, json_pack("{s:s, s:b}", "op", "suspended", "ok", 1), &err));
}

/* Until the publish has been asked for. */
static void finish_filtered(struct filtered *f, const char *records)
{
    static const uint32_t end[] = { 0x09, 4, 77, 0, 0, 0 };
    json_t *request = about("publish", f->operation);

    send_words(f->fd, end, sizeof(end) / 4);
    hear_ok(f->helper);
    ck_assert_uint_eq(scene_count(), 0);
    ck_assert(!json_object_set_new(request, "records", json_string(records)));
    OK(flic_talk_send(f->owner, request, &err));
}

static void end_filtered(struct filtered *f)
{
    (void)close(f->fd);
    flic_talk_close(f->helper);
    flic_talk_close(f->owner);
    await_no_operation();
}

START_TEST(a_guest_that_is_libxc_s_goes_and_comes_back_through_the_helper_s_tunnel_with_its_device_model)
{
    struct filtered f;
    struct flic_talk *helper;
    uint8_t stream[10000];
    json_t *msg, *join;
    size_t len = 0;
    ssize_t n;

    begin_filtered(&f, "destroy");
    finish_filtered(&f, MODEL);
    hear_ok(f.owner);
    end_filtered(&f);
    await_idle();
    ck_assert_uint_eq(scene_count(), 1);
    flx_fake_kill(GUEST);
    f.owner = connect_and_say(a_restore(false));
    msg = hear(f.owner);
    ck_assert_str_eq(json_string_value(json_object_get(msg, "event")), "ready");
    ck_assert_str_eq(json_string_value(json_object_get(msg, "records")), MODEL);
    (void)snprintf(f.operation, sizeof(f.operation), "%s", json_string_value(json_object_get(msg, "operation")));
    json_decref(msg);
    flx_fake_add(FRESH, "web", &(struct flic_uuid){ .b = { 1 } }, GUEST_PAGES, 0);
    join = about("join", f.operation);
    ck_assert(!json_object_set_new(join, "domid", json_integer(FRESH)));
    helper = connect_and_say(join);
    hear_event(helper, "filter", NULL);
    f.fd = tunnel_of(f.operation);
    while ((n = recv(f.fd, stream + len, sizeof(stream) - len, 0)) > 0)
        len += (size_t)n;
    ck_assert_uint_eq(len, 40 + 8 + 8 + 8 + 8 + PAGE + 16 + 8);     /* the mark is not libxc's */
    ck_assert_mem_eq(stream + len - 24, "\t\0\0\0\4\0\0\0M\0\0\0", 12);
    hear_ok(helper);
    OK(flic_talk_send(f.owner, about("restored", f.operation), &err));
    hear_ok(f.owner);
    flic_talk_close(helper);
    (void)close(f.fd);
    flic_talk_close(f.owner);
}
END_TEST

START_TEST(invariant_1_a_guest_that_is_libxc_s_is_not_offered_without_a_device_model_that_can_be_kept)
{
    struct filtered f;

    begin_filtered(&f, "destroy");
    finish_filtered(&f, "0200000005000000");
    hear_refusal(f.owner, FLIC_E_PROTOCOL);
    end_filtered(&f);
    ck_assert_uint_eq(scene_count(), 0);
}
END_TEST

START_TEST(invariant_6_a_guest_with_a_device_model_is_let_go_on_by_the_worker_when_its_owner_is_gone)
{
    struct filtered f;

    begin_filtered(&f, "destroy");
    flic_talk_close(f.owner);
    for (int i = 0; i < 500 && !atomic_load(&spawned); i++)
        (void)usleep(10000);
    ck_assert_msg(strstr(worker_line(), "flic-guest: flic-guest resume 7") != NULL, "%s", worker_line());
    atomic_store(&worker_status, 0);
    (void)close(f.fd);
    flic_talk_close(f.helper);
    await_no_operation();
    ck_assert_uint_eq(flx_fake_resumes(GUEST), 0);      /* libxl did, in the worker: Xen alone would leave the device model stopped */
    ck_assert_uint_eq(scene_count(), 0);
}
END_TEST

START_TEST(a_guest_that_is_libxc_s_runs_on_once_captured_device_model_and_all)
{
    struct filtered f;

    begin_filtered(&f, "run");
    finish_filtered(&f, MODEL);
    for (int i = 0; i < 500 && !atomic_load(&spawned); i++)
        (void)usleep(10000);
    atomic_store(&worker_status, 0);
    hear_event(f.owner, "resumed", NULL);
    hear_ok(f.owner);
    end_filtered(&f);
    ck_assert_uint_eq(scene_count(), 1);
}
END_TEST

START_TEST(a_guest_that_is_libxc_s_is_not_protected_and_that_is_said)
{
    struct flic_talk *talk;
    json_t *request = a_save();

    flx_fake_set_way(GUEST, true, false);
    ck_assert(!json_object_set_new(request, "after", json_string("run")) && !json_object_set_new(request, "protect", json_true()));
    talk = connect_and_say(request);
    hear_refusal(talk, FLIC_E_REFUSED);
    ck_assert_msg(strstr(err.text, "cannot be protected") != NULL, "%s", err.text);
    flic_talk_close(talk);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("filter-op");
    TCase *t = tcase_create("op");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_guest_that_is_libxc_s_goes_and_comes_back_through_the_helper_s_tunnel_with_its_device_model);
    tcase_add_test(t, invariant_1_a_guest_that_is_libxc_s_is_not_offered_without_a_device_model_that_can_be_kept);
    tcase_add_test(t, invariant_6_a_guest_with_a_device_model_is_let_go_on_by_the_worker_when_its_owner_is_gone);
    tcase_add_test(t, a_guest_that_is_libxc_s_runs_on_once_captured_device_model_and_all);
    tcase_add_test(t, a_guest_that_is_libxc_s_is_not_protected_and_that_is_said);
    suite_add_tcase(s, t);
    return scene_run(s);
}
