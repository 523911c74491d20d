/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Packs: round trips, sharing, collisions, visibility, collection. */
#include "test-packs.h"

#include <endian.h>
#include <pthread.h>
#include <sys/wait.h>

/* ---- round trips ---- */

START_TEST(objects_of_every_kind_and_size_come_back_after_reopening)
{
    static const size_t sizes[] = { 1, 63, PAGE, 8192, 65535, 65536, 65537, PK_OBJECT_MAX };
    struct flic_id ids[4][N_OF(sizes)];
    struct pk_writer *w = writer();
    uint8_t *data = malloc(PK_OBJECT_MAX);

    for (int kind = PK_PAGE; kind <= PK_TOMBSTONE; kind++)
        for (size_t i = 0; i < N_OF(sizes); i++) {
            fill(data, sizes[i], (uint64_t)kind * 100 + i);
            OK(pk_put(w, kind, data, sizes[i], &ids[kind - 1][i], NULL, &err));
        }
    OK(pk_seal(w, &err));
    pk_writer_free(w);
    reopen();
    for (int kind = PK_PAGE; kind <= PK_TOMBSTONE; kind++)
        for (size_t i = 0; i < N_OF(sizes); i++) {
            fill(data, sizes[i], (uint64_t)kind * 100 + i);
            ck_assert(reads_as(&ids[kind - 1][i], data, sizes[i]));
        }
    free(data);
}
END_TEST

START_TEST(an_empty_or_overlong_object_is_refused_and_the_writer_goes_on)
{
    struct pk_writer *w = writer();
    struct flic_id id;

    ck_assert_int_eq(pk_put(w, PK_PAGE, "", 0, &id, NULL, &err), FLIC_E_INTERNAL);
    ck_assert_int_eq(pk_put(w, PK_PAGE, "", PK_OBJECT_MAX + 1, &id, NULL, &err), FLIC_E_INTERNAL);
    put_page(w, 1, &id);
    OK(pk_seal(w, &err));
    pk_writer_free(w);
    ck_assert(page_reads(&id, 1));
}
END_TEST

START_TEST(a_buffer_too_small_is_not_overrun)
{
    struct flic_id id;
    uint8_t buf[PAGE] = { 0 };
    size_t len = 4711;

    seal_pages(1, 1, &id);
    ck_assert_int_eq(pk_read(store, &id, buf, PAGE - 1, &len, &err), FLIC_E_DAMAGED);
    ck_assert_uint_eq(len, 4711);
    ck_assert(flic_is_zero(buf, PAGE));
}
END_TEST

START_TEST(an_unknown_id_is_damage_and_says_which)
{
    struct flic_id id = { { 0xab, 0xcd } };
    uint8_t buf[PAGE];
    size_t len;

    ck_assert_int_eq(pk_read(store, &id, buf, PAGE, &len, &err), FLIC_E_DAMAGED);
    ck_assert_ptr_nonnull(strstr(err.text, "abcd0000"));
    ck_assert(!pk_has(store, &id));
    ck_assert_uint_eq(pk_place(store, &id), UINT64_MAX);
}
END_TEST

START_TEST(more_than_a_pack_holds_goes_on_in_the_next_and_none_is_too_long)
{
    enum { OBJECTS = 10 };
    uint8_t *data = malloc(PK_OBJECT_MAX);
    struct flic_id ids[OBJECTS], root;
    struct pk_writer *w = writer();

    for (uint64_t i = 0; i < OBJECTS; i++) {
        fill_random(data, PK_OBJECT_MAX, i);
        OK(pk_put(w, PK_LEAF, data, PK_OBJECT_MAX, &ids[i], NULL, &err));
    }
    OK(pk_put(w, PK_ROOT, "the root", 8, &root, NULL, &err));
    OK(pk_seal(w, &err));
    pk_writer_free(w);
    ck_assert_int_ge(files().sealed, 2);
    ck_assert_uint_le(files().bytes, (uint64_t)files().sealed * PK_MAX_BYTES);
    ck_assert_uint_eq(files().bytes, stats().bytes);
    reopen();
    ck_assert_uint_eq(stats().objects, OBJECTS + 1);
    ck_assert_uint_eq(pk_place(store, &root) >> 32, stats().packs - 1);    /* in the last: durable last */
    ck_assert(reads_as(&root, "the root", 8));
    fill_random(data, PK_OBJECT_MAX, 3);
    ck_assert(reads_as(&ids[3], data, PK_OBJECT_MAX));
    free(data);
}
END_TEST

START_TEST(the_footer_of_many_small_objects_counts_towards_a_packs_length)
{
    enum { SMALL = 120000 };        /* 7.2 MB in frames, 2.9 MB in the footer: beside 7 x 8 MiB only one of them fits */
    uint8_t *data = malloc(PK_OBJECT_MAX);
    struct pk_writer *w = writer();
    struct flic_id id;

    for (uint64_t i = 0; i < 7; i++) {
        fill_random(data, PK_OBJECT_MAX, i);
        OK(pk_put(w, PK_LEAF, data, PK_OBJECT_MAX, &id, NULL, &err));
    }
    for (uint64_t i = 0; i < SMALL; i++) {
        fill_random(data, 56, 1000 + i);
        OK(pk_put(w, PK_LEAF, data, 56, &id, NULL, &err));
    }
    OK(pk_seal(w, &err));
    pk_writer_free(w);
    free(data);
    reopen();
    ck_assert_uint_eq(stats().quarantined, 0);
    ck_assert_uint_eq(stats().packs, 2);
    ck_assert_uint_eq(stats().objects, 7 + SMALL);
}
END_TEST

/* ---- sharing ---- */

START_TEST(an_equal_page_is_stored_once_by_bytes_and_by_objects)
{
    struct flic_id first[64], again[64];
    struct pk_put_stats put;
    struct pk_writer *w;
    uint64_t bytes;

    seal_pages(0, 64, first);
    bytes = files().bytes;
    w = writer();
    put_pages(w, 0, 64, again);
    OK(pk_seal(w, &err));
    pk_get_put_stats(w, &put);
    pk_writer_free(w);
    ck_assert_mem_eq(first, again, sizeof(first));
    ck_assert_uint_eq(put.objects, 64);
    ck_assert_uint_eq(put.new_objects, 0);
    ck_assert_uint_eq(put.new_bytes, 0);
    ck_assert_uint_eq(put.flash_bytes, 0);
    ck_assert_uint_eq(files().bytes, bytes);
    ck_assert_int_eq(files().sealed, 1);
    ck_assert_uint_eq(stats().objects, 64);
}
END_TEST

START_TEST(a_writer_shares_with_itself_wherever_the_first_copy_is)
{
    uint8_t *big = malloc(PK_OBJECT_MAX);
    struct pk_writer *w = writer();
    struct flic_id id;

    ck_assert(put_page(w, 1, NULL));
    ck_assert(!put_page(w, 1, NULL));           /* in the frame being filled */
    put_pages(w, 100, 40, NULL);
    ck_assert(!put_page(w, 1, NULL));           /* in a frame on flash */
    for (uint64_t i = 0; i < 9; i++) {
        fill_random(big, PK_OBJECT_MAX, i);
        OK(pk_put(w, PK_LEAF, big, PK_OBJECT_MAX, &id, NULL, &err));
    }
    free(big);
    ck_assert_int_ge(files().unfinished, 2);
    ck_assert(!put_page(w, 1, NULL));           /* in a pack that is full */
    OK(pk_seal(w, &err));
    ck_assert(!put_page(w, 1, NULL));           /* in a sealed one */
    pk_writer_free(w);
}
END_TEST

START_TEST(a_second_checkpoint_costs_what_changed)
{
    struct pk_put_stats put;
    struct pk_writer *w;

    seal_pages(0, 1000, NULL);
    w = writer();
    put_pages(w, 0, 500, NULL);
    put_pages(w, 5000, 10, NULL);
    put_pages(w, 510, 490, NULL);
    OK(pk_seal(w, &err));
    pk_get_put_stats(w, &put);
    pk_writer_free(w);
    ck_assert_uint_eq(put.objects, 1000);
    ck_assert_uint_eq(put.new_objects, 10);
    ck_assert_uint_eq(put.new_bytes, 10 * PAGE);
    ck_assert_uint_lt(put.flash_bytes, 10 * PAGE);
}
END_TEST

START_TEST(flash_bytes_are_exactly_the_bytes_of_the_files)
{
    struct pk_writer *w = writer();
    struct pk_put_stats put;

    for (uint64_t round = 0; round < 5; round++) {
        put_pages(w, round * 1000, 17 + 31 * round, NULL);
        OK(pk_seal(w, &err));
        pk_get_put_stats(w, &put);
        ck_assert_uint_eq(put.flash_bytes, files().bytes);
        ck_assert_uint_eq(put.flash_bytes, stats().bytes);
    }
    pk_writer_free(w);
    ck_assert_int_eq(files().sealed, 5);
}
END_TEST

START_TEST(what_compresses_takes_less_and_what_does_not_takes_no_more_than_its_frame)
{
    struct pk_writer *w = writer();
    struct pk_put_stats put;
    uint8_t page[PAGE];
    struct flic_id id;

    memset(page, 'x', sizeof(page));
    for (int i = 0; i < 16; i++) {
        page[0] = (uint8_t)i;
        OK(pk_put(w, PK_PAGE, page, PAGE, &id, NULL, &err));
    }
    OK(pk_seal(w, &err));
    pk_get_put_stats(w, &put);
    ck_assert_uint_lt(put.flash_bytes, 2048);
    for (int i = 0; i < 16; i++) {
        fill_random(page, PAGE, (uint64_t)i);
        OK(pk_put(w, PK_PAGE, page, PAGE, &id, NULL, &err));
    }
    OK(pk_seal(w, &err));
    ck_assert_uint_lt(files().bytes - put.flash_bytes, 16 * PAGE + 1024);
    pk_writer_free(w);
}
END_TEST

START_TEST(equal_bytes_of_another_kind_are_an_object_of_their_own)
{
    struct pk_writer *w = writer();
    struct flic_id page, root;
    bool anew;

    put_page(w, 1, &page);
    OK(pk_put(w, PK_ROOT, page_of(1), PAGE, &root, &anew, &err));
    ck_assert(anew);
    OK(pk_put(w, PK_ROOT, page_of(1), PAGE, &root, &anew, &err));
    ck_assert(!anew);
    OK(pk_seal(w, &err));
    pk_writer_free(w);
    ck_assert(flic_id_equal(&page, &root));
    ck_assert_uint_eq(stats().objects, 2);
    ck_assert(page_reads(&root, 1));
}
END_TEST

START_TEST(an_id_that_the_caller_computed_gives_the_same_object)
{
    struct pk_writer *w = writer();
    struct flic_id id0 = flic_id_of(&secret, 0, page_of(1), PAGE), id;
    bool anew;

    OK(pk_put_hashed(w, PK_PAGE, &id0, page_of(1), PAGE, &id, &anew, &err));
    ck_assert(anew);
    ck_assert(flic_id_equal(&id, &id0));
    ck_assert(!put_page(w, 1, NULL));
    pk_writer_free(w);
}
END_TEST

/* ---- collisions ---- */

static uint32_t secret_word(unsigned try_no, size_t at)
{
    uint32_t word;

    memcpy(&word, secret.b[try_no] + at, sizeof(word));
    return le32toh(word);
}

/*
 * Pages that collide under XXH3-128 once secret `try_no` is known. XXH3 multiplies, for the first eight bytes of each
 * 64-byte stripe, the two halves of (input xor secret) and adds the product to one sum and the input to another. Where
 * the input's low half equals the secret's, the product is zero whatever the high half is; so two such inputs, in
 * stripes 0 and 1, may trade any amount between their high halves and no sum changes.
 */
static const uint8_t *colliding_page(unsigned try_no, uint32_t n)
{
    static uint8_t page[PAGE];
    uint64_t a = secret_word(try_no, 0) | (uint64_t)(1000 + n) << 32;
    uint64_t b = secret_word(try_no, 8) | (uint64_t)(2000 - n) << 32;

    fill(page, PAGE, 99);
    a = htole64(a);
    b = htole64(b);
    memcpy(page, &a, sizeof(a));
    memcpy(page + 64, &b, sizeof(b));
    return page;
}

START_TEST(pages_forged_to_collide_are_all_kept_apart)
{
    struct flic_id ids[2], again;
    struct pk_writer *w = writer();
    bool anew;

    for (uint32_t n = 0; n < 2; n++)
        ids[n] = flic_id_of(&secret, 0, colliding_page(0, n), PAGE);
    ck_assert(flic_id_equal(&ids[0], &ids[1]));     /* the forgery works */
    for (uint32_t n = 0; n < 2; n++) {
        OK(pk_put(w, PK_PAGE, colliding_page(0, n), PAGE, &ids[n], &anew, &err));
        ck_assert(anew);
    }
    ck_assert(!flic_id_equal(&ids[0], &ids[1]));
    ck_assert_uint_eq(flic_id_try(&ids[1]), 1);
    OK(pk_seal(w, &err));
    pk_writer_free(w);
    reopen();
    for (uint32_t n = 0; n < 2; n++)
        ck_assert(reads_as(&ids[n], colliding_page(0, n), PAGE));
    w = writer();
    for (uint32_t n = 0; n < 2; n++) {
        OK(pk_put(w, PK_PAGE, colliding_page(0, n), PAGE, &again, &anew, &err));
        ck_assert(!anew);
        ck_assert(flic_id_equal(&again, &ids[n]));
    }
    pk_writer_free(w);
}
END_TEST

START_TEST(when_every_id_is_taken_the_put_is_refused_and_nothing_else_suffers)
{
    struct flic_id ids[FLIC_ID_TRIES], more;
    struct pk_writer *w;

    for (unsigned i = 1; i < FLIC_ID_TRIES; i++)    /* one secret for all tries: they all collide at once */
        memcpy(secret.b[i], secret.b[0], FLIC_SECRET_SIZE);
    reopen();
    w = writer();
    for (uint32_t n = 0; n < FLIC_ID_TRIES; n++)
        OK(pk_put(w, PK_PAGE, colliding_page(0, n), PAGE, &ids[n], NULL, &err));
    ck_assert_int_eq(pk_put(w, PK_PAGE, colliding_page(0, 4), PAGE, &more, NULL, &err), FLIC_E_REFUSED);
    put_page(w, 5, &more);
    OK(pk_seal(w, &err));
    pk_writer_free(w);
    for (uint32_t n = 0; n < FLIC_ID_TRIES; n++)
        ck_assert(reads_as(&ids[n], colliding_page(0, n), PAGE));
    ck_assert(page_reads(&more, 5));
}
END_TEST

START_TEST(colliding_pages_of_two_writers_at_once_do_not_both_get_the_id)
{
    struct pk_writer *a = writer(), *b = writer();
    struct flic_id ia, ib;

    OK(pk_put(a, PK_PAGE, colliding_page(0, 0), PAGE, &ia, NULL, &err));
    OK(pk_put(b, PK_PAGE, colliding_page(0, 1), PAGE, &ib, NULL, &err));
    OK(pk_seal(a, &err));
    ck_assert_int_eq(pk_seal(b, &err), FLIC_E_REFUSED);
    pk_writer_free(a);
    pk_writer_free(b);
    ck_assert_int_eq(files().unfinished, 0);
    ck_assert_int_eq(files().sealed, 1);
    ck_assert(reads_as(&ia, colliding_page(0, 0), PAGE));
    b = writer();       /* started again it is stored under the next id */
    OK(pk_put(b, PK_PAGE, colliding_page(0, 1), PAGE, &ib, NULL, &err));
    OK(pk_seal(b, &err));
    pk_writer_free(b);
    ck_assert(reads_as(&ib, colliding_page(0, 1), PAGE));
}
END_TEST

/* ---- visibility ---- */

START_TEST(what_is_put_is_nobody_elses_before_the_seal)
{
    struct pk_writer *a = writer(), *b = writer();
    struct flic_id id;

    put_pages(a, 0, 100, NULL);
    put_page(a, 1, &id);
    ck_assert(!pk_has(store, &id));
    ck_assert(put_page(b, 1, NULL));
    OK(pk_seal(a, &err));
    ck_assert(pk_has(store, &id));
    ck_assert(!put_page(b, 2, NULL));
    pk_writer_free(a);
    pk_writer_free(b);
}
END_TEST

START_TEST(a_writer_that_is_freed_unsealed_leaves_nothing)
{
    struct pk_writer *w;
    struct flic_id id;

    seal_pages(0, 10, NULL);
    w = writer();
    put_pages(w, 100, 100, NULL);
    put_page(w, 100, &id);
    ck_assert_int_eq(files().unfinished, 1);
    pk_writer_free(w);
    ck_assert_int_eq(files().unfinished, 0);
    ck_assert_int_eq(files().sealed, 1);
    ck_assert(!pk_has(store, &id));
    ck_assert_uint_eq(stats().objects, 10);
    w = writer();
    ck_assert(put_page(w, 100, NULL));
    pk_writer_free(w);
}
END_TEST

START_TEST(a_seal_with_nothing_put_makes_no_file)
{
    struct pk_writer *w = writer();

    OK(pk_seal(w, &err));
    pk_writer_free(w);
    ck_assert_uint_eq(files().bytes, 0);
}
END_TEST

START_TEST(one_process_at_a_time_has_the_store)
{
    struct pk_store *second;

    ck_assert_int_eq(pk_open(dir, &secret, &second, &err), FLIC_E_BUSY);
    ck_assert_ptr_nonnull(strstr(err.text, dir));
}
END_TEST

START_TEST(unfinished_packs_are_removed_at_open_and_other_files_left_alone)
{
    static const char *const others[] = { "README", "0000000g.pack", "1.pack", "00000001.pack.old", "0000000A.pack" };
    char path[128];

    seal_pages(0, 10, NULL);
    pk_close(store);
    for (size_t i = 0; i < N_OF(others); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, others[i]);
        close(creat(path, 0600));
    }
    snprintf(path, sizeof(path), "%s/00000007.pack.new", dir);
    close(creat(path, 0600));
    open_store();
    ck_assert_uint_eq(stats().unfinished, 1);
    ck_assert_int_eq(files().unfinished, 0);
    ck_assert_int_eq(files().sealed + files().others, 1 + (int)N_OF(others));
    ck_assert_uint_eq(stats().packs, 1);
}
END_TEST

/* ---- reading many ---- */

struct pages_seen {
    uint64_t first;
    size_t n, stop_after;
    uint64_t last_place;
    const struct flic_id *ids;
    uint8_t times[4096];
};

static int see_page(size_t tag, const void *page, void *arg)
{
    struct pages_seen *seen = arg;
    uint64_t place = pk_place(store, &seen->ids[tag]);

    ck_assert_mem_eq(page, page_of(seen->first + tag), PAGE);
    ck_assert_uint_ge(place, seen->last_place);
    seen->last_place = place;
    seen->times[tag]++;
    return ++seen->n == seen->stop_after ? 55 : 0;
}

START_TEST(many_pages_come_each_once_in_pack_order_whatever_order_they_are_asked_in)
{
    struct flic_id ids[3000];
    struct pages_seen seen = { .first = 0, .ids = ids };

    for (size_t i = 0; i < 3000; i += 500)
        seal_pages((i * 7) % 3000, 500, &ids[(i * 7) % 3000]);
    OK(pk_read_pages(store, ids, 3000, see_page, &seen, &err));
    for (size_t i = 0; i < 3000; i++)
        ck_assert_uint_eq(seen.times[i], 1);
}
END_TEST

static int count_calls(size_t tag, const void *page, void *arg)
{
    (void)tag, (void)page;
    ++*(size_t *)arg;
    return 0;
}

START_TEST(a_page_asked_for_twice_comes_twice)
{
    struct flic_id ids[3];
    size_t calls = 0;

    seal_pages(9, 2, ids);
    ids[2] = ids[0];
    OK(pk_read_pages(store, ids, 3, count_calls, &calls, &err));
    ck_assert_uint_eq(calls, 3);
}
END_TEST

START_TEST(a_callback_ends_the_reading_with_its_own_value)
{
    struct flic_id ids[40];
    struct pages_seen seen = { .first = 9, .ids = ids, .stop_after = 20 };

    seal_pages(9, 40, ids);
    ck_assert_int_eq(pk_read_pages(store, ids, 40, see_page, &seen, &err), 55);
    ck_assert_uint_eq(seen.n, 20);
}
END_TEST

START_TEST(an_unknown_id_among_many_fails_before_the_first_page)
{
    struct flic_id ids[100];
    size_t calls = 0;

    seal_pages(0, 100, ids);
    ids[50].b[0] ^= 1;
    ck_assert_int_eq(pk_read_pages(store, ids, 100, count_calls, &calls, &err), FLIC_E_DAMAGED);
    ck_assert_uint_eq(calls, 0);
    ids[50] = ids[49];
    OK(pk_read_pages(store, ids, 100, count_calls, &calls, &err));
    ck_assert_uint_eq(calls, 100);
}
END_TEST

START_TEST(an_object_that_is_no_page_is_not_handed_out_as_one)
{
    struct pk_writer *w = writer();
    struct flic_id id;
    size_t calls = 0;

    OK(pk_put(w, PK_PAGE, page_of(0), PAGE - 1, &id, NULL, &err));
    OK(pk_seal(w, &err));
    pk_writer_free(w);
    ck_assert_int_eq(pk_read_pages(store, &id, 1, count_calls, &calls, &err), FLIC_E_DAMAGED);
    ck_assert_uint_eq(calls, 0);
}
END_TEST

/* ---- walking ---- */

struct roots {
    char text[256];
};

static int see_root(enum pk_kind kind, const struct flic_id *id, const void *data, size_t len, void *arg)
{
    struct roots *roots = arg;

    ck_assert(!data || flic_id_matches(&secret, id, data, len));
    snprintf(roots->text + strlen(roots->text), sizeof(roots->text) - strlen(roots->text), "%s%.*s ",
             kind == PK_ROOT ? "+" : "-", (int)len, (const char *)data);
    return 0;
}

START_TEST(roots_and_tombstones_come_oldest_first_and_nothing_else_does)
{
    static const char *const names[] = { "zeta", "alpha", "mid" };
    struct roots roots = { .text = "" };
    struct flic_id id;

    for (size_t i = 0; i < N_OF(names); i++) {
        struct pk_writer *w = writer();

        put_pages(w, i * 100, 20, NULL);
        OK(pk_put(w, PK_ROOT, names[i], strlen(names[i]), &id, NULL, &err));
        OK(pk_put(w, PK_TOMBSTONE, names[i], strlen(names[i]), &id, NULL, &err));
        OK(pk_seal(w, &err));
        pk_writer_free(w);
    }
    reopen();
    OK(pk_each_root(store, see_root, &roots, &err));
    ck_assert_str_eq(roots.text, "+zeta -zeta +alpha -alpha +mid -mid ");
}
END_TEST

static int see_pack(const struct pk_pack_info *pack, void *arg)
{
    size_t *objects = arg;

    ck_assert_uint_eq(pack->run_len, 16u * pack->objects);
    for (size_t i = 0; i < pack->objects; i++) {
        struct flic_id id;

        memcpy(id.b, pack->run + 16 * i, 16);
        ck_assert(pk_has(store, &id));
        ck_assert(!i || memcmp(pack->run + 16 * (i - 1), id.b, 16) <= 0);
    }
    *objects += pack->objects;
    return 0;
}

START_TEST(each_packs_run_is_sorted_and_complete)
{
    size_t objects = 0;

    seal_pages(0, 300, NULL);
    seal_pages(1000, 200, NULL);
    OK(pk_each_pack(store, NULL, see_pack, &objects));
    ck_assert_uint_eq(objects, 500);
}
END_TEST

/* ---- collecting ---- */

struct keep {
    const struct flic_id *ids;
    size_t n;
};

static bool is_kept(const struct flic_id *id, void *arg)
{
    const struct keep *keep = arg;

    for (size_t i = 0; i < keep->n; i++)
        if (flic_id_equal(id, &keep->ids[i]))
            return true;
    return false;
}

START_TEST(collecting_frees_exactly_the_packs_that_nothing_uses)
{
    struct flic_id ids[3][50];
    struct keep keep = { .ids = &ids[1][17], .n = 1 };
    uint64_t bytes, before;

    for (uint64_t i = 0; i < 3; i++)
        seal_pages(i * 1000, 50, ids[i]);
    before = files().bytes;
    ck_assert_int_eq(collect(is_kept, &keep, &bytes), 2);
    ck_assert_uint_eq(before - files().bytes, bytes);
    ck_assert_uint_eq(stats().bytes, files().bytes);
    ck_assert_int_eq(files().sealed, 1);
    for (int round = 0; round < 2; round++) {
        ck_assert_uint_eq(stats().objects, 50);
        for (size_t i = 0; i < 50; i++) {
            ck_assert(page_reads(&ids[1][i], 1000 + i));
            ck_assert(!pk_has(store, &ids[0][i]) && !pk_has(store, &ids[2][i]));
        }
        reopen();
    }
    seal_pages(0, 50, ids[0]);      /* what was collected can be stored again */
    ck_assert(page_reads(&ids[0][3], 3));
}
END_TEST

START_TEST(a_pack_that_a_live_writer_hit_or_sealed_is_not_collected)
{
    struct flic_id hit, sealed;
    struct pk_writer *w;
    uint64_t bytes;

    seal_pages(1, 1, &hit);
    w = writer();
    ck_assert(!put_page(w, 1, NULL));
    put_page(w, 2, &sealed);
    OK(pk_seal(w, &err));
    ck_assert_int_eq(collect(is_kept, &(struct keep){ 0 }, &bytes), 0);
    ck_assert(page_reads(&hit, 1) && page_reads(&sealed, 2));
    pk_writer_free(w);
    ck_assert_int_eq(collect(is_kept, &(struct keep){ 0 }, &bytes), 2);
    ck_assert_uint_eq(files().bytes, 0);
}
END_TEST

START_TEST(a_copy_that_outlives_its_twin_is_still_found)
{
    struct pk_writer *a = writer(), *b = writer();
    struct flic_id twin, other;
    uint64_t bytes;

    put_page(a, 1, &twin);
    put_page(b, 1, &twin);
    put_page(b, 2, &other);
    OK(pk_seal(a, &err));
    OK(pk_seal(b, &err));
    pk_writer_free(a);
    pk_writer_free(b);
    ck_assert_int_eq(collect(is_kept, &(struct keep){ .ids = &other, .n = 1 }, &bytes), 1);
    ck_assert(page_reads(&twin, 1));
}
END_TEST

static bool is_used(const struct flic_id *id, void *arg)
{
    (void)id;
    (void)arg;
    return true;
}

/* As gc moves it: what lies elsewhere is not stored again, and the pack goes. */
static void move_away(const struct pk_use *use)
{
    struct pk_move_stats moved;
    struct pk_moving *moving;
    struct pk_writer *mover;
    bool done, gone;

    pk_leave(store, use, 1, true);
    OK(pk_mover_new(store, &mover, &err));
    OK(pk_move_begin(store, use, is_used, NULL, &moving, &err));
    OK(pk_move_some(mover, moving, UINT32_MAX, &done, &err));
    pk_move_stats(moving, &moved);
    ck_assert(done && !moved.moved && !moved.lost);
    OK(pk_seal(mover, &err));
    OK(pk_remove(store, pk_moment(store), use, &gone, &err));
    ck_assert(gone);
    pk_move_end(moving);
    pk_writer_free(mover);
}

/* The earlier collection knows neither the hit, which ended after it took its moment, nor that the mover counted on the twin. */
START_TEST(invariant_5_a_twin_that_a_mover_counted_on_is_not_removed_by_a_collection_that_began_before)
{
    struct pk_writer *a = writer(), *b = writer(), *save;
    struct pk_use *uses;
    struct flic_id twin;
    uint64_t since;
    bool gone;
    size_t n, hit;

    put_page(a, 1, &twin);
    put_page(b, 1, &twin);
    OK(pk_seal(a, &err));
    OK(pk_seal(b, &err));
    pk_writer_free(a);
    pk_writer_free(b);
    since = pk_moment(store);
    OK(pk_survey(store, since, is_kept, &(struct keep){ 0 }, &uses, &n, &err));
    ck_assert_uint_eq(n, 2);
    save = writer();
    ck_assert(!put_page(save, 1, NULL));
    pk_writer_free(save);
    hit = pk_is_idle(store, since, &uses[0]);
    ck_assert(!pk_is_idle(store, since, &uses[hit]) && pk_is_idle(store, since, &uses[!hit]));
    move_away(&uses[hit]);
    OK(pk_remove(store, since, &uses[!hit], &gone, &err));
    ck_assert(!gone);
    ck_assert(page_reads(&twin, 1));
    OK(pk_remove(store, pk_moment(store), &uses[!hit], &gone, &err));
    ck_assert(gone);
    free(uses);
}
END_TEST

/* ---- size and threads ---- */

START_TEST(a_hundred_thousand_objects_are_found_and_take_about_twenty_bytes_each)
{
    enum { N = 100000 };
    struct flic_id *ids = calloc(N, sizeof(*ids));
    struct pk_writer *w = writer();

    for (uint64_t i = 0; i < N; i++) {
        uint64_t data[8] = { i, 1, 2, 3 };

        OK(pk_put(w, PK_LEAF, data, sizeof(data), &ids[i], NULL, &err));
    }
    OK(pk_seal(w, &err));
    pk_writer_free(w);
    reopen();
    ck_assert_uint_eq(stats().objects, N);
    ck_assert_uint_lt(stats().table_bytes, N * 16 * 2);
    for (uint64_t i = 0; i < N; i++)
        ck_assert(pk_has(store, &ids[i]));
    for (uint64_t i = 0; i < N; i += 997) {
        uint64_t data[8] = { i, 1, 2, 3 };

        ck_assert(reads_as(&ids[i], data, sizeof(data)));
    }
    free(ids);
}
END_TEST

struct job {
    uint64_t first;
    struct flic_id ids[400];
};

static void *write_and_read(void *arg)
{
    struct job *job = arg;
    struct flic_err mine;
    uint8_t page[PAGE], back[PAGE];

    for (size_t from = 0; from < 400; from += 100) {
        struct pk_writer *w;
        size_t len;

        if (pk_writer_new(store, &w, &mine))
            return "no writer";
        for (size_t i = from; i < from + 100; i++) {
            fill(page, PAGE, job->first + i);
            if (pk_put(w, PK_PAGE, page, PAGE, &job->ids[i], NULL, &mine))
                return "no put";
        }
        if (pk_seal(w, &mine))
            return "no seal";
        pk_writer_free(w);
        for (size_t i = 0; i < from + 100; i += 3) {
            fill(page, PAGE, job->first + i);
            if (pk_read(store, &job->ids[i], back, PAGE, &len, &mine) || memcmp(page, back, PAGE))
                return "no read";
        }
    }
    return NULL;
}

static bool all_used(const struct flic_id *id, void *arg)
{
    (void)id, (void)arg;
    return true;
}

START_TEST(threads_write_read_and_collect_at_the_same_time)
{
    static struct job jobs[4];
    pthread_t threads[4];
    uint64_t bytes;
    void *why;

    for (size_t i = 0; i < 4; i++) {
        jobs[i].first = i / 2 * 10000;      /* two and two write the same pages */
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_and_read, &jobs[i]), 0);
    }
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(collect(all_used, NULL, &bytes), 0);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], &why), 0);
        ck_assert_msg(!why, "%s", (const char *)why);
    }
    reopen();
    for (size_t i = 0; i < 400; i++)
        ck_assert(page_reads(&jobs[3].ids[i], 10000 + i));
}
END_TEST

static Suite *packs_suite(void)
{
    Suite *suite = suite_create("packs");
    TCase *tc = tcase_create("packs");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, objects_of_every_kind_and_size_come_back_after_reopening);
    tcase_add_test(tc, an_empty_or_overlong_object_is_refused_and_the_writer_goes_on);
    tcase_add_test(tc, a_buffer_too_small_is_not_overrun);
    tcase_add_test(tc, an_unknown_id_is_damage_and_says_which);
    tcase_add_test(tc, more_than_a_pack_holds_goes_on_in_the_next_and_none_is_too_long);
    tcase_add_test(tc, the_footer_of_many_small_objects_counts_towards_a_packs_length);
    tcase_add_test(tc, an_equal_page_is_stored_once_by_bytes_and_by_objects);
    tcase_add_test(tc, a_writer_shares_with_itself_wherever_the_first_copy_is);
    tcase_add_test(tc, a_second_checkpoint_costs_what_changed);
    tcase_add_test(tc, flash_bytes_are_exactly_the_bytes_of_the_files);
    tcase_add_test(tc, what_compresses_takes_less_and_what_does_not_takes_no_more_than_its_frame);
    tcase_add_test(tc, equal_bytes_of_another_kind_are_an_object_of_their_own);
    tcase_add_test(tc, an_id_that_the_caller_computed_gives_the_same_object);
    tcase_add_test(tc, pages_forged_to_collide_are_all_kept_apart);
    tcase_add_test(tc, when_every_id_is_taken_the_put_is_refused_and_nothing_else_suffers);
    tcase_add_test(tc, colliding_pages_of_two_writers_at_once_do_not_both_get_the_id);
    tcase_add_test(tc, what_is_put_is_nobody_elses_before_the_seal);
    tcase_add_test(tc, a_writer_that_is_freed_unsealed_leaves_nothing);
    tcase_add_test(tc, a_seal_with_nothing_put_makes_no_file);
    tcase_add_test(tc, one_process_at_a_time_has_the_store);
    tcase_add_test(tc, unfinished_packs_are_removed_at_open_and_other_files_left_alone);
    tcase_add_test(tc, many_pages_come_each_once_in_pack_order_whatever_order_they_are_asked_in);
    tcase_add_test(tc, a_page_asked_for_twice_comes_twice);
    tcase_add_test(tc, a_callback_ends_the_reading_with_its_own_value);
    tcase_add_test(tc, an_unknown_id_among_many_fails_before_the_first_page);
    tcase_add_test(tc, an_object_that_is_no_page_is_not_handed_out_as_one);
    tcase_add_test(tc, roots_and_tombstones_come_oldest_first_and_nothing_else_does);
    tcase_add_test(tc, each_packs_run_is_sorted_and_complete);
    tcase_add_test(tc, collecting_frees_exactly_the_packs_that_nothing_uses);
    tcase_add_test(tc, a_pack_that_a_live_writer_hit_or_sealed_is_not_collected);
    tcase_add_test(tc, a_copy_that_outlives_its_twin_is_still_found);
    tcase_add_test(tc, invariant_5_a_twin_that_a_mover_counted_on_is_not_removed_by_a_collection_that_began_before);
    tcase_add_test(tc, a_hundred_thousand_objects_are_found_and_take_about_twenty_bytes_each);
    tcase_add_test(tc, threads_write_read_and_collect_at_the_same_time);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return run_suite(packs_suite());
}
