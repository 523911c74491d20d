/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Pushes and pulls as flicd's operations over a real socket: the test is the program that asks, and the peer. */
#include "tests/unit/op-scene.h"

#include "daemon/migrate/copy.h"
#include "daemon/migrate/hello.h"

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
    owner = connect_and_say(json_pack("{s:s, s:s}", "op", "claim", "domain", "web"));
    hear_ok(owner);
    flic_talk_close(owner);
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
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
