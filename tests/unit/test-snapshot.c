/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Disk snapshots and the swap of a restore, on a real file system that clones files: an xfs in a loop-mounted image, made once for
 * the program. Power cuts are real ones for it: XFS_IOC_GOINGDOWN drops what its log has not on the medium. Without root, loop
 * devices or mkfs.xfs everything here is skipped, and that is printed.
 */
#include "daemon/disks.h"
#include "daemon/swap.h"

#include <jansson.h>

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GOING_DOWN _IOR('X', 125, uint32_t)     /* XFS_IOC_GOINGDOWN */
#define NO_LOG_FLUSH 2u
#define SIZE 262144
#define SKIPPED 77

static char base[64] = "/tmp/test-snapshot.XXXXXX", image[96], root[96];
static char guests[128], state[128], disk[160], second[160], config[1024];
static struct flic_err err;
static struct sn_where where;
static struct sn_name name = { .seq = 7 };

#define OK(call) ck_assert_msg(!(call), #call ": %s", err.text)

/* ---- calls that change something are counted; one of them fails, kills us, or is the last before a power cut ---- */

enum fault { NONE, FAIL, DIE, CUT };
static enum fault fault;
static int fault_errno;
static unsigned steps, fault_at;

static bool strikes(void)
{
    if (fault == NONE || ++steps != fault_at)
        return false;
    if (fault == CUT) {
        uint32_t flags = NO_LOG_FLUSH;
        int fd = open(root, O_RDONLY | O_DIRECTORY);

        if (ioctl(fd, GOING_DOWN, &flags))
            abort();
    }
    if (fault != FAIL)
        _exit(42);
    errno = fault_errno;
    return true;
}

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
    return request == FICLONE && strikes() ? -1 : __real_ioctl(fd, request, arg);
}

int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return strikes() ? -1 : __real_renameat2(from_fd, from, to_fd, to, flags);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to) { return strikes() ? -1 : __real_rename(from, to); }

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path) { return strikes() ? -1 : __real_unlink(path); }

int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode) { return strikes() ? -1 : __real_mkdir(path, mode); }

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) { return strikes() ? -1 : __real_fsync(fd); }

int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode) { return strikes() ? -1 : __real_fchmod(fd, mode); }

/* ---- the file system ---- */

static bool run(const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    return system(line) == 0;
}

static bool mount_it(void)
{
    return run("mount -o loop %s %s 2>/dev/null", image, root);
}

static bool make_file_system(void)
{
    if (!mkdtemp(base))
        return false;
    (void)snprintf(image, sizeof(image), "%s/image", base);
    (void)snprintf(root, sizeof(root), "%s/root", base);
    return geteuid() == 0 && !mkdir(root, 0700) && run("truncate -s 320M %s", image) &&
           run("mkfs.xfs -q -m reflink=1 %s >/dev/null 2>&1", image) && mount_it();
}

static void drop_file_system(void)
{
    (void)umount2(root, MNT_DETACH);
    (void)run("rm -rf %s", base);
}

/* ---- the scene: a disk, a snapshot ---- */

static void fill(const char *path, char byte)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0640);
    char *data = malloc(SIZE);

    ck_assert(fd >= 0 && data);
    memset(data, byte, SIZE);
    ck_assert_int_eq(write(fd, data, SIZE), SIZE);
    free(data);
    ck_assert_int_eq(close(fd), 0);
}

/* '?' when it is not one byte all over, 0 when it is not there. */
static char content(const char *path)
{
    char *data = malloc(SIZE), c;
    int fd = open(path, O_RDONLY);

    ck_assert_ptr_nonnull(data);
    if (fd < 0) {
        free(data);
        return 0;
    }
    c = read(fd, data, SIZE) == SIZE ? data[0] : '?';
    for (size_t i = 0; i < SIZE; i++)
        c = data[i] == c ? c : '?';
    free(data);
    ck_assert_int_eq(close(fd), 0);
    return c;
}

static uint64_t inode(const char *path)
{
    struct stat st;

    return stat(path, &st) ? 0 : st.st_ino;
}

/* How many files the hidden folder has, or how many whose name has `part` in it; the last of them in `found`. */
static char found[512];
static unsigned files(const char *part)
{
    char folder[200];
    struct dirent *e;
    unsigned n = 0;
    DIR *dir;

    (void)snprintf(folder, sizeof(folder), "%s/.flic", guests);
    dir = opendir(folder);
    while (dir && (e = readdir(dir))) {
        if (e->d_name[0] == '.' || !strstr(e->d_name, part))
            continue;
        (void)snprintf(found, sizeof(found), "%s/%s", folder, e->d_name);
        n++;
    }
    if (dir)
        (void)closedir(dir);
    return n;
}

static void configure(const char *format, const char *path)
{
    (void)snprintf(config, sizeof(config), "{\"disks\":[{\"pdev_path\":\"%s\",\"vdev\":\"xvda\",\"format\":\"%s\",\"readwrite\":1},"
                   "{\"pdev_path\":\"%s\",\"vdev\":\"xvdb\",\"format\":\"raw\",\"readwrite\":1}]}", path, format, second);
}

static void set_up(void)
{
    fault = NONE;
    ck_assert(run("rm -rf %s/*", root));        /* what a failed test left */
    (void)snprintf(guests, sizeof(guests), "%s/guests", root);
    (void)snprintf(state, sizeof(state), "%s/state", root);
    ck_assert(!mkdir(guests, 0755) && !mkdir(state, 0700));
    (void)snprintf(disk, sizeof(disk), "%s/a.img", guests);
    (void)snprintf(second, sizeof(second), "%s/b.img", guests);
    fill(disk, 'o');
    fill(second, 'O');
    sync();
    configure("raw", disk);
    where.folder = state;
    where.hook = NULL;
    memset(where.store.b, 0x51, sizeof(where.store.b));
    memset(name.guest.b, 0x62, sizeof(name.guest.b));
    name.seq = 7;
    fault = NONE;
    steps = 0;
    err = (struct flic_err){ 0 };
}

static void tear_down(void)
{
    fault = NONE;
    ck_assert(run("rm -rf %s %s", guests, state));
}

static int take_all(struct sn_set *set, char **ret_list)
{
    int rc = sn_flush(set, &err);

    if (!rc)
        rc = sn_take(set, &err);
    return rc ? rc : sn_settle(set, ret_list, &err);
}

/* A published checkpoint with its snapshots; the disks have moved on since. */
static char *snapshot(void)
{
    struct sn_set *set;
    char *list = NULL;

    OK(sn_prepare(&where, &name, config, &set, &err));
    OK(take_all(set, &list));
    sn_keep(set);
    sn_free(set);
    fill(disk, 'n');
    fill(second, 'N');
    sync();
    return list;
}

/* ---- making ---- */

START_TEST(invariant_11_a_snapshot_is_the_disk_as_it_was_in_the_pause)
{
    struct sn_set *set;
    char *list;

    OK(sn_prepare(&where, &name, config, &set, &err));
    OK(sn_flush(set, &err));
    fill(disk, 'p');                    /* in the kernel's memory only */
    OK(sn_take(set, &err));
    fill(disk, 'q');
    OK(sn_settle(set, &list, &err));
    sn_keep(set);
    sn_free(set);
    ck_assert_uint_eq(files(".d"), 2);
    ck_assert_uint_eq(files(".7.d0"), 1);
    ck_assert_int_eq(content(found), 'p');
    ck_assert_int_eq(content(disk), 'q');
    OK(fd_disks_check(list, &err));
    fill(disk, 'r');                    /* the guest runs on: that is no change of the checkpoint's disk */
    OK(fd_disks_check(list, &err));
    ck_assert(!chmod(found, 0600));
    ck_assert_int_eq(fd_disks_check(list, &err), FLIC_E_DISK);
    ck_assert_ptr_nonnull(strstr(err.text, found));
    free(list);
}
END_TEST

static unsigned shared_extents(const char *path)
{
    struct fiemap *map = calloc(1, sizeof(*map) + 16 * sizeof(struct fiemap_extent));
    int fd = open(path, O_RDONLY);
    unsigned n = 0;

    ck_assert_ptr_nonnull(map);
    map->fm_length = SIZE;
    map->fm_extent_count = 16;
    ck_assert(fd >= 0 && !ioctl(fd, FS_IOC_FIEMAP, map));
    for (unsigned i = 0; i < map->fm_mapped_extents; i++)
        n += (map->fm_extents[i].fe_flags & FIEMAP_EXTENT_SHARED) != 0;
    free(map);
    ck_assert_int_eq(close(fd), 0);
    return n;
}

START_TEST(invariant_10_a_snapshot_shares_its_blocks_with_the_disk)
{
    struct sn_set *set;
    char *list;

    OK(sn_prepare(&where, &name, config, &set, &err));
    OK(take_all(set, &list));
    sn_keep(set);
    sn_free(set);
    ck_assert_uint_eq(files(".d0"), 1);
    ck_assert_uint_gt(shared_extents(disk), 0);
    ck_assert_uint_eq(shared_extents(disk), shared_extents(found));
    free(list);
}
END_TEST

START_TEST(a_save_that_fails_leaves_no_snapshot)
{
    struct sn_set *set;

    OK(sn_prepare(&where, &name, config, &set, &err));
    OK(sn_take(set, &err));
    sn_free(set);
    ck_assert_uint_eq(files(""), 0);
    ck_assert_int_eq(content(disk), 'o');
}
END_TEST

START_TEST(a_disk_that_cannot_be_cloned_is_refused_before_the_pause_with_the_way_out)
{
    const char *const paths[] = { "/tmp/test-snapshot.img", "/dev/null", disk, NULL };
    const char *const formats[] = { "raw", "raw", "qcow2" }, *const words[] = { "xfs or btrfs", "not a file", "qcow2" };

    fill(paths[0], 'x');                /* ext4 or tmpfs: neither clones */
    for (int i = 0; paths[i]; i++) {
        struct sn_set *set;
        int rc;

        configure(formats[i], paths[i]);
        rc = sn_prepare(&where, &name, config, &set, &err);
        ck_assert_msg(rc == FLIC_E_DISK && strstr(err.text, "--ram-only") && strstr(err.text, "xvda") && strstr(err.text, words[i]),
                      "%s: %d, %s", paths[i], rc, err.text);
    }
    ck_assert_uint_eq(files(""), 0);
    (void)unlink(paths[0]);
    (void)rmdir("/tmp/.flic");
}
END_TEST

START_TEST(a_disk_that_the_guest_cannot_write_is_identified_and_has_no_snapshot)
{
    struct sn_set *set;
    char *list;

    (void)snprintf(config, sizeof(config), "{\"disks\":[{\"pdev_path\":\"%s\",\"vdev\":\"xvda\",\"readwrite\":0}]}", disk);
    OK(sn_prepare(&where, &name, config, &set, &err));
    OK(take_all(set, &list));
    sn_keep(set);
    sn_free(set);
    ck_assert_uint_eq(files(""), 0);
    ck_assert(!sw_needed(list));
    OK(fd_disks_check(list, &err));
    (void)usleep(20000);
    fill(disk, 'x');
    ck_assert_int_eq(fd_disks_check(list, &err), FLIC_E_DISK);
    free(list);
}
END_TEST

START_TEST(invariant_7_a_folder_that_others_can_write_is_not_used)
{
    char folder[200];
    struct sn_set *set;

    (void)snprintf(folder, sizeof(folder), "%s/.flic", guests);
    ck_assert(!mkdir(folder, 0700) && !chmod(folder, 0777));
    ck_assert_int_eq(sn_prepare(&where, &name, config, &set, &err), FLIC_E_REFUSED);
    ck_assert(!rmdir(folder) && !symlink(state, folder));
    ck_assert_int_lt(sn_prepare(&where, &name, config, &set, &err), 0);
}
END_TEST

START_TEST(whichever_call_fails_a_snapshot_is_an_error_and_leaves_nothing)
{
    unsigned n = 1, harmless = 0;

    for (bool failed = true; failed; n++) {
        struct sn_set *set = NULL;
        char *list = NULL;
        int rc;

        fault = FAIL;
        fault_errno = n % 2 ? EIO : ENOSPC;
        fault_at = n;
        steps = 0;
        rc = sn_prepare(&where, &name, config, &set, &err);
        if (!rc)
            rc = take_all(set, &list);
        fault = NONE;
        failed = steps >= n;
        if (!rc) {      /* what failed was harmless (the folder was there already), or nothing did: then all of it is there */
            ck_assert_uint_eq(files(".d"), 2);
            OK(fd_disks_check(list, &err));
        }
        harmless += failed && !rc;
        sn_free(set);
        free(list);
        ck_assert_msg(!files(""), "call %u left %s", n, found);
    }
    ck_assert_uint_gt(n, 8);
    ck_assert_uint_le(harmless, 3);
}
END_TEST

START_TEST(no_room_for_a_snapshot_is_told_apart)
{
    struct sn_set *set;

    OK(sn_prepare(&where, &name, config, &set, &err));
    fault = FAIL;
    fault_errno = ENOSPC;
    fault_at = 1;
    steps = 0;
    ck_assert_int_eq(sn_take(set, &err), FLIC_E_NOSPACE);
    fault = NONE;
    sn_free(set);
}
END_TEST

/* ---- restoring ---- */

START_TEST(invariant_11_a_restore_puts_the_snapshots_in_place_and_keeps_what_they_displace)
{
    uint64_t before = inode(disk);
    char *list = snapshot();
    struct stat st;

    ck_assert(sw_needed(list));
    OK(sw_begin(&where, &name.guest, list, &err));
    OK(sw_commit(&where, &name.guest, &err));
    ck_assert_int_eq(content(disk), 'o');
    ck_assert_int_eq(content(second), 'O');
    ck_assert(!stat(disk, &st) && (st.st_mode & 07777) == 0640);
    ck_assert_uint_eq(files(".d0.swap-"), 1);
    ck_assert_int_eq(content(found), 'n');
    ck_assert_uint_eq(inode(found), before);            /* the very file: whoever has it open has it still */
    OK(fd_disks_check(list, &err));
    fill(disk, 'm');                                    /* and the same one again, later */
    OK(sw_begin(&where, &name.guest, list, &err));
    OK(sw_commit(&where, &name.guest, &err));
    ck_assert_int_eq(content(disk), 'o');
    ck_assert_uint_eq(files(".d0.swap-"), 2);
    OK(sn_drop(&where, &name, &err));
    ck_assert_uint_eq(files(""), 0);
    ck_assert_int_eq(content(disk), 'o');
    free(list);
}
END_TEST

START_TEST(invariant_6_a_failed_restore_leaves_the_disks_as_they_were)
{
    uint64_t before = inode(disk);
    char *list = snapshot();

    OK(sw_begin(&where, &name.guest, list, &err));
    ck_assert_int_eq(content(disk), 'o');
    OK(sw_undo(&where, &name.guest, &err));
    OK(sw_undo(&where, &name.guest, &err));
    ck_assert_int_eq(content(disk), 'n');
    ck_assert_int_eq(content(second), 'N');
    ck_assert_uint_eq(inode(disk), before);
    ck_assert_uint_eq(files(".swap-"), 0);
    free(list);
}
END_TEST

START_TEST(a_disk_that_is_gone_is_made_again_and_gone_again_after_a_failure)
{
    char *list = snapshot();

    ck_assert(!unlink(disk));
    OK(sw_begin(&where, &name.guest, list, &err));
    ck_assert_int_eq(content(disk), 'o');
    OK(sw_undo(&where, &name.guest, &err));
    ck_assert_uint_eq(inode(disk), 0);
    OK(sw_begin(&where, &name.guest, list, &err));
    OK(sw_commit(&where, &name.guest, &err));
    ck_assert_int_eq(content(disk), 'o');
    free(list);
}
END_TEST

START_TEST(whichever_call_fails_a_restore_leaves_the_disks_as_they_were)
{
    char *list = snapshot();
    unsigned n = 1;

    for (bool failed = true; failed; n++) {
        int rc;

        fault = FAIL;
        fault_errno = EIO;
        fault_at = n;
        steps = 0;
        rc = sw_begin(&where, &name.guest, list, &err);
        fault = NONE;
        failed = steps >= n;
        if (!rc)        /* what failed was harmless, or nothing did */
            OK(sw_undo(&where, &name.guest, &err));
        else
            OK(sw_settle(&where, &err));
        ck_assert_msg(content(disk) == 'n' && content(second) == 'N', "after call %u", n);
        ck_assert_msg(!files(".swap-") || rc, "call %u left %s", n, found);
    }
    ck_assert_uint_gt(n, 12);
    free(list);
}
END_TEST

static enum sn_fate fate;
static enum sn_fate say_fate(const struct sn_name *of, void *arg)
{
    (void)arg;
    ck_assert_uint_eq(of->seq, 7);
    return fate;
}

/* After any cut: what flicd does at its start. */
static void settle_like_a_start(void)
{
    fate = SN_THERE;
    OK(sw_settle(&where, &err));
    OK(sn_sweep(&where, say_fate, NULL, &err));
}

/* In a child, so that its descriptors are gone with it. True while there was a step to strike at. */
static bool struck(enum fault how, unsigned at, const char *list)
{
    pid_t pid = fork();
    int status;

    if (!pid) {
        int rc;

        fault = how;
        fault_at = at;
        steps = 0;
        rc = sw_begin(&where, &name.guest, list, NULL);
        if (!rc)
            rc = sw_commit(&where, &name.guest, NULL);
        fault = NONE;
        _exit(rc ? 1 : 0);
    }
    ck_assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    ck_assert_int_ne(WEXITSTATUS(status), 1);
    if (how == CUT && WEXITSTATUS(status) == 42)
        ck_assert(!umount(root) && mount_it());
    return WEXITSTATUS(status) == 42;
}

/* Either nothing happened, or everything did: both disks of one moment, and no file that nobody knows. */
static void strike_everywhere(enum fault how)
{
    char *list = snapshot();
    unsigned undone = 0, done = 0, at = 1;

    for (; struck(how, at, list); at++) {
        char a, b;

        settle_like_a_start();
        a = content(disk);
        b = content(second);
        ck_assert_msg((a == 'n' && b == 'N') || (a == 'o' && b == 'O'), "step %u: %c and %c", at, a, b);
        if (a == 'n') {
            undone++;
            ck_assert_msg(!files(".swap-") && !files(".new"), "step %u left %s", at, found);
        } else {
            done++;
            ck_assert_uint_eq(files(".d0.swap-"), 1);
            ck_assert_int_eq(content(found), 'n');
            OK(sn_drop(&where, &name, &err));
            free(list);
            fill(disk, 'o');
            fill(second, 'O');
            list = snapshot();
        }
    }
    ck_assert_uint_gt(undone, 12);
    (void)done;         /* the cut between the last step and its fsync may show either */
    ck_assert_int_eq(content(disk), 'o');
    free(list);
}

START_TEST(invariant_8_killed_between_any_two_steps_of_the_swap_the_next_start_settles_it)
{
    strike_everywhere(DIE);
}
END_TEST

START_TEST(invariant_8_power_cut_between_any_two_steps_of_the_swap_the_next_start_settles_it)
{
    strike_everywhere(CUT);
}
END_TEST

START_TEST(the_next_restore_settles_it_too)
{
    char *list = snapshot();

    for (unsigned at = 1; struck(DIE, at, list) && at < 64; at++) {
        OK(sw_begin(&where, &name.guest, list, &err));
        ck_assert_int_eq(content(disk), 'o');
        OK(sw_undo(&where, &name.guest, &err));
        ck_assert_int_eq(content(disk), content(second) == 'N' ? 'n' : 'o');
    }
    free(list);
}
END_TEST

/* ---- a hook's disks ---- */

/* Files beside the disk in the place of volumes; FAIL_AT names a verb that fails, HOOK_LOG takes what was asked. */
static void make_hook(char *at, size_t room)
{
    FILE *f;

    (void)snprintf(at, room, "%s/hook", base);
    f = fopen(at, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert(fputs("#!/bin/sh\nset -e\nS=\"$3.$4\"\necho \"$1 $2\" >>\"$3.log\"\n"
                    "[ \"$1\" != \"$(cat \"$3.fails\" 2>/dev/null)\" ] || { echo one >&2; echo \"  no $1 today \" >&2; exit 3; }\n"
                    "case $1 in take) cp \"$3\" \"$S\" ;; place) cp \"$S\" \"$S.new\"; mv \"$3\" \"$S.pending\"; mv \"$S.new\" \"$3\" ;;\n"
                    "back) [ ! -e \"$S.pending\" ] || mv \"$S.pending\" \"$3\"; rm -f \"$S.new\" ;;\n"
                    "keep) [ ! -e \"$S.pending\" ] || mv \"$S.pending\" \"$S.was-1\" ;;\n"
                    "drop) rm -f \"$S\" ;; drop-displaced) rm -f \"$S\".was-* ;; esac\n", f) >= 0);
    ck_assert(!fclose(f) && !chmod(at, 0700));
}

static char hooked[128], hook_path[128];

static void hook_up(void)
{
    make_hook(hook_path, sizeof(hook_path));
    where.hook = hook_path;
    ck_assert(run("mkdir -p %s/other && rm -f %s/other/*", base, base));
    (void)snprintf(hooked, sizeof(hooked), "%s/other/c.img", base);     /* on a file system that does not clone */
    fill(hooked, 'o');
    configure("raw", hooked);
}

static void hook_fails_at(const char *verb)
{
    ck_assert(run("echo %s >%s.fails", verb, hooked));
}

static int hook_files(const char *pattern)
{
    return run("ls %s/other/%s >/dev/null 2>&1", base, pattern);
}

static char *hook_snapshot(void)
{
    char *list = snapshot();

    fill(hooked, 'n');
    return list;
}

START_TEST(a_disk_that_cannot_be_cloned_goes_to_the_hook_and_both_kinds_change_together)
{
    char *list;

    hook_up();
    list = hook_snapshot();
    ck_assert(sw_needed(list) && strstr(list, "\"hook\""));
    OK(fd_disks_check(list, &err));
    OK(sw_begin(&where, &name.guest, list, &err));
    ck_assert(content(hooked) == 'o' && content(second) == 'O');
    OK(sw_undo(&where, &name.guest, &err));
    ck_assert(content(hooked) == 'n' && content(second) == 'N');
    OK(sw_begin(&where, &name.guest, list, &err));
    OK(sw_commit(&where, &name.guest, &err));
    ck_assert(content(hooked) == 'o' && content(second) == 'O');
    ck_assert(hook_files("*.was-*"));
    fate = SN_THERE;
    OK(sn_sweep(&where, say_fate, NULL, &err));
    ck_assert(hook_files("*.was-*") && hook_files("*.d0"));
    OK(sn_drop(&where, &name, &err));
    ck_assert(!hook_files("*.was-*") && !hook_files("*.d0"));
    ck_assert(run("[ -z \"$(ls %s/hooked)\" ]", state));
    free(list);
}
END_TEST

START_TEST(a_hook_that_fails_is_the_reason_in_its_own_words_and_nothing_is_left)
{
    static const char *const verbs[] = { "check", "flush", "take", "settle" };

    hook_up();
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        struct sn_set *set = NULL;
        char *list = NULL, words[32];
        int rc;

        hook_fails_at(verbs[i]);
        rc = sn_prepare(&where, &name, config, &set, &err);
        if (!rc)
            rc = take_all(set, &list);
        sn_free(set);
        (void)snprintf(words, sizeof(words), "failed: no %s today", verbs[i]);
        ck_assert_msg(rc == FLIC_E_DISK && !strncmp(err.text, "disk xvd", 8) && strstr(err.text, hooked) &&
                      !strcmp(err.text + strlen(err.text) - strlen(words), words), "%s: %d, %s", verbs[i], rc, err.text);
        ck_assert(!hook_files("*.d0") && !files(""));
        ck_assert(run("[ -z \"$(ls %s/hooked 2>/dev/null)\" ]", state));
    }
}
END_TEST

START_TEST(a_hook_that_fails_at_a_restore_leaves_the_disks_and_one_that_fails_to_keep_is_asked_again)
{
    char *list;

    hook_up();
    list = hook_snapshot();
    hook_fails_at("place");
    ck_assert_int_eq(sw_begin(&where, &name.guest, list, &err), FLIC_E_DISK);
    ck_assert(content(hooked) == 'n' && content(second) == 'N' && !files(".swap-"));
    hook_fails_at("keep");
    OK(sw_begin(&where, &name.guest, list, &err));
    OK(sw_commit(&where, &name.guest, &err));
    ck_assert(hook_files("*.pending"));
    hook_fails_at("nothing");
    OK(sw_settle(&where, &err));
    ck_assert(content(hooked) == 'o' && content(second) == 'O');
    ck_assert(hook_files("*.was-*") && !hook_files("*.pending"));
    where.hook = NULL;
    ck_assert_int_eq(sw_begin(&where, &name.guest, list, &err), FLIC_E_DISK);
    ck_assert_ptr_nonnull(strstr(err.text, "flicd.conf"));
    free(list);
}
END_TEST

/* ---- what stays and what goes ---- */

START_TEST(a_start_removes_snapshots_of_no_checkpoint_but_a_displaced_disk_only_if_it_was_forgotten)
{
    char *list = snapshot();

    OK(sw_begin(&where, &name.guest, list, &err));
    OK(sw_commit(&where, &name.guest, &err));
    fate = SN_THERE;
    OK(sn_sweep(&where, say_fate, NULL, &err));
    ck_assert_uint_eq(files(""), 4);
    fate = SN_UNKNOWN;
    OK(sn_sweep(&where, say_fate, NULL, &err));
    ck_assert_uint_eq(files(""), 2);
    ck_assert_uint_eq(files(".swap-"), 2);
    fate = SN_FORGOTTEN;
    OK(sn_sweep(&where, say_fate, NULL, &err));
    ck_assert_uint_eq(files(""), 0);
    free(list);
}
END_TEST

START_TEST(forgetting_one_leaves_the_others_and_strangers_alone)
{
    struct sn_name other = name;
    char *list = snapshot(), *list_2, stranger[200];
    struct sn_set *set;

    other.seq = 71;                     /* begins like 7 */
    OK(sn_prepare(&where, &other, config, &set, &err));
    OK(take_all(set, &list_2));
    sn_keep(set);
    sn_free(set);
    (void)snprintf(stranger, sizeof(stranger), "%s/.flic/notes", guests);
    fill(stranger, 's');
    OK(sn_drop(&where, &name, &err));
    ck_assert_uint_eq(files(".71.d"), 2);
    ck_assert_uint_eq(files(""), 3);
    OK(fd_disks_check(list_2, &err));
    ck_assert_int_eq(fd_disks_check(list, &err), FLIC_E_DISK);
    free(list);
    free(list_2);
}
END_TEST

START_TEST(a_folder_that_is_away_harms_nothing)
{
    free(snapshot());
    ck_assert(run("rm -rf %s", guests));
    OK(sn_drop(&where, &name, &err));
    OK(sn_sweep(&where, say_fate, NULL, &err));
    ck_assert(!mkdir(guests, 0755));
}
END_TEST

START_TEST(invariant_7_damaged_notes_of_a_swap_are_an_error_and_change_nothing)
{
    static const char *const texts[] = { "", "{", "[]", "{\"swaps\":7}", "{\"swaps\":[{}]}", "{\"swaps\":[{\"disk\":\"/x\",\"swap\":\"/y\"}]}" };
    char path[200], uuid[FLIC_UUID_TEXT], *list = snapshot();

    flic_uuid_text(&name.guest, uuid);
    (void)snprintf(path, sizeof(path), "%s/swaps", state);
    ck_assert(!mkdir(path, 0700));
    (void)snprintf(path, sizeof(path), "%s/swaps/%s", state, uuid);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        FILE *f = fopen(path, "w");

        ck_assert(f && fputs(texts[i], f) >= 0 && !fclose(f));
        ck_assert_msg(sw_settle(&where, &err) == FLIC_E_DAMAGED, "'%s' passed", texts[i]);
        ck_assert_msg(sw_begin(&where, &name.guest, list, &err) == FLIC_E_DAMAGED, "'%s' passed", texts[i]);
        ck_assert_int_eq(content(disk), 'n');
    }
    free(list);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("snapshot");
    TCase *t = tcase_create("snapshot");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, invariant_11_a_snapshot_is_the_disk_as_it_was_in_the_pause);
    tcase_add_test(t, invariant_10_a_snapshot_shares_its_blocks_with_the_disk);
    tcase_add_test(t, a_save_that_fails_leaves_no_snapshot);
    tcase_add_test(t, a_disk_that_cannot_be_cloned_is_refused_before_the_pause_with_the_way_out);
    tcase_add_test(t, a_disk_that_the_guest_cannot_write_is_identified_and_has_no_snapshot);
    tcase_add_test(t, invariant_7_a_folder_that_others_can_write_is_not_used);
    tcase_add_test(t, whichever_call_fails_a_snapshot_is_an_error_and_leaves_nothing);
    tcase_add_test(t, no_room_for_a_snapshot_is_told_apart);
    tcase_add_test(t, invariant_11_a_restore_puts_the_snapshots_in_place_and_keeps_what_they_displace);
    tcase_add_test(t, invariant_6_a_failed_restore_leaves_the_disks_as_they_were);
    tcase_add_test(t, a_disk_that_is_gone_is_made_again_and_gone_again_after_a_failure);
    tcase_add_test(t, whichever_call_fails_a_restore_leaves_the_disks_as_they_were);
    tcase_add_test(t, invariant_8_killed_between_any_two_steps_of_the_swap_the_next_start_settles_it);
    tcase_add_test(t, invariant_8_power_cut_between_any_two_steps_of_the_swap_the_next_start_settles_it);
    tcase_add_test(t, the_next_restore_settles_it_too);
    tcase_add_test(t, a_start_removes_snapshots_of_no_checkpoint_but_a_displaced_disk_only_if_it_was_forgotten);
    tcase_add_test(t, forgetting_one_leaves_the_others_and_strangers_alone);
    tcase_add_test(t, a_disk_that_cannot_be_cloned_goes_to_the_hook_and_both_kinds_change_together);
    tcase_add_test(t, a_hook_that_fails_is_the_reason_in_its_own_words_and_nothing_is_left);
    tcase_add_test(t, a_hook_that_fails_at_a_restore_leaves_the_disks_and_one_that_fails_to_keep_is_asked_again);
    tcase_add_test(t, a_folder_that_is_away_harms_nothing);
    tcase_add_test(t, invariant_7_damaged_notes_of_a_swap_are_an_error_and_change_nothing);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r;
    int failed;

    if (!make_file_system()) {
        printf("skipped: no xfs to try snapshots on (needs root, loop devices and mkfs.xfs)\n");
        drop_file_system();
        return SKIPPED;
    }
    r = srunner_create(suite());
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    drop_file_system();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
