/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flicd.conf: every key, its range, and what is said about a wrong one. */
#include "daemon/conf.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static struct fd_conf conf;
static struct flic_err err;

static void set_up(void)
{
    int fd;

    (void)snprintf(path, sizeof(path), "/tmp/test-conf.XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
    fd_conf_defaults(&conf);
    err = (struct flic_err){ 0 };
}

static void tear_down(void)
{
    (void)unlink(path);
}

static int load(const char *text)
{
    FILE *f = fopen(path, "w");

    ck_assert(f && fputs(text, f) >= 0 && !fclose(f));
    return fd_conf_load(path, false, &conf, &err);
}

/* Refused, with file and line, and the words given. */
static void refused(const char *text, unsigned line, const char *words)
{
    char where[96];

    ck_assert_int_eq(load(text), FLIC_E_CONFIG);
    (void)snprintf(where, sizeof(where), "%s:%u: ", path, line);
    ck_assert_msg(strstr(err.text, where) == err.text, "'%s' should begin with '%s'", err.text, where);
    ck_assert_msg(strstr(err.text, words), "'%s' should have '%s'", err.text, words);
}

START_TEST(an_empty_file_gives_the_defaults)
{
    ck_assert_int_eq(load(""), 0);
    ck_assert_str_eq(conf.nvram, "/nvram/flic.arena");
    ck_assert_str_eq(conf.store, "/var/lib/flic");
    ck_assert_str_eq(conf.socket, "/run/flic/flicd.sock");
    ck_assert_str_eq(conf.socket_group, "");
    ck_assert_str_eq(conf.destage, "idle");
    ck_assert_str_eq(conf.log_level, "info");
    ck_assert_int_eq(conf.nvram_size_mib, 0);
    ck_assert_int_eq(conf.workers, 4);
    ck_assert_int_eq(conf.live_rounds_max, 5);
    ck_assert_int_eq(conf.live_stop_pages, 256);
    ck_assert_int_eq(conf.suspend_timeout_s, 60);
    ck_assert_int_eq(conf.destage_delay_ms, 2000);
    ck_assert_str_eq(conf.gc, "idle");
    ck_assert_int_eq(conf.gc_live_percent, 50);
    ck_assert_int_eq(conf.journal_entries, 50000);
}
END_TEST

START_TEST(every_key_is_read)
{
    ck_assert_msg(!load("nvram = \"/dev/dax0.0\";\nnvram_size_mib = 64;\nstore = \"/flash/flic\";\nsocket = \"/tmp/s\";\n"
                        "socket_group = \"flic\";\nworkers = 16;\nlive_rounds_max = 30;\nlive_stop_pages = 0;\n"
                        "suspend_timeout_s = 5;\ndestage = \"held\";\ndestage_delay_ms = 0;\njournal_entries = 0;\n"
                        "log_level = \"warning\";\n"), "%s", err.text);
    ck_assert_str_eq(conf.nvram, "/dev/dax0.0");
    ck_assert_str_eq(conf.store, "/flash/flic");
    ck_assert_str_eq(conf.socket, "/tmp/s");
    ck_assert_str_eq(conf.socket_group, "flic");
    ck_assert_str_eq(conf.destage, "held");
    ck_assert_str_eq(conf.log_level, "warning");
    ck_assert_int_eq(conf.nvram_size_mib, 64);
    ck_assert_int_eq(conf.workers, 16);
    ck_assert_int_eq(conf.live_rounds_max, 30);
    ck_assert_int_eq(conf.live_stop_pages, 0);
    ck_assert_int_eq(conf.suspend_timeout_s, 5);
    ck_assert_int_eq(conf.destage_delay_ms, 0);
    ck_assert_int_eq(conf.journal_entries, 0);
}
END_TEST

START_TEST(track_is_a_word_or_a_list_of_names)
{
    ck_assert_int_eq(load("track = \"all\";"), 0);
    ck_assert_str_eq(conf.track, "all");
    ck_assert_int_eq(load("track = [\"web\", \"db\"];"), 0);
    ck_assert_str_eq(conf.track, "\nweb\ndb\n");
    ck_assert_int_eq(load("track = ();"), 0);
    ck_assert_str_eq(conf.track, "\n");
    refused("track = \"web\";", 1, "|all|none|");
    refused("\ntrack = [1, 2];", 2, "list of names");
    refused("track = 7;", 1, "text in quotes");
}
END_TEST

START_TEST(disk_folders_are_a_folder_a_list_of_them_or_none_and_nothing_by_default)
{
    ck_assert_str_eq(conf.disk_folders, "");
    ck_assert_int_eq(load("disk_folders = \"/guests\";"), 0);
    ck_assert_str_eq(conf.disk_folders, "\n/guests\n");
    ck_assert_int_eq(load("shared_disk_folders = [\"/mnt/a\", \"/dev/vg\"];"), 0);
    ck_assert_str_eq(conf.shared_disk_folders, "\n/mnt/a\n/dev/vg\n");
    ck_assert_int_eq(load("disk_folders = \"\";"), 0);
    ck_assert_str_eq(conf.disk_folders, "");
    refused("disk_folders = \"guests\";", 1, "absolute paths");
    refused("disk_folders = [\"/guests\", \"\"];", 1, "list of names");
    refused("disk_folders = 7;", 1, "text in quotes");
}
END_TEST

START_TEST(the_shortest_epoch_is_not_longer_than_the_longest)
{
    ck_assert_int_eq(load("track_epoch_min_ms = 100;\ntrack_epoch_max_ms = 100;"), 0);
    ck_assert_int_eq(load("track_epoch_min_ms = 60000;"), FLIC_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "track_epoch_min_ms = 60000 is more than track_epoch_max_ms"));
}
END_TEST

static const struct { const char *key; long min, max; } ranges[] = {
    { "nvram_size_mib", 0, 1 << 20 }, { "workers", 1, 16 }, { "live_rounds_max", 1, 30 }, { "live_stop_pages", 0, 1 << 20 },
    { "suspend_timeout_s", 5, 600 }, { "destage_delay_ms", 0, 3600000 }, { "track_clean_epochs", 1, 8 },
    { "track_kib_per_s", 16, 1 << 21 }, { "track_cpu_percent", 1, 100 },
};

START_TEST(numbers_at_the_ends_of_their_range_are_taken_and_beyond_are_refused_with_the_range)
{
    char text[96], range[64];

    (void)snprintf(range, sizeof(range), "%ld to %ld", ranges[_i].min, ranges[_i].max);
    (void)snprintf(text, sizeof(text), "%s = %ld;", ranges[_i].key, ranges[_i].min);
    ck_assert_int_eq(load(text), 0);
    (void)snprintf(text, sizeof(text), "%s = %ld;", ranges[_i].key, ranges[_i].max);
    ck_assert_int_eq(load(text), 0);
    (void)snprintf(text, sizeof(text), "\n%s = %ld;", ranges[_i].key, ranges[_i].min - 1);
    refused(text, 2, range);
    (void)snprintf(text, sizeof(text), "\n\n%s = %ld;", ranges[_i].key, ranges[_i].max + 1);
    refused(text, 3, range);
}
END_TEST

START_TEST(an_unknown_key_is_named_with_file_and_line)
{
    refused("workers = 2;\nwrokers = 3;\n", 2, "'wrokers'");
    refused("group = { workers = 2; };", 1, "'group'");
}
END_TEST

START_TEST(a_value_of_the_wrong_type_is_refused)
{
    refused("workers = \"four\";", 1, "workers takes a whole number");
    refused("workers = 2.5;", 1, "workers takes a whole number");
    refused("workers = true;", 1, "workers takes a whole number");
    refused("workers = 9000000000L;", 1, "workers");
    refused("nvram = 3;", 1, "nvram takes a text");
    refused("nvram = (\"/a\", \"/b\");", 1, "nvram takes a text");
}
END_TEST

START_TEST(a_relative_path_an_unknown_choice_and_a_text_too_long_are_refused)
{
    char text[256];

    refused("store = \"var/flic\";", 1, "absolute path");
    refused("store = \"\";", 1, "absolute path");
    refused("destage = \"never\";", 1, "idle");
    refused("destage = \"\";", 1, "idle");
    refused("log_level = \"info|\";", 1, "debug");
    (void)snprintf(text, sizeof(text), "socket = \"/%0120d\";", 0);     /* a socket's path is at most 107 bytes: unix(7) */
    refused(text, 1, "longer than 107");
}
END_TEST

START_TEST(a_line_that_is_no_assignment_is_named)
{
    refused("workers = 2;\nhello world\n", 2, "");
    refused("workers = 2;\nworkers = 3;\n", 2, "");
}
END_TEST

START_TEST(what_is_wrong_in_an_included_file_is_told_with_that_files_name)
{
    char other[80], text[128], where[96];
    FILE *f;

    (void)snprintf(other, sizeof(other), "%s.more", path);
    f = fopen(other, "w");
    ck_assert(f && fputs("\n\nwrokers = 1;\n", f) >= 0 && !fclose(f));
    (void)snprintf(text, sizeof(text), "@include \"%s\"\n", other);
    ck_assert_int_eq(load(text), FLIC_E_CONFIG);
    (void)unlink(other);
    (void)snprintf(where, sizeof(where), "%s:3: ", other);
    ck_assert_msg(strstr(err.text, where) == err.text, "%s", err.text);
}
END_TEST

START_TEST(a_missing_file_is_an_error_only_when_it_was_asked_for)
{
    (void)unlink(path);
    ck_assert_int_eq(fd_conf_load(path, true, &conf, &err), 0);
    ck_assert_int_eq(fd_conf_load(path, false, &conf, &err), -2);   /* ENOENT */
    ck_assert_ptr_nonnull(strstr(err.text, path));
    ck_assert_int_eq(conf.workers, 4);
}
END_TEST

START_TEST(a_folder_in_the_place_of_the_file_is_an_error)
{
    ck_assert_int_lt(fd_conf_load("/tmp", false, &conf, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "/tmp"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conf");
    TCase *t = tcase_create("conf");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, an_empty_file_gives_the_defaults);
    tcase_add_test(t, every_key_is_read);
    tcase_add_loop_test(t, numbers_at_the_ends_of_their_range_are_taken_and_beyond_are_refused_with_the_range, 0,
                        sizeof(ranges) / sizeof(ranges[0]));
    tcase_add_test(t, track_is_a_word_or_a_list_of_names);
    tcase_add_test(t, disk_folders_are_a_folder_a_list_of_them_or_none_and_nothing_by_default);
    tcase_add_test(t, the_shortest_epoch_is_not_longer_than_the_longest);
    tcase_add_test(t, an_unknown_key_is_named_with_file_and_line);
    tcase_add_test(t, a_value_of_the_wrong_type_is_refused);
    tcase_add_test(t, a_relative_path_an_unknown_choice_and_a_text_too_long_are_refused);
    tcase_add_test(t, a_line_that_is_no_assignment_is_named);
    tcase_add_test(t, what_is_wrong_in_an_included_file_is_told_with_that_files_name);
    tcase_add_test(t, a_missing_file_is_an_error_only_when_it_was_asked_for);
    tcase_add_test(t, a_folder_in_the_place_of_the_file_is_an_error);
    suite_add_tcase(s, t);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
