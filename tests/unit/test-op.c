/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flicd's operations over a real socket, with the test as libflicxl and helper, and the link-time twin in Xen's place. */
#include "tests/unit/collections.h"
#include "tests/unit/op-scene.h"

#include "common/talk.h"
#include "daemon/migrate/hello.h"
#include "daemon/moves.h"
#include "daemon/op.h"
#include "daemon/protect.h"
#include "daemon/snapshot.h"

#include <jansson.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- tests ---- */

START_TEST(a_save_runs_as_the_protocol_has_it_and_its_log_dirty_is_off_when_it_is_answered)
{
    save_whole();
    ck_assert_uint_eq(scene_count(), 1);
    ck_assert_str_ne(flx_fake_told(GUEST, "flic/operation"), "");   /* should nobody destroy it, flicd resumes it */
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
    await_idle();
    ck_assert_str_eq(flx_fake_told(GUEST, "flic/operation"), "");   /* a later suspend is not ours */
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

/* ---- migrations: both sides in one flicd, which must refuse the guest that it has ---- */

static void *carry(void *arg)
{
    int *fds = arg;
    char data[65536];
    ssize_t n;

    while ((n = recv(fds[0], data, sizeof(data), 0)) > 0)
        if (send(fds[1], data, (size_t)n, MSG_NOSIGNAL) != n)
            break;
    (void)shutdown(fds[1], SHUT_WR);
    return NULL;
}

static bool has_kind(const json_t *operations, const char *kind)
{
    json_t *op;
    size_t i;

    json_array_foreach(operations, i, op)
        if (!strcmp(json_string_value(json_object_get(op, "kind")), kind))
            return true;
    return false;
}

START_TEST(invariant_6_a_guest_is_not_received_where_it_is_alive_and_runs_on_there)
{
    struct flic_talk *from = connect_and_say(json_pack("{s:s, s:i, s:s, s:s}", "op", "migrate", "domid", (int)GUEST, "config", "{\"disks\": []}",
                                                       "peer", "here")), *to = connect_and_say(json_pack("{s:s}", "op", "receive")), *asks;
    char leaving[FD_OP_ID], coming[FD_OP_ID];
    pthread_t there, back;
    int one, two, way_there[2], way_back[2];
    json_t *status;

    hear_event(from, "ready", leaving);
    hear_event(to, "ready", coming);
    asks = connect_and_say(json_pack("{s:s}", "op", "status"));
    status = hear(asks);
    ck_assert(has_kind(json_object_get(status, "operations"), "migrate") && has_kind(json_object_get(status, "operations"), "receive"));
    json_decref(status);
    flic_talk_close(asks);
    one = tunnel_of(leaving);
    two = tunnel_of(coming);
    way_there[0] = way_back[1] = one;
    way_there[1] = way_back[0] = two;
    ck_assert(!pthread_create(&there, NULL, carry, way_there) && !pthread_create(&back, NULL, carry, way_back));
    hear_refusal(to, FLIC_E_ALIVE);
    hear_refusal(from, FLIC_E_ALIVE);
    ck_assert(!pthread_join(there, NULL) && !pthread_join(back, NULL));
    (void)close(one);
    (void)close(two);
    flic_talk_close(from);
    flic_talk_close(to);
    await_no_operation();
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    ck_assert(!flx_fake_tracked(GUEST));
    ck_assert_uint_eq(scene_count(), 0);
}
END_TEST

START_TEST(a_guest_is_not_migrated_to_a_peer_that_could_not_be_asked_about_it)
{
    struct flic_talk *talk = connect_and_say(json_pack("{s:s, s:i, s:s, s:s}", "op", "migrate", "domid", (int)GUEST, "config", "{\"disks\": []}",
                                                       "peer", "the phone"));

    hear_refusal(talk, FLIC_E_REFUSED);
    flic_talk_close(talk);
    await_no_operation();
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
}
END_TEST

START_TEST(a_tunnel_to_no_operation_or_to_a_save_is_not_taken)
{
    struct flic_talk *owner = connect_and_say(a_save()), *talk;
    char operation[FD_OP_ID], byte;
    int fd;

    hear_event(owner, "ready", operation);
    talk = connect_and_say(about("tunnel", "00000000000000000000000000000000"));
    hear_refusal(talk, FLIC_E_NOCHECKPOINT);
    flic_talk_close(talk);
    fd = tunnel_of(operation);
    ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
    (void)close(fd);
    flic_talk_close(owner);
}
END_TEST

START_TEST(a_domain_that_is_somebody_elses_is_not_restored_into_and_not_taken_for_half_a_guest)
{
    struct flic_uuid other = scene_uuid(5);
    char operation[FD_OP_ID];
    struct flic_talk *owner, *helper;

    save_whole();
    flx_fake_kill(GUEST);
    flx_fake_add(50, "other", &other, 2048, 512);
    flx_fake_set_run(50, FLX_PAUSED);
    owner = connect_and_say(a_restore(false));
    hear_event(owner, "ready", operation);
    helper = connect_and_say(json_pack("{s:s, s:s, s:i}", "op", "join", "operation", operation, "domid", 50));
    hear_refusal(owner, FLIC_E_REFUSED);
    ck_assert_msg(strstr(err.text, "'other'") != NULL, "%s", err.text);
    ck_assert_ptr_null(flx_fake_told(50, "flic/restoring"));
    flic_talk_close(helper);
    flic_talk_close(owner);
    flx_fake_kill(50);
    await_no_operation();
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

/* ---- a guest that runs on ---- */

struct going_on {
    struct flic_talk *owner, *helper;
    char operation[FD_OP_ID];
};

/* Up to the moment the guest runs again. */
static void capture(struct going_on *g, bool by_protect)
{
    json_t *request = a_save();

    ck_assert(!json_object_set_new(request, "after", json_string("run")));
    ck_assert(!json_object_set_new(request, "protect", json_boolean(by_protect)));
    g->owner = connect_and_say(request);
    hear_event(g->owner, "ready", g->operation);
    g->helper = connect_and_say(about("join", g->operation));
    hear_event(g->helper, "suspend", NULL);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    OK(flic_talk_send(g->helper, json_pack("{s:s, s:b}", "op", "suspended", "ok", 1), &err));
    hear_event(g->owner, "resumed", NULL);
}

static void publish(struct going_on *g)
{
    hear_ok(g->helper);
    OK(flic_talk_send(g->owner, about("publish", g->operation), &err));
    hear_ok(g->owner);
    flic_talk_close(g->helper);
    flic_talk_close(g->owner);
}

START_TEST(a_guest_that_runs_on_does_so_once_captured_before_anything_is_published)
{
    unsigned before = flx_fake_resumes(GUEST);
    struct going_on g;

    capture(&g, false);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    ck_assert(flx_fake_marked_resume(GUEST));
    ck_assert_uint_eq(scene_count(), 0);
    publish(&g);
    ck_assert_uint_eq(scene_count(), 1);
    ck_assert_uint_eq(flx_fake_resumes(GUEST), before + 1);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    ck_assert_str_eq(flx_fake_told(GUEST, "flic/operation"), "");   /* a later suspend is not ours */
    ck_assert(!flx_fake_tracked(GUEST));
}
END_TEST

START_TEST(invariant_6_a_failure_after_the_resume_costs_the_checkpoint_and_nothing_else)
{
    unsigned before = flx_fake_resumes(GUEST);
    struct going_on g;

    capture(&g, false);
    flic_talk_close(g.owner);
    await_idle();
    ck_assert_uint_eq(scene_count(), 0);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    ck_assert_uint_eq(flx_fake_resumes(GUEST), before + 1);
    ck_assert_str_eq(flx_fake_told(GUEST, "flic/operation"), "");
    flic_talk_close(g.helper);
    capture(&g, false);                 /* and the next one works */
    publish(&g);
    ck_assert_uint_eq(scene_count(), 1);
}
END_TEST

START_TEST(invariant_6_a_guest_whose_resume_fails_is_resumed_all_the_same_and_nothing_is_offered)
{
    struct flic_talk *owner, *helper;
    json_t *request = a_save();
    char operation[FD_OP_ID];

    ck_assert(!json_object_set_new(request, "after", json_string("run")));
    flx_fake_fail("resume", 1, FLIC_E_XEN);
    owner = connect_and_say(request);
    hear_event(owner, "ready", operation);
    helper = connect_and_say(about("join", operation));
    hear_event(helper, "suspend", NULL);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    OK(flic_talk_send(helper, json_pack("{s:s, s:b}", "op", "suspended", "ok", 1), &err));
    hear_refusal(owner, FLIC_E_XEN);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    ck_assert_uint_eq(scene_count(), 0);
    flic_talk_close(helper);
    flic_talk_close(owner);
}
END_TEST

START_TEST(a_disk_whose_backend_keeps_part_of_it_in_memory_is_refused_before_the_guest_is_paused)
{
    char config[220], disk[96];
    struct flic_talk *talk;

    (void)snprintf(disk, sizeof(disk), "%s/disk.qcow2", scene_dir);
    json_decref(a_save_with_disk(disk, true));          /* makes it */
    (void)snprintf(config, sizeof(config), "{\"disks\":[{\"pdev_path\":\"%s\",\"vdev\":\"xvda\",\"format\":\"qcow2\",\"readwrite\":1}]}", disk);
    talk = connect_and_say(json_pack("{s:s, s:i, s:s}", "op", "save", "domid", (int)GUEST, "config", config));
    hear_refusal(talk, FLIC_E_DISK);
    ck_assert_msg(strstr(err.text, "qcow2") && strstr(err.text, "--ram-only"), "%s", err.text);
    flic_talk_close(talk);
    await_idle();
    talk = connect_and_say(json_pack("{s:s, s:i, s:s, s:b}", "op", "save", "domid", (int)GUEST, "config", config, "ram_only", 1));
    hear_event(talk, "ready", NULL);
    flic_talk_close(talk);
}
END_TEST

START_TEST(a_guest_that_runs_on_needs_disks_that_can_be_kept_or_ram_only_said)
{
    char config[200], disk[96];
    struct flic_talk *talk;
    FILE *f;

    (void)snprintf(disk, sizeof(disk), "%s/disk.img", scene_dir);       /* no file system that clones */
    f = fopen(disk, "w");
    ck_assert(f && fputs("disk", f) >= 0 && !fclose(f));
    (void)snprintf(config, sizeof(config), "{\"disks\":[{\"pdev_path\":\"%s\",\"vdev\":\"xvda\",\"readwrite\":1}]}", disk);
    talk = connect_and_say(json_pack("{s:s, s:i, s:s, s:s}", "op", "save", "domid", (int)GUEST, "config", config, "after", "run"));
    hear_refusal(talk, FLIC_E_DISK);
    flic_talk_close(talk);
    await_idle();
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    talk = connect_and_say(json_pack("{s:s, s:i, s:s, s:s, s:b}", "op", "save", "domid", (int)GUEST, "config", config, "after", "run",
                                     "ram_only", 1));
    hear_event(talk, "ready", NULL);
    flic_talk_close(talk);
}
END_TEST

/* Up to the wish that a guest whose disk is no file, as a volume of LVM is none, is suspended: a hook that fails at `verb` keeps its disk. */
static void capture_hooked(struct going_on *g, const char *verb)
{
    char *hook = flicd.conf.disk_snapshot_hook;
    json_t *request = a_save();
    FILE *f;

    (void)snprintf(hook, sizeof(flicd.conf.disk_snapshot_hook), "%s/hook", scene_dir);
    f = fopen(hook, "w");
    ck_assert(f && fprintf(f, "#!/bin/sh\n[ $1 != %s ] || { echo '  pool is full' >&2; exit 5; }\n", verb) > 0 && !fclose(f) && !chmod(hook, 0700));
    ck_assert(!json_object_set_new(request, "after", json_string("run")));
    ck_assert(!json_object_set_new(request, "config", json_string("{\"disks\":[{\"pdev_path\":\"/dev/null\",\"vdev\":\"xvda\",\"readwrite\":1}]}")));
    g->owner = connect_and_say(request);
    if (!strcmp(verb, "check"))
        return;
    hear_event(g->owner, "ready", g->operation);
    g->helper = connect_and_say(about("join", g->operation));
    hear_event(g->helper, "suspend", NULL);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    OK(flic_talk_send(g->helper, json_pack("{s:s, s:b}", "op", "suspended", "ok", 1), &err));
}

START_TEST(a_disk_that_is_no_file_is_left_to_the_hook_and_why_it_fails_is_said_with_guest_and_disk)
{
    struct going_on g;

    capture_hooked(&g, "check");
    hear_refusal(g.owner, FLIC_E_DISK);
    ck_assert_msg(!strncmp(err.text, "'web', disk xvda: '", 19) && strstr(err.text, "check /dev/null' failed: pool is full"), "%s", err.text);
    flic_talk_close(g.owner);
    await_idle();
    capture_hooked(&g, "take");
    hear_refusal(g.owner, FLIC_E_DISK);
    ck_assert_msg(!strncmp(err.text, "'web', disk xvda: '", 19) && strstr(err.text, "take /dev/null' failed: pool is full"), "%s", err.text);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    ck_assert_uint_eq(scene_count(), 0);
    flic_talk_close(g.helper);
    flic_talk_close(g.owner);
    await_idle();
    capture_hooked(&g, "nothing");
    hear_event(g.owner, "resumed", NULL);
    publish(&g);
    ck_assert_uint_eq(scene_count(), 1);
}
END_TEST

static void write_text(const char *file, const char *text)
{
    FILE *f = fopen(file, "w");

    ck_assert(f && fputs(text, f) >= 0 && !fclose(f));
}

/* As an arrival leaves it that is ours, and could not be said to have its disks for good: "live" is the disk since, "old" what stood there before. */
static void leave_a_swap_of(uint64_t seq, const char *disk)
{
    struct mv_move ours = { .migration = scene_uuid(0x61), .guest = scene_uuid(1), .name = "web", .state = MV_RUNNING, .seq = seq };
    struct sn_where where = fd_where(&flicd);
    struct sn_name name = { .guest = ours.guest, .seq = seq };
    char file[200], swap[400], plan[800], guest[FLIC_UUID_TEXT];
    struct stat st;

    write_text(disk, "live");
    ck_assert(!stat(disk, &st));
    sn_file_name(&where, &name, 0, file, sizeof(file));
    (void)snprintf(swap, sizeof(swap), "%s/%s.swap-%llu", scene_dir, file, (unsigned long long)st.st_ino);
    write_text(swap, "old");
    (void)snprintf(plan, sizeof(plan), "{\"version\":1,\"stays\":false,\"swaps\":[{\"disk\":\"%s\",\"swap\":\"%s\"}]}", disk, swap);
    flic_uuid_text(&ours.guest, guest);
    (void)snprintf(swap, sizeof(swap), "%s/swaps", scene_dir);
    ck_assert(!mkdir(swap, 0700));
    (void)snprintf(swap, sizeof(swap), "%s/swaps/%s", scene_dir, guest);
    write_text(swap, plan);
    OK(mv_write(&flicd, &ours, &err));
}

START_TEST(a_restore_does_not_put_back_what_a_guest_that_arrived_has_displaced)
{
    char disk[100], text[8] = "";
    struct flic_talk *talk;
    struct ck_entry entry;
    struct going_on g;
    FILE *f;

    capture_hooked(&g, "nothing");
    hear_event(g.owner, "resumed", NULL);
    publish(&g);
    await_no_operation();
    flx_fake_kill(GUEST);
    OK(ck_find(store, "web", 0, &entry, &err));
    (void)snprintf(disk, sizeof(disk), "%s/disk", scene_dir);
    leave_a_swap_of(entry.info.seq, disk);
    talk = connect_and_say(a_restore(false));
    hear_event(talk, "ready", NULL);
    f = fopen(disk, "r");
    ck_assert(f && fgets(text, sizeof(text), f) && !fclose(f));
    ck_assert_str_eq(text, "live");
    flic_talk_close(talk);
    await_no_operation();
}
END_TEST

/* ---- protect ---- */

static json_t *a_protect(int every_ms, int keep)
{
    return json_pack("{s:s, s:s, s:i, s:i}", "op", "protect", "domain", "web", "every_ms", every_ms, "keep", keep);
}

static void await_worker(unsigned nth)
{
    for (int i = 0; i < 1000 && atomic_load(&spawned) < nth; i++)
        (void)usleep(10000);
    ck_assert_uint_eq(atomic_load(&spawned), nth);
}

/* The nth worker's whole life. */
static void be_worker(unsigned nth)
{
    struct going_on g;

    await_worker(nth);
    capture(&g, true);
    publish(&g);
    await_idle();
    atomic_store(&worker_status, 0);
}

static json_t *protection(void)
{
    json_t *list = fd_protect_status(&flicd), *first = json_incref(json_array_get(list, 0));

    json_decref(list);
    return first;
}

static void await_state(const char *state)
{
    for (int i = 0; i < 1000; i++) {
        json_t *p = protection();
        bool is = p && !strcmp(json_string_value(json_object_get(p, "state")), state);

        json_decref(p);
        if (is)
            return;
        (void)usleep(10000);
    }
    ck_abort_msg("never '%s'", state);
}

static void await_count(size_t n)
{
    for (int i = 0; i < 500 && scene_count() != n; i++)
        (void)usleep(10000);
    ck_assert_uint_eq(scene_count(), n);
}

static struct flic_talk *protect_web(int every_ms, int keep)
{
    struct flic_talk *talk;

    OK(fd_protect_start(&flicd, &err));
    talk = connect_and_say(a_protect(every_ms, keep));
    be_worker(1);
    hear_ok(talk);
    return talk;
}

START_TEST(protect_answers_when_the_first_is_published_then_keeps_the_newest_of_its_own_and_all_of_the_users)
{
    struct going_on by_user;
    struct flic_talk *talk;
    struct ck_entry entry;
    json_t *p;

    capture(&by_user, false);
    publish(&by_user);                  /* @1 */
    await_idle();
    talk = protect_web(1000, 2);        /* @2 */
    ck_assert_msg(strstr(worker_line(), "/flic-guest: flic-guest checkpoint 7") && strstr(worker_line(), path), "%s", worker_line());
    be_worker(2);
    be_worker(3);
    await_count(3);                     /* @1, @3, @4 */
    be_worker(4);
    await_worker(5);                    /* what was to go is gone before the next begins */
    ck_assert_uint_eq(scene_count(), 3);
    ck_assert_uint_eq(atomic_load(&collections), 0);    /* that is upkeep's, once for many */
    OK(ck_find(store, "web", 1, &entry, &err));
    ck_assert_int_eq(ck_find(store, "web", 3, &entry, &err), FLIC_E_NOCHECKPOINT);
    OK(ck_find(store, "web", 5, &entry, &err));
    p = protection();
    ck_assert_int_eq(json_integer_value(json_object_get(p, "last_seq")), 5);
    ck_assert_int_lt(json_integer_value(json_object_get(p, "age_ms")), 60000);
    ck_assert_str_eq(json_string_value(json_object_get(p, "state")), "saving");
    json_decref(p);
    flic_talk_close(talk);
}
END_TEST

START_TEST(what_is_protected_is_so_again_after_a_restart_and_old_ones_still_go)
{
    struct flic_talk *talk = protect_web(1000, 1);      /* @1 */

    await_state("waiting");
    fd_protect_stop(&flicd);
    atomic_store(&spawned, 0);
    OK(fd_protect_start(&flicd, &err));
    be_worker(1);                       /* @2 */
    await_worker(2);
    ck_assert_uint_eq(scene_count(), 1);
    flic_talk_close(talk);
}
END_TEST

START_TEST(a_first_checkpoint_that_fails_is_the_answer_and_nothing_is_protected)
{
    struct flic_talk *talk;
    json_t *list;

    OK(fd_protect_start(&flicd, &err));
    talk = connect_and_say(a_protect(5000, 3));
    await_worker(1);
    atomic_store(&worker_status, 1);    /* it said nothing to us */
    hear_refusal(talk, FLIC_E_INTERNAL);
    list = fd_protect_status(&flicd);
    ck_assert_uint_eq(json_array_size(list), 0);
    json_decref(list);
    flic_talk_close(talk);
    talk = connect_and_say(json_pack("{s:s, s:s, s:i, s:i}", "op", "protect", "domain", "nobody", "every_ms", 5000, "keep", 3));
    hear_refusal(talk, FLIC_E_NODOMAIN);
    flic_talk_close(talk);
    talk = connect_and_say(a_protect(10, 3));
    hear_refusal(talk, FLIC_E_USAGE);
    flic_talk_close(talk);
    talk = connect_and_say(a_protect(5000, 0));
    hear_refusal(talk, FLIC_E_USAGE);
    flic_talk_close(talk);
}
END_TEST

START_TEST(protect_does_not_wait_for_a_guest_that_does_not_run)
{
    struct flic_talk *talk;
    json_t *list;

    OK(fd_protect_start(&flicd, &err));
    flx_fake_set_run(GUEST, FLX_PAUSED);
    talk = connect_and_say(a_protect(5000, 3));
    hear_refusal(talk, FLIC_E_GUEST);
    ck_assert_msg(strstr(err.text, "'web'") && strstr(err.text, "xl unpause"), "%s", err.text);
    list = fd_protect_status(&flicd);
    ck_assert_uint_eq(json_array_size(list), 0);
    json_decref(list);
    flic_talk_close(talk);
    flx_fake_set_run(GUEST, FLX_RUNNING);
    talk = connect_and_say(a_protect(5000, 3));
    be_worker(1);
    hear_ok(talk);                              /* one that is protected already stays so */
    flx_fake_set_run(GUEST, FLX_PAUSED);
    flic_talk_close(talk);
    talk = connect_and_say(a_protect(5000, 3));
    hear_refusal(talk, FLIC_E_GUEST);
    list = fd_protect_status(&flicd);
    ck_assert_uint_eq(json_array_size(list), 1);
    json_decref(list);
    flic_talk_close(talk);
}
END_TEST

START_TEST(a_guest_that_is_gone_is_not_tried_but_stays_protected_until_it_is_back)
{
    struct flic_talk *talk = protect_web(1000, 3);
    struct flic_uuid guest = scene_uuid(1);

    await_state("waiting");
    ck_assert(fd_protect_will_drop(&flicd, &guest, 1) && !fd_protect_will_drop(&flicd, &guest, 2));
    flx_fake_kill(GUEST);
    await_state("absent");
    ck_assert(!fd_protect_will_drop(&flicd, &guest, 1));        /* nobody will: to flash with it */
    ck_assert_uint_eq(atomic_load(&spawned), 1);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    be_worker(2);
    flx_fake_set_run(GUEST, FLX_PAUSED);        /* a paused guest would not suspend */
    await_state("waiting");
    (void)usleep(1300000);
    ck_assert_uint_eq(atomic_load(&spawned), 2);
    flx_fake_set_run(GUEST, FLX_RUNNING);
    await_worker(3);
    flic_talk_close(talk);
}
END_TEST

START_TEST(a_guest_unprotected_is_left_alone_and_its_checkpoints_stay)
{
    struct flic_talk *talk = protect_web(1000, 3);
    struct going_on g;

    await_state("waiting");
    OK(flic_talk_send(talk, json_pack("{s:s, s:s}", "op", "unprotect", "domain", "web"), &err));
    hear_ok(talk);
    OK(flic_talk_send(talk, json_pack("{s:s, s:s}", "op", "unprotect", "domain", "web"), &err));
    hear_refusal(talk, FLIC_E_NODOMAIN);
    (void)usleep(1300000);
    ck_assert_uint_eq(atomic_load(&spawned), 1);
    ck_assert_uint_eq(scene_count(), 1);
    flic_talk_close(talk);
    capture(&g, false);                 /* for people it still works; a worker that comes too late is refused */
    publish(&g);
    await_idle();
    talk = connect_and_say(json_pack("{s:s, s:i, s:s, s:s, s:b}", "op", "save", "domid", (int)GUEST, "config", "{}", "after", "run",
                                     "protect", 1));
    hear_refusal(talk, FLIC_E_REFUSED);
    flic_talk_close(talk);
}
END_TEST

START_TEST(a_stop_does_not_wait_for_a_first_checkpoint)
{
    struct flic_talk *talk;

    OK(fd_protect_start(&flicd, &err));
    talk = connect_and_say(a_protect(5000, 3));
    await_worker(1);
    ev_ask(flicd.loop, stop, NULL);
    for (int i = 0; i < 1000 && !atomic_load(&loop_ended); i++)
        (void)usleep(10000);
    ck_assert(atomic_load(&loop_ended));
    flic_talk_close(talk);
}
END_TEST

/* As a user who could reach the socket's file: asks as somebody else. 0: refused as it should be; 2: cannot become somebody else. */
static int ask_as(uid_t uid)
{
    struct flic_talk *talk;
    json_t *msg;
    int rc;

    if (setresuid(uid, uid, uid))
        return 2;
    rc = flic_talk_open(path, &talk, &err);
    if (!rc)
        rc = flic_talk_send(talk, json_pack("{s:s}", "op", "list"), &err);
    if (!rc)
        rc = flic_talk_next(talk, 5000, &msg, &err);
    return !rc && flic_talk_outcome(msg, &err) == FLIC_E_DENIED ? 0 : 1;
}

START_TEST(another_local_user_is_refused_by_who_he_is_even_where_the_sockets_file_lets_him)
{
    int status;
    pid_t pid;

    ck_assert_int_eq(chmod(scene_dir, 0711) + chmod(path, 0666), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (!pid)
        _exit(ask_as(65534));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), geteuid() ? 2 : 0);   /* only root can try */
    {
        struct flic_talk *talk = connect_and_say(json_pack("{s:s}", "op", "list"));

        hear_ok(talk);                          /* and we are heard */
        flic_talk_close(talk);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op");
    TCase *t = tcase_create("op");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_save_runs_as_the_protocol_has_it_and_its_log_dirty_is_off_when_it_is_answered);
    tcase_add_test(t, another_local_user_is_refused_by_who_he_is_even_where_the_sockets_file_lets_him);
    tcase_add_test(t, two_saves_of_one_guest_at_once_the_second_is_refused_however_close_they_come);
    tcase_add_test(t, invariant_9_two_restores_of_one_guest_at_once_the_second_is_refused);
    tcase_add_test(t, a_restore_of_a_guest_that_is_alive_is_refused);
    tcase_add_test(t, invariant_9_a_clone_beside_its_living_original_is_refused_if_both_would_write_to_a_disk);
    tcase_add_test(t, invariant_6_an_owner_that_goes_away_in_the_middle_gets_its_guest_resumed);
    tcase_add_test(t, a_save_called_off_before_the_suspend_leaves_no_mark_on_the_guest);
    tcase_add_test(t, a_reference_of_another_store_or_of_another_checkpoint_is_refused);
    tcase_add_test(t, a_guest_is_not_migrated_to_a_peer_that_could_not_be_asked_about_it);
    tcase_add_test(t, invariant_6_a_guest_is_not_received_where_it_is_alive_and_runs_on_there);
    tcase_add_test(t, a_tunnel_to_no_operation_or_to_a_save_is_not_taken);
    tcase_add_test(t, a_domain_that_is_somebody_elses_is_not_restored_into_and_not_taken_for_half_a_guest);
    tcase_add_test(t, a_save_of_no_domain_is_refused_for_that_reason);
    tcase_add_test(t, a_guest_that_runs_on_does_so_once_captured_before_anything_is_published);
    tcase_add_test(t, invariant_6_a_failure_after_the_resume_costs_the_checkpoint_and_nothing_else);
    tcase_add_test(t, invariant_6_a_guest_whose_resume_fails_is_resumed_all_the_same_and_nothing_is_offered);
    tcase_add_test(t, a_disk_whose_backend_keeps_part_of_it_in_memory_is_refused_before_the_guest_is_paused);
    tcase_add_test(t, a_guest_that_runs_on_needs_disks_that_can_be_kept_or_ram_only_said);
    tcase_add_test(t, a_disk_that_is_no_file_is_left_to_the_hook_and_why_it_fails_is_said_with_guest_and_disk);
    tcase_add_test(t, a_restore_does_not_put_back_what_a_guest_that_arrived_has_displaced);
    tcase_add_test(t, protect_answers_when_the_first_is_published_then_keeps_the_newest_of_its_own_and_all_of_the_users);
    tcase_add_test(t, what_is_protected_is_so_again_after_a_restart_and_old_ones_still_go);
    tcase_add_test(t, a_first_checkpoint_that_fails_is_the_answer_and_nothing_is_protected);
    tcase_add_test(t, protect_does_not_wait_for_a_guest_that_does_not_run);
    tcase_add_test(t, a_guest_that_is_gone_is_not_tried_but_stays_protected_until_it_is_back);
    tcase_add_test(t, a_guest_unprotected_is_left_alone_and_its_checkpoints_stay);
    tcase_add_test(t, a_stop_does_not_wait_for_a_first_checkpoint);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
