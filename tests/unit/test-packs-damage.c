/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Packs that were damaged, cut, swapped or forged: found out, and never wrong bytes. */
#include "test-packs.h"

#include "daemon/packs/format.h"

#include <endian.h>

#define OBJECTS 6

static struct flic_id ids[OBJECTS];
static uint8_t contents[OBJECTS][PAGE];
static size_t lengths[OBJECTS];
static char pack_path[128];
static uint8_t *bytes;      /* of the sound pack */
static size_t size;

static uint8_t *load(const char *path, size_t *ret_size)
{
    int fd = open(path, O_RDONLY);
    struct stat st;
    uint8_t *data;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    data = malloc((size_t)st.st_size);
    ck_assert_int_eq(read(fd, data, (size_t)st.st_size), st.st_size);
    close(fd);
    *ret_size = (size_t)st.st_size;
    return data;
}

static void save(const uint8_t *data, size_t len)
{
    int fd = open(pack_path, O_WRONLY);     /* no O_TRUNC: ext4 flushes a file that replaces its own content so */

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, data, len, 0), (ssize_t)len);
    ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
    close(fd);
}

/* One small pack of one frame: four pages, a leaf, a root. */
static void set_up_pack(void)
{
    static const enum pk_kind kinds[OBJECTS] = { PK_PAGE, PK_PAGE, PK_LEAF, PK_ROOT, PK_PAGE, PK_PAGE };
    struct pk_writer *w;

    set_up();
    w = writer();
    for (int i = 0; i < OBJECTS; i++) {
        lengths[i] = i == 2 ? 640 : i == 3 ? 77 : PAGE;
        memset(contents[i], 'a' + i, PAGE);
        if (i == 5)
            fill_random(contents[i], 700, 1);
        OK(pk_put(w, kinds[i], contents[i], lengths[i], &ids[i], NULL, &err));
    }
    OK(pk_seal(w, &err));
    pk_writer_free(w);
    snprintf(pack_path, sizeof(pack_path), "%s/00000000.pack", dir);
    bytes = load(pack_path, &size);
}

static void tear_down_pack(void)
{
    free(bytes);
    tear_down();
}

/* Reopens and reads everything: how many objects are not to be had. Those that are must be right, and so must those
 * that come in bulk. */
static int missing_after_reopen(void)
{
    int missing = 0;

    pk_close(store);
    store = NULL;
    OK(pk_open(dir, &secret, &store, &err));
    for (int i = 0; i < OBJECTS; i++) {
        uint8_t buf[PAGE];
        size_t len;
        int rc = pk_read(store, &ids[i], buf, sizeof(buf), &len, &err);

        ck_assert(rc == 0 || rc == FLIC_E_DAMAGED || rc == -EIO);
        if (rc)
            missing++;
        else
            ck_assert(len == lengths[i] && !memcmp(buf, contents[i], len));
    }
    return missing;
}

static int see_right_page(size_t tag, const void *page, void *arg)
{
    (void)arg;
    ck_assert_mem_eq(page, contents[tag], PAGE);
    return 0;
}

START_TEST(a_flipped_byte_anywhere_is_found_and_never_becomes_wrong_bytes)
{
    for (size_t at = 0; at < size; at++) {
        static const uint8_t flips[] = { 0x01, 0x80, 0xff };

        bytes[at] ^= flips[at % 3];
        save(bytes, size);
        ck_assert_msg(missing_after_reopen() > 0, "flip at %zu of %zu went unnoticed", at, size);
        ck_assert(pk_read_pages(store, ids, 2, see_right_page, NULL, &err) <= 0);
        bytes[at] ^= flips[at % 3];
    }
    save(bytes, size);
    ck_assert_int_eq(missing_after_reopen(), 0);
}
END_TEST

START_TEST(a_pack_cut_short_anywhere_is_set_aside_and_left_in_place)
{
    for (size_t len = 0; len < size; len++) {
        save(bytes, len);
        ck_assert_int_eq(missing_after_reopen(), OBJECTS);
        ck_assert_uint_eq(stats().quarantined, 1);
        ck_assert_uint_eq(stats().packs, 0);
        ck_assert_int_eq(files().sealed, 1);
    }
}
END_TEST

START_TEST(a_damaged_frame_is_told_with_its_pack_and_offset)
{
    uint8_t buf[PAGE];
    size_t len;

    bytes[64 + 40] ^= 1;
    save(bytes, size);
    ck_assert_int_eq(missing_after_reopen(), OBJECTS);
    ck_assert_int_eq(pk_read(store, &ids[0], buf, sizeof(buf), &len, &err), FLIC_E_DAMAGED);
    ck_assert_ptr_nonnull(strstr(err.text, "pack 00000000, offset 64"));
    ck_assert_int_eq(pk_read_pages(store, ids, 2, see_right_page, NULL, &err), FLIC_E_DAMAGED);
    ck_assert_ptr_nonnull(strstr(err.text, "pack 00000000, offset 64"));
}
END_TEST

START_TEST(a_frame_that_was_read_before_its_pack_was_damaged_gives_right_bytes_till_the_store_is_opened_again)
{
    uint8_t buf[PAGE];
    size_t len;

    OK(pk_read(store, &ids[0], buf, sizeof(buf), &len, &err));
    bytes[64 + 40] ^= 1;
    save(bytes, size);
    OK(pk_read(store, &ids[0], buf, sizeof(buf), &len, &err));      /* out of the cache, and verified again */
    ck_assert_mem_eq(buf, contents[0], PAGE);
    OK(pk_read_pages(store, ids, 2, see_right_page, NULL, &err));
    reopen();
    ck_assert_int_eq(pk_read(store, &ids[0], buf, sizeof(buf), &len, &err), FLIC_E_DAMAGED);
}
END_TEST

static int count_roots(enum pk_kind kind, const struct flic_id *id, const void *data, size_t len, void *arg)
{
    int *counts = arg;

    (void)kind, (void)id, (void)len;
    counts[data ? 0 : 1]++;
    return 0;
}

START_TEST(a_damaged_root_is_told_without_its_bytes)
{
    int counts[2] = { 0 };

    OK(pk_each_root(store, count_roots, counts, &err));
    ck_assert(counts[0] == 1 && counts[1] == 0);
    bytes[64 + 40] ^= 1;
    save(bytes, size);
    (void)missing_after_reopen();
    OK(pk_each_root(store, count_roots, counts, &err));
    ck_assert(counts[0] == 1 && counts[1] == 1);
}
END_TEST

START_TEST(a_new_copy_takes_the_place_of_a_damaged_one)
{
    struct pk_writer *w;
    bool anew;

    bytes[64 + 40] ^= 1;
    save(bytes, size);
    (void)missing_after_reopen();
    w = writer();
    OK(pk_put(w, PK_PAGE, contents[0], PAGE, &ids[0], &anew, &err));
    ck_assert(anew);
    OK(pk_seal(w, &err));
    pk_writer_free(w);
    ck_assert(reads_as(&ids[0], contents[0], PAGE));
    OK(pk_read_pages(store, ids, 1, see_right_page, NULL, &err));
    ck_assert_int_eq(missing_after_reopen(), OBJECTS - 1);
}
END_TEST

START_TEST(a_newer_format_stops_the_opening_and_is_named)
{
    struct pk_disk_header h;
    struct pk_store *none;

    memcpy(&h, bytes, sizeof(h));
    h.version = htole32(7);
    h.checksum = htole64(flic_checksum(&h, offsetof(struct pk_disk_header, checksum)));
    memcpy(bytes, &h, sizeof(h));
    save(bytes, size);
    pk_close(store);
    store = NULL;
    ck_assert_int_eq(pk_open(dir, &secret, &none, &err), FLIC_E_VERSION);
    ck_assert_ptr_nonnull(strstr(err.text, "version 7"));
}
END_TEST

START_TEST(a_pack_of_another_store_is_set_aside)
{
    ck_assert_int_eq(flic_secret_draw(&secret), 0);
    ck_assert_int_eq(missing_after_reopen(), OBJECTS);
    ck_assert_uint_eq(stats().foreign, 1);
    ck_assert_uint_eq(stats().quarantined, 0);
    ck_assert_int_eq(files().sealed, 1);
}
END_TEST

START_TEST(a_pack_under_another_number_is_set_aside_and_its_number_not_given_again)
{
    char other[128];

    snprintf(other, sizeof(other), "%s/00000009.pack", dir);
    ck_assert_int_eq(rename(pack_path, other), 0);
    ck_assert_int_eq(missing_after_reopen(), OBJECTS);
    ck_assert_uint_eq(stats().quarantined, 1);
    seal_pages(0, 1, ids);
    ck_assert_uint_eq(pk_place(store, &ids[0]) >> 32, 10);
}
END_TEST

START_TEST(a_frame_of_another_pack_in_the_right_place_is_found_out)
{
    uint8_t *other;
    size_t other_size;
    char path[128];
    struct pk_disk_frame a, b;

    seal_pages(0, 6, NULL);
    snprintf(path, sizeof(path), "%s/00000001.pack", dir);
    other = load(path, &other_size);
    memcpy(&a, bytes + 64, sizeof(a));
    memcpy(&b, other + 64, sizeof(b));
    ck_assert_uint_lt(pk_frame_bound(le16toh(a.objects), le32toh(a.packed_len)), other_size);
    memcpy(bytes + 64, other + 64, pk_frame_bound(le16toh(a.objects), le32toh(a.packed_len)));
    save(bytes, size);
    free(other);
    ck_assert_int_eq(missing_after_reopen(), OBJECTS);
    ck_assert_uint_eq(stats().quarantined, 0);
}
END_TEST

/* ---- forged, with checksums that hold ---- */

static struct pk_disk_trailer *trailer(void)
{
    return (struct pk_disk_trailer *)(bytes + size - sizeof(struct pk_disk_trailer));
}

static struct pk_disk_entry *entry(int i)
{
    return (struct pk_disk_entry *)(bytes + size - sizeof(struct pk_disk_trailer)) - OBJECTS + i;
}

static void sign_footer(void)
{
    trailer()->footer_checksum = htole64(flic_checksum(entry(0), OBJECTS * sizeof(struct pk_disk_entry)));
    trailer()->checksum = htole64(flic_checksum(trailer(), offsetof(struct pk_disk_trailer, checksum)));
}

static uint8_t *frame(void)
{
    return bytes + sizeof(struct pk_disk_header);
}

/* Over the bytes that the sound frame had. */
static void sign_frame(size_t len)
{
    struct pk_disk_frame *f = (struct pk_disk_frame *)frame();

    f->checksum = htole64(pk_frame_sum(frame(), len));
}

static void forge_offset_crooked(void) { entry(0)->offset = htole32(65); }
static void forge_offset_in_header(void) { entry(0)->offset = 0; }
static void forge_offset_beyond(void) { entry(0)->offset = htole32(64u << 20); }
static void forge_index(void) { entry(0)->index = htole16(256); }
static void forge_kind_zero(void) { entry(0)->kind = 0; }
static void forge_kind_high(void) { entry(0)->kind = 5; }
static void forge_filler(void) { entry(0)->zero = 1; }
static void forge_order(void) { memset(entry(0)->id, 0xff, 16); }
static void forge_roots(void) { trailer()->roots = htole32(5); }
static void forge_no_entries(void) { trailer()->entries = 0; }
static void forge_many_entries(void) { trailer()->entries = htole32(0xffffffff); }
static void forge_footer_place(void) { trailer()->footer_offset = htole64(64); }
static void forge_footer_far(void) { trailer()->footer_offset = htole64(1ull << 63); }
static void forge_number(void) { trailer()->number = htole32(1); }

static void (*const footer_forgeries[])(void) = {
    forge_offset_crooked, forge_offset_in_header, forge_offset_beyond, forge_index, forge_kind_zero, forge_kind_high,
    forge_filler, forge_order, forge_roots, forge_no_entries, forge_many_entries, forge_footer_place,
    forge_footer_far, forge_number,
};

START_TEST(a_footer_with_impossible_figures_and_right_checksums_is_set_aside)
{
    footer_forgeries[_i]();
    sign_footer();
    save(bytes, size);
    ck_assert_int_eq(missing_after_reopen(), OBJECTS);
    ck_assert_uint_eq(stats().quarantined, 1);
}
END_TEST

START_TEST(an_entry_that_points_at_another_object_gives_damage)
{
    int zero = -1;

    for (int i = 0; i < OBJECTS; i++)
        if (!memcmp(entry(i)->id, ids[0].b, 16))
            zero = i;
    entry(zero)->index = htole16(1);
    sign_footer();
    save(bytes, size);
    ck_assert_int_eq(missing_after_reopen(), 1);
    entry(zero)->index = htole16(255);      /* an object that the frame does not have */
    sign_footer();
    save(bytes, size);
    ck_assert_int_eq(missing_after_reopen(), 1);
}
END_TEST

static struct pk_disk_frame *head(void)
{
    return (struct pk_disk_frame *)frame();
}

static void forge_raw_len_huge(void) { head()->raw_len = htole32(0x7fffffff); }
static void forge_raw_len_more(void) { head()->raw_len = htole32(le32toh(head()->raw_len) + 1); }
static void forge_raw_len_less(void) { head()->raw_len = htole32(le32toh(head()->raw_len) - 1); }
static void forge_packed_len_huge(void) { head()->packed_len = htole32(0xffffffff); }
static void forge_packed_len_zero(void) { head()->packed_len = 0; }
static void forge_objects_none(void) { head()->objects = 0; }
static void forge_objects_many(void) { head()->objects = htole16(257); }
static void forge_codec(void) { head()->codec = htole16(7); }
static void forge_codec_raw(void) { head()->codec = htole16(PK_CODEC_RAW); }
static void forge_empty_object(void) { memset(frame() + sizeof(struct pk_disk_frame), 0, 4); }
static void forge_long_object(void) { memset(frame() + sizeof(struct pk_disk_frame), 0xff, 4); }
static void forge_zstd(void) { memset(frame() + sizeof(struct pk_disk_frame) + 4 * OBJECTS, 0xa5, 40); }

static void (*const frame_forgeries[])(void) = {
    forge_raw_len_huge, forge_raw_len_more, forge_raw_len_less, forge_packed_len_huge, forge_packed_len_zero,
    forge_objects_none, forge_objects_many, forge_codec, forge_codec_raw, forge_empty_object, forge_long_object,
    forge_zstd,
};

START_TEST(a_frame_with_impossible_figures_and_a_right_checksum_gives_damage)
{
    size_t len = pk_frame_bound(le16toh(head()->objects), le32toh(head()->packed_len));

    frame_forgeries[_i]();
    sign_frame(len);
    save(bytes, size);
    ck_assert_int_eq(missing_after_reopen(), OBJECTS);
    ck_assert_uint_eq(stats().quarantined, 0);
}
END_TEST

START_TEST(random_changes_with_right_checksums_never_give_wrong_bytes)
{
    uint8_t *sound = malloc(size);
    size_t frame_len = pk_frame_bound(le16toh(head()->objects), le32toh(head()->packed_len));
    uint64_t x = 88172645463325252ull;

    memcpy(sound, bytes, size);
    for (int round = 0; round < 3000; round++) {
        memcpy(bytes, sound, size);
        for (int changes = 1 + round % 4; changes; changes--) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            bytes[64 + x % (size - 64)] = (uint8_t)(x >> 40);
        }
        sign_frame(frame_len);
        sign_footer();
        save(bytes, size);
        (void)missing_after_reopen();       /* which asserts what it reads */
    }
    free(sound);
}
END_TEST

static Suite *damage_suite(void)
{
    Suite *suite = suite_create("packs-damage");
    TCase *tc = tcase_create("damage");

    tcase_add_checked_fixture(tc, set_up_pack, tear_down_pack);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_flipped_byte_anywhere_is_found_and_never_becomes_wrong_bytes);
    tcase_add_test(tc, a_pack_cut_short_anywhere_is_set_aside_and_left_in_place);
    tcase_add_test(tc, a_damaged_frame_is_told_with_its_pack_and_offset);
    tcase_add_test(tc, a_frame_that_was_read_before_its_pack_was_damaged_gives_right_bytes_till_the_store_is_opened_again);
    tcase_add_test(tc, a_damaged_root_is_told_without_its_bytes);
    tcase_add_test(tc, a_new_copy_takes_the_place_of_a_damaged_one);
    tcase_add_test(tc, a_newer_format_stops_the_opening_and_is_named);
    tcase_add_test(tc, a_pack_of_another_store_is_set_aside);
    tcase_add_test(tc, a_pack_under_another_number_is_set_aside_and_its_number_not_given_again);
    tcase_add_test(tc, a_frame_of_another_pack_in_the_right_place_is_found_out);
    tcase_add_loop_test(tc, a_footer_with_impossible_figures_and_right_checksums_is_set_aside, 0,
                        N_OF(footer_forgeries));
    tcase_add_test(tc, an_entry_that_points_at_another_object_gives_damage);
    tcase_add_loop_test(tc, a_frame_with_impossible_figures_and_a_right_checksum_gives_damage, 0,
                        N_OF(frame_forgeries));
    tcase_add_test(tc, random_changes_with_right_checksums_never_give_wrong_bytes);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return run_suite(damage_suite());
}
