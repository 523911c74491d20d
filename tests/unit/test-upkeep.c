/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What flicd does for its store, by itself and when asked: rules, pins, gc, the journal. The engine is the real one, Xen its twin. */
#include "tests/unit/checkpoint-scene.h"
#include "tests/unit/collections.h"

#include "daemon/pins.h"
#include "daemon/upkeep.h"

#include <jansson.h>
#include <unistd.h>

static struct fd_daemon flicd;
static struct nv_name names[8];

/* main.c's, which is not in the library. */
int fd_check_ready(const struct fd_daemon *daemon, struct flic_err *why)
{
    (void)daemon;
    (void)why;
    return 0;
}

/* How many more are forgotten before the flash is full; below 0: all are. */
static int forgets_before_full;

int __real_ck_forget(struct ck_store *s, const struct nv_name *name, bool dry_run, uint64_t *freed, struct flic_err *e);
int __wrap_ck_forget(struct ck_store *s, const struct nv_name *name, bool dry_run, uint64_t *freed, struct flic_err *e);
int __wrap_ck_forget(struct ck_store *s, const struct nv_name *name, bool dry_run, uint64_t *freed, struct flic_err *e)
{
    if (!dry_run && !forgets_before_full)
        return flic_err_set(e, FLIC_E_NOSPACE, "made to fail");
    forgets_before_full -= forgets_before_full > 0;
    return __real_ck_forget(s, name, dry_run, freed, e);
}

static uint64_t unreadable;         /* the number of a checkpoint whose root is damaged; 0: none */
static atomic_uint tried_to_read;         /* that one; any thread */

int __real_ck_load(struct ck_store *s, const struct ck_entry *entry, struct ck_loaded *ret_loaded, struct flic_err *e);
int __wrap_ck_load(struct ck_store *s, const struct ck_entry *entry, struct ck_loaded *ret_loaded, struct flic_err *e);
int __wrap_ck_load(struct ck_store *s, const struct ck_entry *entry, struct ck_loaded *ret_loaded, struct flic_err *e)
{
    if (unreadable && entry->info.seq == unreadable) {
        atomic_fetch_add(&tried_to_read, 1);
        return flic_err_set(e, FLIC_E_DAMAGED, "made to fail");
    }
    return __real_ck_load(s, entry, ret_loaded, e);
}

static void set_up(void)
{
    forgets_before_full = -1;
    atomic_store(&collections, 0);
    unreadable = 0;
    atomic_store(&tried_to_read, 0);
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    fd_conf_defaults(&flicd.conf);
    flicd.store = store;
    (void)snprintf(flicd.conf.store, sizeof(flicd.conf.store), "%s", scene_dir);
}

static void tear_down(void)
{
    fd_upkeep_stop(&flicd);
    memset(&flicd, 0, sizeof(flicd));
    scene_end();
}

/* Each has 300 pages that no other has, and 20 that stay in all that follow. */
static void save_some(size_t n)
{
    static uint32_t taken;

    for (size_t i = 0; i < n; i++, taken++) {
        scene_dirty(GUEST, 200, 300, 1000 + 77 * taken);
        scene_dirty(GUEST, 600 + 20 * taken, 20, 99 * taken);
        names[i] = scene_save(GUEST, NULL, NULL);
    }
}

/* Asks and takes the request; the answer is the caller's. */
static json_t *ask(json_t *request)
{
    json_t *answer = fd_question(&flicd, json_string_value(json_object_get(request, "op")), request);

    json_decref(request);
    ck_assert_ptr_nonnull(answer);
    return answer;
}

static void refused(json_t *answer, const char *code, const char *words)
{
    ck_assert_str_eq(json_string_value(json_object_get(answer, "code")), code);
    ck_assert_msg(strstr(json_string_value(json_object_get(answer, "error")), words), "%s", json_string_value(json_object_get(answer, "error")));
    json_decref(answer);
}

static json_t *about(const char *op, size_t which)
{
    return json_pack("{s:s, s:s, s:I}", "op", op, "domain", "web", "seq", (json_int_t)names[which].seq);
}

static void pin(size_t which, bool on)
{
    json_t *request = about("pin", which), *answer;

    (void)json_object_set_new(request, "pinned", json_boolean(on));
    answer = ask(request);
    ck_assert(json_is_true(json_object_get(answer, "ok")));
    json_decref(answer);
}

static json_t *gc(bool dry_run)
{
    json_t *answer = ask(json_pack("{s:s, s:b}", "op", "gc", "dry_run", (int)dry_run));

    ck_assert_msg(json_is_true(json_object_get(answer, "ok")), "%s", json_string_value(json_object_get(answer, "error")));
    return answer;
}

static bool await_count(size_t n)
{
    for (int i = 0; i < 1000 && scene_count() != n; i++)
        (void)usleep(10000);
    return scene_count() == n;
}

START_TEST(a_pinned_checkpoint_is_not_forgotten_until_it_is_unpinned)
{
    json_t *answer;

    save_some(1);
    pin(0, true);
    refused(ask(about("forget", 0)), "FLIC_E_REFUSED", "web@1 is pinned: say 'flic unpin web@1' first");
    answer = ask(json_pack("{s:s}", "op", "list"));
    ck_assert(json_is_true(json_object_get(json_array_get(json_object_get(answer, "checkpoints"), 0), "pinned")));
    json_decref(answer);
    pin(0, false);
    answer = ask(about("forget", 0));
    ck_assert(json_is_true(json_object_get(answer, "ok")));
    json_decref(answer);
    ck_assert_uint_eq(scene_count(), 0);
}
END_TEST

START_TEST(after_a_publish_the_rules_drop_what_they_do_not_keep)
{
    save_some(5);
    flicd.conf.keep_last = 2;
    pin(0, true);
    OK(pn_set(scene_dir, &names[1].guest, names[1].seq, PN_FILE, true, &err));
    OK(fd_upkeep_start(&flicd, &err));
    ck_assert(await_count(4));
    ck_assert(scene_offers(&names[0]) && scene_offers(&names[1]) && !scene_offers(&names[2]) && scene_offers(&names[3]) &&
              scene_offers(&names[4]));
    names[5] = scene_save(GUEST, NULL, NULL);
    fd_upkeep_published(&flicd);
    ck_assert(await_count(4));
    ck_assert(!scene_offers(&names[3]) && scene_offers(&names[5]));
}
END_TEST

START_TEST(pins_that_cannot_be_read_keep_everything)
{
    char path[128];
    FILE *f;

    save_some(3);
    (void)snprintf(path, sizeof(path), "%s/pinned.json", scene_dir);
    f = fopen(path, "w");
    ck_assert(f && fputs("{", f) >= 0 && !fclose(f));
    flicd.conf.keep_last = 1;
    OK(fd_upkeep_start(&flicd, &err));
    refused(ask(json_pack("{s:s}", "op", "gc")), "FLIC_E_DAMAGED", "pinned.json");
    refused(ask(about("forget", 0)), "FLIC_E_DAMAGED", "what is pinned is not known");
    ck_assert_uint_eq(scene_count(), 3);
}
END_TEST

START_TEST(gc_asked_for_drops_by_the_rules_and_a_dry_run_says_what_and_how_much)
{
    uint64_t before, would;
    json_t *answer;

    save_some(3);
    flicd.conf.keep_last = 3;
    OK(fd_upkeep_start(&flicd, &err));
    (void)usleep(50000);            /* the rules are applied once at its start: there is nothing that they do not keep yet */
    save_some(3);
    before = scene_flash_bytes();
    answer = gc(true);
    ck_assert_uint_eq(json_array_size(json_object_get(answer, "forgotten")), 3);
    would = (uint64_t)json_integer_value(json_object_get(answer, "freed_bytes"));
    ck_assert_uint_gt(would, 60 * PAGE);
    json_decref(answer);
    ck_assert_uint_eq(scene_count(), 6);
    ck_assert_uint_eq(scene_flash_bytes(), before);
    answer = gc(false);
    ck_assert_uint_eq(json_array_size(json_object_get(answer, "forgotten")), 3);
    json_decref(answer);
    ck_assert_uint_eq(scene_count(), 3);
    ck_assert_uint_ge(before - scene_flash_bytes() + 2 * PAGE, would / 2);
    ck_assert_uint_le(before - scene_flash_bytes(), would * 2);
}
END_TEST

START_TEST(a_quota_counts_pages_once_and_drops_the_oldest)
{
    save_some(5);
    flicd.conf.guest_quota_mib = GUEST_PAGES * 4 / 1024;        /* the newest and a little more: 6 MiB */
    OK(fd_upkeep_start(&flicd, &err));
    for (int i = 0; i < 1000 && scene_offers(&names[0]); i++)
        (void)usleep(10000);
    (void)usleep(100000);                           /* were it to drop more */
    ck_assert_uint_ge(scene_count(), 2);            /* what they share is counted once */
    ck_assert(scene_offers(&names[4]) && !scene_offers(&names[0]));
}
END_TEST

START_TEST(one_that_is_lost_does_not_keep_the_rules_from_the_others)
{
    const struct ck_damage lost = { .root = true };
    json_t *answer;

    save_some(4);
    flicd.conf.guest_quota_mib = GUEST_PAGES * 4 / 1024;
    unreadable = names[1].seq;
    OK(fd_upkeep_start(&flicd, &err));
    refused(ask(json_pack("{s:s}", "op", "gc")), "FLIC_E_DAMAGED", "'flic verify' finds out what of it is lost");
    for (int i = 0; i < 1000 && atomic_load(&tried_to_read) < 2; i++)
        (void)usleep(10000);                        /* flicd by itself, at its start: it is not to do what gc is to show */
    (void)usleep(100000);
    ck_set_damage(store, &names[1], &lost);
    answer = gc(false);
    ck_assert_uint_gt(json_array_size(json_object_get(answer, "forgotten")), 0);
    json_decref(answer);
    ck_assert(!scene_offers(&names[0]) && scene_offers(&names[3]));
}
END_TEST

static bool is_there(const char *file)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", scene_dir, file);
    return !access(path, F_OK);
}

static int count_verified(const struct ix_entry *entry, void *arg)
{
    *(unsigned *)arg += !strcmp(entry->verb, "verify") && !entry->code;
    return 0;
}

static unsigned verified(void)
{
    unsigned n = 0;

    OK(ix_journal_each(ck_index(store), NULL, 0, count_verified, &n, &err));
    return n;
}

START_TEST(a_reading_that_was_cut_off_goes_on_by_itself)
{
    char path[128];
    FILE *f;

    save_some(2);
    (void)snprintf(path, sizeof(path), "%s/verify.json", scene_dir);
    f = fopen(path, "w");
    ck_assert(f && fputs("{\"version\": 1, \"next_pack\": 1}", f) >= 0 && !fclose(f));
    flicd.conf.verify_kib_per_s = 1 << 20;
    OK(fd_upkeep_start(&flicd, &err));
    for (int i = 0; i < 1000 && (is_there("verify.json") || !verified()); i++)
        (void)usleep(10000);
    ck_assert(!is_there("verify.json"));
    ck_assert_uint_eq(verified(), 1);
}
END_TEST

START_TEST(verify_and_fsck_answer_with_what_they_found)
{
    json_t *answer;

    save_some(2);
    OK(fd_upkeep_start(&flicd, &err));
    answer = ask(json_pack("{s:s, s:b}", "op", "verify", "all", 1));
    ck_assert(json_is_true(json_object_get(answer, "ok")));
    ck_assert_int_eq(json_integer_value(json_object_get(answer, "checkpoints")), 2);
    ck_assert_uint_eq(json_array_size(json_object_get(answer, "damaged")), 0);
    json_decref(answer);
    ck_assert(!is_there("verify.json"));
    ck_assert_uint_eq(verified(), 1);
    answer = ask(json_pack("{s:s, s:s}", "op", "verify", "domain", "web"));
    ck_assert(json_is_true(json_object_get(answer, "ok")));
    json_decref(answer);
    answer = ask(json_pack("{s:s, s:b}", "op", "fsck", "rebuild", 1));
    ck_assert(json_is_true(json_object_get(answer, "index_rebuilt")));
    ck_assert_int_eq(json_integer_value(json_object_get(answer, "missing")), 0);
    json_decref(answer);
}
END_TEST

START_TEST(gc_runs_although_the_rules_found_no_room_for_what_they_write)
{
    json_t *answer;
    uint64_t before;

    save_some(6);
    for (size_t i = 0; i < 3; i++)
        OK(ck_forget(store, &names[i], false, NULL, &err));
    OK(fd_upkeep_start(&flicd, &err));
    (void)usleep(50000);            /* it applies the rules at its start, and there is none */
    flicd.conf.keep_last = 1;
    forgets_before_full = 1;
    before = scene_flash_bytes();
    answer = ask(json_pack("{s:s}", "op", "gc"));
    ck_assert_uint_eq(json_array_size(json_object_get(answer, "forgotten")), 1);
    refused(answer, "FLIC_E_NOSPACE", "still there: made to fail; say 'flic gc' again");
    ck_assert_uint_lt(scene_flash_bytes(), before);
    forgets_before_full = -1;
    answer = gc(false);
    ck_assert_uint_eq(json_array_size(json_object_get(answer, "forgotten")), 1);
    json_decref(answer);
}
END_TEST

START_TEST(what_is_forgotten_again_and_again_is_collected_once_a_minute_or_when_there_is_no_room)
{
    OK(fd_upkeep_start(&flicd, &err));
    for (int i = 0; i < 10; i++) {
        fd_upkeep_left_packs(&flicd);
        (void)usleep(20000);
    }
    ck_assert_uint_eq(atomic_load(&collections), 0);
    fd_upkeep_no_room(&flicd);
    for (int i = 0; i < 1000 && !atomic_load(&collections); i++)
        (void)usleep(10000);
    fd_upkeep_no_room(&flicd);      /* nothing was forgotten since */
    (void)usleep(100000);
    ck_assert_uint_eq(atomic_load(&collections), 1);
}
END_TEST

START_TEST(gc_runs_by_itself_when_something_was_forgotten_and_nothing_else_goes_on)
{
    struct pk_stats stats;
    json_t *answer;

    save_some(6);
    flicd.conf.gc_interval_s = 1;
    atomic_store(&flicd.running, 1);
    OK(fd_upkeep_start(&flicd, &err));
    for (size_t i = 0; i < 5; i++) {
        answer = ask(about("forget", i));
        ck_assert(json_is_true(json_object_get(answer, "ok")));
        json_decref(answer);
    }
    pk_get_stats(ck_packs(store), &stats);
    (void)usleep(1500000);
    {
        struct pk_stats later;

        pk_get_stats(ck_packs(store), &later);
        ck_assert_uint_eq(later.bytes, stats.bytes);        /* an operation is under way */
    }
    atomic_store(&flicd.running, 0);
    for (int i = 0; i < 1000; i++) {
        struct pk_stats later;

        pk_get_stats(ck_packs(store), &later);
        if (later.bytes < stats.bytes)
            return;
        (void)usleep(10000);
    }
    ck_abort_msg("nothing was given back");
}
END_TEST

START_TEST(a_drained_store_takes_a_new_arena_of_another_size)
{
    struct image image = { 0 };
    struct nv_info info;
    struct nv_name name;
    json_t *answer;

    scene_dirty(GUEST, 300, 50, 1);
    name = scene_save(GUEST, &image, NULL);
    atomic_store(&flicd.held, true);
    OK(fd_keeper_start(&flicd, &err));
    answer = ask(json_pack("{s:s}", "op", "drain"));
    ck_assert_int_eq(json_integer_value(json_object_get(answer, "moved")), 1);
    ck_assert_uint_eq(json_array_size(json_object_get(answer, "left")), 0);
    json_decref(answer);
    fd_keeper_stop(&flicd);
    scene_close();
    scene_lose_arena();
    scene_resize_arena(24 * MIB);
    scene_open();
    flicd.store = store;
    nv_get_info(ck_arena(store), &info);
    ck_assert_uint_eq(info.size_bytes, 24 * MIB);
    scene_restore_and_compare(&name, &image);
    image_free(&image);
    name = scene_save(GUEST, &image, NULL);
    scene_restore_and_compare(&name, &image);
    image_free(&image);
}
END_TEST

/* ---- the journal ---- */

static void did(const char *guest, uint64_t seq)
{
    struct ix_entry entry = { .verb = "save", .seq = seq, .figures = "{\"pause_us\":7}", .message = "" };

    (void)snprintf(entry.guest_name, sizeof(entry.guest_name), "%s", guest);
    OK(ix_journal_add(ck_index(store), &entry, &err));
}

static json_t *ask_log(json_int_t before)
{
    return ask(json_pack("{s:s, s:i, s:I}", "op", "log", "limit", 0, "before", before));
}

START_TEST(a_journal_is_told_a_thousand_entries_at_a_time)
{
    json_t *first, *second, *entries;

    for (int i = 0; i < 1100; i++)
        did("web", 1);
    first = ask_log(0);
    entries = json_object_get(first, "entries");
    ck_assert_uint_eq(json_array_size(entries), 1000);
    ck_assert(json_is_true(json_object_get(first, "more")));
    second = ask_log(json_integer_value(json_object_get(json_array_get(entries, 999), "id")));
    ck_assert_uint_eq(json_array_size(json_object_get(second, "entries")), 100);
    ck_assert(json_is_false(json_object_get(second, "more")));
    json_decref(first);
    json_decref(second);
}
END_TEST

START_TEST(the_journal_of_one_checkpoint_is_only_what_was_done_with_it)
{
    json_t *answer, *entries, *entry;

    for (uint64_t seq = 1; seq < 4; seq++)
        did("web", seq);
    did("db", 2);
    answer = ask(json_pack("{s:s, s:s, s:i}", "op", "log", "domain", "web", "seq", 2));
    entries = json_object_get(answer, "entries");
    ck_assert_uint_eq(json_array_size(entries), 1);
    entry = json_array_get(entries, 0);
    ck_assert_str_eq(json_string_value(json_object_get(entry, "domain")), "web");
    ck_assert_int_eq(json_integer_value(json_object_get(entry, "seq")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(entry, "figures"), "pause_us")), 7);
    json_decref(answer);
}
END_TEST

START_TEST(the_journal_is_as_long_as_the_configuration_lets_it)
{
    struct ix_entry entry = { .verb = "destage", .guest_name = "web" };
    json_t *answer;

    flicd.conf.journal_entries = 16;
    for (unsigned i = 0; i < 50; i++)
        fd_journal(&flicd, &entry, NULL);
    answer = ask_log(0);
    ck_assert_uint_ge(json_array_size(json_object_get(answer, "entries")), 16);
    ck_assert_uint_le(json_array_size(json_object_get(answer, "entries")), 18);
    json_decref(answer);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("upkeep");
    TCase *t = tcase_create("upkeep");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_pinned_checkpoint_is_not_forgotten_until_it_is_unpinned);
    tcase_add_test(t, after_a_publish_the_rules_drop_what_they_do_not_keep);
    tcase_add_test(t, pins_that_cannot_be_read_keep_everything);
    tcase_add_test(t, gc_asked_for_drops_by_the_rules_and_a_dry_run_says_what_and_how_much);
    tcase_add_test(t, a_quota_counts_pages_once_and_drops_the_oldest);
    tcase_add_test(t, one_that_is_lost_does_not_keep_the_rules_from_the_others);
    tcase_add_test(t, a_reading_that_was_cut_off_goes_on_by_itself);
    tcase_add_test(t, verify_and_fsck_answer_with_what_they_found);
    tcase_add_test(t, gc_runs_although_the_rules_found_no_room_for_what_they_write);
    tcase_add_test(t, what_is_forgotten_again_and_again_is_collected_once_a_minute_or_when_there_is_no_room);
    tcase_add_test(t, gc_runs_by_itself_when_something_was_forgotten_and_nothing_else_goes_on);
    tcase_add_test(t, a_drained_store_takes_a_new_arena_of_another_size);
    tcase_add_test(t, a_journal_is_told_a_thousand_entries_at_a_time);
    tcase_add_test(t, the_journal_is_as_long_as_the_configuration_lets_it);
    tcase_add_test(t, the_journal_of_one_checkpoint_is_only_what_was_done_with_it);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
