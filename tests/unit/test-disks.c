/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Invariant 11: RAM and disks are one state. Which disks are identified, and which changes between save and restore are seen. */
#include "daemon/disks.h"

#include <jansson.h>

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], disk[96], other[96], config[1024];
static char *list;
static struct flic_err err;

static void write_file(const char *path, size_t size, char byte)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    char *data = malloc(size);

    ck_assert(fd >= 0 && data);
    memset(data, byte, size);
    ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
    free(data);
    ck_assert_int_eq(close(fd), 0);
}

/* As libxl prints a domain's configuration: only what is looked at. */
static void configure(const char *first, const char *second)
{
    if (second)
        (void)snprintf(config, sizeof(config), "{\"c_info\":{\"name\":\"web\"},\"disks\":[{\"pdev_path\":\"%s\",\"vdev\":\"xvda\","
                       "\"readwrite\":1},{\"pdev_path\":\"%s\",\"vdev\":\"xvdb\",\"readwrite\":0}]}", first, second);
    else
        (void)snprintf(config, sizeof(config), "{\"disks\":[{\"pdev_path\":\"%s\",\"vdev\":\"xvda\",\"readwrite\":1}]}", first);
}

static void set_up(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/test-disks.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(disk, sizeof(disk), "%s/a.img", dir);
    (void)snprintf(other, sizeof(other), "%s/b.img", dir);
    write_file(disk, 8192, 'a');
    write_file(other, 4096, 'b');
    configure(disk, other);
    err = (struct flic_err){ 0 };
    list = NULL;
}

static void tear_down(void)
{
    free(list);
    (void)unlink(disk);
    (void)unlink(other);
    ck_assert_int_eq(rmdir(dir), 0);
}

static void settle(void)
{
    ck_assert_msg(!fd_disks_settle(config, &list, &err), "%s", err.text);
}

static void changed(const char *path, const char *words)
{
    ck_assert_int_eq(fd_disks_check(list, &err), FLIC_E_DISK);
    ck_assert_msg(strstr(err.text, path) && strstr(err.text, words), "%s", err.text);
    ck_assert_msg(strstr(err.text, "--ram-only"), "it does not say what to do: %s", err.text);
}

START_TEST(the_list_says_each_disk_and_unchanged_disks_pass)
{
    json_t *root, *d;

    ck_assert_int_eq(fd_disks_can(config, false, &err), 0);
    settle();
    ck_assert_int_eq(fd_disks_check(list, &err), 0);
    root = json_loads(list, 0, NULL);
    ck_assert_uint_eq(json_array_size(root), 2);
    d = json_array_get(root, 0);
    ck_assert_str_eq(json_string_value(json_object_get(d, "vdev")), "xvda");
    ck_assert_str_eq(json_string_value(json_object_get(d, "path")), disk);
    ck_assert(json_is_true(json_object_get(d, "writable")));
    ck_assert_int_eq(json_integer_value(json_object_get(d, "size")), 8192);
    d = json_array_get(root, 1);
    ck_assert_str_eq(json_string_value(json_object_get(d, "vdev")), "xvdb");
    ck_assert(json_is_false(json_object_get(d, "writable")));
    json_decref(root);
}
END_TEST

START_TEST(reading_a_disk_does_not_change_it)
{
    char buf[512];
    int fd;

    settle();
    fd = open(disk, O_RDONLY);
    ck_assert_int_eq(read(fd, buf, sizeof(buf)), sizeof(buf));
    ck_assert_int_eq(close(fd), 0);
    ck_assert_int_eq(fd_disks_check(list, &err), 0);
}
END_TEST

START_TEST(a_write_of_equal_length_is_seen)
{
    settle();
    (void)usleep(20000);            /* a file system's change time may tick every 10 ms */
    write_file(disk, 1, 'x');
    changed(disk, "changed since the save");
}
END_TEST

START_TEST(a_change_time_put_back_cannot_be_made)
{
    struct timespec times[2];
    struct stat st;

    ck_assert_int_eq(stat(disk, &st), 0);
    settle();
    (void)usleep(20000);
    write_file(disk, 1, 'x');
    times[0] = st.st_atim;
    times[1] = st.st_mtim;          /* what can be forged is the modification time */
    ck_assert_int_eq(utimensat(AT_FDCWD, disk, times, 0), 0);
    changed(disk, "changed since the save");
}
END_TEST

START_TEST(another_size_is_seen)
{
    settle();
    ck_assert_int_eq(truncate(other, 100), 0);
    changed(other, "changed since the save");
}
END_TEST

START_TEST(another_file_of_that_name_is_seen)
{
    char aside[112];

    settle();
    (void)snprintf(aside, sizeof(aside), "%s.aside", disk);
    ck_assert_int_eq(rename(disk, aside), 0);
    write_file(disk, 8192, 'a');
    changed(disk, "another file");
    ck_assert_int_eq(unlink(aside), 0);
}
END_TEST

START_TEST(a_disk_that_is_gone_is_seen)
{
    settle();
    ck_assert_int_eq(unlink(disk), 0);
    changed(disk, "No such file");
}
END_TEST

START_TEST(a_missing_disk_is_refused_at_the_save)
{
    ck_assert_int_eq(unlink(disk), 0);
    ck_assert_int_eq(fd_disks_can(config, false, &err), FLIC_E_DISK);
    ck_assert_ptr_nonnull(strstr(err.text, "xvda"));
    ck_assert_int_eq(fd_disks_settle(config, &list, &err), FLIC_E_DISK);
    ck_assert_ptr_null(list);
}
END_TEST

START_TEST(a_device_cannot_be_told_from_a_changed_one_and_is_refused)
{
    configure("/dev/null", NULL);   /* no regular file: the same answer as for a block device */
    ck_assert_int_eq(fd_disks_can(config, false, &err), FLIC_E_DISK);
    ck_assert_ptr_nonnull(strstr(err.text, "--ram-only"));
    ck_assert_int_eq(fd_disks_can(config, true, &err), 0);          /* unless there is a snapshot of it */
    configure(dir, NULL);
    ck_assert_int_eq(fd_disks_can(config, false, &err), FLIC_E_DISK);
}
END_TEST

START_TEST(an_empty_drive_and_a_guest_without_disks_are_fine)
{
    ck_assert_int_eq(fd_disks_settle("{\"disks\":[{\"vdev\":\"hdc\",\"is_cdrom\":1,\"readwrite\":0}]}", &list, &err), 0);
    ck_assert_str_eq(list, "[]");
    free(list);
    ck_assert_int_eq(fd_disks_settle("{}", &list, &err), 0);
    ck_assert_str_eq(list, "[]");
    ck_assert_int_eq(fd_disks_check(list, &err), 0);
}
END_TEST

START_TEST(invariant_7_a_configuration_or_a_list_that_is_not_one_is_refused)
{
    static const char *const lists[] = { "", "{}", "[", "[1]", "[{}]", "[{\"vdev\":\"xvda\",\"path\":7,\"ctime_ns\":\"1\"}]", "null" };

    ck_assert_int_eq(fd_disks_can("", false, &err), FLIC_E_PROTOCOL);
    ck_assert_int_eq(fd_disks_can("[1,2]", false, &err), FLIC_E_PROTOCOL);
    ck_assert_int_eq(fd_disks_can("{\"disks\": [", true, &err), FLIC_E_PROTOCOL);
    ck_assert_int_eq(fd_disks_settle("7", &list, &err), FLIC_E_PROTOCOL);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        ck_assert_msg(fd_disks_check(lists[i], &err) == FLIC_E_DAMAGED, "'%s' passed or: %s", lists[i], err.text);
}
END_TEST

START_TEST(a_disk_whose_name_is_no_text_is_an_error_and_not_left_out)
{
    char bad[160];
    int rc;

    (void)snprintf(bad, sizeof(bad), "%s/\xff.img", dir);
    write_file(bad, 16, 'c');
    configure(bad, NULL);
    rc = fd_disks_settle(config, &list, &err);
    ck_assert_int_eq(unlink(bad), 0);
    ck_assert_int_lt(rc, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("disks");
    TCase *t = tcase_create("disks");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, the_list_says_each_disk_and_unchanged_disks_pass);
    tcase_add_test(t, reading_a_disk_does_not_change_it);
    tcase_add_test(t, a_write_of_equal_length_is_seen);
    tcase_add_test(t, a_change_time_put_back_cannot_be_made);
    tcase_add_test(t, another_size_is_seen);
    tcase_add_test(t, another_file_of_that_name_is_seen);
    tcase_add_test(t, a_disk_that_is_gone_is_seen);
    tcase_add_test(t, a_missing_disk_is_refused_at_the_save);
    tcase_add_test(t, a_device_cannot_be_told_from_a_changed_one_and_is_refused);
    tcase_add_test(t, an_empty_drive_and_a_guest_without_disks_are_fine);
    tcase_add_test(t, invariant_7_a_configuration_or_a_list_that_is_not_one_is_refused);
    tcase_add_test(t, a_disk_whose_name_is_no_text_is_an_error_and_not_left_out);
    suite_add_tcase(s, t);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
