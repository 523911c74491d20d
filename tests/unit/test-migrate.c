/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* A guest goes from one store to another: two stores, two threads, one socket, and Xen's twin on both sides. */
#include "daemon/migrate/estimate.h"
#include "daemon/migrate/heat.h"
#include "daemon/migrate/receive.h"
#include "daemon/migrate/send.h"
#include "tests/unit/hostile-peer.h"
#include "tests/unit/other-store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONFIG "{\"c_info\": {\"name\": \"web\"}, \"disks\": []}"
#define THERE 40u               /* domid on the other side */

static struct image image;

/* ---- how long the wire is given ---- */

static unsigned given_s[8], n_given, give_at_most_s;    /* 0: what is asked for */

void __real_mw_deadline(struct mw_wire *wire, unsigned seconds);
void __wrap_mw_deadline(struct mw_wire *wire, unsigned seconds);

void __wrap_mw_deadline(struct mw_wire *wire, unsigned seconds)
{
    if (n_given < 8)
        given_s[n_given++] = seconds;
    __real_mw_deadline(wire, give_at_most_s && seconds > give_at_most_s ? give_at_most_s : seconds);
}

static void set_up(void)
{
    n_given = give_at_most_s = 0;
    scene_begin(16 * MIB);
    other_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
}

static void tear_down(void)
{
    image_free(&image);
    other_end();
    scene_end();
}

/* ---- the two sides ---- */

struct trip {
    struct ck_store *from, *to;
    uint32_t here, there;       /* domids */
    const char *group_here, *group_there;
    int (*at_suspend)(struct trip *t);
    bool refuse, cancel_there, auto_converge;
    bool drips;                 /* the receiver says a byte now and then instead of its last word but one */
    struct ck_arrival **kept;   /* what a failed one leaves, for the next */
    unsigned max_downtime_ms, race_us;
    unsigned writes_late;       /* so many times 50 pages between the wish to suspend and the suspend */
    bool raced;
    unsigned lags;              /* how often the 50 before had not all arrived by then */
    atomic_bool prepared;

    int sockets[2];
    pthread_t receiver;
    int send_rc, receive_rc;
    struct flic_err send_err, receive_err;
    bool go_sent, runs_there;
    struct nv_name here_name, there_name;
    struct ms_figures sent;
    struct mr_figures received;
    struct ms_sender *sender;
    struct ck_save *save;
    struct flx_dom *dom;
};

static bool cancelled_there(void *arg)
{
    return ((struct trip *)arg)->cancel_there;
}

static int load_newest(struct ck_store *in, const struct flic_uuid *guest, struct ck_loaded *loaded)
{
    char uuid[FLIC_UUID_TEXT];
    struct ck_entry entry;

    flic_uuid_text(guest, uuid);
    return ck_find(in, uuid, 0, &entry, NULL) || ck_load(in, &entry, loaded, NULL);
}

static int know_group(struct trip *t, struct mr_receiver *r, struct flic_err *why)
{
    struct ck_entry *entries = NULL;
    size_t n = 0;
    int rc = 0;

    if (!t->group_there || !mr_is_group(r, t->group_there))
        return 0;
    rc = ck_list(t->to, &entries, &n, why);
    for (size_t i = 0; !rc && i < n; i++) {
        struct ck_loaded loaded;

        rc = ck_load(t->to, &entries[i], &loaded, why);
        if (!rc) {
            rc = mr_know(r, &loaded, why);
            ck_unload(t->to, &loaded);
        }
    }
    free(entries);
    return rc;
}

static int take(struct trip *t, struct mr_receiver *r, struct flic_err *why)
{
    struct flx_ports ports = { 1, 0, 2, 0 };
    struct flx_built built;
    struct flx_dom *dom;
    int rc;

    flx_fake_add(t->there, mr_offer(r)->name, &mr_offer(r)->guest, mr_offer(r)->gfn_end, 0);
    rc = flx_open(t->there, &dom, why);
    if (rc)
        return rc;
    rc = mr_accept(r, 0, why);
    if (!rc)
        rc = mr_take(r, dom, why);
    if (!rc)
        rc = mr_finish(r, &ports, &built, why);
    if (!rc)
        rc = t->drips ? hostile_drip(t->sockets[1]) : mr_ready(r, why);
    if (!rc)
        rc = mr_publish(r, "[]", 2, why);
    t->there_name = (struct nv_name){ mr_facts(r)->guest, mr_facts(r)->seq };
    t->runs_there = !rc;
    if (!rc)
        rc = mr_confirm(r, why);
    mr_get_figures(r, &t->received);
    if (rc && t->kept)
        *t->kept = mr_keep(r);
    mr_free(r);
    flx_close(dom);
    return rc;
}

static void *receive(void *arg)
{
    struct trip *t = arg;
    struct mw_wire *wire;
    struct mr_params params = { .store = t->to, .progress = scene_no_progress };
    struct ck_loaded base;
    struct mr_receiver *r;
    bool has_base = false;
    int rc = mw_new(t->sockets[1], NULL, 0, cancelled_there, t, &wire, &t->receive_err);

    params.wire = wire;
    if (!rc)
        rc = mr_hear(&params, &r, &t->receive_err);
    if (!rc && t->refuse)
        rc = flic_err_set(&t->receive_err, FLIC_E_MISMATCH, "it has another GIC");
    if (!rc) {
        has_base = !load_newest(t->to, &mr_offer(r)->guest, &base);
        rc = know_group(t, r, &t->receive_err);
    }
    if (!rc)
        rc = mr_begin(r, "fake", has_base ? &base : NULL, t->kept ? *t->kept : NULL, &t->receive_err);
    if (!rc)
        rc = take(t, r, &t->receive_err);
    else if (t->refuse)
        mr_free(r);
    if (has_base)
        ck_unload(t->to, &base);
    if (rc)
        mw_abort(wire, rc, t->receive_err.text);
    mw_free(wire);
    t->receive_rc = rc;
    return NULL;
}

static bool is_there(const struct trip *t, uint64_t first, uint64_t n)
{
    for (uint64_t gfn = first; gfn < first + n; gfn++) {
        const uint8_t *there = flx_fake_page(t->there, gfn);

        if (!there || memcmp(there, flx_fake_page(t->here, gfn), FLIC_PAGE_SIZE))
            return false;
    }
    return true;
}

static bool suspends_late(void *arg, uint64_t until_us)
{
    struct trip *t = arg;

    (void)until_us;
    if (t->raced && !is_there(t, 300 + t->writes_late * 50, 50))
        t->lags++;
    t->raced = true;
    if (!t->writes_late)
        return true;
    t->writes_late--;
    scene_dirty(t->here, 300 + t->writes_late * 50, 50, 4711);
    return false;
}

static int suspend(void *arg, struct flic_err *why)
{
    struct trip *t = arg;

    if (t->writes_late)
        OK(ms_race_on(t->sender, t->save, suspends_late, t, why));
    if (t->at_suspend && t->at_suspend(t))
        return FLIC_E_GUEST;
    flx_fake_set_run(t->here, FLX_SUSPENDED);
    image_take(&image, t->here, GUEST_PAGES);
    return 0;
}

static void dirtied(void *arg, const uint64_t *bitmap, uint64_t gfn_end)
{
    ms_dirtied(((struct trip *)arg)->sender, bitmap, gfn_end);
}

static int send_all(struct trip *t, struct ck_save *save, struct flic_err *why)
{
    const void *state;
    size_t len;
    int rc = ck_save_rounds(save, why);

    t->save = save;
    if (!rc)
        rc = ms_live(t->sender, save, why);
    if (!rc)
        rc = ck_save_settle(save, why);
    t->prepared = true;
    if (!rc)
        rc = ms_once_more(t->sender, save, why);
    if (!rc)
        rc = ck_save_capture(save, why);
    if (rc)
        return rc;
    state = ck_save_state(save, &len);
    ms_limit_pause(t->sender);
    rc = ms_last(t->sender, state, len, 1, why);
    if (!rc)
        rc = ms_await(t->sender, why);
    if (!rc)
        rc = ms_hand_over(t->sender, &t->go_sent, why);
    return rc ? rc : ck_save_publish(save, "[]", 2, why);
}

static void run(struct trip *t)
{
    struct flic_uuid migration = scene_uuid(0x77);
    struct ms_params params = { .migration = &migration, .config = CONFIG, .disks = "[]", .rounds_max = 5, .cool_ms = 2, .race_us = t->race_us ? t->race_us : 3600000000,
                                .owner_group = t->group_here ? t->group_here : "",
                                .max_downtime_ms = t->max_downtime_ms ? t->max_downtime_ms : 100000, .auto_converge = t->auto_converge, .progress = scene_no_progress };
    struct ck_save_params saving = { .config = CONFIG, .config_len = strlen(CONFIG), .live_rounds_max = 4, .live_stop_pages = 16,
                                     .threads = 2, .suspend = suspend, .dirtied = dirtied, .cancelled = scene_never, .progress = scene_no_progress,
                                     .arg = t };
    struct flic_err *why = &t->send_err;
    struct ck_save *save = NULL;
    struct mw_wire *wire;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, t->sockets), 0);
    ck_assert_int_eq(pthread_create(&t->receiver, NULL, receive, t), 0);
    OK(flx_open(t->here, &t->dom, &err));
    OK(mw_new(t->sockets[0], NULL, 0, scene_never, NULL, &wire, &err));
    saving.dom = params.dom = t->dom;
    params.wire = wire;
    t->send_rc = ms_new(&params, &t->sender, why);
    if (!t->send_rc)
        t->send_rc = ck_save_new(t->from, &saving, &save, why);
    if (!t->send_rc)
        t->send_rc = send_all(t, save, why);
    if (t->sender)
        ms_get_figures(t->sender, &t->sent);
    if (save)
        t->here_name = (struct nv_name){ ck_save_facts(save)->guest, ck_save_facts(save)->seq };
    ck_save_free(save);
    if (t->send_rc)
        mw_abort(wire, t->send_rc, why->text);
    ms_free(t->sender);
    mw_free(wire);
    flx_close(t->dom);
    ck_assert_int_eq(pthread_join(t->receiver, NULL), 0);
}

static void must_have_arrived(const struct trip *t)
{
    ck_assert_msg(!t->send_rc, "the sender failed: %d, %s", t->send_rc, t->send_err.text);
    ck_assert_msg(!t->receive_rc, "the receiver failed: %d, %s", t->receive_rc, t->receive_err.text);
    ck_assert(t->runs_there);
    ck_assert(flx_fake_built(t->there));
    image_compare(&image, t->there);
}

static void must_arrive(struct trip *t)
{
    run(t);
    must_have_arrived(t);
}

/* The one that arrived runs on there; the one here is gone, as its toolstack would see to. */
static void move_on(const struct trip *t)
{
    flx_fake_kill(t->here);
    flx_fake_set_run(t->there, FLX_RUNNING);
}

/* ---- what holds ---- */

static int write_much(struct trip *t)
{
    scene_dirty(t->here, 700, 300, 9);
    return 0;
}

START_TEST(a_guest_arrives_with_every_page_and_its_checkpoint_is_offered_on_both_sides)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .at_suspend = write_much };
    struct ck_entry entry;

    must_arrive(&t);
    ck_assert_uint_eq(t.sent.pages.ram_pages, GUEST_PAGES - 2);       /* the hole and the page to skip */
    ck_assert_uint_ge(t.sent.last_pages, 250);
    ck_assert_uint_eq(t.sent.pages.there_pages, 0);
    ck_assert_uint_eq(t.received.pages.received_pages, t.sent.pages.sent_pages);
    ck_assert_int_eq(ck_find_exact(store, &t.here_name.guest, t.here_name.seq, &entry, NULL), 0);
    ck_assert_int_eq(ck_find_exact(other, &t.there_name.guest, t.there_name.seq, &entry, NULL), 0);
}
END_TEST

START_TEST(what_arrived_can_be_restored_there)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .at_suspend = write_much };

    must_arrive(&t);
    flx_fake_kill(THERE);
    other_restore_and_compare(&t.there_name, &image);
}
END_TEST

START_TEST(invariant_10_on_its_way_back_only_what_changed_is_sent)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .at_suspend = write_much };
    struct trip back = { .from = other, .to = store, .here = THERE, .there = 50 };

    must_arrive(&t);
    move_on(&t);
    scene_dirty(THERE, 30, 40, 100000);
    must_arrive(&back);
    ck_assert_uint_eq(back.sent.pages.sent_pages, 40);
    ck_assert_uint_eq(back.received.pages.received_pages, 40);
    ck_assert_uint_ge(back.received.pages.same_pages, GUEST_PAGES * 3 / 4);
    ck_assert_uint_lt(back.sent.pages.page_bytes, t.sent.pages.page_bytes / 10);
}
END_TEST

START_TEST(a_page_that_moved_within_the_guest_is_found_and_not_sent)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE };
    struct trip back = { .from = other, .to = store, .here = THERE, .there = 50 };
    uint8_t page[PAGE];

    must_arrive(&t);
    move_on(&t);
    memcpy(page, flx_fake_page(THERE, 33), PAGE);
    flx_fake_write(THERE, 1201, 0, page, PAGE);
    must_arrive(&back);
    ck_assert_uint_eq(back.received.pages.found_pages, 1);
    ck_assert_uint_eq(back.sent.pages.sent_pages, 0);
}
END_TEST

START_TEST(a_sibling_costs_little_between_stores_of_one_owner_and_all_of_it_between_others)
{
    struct trip first = { .from = store, .to = other, .here = GUEST, .there = THERE };
    struct trip stranger = { .from = store, .to = other, .here = 8, .there = 41, .group_here = "mine", .group_there = "yours" };
    struct trip sibling = { .from = store, .to = other, .here = 8, .there = 42, .group_here = "ours", .group_there = "ours" };
    struct flic_uuid uuid = scene_uuid(2);

    must_arrive(&first);
    scene_guest(8, "web2", 1, GUEST_PAGES);
    flx_fake_set_uuid(8, &uuid);
    run(&stranger);
    ck_assert_uint_eq(stranger.sent.pages.there_pages, 0);
    flx_fake_set_run(8, FLX_RUNNING);
    flx_fake_kill(41);
    ck_assert_int_eq(ck_forget(other, &stranger.there_name, false, &(uint64_t){ 0 }, NULL), 0);
    must_arrive(&sibling);
    ck_assert_uint_eq(sibling.sent.pages.sent_pages, 0);
    ck_assert_uint_ge(sibling.sent.pages.there_pages, GUEST_PAGES * 3 / 4);
}
END_TEST

START_TEST(a_receiver_that_refuses_says_why_and_the_guest_runs_on)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .refuse = true };

    run(&t);
    ck_assert_int_eq(t.send_rc, FLIC_E_MISMATCH);
    ck_assert_ptr_nonnull(strstr(t.send_err.text, "another GIC"));
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
}
END_TEST

static int never_suspends(struct trip *t)
{
    (void)t;
    return FLIC_E_GUEST;
}

START_TEST(a_guest_that_does_not_suspend_leaves_nothing_there)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .at_suspend = never_suspends };

    run(&t);
    ck_assert_int_eq(t.send_rc, FLIC_E_GUEST);
    ck_assert_int_ne(t.receive_rc, 0);
    ck_assert(!t.go_sent && !t.runs_there);
    ck_assert_uint_eq(other_count(), 0);
    ck_assert(!flx_fake_tracked(GUEST));
}
END_TEST

START_TEST(what_arrived_before_it_was_broken_off_is_not_sent_again)
{
    struct ck_arrival *kept = NULL;
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .at_suspend = never_suspends, .kept = &kept };
    struct trip again = { .from = store, .to = other, .here = GUEST, .there = 41, .kept = &kept };

    run(&t);
    ck_assert_int_eq(t.send_rc, FLIC_E_GUEST);
    ck_assert_ptr_nonnull(kept);
    flx_fake_kill(THERE);
    scene_dirty(GUEST, 30, 20, 100000);
    must_arrive(&again);
    ck_assert_uint_eq(again.sent.pages.sent_pages, 20);
    ck_arrival_free(kept);
}
END_TEST

static atomic_uint rounds;

static void keep_writing(uint32_t domid, void *arg)
{
    (void)arg;
    if (rounds++ < 100)
        scene_dirty(domid, 300 + rounds % 2 * 600, 500, rounds);
}

START_TEST(a_guest_that_writes_faster_than_the_link_is_told_so_and_runs_on)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .max_downtime_ms = 1 };

    rounds = 0;
    flx_fake_after("track_clean", keep_writing, NULL);
    run(&t);
    flx_fake_after("track_clean", NULL, NULL);
    /* A fast socket can carry that much in a millisecond: then it arrives whole. */
    if (!t.send_rc) {
        image_compare(&image, THERE);
        return;
    }
    ck_assert_int_eq(t.send_rc, FLIC_E_GUEST);
    ck_assert_ptr_nonnull(strstr(t.send_err.text, "--max-downtime"));
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
}
END_TEST

static void write_the_same(uint32_t domid, void *arg)
{
    (void)arg;
    if (rounds++ < 100)
        scene_dirty(domid, 300, 500, rounds);
}

static void take_long(uint32_t domid, void *arg)
{
    (void)arg;
    if (domid == THERE)
        (void)usleep(20000);
}

/* As many of 500 pages as it is let: all of them between two CLEANs as long as it is not slowed down. */
static void write_as_it_may(uint32_t domid, void *arg)
{
    (void)arg;
    if (domid == GUEST)
        scene_dirty(domid, 300, 5 * flx_fake_percent(domid), rounds++);
}

/* `writes` is what the guest does before each CLEAN. */
static void run_with_a_slow_link(struct trip *t, flx_fake_fn *writes)
{
    rounds = 0;
    flx_fake_before("track_clean", writes, t);
    flx_fake_before("map_pages", take_long, NULL);
    run(t);
    flx_fake_before("track_clean", NULL, NULL);
    flx_fake_before("map_pages", NULL, NULL);
}

/* 500 pages take about 50 ms in these tests. */
START_TEST(a_guest_that_writes_too_much_is_slowed_down_if_wished_and_arrives)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .max_downtime_ms = 25, .auto_converge = true };

    run_with_a_slow_link(&t, write_as_it_may);
    ck_assert_msg(!t.send_rc, "%s", t.send_err.text);
    image_compare(&image, THERE);
    ck_assert_uint_gt(t.sent.slowed_percent, 0);
    ck_assert_uint_gt(t.sent.slowed_us, 0);
    ck_assert_uint_eq(flx_fake_percent(GUEST), 100);
}
END_TEST

static void note_first_cap(uint32_t domid, void *arg)
{
    unsigned *first = arg;

    if (!*first)
        *first = flx_fake_percent(domid);
}

/* Half of what it could have would leave it as fast as it is. */
START_TEST(a_guest_is_slowed_down_to_half_of_what_it_uses_at_first)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .max_downtime_ms = 1, .auto_converge = true };
    unsigned first = 0;

    flx_fake_after("throttle", note_first_cap, &first);
    run_with_a_slow_link(&t, write_the_same);
    flx_fake_after("throttle", NULL, NULL);
    ck_assert_uint_ge(first, 20);
    ck_assert_uint_le(first, 30);
}
END_TEST

/* Enough for the link to be known by them. */
static void fill_with_noise(uint32_t domid)
{
    uint8_t page[PAGE];

    for (uint64_t gfn = 900; gfn < 1500; gfn++) {
        for (size_t i = 0; i < sizeof(page); i++)
            page[i] = (uint8_t)random();
        flx_fake_write(domid, gfn, 0, page, PAGE);
    }
}

/* 80 other pages before each CLEAN, most of which the race sends, and then all of 600. */
static void write_all_in_the_race(uint32_t domid, void *arg)
{
    static unsigned turn;

    if (domid != GUEST || !((struct trip *)arg)->prepared)
        turn = 0;
    else if (turn < 5)
        scene_dirty(domid, 300 + turn++ * 80, 80, rounds++);
    else
        scene_dirty(domid, 300, 600, rounds++);
}

/* Without the last bitmap it would be taken for one of which little is left. */
START_TEST(a_guest_that_writes_all_in_the_race_is_judged_by_all_of_it)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .max_downtime_ms = 30, .race_us = 1 };

    fill_with_noise(GUEST);
    run_with_a_slow_link(&t, write_all_in_the_race);
    ck_assert_int_eq(t.send_rc, FLIC_E_GUEST);
}
END_TEST

static void write_once_both_prepared(uint32_t domid, void *arg)
{
    if (domid == GUEST && ((struct trip *)arg)->prepared)
        scene_dirty(domid, 300, 10 * flx_fake_percent(domid), rounds++);
}

/* Calm until then: what the race finds is the first that is too much. */
START_TEST(a_guest_that_begins_to_write_right_before_the_pause_is_slowed_down_then)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .max_downtime_ms = 25, .auto_converge = true, .race_us = 1 };

    rounds = 0;
    flx_fake_after("track_clean", write_once_both_prepared, &t);
    flx_fake_before("map_pages", take_long, NULL);
    must_arrive(&t);
    flx_fake_after("track_clean", NULL, NULL);
    flx_fake_before("map_pages", NULL, NULL);
    ck_assert_uint_gt(t.sent.slowed_percent, 0);
    ck_assert_uint_eq(flx_fake_percent(GUEST), 100);
}
END_TEST

START_TEST(a_guest_that_no_slowing_down_helps_runs_on_as_fast_as_ever)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .max_downtime_ms = 1, .auto_converge = true };

    run_with_a_slow_link(&t, write_the_same);
    ck_assert_int_eq(t.send_rc, FLIC_E_GUEST);
    ck_assert_ptr_nonnull(strstr(t.send_err.text, "however slow"));
    ck_assert_uint_gt(t.sent.slowed_percent, 0);
    ck_assert_uint_le(t.sent.slowed_percent, 3);        /* of half a CPU: less than 1 % of one is no cap */
    ck_assert_uint_eq(flx_fake_percent(GUEST), 100);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
}
END_TEST

START_TEST(a_guest_whose_scheduler_cannot_slow_it_down_runs_on_and_it_is_said)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .max_downtime_ms = 1, .auto_converge = true };

    flx_fake_fail("throttle", 1, FLIC_E_REFUSED);
    run_with_a_slow_link(&t, write_as_it_may);
    ck_assert_int_eq(t.send_rc, FLIC_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(t.send_err.text, "--auto-converge"));
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
}
END_TEST

START_TEST(a_guest_is_not_slowed_down_unless_it_is_wished)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .max_downtime_ms = 25 };

    run_with_a_slow_link(&t, write_as_it_may);
    ck_assert_int_eq(t.send_rc, FLIC_E_GUEST);
    ck_assert_ptr_nonnull(strstr(t.send_err.text, "--auto-converge"));
    ck_assert_uint_eq(flx_fake_calls("throttle"), 0);
}
END_TEST

START_TEST(a_guest_that_writes_all_the_time_arrives_with_what_it_wrote_last)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE };

    rounds = 0;
    flx_fake_after("track_clean", keep_writing, NULL);
    must_arrive(&t);
    flx_fake_after("track_clean", NULL, NULL);
}
END_TEST

START_TEST(pages_that_are_written_all_the_time_are_sent_once_in_the_pause)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE };

    fill_with_noise(GUEST);
    rounds = 0;
    flx_fake_before("track_clean", write_the_same, NULL);
    must_arrive(&t);
    flx_fake_before("track_clean", NULL, NULL);
    ck_assert_uint_eq(t.sent.resent_pages, 0);
    ck_assert_uint_ge(t.sent.last_pages, 500);
}
END_TEST

/* Nothing else would tell how long the pause will be: next to nothing goes before it. */
START_TEST(to_a_peer_that_has_all_but_what_is_written_all_the_time_some_of_that_goes_once_to_know_the_link)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE };
    struct trip back = { .from = other, .to = store, .here = THERE, .there = 50 };

    must_arrive(&t);
    move_on(&t);
    rounds = 0;
    flx_fake_before("track_clean", write_the_same, NULL);
    must_arrive(&back);
    flx_fake_before("track_clean", NULL, NULL);
    ck_assert_uint_gt(back.sent.resent_pages, 0);
    ck_assert_uint_le(back.sent.resent_pages, 500);
    ck_assert_uint_ge(back.sent.last_pages, 500);
}
END_TEST

static void write_another_each_time(uint32_t domid, void *arg)
{
    (void)arg;
    if (rounds++ < 100)
        scene_dirty(domid, 300 + rounds % 10 * 50, 50, rounds);
}

START_TEST(pages_that_cool_down_are_sent_before_the_pause_however_long_it_may_be)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .max_downtime_ms = 3600000 };

    rounds = 0;
    flx_fake_after("track_clean", write_another_each_time, NULL);
    must_arrive(&t);
    flx_fake_after("track_clean", NULL, NULL);
    ck_assert_uint_gt(t.sent.rounds, 1);
    ck_assert_uint_lt(t.sent.last_pages, 250);
}
END_TEST

/* 500 pages, all of them between two CLEANs; once both sides prepared, which makes CLEANs follow each other soon, 50 in turn. */
static void write_in_turn(uint32_t domid, void *arg)
{
    const struct trip *t = arg;
    unsigned turn = rounds++;

    if (!t->prepared)
        scene_dirty(domid, 300, 500, turn);
    else
        scene_dirty(domid, 300 + turn % 10 * 50, 50, turn);
}

START_TEST(of_what_is_written_in_turn_much_is_sent_right_before_the_pause)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .max_downtime_ms = 3600000, .race_us = 1000 };

    run_with_a_slow_link(&t, write_in_turn);
    must_have_arrived(&t);
    ck_assert_uint_lt(t.sent.last_pages, 250);
}
END_TEST

START_TEST(of_what_is_written_while_it_suspends_little_is_left_to_the_pause)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .writes_late = 10 };

    must_arrive(&t);
    ck_assert_uint_le(t.sent.last_pages, 50);
    ck_assert_uint_ge(t.sent.race_pages, 400);
}
END_TEST

/* What is on its way still would be ahead of the pause's own pages. */
START_TEST(what_the_race_sent_has_arrived_when_the_pause_begins)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .writes_late = 10 };

    flx_fake_before("map_pages", take_long, NULL);
    must_arrive(&t);
    flx_fake_before("map_pages", NULL, NULL);
    ck_assert_uint_eq(t.writes_late, 0);
    ck_assert_uint_ge(t.sent.race_steps, 10);
    ck_assert_uint_eq(t.lags, 0);
}
END_TEST

static void write_the_same_until_it_suspends(uint32_t domid, void *arg)
{
    const struct trip *t = arg;

    if (domid == GUEST && (!t->prepared || flx_fake_percent(domid) < 100))
        scene_dirty(domid, 300, 5 * flx_fake_percent(domid), rounds++);
}

/* Slowed down it wrote the same again and again, so that there was nothing to be won; at full speed it is another guest. */
START_TEST(of_what_a_slowed_guest_writes_while_it_suspends_little_is_left_to_the_pause)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .max_downtime_ms = 25, .auto_converge = true, .race_us = 1,
                      .writes_late = 10 };

    run_with_a_slow_link(&t, write_the_same_until_it_suspends);
    must_have_arrived(&t);
    ck_assert_uint_gt(t.sent.slowed_percent, 0);
    ck_assert_uint_ge(t.sent.race_pages, 200);
}
END_TEST

START_TEST(what_is_written_without_pause_is_sent_once_more_at_most)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .max_downtime_ms = 3600000, .race_us = 1000 };

    fill_with_noise(GUEST);
    run_with_a_slow_link(&t, write_the_same);
    must_have_arrived(&t);
    ck_assert_uint_gt(t.sent.resent_pages, 0);
    ck_assert_uint_le(t.sent.resent_pages, 500);
    ck_assert_uint_ge(t.sent.last_pages, 500);
}
END_TEST

START_TEST(a_page_is_warm_until_it_was_left_alone_for_a_window)
{
    uint64_t first[1] = { 1 }, second[1] = { 2 }, none[1] = { 0 };
    struct mt_heat heat;

    ck_assert_int_eq(mt_heat_init(&heat, 64, 0), 0);
    mt_heat_wrote(&heat, first, 1, 50000);
    ck_assert_uint_eq(mt_heat_warm(&heat)[0], 1);       /* no window yet */
    mt_heat_window(&heat, 1000, 50000);
    mt_heat_wrote(&heat, second, 1, 50400);
    ck_assert_uint_eq(mt_heat_warm(&heat)[0], 3);
    mt_heat_wrote(&heat, none, 1, 51000);               /* a window is full */
    ck_assert_uint_eq(mt_heat_warm(&heat)[0], 2);
    mt_heat_wrote(&heat, none, 1, 51100);
    ck_assert_uint_eq(mt_heat_warm(&heat)[0], 2);
    mt_heat_wrote(&heat, none, 1, 52200);
    ck_assert_uint_eq(mt_heat_warm(&heat)[0], 0);
    mt_heat_fini(&heat);
}
END_TEST

static int balloon(struct trip *t)
{
    flx_fake_set_kind(t->here, 512, FLX_PAGE_HOLE);
    return 0;
}

START_TEST(a_peer_that_answers_slowly_is_not_taken_for_a_slow_link)
{
    /* 8 MiB at 4 MiB/s, and of twelve rounds each was answered after half a second. */
    const struct me_seen seen = { .pages = 4096, .page_bytes = 8u << 20, .busy_us = 2000000 + 12 * 500000, .waits = 12, .least_wait_us = 500000 };

    ck_assert_uint_eq(me_bytes_per_s(&seen), 4u << 20);
    ck_assert_uint_ge(me_time_us(&seen, 512), 750000);
    ck_assert_uint_le(me_time_us(&seen, 512), 752000);
}
END_TEST

START_TEST(a_link_that_carried_little_so_far_is_taken_for_a_slow_one)
{
    const struct me_seen nothing = { .pages = 0 }, little = { .pages = 2, .page_bytes = 8192, .busy_us = 1000000, .waits = 1, .least_wait_us = 1000000 };

    ck_assert_uint_eq(me_bytes_per_s(&nothing), 4u << 20);
    ck_assert_uint_eq(me_bytes_per_s(&little), 4u << 20);
    ck_assert_uint_eq(me_time_us(&nothing, 0), 0);
}
END_TEST

START_TEST(invariant_6_a_peer_that_drips_in_the_pause_does_not_get_the_guest)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .drips = true, .max_downtime_ms = 20000, .writes_late = 1 };
    const unsigned due_s[3] = { 120, 200, 300 };        /* while it suspends; ten times what is allowed; the peer's libxl */

    give_at_most_s = 2;
    run(&t);
    ck_assert_msg(t.send_rc == FLIC_E_TIMEOUT, "%d, %s", t.send_rc, t.send_err.text);
    ck_assert(!t.go_sent && !t.runs_there);
    ck_assert(n_given == 3 && !memcmp(given_s, due_s, sizeof(due_s)));
}
END_TEST

START_TEST(a_guest_that_is_resized_on_its_way_is_not_handed_over)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .at_suspend = balloon };

    run(&t);
    ck_assert_int_eq(t.send_rc, FLIC_E_BUSY);
    ck_assert(!t.runs_there);
}
END_TEST

START_TEST(an_nvram_too_small_for_the_last_pages_spills_to_flash_and_the_guest_arrives)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE, .at_suspend = write_much };
    struct nv_txn *hog;
    struct nv_info info;

    nv_get_info(ck_arena(other), &info);
    OK(nv_txn_begin(ck_arena(other), info.frames_free - 330, &hog, &err));
    must_arrive(&t);
    ck_assert_uint_gt(t.received.pages.store.spilled_pages, 0);
    nv_txn_abort(hog);
}
END_TEST

/* ---- a hostile sender ---- */

static const struct mh_offer honest = { .name = "web", .gfn_end = 2048, .pages = 4, .config = (char *)CONFIG, .disks = (char *)"[]" };

static int be_victim(int fd, void *arg, struct flic_err *why)
{
    struct trip *t = arg;

    t->sockets[1] = fd;
    (void)receive(t);
    *why = t->receive_err;
    return t->receive_rc;
}

/* Accepted, its sketch taken: what is said next is the leaves. */
static void begin_hostile(struct trip *t)
{
    struct mh_offer offer = honest;
    uint32_t has_disks;
    void *sketch;
    size_t len;
    bool has;

    offer.migration = scene_uuid(0x66);
    offer.guest = scene_uuid(0x67);
    OK(flx_open(GUEST, &t->dom, &err));
    OK(flx_state_sketch(t->dom, &sketch, &len, &err));
    flx_close(t->dom);
    hostile_begin(be_victim, t);
    OK(mh_send_offer(hostile, &offer, &err));
    OK(mw_send_bytes(hostile, MW_SKETCH, sketch, len, &err));
    OK(mh_get_accept(hostile, 0, &has, &has_disks, &err));
    free(sketch);
}

static void must_be_refused(const struct trip *t)
{
    victim_must_refuse(FLIC_E_PROTOCOL);
    ck_assert(!t->runs_there);
}

START_TEST(invariant_7_a_leaf_that_comes_out_of_order_is_refused)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE };

    begin_hostile(&t);
    hostile_say_leaf(1, 0, 1);
    hostile_say_leaf(0, 0, 1);
    must_be_refused(&t);
    ck_assert_ptr_nonnull(strstr(t.receive_err.text, "a leaf came out of order"));
}
END_TEST

START_TEST(invariant_7_a_page_behind_the_machine_state_is_refused)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE };
    uint8_t zeros[8] = { 1 };   /* one, of gfn 0 */
    uint64_t pages = 0;

    begin_hostile(&t);
    hostile_say_leaf(0, 0, 1);
    OK(mw_send_u64(hostile, MW_PREPARE, pages, NULL, 0, &err));
    OK(mw_send_u64(hostile, MW_STATE, 0, "state", 5, &err));
    OK(mw_send_bytes(hostile, MW_ZEROS, zeros, sizeof(zeros), &err));
    must_be_refused(&t);
    ck_assert_ptr_nonnull(strstr(t.receive_err.text, "a page came out of order"));
}
END_TEST

START_TEST(invariant_7_a_machine_state_without_a_byte_is_refused_when_it_comes)
{
    struct trip t = { .from = store, .to = other, .here = GUEST, .there = THERE };

    begin_hostile(&t);
    hostile_say_leaf(0, 0, 1);
    OK(mw_send_u64(hostile, MW_PREPARE, 0, NULL, 0, &err));
    OK(mw_send_u64(hostile, MW_STATE, 0, NULL, 0, &err));
    must_be_refused(&t);
    ck_assert_ptr_nonnull(strstr(t.receive_err.text, "a machine state out of order"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("migrate");
    TCase *t = tcase_create("migrate");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_guest_arrives_with_every_page_and_its_checkpoint_is_offered_on_both_sides);
    tcase_add_test(t, what_arrived_can_be_restored_there);
    tcase_add_test(t, invariant_10_on_its_way_back_only_what_changed_is_sent);
    tcase_add_test(t, a_page_that_moved_within_the_guest_is_found_and_not_sent);
    tcase_add_test(t, a_sibling_costs_little_between_stores_of_one_owner_and_all_of_it_between_others);
    tcase_add_test(t, a_receiver_that_refuses_says_why_and_the_guest_runs_on);
    tcase_add_test(t, a_guest_that_does_not_suspend_leaves_nothing_there);
    tcase_add_test(t, what_arrived_before_it_was_broken_off_is_not_sent_again);
    tcase_add_test(t, a_guest_that_writes_faster_than_the_link_is_told_so_and_runs_on);
    tcase_add_test(t, a_guest_that_writes_too_much_is_slowed_down_if_wished_and_arrives);
    tcase_add_test(t, a_guest_that_writes_all_in_the_race_is_judged_by_all_of_it);
    tcase_add_test(t, a_guest_is_slowed_down_to_half_of_what_it_uses_at_first);
    tcase_add_test(t, a_guest_that_begins_to_write_right_before_the_pause_is_slowed_down_then);
    tcase_add_test(t, a_guest_that_no_slowing_down_helps_runs_on_as_fast_as_ever);
    tcase_add_test(t, a_guest_whose_scheduler_cannot_slow_it_down_runs_on_and_it_is_said);
    tcase_add_test(t, a_guest_is_not_slowed_down_unless_it_is_wished);
    tcase_add_test(t, a_guest_that_writes_all_the_time_arrives_with_what_it_wrote_last);
    tcase_add_test(t, pages_that_are_written_all_the_time_are_sent_once_in_the_pause);
    tcase_add_test(t, invariant_6_a_peer_that_drips_in_the_pause_does_not_get_the_guest);
    tcase_add_test(t, to_a_peer_that_has_all_but_what_is_written_all_the_time_some_of_that_goes_once_to_know_the_link);
    tcase_add_test(t, pages_that_cool_down_are_sent_before_the_pause_however_long_it_may_be);
    tcase_add_test(t, of_what_is_written_in_turn_much_is_sent_right_before_the_pause);
    tcase_add_test(t, of_what_is_written_while_it_suspends_little_is_left_to_the_pause);
    tcase_add_test(t, what_the_race_sent_has_arrived_when_the_pause_begins);
    tcase_add_test(t, of_what_a_slowed_guest_writes_while_it_suspends_little_is_left_to_the_pause);
    tcase_add_test(t, what_is_written_without_pause_is_sent_once_more_at_most);
    tcase_add_test(t, a_page_is_warm_until_it_was_left_alone_for_a_window);
    tcase_add_test(t, a_peer_that_answers_slowly_is_not_taken_for_a_slow_link);
    tcase_add_test(t, a_link_that_carried_little_so_far_is_taken_for_a_slow_one);
    tcase_add_test(t, a_guest_that_is_resized_on_its_way_is_not_handed_over);
    tcase_add_test(t, an_nvram_too_small_for_the_last_pages_spills_to_flash_and_the_guest_arrives);
    tcase_add_test(t, invariant_7_a_leaf_that_comes_out_of_order_is_refused);
    tcase_add_test(t, invariant_7_a_page_behind_the_machine_state_is_refused);
    tcase_add_test(t, invariant_7_a_machine_state_without_a_byte_is_refused_when_it_comes);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
