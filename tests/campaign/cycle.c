/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/campaign/cycle.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/mem.h"
#include "daemon/checkpoint/gc.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

struct image cycle_images[CYCLE_SAVES];

enum verb { SAVE, DESTAGE, ROOM, FORGET, GC, REOPEN, NOTE };

static const struct step {
    enum verb verb;
    unsigned which;
} story[CYCLE_STEPS] = {
    { SAVE, 0 }, { DESTAGE, 0 }, { SAVE, 1 }, { NOTE, 1 }, { FORGET, 0 }, { NOTE, 2 }, { REOPEN, 0 }, { SAVE, 2 }, { DESTAGE, 1 },
    { DESTAGE, 2 }, { FORGET, 1 }, { SAVE, 3 }, { GC, 0 }, { REOPEN, 0 }, { DESTAGE, 3 }, { ROOM, 0 }, { FORGET, 2 }, { GC, 0 },
    { SAVE, 4 }, { NOTE, 3 }, { REOPEN, 0 },
};

/* ---- the folder ---- */

static bool spare_arena;
static char nvram[80];          /* the arena's folder, as it were a file system of its own */

static int remove_below(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    return !ftw->level || !strcmp(path, nvram) || (spare_arena && !strcmp(path, scene_arena)) ? 0 : remove(path);
}

static void wipe(bool spare)
{
    spare_arena = spare;
    (void)snprintf(nvram, sizeof(nvram), "%.*s", (int)(strrchr(scene_arena, '/') - scene_arena), scene_arena);
    if (nftw(scene_dir, remove_below, 16, FTW_DEPTH | FTW_PHYS))
        ck_abort_msg("cannot empty %s", scene_dir);
}

void cycle_wipe(void)
{
    wipe(false);
}

void cycle_wipe_flash(void)
{
    wipe(true);
}

void cycle_begin(void)
{
    scene_threads = 1;
    scene_begin(CYCLE_ARENA);
    scene_close();
    (void)snprintf(scene_arena, sizeof(scene_arena), "%s/nvram", scene_dir);
    ck_assert_int_eq(mkdir(scene_arena, 0700), 0);
    (void)snprintf(scene_arena, sizeof(scene_arena), "%s/nvram/arena", scene_dir);
    cycle_wipe();
}

void cycle_end(void)
{
    for (unsigned i = 0; i < CYCLE_SAVES; i++)
        image_free(&cycle_images[i]);
    scene_end();
}

/* ---- the steps ---- */

static unsigned saving_now;

/* Some of what the pause captures is new, some the same each time: a pack is shared, and outlives the checkpoint that wrote it. */
static int work_and_suspend(struct saving *s, struct flic_err *why)
{
    scene_dirty(s->domid, 50, 30, 200 + saving_now);
    scene_dirty(s->domid, 80, 6, 777);
    return saving_suspend(s, why);
}

/* A save as flicd runs it; `c` is told as soon as it has a name, and of each promise. */
static int save(struct cycle *c, unsigned i)
{
    struct saving s;
    int rc;

    saving_init(&s, GUEST);
    s.at_suspend = work_and_suspend;
    saving_now = i;
    scene_dirty(GUEST, 10 + 8 * i, 12, 100 + i);
    rc = saving_new(&s);
    if (!rc) {
        c->names[i] = s.name;
        c->state[i] = CYCLE_SAVING;
        rc = ck_save_live(s.save, &err);
    }
    if (!rc)
        rc = ck_save_capture(s.save, &err);
    if (!rc)
        rc = ck_save_publish(s.save, "[]", 2, &err);
    if (!rc)
        c->state[i] = CYCLE_PUBLISHED;
    saving_end(&s);
    if (s.image.gfns) {
        image_free(&cycle_images[i]);
        cycle_images[i] = s.image;
    }
    flx_fake_set_run(GUEST, FLX_RUNNING);
    return rc;
}

static int forget(struct cycle *c, unsigned i)
{
    uint64_t freed;
    int rc;

    c->state[i] = CYCLE_FORGETTING;
    rc = ck_forget(store, &c->names[i], false, &freed, &err);
    if (!rc)
        c->state[i] = CYCLE_FORGOTTEN;
    else if (scene_offers(&c->names[i]))
        c->state[i] = CYCLE_PUBLISHED;      /* it was said to be there still */
    return rc;
}

static int collect(void)
{
    const struct ck_gc_params params = { .live_percent = 90 };
    struct ck_gc_figures figures;

    return ck_gc(store, &params, &figures, &err);
}

/* What flicd keeps in files of its own: moves, swaps, what it protects and tracks. */
static void note_path(char path[80])
{
    (void)snprintf(path, 80, "%s/note", scene_dir);
}

static int note(struct cycle *c, unsigned n)
{
    char path[80];
    int rc;

    note_path(path);
    rc = flic_publish_file(path, &n, sizeof(n), 0600, &err);
    if (!rc)
        c->note = n;
    return rc;
}

/* The last one that was promised, or the next. */
static bool note_is_there(const struct cycle *c, char why[SCENE_WHY])
{
    FLIC_AUTO_FREE void *data = NULL;
    unsigned n = 0;
    char path[80];
    size_t len;

    note_path(path);
    if (!flic_load_file(path, 4096, &data, &len, &err) && len == sizeof(n))
        memcpy(&n, data, sizeof(n));
    if (n >= c->note && n <= c->note + 1 && (n || !data))
        return true;
    (void)snprintf(why, SCENE_WHY, "the file says %u, %u was published", n, c->note);
    return false;
}

/* After a forget or a gc that went through, what it gave back is free for good. */
static void settle_room(struct cycle *c, const struct step *step, int rc)
{
    c->flash_bytes = !rc && (step->verb == FORGET || step->verb == GC) ? scene_flash_bytes() : 0;
}

/* Room is needed: what NVRAM holds of destaged checkpoints is given up, and flash must have it. */
static void give_up_caches(void)
{
    struct nv_info info;
    struct nv_txn *txn;

    nv_get_info(ck_arena(store), &info);
    if (!nv_txn_begin(ck_arena(store), info.frames_free + info.frames_cached, &txn, &err))
        nv_txn_abort(txn);
}

static int one_step(struct cycle *c, const struct step *step)
{
    err = (struct flic_err){ 0 };
    c->flash_bytes = 0;
    if (step->verb == SAVE)
        return save(c, step->which);
    if (step->verb == NOTE)
        return note(c, step->which);
    if (step->verb == GC)
        return collect();
    if (step->verb == ROOM) {
        give_up_caches();
        return 0;
    }
    if (step->verb == REOPEN) {
        scene_close();
        return scene_try_open();
    }
    if (c->state[step->which] != CYCLE_PUBLISHED)
        return 0;       /* its save failed */
    return step->verb == FORGET ? forget(c, step->which) : scene_destage(&c->names[step->which], NULL);
}

static void nobody(struct cycle *c)
{
    (void)c;
}

bool cycle_run(struct cycle *c, void (*after)(struct cycle *c))
{
    memset(c, 0, sizeof(*c));
    flx_fake_reset();
    scene_guest(GUEST, "web", 1, CYCLE_PAGES);
    after = after ? after : nobody;
    if (scene_try_open())
        c->failed++;
    for (unsigned i = 0; i < CYCLE_STEPS; i++) {
        int rc;

        if (!store)
            after(c);
        if (!store && scene_try_open())             /* a failure that has passed keeps nobody out */
            return false;
        rc = one_step(c, &story[i]);
        c->failed += rc != 0;
        settle_room(c, &story[i], rc);
        c->steps++;
        after(c);
    }
    scene_close();
    return true;
}

/* ---- looking ---- */

static bool blame(char why[SCENE_WHY], const struct nv_name *name, const char *what)
{
    (void)snprintf(why, SCENE_WHY, "web@%u: %.140s", (unsigned)name->seq, what);
    return false;
}

static bool comes_back(const struct nv_name *name, const struct image *image, char why[SCENE_WHY])
{
    char text[SCENE_WHY];
    uint32_t domid = 0;
    int rc = scene_restore(name, &domid, NULL);
    bool same = !rc && !image_differs(image, domid, text);

    if (domid)
        flx_fake_kill(domid);
    return same || blame(why, name, rc ? err.text : text);
}

/* A checkpoint that is offered must be one that may be, and whole. */
static bool may_be_offered(const struct cycle *c, const struct ck_entry *e, char why[SCENE_WHY])
{
    const struct nv_name name = { .guest = e->info.guest, .seq = e->info.seq };

    for (unsigned i = 0; i < CYCLE_SAVES; i++) {
        if (c->state[i] == CYCLE_NONE || c->names[i].seq != name.seq)
            continue;
        if (c->state[i] == CYCLE_FORGOTTEN)
            return blame(why, &name, "it was forgotten and is offered");
        return comes_back(&name, &cycle_images[i], why);
    }
    return blame(why, &name, "nobody saved it");
}

bool cycle_agrees(const struct cycle *c, char why[SCENE_WHY])
{
    struct ck_entry *entries;
    bool ok = true;
    size_t n;

    if (ck_list(store, &entries, &n, &err))
        return blame(why, &c->names[0], err.text);
    for (size_t i = 0; ok && i < n; i++)
        ok = may_be_offered(c, &entries[i], why);
    free(entries);
    for (unsigned i = 0; ok && i < CYCLE_SAVES; i++)
        if (c->state[i] == CYCLE_PUBLISHED && !scene_offers(&c->names[i]))
            ok = blame(why, &c->names[i], "it was published and is not offered");
    return ok;
}

static bool goes_on(char why[SCENE_WHY])
{
    struct nv_name name = { .seq = 0 };
    struct saving s;
    uint64_t freed;
    bool ok;

    flx_fake_kill(GUEST);
    scene_guest(GUEST, "web", 1, CYCLE_PAGES);
    saving_init(&s, GUEST);
    err = (struct flic_err){ 0 };
    ok = !saving_run(&s);
    name = s.name;
    saving_end(&s);
    ok = ok && comes_back(&name, &s.image, why) && !ck_forget(store, &name, false, &freed, &err);
    image_free(&s.image);
    return ok || (why[0] ? false : blame(why, &name, err.text));
}

static bool room_is_free(const struct cycle *c, char why[SCENE_WHY])
{
    uint64_t bytes = scene_flash_bytes();

    if (!c->flash_bytes || bytes <= c->flash_bytes)
        return true;
    (void)snprintf(why, SCENE_WHY, "%lu bytes were given back and are taken again", (unsigned long)(bytes - c->flash_bytes));
    return false;
}

bool cycle_holds(const struct cycle *c, char why[SCENE_WHY], int64_t *ret_open_us)
{
    static unsigned looks;
    uint64_t began = flic_now_us();
    bool ok;

    why[0] = '\0';
    if (scene_try_open()) {
        (void)snprintf(why, SCENE_WHY, "it does not open: %.140s", err.text);
        return false;
    }
    if (ret_open_us)
        *ret_open_us = (int64_t)(flic_now_us() - began);
    if (looks++ % 2)
        give_up_caches();
    ok = room_is_free(c, why) && cycle_agrees(c, why) && note_is_there(c, why) && (looks % 4 || goes_on(why));
    scene_close();
    return ok;
}
