/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* libflicxl on a twin of libxl, with the test as flicd. */
#include "tests/fake/libxl_fake.h"
#include "tests/unit/reference-bytes.h"

#include "cli/xl.h"
#include "common/io.h"
#include "libxl-ext/flicxl.h"

#include <check.h>
#include <dirent.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[64], socket_path[96], file[96];
static struct flicxl_info info;
static volatile int cancel;
static const struct flic_uuid guest = { .b = { 0x11 } };

/* ---- a flicd ---- */

static struct {
    int listener;
    pthread_t thread;
    char heard[256];            /* the "op" of what came, in order */
    json_t *request;            /* the first message */
    const char *no;             /* refuses what ends the operation, with this code */
    void (*asked)(void);        /* called before it refuses */
    bool waits;                 /* answers that only after an abort; the user cancels meanwhile */
} flicd;

static void say(FILE *to, json_t *msg)
{
    char *text = json_dumps(msg, JSON_COMPACT);

    (void)fprintf(to, "%s\n", text);
    (void)fflush(to);
    free(text);
    json_decref(msg);
}

static void hear(FILE *to, json_t *msg)
{
    const char *verb = json_string_value(json_object_get(msg, "op"));
    char hex[REFERENCE_HEX];

    strcat(strcat(flicd.heard, *flicd.heard ? " " : ""), verb);
    if (!flicd.request) {
        flicd.request = json_incref(msg);
        reference_to_hex(libxl_fake.reference, hex);
        say(to, json_pack("{s:s, s:s, s:s, s:s}", "event", "ready", "operation", "op-1", "config", "{}", "reference", hex));
    } else if (!strcmp(verb, "abort")) {
        say(to, json_pack("{s:b, s:s, s:s}", "ok", 0, "code", "FLIC_E_CANCELLED", "error", "cancelled by flicd"));
    } else if (flicd.waits) {
        cancel = 1;
    } else if (flicd.no) {
        if (flicd.asked)
            flicd.asked();
        say(to, json_pack("{s:b, s:s, s:s}", "ok", 0, "code", flicd.no, "error", "no"));
    } else {
        say(to, json_pack("{s:b, s:i}", "ok", 1, "seq", 7));
    }
}

static void *serve(void *arg)
{
    int fd = accept(flicd.listener, NULL, NULL);
    FILE *from = fdopen(fd, "r"), *to = fdopen(dup(fd), "w");
    char *line = NULL;
    size_t room = 0;

    while (getline(&line, &room, from) > 0) {
        json_t *msg = json_loads(line, 0, NULL);

        hear(to, msg);
        json_decref(msg);
    }
    free(line);
    (void)fclose(from);
    (void)fclose(to);
    return arg;
}

static void start_flicd(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };

    memcpy(at.sun_path, socket_path, strlen(socket_path) + 1);
    flicd.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(flicd.listener, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(flicd.listener, 1), 0);
    ck_assert_int_eq(pthread_create(&flicd.thread, NULL, serve, NULL), 0);
}

/* What it has heard: the conversation is over when libflicxl has returned. */
static const char *end_flicd(void)
{
    ck_assert_int_eq(pthread_join(flicd.thread, NULL), 0);
    (void)close(flicd.listener);
    (void)unlink(socket_path);
    return flicd.heard;
}

/* ---- the scene ---- */

static void set_up(void)
{
    memset(&libxl_fake, 0, sizeof(libxl_fake));
    memset(&flicd, 0, sizeof(flicd));
    cancel = 0;
    build_reference(libxl_fake.reference, &guest, 7);
    (void)strcpy(dir, "/tmp/flic-flicxl-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(socket_path, sizeof(socket_path), "%s/sock", dir);
    (void)snprintf(file, sizeof(file), "%s/web", dir);
}

static void tear_down(void)
{
    char command[128];

    json_decref(flicd.request);
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static int save(const char *to)
{
    struct flicxl_save_params params;

    flicxl_save_params_init(&params);
    params.file = to;
    params.socket = socket_path;
    params.cancel = &cancel;
    return flicxl_domain_save(NULL, 5, &params, &info, NULL);
}

static int restore(const char *what)
{
    struct flicxl_restore_params params;

    flicxl_restore_params_init(&params);
    params.what = what;
    params.socket = socket_path;
    params.cancel = &cancel;
    return flicxl_domain_restore(NULL, &params, &info, NULL);
}

/* ---- driving libxl ---- */

START_TEST(what_libxl_does_within_the_call_or_after_it_is_done)
{
    libxl_fake.at_once = _i;
    start_flicd();
    ck_assert_int_eq(save(NULL), 0);
    ck_assert_str_eq(end_flicd(), "save publish");
    ck_assert_uint_eq(libxl_fake.destroyed, 1);
    tear_down();
    set_up();
    libxl_fake.at_once = _i;
    start_flicd();
    ck_assert_int_eq(restore("web"), 0);
    ck_assert_str_eq(end_flicd(), "restore restored");
    ck_assert_uint_eq(libxl_fake.unpaused, 1);
}
END_TEST

/* _i: libxl says so from its event loop, within the call that begins, or by what that returns. */
static void let_libxl_fail(int how)
{
    libxl_fake.at_once = how == 1;
    *(how == 2 ? &libxl_fake.refused : &libxl_fake.result) = ERROR_NOMEM;
}

START_TEST(a_restore_that_fails_in_libxl_is_never_said_to_be_restored)
{
    let_libxl_fail(_i);
    start_flicd();
    ck_assert_int_ne(restore("web"), 0);
    ck_assert_str_eq(end_flicd(), "restore abort");
    ck_assert_int_eq(info.code, FLIC_E_XEN);
    ck_assert_ptr_nonnull(strstr(info.text, "(error -5)"));
    ck_assert_uint_eq(libxl_fake.unpaused, 0);
}
END_TEST

START_TEST(a_save_that_fails_in_libxl_is_never_published_and_its_guest_goes_on)
{
    let_libxl_fail(_i);
    start_flicd();
    ck_assert_int_ne(save(NULL), 0);
    ck_assert_str_eq(end_flicd(), "save abort");
    ck_assert_int_eq(info.code, FLIC_E_XEN);
    ck_assert_ptr_nonnull(strstr(info.text, "(error -5)"));
    ck_assert(libxl_fake.resumed == 1 && !libxl_fake.destroyed);
}
END_TEST

START_TEST(a_cancel_reaches_flicd_also_while_its_last_word_is_awaited)
{
    flicd.waits = true;
    start_flicd();
    ck_assert_int_ne(_i ? save(NULL) : restore("web"), 0);
    ck_assert_str_eq(end_flicd(), _i ? "save publish abort" : "restore restored abort");
    ck_assert_int_eq(info.code, FLIC_E_CANCELLED);
    ck_assert_str_eq(info.text, "cancelled by flicd");
    ck_assert_uint_eq(libxl_fake.destroyed, _i ? 0 : 1);    /* the guest of a save goes on, the half domain of a restore is nobody's */
}
END_TEST

/* ---- FILE ---- */

static void put(const char *path, const char *text)
{
    FILE *to = fopen(path, "w");

    ck_assert_ptr_nonnull(to);
    ck_assert_int_ge(fputs(text, to), 0);
    ck_assert_int_eq(fclose(to), 0);
}

static void assert_holds(const char *path, const char *text)
{
    struct flic_err err;
    void *data;
    size_t len;

    ck_assert_int_eq(flic_load_file(path, 4096, &data, &len, &err), 0);
    ck_assert_str_eq(data, text);
    free(data);
}

static void put_reference(uint64_t seq)
{
    uint8_t reference[REFERENCE_SIZE];
    void *bytes;
    size_t len;

    build_reference(reference, &guest, seq);
    ck_assert_int_eq(reference_file_build(reference, "{}", &bytes, &len, NULL), 0);
    ck_assert_int_eq(flic_publish_file(file, bytes, len, 0600, NULL), 0);
    free(bytes);
}

/* The number in the reference at FILE; 0: there is no FILE. */
static uint64_t seq_in_file(void)
{
    uint8_t reference[REFERENCE_SIZE];
    const char *json;
    struct flic_reader r;
    void *bytes;
    size_t len, n;

    if (access(file, F_OK))
        return 0;
    ck_assert_int_eq(flic_load_file(file, 4096, &bytes, &len, NULL), 0);
    ck_assert_int_eq(reference_file_parse(bytes, len, reference, &json, &n, NULL), 0);
    free(bytes);
    r = flic_reader_of(reference + 48, 8);
    return flic_get_u64(&r);
}

static unsigned files_in_dir(void)
{
    DIR *folder = opendir(dir);
    unsigned n = 0;

    while (readdir(folder))
        n++;
    (void)closedir(folder);
    return n - 2;
}

START_TEST(the_users_own_files_beside_FILE_are_left_alone)
{
    char near[128];
    struct stat st;

    (void)snprintf(near, sizeof(near), "%s.new", file);
    put(near, "mine");
    start_flicd();
    ck_assert_int_eq(save(file), 0);
    (void)end_flicd();
    assert_holds(near, "mine");
    ck_assert_uint_eq(seq_in_file(), 7);
    ck_assert(!stat(file, &st) && (st.st_mode & 0777) == 0600);
    ck_assert_uint_eq(files_in_dir(), 2);
}
END_TEST

static void somebody_else_saves(void)
{
    put_reference(99);
}

START_TEST(a_save_that_failed_before_it_wrote_FILE_leaves_what_is_there)
{
    libxl_fake.began = somebody_else_saves;
    libxl_fake.result = ERROR_FAIL;
    start_flicd();
    ck_assert_int_ne(save(file), 0);
    (void)end_flicd();
    ck_assert_uint_eq(seq_in_file(), 99);
}
END_TEST

/* _i: with an older reference there. */
START_TEST(a_save_that_was_not_published_takes_its_FILE_back)
{
    if (_i)
        put_reference(6);
    flicd.no = "FLIC_E_NOSPACE";
    start_flicd();
    ck_assert_int_ne(save(file), 0);
    ck_assert_str_eq(end_flicd(), "save publish");
    ck_assert_uint_eq(seq_in_file(), _i ? 6 : 0);
    ck_assert_uint_eq(files_in_dir(), (unsigned)_i);
}
END_TEST

START_TEST(a_FILE_that_another_save_has_replaced_meanwhile_is_not_taken_back)
{
    flicd.no = "FLIC_E_NOSPACE";
    flicd.asked = somebody_else_saves;
    start_flicd();
    ck_assert_int_ne(save(file), 0);
    ck_assert_str_eq(end_flicd(), "save publish");
    ck_assert_uint_eq(seq_in_file(), 99);
}
END_TEST

/* ---- what to restore ---- */

static json_t *asked(const char *member)
{
    return json_object_get(flicd.request, member);
}

/* _i selects one of what cli/target.c refuses too. */
START_TEST(a_checkpoint_that_has_no_such_number_is_refused_before_flicd_is_asked)
{
    static const char *const wrong[] = { "", "@7", "web@0", "web@18446744073709551616", "web@9223372036854775808" };

    ck_assert_int_ne(restore(wrong[_i]), 0);
    ck_assert_int_eq(info.code, FLIC_E_USAGE);
}
END_TEST

START_TEST(a_name_a_number_and_a_folder_of_that_name_are_told_from_a_FILE)
{
    static const struct { const char *what, *domain; json_int_t seq; } rows[] = {
        { "web", "web", 0 }, { "web@12", "web", 12 }, { "web@a", "web@a", 0 }, { "web@", "web@", 0 }, { "a@b@3", "a@b", 3 },
    };

    ck_assert_int_eq(chdir(dir), 0);
    ck_assert(!mkdir("web", 0700) && !mkdir("web@12", 0700));
    start_flicd();
    ck_assert_int_eq(restore(rows[_i].what), 0);
    (void)end_flicd();
    ck_assert_str_eq(json_string_value(asked("domain")), rows[_i].domain);
    ck_assert_int_eq(json_integer_value(asked("seq")), rows[_i].seq);
    ck_assert_ptr_null(asked("reference"));
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(a_FILE_is_restored_by_its_reference)
{
    char hex[REFERENCE_HEX];

    put_reference(7);
    reference_to_hex(libxl_fake.reference, hex);
    ck_assert_int_eq(chdir(dir), 0);
    start_flicd();
    ck_assert_int_eq(restore(_i ? file : "web"), 0);
    (void)end_flicd();
    ck_assert_str_eq(json_string_value(asked("reference")), hex);
    ck_assert_ptr_null(asked("domain"));
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

/* ---- xl ---- */

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);

int __wrap_access(const char *path, int mode)
{
    return strcmp(path, "/dev/xen/privcmd") ? __real_access(path, mode) : 0;
}

START_TEST(xl_has_libxl_reap_no_children_but_its_own)
{
    struct xl_global global = { 0 };
    struct xl_session session;
    struct flic_err err;

    ck_assert_int_eq(xl_session_open(&global, &session, &err), 0);
    ck_assert_ptr_nonnull(libxl_fake.hooks);
    ck_assert_int_eq(libxl_fake.hooks->chldowner, libxl_sigchld_owner_libxl_always_selective_reap);
    xl_session_close(&session);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flicxl");
    TCase *tc = tcase_create("flicxl");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_set_timeout(tc, 20);
    tcase_add_loop_test(tc, what_libxl_does_within_the_call_or_after_it_is_done, 0, 2);
    tcase_add_loop_test(tc, a_restore_that_fails_in_libxl_is_never_said_to_be_restored, 0, 3);
    tcase_add_loop_test(tc, a_save_that_fails_in_libxl_is_never_published_and_its_guest_goes_on, 0, 3);
    tcase_add_loop_test(tc, a_cancel_reaches_flicd_also_while_its_last_word_is_awaited, 0, 2);
    tcase_add_test(tc, the_users_own_files_beside_FILE_are_left_alone);
    tcase_add_test(tc, a_save_that_failed_before_it_wrote_FILE_leaves_what_is_there);
    tcase_add_loop_test(tc, a_save_that_was_not_published_takes_its_FILE_back, 0, 2);
    tcase_add_test(tc, a_FILE_that_another_save_has_replaced_meanwhile_is_not_taken_back);
    tcase_add_test(tc, xl_has_libxl_reap_no_children_but_its_own);
    tcase_add_loop_test(tc, a_checkpoint_that_has_no_such_number_is_refused_before_flicd_is_asked, 0, 5);
    tcase_add_loop_test(tc, a_name_a_number_and_a_folder_of_that_name_are_told_from_a_FILE, 0, 5);
    tcase_add_loop_test(tc, a_FILE_is_restored_by_its_reference, 0, 2);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
