/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Guests that mean harm: one that writes pages which collide under the hash that everybody knows, and one that writes as fast as it
 * can while it is saved. (Collisions under a store's own secret, which no guest knows, are in test-packs.c.)
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "tests/unit/checkpoint-scene.h"

#include <endian.h>

static struct saving s;

static void set_up(void)
{
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    saving_init(&s, GUEST);
}

static void tear_down(void)
{
    saving_end(&s);
    image_free(&s.image);
    s = (struct saving){ 0 };
    scene_end();
}

/* ---- collisions ---- */

/* XXH3 multiplies, for the first eight bytes of each 64-byte stripe, the halves of (input xor secret) and adds the product to one
 * sum and the input to another. Where the input's low half is the secret's the product is zero, and two such inputs may trade
 * any amount between their high halves: no sum changes. Here with the secret that stands in the library's source. */
static void colliding_page(uint8_t page[PAGE], uint32_t n)
{
    uint32_t first, second;
    uint64_t a, b;

    memcpy(&first, XXH3_kSecret, sizeof(first));
    memcpy(&second, XXH3_kSecret + 8, sizeof(second));
    a = htole64(le32toh(first) | (uint64_t)(1000 + n) << 32);
    b = htole64(le32toh(second) | (uint64_t)(200000 - n) << 32);
    for (size_t i = 0; i < PAGE; i++)
        page[i] = (uint8_t)(i * 7);
    memcpy(page, &a, sizeof(a));
    memcpy(page + 64, &b, sizeof(b));
}

static void write_collisions(uint64_t first, uint64_t n)
{
    uint8_t page[PAGE];

    for (uint64_t gfn = first; gfn < first + n; gfn++) {
        colliding_page(page, (uint32_t)gfn);
        flx_fake_write(GUEST, gfn, 0, page, PAGE);
    }
}

static int collide_and_suspend(struct saving *saving, struct flic_err *why)
{
    write_collisions(900, 100);         /* these go to NVRAM */
    return saving_suspend(saving, why);
}

START_TEST(a_guest_that_writes_pages_with_equal_bare_hashes_gets_every_one_of_them_back)
{
    uint8_t a[PAGE], b[PAGE];

    colliding_page(a, 1);
    colliding_page(b, 2);
    ck_assert_int_ne(memcmp(a, b, PAGE), 0);
    ck_assert(XXH128_isEqual(XXH3_128bits(a, PAGE), XXH3_128bits(b, PAGE)));    /* the forgery works */
    write_collisions(600, 200);
    s.at_suspend = collide_and_suspend;
    OK(saving_run(&s));
    saving_end(&s);
    ck_assert_uint_ge(s.figures.new_pages, 200);        /* none was taken for another */
    ck_assert_uint_ge(s.figures.ws_pages, 100);
    scene_restore_and_compare(&s.name, &s.image);
    OK(scene_destage(&s.name, NULL));
    scene_close();
    scene_lose_arena();
    scene_open();
    scene_restore_and_compare(&s.name, &s.image);
}
END_TEST

/* ---- a guest that does not stand still ---- */

static uint32_t pace;

/* Everything it has, again, whenever anybody looks at it. */
static void write_all(uint32_t domid, void *arg)
{
    (void)arg;
    if (domid == GUEST && flx_fake_run(GUEST) == FLX_RUNNING)
        scene_dirty(GUEST, 200, 1200, ++pace);
}

static int write_all_and_suspend(struct saving *saving, struct flic_err *why)
{
    write_all(saving->domid, NULL);
    return saving_suspend(saving, why);
}

START_TEST(a_guest_that_writes_all_it_has_all_the_time_is_saved_in_bounded_rounds_and_room)
{
    uint64_t stored = GUEST_PAGES, before = scene_flash_bytes();

    flx_fake_before("map_pages", write_all, NULL);
    flx_fake_after("map_pages", write_all, NULL);
    s.at_suspend = write_all_and_suspend;
    s.rounds_max = 6;
    OK(saving_run(&s));
    saving_end(&s);
    ck_assert_uint_le(s.figures.rounds, 2);             /* a round that leaves as much as it found is the last */
    ck_assert_uint_le(s.figures.live_pages, s.figures.rounds * stored);
    ck_assert_uint_ge(s.figures.ws_pages, 1200);
    ck_assert_uint_le(s.figures.ws_pages, stored);
    ck_assert_uint_le(s.figures.nvram_bytes, (stored + 512) * PAGE);
    ck_assert_uint_le(scene_flash_bytes() - before, (s.figures.rounds + 1) * stored * (PAGE + 64));
    scene_restore_and_compare(&s.name, &s.image);
}
END_TEST

START_TEST(a_guest_that_writes_more_than_nvram_holds_all_the_time_is_saved_too)
{
    scene_end();
    scene_begin(2 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    flx_fake_before("map_pages", write_all, NULL);
    s.at_suspend = write_all_and_suspend;
    OK(saving_run(&s));
    saving_end(&s);
    ck_assert_uint_gt(s.figures.spilled_pages, 0);
    ck_assert_uint_le(s.figures.rounds, 2);
    scene_restore_and_compare(&s.name, &s.image);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite_ = suite_create("adversary");
    TCase *t = tcase_create("adversary");

    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_guest_that_writes_pages_with_equal_bare_hashes_gets_every_one_of_them_back);
    tcase_add_test(t, a_guest_that_writes_all_it_has_all_the_time_is_saved_in_bounded_rounds_and_room);
    tcase_add_test(t, a_guest_that_writes_more_than_nvram_holds_all_the_time_is_saved_too);
    suite_add_tcase(suite_, t);
    return suite_;
}

int main(void)
{
    return scene_run(suite());
}
