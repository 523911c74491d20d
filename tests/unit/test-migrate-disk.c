/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * A disk goes over the wire: two files, two threads, one socket. What is asked of extents needs a file system that clones files: an xfs in a
 * loop-mounted image; without root, loop devices or mkfs.xfs these tests are skipped, and that is printed.
 */
#include "common/bytes.h"
#include "common/id.h"
#include "daemon/migrate/disk_send.h"
#include "daemon/migrate/disk_take.h"
#include "daemon/migrate/pages.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK DM_BLOCK
#define BLOCKS 1600u            /* more than three leaves */
#define SIZE ((uint64_t)BLOCKS * BLOCK)

static char base[64] = "/tmp/test-migrate-disk.XXXXXX", root[96];
static bool clones;
static struct flic_err err;
static int here, there;         /* the disk, and what becomes of it */

#define OK(call) ck_assert_msg(!(call), #call ": %s", err.text)

/* ---- a write that fails ---- */

static int fail_with, fail_at;

ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
    if (fail_at && !--fail_at) {
        errno = fail_with;
        return -1;
    }
    return __real_pwrite(fd, data, len, at);
}

/* ---- files ---- */

static bool run(const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    return system(line) == 0;
}

static void begin(void)
{
    if (!mkdtemp(base))
        abort();
    (void)snprintf(root, sizeof(root), "%s/root", base);
    if (mkdir(root, 0700))
        abort();
    clones = geteuid() == 0 && run("truncate -s 320M %s/image", base) && run("mkfs.xfs -q -m reflink=1 %s/image >/dev/null 2>&1", base) &&
             run("mount -o loop %s/image %s 2>/dev/null", base, root);
    if (!clones)
        (void)printf("no xfs can be made and mounted here: what is asked of extents is skipped\n");
}

static void end(void)
{
    if (clones)
        (void)umount2(root, MNT_DETACH);
    (void)run("rm -rf %s", base);
}

/* A file without a name. */
static int new_file(uint64_t size)
{
    int fd = open(root, O_TMPFILE | O_RDWR, 0600);

    ck_assert(fd >= 0 && !ftruncate(fd, (off_t)size));
    return fd;
}

static int clone_of(int fd)
{
    int to = new_file(0);

    ck_assert_int_eq(ioctl(to, FICLONE, fd), 0);
    return to;
}

static uint64_t random_at = 42;
static uint64_t draw(uint64_t below)
{
    random_at = random_at * 6364136223846793005u + 1442695040888963407u;
    return (random_at >> 33) % below;
}

static void write_blocks(int fd, uint64_t first, uint64_t n)
{
    uint64_t words[BLOCK / 8];

    for (uint64_t i = 0; i < n; i++) {
        for (size_t k = 0; k < BLOCK / 8; k++)
            words[k] = draw(UINT32_MAX) << 8 | 1;
        ck_assert_int_eq(__real_pwrite(fd, words, BLOCK, (off_t)((first + i) * BLOCK)), BLOCK);
    }
}

static void punch(int fd, uint64_t first, uint64_t n)
{
    ck_assert_int_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(first * BLOCK), (off_t)(n * BLOCK)), 0);
}

static void must_be_same(int a, int b, uint64_t size)
{
    static uint8_t left[65536], right[65536];

    for (uint64_t at = 0; at < size; at += sizeof(left)) {
        size_t len = size - at < sizeof(left) ? size - at : sizeof(left);

        ck_assert_int_eq(pread(a, left, len, (off_t)at), (ssize_t)len);
        ck_assert_int_eq(pread(b, right, len, (off_t)at), (ssize_t)len);
        ck_assert_msg(!memcmp(left, right, len), "they differ from byte %llu on", (unsigned long long)at);
    }
}

static uint64_t allocated(int fd)
{
    struct stat st;

    ck_assert(!fsync(fd) && !fstat(fd, &st));
    return (uint64_t)st.st_blocks * 512;
}

static void set_up(void)
{
    err = (struct flic_err){ 0 };
    fail_at = 0;
    here = new_file(SIZE);
    there = new_file(SIZE);
}

static void tear_down(void)
{
    ck_assert(!close(here) && !close(there));
}

/* ---- the two sides ---- */

struct trip {
    uint64_t size;
    bool has;
    int (*send)(struct ds_sender *s, void *arg);
    void *arg;

    int sockets[2];
    struct mw_wire *wire;
    int send_rc, take_rc;
    struct flic_err take_err;
    bool whole;
    struct ds_figures sent;
    struct dt_figures taken;
};

static const struct md_key key = { { 7 } };

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void no_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    (void)arg;
    (void)phase;
    ck_assert_uint_le(done, total);
}

static void *take(void *arg)
{
    struct trip *t = arg;
    struct dt_disk disk = { .name = "xvda", .fd = there, .size = t->size, .has = t->has };
    struct dt_taker *taker;
    struct mw_wire *wire;
    struct mw_message m;
    int rc = mw_new(t->sockets[1], NULL, 0, never, NULL, &wire, &t->take_err);

    if (!rc)
        rc = dt_new(wire, &key, &disk, 1, &taker, &t->take_err);
    while (!rc && !dt_is_whole(taker)) {
        rc = mw_receive(wire, 0, &m, &t->take_err);
        if (!rc)
            rc = dt_message(taker, &m, &t->take_err);
    }
    t->whole = dt_is_whole(taker);
    dt_get_figures(taker, &t->taken);
    dt_free(taker);
    if (rc)
        mw_abort(wire, rc, t->take_err.text);
    mw_free(wire);
    t->take_rc = rc;
    return NULL;
}

static void travel(struct trip *t)
{
    struct ds_params params = { .key = &key, .n = 1, .sizes = &t->size, .peer_has = t->has, .progress = no_progress };
    struct ds_sender *s;
    pthread_t thread;

    if (!t->size)
        t->size = SIZE;
    ck_assert_int_eq(md_init(), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, t->sockets), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, take, t), 0);
    OK(mw_new(t->sockets[0], NULL, 0, never, NULL, &t->wire, &err));
    params.wire = t->wire;
    OK(ds_new(&params, &s, &err));
    t->send_rc = t->send ? t->send(s, t->arg) : ds_whole(s, 0, here, &err);
    if (!t->send_rc)
        t->send_rc = ds_end(s, &err);
    ds_get_figures(s, &t->sent);
    ds_free(s);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    mw_free(t->wire);
}

static void must_arrive(struct trip *t)
{
    travel(t);
    ck_assert_msg(!t->send_rc, "the sender failed: %d, %s", t->send_rc, err.text);
    ck_assert_msg(!t->take_rc, "the receiver failed: %d, %s", t->take_rc, t->take_err.text);
    ck_assert(t->whole);
    must_be_same(here, there, t->size);
}

/* ---- whole disks ---- */

START_TEST(a_disk_arrives_with_every_byte_and_its_holes_stay_holes)
{
    struct trip t = { .size = 0 };

    write_blocks(here, 3, 70);
    write_blocks(here, 700, 1);
    write_blocks(here, BLOCKS - 2, 2);
    must_arrive(&t);
    ck_assert_uint_eq(t.sent.sent_blocks, 73);
    ck_assert_uint_eq(t.taken.received_blocks, 73);
    ck_assert_uint_eq(t.sent.last_blocks, 0);
    ck_assert_uint_le(allocated(there), allocated(here) + 4 * BLOCK);
}
END_TEST

START_TEST(blocks_of_zeros_are_not_sent_and_take_no_room_there)
{
    uint8_t zeros[8 * BLOCK] = { 0 };
    struct trip t = { .size = 0 };

    write_blocks(here, 0, 1);
    ck_assert_int_eq(__real_pwrite(here, zeros, sizeof(zeros), 64 * BLOCK), sizeof(zeros));
    must_arrive(&t);
    ck_assert_uint_eq(t.sent.sent_blocks, 1);
    ck_assert_uint_lt(allocated(there), allocated(here));
}
END_TEST

START_TEST(a_disk_that_ends_within_a_block_arrives_and_grows_by_nothing)
{
    struct trip t = { .size = 5 * BLOCK + 512 };
    struct stat st;

    write_blocks(here, 0, 5);
    ck_assert_int_eq(__real_pwrite(here, "end", 3, 5 * BLOCK + 509), 3);
    ck_assert(!ftruncate(here, (off_t)t.size) && !ftruncate(there, (off_t)t.size));
    must_arrive(&t);
    ck_assert(!fstat(there, &st));
    ck_assert_uint_eq((uint64_t)st.st_size, t.size);
}
END_TEST

static void copy_over(void)
{
    static uint8_t data[65536];

    for (uint64_t at = 0; at < SIZE; at += sizeof(data)) {
        ssize_t n = pread(here, data, sizeof(data), (off_t)at);

        ck_assert_int_eq(__real_pwrite(there, data, (size_t)n, (off_t)at), n);
    }
}

START_TEST(invariant_10_of_a_disk_whose_older_state_is_there_only_what_differs_is_sent)
{
    struct trip t = { .has = true };

    write_blocks(here, 0, 1000);
    copy_over();
    write_blocks(here, 10, 3);
    write_blocks(here, 600, 1);
    write_blocks(here, 1500, 2);        /* nothing was there */
    punch(here, 800, 16);               /* something was */
    must_arrive(&t);
    ck_assert_uint_eq(t.sent.sent_blocks, 6);
    ck_assert_uint_eq(t.sent.zero_blocks, 16);
    ck_assert_uint_eq(t.sent.there_blocks, 1000 - 4 - 16);
    ck_assert_uint_lt(t.sent.block_bytes, 7 * BLOCK);
}
END_TEST

START_TEST(a_disk_that_is_all_there_costs_its_digests_only)
{
    struct trip t = { .has = true };

    write_blocks(here, 0, BLOCKS);
    copy_over();
    must_arrive(&t);
    ck_assert_uint_eq(t.sent.sent_blocks + t.sent.zero_blocks, 0);
    ck_assert_uint_eq(t.sent.there_blocks, BLOCKS);
}
END_TEST

/* ---- what changes meanwhile ---- */

static int changing(struct ds_sender *s, void *arg)
{
    int first = clone_of(here), second, rc;
    uint64_t *blocks = arg;

    rc = ds_whole(s, 0, first, &err);
    write_blocks(here, 100, 8);
    punch(here, 200, 4);
    write_blocks(here, 1200, 1);
    second = clone_of(here);
    ds_pause(s);
    if (!rc)
        rc = ds_changed(s, 0, first, second, here, blocks, &err);
    ck_assert(!close(first) && !close(second));
    return rc;
}

START_TEST(what_was_written_after_the_snapshot_is_all_that_is_sent_in_the_pause)
{
    uint64_t blocks;
    struct trip t = { .send = changing, .arg = &blocks };

    write_blocks(here, 0, 400);
    must_arrive(&t);
    ck_assert_uint_eq(blocks, 13);
    ck_assert_uint_eq(t.sent.last_blocks, 13);
    ck_assert_uint_eq(t.sent.sent_blocks, 400 + 9);
}
END_TEST

static int nothing_changes(struct ds_sender *s, void *arg)
{
    int first = clone_of(here), second = clone_of(here), rc = ds_whole(s, 0, first, &err);

    if (!rc)
        rc = ds_changed(s, 0, first, second, here, arg, &err);
    ck_assert(!close(first) && !close(second));
    return rc;
}

START_TEST(of_a_disk_that_nobody_wrote_nothing_is_sent_twice)
{
    uint64_t blocks = 1;
    struct trip t = { .send = nothing_changes, .arg = &blocks };

    for (uint64_t i = 0; i < BLOCKS; i += 2)    /* many extents: more than one call tells of */
        write_blocks(here, i, 1);
    must_arrive(&t);
    ck_assert_uint_eq(blocks, 0);
}
END_TEST

/* Writes, holes, preallocated blocks that are written later, blocks freed and taken again. */
static void change(int fd)
{
    uint64_t first = draw(BLOCKS - 40), n = 1 + draw(40);

    switch (draw(4)) {
    case 0: punch(fd, first, n); break;
    case 1: ck_assert_int_eq(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)(first * BLOCK), (off_t)(n * BLOCK)), 0); break;
    default: write_blocks(fd, first, n);
    }
}

static int changing_much(struct ds_sender *s, void *arg)
{
    int state = clone_of(here), now, rc = ds_whole(s, 0, state, &err);
    uint64_t blocks;

    (void)arg;
    for (unsigned round = 0; !rc && round < 60; round++) {
        for (unsigned i = 0; i < 6; i++)
            change(here);
        now = clone_of(here);
        rc = ds_changed(s, 0, state, now, now, &blocks, &err);
        ck_assert(!close(state));
        state = now;
    }
    ck_assert_int_eq(close(state), 0);
    return rc;
}

START_TEST(a_disk_that_changes_in_every_way_all_the_time_arrives_as_it_is_in_the_end)
{
    for (unsigned n = 0; n < 5; n++) {
        struct trip t = { .send = changing_much };

        write_blocks(here, draw(400), 600);
        must_arrive(&t);
        ck_assert_int_eq(ftruncate(there, 0), 0);
        ck_assert_int_eq(ftruncate(there, (off_t)SIZE), 0);
    }
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(a_full_file_system_is_said_by_name_to_both)
{
    struct trip t = { .size = 0 };

    write_blocks(here, 0, 300);
    fail_with = ENOSPC;
    fail_at = 3;
    travel(&t);
    ck_assert_int_eq(t.take_rc, FLIC_E_NOSPACE);
    ck_assert_ptr_nonnull(strstr(t.take_err.text, "xvda"));
    ck_assert(!t.whole);
}
END_TEST

/* What a sender says, as bytes. */
static size_t record(uint8_t **ret)
{
    struct ds_params params = { .key = &key, .n = 1, .sizes = (uint64_t[]){ SIZE }, .progress = no_progress };
    struct ds_sender *s;
    struct mw_wire *wire;
    int sockets[2], big = 8 << 20;
    size_t room = 8 << 20, len = 0;
    uint8_t *all = malloc(room);
    ssize_t n;

    ck_assert_ptr_nonnull(all);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    ck_assert_int_eq(setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big)), 0);
    OK(mw_new(sockets[0], NULL, 0, never, NULL, &wire, &err));
    params.wire = wire;
    OK(ds_new(&params, &s, &err));
    OK(ds_whole(s, 0, here, &err));
    OK(ds_end(s, &err));
    ds_free(s);
    mw_free(wire);
    while ((n = read(sockets[1], all + len, room - len)) > 0)
        len += (size_t)n;
    ck_assert_int_eq(close(sockets[1]), 0);
    *ret = all;
    return len;
}

/* A receiver that hears just these bytes and then the end of the stream. */
static int hear(const uint8_t *data, size_t len, bool has, bool *ret_whole, struct flic_err *why)
{
    struct dt_disk disk = { .name = "xvda", .fd = there, .size = SIZE, .has = has };
    struct dt_taker *taker;
    struct mw_wire *wire;
    struct mw_message m;
    int sockets[2], rc;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    OK(mw_new(sockets[1], data, len, never, NULL, &wire, &err));
    ck_assert_int_eq(shutdown(sockets[0], SHUT_WR), 0);
    OK(dt_new(wire, &key, &disk, 1, &taker, &err));
    do {
        rc = mw_receive(wire, 1, &m, why);
        if (!rc)
            rc = dt_message(taker, &m, why);
    } while (!rc);
    *ret_whole = dt_is_whole(taker);
    dt_free(taker);
    mw_free(wire);
    ck_assert_int_eq(close(sockets[0]), 0);
    return rc;
}

static size_t frame_at(const uint8_t *data, size_t at)
{
    return at + 8 + (data[at] | (size_t)data[at + 1] << 8 | (size_t)data[at + 2] << 16 | (size_t)data[at + 3] << 24);
}

START_TEST(a_stream_that_is_cut_at_any_frame_never_makes_a_whole_disk)
{
    struct flic_err why = { 0 };
    unsigned frames = 0;
    uint8_t *data;
    size_t len;
    bool whole;

    write_blocks(here, 0, 200);
    write_blocks(here, 900, 20);
    len = record(&data);
    ck_assert_uint_lt(len, MW_PAYLOAD_MAX);
    for (size_t at = 0; at < len; at = frame_at(data, at), frames++) {
        ck_assert_int_eq(hear(data, at, false, &whole, &why), -ECONNRESET);
        ck_assert_int_eq(hear(data, at + 5, false, &whole, &why), -ECONNRESET);
        ck_assert(!whole);
    }
    ck_assert_uint_ge(frames, 4);
    ck_assert_int_eq(hear(data, len, false, &whole, &why), -ECONNRESET);        /* nothing follows */
    ck_assert(whole);
    must_be_same(here, there, SIZE);
    free(data);
}
END_TEST

START_TEST(a_frame_that_got_lost_or_came_twice_is_noticed_in_the_end)
{
    struct flic_err why = { 0 };
    uint8_t *data, *other;
    size_t len, first;
    bool whole;

    write_blocks(here, 0, 200);
    len = record(&data);
    first = frame_at(data, 0);
    ck_assert_int_eq(hear(data + first, len - first, false, &whole, &why), FLIC_E_DAMAGED);
    ck_assert(!whole);
    other = malloc(len + first);
    ck_assert_ptr_nonnull(other);
    memcpy(other, data, first);
    memcpy(other + first, data, len);
    ck_assert_int_eq(hear(other, len + first, false, &whole, &why), FLIC_E_DAMAGED);
    free(other);
    free(data);
}
END_TEST

/* ---- a hostile peer ---- */

static struct flic_builder frame;

static void put_head(enum mw_type type)
{
    flic_builder_init(&frame);
    flic_put_u32(&frame, 0);
    flic_put_u16(&frame, (uint16_t)type);
    flic_put_u16(&frame, 0);
}

/* As it is now, said to a receiver: the error it makes of it. */
static int say(bool has)
{
    struct flic_err why = { 0 };
    bool whole;
    int rc;

    for (size_t i = 0; i < 4; i++)
        frame.data[i] = (uint8_t)((frame.len - 8) >> 8 * i);
    rc = hear(frame.data, frame.len, has, &whole, &why);
    flic_builder_fini(&frame);
    ck_assert(!whole);
    return rc;
}

static int say_u32s(enum mw_type type, bool has, size_t n, ...)
{
    va_list ap;

    put_head(type);
    va_start(ap, n);
    for (size_t i = 0; i < n; i++)
        flic_put_u32(&frame, va_arg(ap, uint32_t));
    va_end(ap);
    return say(has);
}

START_TEST(zeros_beyond_the_end_or_of_another_disk_are_refused)
{
    write_blocks(there, 0, BLOCKS);
    ck_assert_int_eq(say_u32s(MW_DISK_ZEROS, false, 3, 1u, 0u, 1u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_ZEROS, false, 3, UINT32_MAX, 0u, 1u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_ZEROS, false, 3, 0u, BLOCKS, 1u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_ZEROS, false, 3, 0u, 1u, BLOCKS), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_ZEROS, false, 3, 0u, UINT32_MAX, UINT32_MAX), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_ZEROS, false, 3, 0u, 0u, 0u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_ZEROS, false, 2, 0u, 0u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_ZEROS, false, 4, 0u, 0u, 1u, 0u), FLIC_E_PROTOCOL);
    ck_assert_uint_ge(allocated(there), SIZE);
}
END_TEST

START_TEST(questions_about_a_disk_that_is_not_known_or_beyond_its_end_are_refused)
{
    ck_assert_int_eq(say_u32s(MW_DISK_LEAVES, false, 7, 0u, 0u, 1u, 0u, 0u, 0u, 0u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_LEAVES, true, 7, 1u, 0u, 1u, 0u, 0u, 0u, 0u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_LEAVES, true, 7, 0u, 4u, 1u, 0u, 0u, 0u, 0u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_LEAVES, true, 7, 0u, UINT32_MAX, 1u, 0u, 0u, 0u, 0u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_LEAVES, true, 3, 0u, 0u, 0u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_LEAVES, true, 7, 0u, 0u, 2u, 0u, 0u, 0u, 0u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_LEAVES, true, 3, 0u, 0u, UINT32_MAX), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_DIGESTS, true, 2, 0u, 0u), FLIC_E_PROTOCOL);
    put_head(MW_DISK_DIGESTS);
    flic_put_u32(&frame, 0);
    flic_put_u32(&frame, 4);
    for (unsigned i = 0; i < MD_LEAF_PAGES; i++)
        flic_put_bytes(&frame, MD_HOLE.b, sizeof(MD_HOLE.b));
    ck_assert_int_eq(say(true), FLIC_E_PROTOCOL);
}
END_TEST

/* Blocks as a sender would encode them, at numbers of the test's choice. */
static int say_blocks(uint32_t disk, uint64_t first, size_t n, size_t cut)
{
    static uint8_t data[MP_BATCH * BLOCK];
    const void *head, *body;
    size_t head_len, body_len;
    uint64_t numbers[MP_BATCH];
    struct mp_coder *coder;
    int rc;

    for (size_t i = 0; i < n; i++)
        numbers[i] = first + i;
    OK(mp_coder_new(&coder, &err));
    OK(mp_encode(coder, numbers, n, data, &head, &head_len, &body, &body_len, &err));
    put_head(MW_DISK_BLOCKS);
    flic_put_u32(&frame, disk);
    flic_put_bytes(&frame, head, head_len);
    flic_put_bytes(&frame, body, body_len - cut);
    rc = say(false);
    mp_coder_free(coder);
    return rc;
}

START_TEST(blocks_beyond_the_end_or_of_another_disk_or_broken_are_refused_and_nothing_grows)
{
    struct stat st;

    ck_assert_int_eq(say_blocks(1, 0, 1, 0), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_blocks(0, BLOCKS, 1, 0), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_blocks(0, BLOCKS - 1, 2, 0), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_blocks(0, UINT32_MAX, 1, 0), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_blocks(0, 0, 3, 5), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_blocks(0, 0, 1, 0), -ECONNRESET);      /* the control: this one is good */
    ck_assert(!fstat(there, &st));
    ck_assert_uint_eq((uint64_t)st.st_size, SIZE);
}
END_TEST

START_TEST(an_end_that_tells_another_sum_or_an_answer_of_the_wrong_side_is_refused)
{
    ck_assert_int_eq(say_u32s(MW_DISK_END, false, 4, 1u, 0u, 0u, 0u), FLIC_E_DAMAGED);
    ck_assert_int_eq(say_u32s(MW_DISK_END, false, 2, 0u, 0u), FLIC_E_DAMAGED);
    ck_assert_int_eq(say_u32s(MW_DISK_END, false, 0), FLIC_E_DAMAGED);
    ck_assert_int_eq(say_u32s(MW_DISK_SAME, true, 2, 0u, 0u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_DISK_SYNC, true, 2, 0u, 0u), FLIC_E_PROTOCOL);
    ck_assert_int_eq(say_u32s(MW_LEAF, true, 0), FLIC_E_PROTOCOL);
}
END_TEST

START_TEST(a_disk_does_not_go_on_after_its_end)
{
    struct flic_err why = { 0 };
    uint8_t *data, *both;
    size_t len;
    bool whole;

    write_blocks(here, 0, 2);
    len = record(&data);
    both = malloc(2 * len);
    ck_assert_ptr_nonnull(both);
    memcpy(both, data, len);
    memcpy(both + len, data, len);
    ck_assert_int_eq(hear(both, 2 * len, false, &whole, &why), FLIC_E_PROTOCOL);
    free(both);
    free(data);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("migrate-disk");
    TCase *t = tcase_create("migrate-disk");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_disk_arrives_with_every_byte_and_its_holes_stay_holes);
    tcase_add_test(t, blocks_of_zeros_are_not_sent_and_take_no_room_there);
    tcase_add_test(t, a_disk_that_ends_within_a_block_arrives_and_grows_by_nothing);
    tcase_add_test(t, invariant_10_of_a_disk_whose_older_state_is_there_only_what_differs_is_sent);
    tcase_add_test(t, a_disk_that_is_all_there_costs_its_digests_only);
    tcase_add_test(t, a_full_file_system_is_said_by_name_to_both);
    tcase_add_test(t, a_stream_that_is_cut_at_any_frame_never_makes_a_whole_disk);
    tcase_add_test(t, a_frame_that_got_lost_or_came_twice_is_noticed_in_the_end);
    tcase_add_test(t, zeros_beyond_the_end_or_of_another_disk_are_refused);
    tcase_add_test(t, questions_about_a_disk_that_is_not_known_or_beyond_its_end_are_refused);
    tcase_add_test(t, blocks_beyond_the_end_or_of_another_disk_or_broken_are_refused_and_nothing_grows);
    tcase_add_test(t, an_end_that_tells_another_sum_or_an_answer_of_the_wrong_side_is_refused);
    tcase_add_test(t, a_disk_does_not_go_on_after_its_end);
    if (clones) {
        tcase_add_test(t, what_was_written_after_the_snapshot_is_all_that_is_sent_in_the_pause);
        tcase_add_test(t, of_a_disk_that_nobody_wrote_nothing_is_sent_twice);
        tcase_add_test(t, a_disk_that_changes_in_every_way_all_the_time_arrives_as_it_is_in_the_end);
    }
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner;
    int failed;

    begin();
    runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    end();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
