/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * The disks of a guest that goes from one phone to another and back: two stores, and two xfs in loop-mounted images, made once for the
 * program. Without root, loop devices or mkfs.xfs everything here is skipped, and that is printed.
 */
#include "daemon/arrive.h"
#include "daemon/daemon.h"
#include "daemon/disks.h"
#include "daemon/leave.h"
#include "daemon/moves.h"
#include "daemon/swap.h"
#include "tests/unit/other-store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77
#define SIZE (4 * MIB)
#define THERE 8u                /* the same guest's domid there */
#define WRITTEN (3u * 4096)     /* by the guest during a trip: told anew, whether it changed anything or not */

static char base[64] = "/tmp/test-travel.XXXXXX";

/* ---- calls that change something are counted; one of them is our last ---- */

static unsigned steps, die_at;

static void step(void)
{
    if (die_at && ++steps == die_at)
        _exit(42);
}

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
    if (request == FICLONE)
        step();
    return __real_ioctl(fd, request, arg);
}

int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    step();
    return __real_renameat2(from_fd, from, to_fd, to, flags);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    step();
    return __real_rename(from, to);
}

static bool cannot_cross_out;           /* what is written down of a swap */

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
    if (cannot_cross_out && strstr(path, "/swaps/")) {
        errno = EIO;
        return -1;
    }
    step();
    return __real_unlink(path);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    step();
    return __real_fsync(fd);
}

int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size)
{
    step();
    return __real_ftruncate(fd, size);
}

int fd_check_ready(const struct fd_daemon *daemon, struct flic_err *why)        /* main.c has it */
{
    (void)daemon;
    (void)why;
    return 0;
}

/* ---- two phones ---- */

struct phone {
    struct fd_daemon daemon;
    struct ck_store *store;
    char root[96], guests[128], disk[160], config[512];
    uint32_t domid;
};
static struct phone a, b;

static bool run(const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    return system(line) == 0;
}

static bool make_file_system(struct phone *p, const char *name)
{
    (void)snprintf(p->root, sizeof(p->root), "%s/%s", base, name);
    return !mkdir(p->root, 0700) && run("truncate -s 320M %s.img", p->root) && run("mkfs.xfs -q -m reflink=1 %s.img >/dev/null 2>&1", p->root) &&
           run("mount -o loop %s.img %s 2>/dev/null", p->root, p->root);
}

static bool begin(void)
{
    return mkdtemp(base) && geteuid() == 0 && make_file_system(&a, "a") && make_file_system(&b, "b");
}

static void end(void)
{
    (void)umount2(a.root, MNT_DETACH);
    (void)umount2(b.root, MNT_DETACH);
    (void)run("rm -rf %s", base);
}

static void configure(struct phone *p, const char *path, const char *format)
{
    (void)snprintf(p->config, sizeof(p->config), "{\"c_info\":{\"name\":\"web\"},\"disks\":[{\"pdev_path\":\"%s\",\"vdev\":\"xvda\",\"format\":\"%s\","
                   "\"readwrite\":1}]}", path, format);
}

static void set_up_phone(struct phone *p, struct ck_store *opened, const char *folder, uint32_t domid)
{
    ck_assert(run("rm -rf %s/*", p->root));
    (void)snprintf(p->guests, sizeof(p->guests), "%s/guests", p->root);
    (void)snprintf(p->disk, sizeof(p->disk), "%s/web.img", p->guests);
    ck_assert_int_eq(mkdir(p->guests, 0755), 0);
    configure(p, p->disk, "raw");
    p->store = opened;
    p->domid = domid;
    memset(&p->daemon, 0, sizeof(p->daemon));
    p->daemon.store = opened;
    (void)snprintf(p->daemon.conf.store, sizeof(p->daemon.conf.store), "%s", folder);
    (void)snprintf(p->daemon.conf.disk_folders, sizeof(p->daemon.conf.disk_folders), "\n/nowhere\n%s\n", p->guests);
    scene_guest(domid, "web", 1, GUEST_PAGES);
}

static void write_at(const char *path, uint64_t at, size_t len, char byte)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0640);
    char *data = malloc(len);

    ck_assert(fd >= 0 && data);
    memset(data, byte, len);
    ck_assert_int_eq(pwrite(fd, data, len, (off_t)at), (ssize_t)len);
    free(data);
    ck_assert_int_eq(close(fd), 0);
}

static void set_up(void)
{
    scene_begin(16 * MIB);
    other_begin(16 * MIB);
    set_up_phone(&a, store, scene_dir, GUEST);
    set_up_phone(&b, other, other_dir, THERE);
    write_at(a.disk, 0, SIZE / 2, 'a');
    ck_assert_int_eq(truncate(a.disk, SIZE), 0);
}

static void tear_down(void)
{
    store = a.store;
    other_end();
    scene_end();
}

/* ---- what is there ---- */

/* The byte at a place; 0 for a hole or zeros; -1: there is no such file. */
static int byte_at(const char *path, uint64_t at)
{
    int fd = open(path, O_RDONLY);
    char c = 0;

    if (fd < 0)
        return -1;
    ck_assert_int_eq(pread(fd, &c, 1, (off_t)at), 1);
    ck_assert_int_eq(close(fd), 0);
    return c;
}

static uint64_t inode(const char *path)
{
    struct stat st;

    return lstat(path, &st) ? 0 : st.st_ino;
}

static bool same(const char *one, const char *two)
{
    return run("cmp -s %s %s", one, two);
}

/* Files of the hidden folder with `part` in their name; the last of them in `found`. */
static char found[512];
static unsigned files(const struct phone *p, const char *part)
{
    char folder[200];
    struct dirent *e;
    unsigned n = 0;
    DIR *dir;

    (void)snprintf(folder, sizeof(folder), "%s/.flic", p->guests);
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

/* ---- a trip ---- */

struct trip {
    struct phone *from, *to;
    const char *way;
    bool breaks;                /* the connection, before the rest is sent */
    struct ar_kept *kept, *earlier;

    struct saving here, there;
    struct lv_disks *leaving;
    struct ar_disks *arriving;
    struct mh_offer offer;
    int sockets[2];
    int take_rc;
    bool ended;
    uint64_t sent, there_bytes, last;
};

static const struct md_key key = { { 3 } };

static void *take(void *arg)
{
    struct trip *t = arg;
    struct flic_err why = { 0 };
    struct mw_wire *wire;
    struct mw_message m = { .type = 0 };
    int rc = mw_new(t->sockets[1], NULL, 0, scene_never, NULL, &wire, &why);

    if (!rc)
        rc = ar_begin(t->arriving, wire, &key, &why);
    while (!rc && m.type != MW_DISK_END) {
        rc = mw_receive(wire, 0, &m, &why);
        if (!rc)
            rc = ar_message(t->arriving, &m, &why);
    }
    t->take_rc = rc;
    mw_free(wire);
    return NULL;
}

static void begin_save(struct phone *p, struct saving *s)
{
    store = p->store;
    flx_fake_set_run(p->domid, FLX_RUNNING);
    saving_init(s, p->domid);
    ck_assert_int_eq(saving_new(s), 0);
}

static void publish(struct phone *p, struct saving *s, const char *list)
{
    store = p->store;
    OK(ck_save_live(s->save, &err));
    OK(ck_save_capture(s->save, &err));
    OK(ck_save_publish(s->save, list, strlen(list), &err));
}

static struct sn_name name_of(const struct saving *s)
{
    return (struct sn_name){ .guest = scene_uuid(1), .seq = ck_save_facts(s->save)->seq };
}

static uint64_t figure(const struct lv_disks *d, const char *which)
{
    json_t *o = json_object();
    uint64_t value;

    lv_add_figures(d, o);
    value = (uint64_t)json_integer_value(json_object_get(o, which));
    json_decref(o);
    return value;
}

/* Up to where both have said what they can; nothing has moved. */
static int offer(struct trip *t)
{
    int rc = lv_new(t->way ? t->way : "copy", t->from->config, &t->leaving, &err);

    if (rc)
        return rc;
    t->offer = (struct mh_offer){ .guest = scene_uuid(1), .name = "web", .config = t->to->config, .disks = (char *)(uintptr_t)lv_offer(t->leaving) };
    return ar_new(&t->to->daemon, &t->offer, &t->arriving, &err);
}

static int send_disk(struct trip *t, struct mw_wire *wire)
{
    struct lv_link link = { .wire = wire, .key = &key, .peer_has = ar_has(t->arriving), .max_downtime_ms = 60000, .progress = scene_no_progress };
    int rc = lv_send(t->leaving, &link, &err);

    if (rc || t->breaks)
        return rc ? rc : -ECONNRESET;
    write_at(t->from->disk, MIB, 8192, 'r');    /* the guest runs on */
    rc = lv_again(t->leaving, &err);
    write_at(t->from->disk, 3 * MIB, 4096, 'p');        /* up to its pause */
    return rc ? rc : lv_last(t->leaving, &err);
}

/* All up to the hand-over: the disk is there, and what it looks like is settled on both sides. */
static int go(struct trip *t, char **list_here, char **list_there)
{
    struct sn_where where = fd_where(&t->from->daemon);
    struct sn_name name;
    struct mw_wire *wire;
    pthread_t thread;
    int rc;

    OK(offer(t));
    begin_save(t->from, &t->here);
    begin_save(t->to, &t->there);
    name = name_of(&t->here);
    OK(lv_prepare(t->leaving, &where, &name, &err));
    OK(ar_place(t->arriving, name_of(&t->there).seq, t->earlier, &err));
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, t->sockets), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, take, t), 0);
    OK(mw_new(t->sockets[0], NULL, 0, scene_never, NULL, &wire, &err));
    rc = send_disk(t, wire);
    if (!rc)
        rc = lv_settle(t->leaving, list_here, &err);
    if (rc)
        mw_free(wire);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    if (!rc)
        mw_free(wire);
    if (!rc && !t->take_rc)
        OK(ar_settle(t->arriving, list_there, &err));
    t->sent = figure(t->leaving, "disk_sent_bytes");
    t->there_bytes = figure(t->leaving, "disk_there_bytes");
    t->last = figure(t->leaving, "disk_last_bytes");
    return rc ? rc : t->take_rc;
}

static void end_trip(struct trip *t)
{
    store = t->from->store;
    saving_end(&t->here);
    store = t->to->store;
    saving_end(&t->there);
    lv_free(t->leaving);
    ar_free(t->arriving);
    image_free(&t->here.image);
    image_free(&t->there.image);
}

/* The guest is handed over, and runs there. */
static void migrate(struct trip *t)
{
    struct sn_name name;
    char *list_here = NULL, *list_there = NULL;

    OK(go(t, &list_here, &list_there));
    publish(t->from, &t->here, list_here);
    lv_keep(t->leaving);
    publish(t->to, &t->there, list_there);
    OK(ar_commit(t->arriving, &err));
    name = name_of(&t->here);
    lv_remove(&t->from->daemon, &name);
    free(list_here);
    free(list_there);
    end_trip(t);
}

/* ---- there and back ---- */

START_TEST(a_disk_goes_with_its_guest_and_its_file_here_goes_when_the_guest_runs_there)
{
    struct trip t = { .from = &a, .to = &b };
    struct stat st;

    migrate(&t);
    ck_assert_int_eq(byte_at(a.disk, 0), -1);
    ck_assert_int_eq(byte_at(b.disk, 0), 'a');
    ck_assert_int_eq(byte_at(b.disk, MIB), 'r');
    ck_assert_int_eq(byte_at(b.disk, 3 * MIB), 'p');
    ck_assert_int_eq(byte_at(b.disk, SIZE - 1), 0);
    ck_assert_uint_eq(files(&a, ".d0"), 1);
    ck_assert(same(b.disk, found));     /* the checkpoint that it left has the disk of its pause */
    ck_assert_uint_eq(files(&b, ""), 1);
    ck_assert(same(b.disk, found));
    ck_assert_uint_eq(t.last, 4096);
    ck_assert_int_eq(stat(b.disk, &st), 0);
    ck_assert_uint_le((uint64_t)st.st_blocks * 512, SIZE / 2 + 256 * 1024);     /* holes are holes */
}
END_TEST

START_TEST(invariant_10_on_its_way_back_only_what_changed_on_the_disk_is_sent)
{
    struct trip t = { .from = &a, .to = &b }, back = { .from = &b, .to = &a }, again = { .from = &a, .to = &b };

    migrate(&t);
    write_at(b.disk, 64 * 1024, 4096, 'b');
    migrate(&back);
    ck_assert_uint_eq(back.sent, 4096 + WRITTEN);
    ck_assert_uint_eq(back.there_bytes, SIZE / 2);
    ck_assert_int_eq(byte_at(a.disk, 64 * 1024), 'b');
    ck_assert_int_eq(byte_at(b.disk, 0), -1);
    ck_assert_uint_eq(files(&a, ".d0"), 2);
    migrate(&again);
    ck_assert_uint_eq(again.sent, WRITTEN);     /* it was there when that was written */
    ck_assert_int_eq(byte_at(b.disk, 64 * 1024), 'b');
    ck_assert_uint_eq(files(&a, "swap") + files(&b, "swap"), 0);
}
END_TEST

START_TEST(a_disk_that_was_left_at_its_path_is_known_and_displaced_not_lost)
{
    struct trip t = { .from = &a, .to = &b }, back = { .from = &b, .to = &a };
    char *lists[2] = { NULL, NULL };

    OK(go(&t, &lists[0], &lists[1]));   /* we died before its name was taken away */
    publish(&a, &t.here, lists[0]);
    lv_keep(t.leaving);
    publish(&b, &t.there, lists[1]);
    OK(ar_commit(t.arriving, &err));
    end_trip(&t);
    ck_assert_int_eq(byte_at(a.disk, 0), 'a');
    migrate(&back);
    ck_assert_uint_eq(back.sent, WRITTEN);
    ck_assert_int_eq(byte_at(a.disk, 3 * MIB), 'p');
    ck_assert_uint_eq(files(&a, "swap"), 1);
    ck_assert_int_eq(byte_at(found, 0), 'a');
    free(lists[0]), free(lists[1]);
}
END_TEST

START_TEST(another_file_under_the_disks_name_is_not_removed_with_it)
{
    struct trip t = { .from = &a, .to = &b };
    char *lists[2] = { NULL, NULL };
    struct sn_name name;

    OK(go(&t, &lists[0], &lists[1]));
    publish(&a, &t.here, lists[0]);
    lv_keep(t.leaving);
    ck_assert(run("cp --reflink %s %s.new && mv %s.new %s", a.disk, a.disk, a.disk, a.disk));
    name = name_of(&t.here);
    lv_remove(&a.daemon, &name);
    ck_assert_int_eq(byte_at(a.disk, 0), 'a');
    free(lists[0]), free(lists[1]);
    end_trip(&t);
}
END_TEST

/* The peer's word comes late: flicd asked for it. */
static void settle(bool is_there)
{
    struct trip t = { .from = &a, .to = &b };
    struct mv_move m = { .migration = scene_uuid(0x61), .guest = scene_uuid(1), .name = "web", .peer = "phone2", .state = MV_HANDING };
    char *lists[2] = { NULL, NULL };

    OK(go(&t, &lists[0], &lists[1]));
    publish(&a, &t.here, lists[0]);
    lv_keep(t.leaving);
    m.seq = name_of(&t.here).seq;
    OK(mv_write(&a.daemon, &m, &err));
    end_trip(&t);
    free(lists[0]), free(lists[1]);
    ck_assert_int_eq(byte_at(a.disk, 0), 'a');  /* as long as nobody knows it is needed */
    OK(mv_settle(&a.daemon, &m, is_there, &err));
}

START_TEST(invariant_6_a_disk_whose_guest_may_have_gone_stays_until_the_peers_word_and_goes_with_it)
{
    settle(true);
    ck_assert_int_eq(byte_at(a.disk, 0), -1);
    ck_assert_uint_eq(files(&a, ".d0"), 1);
}
END_TEST

START_TEST(invariant_6_a_disk_whose_guest_did_not_go_stays)
{
    settle(false);
    ck_assert_int_eq(byte_at(a.disk, 0), 'a');
    ck_assert_int_eq(byte_at(a.disk, 3 * MIB), 'p');
}
END_TEST

/* ---- what does not go ---- */

START_TEST(a_migration_that_is_broken_off_leaves_both_sides_as_they_were)
{
    struct trip t = { .from = &a, .to = &b, .breaks = true };
    uint64_t before = inode(a.disk);

    ck_assert_int_eq(go(&t, NULL, NULL), -ECONNRESET);
    ck_assert_int_ne(t.take_rc, 0);
    end_trip(&t);
    ck_assert_uint_eq(inode(a.disk), before);
    ck_assert_int_eq(byte_at(b.disk, 0), -1);
    ck_assert_uint_eq(files(&a, "") + files(&b, ""), 0);
}
END_TEST

START_TEST(what_came_before_it_was_broken_off_is_not_sent_again)
{
    struct trip t = { .from = &a, .to = &b, .breaks = true }, again = { .from = &a, .to = &b };

    ck_assert_int_eq(go(&t, NULL, NULL), -ECONNRESET);
    again.earlier = ar_keep(t.arriving);
    ck_assert_ptr_nonnull(again.earlier);
    end_trip(&t);
    ck_assert_uint_eq(t.sent, SIZE / 2);
    ck_assert_uint_eq(files(&b, ""), 0);        /* it has no name */
    migrate(&again);
    ck_assert_uint_eq(again.sent, WRITTEN);
    ck_assert_uint_eq(again.there_bytes, SIZE / 2);
    ck_assert_int_eq(byte_at(b.disk, 0), 'a');
    ar_kept_free(again.earlier);
}
END_TEST

static void must_refuse(struct trip *t, int code, const char *words)
{
    err = (struct flic_err){ 0 };
    ck_assert_int_eq(offer(t), code);
    ck_assert_msg(strstr(err.text, words) != NULL, "'%s' is not in: %s", words, err.text);
    lv_free(t->leaving);
    t->leaving = NULL;
}

START_TEST(without_a_word_about_its_disks_a_guest_stays_and_one_without_disks_goes)
{
    struct trip t = { .from = &a, .to = &b, .way = "" };

    must_refuse(&t, FLIC_E_DISK, "--disks copy");
    (void)snprintf(a.config, sizeof(a.config), "{\"disks\":[]}");
    (void)snprintf(b.config, sizeof(b.config), "{\"disks\":[]}");
    OK(offer(&t));
    lv_free(t.leaving);
    ar_free(t.arriving);
}
END_TEST

START_TEST(a_disk_that_cannot_be_copied_is_named_with_the_way_out)
{
    struct trip t = { .from = &a, .to = &b };
    struct sn_where where = fd_where(&a.daemon);
    struct sn_name name = { .guest = scene_uuid(1), .seq = 1 };
    char elsewhere[96];

    configure(&a, a.disk, "qcow2");
    must_refuse(&t, FLIC_E_DISK, "xvda");
    configure(&a, "/dev/null", "raw");
    must_refuse(&t, FLIC_E_DISK, "not a file");
    configure(&a, "/nowhere/web.img", "raw");
    must_refuse(&t, FLIC_E_DISK, "/nowhere");
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s/web.img", scene_dir);      /* no file system that clones */
    write_at(elsewhere, 0, 4096, 'x');
    configure(&a, elsewhere, "raw");
    OK(lv_new("copy", a.config, &t.leaving, &err));
    ck_assert_int_eq(lv_prepare(t.leaving, &where, &name, &err), FLIC_E_DISK);
    ck_assert_ptr_nonnull(strstr(err.text, "--disks shared"));
    lv_free(t.leaving);
}
END_TEST

START_TEST(a_file_system_there_that_clones_no_files_is_said_and_nothing_is_left_on_it)
{
    struct trip t = { .from = &a, .to = &b };
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/web.img", scene_dir);
    (void)snprintf(b.daemon.conf.disk_folders, sizeof(b.daemon.conf.disk_folders), "\n%s\n", scene_dir);
    configure(&b, path, "raw");
    OK(offer(&t));
    ck_assert_int_eq(ar_place(t.arriving, 5, NULL, &err), FLIC_E_DISK);
    ck_assert_ptr_nonnull(strstr(err.text, "xfs, btrfs"));
    ar_free(t.arriving);
    lv_free(t.leaving);
    ck_assert_int_eq(byte_at(path, 0), -1);
    ck_assert(run("[ -z \"$(ls -A %s/.flic)\" ]", scene_dir));
}
END_TEST

START_TEST(files_are_made_only_where_flicd_conf_allows_them)
{
    struct trip t = { .from = &a, .to = &b };
    char path[256];

    b.daemon.conf.disk_folders[0] = '\0';
    must_refuse(&t, FLIC_E_DISK, "disk_folders");
    (void)snprintf(b.daemon.conf.disk_folders, sizeof(b.daemon.conf.disk_folders), "\n%s\n", b.guests);
    (void)snprintf(path, sizeof(path), "%s/../web.img", b.guests);
    configure(&b, path, "raw");
    must_refuse(&t, FLIC_E_DISK, "disk_folders");
    (void)snprintf(path, sizeof(path), "%sx/web.img", b.guests);
    ck_assert(run("mkdir %sx", b.guests));
    configure(&b, path, "raw");
    must_refuse(&t, FLIC_E_DISK, "disk_folders");
    (void)snprintf(path, sizeof(path), "%s/none/web.img", b.guests);
    configure(&b, path, "raw");
    must_refuse(&t, FLIC_E_DISK, "make that folder");
    (void)snprintf(path, sizeof(path), "%s/.flic/web.img", b.guests);
    ck_assert(run("mkdir %s/.flic", b.guests));
    configure(&b, path, "raw");
    must_refuse(&t, FLIC_E_DISK, "snapshots are kept there");
    configure(&b, "web.img", "raw");
    must_refuse(&t, FLIC_E_DISK, "no absolute path");
    ck_assert(run("ln -s / %s/link", b.guests));
    (void)snprintf(path, sizeof(path), "%s/link/web.img", b.guests);
    configure(&b, path, "raw");
    must_refuse(&t, FLIC_E_DISK, "disk_folders");
}
END_TEST

START_TEST(what_is_not_known_as_this_guests_disk_is_not_replaced)
{
    struct trip t = { .from = &a, .to = &b };

    write_at(b.disk, 0, 4096, 's');
    must_refuse(&t, FLIC_E_DISK, "not known as this guest");
    ck_assert(run("rm %s && ln -s /etc/hostname %s", b.disk, b.disk));
    must_refuse(&t, FLIC_E_DISK, "not known as this guest");
    ck_assert(run("rm %s && mkdir %s", b.disk, b.disk));
    must_refuse(&t, FLIC_E_DISK, "not known as this guest");
}
END_TEST

START_TEST(a_disk_for_which_there_is_no_room_is_refused_before_anything_is_sent)
{
    struct trip t = { .from = &a, .to = &b };

    ck_assert(run("fallocate -l $(($(stat -f -c '%%a * %%S' %s) - (1 << 20))) %s/full", b.root, b.root));
    must_refuse(&t, FLIC_E_NOSPACE, "needs 2 MiB");
}
END_TEST

static int hear_offer(const char *disks)
{
    struct mh_offer o = { .guest = scene_uuid(1), .name = "web", .config = b.config, .disks = (char *)(uintptr_t)disks };
    struct ar_disks *d;
    int rc = ar_new(&b.daemon, &o, &d, &err);

    if (!rc)
        ar_free(d);
    return rc;
}

START_TEST(invariant_7_a_list_of_disks_that_is_not_the_configurations_is_refused)
{
    ck_assert_int_eq(hear_offer("[{\"vdev\":\"xvda\",\"how\":\"copy\",\"size\":4096,\"allocated\":0}]"), 0);
    ck_assert_int_eq(hear_offer("[]"), FLIC_E_PROTOCOL);
    ck_assert_int_eq(hear_offer("{}"), FLIC_E_PROTOCOL);
    ck_assert_int_eq(hear_offer("[7]"), FLIC_E_PROTOCOL);
    ck_assert_int_eq(hear_offer("[{\"vdev\":\"xvdb\",\"how\":\"copy\",\"size\":4096,\"allocated\":0}]"), FLIC_E_PROTOCOL);
    ck_assert_int_eq(hear_offer("[{\"vdev\":\"xvda\",\"how\":\"move\",\"size\":4096,\"allocated\":0}]"), FLIC_E_PROTOCOL);
    ck_assert_int_eq(hear_offer("[{\"vdev\":\"xvda\",\"how\":\"copy\",\"size\":0,\"allocated\":0}]"), FLIC_E_PROTOCOL);
    ck_assert_int_eq(hear_offer("[{\"vdev\":\"xvda\",\"how\":\"copy\",\"size\":-1,\"allocated\":0}]"), FLIC_E_PROTOCOL);
    ck_assert_int_eq(hear_offer("[{\"vdev\":\"xvda\",\"how\":\"copy\",\"size\":8796093022209,\"allocated\":0}]"), FLIC_E_PROTOCOL);
    ck_assert_int_eq(hear_offer("[{\"vdev\":\"xvda\",\"how\":\"copy\",\"size\":4096,\"allocated\":0},"
                                "{\"vdev\":\"xvdb\",\"how\":\"copy\",\"size\":4096,\"allocated\":0}]"), FLIC_E_PROTOCOL);
    configure(&b, b.disk, "qcow2");
    ck_assert_int_eq(hear_offer("[{\"vdev\":\"xvda\",\"how\":\"copy\",\"size\":4096,\"allocated\":0}]"), FLIC_E_PROTOCOL);
}
END_TEST

START_TEST(invariant_7_a_disk_that_is_there_is_opened_only_as_raw)
{
    write_at(b.disk, 0, 4096, 'x');
    (void)snprintf(b.daemon.conf.shared_disk_folders, sizeof(b.daemon.conf.shared_disk_folders), "\n%s\n", b.guests);
    ck_assert_int_eq(hear_offer("[{\"vdev\":\"xvda\",\"how\":\"there\",\"size\":4096,\"allocated\":0}]"), 0);
    configure(&b, b.disk, "qcow2");
    ck_assert_int_eq(hear_offer("[{\"vdev\":\"xvda\",\"how\":\"there\",\"size\":4096,\"allocated\":0}]"), FLIC_E_DISK);
    ck_assert_msg(strstr(err.text, "qcow2") != NULL, "%s", err.text);
}
END_TEST

/* ---- shared ---- */

START_TEST(a_shared_disk_is_only_looked_at_and_a_checkpoint_of_it_is_for_ram_only)
{
    struct trip t = { .from = &a, .to = &b, .way = "shared" };
    uint64_t before = inode(a.disk);
    char *list;

    configure(&b, a.disk, "raw");       /* one disk, reached from both */
    must_refuse(&t, FLIC_E_DISK, "shared_disk_folders");
    (void)snprintf(b.daemon.conf.shared_disk_folders, sizeof(b.daemon.conf.shared_disk_folders), "\n%s\n", a.guests);
    OK(offer(&t));
    OK(lv_last(t.leaving, &err));
    OK(lv_settle(t.leaving, &list, &err));
    ck_assert_int_eq(fd_disks_check(list, &err), FLIC_E_DISK);
    ck_assert_ptr_nonnull(strstr(err.text, "--ram-only"));
    free(list);
    OK(ar_place(t.arriving, 9, NULL, &err));
    OK(ar_settle(t.arriving, &list, &err));
    ck_assert_int_eq(fd_disks_check(list, &err), FLIC_E_DISK);
    OK(ar_commit(t.arriving, &err));
    free(list);
    lv_free(t.leaving);
    ar_free(t.arriving);
    ck_assert_uint_eq(inode(a.disk), before);
    ck_assert_uint_eq(files(&a, ""), 0);
}
END_TEST

START_TEST(a_shared_disk_whose_backend_keeps_part_of_it_in_memory_is_refused)
{
    struct trip t = { .from = &a, .to = &b, .way = "shared" };

    configure(&a, a.disk, "qcow2");
    must_refuse(&t, FLIC_E_DISK, "qcow2");
}
END_TEST

START_TEST(a_shared_disk_of_another_size_there_is_another_disk)
{
    struct trip t = { .from = &a, .to = &b, .way = "shared" };

    (void)snprintf(b.daemon.conf.shared_disk_folders, sizeof(b.daemon.conf.shared_disk_folders), "\n%s\n", b.guests);
    must_refuse(&t, FLIC_E_DISK, "not reached");
    write_at(b.disk, 0, 4096, 'x');
    must_refuse(&t, FLIC_E_DISK, "another one");
}
END_TEST

/* ---- killed at any step ---- */

/* All that the receiver does to disks, with the bytes written by hand. In a child, so that its descriptors are gone with it. */
static void arrive(void)
{
    struct mh_offer o = { .guest = scene_uuid(1), .name = "web", .config = b.config,
                          .disks = (char *)(uintptr_t)"[{\"vdev\":\"xvda\",\"how\":\"copy\",\"size\":4194304,\"allocated\":0}]" };
    struct mv_move m = { .migration = scene_uuid(0x61), .guest = scene_uuid(1), .name = "web", .state = MV_RUNNING, .seq = 77 };
    struct ar_disks *d;
    char *list;

    if (ar_new(&b.daemon, &o, &d, NULL) || ar_place(d, 77, NULL, NULL))
        _exit(1);
    write_at(b.disk, 0, 4096, 'n');
    if (ar_settle(d, &list, NULL) || mv_write(&b.daemon, &m, NULL) || ar_commit(d, NULL))
        _exit(1);
    _exit(0);
}

static bool killed(unsigned at)
{
    pid_t pid = fork();
    int status;

    if (!pid) {
        die_at = at;
        steps = 0;
        arrive();
    }
    ck_assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    ck_assert_int_ne(WEXITSTATUS(status), 1);
    return WEXITSTATUS(status) == 42;
}

static enum sn_fate nobody_knows(const struct sn_name *name, void *arg)
{
    (void)name;
    (void)arg;
    return SN_UNKNOWN;
}

static bool is_ours(void)
{
    struct flic_uuid migration = scene_uuid(0x61);
    struct mv_move m;

    return !mv_read(&b.daemon, &migration, &m, NULL);
}

/* As at a start of flicd. */
static void tidy(void)
{
    struct sn_where where = fd_where(&b.daemon);

    ar_tidy(&b.daemon);
    OK(sw_settle(&where, &err));
    OK(sn_sweep(&where, nobody_knows, NULL, &err));
}

START_TEST(invariant_8_killed_at_any_step_the_disk_is_there_if_the_guest_is_and_else_nothing_is)
{
    struct flic_uuid migration = scene_uuid(0x61);
    unsigned at, gone = 0, stayed = 0;

    for (at = 1; killed(at); at++) {
        bool ours = is_ours();

        tidy();
        ck_assert_msg(byte_at(b.disk, 0) == (ours ? 'n' : -1), "at step %u: %d, and it is %s", at, byte_at(b.disk, 0), ours ? "ours" : "not");
        ck_assert_uint_eq(files(&b, ""), 0);
        gone += !ours;
        stayed += ours;
        if (ours) {
            OK(mv_drop(&b.daemon, &migration, &err));
            ck_assert_int_eq(unlink(b.disk), 0);
        }
    }
    ck_assert_uint_ge(gone, 10);
    ck_assert_uint_ge(stayed, 1);
}
END_TEST

START_TEST(invariant_8_killed_at_any_step_what_stood_there_is_back_or_kept)
{
    struct trip t = { .from = &a, .to = &b };
    struct flic_uuid migration = scene_uuid(0x61);
    uint64_t before;
    unsigned at, back = 0, kept = 0;

    migrate(&t);
    before = inode(b.disk);
    for (at = 1; killed(at); at++) {
        bool ours = is_ours();

        tidy();
        if (!ours) {
            ck_assert_msg(inode(b.disk) == before, "at step %u another file is there", at);
            back++;
            continue;
        }
        ck_assert_int_eq(byte_at(b.disk, 0), 'n');
        ck_assert_uint_eq(files(&b, ".swap-"), 1);
        ck_assert_uint_eq(inode(found), before);
        OK(mv_drop(&b.daemon, &migration, &err));
        ck_assert_int_eq(rename(found, b.disk), 0);
        kept++;
    }
    ck_assert_uint_ge(back, 10);
    ck_assert_uint_ge(kept, 1);
}
END_TEST

/* ---- a guest that is here, and whose swap is written down still ---- */

/* The guest came with its disk, is noted as ours, and has written since; gives the arrival's number. */
static uint64_t come_without_commit(bool crossed_out)
{
    struct mv_move ours = { .migration = scene_uuid(0x61), .guest = scene_uuid(1), .name = "web", .state = MV_RUNNING };
    struct trip t = { .from = &a, .to = &b };
    char *lists[2] = { NULL, NULL };

    OK(go(&t, &lists[0], &lists[1]));
    publish(&a, &t.here, lists[0]);
    lv_keep(t.leaving);
    publish(&b, &t.there, lists[1]);
    ours.seq = name_of(&t.there).seq;
    OK(mv_write(&b.daemon, &ours, &err));
    cannot_cross_out = !crossed_out;
    ck_assert(!ar_commit(t.arriving, &err) == crossed_out);
    cannot_cross_out = false;
    end_trip(&t);
    free(lists[0]), free(lists[1]);
    write_at(b.disk, 0, 4096, 'w');
    return ours.seq;
}

START_TEST(a_disk_that_the_guest_writes_is_not_put_back_by_its_next_arrival)
{
    struct trip again = { .from = &a, .to = &b };
    uint64_t ino;

    (void)come_without_commit(false);
    ino = inode(b.disk);
    OK(offer(&again));
    OK(ar_place(again.arriving, 4711, NULL, &err));
    ar_undo(again.arriving);
    ck_assert_int_eq(byte_at(b.disk, 0), 'w');
    ck_assert_uint_eq(inode(b.disk), ino);
    lv_free(again.leaving);
    ar_free(again.arriving);
}
END_TEST

START_TEST(while_it_cannot_be_said_that_a_disk_stays_no_swap_begins_and_none_is_put_back_at_start)
{
    struct trip again = { .from = &a, .to = &b };

    (void)come_without_commit(false);
    cannot_cross_out = true;
    OK(offer(&again));
    ck_assert_int_eq(ar_place(again.arriving, 4711, NULL, &err), -EIO);
    store = b.store;
    fd_tidy_disks(&b.daemon);
    cannot_cross_out = false;
    ck_assert_int_eq(byte_at(b.disk, 0), 'w');
    fd_tidy_disks(&b.daemon);
    ck_assert_int_eq(byte_at(b.disk, 0), 'w');
    lv_free(again.leaving);
    ar_free(again.arriving);
}
END_TEST

START_TEST(a_restore_of_what_arrived_is_not_taken_for_its_arrival_when_it_was_cut_off)
{
    struct sn_where where = fd_where(&b.daemon);
    uint64_t seq = come_without_commit(true), ino = inode(b.disk);
    struct sn_name name = { .guest = scene_uuid(1), .seq = seq };
    struct ck_loaded loaded;
    struct ck_entry entry;

    OK(ck_find_exact(b.store, &name.guest, seq, &entry, &err));
    OK(ck_load(b.store, &entry, &loaded, &err));
    OK(sw_begin(&where, &name.guest, loaded.root.disks, &err));
    ck_unload(b.store, &loaded);
    ck_assert_uint_ne(inode(b.disk), ino);
    store = b.store;
    fd_tidy_disks(&b.daemon);
    ck_assert_uint_eq(inode(b.disk), ino);
    ck_assert_int_eq(byte_at(b.disk, 0), 'w');
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("travel");
    TCase *t = tcase_create("travel");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_disk_goes_with_its_guest_and_its_file_here_goes_when_the_guest_runs_there);
    tcase_add_test(t, invariant_10_on_its_way_back_only_what_changed_on_the_disk_is_sent);
    tcase_add_test(t, a_disk_that_was_left_at_its_path_is_known_and_displaced_not_lost);
    tcase_add_test(t, another_file_under_the_disks_name_is_not_removed_with_it);
    tcase_add_test(t, invariant_6_a_disk_whose_guest_may_have_gone_stays_until_the_peers_word_and_goes_with_it);
    tcase_add_test(t, invariant_6_a_disk_whose_guest_did_not_go_stays);
    tcase_add_test(t, a_migration_that_is_broken_off_leaves_both_sides_as_they_were);
    tcase_add_test(t, what_came_before_it_was_broken_off_is_not_sent_again);
    tcase_add_test(t, without_a_word_about_its_disks_a_guest_stays_and_one_without_disks_goes);
    tcase_add_test(t, a_disk_that_cannot_be_copied_is_named_with_the_way_out);
    tcase_add_test(t, a_file_system_there_that_clones_no_files_is_said_and_nothing_is_left_on_it);
    tcase_add_test(t, files_are_made_only_where_flicd_conf_allows_them);
    tcase_add_test(t, what_is_not_known_as_this_guests_disk_is_not_replaced);
    tcase_add_test(t, a_disk_for_which_there_is_no_room_is_refused_before_anything_is_sent);
    tcase_add_test(t, invariant_7_a_list_of_disks_that_is_not_the_configurations_is_refused);
    tcase_add_test(t, invariant_7_a_disk_that_is_there_is_opened_only_as_raw);
    tcase_add_test(t, a_shared_disk_whose_backend_keeps_part_of_it_in_memory_is_refused);
    tcase_add_test(t, a_shared_disk_is_only_looked_at_and_a_checkpoint_of_it_is_for_ram_only);
    tcase_add_test(t, a_shared_disk_of_another_size_there_is_another_disk);
    tcase_add_test(t, invariant_8_killed_at_any_step_the_disk_is_there_if_the_guest_is_and_else_nothing_is);
    tcase_add_test(t, invariant_8_killed_at_any_step_what_stood_there_is_back_or_kept);
    tcase_add_test(t, a_disk_that_the_guest_writes_is_not_put_back_by_its_next_arrival);
    tcase_add_test(t, while_it_cannot_be_said_that_a_disk_stays_no_swap_begins_and_none_is_put_back_at_start);
    tcase_add_test(t, a_restore_of_what_arrived_is_not_taken_for_its_arrival_when_it_was_cut_off);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    int failed;

    if (!begin()) {
        printf("skipped: no xfs to try travelling disks on (needs root, loop devices and mkfs.xfs)\n");
        end();
        return SKIPPED;
    }
    failed = scene_run(suite());
    end();
    return failed;
}
