/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Invariant 4: no guest starts on wrong bytes. Bytes are flipped in NVRAM, in packs, in roots. */
#include "tests/unit/checkpoint-scene.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static struct image image;

static void set_up(void)
{
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
}

static void tear_down(void)
{
    image_free(&image);
    scene_end();
}

static struct nv_name save_with_work(void)
{
    const struct scene_work work = { .first = 600, .n = 50, .seed = 6060 };

    image_free(&image);
    return scene_save_with_work(GUEST, &work, &image, NULL);
}

/* Finds the bytes in a file and flips one bit of the middle one; false when they are not there. */
static bool flip_in(const char *path, const void *needle, size_t len)
{
    int fd = open(path, O_RDWR);
    struct stat st;
    uint8_t *all, *at, byte;
    bool found;

    ck_assert(fd >= 0 && !fstat(fd, &st));
    all = malloc((size_t)st.st_size);
    ck_assert_int_eq(pread(fd, all, (size_t)st.st_size, 0), st.st_size);
    at = memmem(all, (size_t)st.st_size, needle, len);
    found = at;
    if (at) {
        byte = at[len / 2] ^ 1;
        ck_assert_int_eq(pwrite(fd, &byte, 1, at - all + (off_t)(len / 2)), 1);
    }
    free(all);
    ck_assert_int_eq(close(fd), 0);
    return found;
}

static int refused_restore(const struct nv_name *name)
{
    uint32_t domid = 0;
    int rc = scene_restore(name, &domid, NULL);

    ck_assert_int_lt(rc, 0);
    if (domid) {
        ck_assert_msg(!flx_fake_built(domid), "a guest was started on wrong bytes");
        ck_assert_int_ne(flx_fake_run(domid), FLX_RUNNING);
    }
    ck_assert_msg(strstr(err.text, "web@1"), "it does not name the checkpoint: %s", err.text);
    return rc;
}

START_TEST(invariant_4_a_flipped_byte_in_a_page_in_nvram_is_refused_naming_checkpoint_gfn_and_frame)
{
    struct nv_name name = save_with_work();

    scene_close();
    ck_assert(flip_in(scene_arena, image.bytes + 613 * PAGE, PAGE));
    scene_open();
    ck_assert_int_eq(refused_restore(&name), FLIC_E_DAMAGED);
    ck_assert_msg(strstr(err.text, "gfn 0x265"), "%s", err.text);
    ck_assert_msg(strstr(err.text, "frame"), "%s", err.text);
    ck_assert(scene_offers(&name));
}
END_TEST

/* State, configuration, leaf table and delta in NVRAM: each alone makes the restore impossible, before there is a domain. */
START_TEST(invariant_4_a_flipped_byte_in_any_part_of_the_root_in_nvram_is_refused)
{
    static const char *const names[] = { "machine state", "configuration", "page map", "page delta" };
    struct nv_name name = save_with_work();
    struct ck_loaded loaded;
    struct ck_entry entry;
    uint8_t delta[CK_DELTA_ENTRY];
    bool flipped;

    for (int part = 0; part < 4; part++) {
        OK(ck_find_exact(store, &name.guest, name.seq, &entry, &err));
        OK(ck_load(store, &entry, &loaded, &err));
        ck_delta_put(delta, &loaded.root.delta[7]);
        scene_close();
        flipped = part == 0 ? flip_in(scene_arena, loaded.root.state, loaded.root.state_len)
                : part == 1 ? flip_in(scene_arena, loaded.root.config, loaded.root.config_len)
                : part == 2 ? flip_in(scene_arena, loaded.root.leaves, loaded.root.n_leaves * sizeof(struct flic_id))
                : flip_in(scene_arena, delta, sizeof(delta));
        ck_assert(flipped);
        loaded.in_arena = false;
        ck_root_fini(&loaded.root);
        scene_open();
        ck_assert_int_eq(refused_restore(&name), FLIC_E_DAMAGED);
        ck_assert_msg(strstr(err.text, names[part]), "%s", err.text);
        scene_end();                        /* a clean one for the next part */
        set_up();
        name = save_with_work();
    }
}
END_TEST

static char a_pack[512];
static unsigned packs_seen, pack_wanted;

static int see_pack(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    (void)st;
    if (type == FTW_F && strstr(path, ".pack") && packs_seen++ == pack_wanted)
        (void)snprintf(a_pack, sizeof(a_pack), "%s", path);
    return 0;
}

static bool nth_pack(unsigned n)
{
    pack_wanted = n;
    packs_seen = 0;
    ck_assert_int_eq(nftw(scene_dir, see_pack, 16, FTW_PHYS), 0);
    return packs_seen > n;
}

START_TEST(invariant_4_a_flipped_byte_of_a_page_in_a_pack_is_refused_naming_checkpoint_gfn_and_pack)
{
    struct nv_name name = save_with_work();
    bool flipped = false;

    scene_close();
    /* gfn 1001 is random bytes: stored as they are */
    for (unsigned i = 0; !flipped && nth_pack(i); i++)
        flipped = flip_in(a_pack, image.bytes + 1001 * PAGE + 1024, 1024);
    ck_assert(flipped);
    scene_open();
    ck_assert_int_eq(refused_restore(&name), FLIC_E_DAMAGED);
    ck_assert_msg(strstr(err.text, "gfn 0x"), "it names no gfn: %s", err.text);
    ck_assert_msg(strstr(err.text, "pack"), "it names no pack: %s", err.text);
}
END_TEST

static uint64_t flips_refused, flips_harmless;

/* Whatever byte of whatever pack is wrong: the restore is refused, or its result is right. */
START_TEST(invariant_4_a_flipped_byte_anywhere_in_the_packs_never_starts_a_wrong_guest)
{
    struct nv_name name = save_with_work();
    struct stat st;
    uint32_t domid;

    OK(scene_destage(&name, NULL));
    for (unsigned i = 0; nth_pack(i); i++) {
        ck_assert_int_eq(stat(a_pack, &st), 0);
        for (int k = 0; k < 12; k++) {
            off_t at = k < 11 ? st.st_size * k / 11 : st.st_size - 1;
            int fd;
            uint8_t byte;

            scene_close();
            fd = open(a_pack, O_RDWR);
            ck_assert(fd >= 0 && pread(fd, &byte, 1, at) == 1);
            byte ^= 0x20;
            ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
            scene_open();
            if (scene_restore(&name, &domid, NULL)) {
                flips_refused++;
            } else {
                flips_harmless++;
                image_compare(&image, domid);
                flx_fake_kill(domid);
            }
            scene_close();
            byte ^= 0x20;
            ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
            ck_assert_int_eq(close(fd), 0);
            scene_open();
            flx_fake_reset();
            scene_guest(GUEST, "web", 1, 128);
        }
    }
    ck_assert_uint_gt(flips_refused, 3);
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(a_root_damaged_in_nvram_is_read_from_flash_when_it_is_there)
{
    struct nv_name name = save_with_work();
    struct ck_restore_figures figures;
    struct ck_loaded loaded;
    struct ck_entry entry;
    uint32_t domid;

    OK(scene_destage(&name, NULL));
    OK(ck_find_exact(store, &name.guest, name.seq, &entry, &err));
    OK(ck_load(store, &entry, &loaded, &err));
    scene_close();
    ck_assert(flip_in(scene_arena, loaded.root.config, loaded.root.config_len));
    loaded.in_arena = false;
    ck_root_fini(&loaded.root);
    scene_open();
    OK(scene_restore(&name, &domid, &figures));
    ck_assert_uint_eq(figures.nvram_pages, 0);
    image_compare(&image, domid);
}
END_TEST

START_TEST(a_page_damaged_in_nvram_is_read_from_flash_when_it_is_there)
{
    struct nv_name name = save_with_work();
    struct ck_restore_figures figures;
    uint32_t domid;

    OK(scene_destage(&name, NULL));
    scene_close();
    ck_assert(flip_in(scene_arena, image.bytes + 613 * PAGE, PAGE));
    scene_open();
    OK(scene_restore(&name, &domid, &figures));
    image_compare(&image, domid);
    ck_assert_uint_eq(figures.repaired_pages, 1);
    ck_assert_uint_gt(figures.nvram_pages, 0);      /* the others still come from NVRAM */
}
END_TEST

START_TEST(a_damaged_checkpoint_does_not_keep_later_ones_from_flash)
{
    struct nv_name bad = save_with_work(), good;
    struct ck_entry entry;
    struct ck_destage_figures d;

    scene_close();
    ck_assert(flip_in(scene_arena, image.bytes + 613 * PAGE, PAGE));
    scene_open();
    scene_dirty(GUEST, 600, 50, 11);
    good = save_with_work();
    ck_assert(ck_destage_next(store, &entry));
    ck_assert_uint_eq(entry.info.seq, bad.seq);
    ck_assert_int_eq(ck_destage(store, &entry, scene_never, NULL, &d, &err), FLIC_E_DAMAGED);
    ck_assert_msg(strstr(err.text, "web@1") && strstr(err.text, "gfn 0x265"), "%s", err.text);
    ck_assert(ck_destage_next(store, &entry));
    ck_assert_uint_eq(entry.info.seq, good.seq);
    OK(scene_destage(&good, NULL));
    ck_assert(!ck_destage_next(store, &entry));
    scene_restore_and_compare(&good, &image);
}
END_TEST

static uint64_t unreadable;         /* the number of a checkpoint whose leaves cannot be read now; 0: none */

int __real_ck_load_map(struct ck_store *s, const struct ck_loaded *from, struct ck_map **ret_map, struct flic_err *e);
int __wrap_ck_load_map(struct ck_store *s, const struct ck_loaded *from, struct ck_map **ret_map, struct flic_err *e);
int __wrap_ck_load_map(struct ck_store *s, const struct ck_loaded *from, struct ck_map **ret_map, struct flic_err *e)
{
    return unreadable && from->name.seq == unreadable ? flic_err_set(e, -EIO, "made to fail") : __real_ck_load_map(s, from, ret_map, e);
}

START_TEST(one_that_cannot_be_read_now_does_not_keep_later_ones_from_flash_either)
{
    struct nv_name bad = save_with_work(), good;
    struct ck_destage_figures d;
    struct ck_entry entry;

    good = save_with_work();
    unreadable = bad.seq;
    ck_assert(ck_destage_next(store, &entry));
    ck_assert_int_eq(ck_destage(store, &entry, scene_never, NULL, &d, &err), -EIO);
    ck_assert(ck_destage_next(store, &entry));
    ck_assert_uint_eq(entry.info.seq, good.seq);
    unreadable = 0;
    OK(scene_destage(&good, NULL));
    ck_assert(!ck_destage_next(store, &entry));         /* for a while */
    scene_reopen();
    ck_assert(ck_destage_next(store, &entry));
    ck_assert_uint_eq(entry.info.seq, bad.seq);
    OK(scene_destage(&bad, NULL));
}
END_TEST

START_TEST(nothing_is_freed_while_a_checkpoint_cannot_be_read_and_forgetting_that_one_works)
{
    struct nv_name bad = save_with_work(), good;
    struct ck_loaded loaded;
    struct ck_entry entry;
    uint64_t freed, before;

    OK(ck_find_exact(store, &bad.guest, bad.seq, &entry, &err));
    OK(ck_load(store, &entry, &loaded, &err));
    scene_close();
    ck_assert(flip_in(scene_arena, loaded.root.leaves, 48));
    loaded.in_arena = false;
    ck_root_fini(&loaded.root);
    scene_open();
    scene_dirty(GUEST, 1000, 100, 31);
    good = save_with_work();
    before = scene_flash_bytes();
    OK(ck_forget(store, &good, false, &freed, &err));
    ck_assert(!scene_offers(&good));
    ck_assert_uint_eq(freed, 0);
    ck_assert_uint_ge(scene_flash_bytes(), before);
    OK(ck_forget(store, &bad, false, &freed, &err));
    ck_assert_uint_gt(freed, 100 * PAGE);
    ck_assert_uint_eq(scene_count(), 0);
}
END_TEST

START_TEST(a_damaged_tombstone_is_told)
{
    struct nv_name name = save_with_work();
    struct ck_recovery recovery;
    unsigned last = 0;
    uint64_t freed;
    uint8_t byte;
    int fd;

    OK(ck_forget(store, &name, false, &freed, &err));
    ck_get_recovery(store, &recovery);
    ck_assert_uint_eq(recovery.damaged_roots, 0);
    scene_close();
    while (nth_pack(last + 1))
        last++;
    ck_assert(nth_pack(last));                  /* all others are gone */
    ck_assert_uint_eq(last, 0);
    fd = open(a_pack, O_RDWR);
    ck_assert(fd >= 0 && pread(fd, &byte, 1, 102) == 1);        /* behind the file's head and the frame's */
    byte ^= 4;
    ck_assert_int_eq(pwrite(fd, &byte, 1, 102), 1);
    ck_assert_int_eq(close(fd), 0);
    scene_open();
    ck_get_recovery(store, &recovery);
    ck_assert_uint_eq(recovery.damaged_roots, 1);
}
END_TEST

/* ---- the store's identity ---- */

static const char *const identities[] = { "identity", "identity.copy" };

static void identity_path(char out[128], int which)
{
    (void)snprintf(out, 128, "%s/%s", scene_dir, identities[which]);
}

static void flip_identity(int which, off_t at)
{
    char path[128];
    uint8_t byte;
    int fd;

    identity_path(path, which);
    fd = open(path, O_RDWR);
    ck_assert(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 0x10;
    ck_assert(pwrite(fd, &byte, 1, at) == 1 && !close(fd));
}

static size_t read_identity(int which, uint8_t out[4096])
{
    char path[128];
    ssize_t n;
    int fd;

    identity_path(path, which);
    fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    n = read(fd, out, 4096);
    ck_assert(n > 0 && n < 4096 && !close(fd));
    return (size_t)n;
}

static bool both_are(const uint8_t *bytes, size_t len)
{
    uint8_t back[4096];

    for (int i = 0; i < 2; i++)
        if (read_identity(i, back) != len || memcmp(back, bytes, len))
            return false;
    return true;
}

START_TEST(a_flipped_byte_anywhere_in_either_copy_of_the_identity_is_mended_from_the_other)
{
    struct nv_name name = save_with_work();
    uint8_t was[4096];
    size_t len = read_identity(0, was);

    ck_assert(both_are(was, len));
    for (int i = 0; i < 2; i++) {
        for (size_t at = 0; at < len; at += at < 24 ? 1 : 61) {
            scene_close();
            flip_identity(i, (off_t)at);
            scene_open();
            ck_assert(both_are(was, len));
        }
    }
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(an_identity_that_is_missing_or_has_no_copy_yet_is_written_from_the_one_there_is)
{
    struct nv_name name = save_with_work();
    uint8_t was[4096];
    size_t len = read_identity(0, was);
    char path[128];

    for (int i = 1; i >= 0; i--) {
        scene_close();
        identity_path(path, i);
        ck_assert_int_eq(unlink(path), 0);
        scene_open();
        ck_assert(both_are(was, len));
    }
    scene_restore_and_compare(&name, &image);
}
END_TEST

START_TEST(a_store_of_which_both_identities_are_damaged_is_refused_and_left_alone)
{
    uint8_t one[4096], two[4096], back[4096];
    char path[128];
    size_t len;

    (void)save_with_work();
    scene_close();
    flip_identity(0, 40);
    flip_identity(1, 41);
    len = read_identity(0, one);
    (void)read_identity(1, two);
    ck_assert_int_eq(scene_try_open(), FLIC_E_DAMAGED);
    ck_assert_msg(strstr(err.text, "put back a copy of"), "%s", err.text);
    ck_assert(read_identity(0, back) == len && !memcmp(back, one, len));
    ck_assert(read_identity(1, back) == len && !memcmp(back, two, len));
    for (int i = 0; i < 2; i++) {
        identity_path(path, i);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(scene_try_open(), FLIC_E_DAMAGED);
        ck_assert_msg(strstr(err.text, "put back a copy of"), "%s", err.text);
    }
}
END_TEST

/* Somebody copied a folder over another: which of the two the packs belong to cannot be told here. */
START_TEST(two_identities_that_differ_are_refused)
{
    char path[128], kept[140];

    scene_close();
    identity_path(path, 1);
    (void)snprintf(kept, sizeof(kept), "%s.kept", path);
    ck_assert_int_eq(rename(path, kept), 0);
    identity_path(path, 0);
    ck_assert_int_eq(unlink(path), 0);
    scene_lose_arena();
    scene_open();                           /* an empty store: another identity is drawn */
    scene_close();
    identity_path(path, 1);
    ck_assert_int_eq(rename(kept, path), 0);
    ck_assert_int_eq(scene_try_open(), FLIC_E_FOREIGN);
    ck_assert_msg(strstr(err.text, "two stores") && strstr(err.text, "identity.copy"), "%s", err.text);
}
END_TEST

/* ---- a restore that ends early ---- */

START_TEST(a_restore_that_fails_at_any_step_leaves_the_checkpoint)
{
    static const char *const calls[] = { "build_begin", "build_populate", "map_pages", "build_finish" };
    struct nv_name name = save_with_work();
    uint32_t domid;

    for (size_t i = 0; i < 4; i++) {
        for (unsigned nth = 1; ; nth++) {       /* until there is no nth call */
            int rc;

            flx_fake_fail(calls[i], nth, FLIC_E_XEN);
            rc = scene_restore(&name, &domid, NULL);
            ck_assert_uint_eq(flx_fake_maps(), 0);
            ck_assert(flx_fake_built(domid) == !rc);
            flx_fake_kill(domid);
            flx_fake_fail(calls[i], 1, 0);
            if (!rc && nth > 1)
                break;
            ck_assert_int_eq(rc, FLIC_E_XEN);
        }
    }
    flx_fake_reset();
    scene_restore_and_compare(&name, &image);
    scene_reopen();
    scene_restore_and_compare(&name, &image);
}
END_TEST

static unsigned asks_left;

static bool after_some(void *arg)
{
    (void)arg;
    return asks_left-- == 0;
}

static void ignore(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    (void)arg;
    (void)phase;
    (void)done;
    (void)total;
}

START_TEST(a_restore_that_is_cancelled_starts_nothing_and_leaves_the_checkpoint)
{
    struct nv_name name = save_with_work();
    struct ck_restore_params params = { .cancelled = after_some, .progress = ignore };
    struct ck_restore_figures figures;
    struct ck_loaded loaded;
    struct ck_entry entry;
    struct flx_built built;
    unsigned n = 0;
    int rc;

    do {                                        /* at every point where it asks */
        asks_left = n;
        flx_fake_add(40 + n, "", &name.guest, GUEST_PAGES, 0);
        OK(ck_find_exact(store, &name.guest, name.seq, &entry, &err));
        OK(ck_load(store, &entry, &loaded, &err));
        OK(flx_open(40 + n, &params.dom, &err));
        rc = ck_restore(store, &loaded, &params, &built, &figures, &err);
        ck_assert(!rc || rc == FLIC_E_CANCELLED);
        ck_assert(flx_fake_built(40 + n) == !rc);
        flx_close(params.dom);
        ck_unload(store, &loaded);
        n++;
    } while (rc);
    ck_assert_uint_ge(n, 2);
    scene_restore_and_compare(&name, &image);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("checkpoint-damage");
    TCase *t = tcase_create("damage");

    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, invariant_4_a_flipped_byte_in_a_page_in_nvram_is_refused_naming_checkpoint_gfn_and_frame);
    tcase_add_test(t, invariant_4_a_flipped_byte_in_any_part_of_the_root_in_nvram_is_refused);
    tcase_add_test(t, invariant_4_a_flipped_byte_of_a_page_in_a_pack_is_refused_naming_checkpoint_gfn_and_pack);
    tcase_add_test(t, invariant_4_a_flipped_byte_anywhere_in_the_packs_never_starts_a_wrong_guest);
    tcase_add_test(t, a_root_damaged_in_nvram_is_read_from_flash_when_it_is_there);
    tcase_add_test(t, a_page_damaged_in_nvram_is_read_from_flash_when_it_is_there);
    tcase_add_test(t, a_damaged_checkpoint_does_not_keep_later_ones_from_flash);
    tcase_add_test(t, one_that_cannot_be_read_now_does_not_keep_later_ones_from_flash_either);
    tcase_add_test(t, nothing_is_freed_while_a_checkpoint_cannot_be_read_and_forgetting_that_one_works);
    tcase_add_test(t, a_damaged_tombstone_is_told);
    tcase_add_test(t, a_flipped_byte_anywhere_in_either_copy_of_the_identity_is_mended_from_the_other);
    tcase_add_test(t, an_identity_that_is_missing_or_has_no_copy_yet_is_written_from_the_one_there_is);
    tcase_add_test(t, a_store_of_which_both_identities_are_damaged_is_refused_and_left_alone);
    tcase_add_test(t, two_identities_that_differ_are_refused);
    tcase_add_test(t, a_restore_that_fails_at_any_step_leaves_the_checkpoint);
    tcase_add_test(t, a_restore_that_is_cancelled_starts_nothing_and_leaves_the_checkpoint);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
