/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flicd's operations over a real socket, with the test as libflicxl and helper, and the link-time twin in Xen's place. */
#include "tests/unit/checkpoint-scene.h"

#include "common/talk.h"
#include "daemon/op.h"

#include <jansson.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct fd_daemon flicd;
static pthread_t thread;
static char path[96];

/* main.c's, which is not in the library: here the host is always ready. */
int fd_check_ready(const struct fd_daemon *daemon, struct flic_err *why)
{
    (void)daemon;
    (void)why;
    return 0;
}

static void *run(void *arg)
{
    (void)arg;
    (void)ev_run(flicd.loop, NULL);
    return NULL;
}

static void set_up(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)signal(SIGPIPE, SIG_IGN);     /* as main() does: clients go away */
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    (void)snprintf(path, sizeof(path), "%s/sock", scene_dir);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    ck_assert(!bind(fd, (struct sockaddr *)&addr, sizeof(addr)) && !listen(fd, 8));
    fd_conf_defaults(&flicd.conf);
    flicd.store = store;
    flx_host_probe(&flicd.host);
    OK(ev_new(&flicd.loop, &err));
    OK(ev_listen(flicd.loop, fd, fd_session_handlers(&flicd), &err));
    ck_assert(!pthread_create(&thread, NULL, run, NULL));
}

static void stop(void *arg)
{
    (void)arg;
    flicd.stopping = true;
    fd_op_abort_all(&flicd);
    if (!flicd.ops && !flicd.tasks)
        ev_stop(flicd.loop);
}

static void tear_down(void)
{
    ck_assert_int_eq(ev_defer(flicd.loop, stop, NULL), 0);
    ck_assert(!pthread_join(thread, NULL));
    ev_free(flicd.loop);
    memset(&flicd, 0, sizeof(flicd));
    scene_end();
}

/* ---- the other side ---- */

static struct flic_talk *connect_and_say(json_t *request)
{
    struct flic_talk *talk;

    OK(flic_talk_open(path, &talk, &err));
    OK(flic_talk_send(talk, request, &err));
    return talk;
}

/* The next message that is no progress. */
static json_t *hear(struct flic_talk *talk)
{
    const char *name;
    json_t *msg;

    for (;;) {
        OK(flic_talk_next(talk, 5000, &msg, &err));
        if (!flic_talk_is_event(msg, &name) || strcmp(name, "progress"))
            return msg;
        json_decref(msg);
    }
}

static void hear_event(struct flic_talk *talk, const char *event, char operation[FD_OP_ID])
{
    json_t *msg = hear(talk);
    const char *name = json_string_value(json_object_get(msg, "event"));

    ck_assert_msg(name && !strcmp(name, event), "not '%s' but %s", event, json_dumps(msg, 0));
    if (operation)
        (void)snprintf(operation, FD_OP_ID, "%s", json_string_value(json_object_get(msg, "operation")));
    json_decref(msg);
}

static void hear_refusal(struct flic_talk *talk, int code)
{
    json_t *msg = hear(talk);
    int got = flic_talk_outcome(msg, &err);

    ck_assert_msg(got == code, "%d, not %d: %s", got, code, err.text);
    json_decref(msg);
}

static void hear_ok(struct flic_talk *talk)
{
    json_t *msg = hear(talk);

    OK(flic_talk_outcome(msg, &err));
    json_decref(msg);
}

static json_t *a_save(void)
{
    return json_pack("{s:s, s:i, s:s}", "op", "save", "domid", (int)GUEST, "config", "{\"disks\": []}");
}

static json_t *about(const char *verb, const char *operation)
{
    return json_pack("{s:s, s:s}", "op", verb, "operation", operation);
}

/* A whole save up to its answer; the guest is left suspended. */
static void save_whole_of(json_t *request)
{
    struct flic_talk *owner = connect_and_say(request), *helper;
    char operation[FD_OP_ID];

    hear_event(owner, "ready", operation);
    helper = connect_and_say(about("join", operation));
    hear_event(helper, "suspend", NULL);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    OK(flic_talk_send(helper, json_pack("{s:s, s:b}", "op", "suspended", "ok", 1), &err));
    hear_ok(helper);
    OK(flic_talk_send(owner, about("publish", operation), &err));
    hear_ok(owner);
    ck_assert_msg(!flx_fake_tracked(GUEST), "log-dirty is still on when the save is answered");
    flic_talk_close(helper);
    flic_talk_close(owner);
}

static void save_whole(void)
{
    save_whole_of(a_save());
}

static json_t *a_restore(bool clone)
{
    return json_pack("{s:s, s:s, s:b}", "op", "restore", "domain", "web", "clone", clone);
}

/* ---- tests ---- */

START_TEST(a_save_runs_as_the_protocol_has_it_and_its_log_dirty_is_off_when_it_is_answered)
{
    save_whole();
    ck_assert_uint_eq(scene_count(), 1);
    ck_assert_str_ne(flx_fake_told(GUEST, "flic/operation"), "");   /* should nobody destroy it, the keeper resumes it */
}
END_TEST

static void be_slow(uint32_t domid, void *arg)
{
    (void)domid;
    (void)arg;
    (void)usleep(100000);
}

START_TEST(two_saves_of_one_guest_at_once_the_second_is_refused_however_close_they_come)
{
    struct flic_talk *one, *two;

    flx_fake_before("open", be_slow, NULL);
    one = connect_and_say(a_save());
    two = connect_and_say(a_save());
    hear_refusal(two, FLIC_E_BUSY);
    hear_event(one, "ready", NULL);
    flic_talk_close(one);
    flic_talk_close(two);
}
END_TEST

START_TEST(invariant_9_two_restores_of_one_guest_at_once_the_second_is_refused)
{
    struct flic_talk *one, *two, *three, *clone;

    save_whole();
    flx_fake_kill(GUEST);
    one = connect_and_say(a_restore(false));
    hear_event(one, "ready", NULL);
    two = connect_and_say(a_restore(false));
    hear_refusal(two, FLIC_E_BUSY);
    clone = connect_and_say(a_restore(true));       /* another uuid, another guest */
    hear_event(clone, "ready", NULL);
    flic_talk_close(one);                           /* cancels it */
    for (int i = 0; i < 100; i++) {
        json_t *msg;

        three = connect_and_say(a_restore(false));
        msg = hear(three);
        if (flic_talk_is_event(msg, NULL)) {
            json_decref(msg);
            flic_talk_close(three);
            break;
        }
        json_decref(msg);
        flic_talk_close(three);
        (void)usleep(10000);
        ck_assert_int_lt(i, 99);
    }
    flic_talk_close(two);
    flic_talk_close(clone);
}
END_TEST

START_TEST(a_restore_of_a_guest_that_is_alive_is_refused)
{
    struct flic_talk *talk;

    save_whole();
    talk = connect_and_say(a_restore(false));
    hear_refusal(talk, FLIC_E_ALIVE);
    flic_talk_close(talk);
}
END_TEST

/* A guest whose only disk is a file, writable or not. */
static json_t *a_save_with_disk(const char *disk, bool writable)
{
    char config[256];
    int fd = open(disk, O_WRONLY | O_CREAT, 0600);

    ck_assert(fd >= 0 && !close(fd));
    (void)snprintf(config, sizeof(config), "{\"disks\":[{\"pdev_path\":\"%s\",\"vdev\":\"xvda\",\"readwrite\":%d}]}", disk, writable);
    return json_pack("{s:s, s:i, s:s}", "op", "save", "domid", (int)GUEST, "config", config);
}

START_TEST(invariant_9_a_clone_beside_its_living_original_is_refused_if_both_would_write_to_a_disk)
{
    struct flic_talk *talk;
    char disk[128];

    (void)snprintf(disk, sizeof(disk), "%s/a.img", scene_dir);
    for (int writable = 0; writable < 2; writable++) {
        flx_fake_set_run(GUEST, FLX_RUNNING);
        save_whole_of(a_save_with_disk(disk, writable));
        talk = connect_and_say(a_restore(true));
        if (writable)
            hear_refusal(talk, FLIC_E_ALIVE);
        else
            hear_event(talk, "ready", NULL);
        flic_talk_close(talk);
    }
    ck_assert_msg(strstr(err.text, "xvda") && strstr(err.text, "destroy it"), "%s", err.text);
    flx_fake_kill(GUEST);
    talk = connect_and_say(a_restore(true));        /* alone it may have the disk */
    hear_event(talk, "ready", NULL);
    flic_talk_close(talk);
    ck_assert_int_eq(unlink(disk), 0);
}
END_TEST

START_TEST(invariant_6_an_owner_that_goes_away_in_the_middle_gets_its_guest_resumed)
{
    struct flic_talk *owner = connect_and_say(a_save()), *helper;
    char operation[FD_OP_ID];

    hear_event(owner, "ready", operation);
    helper = connect_and_say(about("join", operation));
    hear_event(helper, "suspend", NULL);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    OK(flic_talk_send(helper, json_pack("{s:s, s:b}", "op", "suspended", "ok", 1), &err));
    hear_ok(helper);
    flic_talk_close(owner);
    for (int i = 0; i < 500 && flx_fake_run(GUEST) != FLX_RUNNING; i++)
        (void)usleep(10000);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    ck_assert(flx_fake_marked_resume(GUEST));
    flic_talk_close(helper);
}
END_TEST

START_TEST(a_save_called_off_before_the_suspend_leaves_no_mark_on_the_guest)
{
    struct flic_talk *owner = connect_and_say(a_save());
    char operation[FD_OP_ID];

    hear_event(owner, "ready", operation);
    ck_assert_str_eq(flx_fake_told(GUEST, "flic/operation"), operation);
    OK(flic_talk_send(owner, about("abort", operation), &err));
    hear_refusal(owner, FLIC_E_CANCELLED);
    ck_assert_str_eq(flx_fake_told(GUEST, "flic/operation"), "");
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    ck_assert_uint_eq(scene_count(), 0);
    flic_talk_close(owner);
}
END_TEST

START_TEST(a_reference_of_another_store_or_of_another_checkpoint_is_refused)
{
    struct ck_facts facts = { .guest = scene_uuid(1), .seq = 1 };
    uint8_t raw[CK_REFERENCE_SIZE];
    struct ck_entry entry;

    save_whole();
    flx_fake_kill(GUEST);
    OK(ck_find(store, "web", 0, &entry, &err));
    for (int i = 0; i < 3; i++) {
        char hex[2 * CK_REFERENCE_SIZE + 1];
        struct flic_talk *talk;

        facts.store = i == 0 ? scene_uuid(66) : *ck_store_uuid(store);
        facts.id = i == 1 ? scene_uuid(67) : entry.id;
        ck_reference_encode(&facts, raw);
        for (size_t k = 0; k < sizeof(raw); k++)
            (void)snprintf(hex + 2 * k, 3, "%02x", raw[k]);
        talk = connect_and_say(json_pack("{s:s, s:s}", "op", "restore", "reference", hex));
        if (i < 2)
            hear_refusal(talk, i == 0 ? FLIC_E_FOREIGN : FLIC_E_NOCHECKPOINT);
        else
            hear_event(talk, "ready", NULL);
        flic_talk_close(talk);
    }
}
END_TEST

START_TEST(a_save_of_no_domain_is_refused_for_that_reason)
{
    struct flic_talk *talk = connect_and_say(json_pack("{s:s, s:s}", "op", "save", "config", "{}"));

    hear_refusal(talk, FLIC_E_PROTOCOL);
    flic_talk_close(talk);
    talk = connect_and_say(json_pack("{s:s, s:i, s:s}", "op", "save", "domid", 99, "config", "{}"));
    hear_refusal(talk, FLIC_E_NODOMAIN);
    flic_talk_close(talk);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op");
    TCase *t = tcase_create("op");

    tcase_set_timeout(t, 15);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_save_runs_as_the_protocol_has_it_and_its_log_dirty_is_off_when_it_is_answered);
    tcase_add_test(t, two_saves_of_one_guest_at_once_the_second_is_refused_however_close_they_come);
    tcase_add_test(t, invariant_9_two_restores_of_one_guest_at_once_the_second_is_refused);
    tcase_add_test(t, a_restore_of_a_guest_that_is_alive_is_refused);
    tcase_add_test(t, invariant_9_a_clone_beside_its_living_original_is_refused_if_both_would_write_to_a_disk);
    tcase_add_test(t, invariant_6_an_owner_that_goes_away_in_the_middle_gets_its_guest_resumed);
    tcase_add_test(t, a_save_called_off_before_the_suspend_leaves_no_mark_on_the_guest);
    tcase_add_test(t, a_reference_of_another_store_or_of_another_checkpoint_is_refused);
    tcase_add_test(t, a_save_of_no_domain_is_refused_for_that_reason);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
