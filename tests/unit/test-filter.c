/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Checkpoints through libxc's stream. The test is libxc on both sides: it writes streams byte by byte as the specification in Xen's
 * docs/specs/libxc-migration-stream has them, not by our own code, and reads what comes back as strictly as xc_domain_restore() does.
 */
#include "tests/unit/checkpoint-scene.h"

#include "daemon/filter/kept.h"
#include "daemon/filter/restore.h"
#include "daemon/filter/save.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGES 600u              /* more than a leaf */
#define L1 1u
#define L4_PINNED 12u
#define BROKEN 13u
#define ALLOC 14u
#define NONE 15u

/* ---- libxc, writing ---- */

static struct { uint8_t bytes[16 << 20]; size_t len; } out;

static void put(const void *data, size_t len)
{
    ck_assert_uint_le(out.len + len, sizeof(out.bytes));
    memcpy(out.bytes + out.len, data, len);
    out.len += len;
}

static void put32(uint32_t v) { put(&v, 4); }
static void put64(uint64_t v) { put(&v, 8); }

static void record(uint32_t type, const void *body, uint32_t len)
{
    put32(type);
    put32(len);
    put(body, len);
    put("\0\0\0\0\0\0\0", (8 - len % 8) % 8);
}

static void headers(uint32_t version)
{
    uint8_t image[16] = { 0x58, 0x45, 0x4e, 0x46, 0, 0, 0, (uint8_t)version };

    out.len = 0;
    put64(UINT64_MAX);
    put(image, sizeof(image));
    put32(1);
    put32(12);
    put32(4);
    put32(20);
}

/* One page of what a test's guest has, or is to have. */
struct page { uint8_t type; bool there; uint8_t bytes[PAGE]; };
static struct page guest[PAGES];

static void fill_page(uint8_t *bytes, uint32_t seed)
{
    for (size_t i = 0; i < PAGE; i += 4) {
        seed = seed * 1664525u + 1013904223u;
        memcpy(bytes + i, &seed, 4);
    }
}

static void set_page(uint64_t pfn, unsigned type, uint32_t seed)
{
    guest[pfn].type = (uint8_t)type;
    guest[pfn].there = type < BROKEN || type == ALLOC;
    memset(guest[pfn].bytes, 0, PAGE);
    if (type < BROKEN && seed)
        fill_page(guest[pfn].bytes, seed);
}

/* PAGE_DATA of these pfns as they are now. */
static void pages(const uint64_t *pfns, uint32_t n)
{
    uint32_t with_bytes = 0;

    for (uint32_t i = 0; i < n; i++)
        with_bytes += guest[pfns[i]].type < BROKEN;
    put32(1);
    put32(8 + n * 8 + with_bytes * PAGE);
    put32(n);
    put32(0);
    for (uint32_t i = 0; i < n; i++)
        put64(pfns[i] | (uint64_t)guest[pfns[i]].type << 60);
    for (uint32_t i = 0; i < n; i++)
        if (guest[pfns[i]].type < BROKEN)
            put(guest[pfns[i]].bytes, PAGE);
}

static void all_pages(void)
{
    uint64_t pfns[PAGES];

    for (uint64_t i = 0; i < PAGES; i++)
        pfns[i] = i;
    pages(pfns, 500);
    pages(pfns + 500, PAGES - 500);
}

static void mark(uint64_t dirty)
{
    uint64_t body[2] = { dirty, 3 };

    record(0x4b52414d, body, 16);
}

static void first_records(void)
{
    record(0x11, "the CPU policy, 27 bytes...", 27);
    record(0x10, "", 0);
    record(0x03, "p2m frames", 10);
}

static void last_records(void)
{
    record(0x07, "shared_info", 11);
    record(0x04, "vCPU 0", 6);
    record(0x00, "", 0);
}

/* A guest with plain, zero and page-table pages, and holes. */
static void make_guest(uint32_t seed)
{
    for (uint32_t i = 0; i < PAGES; i++)
        set_page(i, i % 50 == 7 ? L1 : i % 50 == 9 ? L4_PINNED : i % 50 == 11 ? NONE : 0, i % 20 == 3 ? 0 : seed + i % 300);
}

/* Its whole stream: all of it live, then `n` pages from `first` on rewritten in the pause. */
static void whole_stream(uint64_t first, uint32_t n, uint32_t seed)
{
    uint64_t pfns[PAGES];

    headers(3);
    first_records();
    all_pages();
    mark(n);
    for (uint32_t i = 0; i < n; i++) {
        pfns[i] = first + i;
        set_page(first + i, 0, seed + i);
    }
    if (n)
        pages(pfns, n);
    last_records();
}

/* ---- a save ---- */

static unsigned suspends;
static uint64_t flash_at_suspend;
static int suspend_rc;
static int (*captured)(void *arg, struct flic_err *why);
static bool stopped;

static int on_suspend(void *arg, struct flic_err *why)
{
    (void)arg;
    suspends++;
    flash_at_suspend = scene_flash_bytes();
    flx_fake_set_run(GUEST, FLX_SUSPENDED);
    return suspend_rc ? flic_err_set(why, suspend_rc, "it would not") : 0;
}

static int on_stop(void *arg, struct flic_err *why)
{
    (void)arg;
    return stopped ? flic_err_set(why, FLIC_E_CANCELLED, "cancelled") : 0;
}

struct saved { struct nv_name name; struct ck_save_figures figures; };

static int take(struct lf_save *s, size_t len)
{
    int rc, fd = memfd_create("stream", 0);
    struct lf_pipe *pipe;

    ck_assert(fd >= 0 && write(fd, out.bytes, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
    OK(lf_pipe_new(fd, NULL, 0, on_stop, NULL, &pipe, &err));
    err = (struct flic_err){ 0 };
    rc = lf_save_take(s, pipe, &err);
    lf_pipe_free(pipe);
    return rc;
}

/* All up to published, of the first `len` bytes of the stream. */
static int save_cut(size_t len, const char *emulator, size_t emulator_len, struct saved *ret)
{
    struct flx_dom *dom;
    struct lf_save *s;
    struct lf_save_params params = { .config = "{}", .config_len = 2, .suspend = on_suspend, .captured = captured,
                                     .progress = scene_no_progress };
    int rc;

    suspends = 0;
    OK(flx_open(GUEST, &dom, &err));
    params.dom = dom;
    OK(lf_save_new(store, &params, &s, &err));
    rc = take(s, len);
    if (!rc)
        rc = lf_save_commit(s, emulator, emulator_len, &err);
    if (!rc)
        rc = lf_save_publish(s, "[]", 2, &err);
    if (!rc && ret) {
        ret->name = (struct nv_name){ .guest = lf_save_facts(s)->guest, .seq = lf_save_facts(s)->seq };
        ret->figures = *lf_save_get_figures(s);
    }
    lf_save_free(s);
    flx_close(dom);
    return rc;
}

static struct saved save_it(void)
{
    struct saved saved;
    int rc = save_cut(out.len, NULL, 0, &saved);

    ck_assert_msg(!rc, "%d: %s", rc, err.text);
    ck_assert_uint_eq(suspends, 1);
    return saved;
}

/* ---- libxc, reading ---- */

struct reader { int fd; uint8_t *bytes; size_t len, room; };

static void *read_all(void *arg)
{
    struct reader *r = arg;
    ssize_t n;

    while ((n = read(r->fd, r->bytes + r->len, r->room - r->len)) > 0)
        r->len += (size_t)n;
    return NULL;
}

static struct reader got;

static int restore(const struct nv_name *name, struct ck_restore_figures *ret_figures)
{
    struct ck_restore_figures figures;
    struct lf_restore_params params = { .progress = scene_no_progress };
    struct ck_loaded loaded;
    struct ck_entry entry;
    pthread_t thread;
    int fds[2], rc;

    OK(ck_find_exact(store, &name->guest, name->seq, &entry, &err));
    OK(ck_load(store, &entry, &loaded, &err));
    ck_assert(lf_is_kept(loaded.root.state, loaded.root.state_len));
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    free(got.bytes);
    got = (struct reader){ .fd = fds[1], .bytes = malloc(sizeof(out.bytes)), .room = sizeof(out.bytes) };
    ck_assert(!pthread_create(&thread, NULL, read_all, &got));
    OK(lf_pipe_new(fds[0], NULL, 0, on_stop, NULL, &params.to, &err));
    err = (struct flic_err){ 0 };
    rc = lf_restore(store, &loaded, &params, ret_figures ? ret_figures : &figures, &err);
    lf_pipe_free(params.to);
    ck_assert(!pthread_join(thread, NULL));
    (void)close(fds[1]);
    ck_unload(store, &loaded);
    return rc;
}

static uint32_t at32(size_t at)
{
    uint32_t v;

    ck_assert_uint_le(at + 4, got.len);
    memcpy(&v, got.bytes + at, 4);
    return v;
}

static uint64_t at64(size_t at)
{
    return at32(at) | (uint64_t)at32(at + 4) << 32;
}

/* Takes one PAGE_DATA record apart: each page must be what the guest has, and come once. */
static void compare_pages(size_t at, bool *seen, bool whole)
{
    uint32_t length = at32(at + 4), n = at32(at + 8);
    size_t bytes = at + 16 + (size_t)n * 8;

    ck_assert_uint_eq(at32(at + 12), 0);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t entry = at64(at + 16 + i * 8ul), pfn = entry << 12 >> 12;

        ck_assert_uint_lt(pfn, PAGES);
        ck_assert_msg(!seen[pfn], "pfn %llu comes twice", (unsigned long long)pfn);
        seen[pfn] = true;
        if (!whole && bytes + PAGE > got.len)
            return;
        ck_assert_uint_eq(entry >> 60, guest[pfn].type == ALLOC ? 0 : guest[pfn].type);
        ck_assert_uint_le(bytes + PAGE, got.len);
        ck_assert_msg(!memcmp(got.bytes + bytes, guest[pfn].bytes, PAGE), "pfn %llu is another page", (unsigned long long)pfn);
        bytes += PAGE;
    }
    ck_assert_uint_eq(bytes - at - 8, length);
}

/* What came back is the guest, and around it the records of the stream that is in `out`, in their order. */
static void compare(void)
{
    bool seen[PAGES] = { false };
    size_t at = 40, n_records = 0;
    static const uint32_t order[] = { 0x11, 0x10, 0x03, 1, 0x07, 0x04, 0x00 };
    uint32_t type = 99;

    ck_assert_uint_gt(got.len, 40);
    ck_assert_mem_eq(got.bytes, out.bytes, 40);
    while (type) {
        uint32_t length = at32(at + 4);

        type = at32(at);
        if (type == 1)
            compare_pages(at, seen, true);
        if (type != 1 || order[n_records - 1] != 1)
            ck_assert_uint_eq(type, order[n_records++]);
        at += 8 + (length + 7) / 8 * 8;
    }
    ck_assert_uint_eq(at, got.len);
    ck_assert_uint_eq(n_records, 7);
    for (size_t i = 0; i < PAGES; i++)
        ck_assert_msg(seen[i] == guest[i].there, "pfn %zu is %s", i, seen[i] ? "there" : "missing");
}

static void comes_back(const struct nv_name *name)
{
    int rc = restore(name, NULL);

    ck_assert_msg(!rc, "%d: %s", rc, err.text);
    compare();
}

static unsigned n_pages(bool only_zero)
{
    unsigned n = 0;

    for (size_t i = 0; i < PAGES; i++)
        n += guest[i].there && (!only_zero || flic_is_zero(guest[i].bytes, PAGE));
    return n;
}

/* ---- scenes ---- */

static void set_up(void)
{
    scene_begin(16 * MIB);
    flx_fake_add(GUEST, "web", &(struct flic_uuid){ .b = { 1 } }, 0, PAGES);
    flx_fake_set_way(GUEST, true, false);
    suspend_rc = 0;
    captured = NULL;
    stopped = false;
    make_guest(1000);
}

static void tear_down(void)
{
    free(got.bytes);
    got.bytes = NULL;
    scene_end();
}

START_TEST(a_guest_comes_back_with_its_pages_their_types_and_all_records_in_their_order)
{
    struct saved saved;

    whole_stream(100, 40, 9000);
    saved = save_it();
    ck_assert_uint_eq(scene_count(), 1);
    ck_assert_uint_eq(saved.figures.rounds, 3);
    ck_assert_uint_eq(saved.figures.ram_pages, n_pages(false));
    ck_assert_uint_eq(saved.figures.zero_pages, n_pages(true));
    comes_back(&saved.name);
    scene_reopen();
    comes_back(&saved.name);
}
END_TEST

START_TEST(a_guest_comes_back_from_flash_when_its_nvram_is_lost)
{
    struct saved saved;

    whole_stream(100, 40, 9000);
    saved = save_it();
    OK(scene_destage(&saved.name, NULL));
    scene_close();
    scene_lose_arena();
    scene_open();
    comes_back(&saved.name);
}
END_TEST

START_TEST(what_comes_in_the_pause_goes_to_nvram_and_nothing_of_it_to_flash)
{
    struct saved saved;

    whole_stream(100, 40, 9000);
    saved = save_it();
    ck_assert_uint_eq(saved.figures.ws_pages, 40);
    ck_assert_uint_eq(saved.figures.spilled_pages, 0);
    ck_assert_uint_eq(saved.figures.flash_bytes_in_pause, 0);
    ck_assert_uint_eq(scene_flash_bytes(), flash_at_suspend);
    ck_assert_uint_gt(flash_at_suspend, 0);
}
END_TEST

static atomic_bool wrote;

static void *want_to_write(void *arg)
{
    (void)arg;
    ck_work_begin(store);
    atomic_store(&wrote, true);
    ck_work_end(store);
    return NULL;
}

static pthread_t writer;

static int on_captured(void *arg, struct flic_err *why)
{
    (void)arg;
    (void)why;
    ck_assert(!pthread_create(&writer, NULL, want_to_write, NULL));
    (void)usleep(100000);
    ck_assert_msg(!atomic_load(&wrote), "another operation wrote flash while the guest stood still");
    return 0;
}

START_TEST(from_the_suspend_until_the_guest_runs_on_nothing_else_of_ours_writes_flash)
{
    captured = on_captured;
    whole_stream(100, 40, 9000);
    (void)save_it();
    ck_assert(!pthread_join(writer, NULL));
    ck_assert(atomic_load(&wrote));
}
END_TEST

START_TEST(invariant_10_a_second_save_stores_none_of_the_pages_again)
{
    struct saved first, second;

    whole_stream(0, 0, 0);
    first = save_it();
    ck_assert_uint_gt(first.figures.new_pages, 250);
    ck_assert_uint_gt(first.figures.dedup_pages, 100);      /* the guest has doubles */
    whole_stream(0, 0, 0);
    second = save_it();
    ck_assert_uint_eq(second.figures.new_pages, 0);
    comes_back(&second.name);
}
END_TEST

START_TEST(of_a_page_that_comes_again_the_last_content_type_and_absence_count)
{
    uint64_t some[] = { 7, 9, 11, 20, 21, 22, 23 };
    struct saved saved;

    headers(3);
    first_records();
    all_pages();
    set_page(7, 0, 50);             /* no page table any more */
    set_page(20, L1, 51);           /* one now */
    set_page(21, NONE, 0);          /* ballooned out */
    pages(some, 7);
    mark(7);
    set_page(9, NONE, 0);           /* gone in the pause */
    set_page(11, 0, 52);            /* come */
    set_page(22, ALLOC, 0);         /* there, its content of no interest: zero */
    set_page(23, 0, 0);
    pages(some, 7);
    set_page(23, 0, 53);            /* and once more */
    set_page(22, NONE, 0);
    pages(some, 7);
    last_records();
    saved = save_it();
    comes_back(&saved.name);
}
END_TEST

START_TEST(a_guest_that_cannot_be_copied_while_it_runs_is_copied_whole_in_the_pause_and_what_does_not_fit_spills)
{
    struct saved saved;

    for (int small = 0; small < 2; small++) {
        if (small) {
            scene_end();
            scene_begin(2 * MIB);
            flx_fake_add(GUEST, "web", &(struct flic_uuid){ .b = { 1 } }, 0, PAGES);
        }
        headers(3);
        first_records();
        mark(UINT64_MAX);
        all_pages();
        last_records();
        saved = save_it();
        ck_assert_uint_eq(saved.figures.live_pages, 0);
        ck_assert_int_eq(saved.figures.spilled_pages > 0, small);
        ck_assert_int_eq(saved.figures.flash_bytes_in_pause > 0, small);
        comes_back(&saved.name);
    }
}
END_TEST

START_TEST(the_device_model_s_records_are_kept_and_others_are_not_taken_for_them)
{
    const char model[] = "\2\0\0\0\5\0\0\0qemu!\0\0\0" "\0\0\0\0\0\0\0\0";
    struct saved saved;
    struct ck_loaded loaded;
    struct ck_entry entry;
    struct lf_kept kept;

    whole_stream(0, 4, 1);
    ck_assert_int_eq(save_cut(out.len, "records", 7, NULL), FLIC_E_PROTOCOL);
    ck_assert_int_eq(save_cut(out.len, model, sizeof(model) - 9, NULL), FLIC_E_PROTOCOL);   /* no end */
    ck_assert_uint_eq(scene_count(), 0);
    ck_assert_int_eq(save_cut(out.len, model, sizeof(model) - 1, &saved), 0);
    OK(ck_find_exact(store, &saved.name.guest, saved.name.seq, &entry, &err));
    OK(ck_load(store, &entry, &loaded, &err));
    OK(lf_restore_kept(&loaded, &kept, &err));
    ck_assert_uint_eq(kept.emulator_len, sizeof(model) - 1);
    ck_assert_mem_eq(kept.emulator, model, sizeof(model) - 1);
    ck_unload(store, &loaded);
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(a_guest_that_does_not_suspend_costs_nothing_and_the_store_goes_on)
{
    struct saved saved;

    whole_stream(0, 4, 1);
    suspend_rc = FLIC_E_GUEST;
    ck_assert_int_eq(save_cut(out.len, NULL, 0, NULL), FLIC_E_GUEST);
    ck_assert_uint_eq(scene_count(), 0);
    suspend_rc = 0;
    saved = save_it();
    comes_back(&saved.name);
}
END_TEST

START_TEST(a_stream_that_ends_anywhere_is_refused_and_nothing_is_offered)
{
    size_t whole;

    whole_stream(100, 2, 9000);
    whole = out.len;
    for (size_t len = 0; len < whole; len += len < 400 || whole - len < 200 ? 11 : 300011) {
        int rc = save_cut(len, NULL, 0, NULL);

        ck_assert_msg(rc == FLIC_E_XEN, "cut at %zu of %zu: %d, %s", len, whole, rc, err.text);
    }
    ck_assert_uint_eq(scene_count(), 0);
}
END_TEST

static const struct { const char *what; int code; } wrongs[] = {
    { "the marker", FLIC_E_DAMAGED }, { "another version", FLIC_E_VERSION }, { "an unknown kind of guest", FLIC_E_REFUSED },
    { "more pages than the record holds", FLIC_E_DAMAGED }, { "an unknown type of page", FLIC_E_DAMAGED },
    { "a pfn beyond the guest", FLIC_E_REFUSED }, { "a record that is too long to be kept", FLIC_E_REFUSED },
    { "records that are too many to be kept", FLIC_E_REFUSED }, { "an end before the suspend", FLIC_E_DAMAGED },
    { "a second mark", FLIC_E_DAMAGED }, { "a checkpoint of Remus", FLIC_E_DAMAGED }, { "a length that is not that of the pages", FLIC_E_DAMAGED },
    { "pages without a count", FLIC_E_DAMAGED }, { "a mark of another length", FLIC_E_DAMAGED },
};

static void put_wrong(int what)
{
    static const uint8_t much[200000];
    uint64_t pfn = PAGES;

    headers(what == 1 ? 4 : 3);
    if (what == 0)
        out.bytes[3] = 0;
    if (what == 2)
        out.bytes[24] = 3;
    first_records();
    switch (what) {
    case 3: put32(1); put32(16); put32(4000); put32(0); break;
    case 4: put32(1); put32(8 + 8 + PAGE); put32(1); put32(0); put64(5ull << 60); put(much, PAGE); break;
    case 5: put32(1); put32(8 + 8 + PAGE); put32(1); put32(0); put64(pfn); put(much, PAGE); break;
    case 6: put32(0x12); put32(0xfffffff0); break;
    case 7: for (int i = 0; i < 6; i++) record(0x12, much, sizeof(much)); break;
    case 8: record(0, "", 0); break;
    case 9: mark(0); mark(0); break;
    case 10: record(0x0e, "", 0); break;
    case 11: put32(1); put32(8 + 8 + PAGE + 8); put32(1); put32(0); put64(3); put(much, PAGE + 8); break;
    case 12: put32(1); put32(4); put32(0); put32(0); break;
    case 13: record(0x4b52414d, "12345678", 8); break;
    default: break;
    }
    mark(0);
    last_records();
}

START_TEST(a_stream_that_is_not_libxc_s_is_refused_for_that_reason)
{
    int rc;

    put_wrong(_i);
    rc = save_cut(out.len, NULL, 0, NULL);
    ck_assert_msg(rc == wrongs[_i].code, "%s: %d, %s", wrongs[_i].what, rc, err.text);
    ck_assert_uint_eq(scene_count(), 0);
}
END_TEST

/* Wherever a bit is flipped: refused, or taken and given back without a fault. That a flipped page is another page cannot be known. */
START_TEST(a_stream_with_any_bit_flipped_does_no_harm)
{
    unsigned refused = 0, taken = 0;
    size_t pages_begin, whole;

    headers(3);
    first_records();
    pages_begin = out.len;
    whole_stream(100, 2, 9000);
    whole = out.len;
    for (size_t bit = (size_t)_i; bit < whole * 8; bit += bit / 8 < pages_begin + 800 || whole - bit / 8 < 150 ? 401 : 2000003) {
        struct saved saved;
        int rc;

        out.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        rc = save_cut(whole, NULL, 0, &saved);
        refused += rc != 0;
        if (!rc) {
            taken++;
            rc = restore(&saved.name, NULL);
            ck_assert_msg(!rc, "bit %zu: %d, %s", bit, rc, err.text);
            OK(ck_forget(store, &saved.name, false, &(uint64_t){ 0 }, &err));
        }
        out.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert_uint_gt(refused, 10);
    ck_assert_uint_gt(taken, 10);
}
END_TEST

START_TEST(invariant_4_a_damaged_page_ends_the_stream_before_it_and_is_named)
{
    bool seen[PAGES] = { false };
    struct saved saved;
    struct ck_loaded loaded;
    struct ck_entry entry;
    const uint8_t *frame;
    size_t at = 40;
    int rc;

    whole_stream(100, 40, 9000);
    saved = save_it();
    OK(ck_find_exact(store, &saved.name.guest, saved.name.seq, &entry, &err));
    OK(ck_load(store, &entry, &loaded, &err));
    frame = nv_object_frame(ck_arena(store), &saved.name, loaded.root.delta[20].frame);
    ((uint8_t *)(uintptr_t)frame)[77] ^= 1;
    ck_unload(store, &loaded);
    rc = restore(&saved.name, NULL);
    ck_assert_int_eq(rc, FLIC_E_DAMAGED);
    ck_assert_msg(strstr(err.text, "0x78") != NULL, "%s", err.text);    /* pfn 120 */
    while (at + 8 <= got.len && at32(at) != 0) {
        if (at32(at) == 1)
            compare_pages(at, seen, false);
        at += 8 + (at32(at + 4) + 7) / 8 * 8;
    }
    ck_assert_msg(!seen[120], "the damaged page was handed on");
}
END_TEST

START_TEST(a_libxc_that_stops_reading_and_a_cancel_end_a_restore)
{
    struct lf_restore_params params = { .progress = scene_no_progress };
    struct ck_restore_figures figures;
    struct ck_loaded loaded;
    struct ck_entry entry;
    struct saved saved;

    whole_stream(100, 40, 9000);
    saved = save_it();
    OK(ck_find_exact(store, &saved.name.guest, saved.name.seq, &entry, &err));
    for (int cancel = 0; cancel < 2; cancel++) {
        int fds[2];

        OK(ck_load(store, &entry, &loaded, &err));
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        OK(lf_pipe_new(fds[0], NULL, 0, on_stop, NULL, &params.to, &err));
        stopped = cancel;       /* nobody reads: it stalls first */
        if (!cancel)
            (void)close(fds[1]);
        ck_assert_int_eq(lf_restore(store, &loaded, &params, &figures, &err), cancel ? FLIC_E_CANCELLED : FLIC_E_XEN);
        lf_pipe_free(params.to);
        if (cancel)
            (void)close(fds[1]);
        ck_unload(store, &loaded);
    }
}
END_TEST

START_TEST(what_is_kept_is_refused_when_cut_or_changed_anywhere)
{
    const uint32_t tables[] = { 5 | 1u << 28, 9 | 12u << 28 };
    struct lf_kept kept = { .tables = (const uint8_t *)tables, .n_tables = 2 }, back;
    uint8_t *bytes;
    void *state;
    size_t len, head_len;

    headers(3);
    first_records();
    head_len = out.len;
    last_records();
    kept.head = out.bytes;
    kept.head_len = head_len;
    kept.tail = out.bytes + head_len;
    kept.tail_len = out.len - head_len;
    OK(lf_kept_build(&kept, &state, &len, &err));
    bytes = state;
    OK(lf_kept_parse(state, len, &back, &err));
    ck_assert_uint_eq(back.n_tables, 2);
    ck_assert_uint_eq(lf_table_pfn(&back, 1), 9);
    ck_assert_uint_eq(lf_table_type(&back, 1), L4_PINNED);
    for (size_t cut = 0; cut < len; cut++)
        ck_assert_int_ne(lf_kept_parse(state, cut, &back, &err), 0);
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_ne(lf_kept_parse(state, len, &back, &err), 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(state);
    kept.tables = (const uint8_t *)(const uint32_t[]){ 9 | 1u << 28, 5 | 1u << 28 };   /* whole, but wrong: out of order */
    OK(lf_kept_build(&kept, &state, &len, &err));
    ck_assert_int_eq(lf_kept_parse(state, len, &back, &err), FLIC_E_DAMAGED);
    free(state);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("filter");
    TCase *good = tcase_create("whole"), *bad = tcase_create("wrong");

    tcase_add_checked_fixture(good, set_up, tear_down);
    tcase_add_test(good, a_guest_comes_back_with_its_pages_their_types_and_all_records_in_their_order);
    tcase_add_test(good, a_guest_comes_back_from_flash_when_its_nvram_is_lost);
    tcase_add_test(good, what_comes_in_the_pause_goes_to_nvram_and_nothing_of_it_to_flash);
    tcase_add_test(good, from_the_suspend_until_the_guest_runs_on_nothing_else_of_ours_writes_flash);
    tcase_add_test(good, invariant_10_a_second_save_stores_none_of_the_pages_again);
    tcase_add_test(good, of_a_page_that_comes_again_the_last_content_type_and_absence_count);
    tcase_add_test(good, a_guest_that_cannot_be_copied_while_it_runs_is_copied_whole_in_the_pause_and_what_does_not_fit_spills);
    tcase_add_test(good, the_device_model_s_records_are_kept_and_others_are_not_taken_for_them);
    tcase_add_checked_fixture(bad, set_up, tear_down);
    tcase_set_timeout(bad, 60);
    tcase_add_test(bad, a_guest_that_does_not_suspend_costs_nothing_and_the_store_goes_on);
    tcase_add_test(bad, a_stream_that_ends_anywhere_is_refused_and_nothing_is_offered);
    tcase_add_loop_test(bad, a_stream_that_is_not_libxc_s_is_refused_for_that_reason, 0, sizeof(wrongs) / sizeof(wrongs[0]));
    tcase_add_loop_test(bad, a_stream_with_any_bit_flipped_does_no_harm, 0, 3);
    tcase_add_test(bad, invariant_4_a_damaged_page_ends_the_stream_before_it_and_is_named);
    tcase_add_test(bad, a_libxc_that_stops_reading_and_a_cancel_end_a_restore);
    tcase_add_test(bad, what_is_kept_is_refused_when_cut_or_changed_anywhere);
    suite_add_tcase(suite, good);
    suite_add_tcase(suite, bad);
    return scene_run(suite);
}
