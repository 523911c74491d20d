/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * A store that FLIC 0.1.0 made opens, with all that is in it; one that a newer FLIC made is refused, and the version is named.
 *
 * tests/data/store-0.1.0 holds such a store, each file compressed with zstd: web@1 and web@3 on flash, web@2 forgotten, web@4 in NVRAM
 * alone. It was made by this program with FLIC_MAKE_STORE=FOLDER, which is for the next format, not for this one.
 */
#include "tests/unit/checkpoint-scene.h"

#include "common/io.h"

#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define PAGES 128u
#define ARENA (4u << 20)

#define PACKS_MAX 16u

/* Calls `each` for what a store consists of. */
static void each_file(void (*each)(const char *folder, const char *file), const char *folder)
{
    char pack[32];

    each(folder, "identity");
    each(folder, "index.sqlite");
    each(folder, "arena");
    for (unsigned i = 0; i < PACKS_MAX; i++) {
        (void)snprintf(pack, sizeof(pack), "packs/%08x.pack", i);
        each(folder, pack);
    }
}

/* What stands at a page after `saves` of the guest: words that compress to next to nothing. */
static void page_after(uint8_t page[PAGE], uint64_t gfn, unsigned saves)
{
    memset(page, (int)(gfn % 5), PAGE);
    if (gfn >= 20 && gfn < 24)
        memset(page, 100 + (int)saves, PAGE);
}

static void make_guest(unsigned saves)
{
    uint8_t page[PAGE];

    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        if (flx_fake_kind(GUEST, gfn) != FLX_PAGE_RAM)
            continue;
        page_after(page, gfn, saves);
        flx_fake_write(GUEST, gfn, 0, page, PAGE);
    }
}

static void compare(uint32_t domid, unsigned saves)
{
    uint8_t page[PAGE];

    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        if (gfn == RING_GFN || gfn == HOLE_GFN || gfn == SKIP_GFN)
            continue;
        page_after(page, gfn, saves);
        ck_assert_msg(!memcmp(flx_fake_page(domid, gfn), page, PAGE), "gfn %lu differs", (unsigned long)gfn);
    }
}

/* ---- the old store, brought out of its files ---- */

static void path_of(char out[256], const char *folder, const char *file, const char *end)
{
    ck_assert_int_lt(snprintf(out, 256, "%s/%s%s", folder, file, end), 256);
}

static void data_folder(char out[160])
{
    const char *top = getenv("srcdir");

    ck_assert_int_lt(snprintf(out, 160, "%s/tests/data/store-0.1.0", top ? top : "."), 160);
}

static void write_file(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_msg(fd >= 0 && !flic_pwrite_all(fd, data, len, 0), "%s", path);
    (void)close(fd);
}

static void bring_out(const char *folder, const char *file)
{
    char from[256], to[256];
    void *packed, *data;
    size_t len, size;

    path_of(from, folder, file, ".zst");
    path_of(to, scene_dir, file, "");
    if (strstr(file, "pack") && access(from, F_OK))
        return;
    OK(flic_load_file(from, 1 << 20, &packed, &len, &err));
    size = (size_t)ZSTD_getFrameContentSize(packed, len);
    ck_assert_uint_lt(size, 8 << 20);
    data = malloc(size);
    ck_assert_uint_eq(ZSTD_decompress(data, size, packed, len), size);
    write_file(to, data, size);
    free(data);
    free(packed);
}

static void set_up(void)
{
    char folder[160], copy[256];

    scene_begin(ARENA);
    scene_close();
    scene_lose_index();
    path_of(copy, scene_dir, "identity.copy", "");
    ck_assert_int_eq(unlink(copy), 0);      /* an old store has none */
    data_folder(folder);
    each_file(bring_out, folder);
}

static void tear_down(void)
{
    scene_end();
}

static struct nv_name name_of(uint64_t seq)
{
    return (struct nv_name){ .guest = scene_uuid(1), .seq = seq };
}

static void comes_back(uint64_t seq, unsigned saves)
{
    struct nv_name name = name_of(seq);
    uint32_t domid;

    OK(scene_restore(&name, &domid, NULL));
    compare(domid, saves);
    flx_fake_kill(domid);
}

START_TEST(a_store_of_0_1_0_opens_with_everything_in_it)
{
    struct ck_recovery recovery;
    struct ck_entry entry;
    struct nv_name next;

    scene_open();
    ck_get_recovery(store, &recovery);
    ck_assert(!recovery.index_rebuilt);
    ck_assert_uint_eq(recovery.damaged_roots + recovery.packs_quarantined + recovery.arena_damaged, 0);
    ck_assert_uint_eq(scene_count(), 3);
    next = name_of(2);
    ck_assert(ck_was_forgotten(store, &next.guest, 2));
    OK(ck_find(store, "web", 4, &entry, &err));
    ck_assert_uint_eq(entry.info.places, IX_NVRAM);
    comes_back(1, 1);
    comes_back(3, 3);
    comes_back(4, 4);
    scene_guest(GUEST, "web", 1, PAGES);
    make_guest(5);
    next = scene_save(GUEST, NULL, NULL);
    ck_assert_uint_eq(next.seq, 5);
    comes_back(5, 5);
    scene_reopen();
    ck_assert_uint_eq(scene_count(), 4);
    comes_back(5, 5);
    comes_back(1, 1);
}
END_TEST

/* ---- newer ones ---- */

/* Sets a number in a file and the XXH3-64 that follows or ends what it covers. */
static void make_newer(const char *file, uint64_t version_at, uint64_t sum_at, uint64_t copy_at)
{
    char path[256];
    uint8_t *bytes;
    void *data;
    size_t len;

    path_of(path, scene_dir, file, "");
    OK(flic_load_file(path, 4 << 20, &data, &len, &err));
    bytes = data;
    for (uint64_t base = 0; base <= copy_at; base += copy_at ? copy_at : 1) {
        uint32_t version = htole32(2);
        uint64_t sum;

        memcpy(bytes + base + version_at, &version, sizeof(version));
        sum = htole64(flic_checksum(bytes + base, sum_at ? sum_at : len - 8));
        memcpy(bytes + base + (sum_at ? sum_at : len - 8), &sum, sizeof(sum));
    }
    write_file(path, data, len);
    free(data);
}

static void refused(void)
{
    struct ck_config config = { .folder = scene_dir, .arena = scene_arena, .arena_bytes = ARENA };

    ck_assert_int_eq(ck_open(&config, &store, &err), FLIC_E_VERSION);
    ck_assert_msg(strstr(err.text, "version 2"), "%s", err.text);
    store = NULL;
}

START_TEST(a_newer_identity_is_refused)
{
    make_newer("identity", 4, 0, 0);
    refused();
}
END_TEST

START_TEST(a_newer_arena_is_refused)
{
    make_newer("arena", 8, 120, 4096);
    refused();
}
END_TEST

START_TEST(a_newer_pack_is_refused)
{
    make_newer("packs/00000001.pack", 8, 56, 0);
    refused();
}
END_TEST

START_TEST(a_newer_index_is_refused)
{
    static const uint8_t version[4] = { 0, 0, 0, 2 };   /* user_version, in SQLite's file format */
    char path[256];
    int fd;

    path_of(path, scene_dir, "index.sqlite", "");
    fd = open(path, O_RDWR);
    ck_assert(fd >= 0 && pwrite(fd, version, 4, 60) == 4 && !close(fd));
    refused();
}
END_TEST

/* Writes an object that says version 2 into a pack, as a newer flicd would beside ours. */
static void put_newer(enum pk_kind kind, const char magic[4])
{
    uint8_t data[64] = { 0 };
    struct pk_writer *w;
    struct flic_id id;

    memcpy(data, magic, 4);
    data[4] = 2;
    scene_open();
    OK(pk_writer_new(ck_packs(store), &w, &err));
    OK(pk_put(w, kind, data, sizeof(data), &id, NULL, &err));
    OK(pk_seal(w, &err));
    ck_end_writer(store, w);
    scene_close();
    refused();
}

START_TEST(a_newer_root_is_refused)
{
    put_newer(PK_ROOT, "CKF1");
}
END_TEST

START_TEST(a_newer_tombstone_is_refused)
{
    put_newer(PK_TOMBSTONE, "CKT1");
}
END_TEST

/* ---- making one ---- */

static unsigned current;

/* What is new is captured in the pause, so that frames and delta are in the arena. */
static int work_and_suspend(struct saving *s, struct flic_err *why)
{
    make_guest(current);
    return saving_suspend(s, why);
}

static struct nv_name save_number(unsigned saves)
{
    struct saving s;

    saving_init(&s, GUEST);
    current = saves;
    s.at_suspend = work_and_suspend;
    OK(saving_run(&s));
    saving_end(&s);
    image_free(&s.image);
    flx_fake_set_run(GUEST, FLX_RUNNING);
    ck_assert_uint_eq(s.name.seq, saves);
    return s.name;
}

static void pack_up(const char *folder, const char *file)
{
    char from[256], to[256];
    size_t len, room, packed;
    void *data, *out;

    path_of(from, scene_dir, file, "");
    path_of(to, folder, file, ".zst");
    if (strstr(file, "pack") && access(from, F_OK))
        return;
    OK(flic_load_file(from, 4 << 20, &data, &len, &err));
    room = ZSTD_compressBound(len);
    out = malloc(room);
    packed = ZSTD_compress(out, room, data, len, 19);
    ck_assert(!ZSTD_isError(packed));
    write_file(to, out, packed);
    free(out);
    free(data);
}

START_TEST(make_a_store)
{
    const char *folder = getenv("FLIC_MAKE_STORE");
    struct nv_name name;
    uint64_t freed;
    char path[256];

    scene_begin(ARENA);
    scene_guest(GUEST, "web", 1, PAGES);
    make_guest(0);
    for (unsigned i = 1; i <= 4; i++) {
        name = save_number(i);
        if (i == 1 || i == 3)
            OK(scene_destage(&name, NULL));
        if (i == 2)
            OK(ck_forget(store, &name, false, &freed, &err));
    }
    scene_close();
    path_of(path, folder, "packs", "");
    ck_assert(!mkdir(folder, 0755) && !mkdir(path, 0755));
    each_file(pack_up, folder);
    scene_open();
    scene_end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("versions");
    TCase *t = tcase_create("versions");

    suite_add_tcase(s, t);
    if (getenv("FLIC_MAKE_STORE")) {
        tcase_add_test(t, make_a_store);
        return s;
    }
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_store_of_0_1_0_opens_with_everything_in_it);
    tcase_add_test(t, a_newer_identity_is_refused);
    tcase_add_test(t, a_newer_arena_is_refused);
    tcase_add_test(t, a_newer_pack_is_refused);
    tcase_add_test(t, a_newer_index_is_refused);
    tcase_add_test(t, a_newer_root_is_refused);
    tcase_add_test(t, a_newer_tombstone_is_refused);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
