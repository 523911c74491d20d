/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/unit/checkpoint-scene.h"

#include "common/log.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

struct ck_store *store;
_Thread_local struct flic_err err;
char scene_dir[64], scene_arena[80];
unsigned scene_threads = 3;
static uint64_t arena_size;
static uint32_t next_fresh;

#define CONFIG "{\"c_info\": {\"name\": \"web\"}, \"disks\": []}"
#define DISKS "[]"

/* ---- the store ---- */

int scene_try_open(void)
{
    struct ck_config config = { .folder = scene_dir, .arena = scene_arena, .arena_bytes = arena_size };

    err = (struct flic_err){ 0 };
    return ck_open(&config, &store, &err);
}

void scene_open(void)
{
    OK(scene_try_open());
}

void scene_close(void)
{
    ck_close(store);
    store = NULL;
}

void scene_reopen(void)
{
    scene_close();
    scene_open();
}

void scene_begin(uint64_t arena_bytes)
{
    /* In RAM where there is such a place: what is tested is the order of things, not how fast a disk flushes. */
    (void)snprintf(scene_dir, sizeof(scene_dir), "%s/test-checkpoint.XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    ck_assert_ptr_nonnull(mkdtemp(scene_dir));
    (void)snprintf(scene_arena, sizeof(scene_arena), "%s/arena", scene_dir);
    arena_size = arena_bytes;
    next_fresh = FRESH;
    flx_fake_reset();
    scene_open();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void scene_remove(const char *folder)
{
    ck_assert_int_eq(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void scene_end(void)
{
    scene_close();
    ck_assert_uint_eq(flx_fake_maps(), 0);
    flx_fake_reset();
    scene_remove(scene_dir);
}

void scene_lose_arena(void)
{
    ck_assert_int_eq(unlink(scene_arena), 0);
}

void scene_resize_arena(uint64_t bytes)
{
    arena_size = bytes;
}

void scene_lose_index(void)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    char path[128];

    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/index.sqlite%s", scene_dir, ends[i]);
        (void)unlink(path);
    }
}

static uint64_t counted;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type == FTW_F && strstr(path, ".pack"))
        counted += (uint64_t)st->st_size;
    return 0;
}

uint64_t scene_flash_bytes(void)
{
    counted = 0;
    ck_assert_int_eq(nftw(scene_dir, count_one, 16, FTW_PHYS), 0);
    return counted;
}

/* ---- guests ---- */

struct flic_uuid scene_uuid(uint8_t number)
{
    struct flic_uuid uuid;

    memset(uuid.b, number, sizeof(uuid.b));
    return uuid;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void page_of(uint8_t page[PAGE], uint64_t gfn, uint32_t seed)
{
    uint64_t words[PAGE / 8];

    for (size_t i = 0; i < PAGE / 8; i++)       /* every other page compresses */
        words[i] = gfn % 2 ? mix(seed * UINT64_C(1000003) + gfn * 512 + i) : seed + gfn;
    memcpy(page, words, PAGE);
}

void scene_dirty(uint32_t domid, uint64_t first, uint64_t n, uint32_t seed)
{
    uint8_t page[PAGE];

    for (uint64_t gfn = first; gfn < first + n; gfn++) {
        page_of(page, gfn, seed);
        flx_fake_write(domid, gfn, 0, page, PAGE);
    }
}

void scene_guest(uint32_t domid, const char *name, uint8_t number, uint64_t pages)
{
    struct flic_uuid uuid = scene_uuid(number);
    uint8_t page[PAGE];

    flx_fake_add(domid, name, &uuid, 0, pages);
    for (uint64_t gfn = 0; gfn < pages; gfn++) {
        page_of(page, gfn % 7 == 3 ? 3 : gfn, number);      /* one in seven is the same page */
        if (gfn % 8 != 5)                                   /* one in eight stays zero */
            flx_fake_write(domid, gfn, 0, page, PAGE);
    }
    flx_fake_set_kind(domid, RING_GFN, FLX_PAGE_RING);
    flx_fake_set_kind(domid, HOLE_GFN, FLX_PAGE_HOLE);
    flx_fake_set_kind(domid, SKIP_GFN, FLX_PAGE_SKIP);
}

void image_take(struct image *image, uint32_t domid, uint64_t gfns)
{
    image_free(image);
    image->gfns = gfns;
    image->kind = calloc(gfns, 1);
    image->bytes = calloc(gfns, PAGE);
    if (!image->kind || !image->bytes)      /* not an assertion: libcheck writes each one down, and some tests count writes */
        ck_abort_msg("out of memory");
    for (uint64_t gfn = 0; gfn < gfns; gfn++) {
        image->kind[gfn] = (uint8_t)flx_fake_kind(domid, gfn);
        if (image->kind[gfn] == FLX_PAGE_RAM)
            memcpy(image->bytes + gfn * PAGE, flx_fake_page(domid, gfn), PAGE);
    }
}

void image_free(struct image *image)
{
    free(image->kind);
    free(image->bytes);
    *image = (struct image){ 0 };
}

bool image_differs(const struct image *image, uint32_t restored_domid, char why[SCENE_WHY])
{
    for (uint64_t gfn = 0; gfn < image->gfns; gfn++) {
        const uint8_t *page = flx_fake_page(restored_domid, gfn);
        bool present = image->kind[gfn] == FLX_PAGE_RAM || image->kind[gfn] == FLX_PAGE_RING;

        if ((page != NULL) != present) {
            (void)snprintf(why, SCENE_WHY, "gfn %lu: present %d, should be %d", (unsigned long)gfn, page != NULL, present);
            return true;
        }
        if (page && memcmp(page, image->bytes + gfn * PAGE, PAGE)) {    /* a ring's bytes in the image are zeros */
            (void)snprintf(why, SCENE_WHY, "gfn %lu differs (kind %u, first byte %02x, was %02x)", (unsigned long)gfn,
                           image->kind[gfn], page[0], image->bytes[gfn * PAGE]);
            return true;
        }
    }
    return false;
}

void image_compare(const struct image *image, uint32_t restored_domid)
{
    char why[SCENE_WHY];

    if (image_differs(image, restored_domid, why))      /* not an assertion each: libcheck writes every one down */
        ck_abort_msg("%s", why);
}

/* ---- saving ---- */

void saving_init(struct saving *s, uint32_t domid)
{
    *s = (struct saving){ .domid = domid, .rounds_max = 4, .stop_pages = 16, .threads = scene_threads };
}

int saving_suspend(struct saving *s, struct flic_err *why)
{
    (void)why;
    scene_dirty(s->domid, s->work.first, s->work.n, s->work.seed);
    flx_fake_set_run(s->domid, FLX_SUSPENDED);
    image_take(&s->image, s->domid, ck_save_facts(s->save)->gfn_end);
    return 0;
}

static int suspend(void *arg, struct flic_err *why)
{
    struct saving *s = arg;

    s->suspends++;
    return s->at_suspend ? s->at_suspend(s, why) : saving_suspend(s, why);
}

static bool cancelled(void *arg)
{
    struct saving *s = arg;

    s->asked++;
    return s->cancel || (s->cancel_after && s->asked >= s->cancel_after);
}

static void progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    (void)arg;
    (void)phase;
    if (done > total)
        ck_abort_msg("progress beyond the end");
}

int saving_new(struct saving *s)
{
    struct ck_save_params params = {
        .config = CONFIG, .config_len = strlen(CONFIG), .live_rounds_max = s->rounds_max, .live_stop_pages = s->stop_pages,
        .threads = s->threads, .suspend = suspend, .captured = s->captured, .captured_waits = s->captured_waits, .cancelled = cancelled, .progress = progress, .arg = s,
    };
    int rc = flx_open(s->domid, &s->dom, &err);

    if (rc)
        return rc;
    params.dom = s->dom;
    params.base = s->base;
    rc = ck_save_new(store, &params, &s->save, &err);
    if (!rc)
        s->name = (struct nv_name){ .guest = ck_save_facts(s->save)->guest, .seq = ck_save_facts(s->save)->seq };
    return rc;
}

int saving_run(struct saving *s)
{
    int rc = saving_new(s);

    if (!rc)
        rc = ck_save_live(s->save, &err);
    if (!rc)
        rc = ck_save_capture(s->save, &err);
    return rc ? rc : ck_save_publish(s->save, DISKS, strlen(DISKS), &err);
}

void saving_end(struct saving *s)
{
    if (s->save) {
        s->figures = *ck_save_get_figures(s->save);
        s->facts = *ck_save_facts(s->save);
    }
    ck_save_free(s->save);
    flx_close(s->dom);
    s->save = NULL;
    s->dom = NULL;
}

struct nv_name scene_save_with_work(uint32_t domid, const struct scene_work *work, struct image *ret_image, struct ck_save_figures *ret_figures)
{
    struct saving s;

    saving_init(&s, domid);
    s.work = *work;
    OK(saving_run(&s));
    saving_end(&s);
    flx_fake_set_run(domid, FLX_RUNNING);
    if (ret_figures)
        *ret_figures = s.figures;
    if (ret_image)
        *ret_image = s.image;
    else
        image_free(&s.image);
    return s.name;
}

struct nv_name scene_save(uint32_t domid, struct image *ret_image, struct ck_save_figures *ret_figures)
{
    return scene_save_with_work(domid, &(struct scene_work){ .n = 0 }, ret_image, ret_figures);
}

/* ---- restoring and the rest ---- */

/* *added: the domain is there, whatever became of the restore. */
static int restore_into(const struct nv_name *name, uint32_t domid, bool *added, void (*filled)(const struct ck_loaded *from),
                        struct ck_restore_figures *ret_figures)
{
    struct ck_restore_params params = { .ports = { 1, 0, 2, 0 }, .threads = scene_threads, .cancelled = scene_never, .progress = progress };
    struct ck_restore_figures figures = { 0 };
    struct ck_loaded loaded;
    struct ck_entry entry;
    struct flx_built built;
    struct flx_dom *dom;
    int rc = ck_find_exact(store, &name->guest, name->seq, &entry, &err);

    if (!rc)
        rc = ck_load(store, &entry, &loaded, &err);
    if (rc)
        return rc;
    flx_fake_add(domid, "", &name->guest, loaded.root.facts.gfn_end, 0);
    *added = true;
    OK(flx_open(domid, &dom, &err));
    params.dom = dom;
    rc = ck_restore(store, &loaded, &params, &built, &figures, &err);
    flx_close(dom);
    if (!rc && filled)
        filled(&loaded);
    ck_unload(store, &loaded);
    if (ret_figures)
        *ret_figures = figures;
    return rc;
}

int scene_restore_into(const struct nv_name *name, uint32_t domid, void (*filled)(const struct ck_loaded *from),
                       struct ck_restore_figures *ret_figures)
{
    bool added;

    return restore_into(name, domid, &added, filled, ret_figures);
}

int scene_restore(const struct nv_name *name, uint32_t *ret_domid, struct ck_restore_figures *ret_figures)
{
    bool added = false;
    int rc = restore_into(name, next_fresh, &added, NULL, ret_figures);

    if (added)
        *ret_domid = next_fresh++;
    return rc;
}

void scene_restore_and_compare(const struct nv_name *name, const struct image *image)
{
    uint32_t domid = 0;

    OK(scene_restore(name, &domid, NULL));
    ck_assert(flx_fake_built(domid));
    image_compare(image, domid);
    flx_fake_kill(domid);
}

int scene_destage(const struct nv_name *name, struct ck_destage_figures *ret_figures)
{
    struct ck_destage_figures figures;
    struct ck_entry entry;
    int rc = ck_find_exact(store, &name->guest, name->seq, &entry, &err);

    if (!rc)
        rc = ck_destage(store, &entry, scene_never, NULL, &figures, &err);
    if (!rc && ret_figures)
        *ret_figures = figures;
    return rc;
}

struct spot {
    bool leaves;
    uint32_t number;
    off_t at;
};

static int choose_spot(const struct pk_pack_info *pack, void *arg)
{
    struct spot *s = arg;

    if (s->leaves || !s->at) {
        s->number = pack->number;
        s->at = s->leaves ? (off_t)(pack->bytes - 64 - 24ull * pack->objects - 200) : (off_t)(pack->bytes / 3);
    }
    return 0;
}

struct ck_verify_figures scene_lose_objects(struct ck_store *of, const char *folder, bool leaves)
{
    struct ck_verify_params params = { .only = NULL };
    struct spot spot = { .leaves = leaves };
    struct ck_verify_figures f;
    char path[160];
    uint8_t byte;
    int fd;

    OK(pk_each_pack(ck_packs(of), NULL, choose_spot, &spot));
    (void)snprintf(path, sizeof(path), "%s/packs/%08x.pack", folder, spot.number);
    fd = open(path, O_RDWR);
    ck_assert(fd >= 0 && pread(fd, &byte, 1, spot.at) == 1);
    byte ^= 4;
    ck_assert(pwrite(fd, &byte, 1, spot.at) == 1 && !close(fd));
    OK(ck_verify(of, &params, &f, &err));
    ck_assert_uint_ge(f.lost_objects, 1);
    return f;
}

size_t scene_count(void)
{
    struct ck_entry *entries;
    size_t n;

    OK(ck_list(store, &entries, &n, &err));
    free(entries);
    return n;
}

bool scene_offers(const struct nv_name *name)
{
    struct ck_entry entry;

    return !ck_find_exact(store, &name->guest, name->seq, &entry, NULL);
}

int scene_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    flic_log_open(FLIC_LOG_ERROR);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
