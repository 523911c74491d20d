/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * flips - invariant 4: one bit is flipped anywhere in the arena, in packs (pages, map leaves, roots, tombstones), the index, the store's
 * identity, or a save file. Then the store is opened and every checkpoint restored: each flip is told, or does no harm; no wrong
 * byte is ever restored, no checkpoint disappears, and no forgotten one comes back, without a word.
 *
 * CAMPAIGN: how many flips in the store; of a save file each bit is flipped, once.
 */
#include "libxl-ext/reference.h"
#include "tests/campaign/campaign.h"
#include "tests/campaign/cycle.h"

#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

#define FILES_MAX 64

static struct file {
    char path[160];
    uint8_t *bytes;
    size_t len;
    uint64_t *used;         /* offsets of 64-byte lines that hold anything */
    size_t n_used;
} files[FILES_MAX];
static size_t n_files;

enum sort { ARENA, PACK, INDEX, IDENTITY, SORTS };
static const char *const sorts[SORTS] = { "arena", "packs", "index", "identity" };
static uint64_t told[SORTS], harmless[SORTS], missed[SORTS];

/* ---- the store as it is ---- */

static enum sort sort_of(const struct file *f)
{
    return strstr(f->path, ".pack") ? PACK : strstr(f->path, "index.sqlite") ? INDEX : strstr(f->path, "identity") ? IDENTITY : ARENA;
}

static void find_used(struct file *f)
{
    static const uint8_t zeros[64];

    f->used = calloc(f->len / 64 + 1, sizeof(*f->used));
    ck_assert_ptr_nonnull(f->used);
    for (size_t at = 0; at < f->len; at += 64)
        if (memcmp(f->bytes + at, zeros, f->len - at < 64 ? f->len - at : 64))
            f->used[f->n_used++] = at;
}

static int read_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    struct file *f = &files[n_files];
    int fd;

    (void)ftw;
    if (type != FTW_F || !st->st_size || strstr(path, "-shm") || strstr(path, "/spare"))      /* which holds nothing */
        return 0;
    ck_assert_uint_lt(n_files++, FILES_MAX);
    (void)snprintf(f->path, sizeof(f->path), "%s", path);
    f->len = (size_t)st->st_size;
    f->bytes = malloc(f->len);
    fd = open(path, O_RDONLY);
    ck_assert(f->bytes && fd >= 0 && read(fd, f->bytes, f->len) == (ssize_t)f->len);
    ck_assert_int_eq(close(fd), 0);
    find_used(f);
    return 0;
}

/* Opening repairs and rewrites: everything goes back to what it was. */
static void put_back(void)
{
    char packs[128];

    cycle_wipe_flash();
    (void)snprintf(packs, sizeof(packs), "%s/packs", scene_dir);
    ck_assert_int_eq(mkdir(packs, 0700), 0);
    for (size_t i = 0; i < n_files; i++) {
        int fd = open(files[i].path, O_WRONLY | O_CREAT, 0600);

        ck_assert(fd >= 0 && write(fd, files[i].bytes, files[i].len) == (ssize_t)files[i].len);
        ck_assert_int_eq(ftruncate(fd, (off_t)files[i].len), 0);
        ck_assert_int_eq(close(fd), 0);
    }
}

/* ---- one flip ---- */

static bool something_told(void)
{
    struct ck_recovery r;

    ck_get_recovery(store, &r);
    return r.damaged_roots || r.packs_quarantined || r.arena_damaged || r.index_rebuilt;
}

enum verdict { TOLD, HARMLESS, MISSED };

static enum verdict try_restore(const struct nv_name *name, const struct image *image, char why[SCENE_WHY])
{
    enum verdict verdict = HARMLESS;
    uint32_t domid = 0;

    if (scene_restore(name, &domid, NULL)) {
        verdict = err.text[0] ? TOLD : MISSED;
        (void)snprintf(why, SCENE_WHY, "refused without a word");
        if (domid && flx_fake_built(domid))
            verdict = MISSED;
    } else if (image_differs(image, domid, why)) {
        verdict = MISSED;
    }
    if (domid)
        flx_fake_kill(domid);
    return verdict;
}

static enum verdict look(const struct cycle *c, char why[SCENE_WHY])
{
    enum verdict verdict = something_told() ? TOLD : HARMLESS;

    for (unsigned i = 0; i < CYCLE_SAVES && verdict != MISSED; i++) {
        bool offered = scene_offers(&c->names[i]);
        enum verdict one = HARMLESS;

        (void)snprintf(why, SCENE_WHY, "web@%u is %s without a word", i + 1, offered ? "back" : "gone");
        if (offered)
            one = try_restore(&c->names[i], &cycle_images[i], why);
        if (offered != (c->state[i] == CYCLE_PUBLISHED) && !something_told())
            one = MISSED;
        verdict = one == HARMLESS ? verdict : one;
    }
    return verdict;
}

static void flip(const struct cycle *c, const struct file *f, uint64_t bit)
{
    char why[SCENE_WHY] = "";
    enum verdict verdict;
    int fd = open(f->path, O_WRONLY);
    uint8_t byte = f->bytes[bit / 8] ^ (uint8_t)(1u << bit % 8);

    ck_assert(fd >= 0 && pwrite(fd, &byte, 1, (off_t)(bit / 8)) == 1);
    ck_assert_int_eq(close(fd), 0);
    if (scene_try_open())
        verdict = err.text[0] ? TOLD : MISSED;
    else
        verdict = look(c, why);
    scene_close();
    if (verdict == MISSED) {
        missed[sort_of(f)]++;
        campaign_lost("bit %lu of %s: %s", (unsigned long)bit, strrchr(f->path, '/') + 1, why);
    }
    *(verdict == TOLD ? &told[sort_of(f)] : &harmless[sort_of(f)]) += verdict != MISSED;
    put_back();
}

/* The arena and the packs get most of it; of eight flips in one file seven go where anything lies. */
static bool flip_at_random(const struct cycle *c, uint64_t *random)
{
    uint64_t pick = campaign_random(random) % 16;
    enum sort sort = pick < 7 ? ARENA : pick < 14 ? PACK : pick < 15 ? INDEX : IDENTITY;
    const struct file *f;
    uint64_t at;

    do
        f = &files[campaign_random(random) % n_files];
    while (sort_of(f) != sort);
    at = campaign_random(random) % f->len;
    if (campaign_random(random) % 8)
        at = f->used[campaign_random(random) % f->n_used] + campaign_random(random) % 64;
    if (at >= f->len)
        return false;
    flip(c, f, 8 * at + campaign_random(random) % 8);
    return true;
}

/* ---- a save file ---- */

static uint64_t flip_save_file(void)
{
    const char *const json = "{\"c_info\": {\"name\": \"web\"}}";
    struct ck_facts facts = { .guest = scene_uuid(1), .id = scene_uuid(2), .store = scene_uuid(3), .seq = 5, .name = "web" };
    uint8_t reference[REFERENCE_SIZE], got[REFERENCE_SIZE], *bytes;
    const char *text;
    size_t len, text_len;
    void *file;

    static_assert(CK_REFERENCE_SIZE == REFERENCE_SIZE, "two names of one size");
    ck_reference_encode(&facts, reference);
    OK(reference_file_build(reference, json, &file, &len, &err));
    bytes = file;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (!reference_file_parse(file, len, got, &text, &text_len, &err) && !reference_check(got, &err))
            campaign_lost("bit %zu of a save file is not noticed", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    OK(reference_file_parse(file, len, got, &text, &text_len, &err));
    free(file);
    return 8 * len;
}

START_TEST(no_flipped_bit_ever_becomes_a_wrong_byte_or_loses_a_checkpoint_silently)
{
    uint64_t random = 4, flips = 0, in_file, wanted = campaign_size(150), all_told = 0;
    char why[SCENE_WHY];
    struct cycle c;

    cycle_begin();
    ck_assert(cycle_run(&c, NULL));
    ck_assert_uint_eq(c.failed, 0);
    ck_assert_int_eq(nftw(scene_dir, read_one, 16, FTW_PHYS), 0);
    ck_assert_msg(cycle_holds(&c, why, NULL), "%s", why);
    put_back();
    while (flips < wanted)
        flips += flip_at_random(&c, &random);
    ck_assert_msg(cycle_holds(&c, why, NULL), "at the end: %s", why);
    in_file = flip_save_file();
    for (int i = 0; i < SORTS; i++) {
        char name[40];

        (void)snprintf(name, sizeof(name), "flips_%s", sorts[i]);
        campaign_figure(name, "bits", told[i] + harmless[i] + missed[i]);
        (void)snprintf(name, sizeof(name), "flips_%s_told", sorts[i]);
        campaign_figure(name, "bits", told[i]);
        all_told += told[i];
    }
    ck_assert_uint_gt(all_told, wanted / 4);
    campaign_figure("flips_save_file", "bits", in_file);
    campaign_figure("flips", "bits", flips + in_file);
    campaign_figure("flips_missed", "bits", campaign_losses());
    cycle_end();
}
END_TEST

int main(void)
{
    return campaign_run("flips", no_flipped_bit_ever_becomes_a_wrong_byte_or_loses_a_checkpoint_silently);
}
