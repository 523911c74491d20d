/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Pushes and pulls as flicd's operations over a real socket: the test is the program that asks, and the peer. */
#include "tests/unit/sender-scene.h"

#include "daemon/migrate/copy.h"
#include "daemon/migrate/give.h"
#include "daemon/moves.h"

#include <errno.h>

/* The folder of what is noted does not get to flash. */
static atomic_bool cannot_sync;

int __real_flic_sync_parent(const char *file, struct flic_err *why);
int __wrap_flic_sync_parent(const char *file, struct flic_err *why);
int __wrap_flic_sync_parent(const char *file, struct flic_err *why)
{
    return cannot_sync && strstr(file, "/moves/") ? flic_err_set(why, -EIO, "sync '%s'", file) : __real_flic_sync_parent(file, why);
}

/* Opens the operation and its tunnel, and takes the offer. */
static struct flic_talk *be_pushed_to(struct mw_wire **ret_wire, struct mc_offer *ret_offer)
{
    struct flic_talk *owner = connect_and_say(json_pack("{s:s, s:s, s:s}", "op", "give", "domain", "web", "peer", "phone2")), *tunnel;
    char operation[FD_OP_ID];
    struct md_key key;

    hear_event(owner, "ready", operation);
    tunnel = connect_and_say(about("tunnel", operation));
    OK(mw_new(dup(flic_talk_fd(tunnel)), NULL, 0, scene_never, NULL, ret_wire, &err));
    flic_talk_close(tunnel);
    OK(mh_greet(*ret_wire, false, &key, &err));
    OK(mc_get_offer(*ret_wire, ret_offer, &err));
    return owner;
}

/* As a peer that had nothing of it, up to the sender's last word, which is given. */
static uint8_t take_it(struct mw_wire *wire)
{
    const uint8_t there[8] = { 5 };
    struct mw_message m = { .type = 0 };

    OK(mh_send_accept(wire, false, 0, &err));
    while (m.type != MW_CHECK)
        OK(mw_receive(wire, 5, &m, &err));
    OK(mw_send_bytes(wire, MW_READY, there, sizeof(there), &err));
    OK(mw_expect(wire, MW_GO, 5, &m, &err));
    ck_assert_uint_eq(m.len, 1);
    return m.data[0];
}

static void restore_is(int code)
{
    struct flic_talk *talk = connect_and_say(a_restore(false));

    if (code)
        hear_refusal(talk, code);
    else
        hear_event(talk, "ready", NULL);
    flic_talk_close(talk);
    await_no_operation();
}

static void claim_is(const char *domain, int code)
{
    struct flic_talk *talk = connect_and_say(json_pack("{s:s, s:s}", "op", "claim", "domain", domain));

    if (code)
        hear_refusal(talk, code);
    else
        hear_ok(talk);
    flic_talk_close(talk);
}

START_TEST(invariant_9_a_push_whose_last_word_is_lost_leaves_nobody_the_right_until_it_is_claimed)
{
    struct flic_talk *owner;
    struct mc_offer offer;
    struct mw_wire *wire;

    save_whole();
    flx_fake_kill(GUEST);
    owner = be_pushed_to(&wire, &offer);
    ck_assert(offer.handed);
    ck_assert_uint_eq(take_it(wire), 1);
    mw_free(wire);
    mc_offer_fini(&offer);
    hear_refusal(owner, FLIC_E_UNSURE);
    flic_talk_close(owner);
    await_no_operation();
    restore_is(FLIC_E_ALIVE);
    claim_is("web", 0);
    restore_is(0);
}
END_TEST

START_TEST(a_push_whose_right_the_peer_does_not_take_leaves_it_here)
{
    struct flic_talk *owner;
    struct mc_offer offer;
    struct mw_wire *wire;

    save_whole();
    flx_fake_kill(GUEST);
    owner = be_pushed_to(&wire, &offer);
    (void)take_it(wire);
    mw_abort(wire, FLIC_E_NOSPACE, "no room to note it");
    hear_refusal(owner, FLIC_E_NOSPACE);
    mw_free(wire);
    mc_offer_fini(&offer);
    flic_talk_close(owner);
    await_no_operation();
    restore_is(0);
}
END_TEST

START_TEST(invariant_9_the_right_is_not_claimed_back_while_the_peer_is_asked_whether_it_took_it)
{
    struct flic_talk *owner;
    struct mc_offer offer;
    struct mw_wire *wire;

    save_whole();
    flx_fake_kill(GUEST);
    owner = be_pushed_to(&wire, &offer);
    ck_assert_uint_eq(take_it(wire), 1);
    claim_is("web", FLIC_E_BUSY);
    OK(mw_send_bytes(wire, MW_DONE, NULL, 0, &err));
    hear_ok(owner);
    mw_free(wire);
    mc_offer_fini(&offer);
    flic_talk_close(owner);
    await_no_operation();
    restore_is(FLIC_E_ALIVE);
}
END_TEST

START_TEST(of_a_guest_that_lives_here_a_copy_goes_and_no_right)
{
    struct flic_talk *owner;
    struct mc_offer offer;
    struct mw_wire *wire;

    save_whole();
    owner = be_pushed_to(&wire, &offer);
    ck_assert(!offer.handed);
    ck_assert_uint_eq(take_it(wire), 0);
    OK(mw_send_bytes(wire, MW_DONE, NULL, 0, &err));
    hear_ok(owner);
    mw_free(wire);
    mc_offer_fini(&offer);
    flic_talk_close(owner);
    await_no_operation();
    flx_fake_kill(GUEST);
    restore_is(0);
}
END_TEST

START_TEST(a_checkpoint_there_is_not_is_not_pushed_and_what_comes_with_anothers_configuration_is_not_taken)
{
    struct flic_talk *owner, *tunnel;
    struct mc_offer offer = { .name = "web", .arch = "fake", .from = "mallory", .seq = 1, .gfn_end = 1024, .pages = 2, .config = (char *)"{}" };
    char operation[FD_OP_ID];
    struct mw_message m;
    struct mw_wire *wire;
    struct md_key key;

    owner = connect_and_say(json_pack("{s:s, s:s, s:s}", "op", "give", "domain", "web", "peer", "phone2"));
    hear_refusal(owner, FLIC_E_NOCHECKPOINT);
    flic_talk_close(owner);
    await_no_operation();
    owner = connect_and_say(json_pack("{s:s}", "op", "get"));
    hear_event(owner, "ready", operation);
    tunnel = connect_and_say(about("tunnel", operation));
    OK(mw_new(dup(flic_talk_fd(tunnel)), NULL, 0, scene_never, NULL, &wire, &err));
    flic_talk_close(tunnel);
    OK(mh_greet(wire, true, &key, &err));
    OK(mc_send_offer(wire, &offer, &err));
    ck_assert_int_eq(mw_receive(wire, 5, &m, &err), FLIC_E_PROTOCOL);
    mw_free(wire);
    hear_refusal(owner, FLIC_E_PROTOCOL);
    flic_talk_close(owner);
    await_no_operation();
}
END_TEST

/* ---- what is pushed here: the test is the phone that pushes the newest checkpoint, as if it had another configuration ---- */

#define C_INFO "\"c_info\": {\"name\": \"web\", \"uuid\": \"01010101-0101-0101-0101-010101010101\"}"
#define PATH_ONLY "\"pdev_path\": \"/guests/a.img\""

static int give(struct mw_wire *wire, struct ck_loaded *as)
{
    struct flic_uuid push = scene_uuid(0x77);
    struct md_key key;
    struct mg_params params = { .wire = wire, .key = &key, .store = store, .loaded = as, .push = &push, .from = "phone2", .owner_group = "", .handed = true,
                                .progress = scene_no_progress };
    struct mg_giver *giver = NULL;
    uint64_t seq;
    bool sent;
    int rc = mh_greet(wire, true, &key, &err);

    rc = rc ? rc : mg_new(&params, &giver, &err);
    rc = rc ? rc : mg_send(giver, &seq, &err);
    rc = rc ? rc : mg_hand_over(giver, true, &sent, &err);
    mg_free(giver);
    return rc;
}

static void push_with(const char *config, int code)
{
    struct flic_talk *owner = connect_and_say(json_pack("{s:s}", "op", "get")), *tunnel;
    char operation[FD_OP_ID], *own;
    struct ck_loaded loaded;
    struct ck_entry entry;
    struct mw_wire *wire;

    hear_event(owner, "ready", operation);
    tunnel = connect_and_say(about("tunnel", operation));
    OK(mw_new(dup(flic_talk_fd(tunnel)), NULL, 0, scene_never, NULL, &wire, &err));
    flic_talk_close(tunnel);
    OK(ck_find(store, "web", 0, &entry, &err));
    OK(ck_load(store, &entry, &loaded, &err));
    own = loaded.root.config;
    loaded.root.config = (char *)(uintptr_t)config;
    ck_assert_msg(give(wire, &loaded) == code, "%s: %s", config, err.text);
    loaded.root.config = own;
    ck_unload(store, &loaded);
    mw_free(wire);
    if (code)
        hear_refusal(owner, code);
    else
        hear_ok(owner);
    flic_talk_close(owner);
    await_no_operation();
}

START_TEST(invariant_7_of_a_copy_nothing_is_stored_of_whose_configuration_libxl_and_flicd_would_read_two_things)
{
    save_whole();
    flx_fake_kill(GUEST);
    push_with("{" C_INFO ", \"disks\": [{\"pdev_path\": \"/dev/mmcblk0\", " PATH_ONLY ", \"vdev\": \"xvda\"}]}", FLIC_E_PROTOCOL);
    push_with("{" C_INFO ", \"b_info\": {\"device_model\": \"/tmp/x\"}}", FLIC_E_REFUSED);
    ck_assert_msg(strstr(err.text, "b_info.device_model") != NULL, "%s", err.text);
    ck_assert_uint_eq(scene_count(), 1);
}
END_TEST

START_TEST(what_is_stored_of_a_copy_is_the_configuration_that_was_checked_and_it_is_found_again)
{
    const char *config = "{\n  " C_INFO ", \"disks\": [ ]\n}";
    struct ck_loaded loaded;
    struct ck_entry entry;

    save_whole();
    flx_fake_kill(GUEST);
    push_with(config, 0);
    ck_assert_uint_eq(scene_count(), 2);
    OK(ck_find(store, "web", 0, &entry, &err));
    OK(ck_load(store, &entry, &loaded, &err));
    ck_assert_str_eq(loaded.root.config, "{\"c_info\":{\"name\":\"web\",\"uuid\":\"01010101-0101-0101-0101-010101010101\"},\"disks\":[]}");
    ck_unload(store, &loaded);
    push_with(config, 0);
    ck_assert_uint_eq(scene_count(), 2);
}
END_TEST

START_TEST(an_own_checkpoint_that_comes_back_is_found_as_libxl_wrote_it)
{
    const char *config = "{\n  " C_INFO ", \"disks\": [ ]\n}";

    save_whole_of(json_pack("{s:s, s:i, s:s}", "op", "save", "domid", (int)GUEST, "config", config));
    flx_fake_kill(GUEST);
    push_with(config, 0);
    ck_assert_uint_eq(scene_count(), 1);
}
END_TEST

static void ram_only_restore_is(int code)
{
    struct flic_talk *talk = connect_and_say(json_pack("{s:s, s:s, s:b}", "op", "restore", "domain", "web", "ram_only", 1));

    if (code)
        hear_refusal(talk, code);
    else
        hear_event(talk, "ready", NULL);
    flic_talk_close(talk);
    await_no_operation();
}

START_TEST(invariant_7_a_copys_memory_is_restored_only_where_its_disks_may_be)
{
    char config[400], disk[96];

    save_whole();
    flx_fake_kill(GUEST);
    (void)snprintf(disk, sizeof(disk), "%s/web.img", scene_dir);
    (void)snprintf(config, sizeof(config), "{" C_INFO ", \"disks\": [{\"pdev_path\": \"%s\", \"vdev\": \"xvda\", \"readwrite\": 1}]}", disk);
    push_with(config, 0);
    ram_only_restore_is(FLIC_E_DISK);
    ck_assert_msg(strstr(err.text, disk) && strstr(err.text, "disk_folders") && strstr(err.text, "phone2"), "%s", err.text);
    (void)snprintf(flicd.conf.shared_disk_folders, sizeof(flicd.conf.shared_disk_folders), "\n%s\n", scene_dir);
    ram_only_restore_is(0);
    flicd.conf.shared_disk_folders[0] = '\0';
    ram_only_restore_is(FLIC_E_DISK);
    (void)snprintf(flicd.conf.disk_folders, sizeof(flicd.conf.disk_folders), "\n%s\n", scene_dir);
    ram_only_restore_is(0);
}
END_TEST

START_TEST(a_copy_whose_disk_is_known_here_as_its_guests_own_is_restored_without_a_folder)
{
    char config[400], disk[96];
    int fd;

    (void)snprintf(disk, sizeof(disk), "%s/web.img", scene_dir);
    fd = open(disk, O_WRONLY | O_CREAT, 0600);
    ck_assert(fd >= 0 && !close(fd));
    (void)snprintf(config, sizeof(config), "{" C_INFO ", \"disks\": [{\"pdev_path\": \"%s\", \"vdev\": \"xvda\", \"readwrite\": 1}]}", disk);
    save_whole_of(json_pack("{s:s, s:i, s:s}", "op", "save", "domid", (int)GUEST, "config", config));
    flx_fake_kill(GUEST);
    strcpy(strrchr(config, ']'), "], \"on_crash\": \"destroy\"}");      /* another checkpoint, not the same */
    push_with(config, 0);
    ck_assert_uint_eq(scene_count(), 2);
    ram_only_restore_is(0);
    ck_assert_int_eq(unlink(disk), 0);
    ram_only_restore_is(FLIC_E_DISK);
}
END_TEST

START_TEST(an_own_checkpoint_is_restored_wherever_its_disks_are)
{
    save_whole_of(json_pack("{s:s, s:i, s:s, s:b}", "op", "save", "domid", (int)GUEST, "config", "{\"disks\":[{\"pdev_path\":\"/dev/null\",\"vdev\":\"xvda\","
                            "\"readwrite\":1}]}", "ram_only", 1));
    flx_fake_kill(GUEST);
    ram_only_restore_is(0);
}
END_TEST

/* ---- the test is the phone that pushes ---- */

static const struct mc_offer nine = {
    .name = "nine", .arch = "fake", .from = "phone3", .seq = 1, .gfn_end = 512, .pages = 1, .handed = true,
    .config = (char *)"{" NINE ", \"disks\": []}",
};

/* One page of zeros, up to where only the last word is to be said. */
static struct flic_talk *push_nine(uint8_t push, struct mw_wire **ret_wire)
{
    struct flic_talk *owner = connect_and_say(json_pack("{s:s}", "op", "get"));
    struct mc_offer offer = nine;
    char operation[FD_OP_ID];
    size_t len;
    void *state = sketch_of(GUEST, &len);

    offer.push = scene_uuid(push);
    offer.guest = scene_uuid(9);
    hear_event(owner, "ready", operation);
    *ret_wire = greet_through(operation);
    OK(mc_send_offer(*ret_wire, &offer, &err));
    send_memory(*ret_wire);
    send_state(*ret_wire, state, len);
    free(state);
    await_ready(*ret_wire);
    return owner;
}

static void say_last_word(struct mw_wire *wire)
{
    OK(mw_send_bytes(wire, MW_GO, "\1", 1, &err));
}

static bool nine_is(enum mv_state state)
{
    struct flic_uuid guest = scene_uuid(9);
    struct mv_move move;

    return mv_find(&flicd, &guest, 1u << state, &move) == 1;
}

START_TEST(the_right_comes_with_the_last_word)
{
    struct mw_wire *wire;
    struct flic_talk *owner = push_nine(0x71, &wire);
    struct mw_message m;

    ck_assert(nine_is(MV_COPY));
    say_last_word(wire);
    OK(mw_expect(wire, MW_DONE, 5, &m, &err));
    hear_ok(owner);
    ck_assert(!nine_is(MV_COPY));
    mw_free(wire);
    flic_talk_close(owner);
    await_no_operation();
}
END_TEST

START_TEST(invariant_6_a_push_does_not_undo_a_hand_over_that_began_meanwhile)
{
    struct mv_move handing = { .migration = scene_uuid(0x61), .guest = scene_uuid(9), .name = "nine", .peer = "phone2", .state = MV_HANDING };
    struct mw_wire *wire;
    struct flic_talk *owner = push_nine(0x71, &wire);
    struct mw_message m;

    OK(mv_write(&flicd, &handing, &err));
    say_last_word(wire);
    ck_assert_int_eq(mw_receive(wire, 5, &m, &err), FLIC_E_BUSY);
    hear_refusal(owner, FLIC_E_BUSY);
    ck_assert(nine_is(MV_HANDING) && nine_is(MV_COPY));
    mw_free(wire);
    flic_talk_close(owner);
    await_no_operation();
}
END_TEST

START_TEST(invariant_9_a_right_that_may_be_taken_is_not_said_to_be_refused)
{
    struct mw_wire *wire;
    struct flic_talk *owner = push_nine(0x71, &wire);
    struct mw_message m;

    cannot_sync = true;
    say_last_word(wire);
    hear_refusal(owner, FLIC_E_UNSURE);
    cannot_sync = false;
    ck_assert_int_ne(mw_receive(wire, 5, &m, &err), 0);
    ck_assert(!mw_peer_aborted(wire));
    mw_free(wire);
    flic_talk_close(owner);
    await_no_operation();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op-copies");
    TCase *t = tcase_create("op-copies");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, invariant_9_a_push_whose_last_word_is_lost_leaves_nobody_the_right_until_it_is_claimed);
    tcase_add_test(t, a_push_whose_right_the_peer_does_not_take_leaves_it_here);
    tcase_add_test(t, of_a_guest_that_lives_here_a_copy_goes_and_no_right);
    tcase_add_test(t, a_checkpoint_there_is_not_is_not_pushed_and_what_comes_with_anothers_configuration_is_not_taken);
    tcase_add_test(t, invariant_7_of_a_copy_nothing_is_stored_of_whose_configuration_libxl_and_flicd_would_read_two_things);
    tcase_add_test(t, what_is_stored_of_a_copy_is_the_configuration_that_was_checked_and_it_is_found_again);
    tcase_add_test(t, an_own_checkpoint_that_comes_back_is_found_as_libxl_wrote_it);
    tcase_add_test(t, invariant_7_a_copys_memory_is_restored_only_where_its_disks_may_be);
    tcase_add_test(t, a_copy_whose_disk_is_known_here_as_its_guests_own_is_restored_without_a_folder);
    tcase_add_test(t, an_own_checkpoint_is_restored_wherever_its_disks_are);
    tcase_add_test(t, the_right_comes_with_the_last_word);
    tcase_add_test(t, invariant_6_a_push_does_not_undo_a_hand_over_that_began_meanwhile);
    tcase_add_test(t, invariant_9_a_right_that_may_be_taken_is_not_said_to_be_refused);
    tcase_add_test(t, invariant_9_the_right_is_not_claimed_back_while_the_peer_is_asked_whether_it_took_it);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
