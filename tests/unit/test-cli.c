/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What people read, and what they type: cli/human, cli/member, cli/table, cli/target. And cli/transport's processes. */
#include <check.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/human.h"
#include "cli/member.h"
#include "cli/plot.h"
#include "cli/table.h"
#include "cli/target.h"
#include "cli/transport.h"
#include "common/uuid.h"
#include "tests/unit/reference-bytes.h"

/* ---- human ---- */

START_TEST(bytes_have_three_figures_and_a_binary_unit)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        { 0, "0 B" }, { 1, "1 B" }, { 1023, "1023 B" }, { 1024, "1 KiB" }, { 1536, "1.5 KiB" }, { 4096, "4 KiB" },
        { 1048575, "1 MiB" }, { 1048576, "1 MiB" }, { 10747904, "10.2 MiB" }, { 107374182, "102 MiB" },
        { 536870912, "512 MiB" }, { 1073217536, "1 GiB" }, { 1u << 30, "1 GiB" }, { UINT64_MAX, "16 EiB" },
    };
    char out[HUMAN_ROOM];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_str_eq(human_bytes(rows[i].bytes, out), rows[i].text);
}
END_TEST

START_TEST(durations_read_at_every_scale)
{
    static const struct {
        uint64_t us;
        const char *text;
    } rows[] = {
        { 0, "0 us" }, { 999, "999 us" }, { 1000, "1 ms" }, { 41250, "41.2 ms" }, { 999499, "999 ms" }, { 999500, "1 s" },
        { 1500000, "1.5 s" }, { 119000000, "119 s" }, { 120000000, "2 min 0 s" }, { 3661000000, "61 min 1 s" },
        { 7200000000, "2 h 0 min" }, { UINT64_C(90000000000), "25 h 0 min" },
    };
    char out[HUMAN_ROOM];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_str_eq(human_us(rows[i].us, out), rows[i].text);
    (void)human_us(UINT64_MAX, out);
    ck_assert_ptr_nonnull(strstr(out, " h "));
}
END_TEST

START_TEST(counts_are_grouped_and_an_unknown_time_is_a_dash)
{
    char out[HUMAN_ROOM];

    ck_assert_str_eq(human_count(0, out), "0");
    ck_assert_str_eq(human_count(999, out), "999");
    ck_assert_str_eq(human_count(1000, out), "1,000");
    ck_assert_str_eq(human_count(131072, out), "131,072");
    ck_assert_str_eq(human_count(UINT64_MAX, out), "18,446,744,073,709,551,615");
    ck_assert_str_eq(human_time(0, out), "-");
    ck_assert_str_eq(human_time(UINT64_C(1790000000000000000), out), "2026-09-21 14:13:20");
}
END_TEST

/* ---- member ---- */

static void assert_humanised(const char *name, json_t *value, const char *want)
{
    char *text = member_humanised(name, value);

    ck_assert_str_eq(text, want);
    free(text);
    json_decref(value);
}

START_TEST(values_are_humanised_by_the_ending_of_their_name)
{
    assert_humanised("nvram_bytes", json_integer(26214400), "25 MiB");
    assert_humanised("pause_us", json_integer(41250), "41.2 ms");
    assert_humanised("took_ms", json_integer(111), "111 ms");
    assert_humanised("suspend_timeout_s", json_integer(60), "60 s");
    assert_humanised("track_kib_per_s", json_integer(8192), "8,192");
    assert_humanised("ws_pages", json_integer(6144), "6,144 (24 MiB)");
    assert_humanised("nvram_size_mib", json_integer(256), "256 MiB");
    assert_humanised("taken_ns", json_string("1790000000000000000"), "2026-09-21 14:13:20");
    assert_humanised("elapsed_ns", json_string("1500000000"), "1.5 s");
    assert_humanised("workers", json_integer(4), "4");
    assert_humanised("ready", json_true(), "yes");
    assert_humanised("advice", json_string(""), "-");
    assert_humanised("places", json_pack("[s,s]", "nvram", "flash"), "nvram, flash");
    assert_humanised("missing", json_array(), "none");
    assert_humanised("pause_us", json_integer(-1), "-1");
    assert_humanised("pause_us", json_string("soon"), "soon");
}
END_TEST

START_TEST(numbers_come_as_numbers_or_decimal_strings_and_nothing_else)
{
    json_t *o = json_pack("{s:i,s:s,s:s,s:s,s:i,s:f}", "a", 7, "b", "18446744073709551615", "c", "18446744073709551616", "d",
                          "7x", "e", -1, "f", 1.5);
    uint64_t value = 42;

    ck_assert_uint_eq(member_u64(o, "a"), 7);
    ck_assert_uint_eq(member_u64(o, "b"), UINT64_MAX);
    for (const char *name = "cdef-"; *name; name++) {
        char one[2] = { *name, '\0' };

        ck_assert(!member_number(o, one, &value));
        ck_assert_uint_eq(value, 42);
    }
    ck_assert_str_eq(member_text(o, "a"), "");
    json_decref(o);
}
END_TEST

/* ---- table ---- */

static char *printed(struct table *table)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    ck_assert_int_eq(table_print(table, to), 0);
    (void)fclose(to);
    table_fini(table);
    return text;
}

START_TEST(columns_align_without_blanks_at_line_ends)
{
    struct table table;
    char *text;

    table_init(&table, "lrl");
    table_add(&table, "NAME");
    table_add(&table, "SIZE");
    table_add(&table, "WHERE");
    table_add(&table, "a");
    table_add(&table, "512 MiB");
    table_add(&table, NULL);
    text = printed(&table);
    ck_assert_str_eq(text, "NAME     SIZE  WHERE\na     512 MiB  -\n");
    free(text);
}
END_TEST

START_TEST(control_characters_do_not_reach_the_terminal)
{
    struct table table;
    char *text;

    table_init(&table, "l");
    table_add(&table, "a\033[2Jb\nc\x7f \xc2\x9b" "31m \xc2\xa0\xc3\x9c");
    text = printed(&table);
    ck_assert_str_eq(text, "a?[2Jb?c? ??31m \xc2\xa0\xc3\x9c\n");
    free(text);
}
END_TEST

/* ---- target ---- */

static void assert_target(const char *text, const char *domain, uint64_t seq)
{
    struct target target;

    ck_assert_int_eq(target_parse(text, &target, NULL), 0);
    ck_assert_str_eq(target.domain, domain);
    ck_assert_uint_eq(target.seq, seq);
    ck_assert(!target.from_file);
}

START_TEST(a_name_may_hold_an_at_and_only_digits_after_the_last_are_a_number)
{
    assert_target("web", "web", 0);
    assert_target("web@7", "web", 7);
    assert_target("web@site", "web@site", 0);
    assert_target("web@site@7", "web@site", 7);
    assert_target("web@", "web@", 0);
    assert_target("web@7x", "web@7x", 0);
    assert_target("web@9223372036854775807", "web", INT64_MAX);
}
END_TEST

START_TEST(what_names_nothing_is_wrong_usage_and_leaves_the_target_alone)
{
    static const char *const wrong[] = { "", "@7", "web@0", "web@9223372036854775808", "web@18446744073709551616" };
    struct target target = { .seq = 99 };
    struct flic_err err;
    char longest[300];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_assert_int_eq(target_parse(wrong[i], &target, &err), FLIC_E_USAGE);
        ck_assert_uint_eq(target.seq, 99);
    }
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    ck_assert_int_eq(target_parse(longest, &target, &err), FLIC_E_USAGE);
}
END_TEST

static void write_file(char *path, const void *bytes, size_t len)
{
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
    (void)close(fd);
}

START_TEST(a_file_names_its_guest_and_number_and_any_changed_byte_is_seen)
{
    char path[] = "/tmp/flic-test-cli-XXXXXX", text[FLIC_UUID_TEXT];
    uint8_t reference[REFERENCE_SIZE], *bytes;
    struct target target;
    struct flic_uuid guest;
    void *file;
    size_t len;

    ck_assert(flic_uuid_parse("8d0e40d6-07a4-4b9e-9c35-5b8f0d3d6a11", &guest));
    build_reference(reference, &guest, 7);
    ck_assert_int_eq(reference_file_build(reference, "{}", &file, &len, NULL), 0);
    bytes = file;
    write_file(path, bytes, len);
    ck_assert_int_eq(target_parse(path, &target, NULL), 0);
    flic_uuid_text(&guest, text);
    ck_assert_str_eq(target.domain, text);
    ck_assert_uint_eq(target.seq, 7);
    ck_assert(target.from_file && strlen(target.reference) == 2 * REFERENCE_SIZE);
    (void)unlink(path);
    for (size_t i = 0; i < len; i++) {
        char bent[] = "/tmp/flic-test-cli-XXXXXX";

        bytes[i] ^= 1;
        write_file(bent, bytes, len);
        bytes[i] ^= 1;
        ck_assert_int_lt(target_parse(bent, &target, NULL), 0);
        (void)unlink(bent);
    }
    for (size_t cut = 0; cut < len; cut++) {
        char cut_short[] = "/tmp/flic-test-cli-XXXXXX";

        write_file(cut_short, bytes, cut);
        ck_assert_int_lt(target_parse(cut_short, &target, NULL), 0);
        (void)unlink(cut_short);
    }
    free(file);
}
END_TEST

/* ---- plots ---- */

static void expect_plot(const uint64_t *values, size_t n, bool blocks, const char *first_row, const char *last_row)
{
    char *text = NULL, *last;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    ck_assert_ptr_nonnull(to);
    plot_bytes(values, n, blocks, to);
    (void)fclose(to);
    text[len - 1] = '\0';
    last = strrchr(text, '\n') + 1;
    ck_assert_str_eq(last, last_row);
    *strchr(text, '\n') = '\0';
    ck_assert_str_eq(text, first_row);
    free(text);
}

START_TEST(a_plot_is_as_high_as_its_largest_value_and_what_is_not_zero_shows)
{
    const uint64_t values[] = { 0, 1, 4096, 8192, 7700 };
    uint64_t many[600] = { 0 };

    expect_plot(values, 5, false, "    8 KiB |   ##", "      0 B | ####");
    expect_plot(values, 5, true, "    8 KiB |   █▅", "      0 B | ▁███");
    expect_plot(values, 1, true, "      0 B | ", "      0 B | ");
    expect_plot(values, 0, true, "      0 B |", "      0 B |");
    many[599] = 8192;           /* ten values a column: the largest is the column's */
    many[5] = 8192;
    expect_plot(many, 600, false, "    8 KiB |#                                                          #",
                "      0 B |#                                                          #");
}
END_TEST

/* ---- transport ---- */

/* A process that is not our child, and waits until `hold` is closed: it then writes to `sign`, unless it was killed before. */
static pid_t start_strangers_process(const int hold[2], const int sign[2])
{
    pid_t pid, child;
    int to[2];

    ck_assert_int_eq(pipe(to), 0);
    child = fork();
    if (!child) {
        char byte;

        (void)signal(SIGTERM, SIG_DFL);     /* check's own would end the test */
        pid = fork();
        if (!pid) {
            (void)close(hold[1]);
            _exit(read(hold[0], &byte, 1) == 0 && write(sign[1], "", 1) == 1 ? 0 : 1);
        }
        _exit(write(to[1], &pid, sizeof(pid)) == (ssize_t)sizeof(pid) ? 0 : 1);
    }
    ck_assert_int_eq(read(to[0], &pid, sizeof(pid)), (ssize_t)sizeof(pid));
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    (void)close(to[0]);
    (void)close(to[1]);
    return pid;
}

START_TEST(a_process_that_has_the_number_of_a_transport_that_was_reaped_is_not_killed)
{
    struct transport t = { .child = { 0, 0 } };
    int hold[2], sign[2];
    char byte;

    ck_assert(!pipe(hold) && !pipe(sign));
    t.child[_i] = start_strangers_process(hold, sign);
    transport_end(&t, 0);
    ck_assert_int_eq(t.child[_i], 0);
    (void)close(hold[1]);
    (void)close(sign[1]);
    ck_assert_int_eq(read(sign[0], &byte, 1), 1);
    (void)close(hold[0]);
    (void)close(sign[0]);
}
END_TEST

START_TEST(a_transport_that_does_not_end_is_ended)
{
    struct transport t = { .child = { 0, 0 } };
    int pair[2];
    char byte;
    pid_t pid;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ck_assert_int_eq(transport_start(&t, "sh -c 'echo; exec sleep 1000' #", "host", "there", pair[0]), 0);
    pid = t.child[0];
    ck_assert_int_eq(read(pair[1], &byte, 1), 1);
    transport_end(&t, 0);
    ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), -1);  /* reaped */
    (void)close(pair[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    TCase *tc = tcase_create("cli");
    SRunner *runner = srunner_create(suite);
    int failed;

    (void)setenv("TZ", "UTC", 1);
    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, a_process_that_has_the_number_of_a_transport_that_was_reaped_is_not_killed, 0, 2);
    tcase_add_test(tc, a_transport_that_does_not_end_is_ended);
    tcase_add_test(tc, bytes_have_three_figures_and_a_binary_unit);
    tcase_add_test(tc, durations_read_at_every_scale);
    tcase_add_test(tc, counts_are_grouped_and_an_unknown_time_is_a_dash);
    tcase_add_test(tc, values_are_humanised_by_the_ending_of_their_name);
    tcase_add_test(tc, numbers_come_as_numbers_or_decimal_strings_and_nothing_else);
    tcase_add_test(tc, columns_align_without_blanks_at_line_ends);
    tcase_add_test(tc, control_characters_do_not_reach_the_terminal);
    tcase_add_test(tc, a_name_may_hold_an_at_and_only_digits_after_the_last_are_a_number);
    tcase_add_test(tc, what_names_nothing_is_wrong_usage_and_leaves_the_target_alone);
    tcase_add_test(tc, a_file_names_its_guest_and_number_and_any_changed_byte_is_seen);
    tcase_add_test(tc, a_plot_is_as_high_as_its_largest_value_and_what_is_not_zero_shows);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
