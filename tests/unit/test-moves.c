/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* On which side a migrated guest is: what is written down, and what follows from the peer's word. Invariant 6. */
#include "common/clock.h"
#include "common/log.h"
#include "common/marks.h"
#include "daemon/checkpoint/collect.h"
#include "daemon/daemon.h"
#include "daemon/kept.h"
#include "daemon/lease.h"
#include "daemon/op.h"
#include "tests/unit/checkpoint-scene.h"
#include "tests/unit/machine-memory.h"

#include <spawn.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fd_daemon daemon_;
static unsigned destroyed, destroy_tries;
static bool cannot_destroy;

/* flic-guest destroy DOMID, played. */
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
                       char *const argv[], char *const envp[]);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
                       char *const argv[], char *const envp[])
{
    (void)path;
    (void)actions;
    (void)attr;
    (void)envp;
    ck_assert_str_eq(argv[1], "destroy");
    destroy_tries++;
    *pid = 4711;
    if (cannot_destroy)
        return 0;
    destroyed = (unsigned)atoi(argv[2]);
    flx_fake_kill(destroyed);
    return 0;
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    if (pid != 4711)
        return __real_waitpid(pid, status, options);
    *status = cannot_destroy ? 1 << 8 : 0;
    return pid;
}

/* Whether the store's folder was synced. */
static bool store_synced;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    struct stat st, folder;

    store_synced |= !fstat(fd, &st) && !stat(scene_dir, &folder) && st.st_ino == folder.st_ino && st.st_dev == folder.st_dev;
    return __real_fsync(fd);
}

int fd_check_ready(const struct fd_daemon *daemon, struct flic_err *why)        /* main.c has it */
{
    (void)daemon;
    (void)why;
    return 0;
}

/* What is said to the owner of the phone. */
static char warning[1024];
static unsigned warnings;

void __wrap_flic_log(enum flic_log_level level, const char *fmt, ...);
void __wrap_flic_log(enum flic_log_level level, const char *fmt, ...)
{
    va_list ap;

    if (level > FLIC_LOG_WARNING)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(warning, sizeof(warning), fmt, ap);
    va_end(ap);
    warnings++;
}

static void set_up(void)
{
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
    memset(&daemon_, 0, sizeof(daemon_));
    daemon_.store = store;
    (void)snprintf(daemon_.conf.store, sizeof(daemon_.conf.store), "%s", scene_dir);
    destroyed = destroy_tries = 0;
    cannot_destroy = false;
}

static void tear_down(void)
{
    scene_end();
}

static struct mv_move move_of(uint8_t migration, enum mv_state state)
{
    struct mv_move m = { .migration = scene_uuid(migration), .guest = scene_uuid(1), .name = "web", .peer = "phone2", .state = state, .seq = 3,
                         .domid = GUEST };

    return m;
}

static void mark(const char *key, uint8_t migration)
{
    struct flic_uuid uuid = scene_uuid(migration);
    struct flx_dom *dom;

    OK(flx_open(GUEST, &dom, &err));
    OK(mv_mark(dom, key, &uuid, &err));
    flx_close(dom);
}

static bool is_noted(uint8_t migration)
{
    struct flic_uuid uuid = scene_uuid(migration);
    struct mv_move m;

    return !mv_read(&daemon_, &uuid, &m, NULL);
}

START_TEST(what_is_written_is_read_back_whole)
{
    struct mv_move m = move_of(0x61, MV_HANDING), got;

    (void)snprintf(m.command, sizeof(m.command), "%s", "ssh -p 22 -i \"my key\"");
    OK(mv_write(&daemon_, &m, &err));
    OK(mv_read(&daemon_, &m.migration, &got, &err));
    ck_assert(flic_uuid_equal(&got.guest, &m.guest) && got.state == MV_HANDING && got.seq == 3 && got.domid == GUEST);
    ck_assert_str_eq(got.command, m.command);
    ck_assert_str_eq(got.peer, "phone2");
    OK(mv_drop(&daemon_, &m.migration, &err));
    ck_assert_int_eq(mv_read(&daemon_, &m.migration, &got, &err), FLIC_E_NOCHECKPOINT);
}
END_TEST

START_TEST(invariant_6_what_is_written_is_not_lost_with_a_folder_that_nobody_made_durable)
{
    struct mv_move m = move_of(0x61, MV_HANDING);
    char folder[96];

    store_synced = false;
    OK(mv_write(&daemon_, &m, &err));
    ck_assert(store_synced);
    OK(mv_drop(&daemon_, &m.migration, &err));
    (void)snprintf(folder, sizeof(folder), "%s/moves", scene_dir);
    ck_assert_int_eq(rmdir(folder) + mkdir(folder, 0700), 0);       /* by one that was killed right then */
    store_synced = false;
    OK(mv_write(&daemon_, &m, &err));
    ck_assert(store_synced);
}
END_TEST

START_TEST(invariant_7_a_file_that_is_none_of_ours_is_left_out_and_the_others_are_known)
{
    struct flic_uuid other = scene_uuid(9);
    struct mv_move m = move_of(0x61, MV_GONE), *all;
    bool whole;
    char path[256];
    size_t n;
    FILE *f;

    OK(mv_write(&daemon_, &m, &err));
    (void)snprintf(path, sizeof(path), "%s/moves/62626262-6262-6262-6262-626262626262.json", scene_dir);
    f = fopen(path, "w");
    ck_assert(f && fputs("{\"version\": 1, \"state\": \"handing\"", f) >= 0 && !fclose(f));
    OK(mv_list(&daemon_, &all, &n, &whole, &err));
    ck_assert_uint_eq(n, 1);
    ck_assert(!whole);
    free(all);
    ck_assert_int_eq(mv_find(&daemon_, &m.guest, 1u << MV_GONE, &m), 1);
    ck_assert_int_lt(mv_find(&daemon_, &other, 1u << MV_GONE, &m), 0);       /* it may be the one that cannot be read */
}
END_TEST

START_TEST(invariant_6_of_running_and_refused_the_first_one_stays)
{
    struct mv_move ours = move_of(0x61, MV_RUNNING), refusal = move_of(0x61, MV_REFUSED);
    enum mv_state state;

    OK(mv_decide(&daemon_, &ours, &state, &err));
    ck_assert_int_eq(state, MV_RUNNING);
    OK(mv_decide(&daemon_, &refusal, &state, &err));
    ck_assert_int_eq(state, MV_RUNNING);
    refusal.migration = ours.migration = scene_uuid(0x62);
    OK(mv_decide(&daemon_, &refusal, &state, &err));
    ck_assert_int_eq(state, MV_REFUSED);
    OK(mv_decide(&daemon_, &ours, &state, &err));
    ck_assert_int_eq(state, MV_REFUSED);
}
END_TEST

START_TEST(invariant_6_a_guest_that_did_not_arrive_goes_on_in_place)
{
    struct mv_move m = move_of(0x61, MV_HANDING);

    OK(mv_write(&daemon_, &m, &err));
    mark("flic/operation", 0x61);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    OK(mv_settle(&daemon_, &m, false, &err));
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    ck_assert_uint_eq(flx_fake_resumes(GUEST), 1);
    ck_assert(!is_noted(0x61));
}
END_TEST

START_TEST(invariant_6_a_guest_that_arrived_is_destroyed_here_and_noted_as_gone)
{
    struct mv_move m = move_of(0x61, MV_HANDING), got;

    OK(mv_write(&daemon_, &m, &err));
    mark("flic/operation", 0x61);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    OK(mv_settle(&daemon_, &m, true, &err));
    ck_assert_uint_eq(destroyed, GUEST);
    ck_assert_int_eq(mv_find(&daemon_, &m.guest, 1u << MV_GONE, &got), 1);
}
END_TEST

START_TEST(a_domain_that_nobody_destroyed_after_its_guest_had_gone_is_destroyed_by_the_keeper)
{
    struct mv_move m = move_of(0x61, MV_GONE);
    struct flx_info info = { .domid = GUEST, .uuid = scene_uuid(1), .run = FLX_SUSPENDED };

    OK(mv_write(&daemon_, &m, &err));
    mark("flic/operation", 0x61);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    ck_assert(fd_moves_explain(&daemon_, &info, &err) == 1);
    ck_assert_uint_eq(destroyed, GUEST);
}
END_TEST

START_TEST(a_domain_that_cannot_be_destroyed_is_not_tried_each_second)
{
    struct mv_move m = move_of(0x61, MV_GONE);
    struct flx_info info = { .domid = GUEST, .uuid = scene_uuid(1), .run = FLX_SUSPENDED };

    OK(mv_write(&daemon_, &m, &err));
    mark("flic/operation", 0x61);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    cannot_destroy = true;
    ck_assert_int_eq(fd_moves_explain(&daemon_, &info, &err), FLIC_E_XEN);
    ck_assert_ptr_nonnull(strstr(err.text, "phone2"));
    destroy_tries = 0;
    daemon_.host.caps = FLX_CAP_XEN;
    OK(fd_orphans_start(&daemon_, &err));
    (void)usleep(3500000);                      /* four looks */
    fd_orphans_stop(&daemon_);
    ck_assert_uint_eq(destroy_tries, 1);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_SUSPENDED);
}
END_TEST

static void wait_for(enum flx_run run)
{
    for (int i = 0; i < 900 && flx_fake_run(GUEST) != run; i++)
        (void)usleep(10000);
    ck_assert_int_eq(flx_fake_run(GUEST), run);
}

START_TEST(a_restored_guest_that_nobody_lived_to_let_run_is_let_run_and_not_taken_for_half_a_guest)
{
    struct flx_dom *dom;

    OK(flx_open(GUEST, &dom, &err));
    OK(flx_tell_guest(dom, "flic/restoring", MARK_WHOLE, &err));
    flx_close(dom);
    flx_fake_set_run(GUEST, FLX_PAUSED);
    daemon_.host.caps = FLX_CAP_XEN;
    OK(fd_orphans_start(&daemon_, &err));
    wait_for(FLX_RUNNING);
    fd_orphans_stop(&daemon_);
    ck_assert_str_eq(flx_fake_told(GUEST, "flic/restoring"), "");       /* who pauses it later means it */
    ck_assert_uint_eq(destroyed, 0);
}
END_TEST

START_TEST(one_that_runs_here_is_not_destroyed_whatever_the_peer_says)
{
    struct mv_move m = move_of(0x61, MV_HANDING);

    OK(mv_write(&daemon_, &m, &err));
    OK(mv_settle(&daemon_, &m, true, &err));
    ck_assert_uint_eq(destroyed, 0);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
}
END_TEST

START_TEST(invariant_12_a_guest_that_waits_for_its_peers_word_is_not_resumed_as_an_orphan)
{
    struct mv_move m = move_of(0x61, MV_HANDING);
    struct flx_info info = { .domid = GUEST, .uuid = scene_uuid(1), .run = FLX_SUSPENDED };

    mark("flic/operation", 0x61);
    ck_assert(fd_moves_explain(&daemon_, &info, &err) == 0);
    OK(mv_write(&daemon_, &m, &err));
    ck_assert(fd_moves_explain(&daemon_, &info, &err) == 1);
    mark("flic/operation", 0x62);       /* the same guest, restored since, in a domain of that number */
    ck_assert(fd_moves_explain(&daemon_, &info, &err) == 0);
}
END_TEST

START_TEST(one_that_was_ours_when_flicd_ended_is_let_run)
{
    struct mv_move m = move_of(0x61, MV_RUNNING);
    struct flx_info info = { .domid = GUEST, .uuid = scene_uuid(1), .run = FLX_PAUSED };

    flx_fake_set_run(GUEST, FLX_PAUSED);
    ck_assert(fd_moves_explain(&daemon_, &info, &err) == 0);
    OK(mv_write(&daemon_, &m, &err));
    mark("flic/restoring", 0x62);       /* half restored, in a later life */
    ck_assert(fd_moves_explain(&daemon_, &info, &err) == 0);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_PAUSED);
    mark("flic/restoring", 0x61);
    ck_assert(fd_moves_explain(&daemon_, &info, &err) == 1);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
}
END_TEST

static json_t *ask(json_t *(*question)(struct fd_daemon *, json_t *), json_t *request)
{
    json_t *answer = question(&daemon_, request);

    json_decref(request);
    return answer;
}

START_TEST(settle_refuses_what_it_does_not_know_for_good)
{
    struct mv_move ours = move_of(0x61, MV_RUNNING);
    enum mv_state state;
    json_t *a = ask(fd_settle, json_pack("{s:s}", "migration", "61616161-6161-6161-6161-616161616161"));

    ck_assert_str_eq(json_string_value(json_object_get(a, "state")), "refused");
    json_decref(a);
    OK(mv_decide(&daemon_, &ours, &state, &err));
    ck_assert_int_eq(state, MV_REFUSED);
    a = ask(fd_settle, json_pack("{s:s}", "migration", "../../etc/passwd"));
    ck_assert(json_is_false(json_object_get(a, "ok")));
    json_decref(a);
}
END_TEST

/* So many that were refused, so long ago. */
static void refuse_many(unsigned first, unsigned n, uint64_t ago_s)
{
    char file[160];

    for (unsigned i = first; i < first + n; i++) {
        FILE *f;

        (void)snprintf(file, sizeof(file), "%s/moves/%08x-6262-6262-6262-626262626262.json", scene_dir, i);
        f = fopen(file, "w");
        ck_assert(f && fprintf(f, "{\"version\": 1, \"migration\": \"%08x-6262-6262-6262-626262626262\", \"guest\": "
                               "\"00000000-0000-0000-0000-000000000000\", \"name\": \"?\", \"peer\": \"\", \"command\": \"\", \"state\": \"refused\", "
                               "\"seq\": 0, \"domid\": 0, \"at_ns\": \"%llu\"}", i,
                               (unsigned long long)(flic_wall_ns() - ago_s * 1000000000)) > 0 && !fclose(f));
    }
}

static size_t count_noted(void)
{
    struct mv_move *moves;
    size_t n;

    OK(mv_list(&daemon_, &moves, &n, NULL, &err));
    free(moves);
    return n;
}

static bool is_settled(uint8_t migration)
{
    struct mv_move refusal = move_of(migration, MV_REFUSED);
    enum mv_state state;
    int rc = mv_decide(&daemon_, &refusal, &state, &err);

    ck_assert(!rc || rc == FLIC_E_BUSY);
    return !rc;
}

START_TEST(what_was_refused_long_ago_gives_way_and_what_was_refused_today_stays)
{
    ck_assert(is_settled(0x61));
    refuse_many(0, 900, 90000);
    refuse_many(900, 98, 80000);
    ck_assert(is_settled(0x62));
    ck_assert_uint_eq(count_noted(), 1000);
    ck_assert(is_settled(0x63));
    ck_assert_uint_eq(count_noted(), 101);
    ck_assert(is_noted(0x61) && is_noted(0x62) && is_noted(0x63));
}
END_TEST

START_TEST(who_asks_about_migrations_without_end_does_not_fill_the_store)
{
    struct mv_move gone = move_of(0x61, MV_GONE), ours = move_of(0x64, MV_RUNNING);
    enum mv_state state;

    OK(mv_write(&daemon_, &gone, &err));
    refuse_many(0, 999, 60);
    ck_assert(is_settled(0x62));
    ck_assert(!is_settled(0x63));
    ck_assert_uint_eq(count_noted(), 1001);
    ck_assert(is_settled(0x62));                /* what was said is said again */
    OK(mv_decide(&daemon_, &ours, &state, &err));
    ck_assert_int_eq(state, MV_RUNNING);
    OK(mv_forget_guest(&daemon_, &gone.guest, &err));
    ck_assert(is_noted(0x62));
}
END_TEST

/* In ssh's place: this, for so long. */
static void ask_by(const char *script, unsigned us)
{
    struct mv_move m = move_of(0x61, MV_HANDING);
    FILE *f;

    (void)snprintf(m.command, sizeof(m.command), "%s/ssh", scene_dir);
    f = fopen(m.command, "w");
    ck_assert(f && fprintf(f, "#!/bin/sh\n%s\n", script) > 0 && !fclose(f) && !chmod(m.command, 0700));
    OK(mv_write(&daemon_, &m, &err));
    mark("flic/operation", 0x61);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    warnings = 0;
    OK(fd_moves_start(&daemon_, &err));
    (void)usleep(us);
    fd_moves_stop(&daemon_);
}

START_TEST(a_peer_that_cannot_be_asked_is_said_once_with_why_and_what_to_do)
{
    ask_by("echo 'root@phone2: Permission denied (publickey,password).' >&2; exit 255", 3500000);
    ck_assert_uint_eq(warnings, 1);
    ck_assert_msg(strstr(warning, "Permission denied (publickey,password)") && strstr(warning, "--settle 61616161-6161-6161-6161-616161616161") &&
                  strstr(warning, "flic claim web"), "%s", warning);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_SUSPENDED);
    ck_assert(is_noted(0x61));
}
END_TEST

START_TEST(what_is_said_beside_the_answer_is_not_taken_for_it)
{
    ask_by("echo 'authorized use only' >&2; echo refused; echo 'bye' >&2", 1000000);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    ck_assert(!is_noted(0x61));
    ask_by("echo refused; exit 1", 1000000);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_SUSPENDED);
}
END_TEST

START_TEST(claim_lets_a_waiting_guest_go_on_and_a_dry_run_does_not)
{
    struct mv_move m = move_of(0x61, MV_HANDING);
    json_t *a;

    OK(mv_write(&daemon_, &m, &err));
    mark("flic/operation", 0x61);
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    a = ask(fd_claim, json_pack("{s:s, s:b}", "domain", "web", "dry_run", 1));
    ck_assert(json_is_true(json_object_get(a, "ok")));
    json_decref(a);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_SUSPENDED);
    a = ask(fd_claim, json_pack("{s:s}", "domain", "web"));
    ck_assert_str_eq(json_string_value(json_object_get(a, "peer")), "phone2");
    json_decref(a);
    ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    a = ask(fd_claim, json_pack("{s:s}", "domain", "web"));
    ck_assert_str_eq(json_string_value(json_object_get(a, "code")), "FLIC_E_NODOMAIN");
    json_decref(a);
}
END_TEST

START_TEST(a_guest_that_is_here_again_is_not_gone_any_more)
{
    struct mv_move gone = move_of(0x61, MV_GONE), running = move_of(0x62, MV_RUNNING), got;

    OK(mv_write(&daemon_, &gone, &err));
    OK(mv_write(&daemon_, &running, &err));
    OK(mv_forget_guest(&daemon_, &gone.guest, &err));
    ck_assert_int_eq(mv_find(&daemon_, &gone.guest, 1u << MV_GONE | 1u << MV_HANDING, &got), 0);
    ck_assert(is_noted(0x62));
}
END_TEST

START_TEST(status_shows_who_waits_for_a_peer_and_who_is_gone_and_not_who_came)
{
    struct mv_move waits = move_of(0x61, MV_HANDING), gone = move_of(0x62, MV_GONE), came = move_of(0x63, MV_RUNNING);
    json_t *list;

    OK(mv_write(&daemon_, &waits, &err));
    OK(mv_write(&daemon_, &came, &err));
    list = fd_moves_status(&daemon_);
    ck_assert_uint_eq(json_array_size(list), 1);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 0), "state")), "waiting");
    json_decref(list);
    OK(mv_drop(&daemon_, &waits.migration, &err));
    OK(mv_write(&daemon_, &gone, &err));
    list = fd_moves_status(&daemon_);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 0), "state")), "gone");
    json_decref(list);
}
END_TEST

/* ---- copies: lease.h ---- */

static bool may_run_here(void)
{
    struct flic_uuid web = scene_uuid(1);
    int rc = fd_lease_check(&daemon_, &web, "web", &err);

    ck_assert(!rc || rc == FLIC_E_ALIVE);
    return !rc;
}

static bool is_free(void)
{
    struct flic_uuid web = scene_uuid(1);

    return fd_lease_is_free(&daemon_, &web);
}

START_TEST(invariant_9_the_right_goes_along_only_with_a_guest_that_is_dead_here_and_whose_it_is)
{
    struct mv_move pushed = move_of(0x61, MV_PUSHED);

    ck_assert(!is_free());      /* it lives */
    flx_fake_kill(GUEST);
    ck_assert(is_free());
    OK(mv_write(&daemon_, &pushed, &err));
    ck_assert(!is_free());
    ck_assert(!may_run_here());
    ck_assert_ptr_nonnull(strstr(err.text, "flic pull phone2 web"));
}
END_TEST

START_TEST(invariant_9_a_first_copy_is_not_brought_up_until_the_right_comes_or_its_owner_claims_it)
{
    struct mv_move copy = move_of(0x61, MV_COPY);
    json_t *a;

    flx_fake_kill(GUEST);
    OK(fd_lease_hold(&daemon_, &copy, true, &err));
    ck_assert(!may_run_here());
    ck_assert_ptr_nonnull(strstr(err.text, "is phone2's"));
    OK(mv_forget_guest(&daemon_, &copy.guest, &err));
    ck_assert(may_run_here());
    OK(fd_lease_hold(&daemon_, &copy, false, &err));
    ck_assert(!may_run_here());
    a = ask(fd_claim, json_pack("{s:s}", "domain", "web"));
    ck_assert_str_eq(json_string_value(json_object_get(a, "was")), "copy");
    json_decref(a);
    ck_assert(may_run_here());
}
END_TEST

START_TEST(invariant_9_who_has_the_guest_keeps_the_right_whatever_copies_come)
{
    struct mv_move copy = move_of(0x61, MV_COPY);

    OK(fd_lease_hold(&daemon_, &copy, false, &err));
    ck_assert(may_run_here());  /* it lives here */
    (void)scene_save(GUEST, NULL, NULL);
    flx_fake_kill(GUEST);
    OK(fd_lease_hold(&daemon_, &copy, true, &err));
    ck_assert(may_run_here());  /* its checkpoint is here, and nothing said that it went */
}
END_TEST

START_TEST(invariant_9_a_copy_of_a_guest_that_went_from_here_does_not_bring_it_back)
{
    struct mv_move gone = move_of(0x61, MV_GONE), copy = move_of(0x62, MV_COPY);

    (void)scene_save(GUEST, NULL, NULL);
    flx_fake_kill(GUEST);
    OK(mv_write(&daemon_, &gone, &err));
    OK(fd_lease_hold(&daemon_, &copy, false, &err));
    ck_assert(!may_run_here());
    OK(mv_forget_guest(&daemon_, &copy.guest, &err));   /* as when the right comes with it */
    ck_assert(may_run_here());
}
END_TEST

START_TEST(the_right_is_not_taken_while_a_migration_of_the_guest_from_here_is_unsettled)
{
    struct mv_move handing = move_of(0x61, MV_HANDING), copy = move_of(0x62, MV_COPY);

    flx_fake_kill(GUEST);
    OK(mv_write(&daemon_, &handing, &err));
    ck_assert_int_eq(fd_lease_hold(&daemon_, &copy, true, &err), FLIC_E_BUSY);
    OK(fd_lease_hold(&daemon_, &copy, false, &err));
    ck_assert(!may_run_here());
}
END_TEST

START_TEST(invariant_6_the_right_that_comes_with_a_copy_does_not_undo_a_hand_over)
{
    struct mv_move handing = move_of(0x61, MV_HANDING), pushed = move_of(0x62, MV_PUSHED);
    bool begun;

    OK(mv_write(&daemon_, &handing, &err));
    OK(mv_write(&daemon_, &pushed, &err));
    ck_assert_int_eq(mv_take_right(&daemon_, &handing.guest, &begun, &err), FLIC_E_BUSY);
    ck_assert(!begun);
    ck_assert(is_noted(0x61) && is_noted(0x62));
    OK(mv_drop(&daemon_, &handing.migration, &err));
    OK(mv_take_right(&daemon_, &handing.guest, &begun, &err));
    ck_assert(!is_noted(0x62));
}
END_TEST

START_TEST(invariant_9_nobody_gives_the_right_to_a_guest_that_lives_here)
{
    struct mv_move copy = move_of(0x61, MV_COPY);

    ck_assert_int_eq(fd_lease_hold(&daemon_, &copy, true, &err), FLIC_E_ALIVE);
    ck_assert_ptr_nonnull(strstr(err.text, "--backup"));
    OK(fd_lease_hold(&daemon_, &copy, false, &err));
}
END_TEST

START_TEST(invariant_9_a_copy_cannot_take_the_place_of_what_is_known_of_another_guest)
{
    struct mv_move gone = move_of(0x61, MV_GONE), copy = move_of(0x61, MV_COPY);        /* its pusher calls it as that migration was called */
    bool begun;

    flx_fake_kill(GUEST);
    OK(mv_write(&daemon_, &gone, &err));
    copy.guest = scene_uuid(2);
    OK(fd_lease_hold(&daemon_, &copy, true, &err));
    ck_assert(!may_run_here());
    OK(mv_take_right(&daemon_, &copy.guest, &begun, &err));
    ck_assert(!may_run_here());
}
END_TEST

START_TEST(a_guest_that_arrived_before_flicd_ended_is_not_held_as_a_copy_any_more)
{
    struct mv_move came = move_of(0x61, MV_RUNNING), later = move_of(0x62, MV_COPY);
    struct flic_uuid hold;

    flx_fake_kill(GUEST);
    OK(fd_lease_hold_arrival(&daemon_, &came, &hold, &err));
    OK(mv_write(&daemon_, &came, &err));
    later.guest = scene_uuid(2);
    OK(mv_write(&daemon_, &later, &err));
    ck_assert(!may_run_here());
    OK(fd_moves_start(&daemon_, &err));
    fd_moves_stop(&daemon_);
    ck_assert(may_run_here());
    ck_assert(is_noted(0x61) && is_noted(0x62));        /* the other is still to come */
}
END_TEST

/* ---- what arrived before it was broken off: kept.h ---- */

#define CAME 600u

static struct ck_arrival *arrive_and_break_off(void)
{
    struct ck_facts facts = { .guest = scene_uuid(1), .name = "web", .arch = "fake", .gfn_end = GUEST_PAGES };
    struct ck_arrival *a;
    uint8_t page[PAGE];

    OK(ck_arrival_new(store, &facts, "{}", 2, NULL, NULL, &a, &err));
    fd_kept_note(&daemon_, &facts.guest, a);
    for (unsigned i = 0; i < CAME; i++) {
        memset(page, (int)i + 1, PAGE);
        memcpy(page, &i, sizeof(i));
        OK(ck_arrival_page(a, i, page, &err));
    }
    OK(ck_arrival_seal(a, &err));
    return a;
}

static unsigned count_kept(void)
{
    struct flic_uuid web = scene_uuid(1);
    struct ck_arrival *a = fd_kept_take(&daemon_, &web, NULL);
    unsigned n = 0;

    for (unsigned i = 0; a && i < GUEST_PAGES; i++) {
        struct flic_id id = ck_arrival_id(a, i);

        n += !flic_id_equal(&id, &FLIC_ID_HOLE);
    }
    fd_kept_put(&daemon_, &web, a, NULL);
    return n;
}

START_TEST(what_arrived_is_found_by_the_flicd_that_starts_next_and_not_collected_before)
{
    struct flic_uuid web = scene_uuid(1);
    uint64_t freed;

    ck_arrival_free(arrive_and_break_off());    /* flicd was killed */
    scene_reopen();
    daemon_.store = store;
    fd_kept_load(&daemon_);
    OK(ck_collect(store, NULL, 0, false, &freed, &err));
    ck_assert_uint_eq(count_kept(), CAME);
    fd_kept_drop(&daemon_, &web);
    ck_assert_uint_eq(count_kept(), 0);
    fd_kept_release();
}
END_TEST

START_TEST(what_is_kept_in_memory_outlives_an_orderly_end_as_well)
{
    struct flic_uuid web = scene_uuid(1);

    fd_kept_put(&daemon_, &web, arrive_and_break_off(), NULL);
    ck_assert_uint_eq(count_kept(), CAME);
    fd_kept_release();
    scene_reopen();
    daemon_.store = store;
    ck_assert_uint_eq(count_kept(), CAME);
    fd_kept_release();
}
END_TEST

START_TEST(of_what_is_kept_the_oldest_gives_way_when_all_takes_too_much_memory)
{
    struct flic_uuid web = scene_uuid(1), second = scene_uuid(2);
    struct ck_arrival *a = arrive_and_break_off(), *b = arrive_and_break_off(), *found;

    machine_bytes = 4 * (ck_arrival_bytes(a) + ck_arrival_bytes(b)) - 4;
    fd_kept_put(&daemon_, &web, a, NULL);
    fd_kept_put(&daemon_, &second, b, NULL);
    ck_assert_uint_eq(count_kept(), 0);
    found = fd_kept_take(&daemon_, &second, NULL);
    ck_assert_ptr_eq(found, b);
    fd_kept_put(&daemon_, &second, found, NULL);
    machine_bytes = 0;
    fd_kept_release();
}
END_TEST

START_TEST(what_was_noted_and_would_take_too_much_memory_is_forgotten_at_the_start)
{
    ck_arrival_free(arrive_and_break_off());
    scene_reopen();
    daemon_.store = store;
    machine_bytes = 4096;
    fd_kept_load(&daemon_);
    machine_bytes = 0;
    ck_assert_uint_eq(count_kept(), 0);
    fd_kept_release();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("moves");
    TCase *t = tcase_create("moves");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, what_is_written_is_read_back_whole);
    tcase_add_test(t, invariant_6_what_is_written_is_not_lost_with_a_folder_that_nobody_made_durable);
    tcase_add_test(t, invariant_7_a_file_that_is_none_of_ours_is_left_out_and_the_others_are_known);
    tcase_add_test(t, invariant_6_of_running_and_refused_the_first_one_stays);
    tcase_add_test(t, invariant_6_a_guest_that_did_not_arrive_goes_on_in_place);
    tcase_add_test(t, invariant_6_a_guest_that_arrived_is_destroyed_here_and_noted_as_gone);
    tcase_add_test(t, a_domain_that_nobody_destroyed_after_its_guest_had_gone_is_destroyed_by_the_keeper);
    tcase_add_test(t, a_domain_that_cannot_be_destroyed_is_not_tried_each_second);
    tcase_add_test(t, a_restored_guest_that_nobody_lived_to_let_run_is_let_run_and_not_taken_for_half_a_guest);
    tcase_add_test(t, one_that_runs_here_is_not_destroyed_whatever_the_peer_says);
    tcase_add_test(t, invariant_12_a_guest_that_waits_for_its_peers_word_is_not_resumed_as_an_orphan);
    tcase_add_test(t, one_that_was_ours_when_flicd_ended_is_let_run);
    tcase_add_test(t, settle_refuses_what_it_does_not_know_for_good);
    tcase_add_test(t, claim_lets_a_waiting_guest_go_on_and_a_dry_run_does_not);
    tcase_add_test(t, a_guest_that_is_here_again_is_not_gone_any_more);
    tcase_add_test(t, status_shows_who_waits_for_a_peer_and_who_is_gone_and_not_who_came);
    tcase_add_test(t, invariant_9_the_right_goes_along_only_with_a_guest_that_is_dead_here_and_whose_it_is);
    tcase_add_test(t, invariant_9_a_first_copy_is_not_brought_up_until_the_right_comes_or_its_owner_claims_it);
    tcase_add_test(t, invariant_9_who_has_the_guest_keeps_the_right_whatever_copies_come);
    tcase_add_test(t, invariant_9_a_copy_of_a_guest_that_went_from_here_does_not_bring_it_back);
    tcase_add_test(t, the_right_is_not_taken_while_a_migration_of_the_guest_from_here_is_unsettled);
    tcase_add_test(t, invariant_6_the_right_that_comes_with_a_copy_does_not_undo_a_hand_over);
    tcase_add_test(t, invariant_9_nobody_gives_the_right_to_a_guest_that_lives_here);
    tcase_add_test(t, invariant_9_a_copy_cannot_take_the_place_of_what_is_known_of_another_guest);
    tcase_add_test(t, what_was_refused_long_ago_gives_way_and_what_was_refused_today_stays);
    tcase_add_test(t, who_asks_about_migrations_without_end_does_not_fill_the_store);
    tcase_add_test(t, a_peer_that_cannot_be_asked_is_said_once_with_why_and_what_to_do);
    tcase_add_test(t, what_is_said_beside_the_answer_is_not_taken_for_it);
    tcase_add_test(t, a_guest_that_arrived_before_flicd_ended_is_not_held_as_a_copy_any_more);
    tcase_add_test(t, what_arrived_is_found_by_the_flicd_that_starts_next_and_not_collected_before);
    tcase_add_test(t, what_is_kept_in_memory_outlives_an_orderly_end_as_well);
    tcase_add_test(t, of_what_is_kept_the_oldest_gives_way_when_all_takes_too_much_memory);
    tcase_add_test(t, what_was_noted_and_would_take_too_much_memory_is_forgotten_at_the_start);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
