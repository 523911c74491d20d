/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* common: errors, byte strings, ids, uuids, files. */
#include "common/bytes.h"
#include "common/err.h"
#include "common/hex.h"
#include "common/id.h"
#include "common/io.h"
#include "common/uuid.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[80];
static struct flic_err err;

static void set_up(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/test-common.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    err = (struct flic_err){ 0 };
}

static void tear_down(void)
{
    (void)unlink(path);
    ck_assert_msg(rmdir(dir) == 0, "something was left in the folder");
}

/* ---- errors ---- */

START_TEST(a_message_has_no_control_characters_wherever_its_parts_came_from)
{
    ck_assert_int_eq(flic_err_set(&err, FLIC_E_DISK, "guest '%s'", "a\nb\x1b[31m\x7f"), FLIC_E_DISK);
    ck_assert_str_eq(err.text, "guest 'a?b?[31m?'");
    (void)flic_err_set(&err, FLIC_E_DISK, "guest '%s'", "c\xc2\x9b" "31m");     /* the C1 form of ESC [ in UTF-8 */
    ck_assert_ptr_null(strstr(err.text, "\xc2\x9b"));
    (void)flic_err_set(&err, FLIC_E_DISK, "guest '%s'", "m\xc3\xbc" "ller");
    ck_assert_str_eq(err.text, "guest 'm\xc3\xbc" "ller'");
}
END_TEST

START_TEST(setting_and_wrapping_keep_errno_and_the_first_code)
{
    errno = EXDEV;
    (void)flic_err_set(&err, FLIC_E_DAMAGED, "inner");
    ck_assert_int_eq(flic_err_wrap(&err, FLIC_E_INTERNAL, "outer %d", 7), FLIC_E_DAMAGED);
    ck_assert_str_eq(err.text, "outer 7: inner");
    ck_assert_int_eq(errno, EXDEV);
    ck_assert_int_eq(flic_err_errno(&err, "open"), -EXDEV);
    ck_assert_ptr_nonnull(strstr(err.text, "open: "));
    ck_assert_int_eq(flic_err_set(NULL, FLIC_E_BUSY, "x"), FLIC_E_BUSY);
    ck_assert_int_eq(flic_err_wrap(NULL, FLIC_E_BUSY, "x"), FLIC_E_BUSY);
}
END_TEST

START_TEST(a_message_that_is_too_long_is_cut_and_stays_a_string)
{
    char big[2 * FLIC_ERR_TEXT];

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    (void)flic_err_set(&err, -EIO, "%s", big);
    (void)flic_err_wrap(&err, -EIO, "%s", big);
    errno = EIO;
    (void)flic_err_errno(&err, "%s", big);
    ck_assert_uint_eq(strlen(err.text), FLIC_ERR_TEXT - 1);
}
END_TEST

START_TEST(every_code_has_a_name_that_leads_back_a_text_and_an_exit_status)
{
    for (int code = -1023; code <= -1000; code++) {
        ck_assert_str_ne(flic_code_name(code), "unknown");
        ck_assert_int_eq(flic_code_from_name(flic_code_name(code)), code);
        ck_assert_int_gt(flic_code_exit_status(code), 0);
        ck_assert_int_lt(flic_code_exit_status(code), 10);
        ck_assert_uint_gt(strlen(flic_code_text(code)), 5);
    }
    ck_assert_int_eq(flic_code_from_name(flic_code_name(-ENOSPC)), -ENOSPC);
    ck_assert_int_eq(flic_code_from_name("FLIC_E_NEWER_THAN_WE"), FLIC_E_INTERNAL);
    ck_assert_int_eq(flic_code_exit_status(0), 0);
    ck_assert_int_eq(flic_code_exit_status(-EIO), 1);
}
END_TEST

/* ---- byte strings ---- */

START_TEST(what_a_builder_built_a_reader_reads)
{
    struct flic_builder b;
    struct flic_reader r;
    const void *blob;
    uint8_t *data;
    size_t len, n;

    flic_builder_init(&b);
    flic_put_u8(&b, 0xfe);
    flic_put_u16(&b, 0x1234);
    flic_put_u32(&b, 0x89abcdef);
    flic_put_u64(&b, UINT64_C(0x0123456789abcdef));
    flic_put_blob(&b, "hello", 5);
    flic_put_blob(&b, NULL, 0);
    data = flic_builder_take(&b, &len);
    ck_assert_uint_eq(len, 1 + 2 + 4 + 8 + 4 + 5 + 4);
    ck_assert_uint_eq(data[1], 0x34);           /* little endian */
    r = flic_reader_of(data, len);
    ck_assert_uint_eq(flic_get_u8(&r), 0xfe);
    ck_assert_uint_eq(flic_get_u16(&r), 0x1234);
    ck_assert_uint_eq(flic_get_u32(&r), 0x89abcdef);
    ck_assert_uint_eq(flic_get_u64(&r), UINT64_C(0x0123456789abcdef));
    blob = flic_get_blob(&r, 5, &n);
    ck_assert(n == 5 && !memcmp(blob, "hello", 5));
    (void)flic_get_blob(&r, 0, &n);
    ck_assert(!r.bad && !r.left && !n);
    free(data);
}
END_TEST

START_TEST(invariant_7_a_reader_never_runs_past_its_bytes)
{
    uint8_t *data = malloc(7);                  /* exactly: the sanitizer sees a step too far */
    struct flic_reader r;
    size_t n;

    memset(data, 0xff, 7);
    r = flic_reader_of(data, 7);
    (void)flic_get_u64(&r);
    ck_assert(r.bad);
    ck_assert_uint_eq(flic_get_u8(&r), 0);      /* bad stays bad */
    r = flic_reader_of(data, 7);
    ck_assert_ptr_null(flic_get_blob(&r, SIZE_MAX, &n));
    ck_assert(r.bad && !n);
    r = flic_reader_of(data, 7);
    ck_assert_ptr_null(flic_get_bytes(&r, SIZE_MAX));
    memset(data, 0, 7);
    data[0] = 3;
    r = flic_reader_of(data, 7);
    ck_assert_ptr_null(flic_get_blob(&r, 2, &n));   /* longer than allowed, though it is there */
    ck_assert(r.bad);
    free(data);
}
END_TEST

/* ---- ids ---- */

START_TEST(an_id_depends_on_content_length_and_secret_and_says_which_secret_made_it)
{
    struct flic_secret one, two;
    uint8_t page[FLIC_PAGE_SIZE] = { 1 };
    struct flic_id id, seen[FLIC_ID_TRIES];

    ck_assert(!flic_secret_draw(&one) && !flic_secret_draw(&two));
    for (unsigned i = 0; i < FLIC_ID_TRIES; i++) {
        seen[i] = flic_id_of(&one, i, page, sizeof(page));
        ck_assert_uint_eq(flic_id_try(&seen[i]), i);
        ck_assert(flic_id_matches(&one, &seen[i], page, sizeof(page)));
        ck_assert(!flic_id_matches(&two, &seen[i], page, sizeof(page)));
        for (unsigned k = 0; k < i; k++)
            ck_assert(!flic_id_equal(&seen[i], &seen[k]));
    }
    id = flic_id_of(&one, 0, page, sizeof(page) - 1);
    ck_assert(!flic_id_equal(&id, &seen[0]));
    page[4095] ^= 1;
    ck_assert(!flic_id_matches(&one, &seen[0], page, sizeof(page)));
}
END_TEST

START_TEST(the_reserved_ids_match_what_they_mean_only)
{
    struct flic_secret secret;
    uint8_t page[FLIC_PAGE_SIZE] = { 0 };

    ck_assert(!flic_secret_draw(&secret));
    ck_assert(flic_id_matches(&secret, &FLIC_ID_ZERO, page, sizeof(page)));
    ck_assert(!flic_id_matches(&secret, &FLIC_ID_HOLE, page, sizeof(page)));
    for (size_t i = 0; i < sizeof(page); i += 511) {
        page[i] = 1;
        ck_assert(!flic_is_zero(page, sizeof(page)));
        ck_assert(!flic_id_matches(&secret, &FLIC_ID_ZERO, page, sizeof(page)));
        page[i] = 0;
    }
    ck_assert(flic_is_zero(page, sizeof(page)) && flic_is_zero(NULL, 0));
}
END_TEST

START_TEST(a_checksum_over_pieces_is_that_of_the_whole)
{
    struct flic_checksum_state *state = flic_checksum_begin();
    char text[] = "pages, map, root, switch";

    flic_checksum_add(state, text, 5);
    flic_checksum_add(state, text + 5, 0);
    flic_checksum_add(state, text + 5, sizeof(text) - 5);
    ck_assert_uint_eq(flic_checksum_end(state), flic_checksum(text, sizeof(text)));
}
END_TEST

START_TEST(a_uuid_is_read_back_and_anything_else_refused)
{
    static const char *const bad[] = { "", "0", "12345678-1234-1234-1234-12345678901", "12345678-1234-1234-1234-1234567890123",
                                       "12345678x1234-1234-1234-123456789012", "g2345678-1234-1234-1234-123456789012",
                                       "123456781234123412341234567890ab", "12345678-1234-1234-1234-12345678901 " };
    struct flic_uuid uuid, again;
    char text[FLIC_UUID_TEXT];

    ck_assert_int_eq(flic_uuid_draw(&uuid), 0);
    flic_uuid_text(&uuid, text);
    ck_assert(flic_uuid_parse(text, &again) && flic_uuid_equal(&uuid, &again));
    ck_assert_int_eq(text[14], '4');            /* version */
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!flic_uuid_parse(bad[i], &again), "'%s' was taken", bad[i]);
    ck_assert(flic_uuid_parse("ABCDEF01-2345-6789-abcd-ef0123456789", &again));
}
END_TEST

/* ---- files ---- */

START_TEST(a_published_file_has_its_content_and_mode_and_replaces_the_old_one)
{
    struct stat st;
    void *data;
    size_t len;

    ck_assert_int_eq(flic_publish_file(path, "one", 3, 0600, &err), 0);
    ck_assert_int_eq(flic_publish_file(path, "second", 6, 0600, &err), 0);
    ck_assert_int_eq(flic_load_file(path, 6, &data, &len, &err), 0);
    ck_assert_uint_eq(len, 6);
    ck_assert_str_eq(data, "second");
    free(data);
    ck_assert(!stat(path, &st) && (st.st_mode & 0777) == 0600);
    ck_assert_int_eq(flic_load_file(path, 5, &data, &len, &err), -EFBIG);
}
END_TEST

START_TEST(a_file_that_cannot_be_published_leaves_nothing_behind)
{
    char far[96];

    (void)snprintf(far, sizeof(far), "%s/no/file", dir);
    ck_assert_int_eq(flic_publish_file(far, "x", 1, 0600, &err), -ENOENT);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_lt(flic_publish_file(path, "x", 1, 0600, &err), 0);   /* a folder stands there */
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(what_is_no_plain_file_is_refused_at_once)
{
    void *data;
    size_t len;

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    (void)alarm(5);                             /* opening a pipe nobody writes to would wait for ever */
    ck_assert_int_lt(flic_load_file(path, 100, &data, &len, &err), 0);
    (void)alarm(0);
    ck_assert_int_lt(flic_load_file(dir, 100, &data, &len, &err), 0);
    ck_assert_int_lt(flic_load_file("/dev/zero", 100, &data, &len, &err), 0);
}
END_TEST

START_TEST(hex_comes_back_and_what_is_no_hex_of_that_length_leaves_what_was_there)
{
    static const char *const bad[] = { "", "00ff1", "00ff1e00", "00FF1e", "00 f1e", "0x00ff", "00ff1g" };
    const uint8_t bytes[3] = { 0x00, 0xff, 0x1e };
    uint8_t back[3] = { 7, 7, 7 };
    char text[FLIC_HEX_TEXT(3)];

    flic_to_hex(bytes, sizeof(bytes), text);
    ck_assert_str_eq(text, "00ff1e");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!flic_from_hex(bad[i], back, sizeof(back)), "'%s' was taken", bad[i]);
    ck_assert(!flic_from_hex(NULL, back, sizeof(back)));
    ck_assert(back[0] == 7 && back[1] == 7 && back[2] == 7);
    ck_assert(flic_from_hex(text, back, sizeof(back)) && !memcmp(back, bytes, sizeof(bytes)));
}
END_TEST

START_TEST(a_short_file_is_an_error_not_garbage)
{
    char buf[8];
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    ck_assert_int_eq(flic_pwrite_all(fd, "abc", 3, 0), 0);
    ck_assert_int_eq(flic_pread_all(fd, buf, 8, 0), -EIO);
    ck_assert_int_eq(flic_read_all(fd, buf, 3), 0);
    ck_assert_int_eq(flic_read_all(fd, buf, 1), -EIO);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("common");
    TCase *t = tcase_create("common");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_message_has_no_control_characters_wherever_its_parts_came_from);
    tcase_add_test(t, setting_and_wrapping_keep_errno_and_the_first_code);
    tcase_add_test(t, a_message_that_is_too_long_is_cut_and_stays_a_string);
    tcase_add_test(t, every_code_has_a_name_that_leads_back_a_text_and_an_exit_status);
    tcase_add_test(t, what_a_builder_built_a_reader_reads);
    tcase_add_test(t, invariant_7_a_reader_never_runs_past_its_bytes);
    tcase_add_test(t, an_id_depends_on_content_length_and_secret_and_says_which_secret_made_it);
    tcase_add_test(t, the_reserved_ids_match_what_they_mean_only);
    tcase_add_test(t, a_checksum_over_pieces_is_that_of_the_whole);
    tcase_add_test(t, a_uuid_is_read_back_and_anything_else_refused);
    tcase_add_test(t, a_published_file_has_its_content_and_mode_and_replaces_the_old_one);
    tcase_add_test(t, a_file_that_cannot_be_published_leaves_nothing_behind);
    tcase_add_test(t, what_is_no_plain_file_is_refused_at_once);
    tcase_add_test(t, hex_comes_back_and_what_is_no_hex_of_that_length_leaves_what_was_there);
    tcase_add_test(t, a_short_file_is_an_error_not_garbage);
    suite_add_tcase(s, t);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
