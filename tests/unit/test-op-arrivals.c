/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Guests that arrive, as flicd's operation over a real socket: the test is the phone that sends, libflicxl and the helper. */
#include "tests/unit/sender-scene.h"

#include "daemon/lease.h"

#define CAME 50u                /* the domain that arrives */
#define MIGRATION "66666666-6666-6666-6666-666666666666"

/* What is offered when it is decided whose the guest is: a kill could be the next thing. */
static int lease_then;
static bool hold_on;            /* somebody reads the checkpoint then, so that it cannot be forgotten */

static struct nv_name arrived(void)
{
    struct ck_entry entry;

    OK(ck_find(store, "nine", 0, &entry, &err));
    return (struct nv_name){ entry.info.guest, entry.info.seq };
}

int __real_mv_decide(struct fd_daemon *daemon, const struct mv_move *as, enum mv_state *ret_state, struct flic_err *why);
int __wrap_mv_decide(struct fd_daemon *daemon, const struct mv_move *as, enum mv_state *ret_state, struct flic_err *why);
int __wrap_mv_decide(struct fd_daemon *daemon, const struct mv_move *as, enum mv_state *ret_state, struct flic_err *why)
{
    if (as->state == MV_RUNNING) {
        struct nv_name name = arrived();

        lease_then = fd_lease_check(daemon, &as->guest, as->name, NULL);
        if (hold_on)
            OK(ck_use(store, &name, &err));
    }
    return __real_mv_decide(daemon, as, ret_state, why);
}

struct arrival {
    struct flic_talk *owner, *helper;
    struct mw_wire *wire;
    char operation[FD_OP_ID];
};

static struct flic_talk *offer(const char *config, uint64_t gfn_end, uint64_t pages, const void *sketch, size_t len, char operation[FD_OP_ID],
                               struct mw_wire **ret_wire)
{
    struct flic_talk *owner = connect_and_say(json_pack("{s:s}", "op", "receive"));
    struct mh_offer nine = { .migration = scene_uuid(0x66), .guest = scene_uuid(9), .name = "nine", .gfn_end = gfn_end, .pages = pages,
                             .config = (char *)(uintptr_t)config, .disks = (char *)"[]" };

    hear_event(owner, "ready", operation);
    *ret_wire = greet_through(operation);
    OK(mh_send_offer(*ret_wire, &nine, &err));
    OK(mw_send_bytes(*ret_wire, MW_SKETCH, sketch, len, &err));
    return owner;
}

/* Up to where the sender has only to say GO. */
static void arrive(struct arrival *a)
{
    struct flic_uuid guest = scene_uuid(9);
    size_t len;
    void *state = sketch_of(GUEST, &len);

    a->owner = offer("{" NINE "}", 512, 1, state, len, a->operation, &a->wire);
    hear_event(a->owner, "offered", NULL);
    flx_fake_add(CAME, "nine", &guest, 511, 0);
    flx_fake_set_run(CAME, FLX_PAUSED);
    a->helper = connect_and_say(json_pack("{s:s, s:s, s:i}", "op", "join", "operation", a->operation, "domid", (int)CAME));
    send_memory(a->wire);
    OK(mw_send_u64(a->wire, MW_PREPARE, 0, NULL, 0, &err));
    send_state(a->wire, state, len);
    free(state);
    hear_ok(a->helper);
    OK(flic_talk_send(a->owner, about("restored", a->operation), &err));
    await_ready(a->wire);
}

static void say_go(struct arrival *a)
{
    OK(mw_send_bytes(a->wire, MW_GO, NULL, 0, &err));
}

static void end(struct arrival *a)
{
    flic_talk_close(a->helper);
    flic_talk_close(a->owner);
    mw_free(a->wire);
    await_no_operation();
}

/* Its sender, who did not hear the answer: his guest goes on there. */
static void ask_back(void)
{
    struct flic_talk *talk = connect_and_say(json_pack("{s:s, s:s}", "op", "settle", "migration", MIGRATION));
    json_t *answer = hear(talk);

    ck_assert_str_eq(json_string_value(json_object_get(answer, "state")), "refused");
    json_decref(answer);
    flic_talk_close(talk);
}

static bool is_elsewhere(void)
{
    struct flic_uuid nine = scene_uuid(9);
    struct mv_move move;

    return mv_find(&flicd, &nine, MV_ELSEWHERE, &move) != 0;
}

static void restore_nine_is(int code)
{
    struct flic_talk *talk = connect_and_say(json_pack("{s:s, s:s}", "op", "restore", "domain", "nine"));

    if (code)
        hear_refusal(talk, code);
    else
        hear_event(talk, "ready", NULL);
    flic_talk_close(talk);
    await_no_operation();
}

static void set_up_arrivals(void)
{
    set_up();
    lease_then = -1;
    hold_on = false;
}

START_TEST(invariant_9_what_arrived_cannot_be_restored_here_until_it_is_written_down_that_it_is_ours)
{
    struct arrival a;

    arrive(&a);
    say_go(&a);
    hear_ok(a.owner);
    ck_assert_int_eq(lease_then, FLIC_E_ALIVE);
    end(&a);
    ck_assert_int_eq(flx_fake_run(CAME), FLX_RUNNING);
    ck_assert(!is_elsewhere());
    flx_fake_kill(CAME);
    restore_nine_is(0);
}
END_TEST

START_TEST(invariant_9_what_its_sender_has_back_and_cannot_be_forgotten_here_stays_a_copy)
{
    struct nv_name name;
    struct arrival a;

    hold_on = true;
    arrive(&a);
    ask_back();
    say_go(&a);
    hear_refusal(a.owner, FLIC_E_CANCELLED);
    flx_fake_kill(CAME);
    end(&a);
    name = arrived();
    ck_unuse(store, &name);
    restore_nine_is(FLIC_E_ALIVE);
}
END_TEST

START_TEST(of_an_arrival_that_its_sender_has_back_nothing_is_left)
{
    struct arrival a;

    arrive(&a);
    ask_back();
    say_go(&a);
    hear_refusal(a.owner, FLIC_E_CANCELLED);
    flx_fake_kill(CAME);
    end(&a);
    ck_assert(!is_elsewhere());
    ck_assert_uint_eq(scene_count(), 0);
}
END_TEST

START_TEST(of_an_arrival_that_is_never_told_to_go_nothing_is_left)
{
    struct arrival a;

    arrive(&a);
    mw_abort(a.wire, FLIC_E_CANCELLED, "not now");
    hear_refusal(a.owner, FLIC_E_CANCELLED);
    flx_fake_kill(CAME);
    end(&a);
    ck_assert(!is_elsewhere());
    ck_assert_uint_eq(scene_count(), 0);
}
END_TEST

/* ---- what is offered, and what may be in its way ---- */

/* With the state of that domain; then the sender says nothing more. */
static struct flic_talk *offer_with(const char *config, uint32_t domid, char operation[FD_OP_ID], struct mw_wire **ret_wire)
{
    size_t len;
    void *sketch = sketch_of(domid, &len);
    struct flic_talk *owner = offer(config, 2048, 4, sketch, len, operation, ret_wire);

    free(sketch);
    return owner;
}

static struct flic_talk *offer_one(uint32_t domid, char operation[FD_OP_ID], struct mw_wire **ret_wire)
{
    return offer_with("{" NINE "}", domid, operation, ret_wire);
}

START_TEST(invariant_7_libxl_is_given_what_was_read_in_an_arrivals_configuration_and_nothing_of_one_that_reads_two_ways)
{
    static const char *const bad[] = { "{\"c_info\": {}, " NINE "}", "{" NINE ", \"c_info\": {}}", "{" NINE ", \"disks\": [], \"disks\": []}",
                                       "{" NINE ", \"pcidevs\": [{\"dev\": 2}]}" };
    char operation[FD_OP_ID];
    struct flic_talk *owner;
    struct mw_wire *wire;
    json_t *offered;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        owner = offer_with(bad[i], GUEST, operation, &wire);
        hear_refusal(owner, i < 3 ? FLIC_E_PROTOCOL : FLIC_E_REFUSED);
        mw_free(wire);
        flic_talk_close(owner);
        await_no_operation();
    }
    ck_assert_msg(strstr(err.text, "'pcidevs'") != NULL, "%s", err.text);
    owner = offer_with("{ " NINE ",\n\"disks\": [ ] }", GUEST, operation, &wire);
    offered = hear(owner);
    ck_assert_str_eq(json_string_value(json_object_get(offered, "config")),
                     "{\"c_info\":{\"name\":\"nine\",\"uuid\":\"09090909-0909-0909-0909-090909090909\"},\"disks\":[]}");
    json_decref(offered);
    mw_free(wire);
    flic_talk_close(owner);
    await_no_operation();
}
END_TEST

/* Its power was cut: no end of the connection ever came. */
START_TEST(an_arrival_whose_sender_is_not_heard_any_more_gives_way_to_the_same_guests_next)
{
    struct flic_uuid nine = scene_uuid(9);
    char operation[FD_OP_ID];
    struct mw_wire *silent, *wire;
    struct flic_talk *first = offer_one(GUEST, operation, &silent), *helper, *second;

    hear_event(first, "offered", NULL);
    flx_fake_add(50, "nine", &nine, 2048, 0);
    helper = connect_and_say(json_pack("{s:s, s:s, s:i}", "op", "join", "operation", operation, "domid", 50));
    for (int i = 0; i < 500 && !fd_op_holds(&flicd, 50); i++)
        (void)usleep(10000);
    ck_assert(fd_op_holds(&flicd, 50));
    second = offer_one(GUEST, operation, &wire);
    hear_refusal(first, FLIC_E_CANCELLED);
    ck_assert_msg(strstr(err.text, "began anew") != NULL, "%s", err.text);
    flx_fake_kill(50);
    flic_talk_close(helper);
    hear_event(second, "offered", NULL);
    mw_free(silent);
    mw_free(wire);
    flic_talk_close(first);
    flic_talk_close(second);
    await_no_operation();
}
END_TEST

/* The one before was broken off, and its domain is not destroyed yet. */
START_TEST(what_a_broken_arrival_left_paused_is_waited_for_until_it_is_gone)
{
    struct flic_uuid nine = scene_uuid(9);
    char operation[FD_OP_ID];
    struct flic_talk *owner;
    struct mw_wire *wire;

    flx_fake_add(12, "nine", &nine, 0, 64);
    flx_fake_set_run(12, FLX_PAUSED);
    owner = offer_one(GUEST, operation, &wire);
    (void)usleep(300000);
    flx_fake_kill(12);
    hear_event(owner, "offered", NULL);
    mw_free(wire);
    flic_talk_close(owner);
    await_no_operation();
}
END_TEST

START_TEST(invariant_9_a_restore_does_not_give_way_to_an_arrival)
{
    struct flic_talk *restore, *owner;
    char operation[FD_OP_ID];
    struct mw_wire *wire;

    flx_fake_kill(GUEST);
    scene_guest(GUEST, "nine", 9, GUEST_PAGES);
    save_whole();
    flx_fake_kill(GUEST);
    restore = connect_and_say(json_pack("{s:s, s:s}", "op", "restore", "domain", "nine"));
    hear_event(restore, "ready", NULL);
    scene_guest(8, "other", 3, GUEST_PAGES);
    owner = offer_one(8, operation, &wire);
    hear_refusal(owner, FLIC_E_BUSY);
    mw_free(wire);
    flic_talk_close(owner);
    flic_talk_close(restore);
    await_no_operation();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op-arrivals");
    TCase *t = tcase_create("op-arrivals");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up_arrivals, tear_down);
    tcase_add_test(t, invariant_9_what_arrived_cannot_be_restored_here_until_it_is_written_down_that_it_is_ours);
    tcase_add_test(t, invariant_9_what_its_sender_has_back_and_cannot_be_forgotten_here_stays_a_copy);
    tcase_add_test(t, of_an_arrival_that_its_sender_has_back_nothing_is_left);
    tcase_add_test(t, of_an_arrival_that_is_never_told_to_go_nothing_is_left);
    suite_add_tcase(s, t);
    t = tcase_create("offers");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, invariant_7_libxl_is_given_what_was_read_in_an_arrivals_configuration_and_nothing_of_one_that_reads_two_ways);
    tcase_add_test(t, an_arrival_whose_sender_is_not_heard_any_more_gives_way_to_the_same_guests_next);
    tcase_add_test(t, what_a_broken_arrival_left_paused_is_waited_for_until_it_is_gone);
    tcase_add_test(t, invariant_9_a_restore_does_not_give_way_to_an_arrival);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
