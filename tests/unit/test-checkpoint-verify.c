/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* verify: what is bad is found, set aside, mended where it can be, and named where it cannot. */
#include "tests/unit/checkpoint-scene.h"

#include "daemon/checkpoint/fsck.h"
#include "daemon/checkpoint/gc.h"
#include "daemon/checkpoint/verify.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct image images[3];
static struct nv_name names[3];

static void set_up(void)
{
    scene_begin(32 * MIB);
    scene_guest(GUEST, "web", 1, GUEST_PAGES);
}

static void tear_down(void)
{
    for (size_t i = 0; i < 3; i++)
        image_free(&images[i]);
    scene_end();
}

/* A checkpoint with 50 pages in NVRAM. */
static void save(size_t which)
{
    const struct scene_work work = { .first = 600, .n = 50, .seed = 6060 };

    names[which] = scene_save_with_work(GUEST, &work, &images[which], NULL);
}

/* ---- damage ---- */

static void path_of(char out[160], const char *name)
{
    (void)snprintf(out, 160, "%s/packs/%s", scene_dir, name);
}

static void flip(const char *name, off_t at)
{
    char path[160];
    uint8_t byte;
    int fd;

    path_of(path, name);
    fd = open(path, O_RDWR);
    ck_assert(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 4;
    ck_assert(pwrite(fd, &byte, 1, at) == 1 && !close(fd));
}

static bool is_file(const char *name)
{
    char path[160];

    path_of(path, name);
    return !access(path, F_OK);
}

static off_t size_of(const char *name)
{
    char path[160];
    struct stat st;

    path_of(path, name);
    ck_assert(!stat(path, &st));
    return st.st_size;
}

static struct ck_verify_figures verify(void)
{
    struct ck_verify_params params = { .only = NULL };
    struct ck_verify_figures f;

    OK(ck_verify(store, &params, &f, &err));
    return f;
}

static struct ck_entry entry_of(const struct nv_name *name)
{
    struct ck_entry entry;

    OK(ck_find_exact(store, &name->guest, name->seq, &entry, &err));
    return entry;
}

START_TEST(a_sound_store_is_read_whole_and_nothing_is_changed)
{
    struct ck_verify_figures f;
    uint64_t before;

    save(0);
    OK(scene_destage(&names[0], NULL));
    save(1);
    before = scene_flash_bytes();
    f = verify();
    ck_assert_uint_eq(f.bad_objects + f.packs_set_aside + f.nvram_bad_pages + f.damaged, 0);
    ck_assert_uint_eq(f.checkpoints, 2);
    ck_assert_uint_eq(f.nvram_pages, 100);
    ck_assert_uint_gt(f.read_bytes, before * 9 / 10);
    ck_assert_uint_eq(scene_flash_bytes(), before);
}
END_TEST

START_TEST(a_bad_pack_is_set_aside_its_good_pages_stay_and_the_checkpoint_that_lost_one_is_named_and_refused)
{
    struct ck_verify_figures f;
    struct ck_entry entry;
    char text[CK_DAMAGE_TEXT];

    save(0);
    OK(scene_destage(&names[0], NULL));
    scene_reopen();                         /* nothing of it is in memory */
    flip("00000000.pack", 1000);
    f = verify();
    ck_assert_uint_ge(f.bad_objects, 1);
    ck_assert_uint_eq(f.lost_objects, f.bad_objects);
    ck_assert_uint_eq(f.packs_set_aside, 1);
    ck_assert_uint_eq(f.damaged, 1);
    ck_assert(is_file("00000000.pack.bad") && !is_file("00000000.pack"));
    for (int round = 0; round < 2; round++) {
        entry = entry_of(&names[0]);
        ck_assert(entry.damaged);
        ck_assert_uint_ge(entry.lost_pages, f.lost_objects);        /* one content may stand at several gfns */
        ck_damage_text(&entry, text);
        ck_assert(strstr(text, "of its pages are lost, the first at gfn 0x"));
        scene_reopen();                     /* it is known after a restart too */
    }
    f = verify();
    ck_assert_uint_eq(f.bad_objects, 0);
    ck_assert_uint_eq(f.damaged, 1);
    scene_dirty(GUEST, 900, 10, 5);
    save(1);                                /* what was lost is stored anew: the guest still has it */
    f = verify();
    ck_assert_uint_eq(f.damaged, 0);
    ck_assert(!entry_of(&names[0]).damaged);
    scene_restore_and_compare(&names[0], &images[0]);
    scene_restore_and_compare(&names[1], &images[1]);
}
END_TEST

START_TEST(pages_that_nvram_has_too_are_taken_from_there)
{
    struct ck_verify_figures f;
    struct ck_destage_figures d;
    char name[32];

    save(0);
    OK(scene_destage(&names[0], &d));
    ck_assert_uint_eq(d.new_pages, 50);
    scene_reopen();
    for (unsigned i = 0; i < 16; i++) {     /* the pack of the destage is the last */
        (void)snprintf(name, sizeof(name), "%08x.pack", i);
        if (!is_file(name))
            break;
    }
    (void)snprintf(name, sizeof(name), "%08x.pack", (unsigned)strtoul(name, NULL, 16) - 1);
    ck_assert_int_gt(size_of(name), 20 * PAGE);
    flip(name, 1000);
    f = verify();
    ck_assert_uint_ge(f.bad_objects, 1);
    ck_assert_uint_eq(f.repaired_objects, f.bad_objects);
    ck_assert_uint_eq(f.lost_objects, 0);
    ck_assert_uint_eq(f.damaged, 0);
    scene_close();
    scene_lose_arena();
    scene_open();
    scene_restore_and_compare(&names[0], &images[0]);
}
END_TEST

START_TEST(a_lost_root_on_flash_is_written_again_from_nvram)
{
    struct ck_verify_figures f;
    struct ck_entry entry;
    char name[32] = "";

    save(0);
    OK(scene_destage(&names[0], NULL));
    scene_close();          /* an open store has read its roots: it would have this one from memory */
    for (unsigned i = 0; i < 16; i++) {
        char next[32];

        (void)snprintf(next, sizeof(next), "%08x.pack", i);
        if (is_file(next))
            memcpy(name, next, sizeof(name));
    }
    flip(name, size_of(name) - 64 - 24 * 52 - 200);         /* before the footer: the last frame, which has the root */
    scene_open();
    f = verify();
    ck_assert_uint_ge(f.bad_objects, 1);
    ck_assert_uint_eq(f.damaged, 0);
    ck_assert(ck_destage_next(store, &entry));
    OK(scene_destage(&names[0], NULL));
    scene_close();
    scene_lose_arena();
    scene_open();
    scene_restore_and_compare(&names[0], &images[0]);
}
END_TEST

/* The newest pack there is: a destage's, if that was the last to write. */
static void last_pack(char out[32])
{
    char next[32];

    for (unsigned i = 0; i < 64; i++) {
        (void)snprintf(next, sizeof(next), "%08x.pack", i);
        if (is_file(next))
            memcpy(out, next, sizeof(next));
    }
}

/* A save that needs more frames than are free: whatever is no more than a cache there goes. */
static int press_nvram(void)
{
    struct nv_txn *txn = NULL;
    struct nv_info info;
    int rc;

    nv_get_info(ck_arena(store), &info);
    rc = nv_txn_begin(ck_arena(store), info.frames_free + 1, &txn, &err);
    nv_txn_abort(txn);
    return rc;
}

/* It waits to be moved, nothing that needs room takes it, and once it is moved it needs no NVRAM. */
static void is_kept_until_it_is_moved(const struct nv_name *list, const struct image *pictures, size_t n)
{
    struct ck_entry entry;

    ck_assert_int_eq(press_nvram(), FLIC_E_NOSPACE);
    scene_reopen();                         /* nor does it after a power cut before it was moved */
    ck_assert_int_eq(press_nvram(), FLIC_E_NOSPACE);
    for (size_t i = 0; i < n; i++) {
        ck_assert(ck_destage_next(store, &entry));
        OK(scene_destage(&(struct nv_name){ entry.info.guest, entry.info.seq }, NULL));
    }
    ck_assert(!ck_destage_next(store, &entry));
    OK(press_nvram());
    scene_close();
    scene_lose_arena();
    scene_open();
    for (size_t i = 0; i < n; i++)
        scene_restore_and_compare(&list[i], &pictures[i]);
}

START_TEST(what_verify_finds_lost_on_flash_is_no_cache_in_nvram_until_it_is_moved_again)
{
    char name[32] = "";

    save(0);
    OK(scene_destage(&names[0], NULL));
    last_pack(name);
    flip(name, size_of(name) - 64 - 24 * 52 - 200);         /* the root's frame */
    ck_assert_uint_eq(verify().damaged, 0);
    is_kept_until_it_is_moved(names, images, 1);
}
END_TEST

START_TEST(a_root_that_a_start_cannot_read_on_flash_makes_nvram_its_only_place)
{
    char name[32] = "";

    save(0);
    OK(scene_destage(&names[0], NULL));
    scene_close();
    last_pack(name);
    flip(name, size_of(name) - 64 - 24 * 52 - 200);
    scene_open();
    is_kept_until_it_is_moved(names, images, 1);
}
END_TEST

/* Both have the same 50 pages, in the first one's pack. */
static void two_that_share_a_pack(char name[32])
{
    save(0);
    OK(scene_destage(&names[0], NULL));
    last_pack(name);
    scene_dirty(GUEST, 700, 1, 3);          /* so that its leaf is another */
    save(1);
    OK(scene_destage(&names[1], NULL));
    scene_close();
}

START_TEST(pages_that_a_start_does_not_find_on_flash_make_nvram_their_only_place)
{
    char name[32] = "";

    two_that_share_a_pack(name);
    flip(name, size_of(name) - 8);          /* the second one's root is there, its pages are not */
    scene_open();
    ck_assert(!entry_of(&names[0]).damaged && !entry_of(&names[1]).damaged);
    is_kept_until_it_is_moved(names, images, 2);
}
END_TEST

/* The note that it is on flash was taken back, and it is not written again for a root that is not enough. */
START_TEST(a_root_on_flash_without_its_pages_is_not_taken_for_a_move_that_was_completed)
{
    char name[32] = "", path[160];

    two_that_share_a_pack(name);
    flip(name, size_of(name) - 8);
    scene_open();
    scene_close();
    path_of(path, name);
    ck_assert_int_eq(unlink(path), 0);      /* no pack is bad any more, and nothing is looked for */
    scene_open();
    is_kept_until_it_is_moved(names, images, 2);
}
END_TEST

START_TEST(a_bad_frame_in_nvram_is_found_and_moves_to_flash_when_a_pack_has_the_page)
{
    struct ck_verify_figures f;
    struct ck_loaded loaded;
    struct ck_entry entry;
    struct nv_info info;
    uint64_t frames_at;
    int fd;

    save(0);
    OK(scene_destage(&names[0], NULL));     /* its pages are in packs now */
    save(1);                                /* the same 50 pages again, in NVRAM alone */
    entry = entry_of(&names[1]);
    OK(ck_load(store, &entry, &loaded, &err));
    nv_get_info(ck_arena(store), &info);
    frames_at = info.size_bytes - (uint64_t)info.frames * PAGE;
    {
        const uint8_t *page = ck_delta_page(store, &loaded, &loaded.root.delta[7], &err);
        uint8_t copy[PAGE], back[PAGE];
        bool found = false;

        ck_assert_ptr_nonnull(page);
        memcpy(copy, page, PAGE);
        ck_unload(store, &loaded);
        scene_close();
        fd = open(scene_arena, O_RDWR);
        ck_assert_int_ge(fd, 0);
        for (uint64_t i = 0; i < info.frames; i++) {        /* every frame with this page */
            off_t at = (off_t)(frames_at + i * PAGE);

            if (pread(fd, back, PAGE, at) == PAGE && !memcmp(back, copy, PAGE)) {
                back[100] ^= 1;
                ck_assert_int_eq(pwrite(fd, back, PAGE, at), PAGE);
                found = true;
            }
        }
        ck_assert(found && !close(fd));
    }
    scene_open();
    f = verify();
    ck_assert_uint_ge(f.nvram_bad_pages, 1);
    ck_assert_uint_eq(f.nvram_repaired_pages, f.nvram_bad_pages);
    ck_assert_uint_eq(f.damaged, 0);
    OK(scene_destage(&names[1], NULL));
    scene_close();
    scene_lose_arena();
    scene_open();
    scene_restore_and_compare(&names[1], &images[1]);
}
END_TEST

START_TEST(a_damaged_checkpoint_does_not_keep_gc_from_its_work)
{
    struct ck_gc_params params = { .live_percent = 100 };
    struct ck_gc_figures g;
    uint64_t freed;

    save(0);
    OK(scene_destage(&names[0], NULL));
    scene_reopen();
    flip("00000000.pack", 1000);
    (void)verify();
    ck_assert(entry_of(&names[0]).damaged);
    scene_dirty(GUEST, 128, 300, 9);
    save(1);
    OK(ck_forget(store, &names[1], false, &freed, &err));
    OK(ck_gc(store, &params, &g, &err));
    ck_assert(is_file("00000000.pack.bad"));
    scene_reopen();
    ck_assert_uint_eq(scene_count(), 1);
    save(2);
    scene_restore_and_compare(&names[2], &images[2]);
    ck_assert(is_file("00000000.pack.bad"));        /* its number is not used again */
}
END_TEST

static uint32_t seen[64], n_seen, stop_at;

static void note_pack(uint32_t number, void *arg)
{
    (void)arg;
    seen[n_seen++] = number;
}

static bool stop_then(void *arg)
{
    (void)arg;
    return n_seen >= stop_at;
}

START_TEST(a_reading_that_was_stopped_goes_on_where_it_was)
{
    struct ck_verify_params params = { .cancelled = stop_then, .read_pack = note_pack };
    struct ck_verify_figures f;
    uint32_t first;

    for (uint32_t i = 0; i < 3; i++) {
        scene_dirty(GUEST, 300, 40, i);
        save(i);
        OK(scene_destage(&names[i], NULL));
    }
    n_seen = 0;
    stop_at = 2;
    ck_assert_int_eq(ck_verify(store, &params, &f, &err), FLIC_E_CANCELLED);
    ck_assert_uint_eq(n_seen, 2);
    first = seen[1];
    params.from_pack = first + 1;
    n_seen = 0;
    stop_at = 64;
    OK(ck_verify(store, &params, &f, &err));
    ck_assert_uint_gt(n_seen, 1);
    for (uint32_t i = 0; i < n_seen; i++)
        ck_assert_uint_gt(seen[i], first);
    ck_assert_uint_eq(f.checkpoints, 3);
}
END_TEST

START_TEST(one_checkpoint_alone_reads_the_packs_it_needs)
{
    struct ck_verify_figures all, one;
    struct ck_verify_params params = { .only = NULL };
    struct ck_entry entry;

    save(0);
    scene_guest(8, "db", 2, GUEST_PAGES);
    scene_dirty(8, 128, GUEST_PAGES - 128, 4711);
    names[1] = scene_save(8, NULL, NULL);
    all = verify();
    entry = entry_of(&names[0]);
    params.only = &entry;
    OK(ck_verify(store, &params, &one, &err));
    ck_assert_uint_lt(one.packs, all.packs);
    ck_assert_uint_lt(one.read_bytes, all.read_bytes * 3 / 4);
}
END_TEST

START_TEST(a_paced_reading_takes_its_time)
{
    struct ck_verify_params params = { .kib_per_s = 8192 };
    struct ck_verify_figures f;

    save(0);
    OK(ck_verify(store, &params, &f, &err));
    ck_assert_uint_ge(f.took_us, (f.read_bytes - MIB) / 1024 * 1000000 / 8192);
}
END_TEST

/* ---- what goes on beside it ---- */

static void (*beside)(void);        /* runs once, as soon as verify asks or tells */

static void run_beside(void)
{
    void (*run)(void) = beside;

    beside = NULL;
    if (run)
        run();
}

static void after_a_pack(uint32_t number, void *arg)
{
    (void)number;
    (void)arg;
    run_beside();
}

static bool before_a_step(void *arg)
{
    (void)arg;
    run_beside();
    return false;
}

static struct ck_verify_figures verify_beside(bool in_a_pack, void (*run)(void))
{
    struct ck_verify_params params = { .read_pack = after_a_pack, .cancelled = in_a_pack ? before_a_step : NULL };
    struct ck_verify_figures f;

    beside = run;
    OK(ck_verify(store, &params, &f, &err));
    ck_assert_ptr_null(beside);
    return f;
}

static void move_to_flash(void)
{
    struct nv_info info;
    struct nv_txn *txn;

    OK(scene_destage(&names[0], NULL));
    nv_get_info(ck_arena(store), &info);
    OK(nv_txn_begin(ck_arena(store), info.frames_free + info.frames_cached, &txn, &err));     /* the cache gives way */
    nv_txn_abort(txn);
}

START_TEST(a_checkpoint_that_moves_to_flash_while_packs_are_read_is_not_taken_for_damaged)
{
    struct ck_verify_figures f;

    save(0);
    f = verify_beside(false, move_to_flash);
    ck_assert_uint_eq(f.checkpoints, 1);
    ck_assert_uint_eq(f.damaged, 0);
    ck_assert(!entry_of(&names[0]).damaged);
    scene_restore_and_compare(&names[0], &images[0]);
}
END_TEST

static void forget_first(void)
{
    uint64_t freed;

    OK(ck_forget(store, &names[0], false, &freed, &err));
}

START_TEST(a_checkpoint_that_is_forgotten_while_packs_are_read_is_not_counted_as_damaged)
{
    struct ck_verify_figures f;

    save(0);
    scene_dirty(GUEST, 128, 300, 9);
    save(1);
    f = verify_beside(false, forget_first);
    ck_assert_uint_eq(f.checkpoints, 1);
    ck_assert_uint_eq(f.damaged, 0);
}
END_TEST

static void save_second(void)
{
    save(1);
}

START_TEST(what_a_pack_lost_is_taken_from_a_checkpoint_that_was_published_while_packs_were_read)
{
    struct ck_verify_figures f;
    char name[32] = "";

    save(0);
    OK(scene_destage(&names[0], NULL));
    scene_close();
    scene_lose_arena();
    scene_open();
    last_pack(name);
    flip(name, 1000);
    scene_dirty(GUEST, 600, 50, 1);         /* the pause of the second one writes the lost pages again, to NVRAM alone */
    f = verify_beside(false, save_second);
    ck_assert_uint_ge(f.bad_objects, 1);
    ck_assert_uint_eq(f.repaired_objects, f.bad_objects);
    ck_assert_uint_eq(f.damaged, 0);
    scene_restore_and_compare(&names[0], &images[0]);
}
END_TEST

START_TEST(a_bad_pack_that_a_collection_removes_before_it_is_set_aside_ends_no_verify_and_lost_nothing)
{
    struct ck_verify_figures f;

    save(0);
    OK(scene_destage(&names[0], NULL));
    scene_reopen();
    flip("00000000.pack", 1000);
    f = verify_beside(true, forget_first);
    ck_assert_uint_ge(f.bad_objects, 1);
    ck_assert_uint_eq(f.packs_set_aside + f.lost_objects + f.damaged, 0);
    ck_assert(!is_file("00000000.pack") && !is_file("00000000.pack.bad"));
}
END_TEST

/* ---- footers ---- */

/* Of the pack that has a checkpoint's root and the pages of its pause. */
static void damage_a_footer(char name[32])
{
    save(0);
    OK(scene_destage(&names[0], NULL));
    scene_close();
    scene_lose_arena();
    scene_open();
    last_pack(name);
    flip(name, size_of(name) - 70);
}

START_TEST(of_a_pack_whose_footer_cannot_be_read_everything_moves_to_another_and_gc_goes_on)
{
    struct ck_gc_params params = { .live_percent = 100 };
    struct ck_verify_figures f;
    struct ck_gc_figures g;
    char name[32] = "", bad[48];

    damage_a_footer(name);
    ck_assert_int_eq(ck_gc(store, &params, &g, &err), FLIC_E_DAMAGED);
    f = verify();
    ck_assert_uint_eq(f.packs_set_aside, 1);
    ck_assert_uint_eq(f.packs_unreadable + f.lost_objects + f.damaged, 0);
    (void)snprintf(bad, sizeof(bad), "%s.bad", name);
    ck_assert(is_file(bad) && !is_file(name));
    OK(ck_gc(store, &params, &g, &err));
    for (int round = 0; round < 2; round++) {
        scene_restore_and_compare(&names[0], &images[0]);
        scene_reopen();
        ck_assert(!entry_of(&names[0]).damaged);
    }
}
END_TEST

START_TEST(what_cannot_be_read_either_of_a_pack_without_a_footer_is_lost_and_the_rest_is_not)
{
    struct ck_verify_figures f;
    struct ck_entry entry;
    char name[32] = "";

    damage_a_footer(name);
    flip(name, 1000);
    f = verify();
    ck_assert_uint_eq(f.packs_set_aside, 1);
    ck_assert_uint_ge(f.lost_objects, 1);
    ck_assert_uint_eq(f.bad_objects, f.lost_objects);
    ck_assert_uint_eq(f.damaged, 1);
    entry = entry_of(&names[0]);
    ck_assert_uint_ge(entry.lost_pages, 1);
    ck_assert_uint_lt(entry.lost_pages, 50);
    scene_reopen();
    ck_assert(entry_of(&names[0]).damaged);
}
END_TEST

/* ---- tombstones ---- */

/* Forgets the first one, whose root stays in a pack since the second one needs pages there. Nothing of it is in memory then. */
static void bury_first(char tomb[32])
{
    save(0);
    OK(scene_destage(&names[0], NULL));
    scene_dirty(GUEST, 900, 10, 5);
    save(1);
    OK(scene_destage(&names[1], NULL));
    forget_first();
    last_pack(tomb);
    ck_assert_int_lt(size_of(tomb), PAGE);
    scene_restore_and_compare(&names[1], &images[1]);
}

#define TOMB_BYTE 102               /* behind the file's head and the frame's */

static void is_forgotten_for_good(void)
{
    for (int i = 0; i < 2; i++) {
        scene_reopen();
        ck_assert_uint_eq(scene_count(), 1);
        ck_assert(!scene_offers(&names[0]));
    }
    scene_restore_and_compare(&names[1], &images[1]);
}

START_TEST(what_a_damaged_tombstone_buries_stays_forgotten_and_is_buried_again)
{
    char tomb[32] = "", path[160];

    bury_first(tomb);
    scene_close();
    flip(tomb, TOMB_BYTE);
    scene_open();
    ck_assert(!scene_offers(&names[0]));
    path_of(path, tomb);
    ck_assert(!unlink(path));
    is_forgotten_for_good();
}
END_TEST

START_TEST(what_a_tombstone_buried_whose_whole_pack_cannot_be_read_stays_forgotten)
{
    char tomb[32] = "";

    bury_first(tomb);
    scene_close();
    flip(tomb, size_of(tomb) - 70);             /* the footer's last entry */
    scene_open();
    ck_assert(!scene_offers(&names[0]));
    scene_lose_index();                         /* which knew it */
    is_forgotten_for_good();
}
END_TEST

START_TEST(verify_writes_a_damaged_tombstone_again)
{
    struct ck_verify_figures f;
    char tomb[32] = "", bad[48];

    bury_first(tomb);
    flip(tomb, TOMB_BYTE);
    f = verify();
    ck_assert_uint_eq(f.bad_objects, 1);
    ck_assert_uint_eq(f.repaired_objects, 1);
    ck_assert_uint_eq(f.lost_objects, 0);
    (void)snprintf(bad, sizeof(bad), "%s.bad", tomb);
    ck_assert(is_file(bad));
    is_forgotten_for_good();
}
END_TEST

/* ---- the index ---- */

static int count_rows(const struct ix_checkpoint *row, void *arg)
{
    (void)row;
    ++*(size_t *)arg;
    return 0;
}

static size_t rows(void)
{
    size_t n = 0;

    OK(ix_each_checkpoint(ck_index(store), NULL, count_rows, &n, &err));
    return n;
}

static struct ck_fsck_figures fsck(bool rebuild)
{
    struct ck_fsck_figures f;

    OK(ck_fsck(store, rebuild, &f, &err));
    return f;
}

START_TEST(an_index_that_is_right_is_said_to_be)
{
    struct ck_fsck_figures f;
    uint64_t freed;

    save(0);
    OK(scene_destage(&names[0], NULL));
    save(1);
    save(2);
    OK(ck_forget(store, &names[1], false, &freed, &err));
    f = fsck(false);
    ck_assert(f.index_sound && !f.index_rebuilt);
    ck_assert_uint_eq(f.checkpoints, 2);
    ck_assert_uint_eq(f.tombstones, 1);
    ck_assert_uint_eq(f.missing + f.stray + f.damaged, 0);
}
END_TEST

START_TEST(wrong_rows_are_counted_and_put_right)
{
    struct ix_checkpoint stray = { .guest = scene_uuid(9), .seq = 4, .name = "ghost" };
    struct ck_fsck_figures f;

    save(0);
    save(1);
    OK(ix_drop_checkpoint(ck_index(store), &names[0].guest, names[0].seq, &err));
    OK(ix_put_checkpoint(ck_index(store), &stray, &err));
    f = fsck(false);
    ck_assert_uint_eq(f.missing, 1);
    ck_assert_uint_eq(f.stray, 1);
    f = fsck(true);
    ck_assert(f.index_rebuilt && !f.index_replaced);
    f = fsck(false);
    ck_assert_uint_eq(f.missing + f.stray, 0);
    ck_assert_uint_eq(rows(), 2);
}
END_TEST

START_TEST(an_index_that_was_removed_is_made_anew_while_it_is_in_use_and_numbers_are_not_used_again)
{
    struct ck_fsck_figures f;
    struct nv_name last;
    uint64_t freed;

    save(0);
    OK(scene_destage(&names[0], NULL));
    save(1);
    save(2);
    last = names[2];
    OK(ck_forget(store, &names[2], false, &freed, &err));
    scene_lose_index();
    f = fsck(false);
    ck_assert(!f.index_sound);
    ck_assert(strstr(f.why, "removed or replaced"));
    f = fsck(true);
    ck_assert(f.index_rebuilt && f.index_replaced);
    ck_assert(fsck(false).index_sound);
    ck_assert_uint_eq(rows(), 2);
    ck_assert(!scene_offers(&last));
    image_free(&images[2]);
    save(2);
    ck_assert_uint_gt(names[2].seq, last.seq);
    scene_reopen();
    ck_assert_uint_eq(scene_count(), 3);
    ck_assert(!scene_offers(&last));
    scene_restore_and_compare(&names[2], &images[2]);
}
END_TEST

START_TEST(a_save_that_an_index_gone_bad_refuses_says_how_to_make_it_anew)
{
    char path[128], aside[128];
    struct ck_fsck_figures f;
    struct saving s;

    (void)snprintf(aside, sizeof(aside), "%s/index.sqlite.damaged", scene_dir);
    (void)snprintf(path, sizeof(path), "%s/index.sqlite", scene_dir);
    save(0);
    scene_lose_index();
    ck_assert_int_eq(mkdir(aside, 0700), 0);
    ck_assert_int_eq(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    ck_assert_int_ne(ck_fsck(store, true, &f, &err), 0);
    saving_init(&s, GUEST);
    ck_assert_int_eq(saving_new(&s), FLIC_E_DAMAGED);
    ck_assert_msg(strstr(err.text, "'flic fsck --rebuild'"), "%s", err.text);
    saving_end(&s);
    ck_assert_int_eq(rmdir(aside), 0);
    f = fsck(true);
    ck_assert(f.index_rebuilt);
    save(1);
    ck_assert_uint_gt(names[1].seq, names[0].seq);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("checkpoint-verify");
    TCase *t = tcase_create("verify");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_save_that_an_index_gone_bad_refuses_says_how_to_make_it_anew);
    tcase_add_test(t, a_sound_store_is_read_whole_and_nothing_is_changed);
    tcase_add_test(t, a_bad_pack_is_set_aside_its_good_pages_stay_and_the_checkpoint_that_lost_one_is_named_and_refused);
    tcase_add_test(t, pages_that_nvram_has_too_are_taken_from_there);
    tcase_add_test(t, a_lost_root_on_flash_is_written_again_from_nvram);
    tcase_add_test(t, what_verify_finds_lost_on_flash_is_no_cache_in_nvram_until_it_is_moved_again);
    tcase_add_test(t, a_root_that_a_start_cannot_read_on_flash_makes_nvram_its_only_place);
    tcase_add_test(t, pages_that_a_start_does_not_find_on_flash_make_nvram_their_only_place);
    tcase_add_test(t, a_root_on_flash_without_its_pages_is_not_taken_for_a_move_that_was_completed);
    tcase_add_test(t, a_bad_frame_in_nvram_is_found_and_moves_to_flash_when_a_pack_has_the_page);
    tcase_add_test(t, a_damaged_checkpoint_does_not_keep_gc_from_its_work);
    tcase_add_test(t, a_reading_that_was_stopped_goes_on_where_it_was);
    tcase_add_test(t, one_checkpoint_alone_reads_the_packs_it_needs);
    tcase_add_test(t, a_paced_reading_takes_its_time);
    tcase_add_test(t, a_checkpoint_that_moves_to_flash_while_packs_are_read_is_not_taken_for_damaged);
    tcase_add_test(t, a_checkpoint_that_is_forgotten_while_packs_are_read_is_not_counted_as_damaged);
    tcase_add_test(t, what_a_pack_lost_is_taken_from_a_checkpoint_that_was_published_while_packs_were_read);
    tcase_add_test(t, a_bad_pack_that_a_collection_removes_before_it_is_set_aside_ends_no_verify_and_lost_nothing);
    tcase_add_test(t, of_a_pack_whose_footer_cannot_be_read_everything_moves_to_another_and_gc_goes_on);
    tcase_add_test(t, what_cannot_be_read_either_of_a_pack_without_a_footer_is_lost_and_the_rest_is_not);
    tcase_add_test(t, what_a_damaged_tombstone_buries_stays_forgotten_and_is_buried_again);
    tcase_add_test(t, what_a_tombstone_buried_whose_whole_pack_cannot_be_read_stays_forgotten);
    tcase_add_test(t, verify_writes_a_damaged_tombstone_again);
    tcase_add_test(t, an_index_that_is_right_is_said_to_be);
    tcase_add_test(t, wrong_rows_are_counted_and_put_right);
    tcase_add_test(t, an_index_that_was_removed_is_made_anew_while_it_is_in_use_and_numbers_are_not_used_again);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
