/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* A stored checkpoint goes from one store to another without a domain: two stores, two threads, one socket. */
#include "daemon/checkpoint/leaf.h"
#include "daemon/checkpoint/note.h"
#include "daemon/migrate/copy.h"
#include "daemon/migrate/give.h"
#include "daemon/migrate/hello.h"
#include "daemon/migrate/take.h"
#include "tests/unit/hostile-peer.h"
#include "tests/unit/other-store.h"
#include "tests/unit/machine-memory.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static struct image image;
static struct nv_name saved;

static void set_up(void)
{
    (void)signal(SIGPIPE, SIG_IGN);     /* a wire that is cut */
    machine_bytes = 0;
    scene_begin(16 * MIB);
    other_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    saved = scene_save(GUEST, &image, NULL);
}

static void tear_down(void)
{
    image_free(&image);
    other_end();
    scene_end();
}

/* ---- the two sides ---- */

struct copying {
    struct ck_store *from, *to;
    struct nv_name name;
    bool handed, keep_it, refuse;       /* `keep_it`: the right was offered and does not go in the end */
    struct ck_arrival **kept;
    bool lose_before, lose_after;       /* what the taker has stored, before and after it is durable */
    const char *note;           /* where the taker writes down what has arrived */
    size_t cut_after;           /* bytes from the sender after which the wire is cut; 0: never */

    int give_rc, take_rc;
    struct flic_err give_err, take_err;
    uint64_t peer_seq, seq;
    bool was_there, came_handed, published;
    struct ls_figures given;
    struct lt_figures taken;
    int sockets[4];             /* giver, middle, middle, taker */
};

static int give(struct copying *c, struct mw_wire *wire, const struct ck_loaded *loaded, struct flic_err *why)
{
    struct flic_uuid push = scene_uuid(0x70);
    struct md_key key;
    struct mg_params params = { .wire = wire, .key = &key, .store = c->from, .loaded = loaded, .push = &push, .from = "phone-a", .owner_group = "",
                                .handed = c->handed, .progress = scene_no_progress };
    struct mg_giver *giver;
    bool sent;
    int rc = mh_greet(wire, true, &key, why);

    if (!rc)
        rc = mg_new(&params, &giver, why);
    if (rc)
        return rc;
    rc = mg_send(giver, &c->peer_seq, why);
    if (!rc)
        rc = mg_hand_over(giver, c->handed && !c->keep_it, &sent, why);
    mg_get_figures(giver, &c->given);
    mg_free(giver);
    return rc;
}

static void *run_giver(void *arg)
{
    struct copying *c = arg;
    struct ck_loaded loaded;
    struct ck_entry entry;
    struct mw_wire *wire;
    int rc = ck_find_exact(c->from, &c->name.guest, c->name.seq, &entry, &c->give_err);

    if (!rc)
        rc = ck_load(c->from, &entry, &loaded, &c->give_err);
    if (!rc)
        rc = mw_new(c->sockets[0], NULL, 0, scene_never, NULL, &wire, &c->give_err);
    ck_assert_int_eq(rc, 0);
    c->give_rc = give(c, wire, &loaded, &c->give_err);
    if (c->give_rc)
        mw_abort(wire, c->give_rc, c->give_err.text);
    mw_free(wire);
    ck_unload(c->from, &loaded);
    return NULL;
}

static int take_all(struct copying *c, struct mt_taker *t, struct flic_err *why)
{
    struct ck_loaded base;
    struct ck_entry entry;
    char uuid[FLIC_UUID_TEXT];
    bool has_base;
    int rc;

    flic_uuid_text(&mt_offer(t)->guest, uuid);
    has_base = !ck_find(c->to, uuid, 0, &entry, NULL) && !ck_load(c->to, &entry, &base, NULL);
    rc = c->refuse ? flic_err_set(why, FLIC_E_MISMATCH, "not here") : mt_begin(t, has_base ? &base : NULL, c->kept ? *c->kept : NULL, why);
    if (has_base)
        ck_unload(c->to, &base);
    if (!rc && c->note)
        rc = ck_arrival_note(mt_arrival(t), c->note, why);
    if (!rc)
        rc = mt_take(t, why);
    if (!rc && c->lose_before)
        (void)scene_lose_objects(c->to, other_dir, false);
    if (rc && c->note)          /* as if that process ended here: what it did not seal itself is gone */
        return rc;
    if (!rc)
        rc = mt_commit(t, &c->seq, &c->was_there, why);
    if (!rc && c->lose_after)
        (void)scene_lose_objects(c->to, other_dir, false);
    if (!rc && !c->was_there)
        rc = mt_publish(t, "[]", 2, why);
    c->published = !rc;
    if (!rc)
        rc = mt_ready(t, c->seq, &c->came_handed, why);
    return rc ? rc : mt_done(t, why);
}

static void take(struct copying *c)
{
    struct flic_err *why = &c->take_err;
    struct md_key key;
    struct mt_params params = { .key = &key, .store = c->to, .progress = scene_no_progress };
    struct mt_taker *t = NULL;
    int rc = mw_new(c->sockets[3], NULL, 0, scene_never, NULL, &params.wire, why);

    ck_assert_int_eq(rc, 0);
    rc = mh_greet(params.wire, false, &key, why);
    if (!rc)
        rc = mt_hear(&params, &t, why);
    if (!rc)
        rc = take_all(c, t, why);
    if (t)
        mt_get_figures(t, &c->taken);
    if (rc && t && c->kept) {
        ck_arrival_free(*c->kept);
        *c->kept = mt_keep(t);
    }
    mt_free(t);
    if (rc)
        mw_abort(params.wire, rc, why->text);
    mw_free(params.wire);
    c->take_rc = rc;
}

/* ---- the wire between them ---- */

static void *back(void *arg)
{
    struct copying *c = arg;
    char data[4096];
    ssize_t n;

    while ((n = read(c->sockets[2], data, sizeof(data))) > 0 && write(c->sockets[1], data, (size_t)n) == n)
        ;
    (void)shutdown(c->sockets[1], SHUT_WR);
    return NULL;
}

/* From the giver to the taker, so many bytes; then both find the connection lost. */
static void *forth(void *arg)
{
    struct copying *c = arg;
    size_t left = c->cut_after ? c->cut_after : SIZE_MAX;
    char data[4096];
    ssize_t n;

    while (left && (n = read(c->sockets[1], data, left < sizeof(data) ? left : sizeof(data))) > 0 && write(c->sockets[2], data, (size_t)n) == n)
        left -= (size_t)n;
    (void)shutdown(c->sockets[2], left ? SHUT_WR : SHUT_RDWR);
    if (!left)
        (void)shutdown(c->sockets[1], SHUT_RDWR);
    return NULL;
}

static void run(struct copying *c)
{
    pthread_t giver, there, here;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, c->sockets), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, c->sockets + 2), 0);
    ck_assert_int_eq(pthread_create(&giver, NULL, run_giver, c), 0);
    ck_assert_int_eq(pthread_create(&there, NULL, forth, c), 0);
    ck_assert_int_eq(pthread_create(&here, NULL, back, c), 0);
    take(c);
    ck_assert_int_eq(pthread_join(giver, NULL), 0);
    ck_assert_int_eq(pthread_join(there, NULL), 0);
    ck_assert_int_eq(pthread_join(here, NULL), 0);
    (void)close(c->sockets[1]);
    (void)close(c->sockets[2]);
}

static void must_arrive(struct copying *c)
{
    run(c);
    ck_assert_msg(!c->give_rc, "the giver failed: %d, %s", c->give_rc, c->give_err.text);
    ck_assert_msg(!c->take_rc, "the taker failed: %d, %s", c->take_rc, c->take_err.text);
    ck_assert_uint_eq(c->seq, c->peer_seq);
}

static void restore_there(uint64_t seq)
{
    struct nv_name name = { .guest = saved.guest, .seq = seq };

    other_restore_and_compare(&name, &image);
}

/* ---- what holds ---- */

START_TEST(a_checkpoint_arrives_whole_and_can_be_restored_there_and_here)
{
    struct copying c = { .from = store, .to = other, .name = saved };

    must_arrive(&c);
    ck_assert(!c.was_there && !c.came_handed);
    ck_assert_uint_eq(c.given.ram_pages, GUEST_PAGES - 2);      /* the hole and the page to skip */
    ck_assert_uint_eq(c.given.sent_pages, c.taken.received_pages);
    ck_assert_uint_eq(c.given.there_pages, 0);
    restore_there(c.seq);
    scene_restore_and_compare(&saved, &image);
}
END_TEST

START_TEST(what_was_moved_to_flash_arrives_as_well)
{
    struct copying c = { .from = store, .to = other, .name = saved };

    OK(scene_destage(&saved, &(struct ck_destage_figures){ 0 }));
    scene_lose_arena();
    scene_reopen();
    c.from = store;
    must_arrive(&c);
    restore_there(c.seq);
}
END_TEST

START_TEST(invariant_10_of_the_next_checkpoint_only_what_changed_is_sent)
{
    struct copying first = { .from = store, .to = other, .name = saved };
    struct copying second = { .from = store, .to = other };

    must_arrive(&first);
    scene_dirty(GUEST, 30, 40, 100000);
    image_free(&image);
    second.name = scene_save(GUEST, &image, NULL);
    must_arrive(&second);
    ck_assert_uint_eq(second.given.sent_pages, 40);
    ck_assert_uint_eq(second.taken.received_pages, 40);
    ck_assert_uint_eq(second.taken.store.new_pages, 40);
    ck_assert_uint_ge(second.taken.same_pages, GUEST_PAGES * 3 / 4);
    ck_assert_uint_gt(second.seq, first.seq);
    restore_there(second.seq);
}
END_TEST

START_TEST(a_page_that_moved_within_the_guest_is_found_and_not_sent)
{
    struct copying first = { .from = store, .to = other, .name = saved };
    struct copying second = { .from = store, .to = other };
    uint8_t page[PAGE];

    must_arrive(&first);
    memcpy(page, flx_fake_page(GUEST, 33), PAGE);
    flx_fake_write(GUEST, 1201, 0, page, PAGE);
    second.name = scene_save(GUEST, NULL, NULL);
    must_arrive(&second);
    ck_assert_uint_eq(second.taken.found_pages, 1);
    ck_assert_uint_eq(second.given.sent_pages, 0);
}
END_TEST

START_TEST(the_same_copy_made_again_is_one_checkpoint_and_sends_no_page)
{
    struct copying first = { .from = store, .to = other, .name = saved };
    struct copying again = { .from = store, .to = other, .name = saved, .handed = true };

    must_arrive(&first);
    must_arrive(&again);
    ck_assert(again.was_there && again.came_handed);
    ck_assert_uint_eq(again.seq, first.seq);
    ck_assert_uint_eq(again.given.sent_pages, 0);
    ck_assert_uint_eq(other_count(), 1);
}
END_TEST

/* ---- one that is damaged there ---- */

static void damage_there(bool leaves)
{
    other_reopen();             /* nothing of it is in memory */
    ck_assert_uint_eq(scene_lose_objects(other, other_dir, leaves).damaged, 1);
}

START_TEST(a_copy_made_again_of_one_that_is_damaged_there_arrives_beside_it_and_is_whole)
{
    struct copying first = { .from = store, .to = other, .name = saved };
    struct copying again = { .from = store, .name = saved };

    must_arrive(&first);
    damage_there(_i);
    again.to = other;
    must_arrive(&again);
    ck_assert(!again.was_there);
    ck_assert_uint_gt(again.seq, first.seq);
    ck_assert_uint_ge(again.given.sent_pages, 1);
    restore_there(again.seq);
}
END_TEST

/* Of a second checkpoint, whose pages are there from the first. */
static struct copying copy_losing(bool before)
{
    struct copying first = { .from = store, .to = other, .name = saved };
    struct copying second = { .from = store, .lose_before = before, .lose_after = !before };

    must_arrive(&first);
    other_reopen();
    scene_dirty(GUEST, 30, 40, 100000);
    image_free(&image);
    second.to = other;
    second.name = scene_save(GUEST, &image, NULL);
    run(&second);
    return second;
}

START_TEST(a_copy_of_which_something_is_lost_there_before_it_is_durable_fails_and_arrives_the_next_time)
{
    struct copying c = copy_losing(true);

    ck_assert_int_eq(c.take_rc, FLIC_E_DAMAGED);
    ck_assert_uint_eq(other_count(), 1);
    must_arrive(&(struct copying){ .from = store, .to = other, .name = c.name });
    restore_there(c.seq + 1);
}
END_TEST

START_TEST(a_copy_of_which_something_is_lost_there_before_it_is_offered_is_offered_as_damaged)
{
    struct copying c = copy_losing(false);
    struct ck_entry entry;

    ck_assert_int_eq(c.take_rc, 0);
    OK(ck_find_exact(other, &saved.guest, c.seq, &entry, &err));
    ck_assert(entry.damaged && entry.lost_pages);
}
END_TEST

/* Its digests alone would be 8 KiB. */
START_TEST(a_leaf_that_the_guest_ends_in_is_asked_about_as_one_too)
{
    struct copying first = { .from = store, .to = other };
    struct copying again = { .from = store, .to = other };

    scene_guest(8, "odd", 2, 700);
    first.name = again.name = scene_save(8, NULL, NULL);
    must_arrive(&first);
    must_arrive(&again);
    ck_assert(again.was_there);
    ck_assert_uint_lt(again.given.sent_bytes, 8192);
}
END_TEST

START_TEST(the_right_goes_along_only_when_the_last_word_says_so)
{
    struct copying kept = { .from = store, .to = other, .name = saved, .handed = true, .keep_it = true };
    struct copying goes = { .from = store, .to = other, .name = saved, .handed = true };

    must_arrive(&kept);
    ck_assert(!kept.came_handed);
    must_arrive(&goes);
    ck_assert(goes.came_handed);
}
END_TEST

START_TEST(a_taker_that_refuses_says_why_and_has_nothing)
{
    struct copying c = { .from = store, .to = other, .name = saved, .refuse = true };

    run(&c);
    ck_assert_int_eq(c.give_rc, FLIC_E_MISMATCH);
    ck_assert_ptr_nonnull(strstr(c.give_err.text, "not here"));
    ck_assert_uint_eq(other_count(), 0);
}
END_TEST

/* Of 6 MiB that go over the wire; odd numbers, so that frames are cut anywhere. */
START_TEST(invariant_8_cut_anywhere_it_is_there_whole_or_not_at_all_and_goes_on_from_there)
{
    struct ck_arrival *kept = NULL;
    struct copying whole = { .from = store, .to = other, .name = saved };
    uint64_t sent = 0, all;
    size_t at = 7;

    do {
        struct copying c = { .from = store, .to = other, .name = saved, .kept = &kept, .cut_after = at };

        run(&c);
        ck_assert(c.give_rc || !c.take_rc);
        ck_assert_uint_eq(other_count(), c.published);
        sent += c.taken.received_pages;
        if (c.published)
            break;
        ck_assert_int_ne(c.take_rc, 0);
        at = at * 2 + 13;
    } while (at < 64 * MIB);
    ck_arrival_free(kept);
    must_arrive(&whole);
    ck_assert_uint_eq(other_count(), 1);
    ck_assert_uint_eq(whole.given.sent_pages, 0);
    all = whole.given.ram_pages - whole.given.zero_pages;
    ck_assert_msg(sent <= all, "%llu pages came for a guest of %llu", (unsigned long long)sent, (unsigned long long)all);
    restore_there(whole.seq);
}
END_TEST

#define BIG_PAGES 16384u        /* 48 MiB of them unlike each other */

static struct nv_name save_big(void)
{
    scene_guest(8, "big", 2, BIG_PAGES);
    image_free(&image);
    return scene_save(8, &image, NULL);
}

/* The other process is gone with all it had in memory; what it wrote down is there. */
START_TEST(what_arrived_before_the_other_flicd_was_started_anew_is_not_sent_again)
{
    char note[128];
    struct nv_name big = save_big();
    struct copying cut = { .from = store, .to = other, .name = big, .note = note, .cut_after = BIG_PAGES * PAGE / 3 };
    struct copying again = { .from = store, .name = big };
    struct ck_arrival *found;
    uint64_t all, came;

    (void)snprintf(note, sizeof(note), "%s/note", other_dir);
    run(&cut);
    ck_assert_int_ne(cut.take_rc, 0);
    other_reopen();
    OK(ck_arrival_recall(other, note, SIZE_MAX, &found, &err));
    again.to = other;
    again.kept = &found;
    must_arrive(&again);
    ck_arrival_free(found);
    all = again.given.ram_pages - again.given.zero_pages;
    came = again.given.there_pages;
    ck_assert_uint_ge(came, (32 * MIB) / PAGE);
    ck_assert_uint_lt(again.given.sent_pages, all / 2);
    ck_assert_uint_eq(again.given.sent_pages, all - came);
    saved = big;
    restore_there(again.seq);
}
END_TEST

START_TEST(invariant_7_a_note_that_is_damaged_or_names_what_is_gone_says_nothing_of_use)
{
    struct flic_id leaves[2];
    struct ck_facts facts = { .guest = scene_uuid(1), .name = "web", .arch = "fake", .gfn_end = 1024 };
    struct ck_arrival *found;
    char note[128];
    FILE *f;

    (void)snprintf(note, sizeof(note), "%s/note", other_dir);
    memset(leaves, 0x55, sizeof(leaves));
    OK(ck_note_write(note, &facts, leaves, 2, &err));
    ck_assert_int_eq(ck_arrival_recall(other, note, SIZE_MAX, &found, &err), FLIC_E_DAMAGED);
    facts.gfn_end = 4096;       /* asks for more leaves than there are */
    OK(ck_note_write(note, &facts, leaves, 2, &err));
    ck_assert_int_eq(ck_arrival_recall(other, note, SIZE_MAX, &found, &err), FLIC_E_DAMAGED);
    facts.gfn_end = 1024;
    memcpy(leaves, &FLIC_ID_HOLE, sizeof(leaves[0]));
    memcpy(leaves + 1, &FLIC_ID_HOLE, sizeof(leaves[0]));
    OK(ck_note_write(note, &facts, leaves, 2, &err));
    OK(ck_arrival_recall(other, note, SIZE_MAX, &found, &err));
    ck_arrival_free(found);
    f = fopen(note, "r+");
    ck_assert(f && !fseek(f, 50, SEEK_SET) && fputc('x', f) != EOF && !fclose(f));
    ck_assert_int_eq(ck_arrival_recall(other, note, SIZE_MAX, &found, &err), FLIC_E_DAMAGED);
}
END_TEST

START_TEST(invariant_4_a_page_that_is_damaged_here_is_named_and_nothing_is_offered_there)
{
    const struct scene_work late = { .first = 200, .n = 8, .seed = 77 };
    struct copying c = { .from = store, .to = other };
    struct ck_loaded loaded;
    struct ck_entry entry;

    c.name = scene_save_with_work(GUEST, &late, NULL, NULL);
    OK(ck_find_exact(store, &c.name.guest, c.name.seq, &entry, &err));
    OK(ck_load(store, &entry, &loaded, &err));
    ck_assert_uint_ge(loaded.root.n_delta, 8);
    for (size_t i = 0; i < loaded.root.n_delta; i++)
        if (loaded.root.delta[i].gfn == 203)
            ((uint8_t *)(uintptr_t)nv_object_frame(ck_arena(store), &c.name, loaded.root.delta[i].frame))[5] ^= 1;
    ck_unload(store, &loaded);
    run(&c);
    ck_assert_int_eq(c.give_rc, FLIC_E_DAMAGED);
    ck_assert_ptr_nonnull(strstr(c.give_err.text, "gfn 0xcb"));
    ck_assert_uint_eq(other_count(), 0);
}
END_TEST

/* ---- a hostile peer ---- */

static int be_victim(int fd, void *arg, struct flic_err *why)
{
    struct md_key key;
    struct mt_params params = { .key = &key, .store = other, .progress = scene_no_progress };
    struct mt_taker *t = NULL;
    int rc = mw_new(fd, NULL, 0, scene_never, NULL, &params.wire, why);
    uint64_t seq;
    bool there;

    (void)arg;
    rc = rc ? rc : mh_greet(params.wire, false, &key, why);
    rc = rc ? rc : mt_hear(&params, &t, why);
    rc = rc ? rc : mt_begin(t, NULL, NULL, why);
    rc = rc ? rc : mt_take(t, why);
    rc = rc ? rc : mt_commit(t, &seq, &there, why);
    mt_free(t);
    mw_free(params.wire);
    return rc;
}

static const struct mc_offer honest = { .name = "web", .arch = "fake", .from = "mallory", .seq = 1, .gfn_end = 1024, .pages = 2, .config = (char *)"{}" };

static void begin_hostile(const struct mc_offer *offer)
{
    struct mc_offer o = *offer;

    o.guest = scene_uuid(1);
    hostile_begin(be_victim, NULL);
    OK(mc_send_offer(hostile, &o, &err));
}

static void must_be_refused(int code)
{
    victim_must_refuse(code);
    ck_assert_uint_eq(other_count(), 0);
}

START_TEST(invariant_7_an_offer_out_of_bounds_is_refused)
{
    struct mc_offer large = honest, none = honest, nameless = honest;

    large.gfn_end = MH_GFN_END_MAX + 1ull;
    begin_hostile(&large);
    must_be_refused(FLIC_E_PROTOCOL);
    none.pages = 0;
    begin_hostile(&none);
    must_be_refused(FLIC_E_PROTOCOL);
    nameless.arch[0] = '\0';
    begin_hostile(&nameless);
    must_be_refused(FLIC_E_PROTOCOL);
}
END_TEST

START_TEST(invariant_7_leaves_out_of_order_and_pages_nobody_announced_are_refused)
{
    uint8_t pages[4] = { 1 };

    begin_hostile(&honest);
    hostile_say_leaf(1, 0, 2);
    hostile_say_leaf(0, 0, 2);
    must_be_refused(FLIC_E_PROTOCOL);
    begin_hostile(&honest);
    hostile_say_leaf(0, 0, 2);
    OK(mw_send_bytes(hostile, MW_PAGES, pages, sizeof(pages), &err));
    must_be_refused(FLIC_E_PROTOCOL);
}
END_TEST

START_TEST(invariant_7_the_end_before_the_pages_or_without_a_state_is_refused)
{
    uint64_t sums[2] = { 0 };
    uint8_t state[64] = { 0 };

    begin_hostile(&honest);
    OK(mw_send_bytes(hostile, MW_CHECK, sums, sizeof(sums), &err));
    must_be_refused(FLIC_E_PROTOCOL);
    begin_hostile(&honest);
    hostile_say_leaf(0, 0, 2);
    OK(mw_send_bytes(hostile, MW_STATE, state, sizeof(state), &err));
    OK(mw_send_bytes(hostile, MW_CHECK, sums, sizeof(sums), &err));
    must_be_refused(FLIC_E_DAMAGED);
    begin_hostile(&honest);
    hostile_say_leaf(0, 0, 1);  /* two were offered */
    OK(mw_send_bytes(hostile, MW_STATE, state, sizeof(state), &err));
    OK(mw_send_bytes(hostile, MW_CHECK, sums, sizeof(sums), &err));
    must_be_refused(FLIC_E_PROTOCOL);
}
END_TEST

START_TEST(invariant_7_words_of_a_migration_are_not_taken_for_those_of_a_copy)
{
    begin_hostile(&honest);
    hostile_say_leaf(0, 0, 2);
    OK(mw_send_bytes(hostile, MW_PREPARE, "12345678", 8, &err));
    must_be_refused(FLIC_E_PROTOCOL);
}
END_TEST

/* ---- memory ---- */

START_TEST(a_leaf_of_zeros_or_holes_takes_no_memory)
{
    struct ck_facts facts = { .guest = scene_uuid(1), .name = "web", .arch = "fake", .gfn_end = 64 * 512 };
    struct flic_id id = { { 1 } };
    struct ck_arrival *a;
    uint64_t before;

    OK(ck_arrival_new(other, &facts, "{}", 2, NULL, NULL, &a, &err));
    before = ck_arrival_bytes(a);
    for (uint64_t gfn = 0; gfn < facts.gfn_end; gfn++)
        OK(ck_arrival_set(a, gfn, &FLIC_ID_ZERO, &err));
    ck_assert_uint_eq(ck_arrival_bytes(a), before);
    OK(ck_arrival_set(a, 1000, &id, &err));
    ck_assert_uint_eq(ck_arrival_bytes(a), before + 8192);
    for (uint64_t gfn = 0; gfn < facts.gfn_end; gfn++) {
        struct flic_id there = ck_arrival_id(a, gfn);

        ck_assert(flic_id_equal(&there, gfn == 1000 ? &id : &FLIC_ID_ZERO));
    }
    for (uint64_t gfn = 0; gfn < facts.gfn_end; gfn++)
        OK(ck_arrival_set(a, gfn, &FLIC_ID_HOLE, &err));
    ck_assert_uint_eq(ck_arrival_bytes(a), before);
    ck_arrival_free(a);
}
END_TEST

#define LEAVES 8u
#define ROOM_FOR_LEAVES (4ul * LEAVES * (24ul << 10))

START_TEST(invariant_7_a_peer_whose_leaves_take_more_than_a_quarter_of_the_memory_is_refused)
{
    struct mc_offer wide = honest, large = honest;

    machine_bytes = ROOM_FOR_LEAVES;
    wide.gfn_end = 64 * 512;
    wide.pages = 64;
    for (int i = 0; i < 3; i++) {       /* what the one before had claimed is free again */
        begin_hostile(&wide);
        for (uint32_t leaf = 0; leaf <= LEAVES; leaf++)
            hostile_say_leaf(leaf * 2, 0, 1);
        must_be_refused(FLIC_E_REFUSED);
    }
    large.gfn_end = 64 * 512;
    large.pages = LEAVES * 512 + 1;
    begin_hostile(&large);
    must_be_refused(FLIC_E_REFUSED);
}
END_TEST

START_TEST(a_guest_of_4_gib_with_two_banks_fits_a_dom0_of_512_mib)
{
    struct mc_offer guest = honest;

    machine_bytes = 440ul << 20;        /* as its kernel counts them */
    guest.gfn_end = 0x240000;
    guest.pages = 0x100000;
    begin_hostile(&guest);
    for (uint32_t leaf = 0x40000 / 512; leaf < 0x100000 / 512; leaf++)
        hostile_say_leaf(leaf, 0, 512);
    for (uint32_t leaf = 0x200000 / 512; leaf < 0x240000 / 512; leaf++)
        hostile_say_leaf(leaf, 0, 512);
    OK(mw_send_bytes(hostile, MW_PREPARE, "12345678", 8, &err));
    must_be_refused(FLIC_E_PROTOCOL);   /* for this word alone */
    ck_assert_ptr_nonnull(strstr(victim_err.text, "an unexpected message"));
}
END_TEST

START_TEST(a_note_of_what_would_take_too_much_memory_is_not_taken_up)
{
    struct flic_id leaves[64];
    struct ck_facts facts = { .guest = scene_uuid(1), .name = "web", .arch = "fake", .gfn_end = 64 * 512 };
    struct ck_arrival *found;
    char note[128];

    (void)snprintf(note, sizeof(note), "%s/note", other_dir);
    memset(leaves, 0x55, sizeof(leaves));
    OK(ck_note_write(note, &facts, leaves, 64, &err));
    ck_assert_int_eq(ck_arrival_recall(other, note, 63, &found, &err), FLIC_E_REFUSED);
    for (size_t i = 0; i < 64; i++)
        leaves[i] = i % 2 ? FLIC_ID_ZERO : FLIC_ID_HOLE;
    OK(ck_note_write(note, &facts, leaves, 64, &err));
    OK(ck_arrival_recall(other, note, 0, &found, &err));
    ck_assert_uint_lt(ck_arrival_bytes(found), 64 * 8192);
    ck_arrival_free(found);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("copy");
    TCase *t = tcase_create("copy");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_checkpoint_arrives_whole_and_can_be_restored_there_and_here);
    tcase_add_test(t, what_was_moved_to_flash_arrives_as_well);
    tcase_add_test(t, invariant_10_of_the_next_checkpoint_only_what_changed_is_sent);
    tcase_add_test(t, a_page_that_moved_within_the_guest_is_found_and_not_sent);
    tcase_add_test(t, the_same_copy_made_again_is_one_checkpoint_and_sends_no_page);
    tcase_add_loop_test(t, a_copy_made_again_of_one_that_is_damaged_there_arrives_beside_it_and_is_whole, 0, 2);
    tcase_add_test(t, a_copy_of_which_something_is_lost_there_before_it_is_durable_fails_and_arrives_the_next_time);
    tcase_add_test(t, a_copy_of_which_something_is_lost_there_before_it_is_offered_is_offered_as_damaged);
    tcase_add_test(t, a_leaf_that_the_guest_ends_in_is_asked_about_as_one_too);
    tcase_add_test(t, the_right_goes_along_only_when_the_last_word_says_so);
    tcase_add_test(t, a_taker_that_refuses_says_why_and_has_nothing);
    tcase_add_test(t, invariant_8_cut_anywhere_it_is_there_whole_or_not_at_all_and_goes_on_from_there);
    tcase_add_test(t, what_arrived_before_the_other_flicd_was_started_anew_is_not_sent_again);
    tcase_add_test(t, invariant_7_a_note_that_is_damaged_or_names_what_is_gone_says_nothing_of_use);
    tcase_add_test(t, invariant_4_a_page_that_is_damaged_here_is_named_and_nothing_is_offered_there);
    tcase_add_test(t, invariant_7_an_offer_out_of_bounds_is_refused);
    tcase_add_test(t, invariant_7_leaves_out_of_order_and_pages_nobody_announced_are_refused);
    tcase_add_test(t, invariant_7_the_end_before_the_pages_or_without_a_state_is_refused);
    tcase_add_test(t, invariant_7_words_of_a_migration_are_not_taken_for_those_of_a_copy);
    tcase_add_test(t, a_leaf_of_zeros_or_holes_takes_no_memory);
    tcase_add_test(t, invariant_7_a_peer_whose_leaves_take_more_than_a_quarter_of_the_memory_is_refused);
    tcase_add_test(t, a_guest_of_4_gib_with_two_banks_fits_a_dom0_of_512_mib);
    tcase_add_test(t, a_note_of_what_would_take_too_much_memory_is_not_taken_up);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
