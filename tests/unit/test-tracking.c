/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Tracked guests as flicd keeps them: found, lent to saves over a real socket, lost, written down. Xen is the link-time twin. */
#include "tests/unit/checkpoint-scene.h"

#include "common/io.h"
#include "common/talk.h"
#include "daemon/op.h"
#include "daemon/protect.h"
#include "daemon/protect_file.h"
#include "daemon/tracking.h"
#include "daemon/tracking_file.h"

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

static void start_tracking(const char *track)
{
    (void)snprintf(flicd.conf.track, sizeof(flicd.conf.track), "%s", track);
    OK(fd_tracking_start(&flicd, &err));
}

static void set_up(void)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)signal(SIGPIPE, SIG_IGN);
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    (void)snprintf(path, sizeof(path), "%s/sock", scene_dir);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    ck_assert(!bind(fd, (struct sockaddr *)&addr, sizeof(addr)) && !listen(fd, 8));
    fd_conf_defaults(&flicd.conf);
    (void)snprintf(flicd.conf.store, sizeof(flicd.conf.store), "%s", scene_dir);
    flicd.conf.track_epoch_min_ms = flicd.conf.track_epoch_max_ms = 20;
    flicd.conf.track_clean_epochs = 2;
    flicd.conf.track_kib_per_s = 1 << 20;
    flicd.conf.track_cpu_percent = 100;
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
    ev_ask(flicd.loop, stop, NULL);
    ck_assert(!pthread_join(thread, NULL));
    fd_tracking_stop(&flicd);
    ev_free(flicd.loop);
    memset(&flicd, 0, sizeof(flicd));
    scene_end();
}

/* ---- asking ---- */

/* The answer to one question, whatever it is. */
static json_t *ask(const char *op, const char *domain)
{
    struct flic_talk *talk;
    json_t *answer;

    OK(flic_talk_open(path, &talk, &err));
    OK(flic_talk_send(talk, json_pack("{s:s, s:s}", "op", op, "domain", domain), &err));
    OK(flic_talk_next(talk, 10000, &answer, &err));
    flic_talk_close(talk);
    return answer;
}

static int outcome(const char *op, const char *domain)
{
    json_t *answer = ask(op, domain);
    int rc = flic_talk_outcome(answer, &err);

    json_decref(answer);
    return rc;
}

/* One member of the tracked guest of that name; -1 when it is not listed. */
static long long tracked(const char *name, const char *member)
{
    json_t *list = fd_tracking_status(&flicd), *o;
    long long value = -1;
    size_t i;

    json_array_foreach(list, i, o)
        if (!strcmp(json_string_value(json_object_get(o, "domain")), name))
            value = member ? json_integer_value(json_object_get(o, member)) : 1;
    json_decref(list);
    return value;
}

/* Waits for a sign, ten seconds at most. */
#define UNTIL(what) do { \
    int left = 1000; \
    while (!(what) && left-- > 0) \
        (void)usleep(10000); \
    ck_assert_msg(what, "%s did not come", #what); \
} while (0)

static bool is_known(const char *name)
{
    return tracked(name, "epochs") > 3 && tracked(name, "unknown_pages") == 0;
}

/* A fresh domain is filled from web's newest checkpoint, as xl and the helper would have it; it is left paused. `filled` runs when
 * libxl would go on with it; gives the restore's answer. */
static json_t *restore_whole(uint32_t domid, uint64_t gfns, void (*filled)(uint32_t domid))
{
    struct flic_uuid uuid = scene_uuid(1);
    struct flic_talk *owner, *helper;
    char operation[FD_OP_ID] = "";
    json_t *msg, *answer = NULL;
    const char *name;

    OK(flic_talk_open(path, &owner, &err));
    OK(flic_talk_send(owner, json_pack("{s:s, s:s}", "op", "restore", "domain", "web"), &err));
    OK(flic_talk_next(owner, 10000, &msg, &err));
    ck_assert_msg(flic_talk_is_event(msg, &name) && !strcmp(name, "ready"), "%s", json_dumps(msg, 0));
    (void)snprintf(operation, sizeof(operation), "%s", json_string_value(json_object_get(msg, "operation")));
    json_decref(msg);
    flx_fake_add(domid, "web", &uuid, gfns, 0);
    OK(flic_talk_open(path, &helper, &err));
    OK(flic_talk_send(helper, json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i}", "op", "join", "operation", operation, "domid", (int)domid,
                                        "store_port", 1, "store_domid", 0, "console_port", 2, "console_domid", 0), &err));
    OK(flic_talk_next(helper, 10000, &msg, &err));
    while (flic_talk_is_event(msg, &name)) {
        json_decref(msg);
        OK(flic_talk_next(helper, 10000, &msg, &err));
    }
    OK(flic_talk_outcome(msg, &err));
    json_decref(msg);
    if (filled)
        filled(domid);
    OK(flic_talk_send(owner, json_pack("{s:s, s:s, s:i}", "op", "restored", "operation", operation, "domid", (int)domid), &err));
    while (!answer) {
        OK(flic_talk_next(owner, 10000, &msg, &err));
        if (flic_talk_is_event(msg, &name))
            json_decref(msg);
        else
            answer = msg;
    }
    OK(flic_talk_outcome(answer, &err));
    flic_talk_close(helper);
    flic_talk_close(owner);
    return answer;
}

/* A whole save, the guest running again at the end (alive) or destroyed; gives its answer. */
static json_t *save_whole(uint32_t domid, bool alive)
{
    struct flic_talk *owner, *helper;
    char operation[FD_OP_ID] = "";
    json_t *msg, *answer = NULL;
    const char *name;

    UNTIL(!fd_op_holds(&flicd, domid));             /* the last save's thread may still be ending */
    OK(flic_talk_open(path, &owner, &err));
    OK(flic_talk_send(owner, json_pack("{s:s, s:i, s:s}", "op", "save", "domid", (int)domid, "config", "{\"disks\": []}"), &err));
    OK(flic_talk_next(owner, 10000, &msg, &err));
    ck_assert_msg(flic_talk_is_event(msg, &name) && !strcmp(name, "ready"), "%s", json_dumps(msg, 0));
    (void)snprintf(operation, sizeof(operation), "%s", json_string_value(json_object_get(msg, "operation")));
    json_decref(msg);
    OK(flic_talk_open(path, &helper, &err));
    OK(flic_talk_send(helper, json_pack("{s:s, s:s}", "op", "join", "operation", operation), &err));
    for (bool done = false; !done; json_decref(msg)) {
        OK(flic_talk_next(helper, 10000, &msg, &err));
        if (flic_talk_is_event(msg, &name) && !strcmp(name, "suspend")) {
            flx_fake_set_run(domid, FLX_SUSPENDED);
            OK(flic_talk_send(helper, json_pack("{s:s, s:b}", "op", "suspended", "ok", 1), &err));
        }
        done = !flic_talk_is_event(msg, &name);
    }
    OK(flic_talk_send(owner, json_pack("{s:s, s:s}", "op", "publish", "operation", operation), &err));
    while (!answer) {
        OK(flic_talk_next(owner, 10000, &msg, &err));
        if (flic_talk_is_event(msg, &name))
            json_decref(msg);
        else
            answer = msg;
    }
    OK(flic_talk_outcome(answer, &err));
    if (alive)
        flx_fake_set_run(domid, FLX_RUNNING);
    else
        flx_fake_kill(domid);
    flic_talk_close(helper);
    flic_talk_close(owner);
    return answer;
}

static long long figure(const json_t *answer, const char *name)
{
    json_t *value = json_object_get(json_object_get(answer, "figures"), name);

    return value ? json_integer_value(value) : -1;
}

/* ---- tests ---- */

START_TEST(a_guest_is_tracked_by_command_and_no_longer_by_another)
{
    start_tracking("none");
    ck_assert_int_eq(tracked("web", NULL), -1);
    OK(outcome("track", "web"));
    ck_assert(flx_fake_tracked(GUEST));
    UNTIL(is_known("web"));
    ck_assert_int_gt(tracked("web", "copied_pages"), 1500);
    OK(outcome("track", "web"));                    /* again: as it is */
    OK(outcome("untrack", "web"));
    ck_assert(!flx_fake_tracked(GUEST));
    ck_assert_int_eq(tracked("web", NULL), -1);
    ck_assert_int_eq(outcome("wss", "web"), FLIC_E_NODOMAIN);
    ck_assert_int_eq(outcome("track", "nobody"), FLIC_E_NODOMAIN);
    ck_assert_int_eq(outcome("untrack", "nobody"), FLIC_E_NODOMAIN);
}
END_TEST

START_TEST(a_guest_that_cannot_be_tracked_is_refused_and_not_written_down)
{
    struct tf_words words;

    start_tracking("none");
    flx_fake_fail("can_save", 1, FLIC_E_REFUSED);
    ck_assert_int_eq(outcome("track", "web"), FLIC_E_REFUSED);
    ck_assert_int_eq(tracked("web", NULL), -1);
    OK(tf_load(scene_dir, &words, &err));
    ck_assert_uint_eq(words.n, 0);
}
END_TEST

START_TEST(a_save_of_a_tracked_guest_borrows_what_is_known_and_says_how_large_the_write_set_was)
{
    long long copied;
    json_t *answer;

    start_tracking("none");
    OK(outcome("track", "web"));
    UNTIL(is_known("web"));
    answer = save_whole(GUEST, true);
    ck_assert_int_eq(figure(answer, "live_pages"), 0);
    ck_assert_int_eq(figure(answer, "ws_pages"), 0);
    ck_assert_int_eq(figure(answer, "wss_pages"), 0);
    ck_assert_int_gt(figure(answer, "tracked_epochs"), 3);
    ck_assert_int_ge(figure(answer, "tracked_copied_pages"), 1500);
    json_decref(answer);
    UNTIL(!fd_op_holds(&flicd, GUEST));             /* the journal is written after the answer */
    answer = ask("show", "web");                    /* and it stays with the checkpoint */
    ck_assert_int_eq(figure(json_object_get(answer, "checkpoint"), "wss_pages"), 0);
    ck_assert_int_gt(figure(json_object_get(answer, "checkpoint"), "tracked_epochs"), 3);
    json_decref(answer);
    ck_assert_msg(flx_fake_tracked(GUEST), "tracking did not go on after the save");
    copied = tracked("web", "copied_pages");
    scene_dirty(GUEST, 500, 12, 4);
    UNTIL(tracked("web", "copied_pages") >= copied + 12 && is_known("web"));
    answer = save_whole(GUEST, false);
    ck_assert_int_eq(figure(answer, "live_pages"), 0);
    json_decref(answer);
    UNTIL(tracked("web", NULL) == -1);              /* it was destroyed after its save */
    ck_assert_uint_eq(scene_count(), 2);
}
END_TEST

static void expect_tracked_and_write(uint32_t domid)
{
    ck_assert_msg(flx_fake_tracked(domid), "libxl goes on with a domain whose log-dirty is still off");
    scene_dirty(domid, 700, 5, 9);
}

START_TEST(invariant_10_a_tracked_guest_that_is_restored_is_tracked_from_before_it_runs_and_saved_without_copying_it_all)
{
    struct image image = { 0 };
    json_t *answer;
    uint32_t domid;

    start_tracking("none");
    OK(outcome("track", "web"));
    UNTIL(is_known("web"));
    json_decref(save_whole(GUEST, false));
    UNTIL(tracked("web", NULL) == -1);
    json_decref(restore_whole(11, GUEST_PAGES, expect_tracked_and_write));
    ck_assert_int_eq(tracked("web", "domid"), 11);
    flx_fake_set_run(11, FLX_RUNNING);
    scene_dirty(11, 900, 20, 5);
    answer = save_whole(11, true);
    ck_assert_int_le(figure(answer, "live_pages") + figure(answer, "ws_pages"), 25);
    ck_assert_int_ge(figure(answer, "ram_pages"), GUEST_PAGES - 4);
    json_decref(answer);
    image_take(&image, 11, GUEST_PAGES);
    OK(scene_restore(&(struct nv_name){ .guest = scene_uuid(1), .seq = 2 }, &domid, NULL));
    image_compare(&image, domid);
    image_free(&image);
}
END_TEST

START_TEST(a_restored_guest_that_nobody_wants_tracked_is_not)
{
    start_tracking("none");
    json_decref(save_whole(GUEST, false));
    json_decref(restore_whole(11, GUEST_PAGES, NULL));
    ck_assert(!flx_fake_tracked(11));
    ck_assert_int_eq(tracked("web", NULL), -1);
}
END_TEST

START_TEST(a_restore_does_not_fail_when_tracking_cannot_begin_and_the_guest_is_picked_up_once_it_runs)
{
    start_tracking("none");
    OK(outcome("track", "web"));
    json_decref(save_whole(GUEST, false));
    UNTIL(tracked("web", NULL) == -1);
    flx_fake_fail("track_on", 1, FLIC_E_XEN);
    json_decref(restore_whole(11, GUEST_PAGES, NULL));
    ck_assert(!flx_fake_tracked(11));
    flx_fake_set_run(11, FLX_RUNNING);
    UNTIL(tracked("web", "domid") == 11 && flx_fake_tracked(11));
    ck_assert_int_gt(tracked("web", "unknown_pages"), 0);
    UNTIL(is_known("web"));
}
END_TEST

START_TEST(a_save_of_a_guest_that_is_not_tracked_copies_everything_and_leaves_log_dirty_off)
{
    json_t *answer;

    start_tracking("none");
    answer = save_whole(GUEST, true);
    ck_assert_int_gt(figure(answer, "live_pages"), 1500);
    ck_assert_int_eq(figure(answer, "wss_pages"), -1);
    ck_assert(!flx_fake_tracked(GUEST));
    json_decref(answer);
}
END_TEST

START_TEST(a_guest_that_cannot_be_lent_is_saved_from_nothing)
{
    json_t *answer;

    start_tracking("\nweb\n");
    UNTIL(tracked("web", "epochs") > 0);
    /* the loan's look at the guest fails, whichever thread is asked first */
    flx_fake_fail("track_clean", 1, FLIC_E_XEN);
    UNTIL(!flx_fake_tracked(GUEST));
    answer = save_whole(GUEST, true);
    ck_assert_int_gt(figure(answer, "live_pages"), 1500);
    json_decref(answer);
}
END_TEST

START_TEST(log_dirty_that_a_killed_flicd_left_on_is_switched_off_in_guests_that_are_not_tracked)
{
    struct flx_dom *dom;

    OK(flx_open(GUEST, &dom, &err));
    OK(flx_track_on(dom, &err));
    flx_close(dom);
    start_tracking("none");
    ck_assert(!flx_fake_tracked(GUEST));
}
END_TEST

START_TEST(a_guest_that_a_killed_flicd_left_slowed_down_runs_as_fast_as_ever_again)
{
    struct flx_dom *dom;

    OK(flx_open(GUEST, &dom, &err));
    OK(flx_throttle(dom, 6, &err));
    flx_close(dom);
    start_tracking("no");
    ck_assert_uint_eq(flx_fake_percent(GUEST), 100);
}
END_TEST

START_TEST(a_guest_that_is_protected_is_tracked_as_long_as_it_is)
{
    struct pt_setting web = { .name = "web", .every_ms = 3600000, .keep = 3 };
    const struct pt_setting *all = &web;
    json_t *request = json_pack("{s:s}", "domain", "web");
    struct flx_info info;
    struct flx_dom *dom;

    OK(flx_open(GUEST, &dom, &err));
    OK(flx_info(dom, &info, &err));
    flx_close(dom);
    web.guest = info.uuid;
    OK(pt_file_save(scene_dir, &all, 1, &err));
    OK(fd_protect_start(&flicd, &err));
    start_tracking("none");
    UNTIL(tracked("web", "epochs") > 1);
    ck_assert_int_eq(outcome("untrack", "web"), FLIC_E_REFUSED);
    json_decref(fd_protect_off(&flicd, request));
    json_decref(request);
    UNTIL(tracked("web", NULL) < 0);
    fd_protect_close(&flicd);
    fd_protect_stop(&flicd);
}
END_TEST

START_TEST(untracking_a_guest_while_it_is_being_saved_waits_for_the_save)
{
    struct tk_status status;

    start_tracking("none");
    OK(outcome("track", "web"));
    UNTIL(is_known("web"));
    ck_assert_ptr_nonnull(fd_tracking_lend(&flicd, GUEST, &status));
    OK(outcome("untrack", "web"));
    ck_assert(flx_fake_tracked(GUEST));             /* the save still needs it */
    fd_tracking_give_back(&flicd, GUEST);
    ck_assert(!flx_fake_tracked(GUEST));
    ck_assert_ptr_null(fd_tracking_lend(&flicd, GUEST, &status));
}
END_TEST

START_TEST(with_track_all_every_guest_that_runs_is_picked_up_and_let_go_of)
{
    start_tracking("all");
    UNTIL(tracked("web", "epochs") > 0);
    scene_guest(9, "mail", 2, 256);
    UNTIL(tracked("mail", "epochs") > 0);
    flx_fake_kill(9);
    UNTIL(tracked("mail", NULL) == -1);
    ck_assert_int_gt(tracked("web", "epochs"), 0);
    OK(outcome("untrack", "web"));                  /* a command's word counts more than the configuration */
    ck_assert(!flx_fake_tracked(GUEST));
    (void)usleep(1500000);                          /* longer than until the next look */
    ck_assert(!flx_fake_tracked(GUEST));
    OK(outcome("track", "web"));
    ck_assert(flx_fake_tracked(GUEST));
}
END_TEST

START_TEST(a_guest_that_is_being_built_is_left_alone_until_it_runs)
{
    scene_guest(9, "mail", 2, 256);
    flx_fake_set_run(9, FLX_PAUSED);
    start_tracking("all");
    UNTIL(tracked("web", "epochs") > 0);
    (void)usleep(1500000);
    ck_assert(!flx_fake_tracked(9));
    flx_fake_set_run(9, FLX_RUNNING);
    UNTIL(flx_fake_tracked(9));
}
END_TEST

START_TEST(a_guest_that_reboots_or_is_renamed_stays_tracked_by_its_uuid)
{
    start_tracking("none");
    OK(outcome("track", "web"));
    UNTIL(is_known("web"));
    flx_fake_set_name(GUEST, "shop");
    UNTIL(tracked("shop", "epochs") > 0 && tracked("web", NULL) == -1);
    flx_fake_kill(GUEST);                           /* a reboot: the same guest under a new domid, nothing known of it */
    UNTIL(tracked("shop", NULL) == -1);
    scene_guest(11, "shop", 1, GUEST_PAGES);
    UNTIL(tracked("shop", "domid") == 11 && is_known("shop"));
}
END_TEST

START_TEST(invariant_8_a_flicd_that_starts_again_tracks_the_same_guests_from_nothing_known)
{
    start_tracking("none");
    OK(outcome("track", "web"));
    UNTIL(is_known("web"));
    fd_tracking_stop(&flicd);
    ck_assert(!flx_fake_tracked(GUEST));
    flicd.conf.track_clean_epochs = 8;
    flicd.conf.track_epoch_min_ms = flicd.conf.track_epoch_max_ms = 500;
    start_tracking("none");
    UNTIL(tracked("web", NULL) == 1);
    ck_assert_int_eq(tracked("web", "unknown_pages"), GUEST_PAGES);
}
END_TEST

START_TEST(wss_gives_the_series_of_a_tracked_guest)
{
    json_t *answer, *samples;

    start_tracking("all");
    UNTIL(tracked("web", "epochs") > 12);
    for (int i = 0; i < 60; i++) {
        scene_dirty(GUEST, 200, 70, (uint32_t)i);
        (void)usleep(5000);
    }
    UNTIL(tracked("web", "wss_pages") == 70);
    answer = ask("wss", "web");
    OK(flic_talk_outcome(answer, &err));
    samples = json_object_get(answer, "samples");
    ck_assert_uint_gt(json_array_size(samples), 12);
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(samples, 9), "wss_pages")), 0);
    ck_assert_int_ge(json_integer_value(json_object_get(json_object_get(answer, "guest"), "regions")), 1);
    json_decref(answer);
}
END_TEST

START_TEST(a_guest_that_failed_is_tried_again_and_says_why_it_waits)
{
    struct ft_view *views;
    size_t n;

    start_tracking("all");
    UNTIL(tracked("web", "epochs") > 0);
    flx_fake_fail("track_clean", 1, FLIC_E_BUSY);
    UNTIL(!flx_fake_tracked(GUEST));
    OK(ft_list(&flicd, &views, &n, &err));
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(views[0].state, FT_WAITING);
    ck_assert_int_eq(views[0].why.code, FLIC_E_BUSY);
    free(views);
    OK(outcome("track", "web"));                    /* somebody asks: at once */
    ck_assert(flx_fake_tracked(GUEST));
}
END_TEST

/* ---- what is written down ---- */

START_TEST(words_survive_and_say_only_what_the_configuration_does_not)
{
    struct tf_words words = { .n = 0 }, again;
    struct tf_word web = { .guest = scene_uuid(1), .name = "web", .track = true };

    OK(tf_say(&words, "none", &web, &err));
    OK(tf_save(scene_dir, &words, &err));
    OK(tf_load(scene_dir, &again, &err));
    ck_assert_uint_eq(again.n, 1);
    ck_assert(tf_wanted(&again, "none", &web.guest, "renamed"));
    ck_assert(!tf_wanted(&again, "none", &(struct flic_uuid){ { 9 } }, "web"));
    web.track = false;
    OK(tf_say(&words, "none", &web, &err));
    ck_assert_uint_eq(words.n, 0);
    OK(tf_say(&words, "\ndb\nweb\n", &web, &err));
    ck_assert(!tf_wanted(&words, "\ndb\nweb\n", &web.guest, "web"));
    ck_assert(tf_wanted(&words, "\ndb\nweb\n", &(struct flic_uuid){ { 9 } }, "db"));
    ck_assert(!tf_configured("\ndb\nweb\n", "b"));
    ck_assert(!tf_configured("\ndb\nweb\n", "we"));
    ck_assert(!tf_configured("\ndb\nweb\n", ""));
    ck_assert(tf_configured("\nwebweb\nweb\n", "web"));
}
END_TEST

START_TEST(invariant_7_a_file_that_flicd_did_not_write_is_refused_and_tracks_nobody)
{
    static const char *const bad[] = {
        "", "[]", "{", "{\"version\":1}", "{\"version\":1,\"guests\":[{}]}", "{\"version\":1,\"guests\":[7]}",
        "{\"version\":1,\"guests\":[{\"uuid\":\"x\",\"name\":\"web\",\"track\":true}]}",
        "{\"version\":1,\"guests\":[{\"uuid\":\"01010101-0101-0101-0101-010101010101\",\"name\":\"web\",\"track\":1}]}",
    };
    static const char newer[] = "{\"version\":2,\"guests\":[]}";
    char file[96];
    struct tf_words words;

    (void)snprintf(file, sizeof(file), "%s/tracked.json", scene_dir);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        OK(flic_publish_file(file, bad[i], strlen(bad[i]), 0600, &err));
        ck_assert_int_eq(tf_load(scene_dir, &words, &err), FLIC_E_DAMAGED);
        ck_assert_uint_eq(words.n, 0);
    }
    OK(flic_publish_file(file, newer, strlen(newer), 0600, &err));
    ck_assert_int_eq(tf_load(scene_dir, &words, &err), FLIC_E_VERSION);
    start_tracking("all");                          /* flicd runs all the same, and writes nothing over it */
    UNTIL(tracked("web", "epochs") > 0);
    ck_assert_int_eq(outcome("untrack", "web"), FLIC_E_VERSION);
    ck_assert_int_eq(tf_load(scene_dir, &words, &err), FLIC_E_VERSION);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("tracking");
    TCase *t = tcase_create("tracking");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_guest_is_tracked_by_command_and_no_longer_by_another);
    tcase_add_test(t, a_guest_that_cannot_be_tracked_is_refused_and_not_written_down);
    tcase_add_test(t, a_save_of_a_tracked_guest_borrows_what_is_known_and_says_how_large_the_write_set_was);
    tcase_add_test(t, invariant_10_a_tracked_guest_that_is_restored_is_tracked_from_before_it_runs_and_saved_without_copying_it_all);
    tcase_add_test(t, a_restored_guest_that_nobody_wants_tracked_is_not);
    tcase_add_test(t, a_restore_does_not_fail_when_tracking_cannot_begin_and_the_guest_is_picked_up_once_it_runs);
    tcase_add_test(t, a_save_of_a_guest_that_is_not_tracked_copies_everything_and_leaves_log_dirty_off);
    tcase_add_test(t, a_guest_that_cannot_be_lent_is_saved_from_nothing);
    tcase_add_test(t, log_dirty_that_a_killed_flicd_left_on_is_switched_off_in_guests_that_are_not_tracked);
    tcase_add_test(t, a_guest_that_a_killed_flicd_left_slowed_down_runs_as_fast_as_ever_again);
    tcase_add_test(t, a_guest_that_is_protected_is_tracked_as_long_as_it_is);
    tcase_add_test(t, untracking_a_guest_while_it_is_being_saved_waits_for_the_save);
    tcase_add_test(t, with_track_all_every_guest_that_runs_is_picked_up_and_let_go_of);
    tcase_add_test(t, a_guest_that_is_being_built_is_left_alone_until_it_runs);
    tcase_add_test(t, a_guest_that_reboots_or_is_renamed_stays_tracked_by_its_uuid);
    tcase_add_test(t, invariant_8_a_flicd_that_starts_again_tracks_the_same_guests_from_nothing_known);
    tcase_add_test(t, wss_gives_the_series_of_a_tracked_guest);
    tcase_add_test(t, a_guest_that_failed_is_tried_again_and_says_why_it_waits);
    tcase_add_test(t, words_survive_and_say_only_what_the_configuration_does_not);
    tcase_add_test(t, invariant_7_a_file_that_flicd_did_not_write_is_refused_and_tracks_nobody);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
