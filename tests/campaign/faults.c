/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * faults - invariants 1 and 8 on flash: in a whole cycle of saves, destages, forgets and reopenings (a) each change of a file fails
 * in turn, once with EIO, once with no room until the step is over; (b) the power goes before each sync and after each promise, with
 * what was not synced lost, torn or there. What had been promised is there afterwards and whole. (c) Each fsync of the
 * engine is left out in turn: then (b) must find a loss, or it would find none that matters.
 *
 * CAMPAIGN: how many calls fail (at most all, twice); from 1000 on, (b) looks at each point and draws more, and there is (c).
 * FAULTS_REPORT=1 prints each place that syncs, as offsets in the program, and what was lost without it.
 */
#include "tests/campaign/campaign.h"
#include "tests/campaign/cycle.h"
#include "tests/campaign/flash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- (a) one call fails ---- */

static uint64_t calls, fail_at;
static int fail_code;           /* 0: count only */
static bool struck, looked;
static char in_step[SCENE_WHY];

static bool can_fail(enum call_kind kind)
{
    return kind <= CALL_MKDIR || kind == CALL_MSYNC;
}

/* EIO once; no room for as long as the step lasts, and only where room is asked for. */
static int count_and_fail(const struct call *call)
{
    bool takes_room = call->kind == CALL_CREATE || call->kind == CALL_WRITE || call->kind == CALL_MKDIR;

    if (!can_fail(call->kind))
        return 0;
    calls++;
    if (fail_code && calls == fail_at) {
        struck = true;
        return fail_code;
    }
    return struck && !looked && fail_code == ENOSPC && takes_room ? ENOSPC : 0;
}

/* What was promised before stays offered by a store that met a failure, without being opened again. */
static void look_once(struct cycle *c)
{
    if (!struck || looked)
        return;
    looked = true;
    calls_hook = NULL;
    if (store && !cycle_agrees(c, in_step))
        campaign_lost("call %lu, %s: in the same run %s", (unsigned long)fail_at, strerror(fail_code), in_step);
    calls_hook = count_and_fail;
}

static bool run_with(uint64_t at, int code, struct cycle *c)
{
    bool ok;

    cycle_wipe();
    calls = 0;
    fail_at = at;
    fail_code = code;
    struck = looked = false;
    calls_hook = count_and_fail;
    ok = cycle_run(c, look_once);
    calls_hook = NULL;
    return ok;
}

static uint64_t fail_calls(void)
{
    static const int codes[] = { EIO, ENOSPC };
    uint64_t all, points, done, failed = 0;
    char why[SCENE_WHY];
    struct cycle c;

    ck_assert(run_with(0, 0, &c));
    ck_assert_uint_eq(c.failed, 0);
    all = 2 * calls;
    points = campaign_size(40) < all ? campaign_size(40) : all;
    for (done = 0; done < points; done++) {
        uint64_t n = done * all / points;
        int code = codes[n % 2];

        if (!run_with(1 + n / 2, code, &c))
            campaign_lost("call %lu, %s: the store does not open again: %s", (unsigned long)(1 + n / 2), strerror(code), err.text);
        else if (!cycle_holds(&c, why, NULL))
            campaign_lost("call %lu, %s: %s", (unsigned long)(1 + n / 2), strerror(code), why);
        failed += c.failed > 0;
    }
    ck_assert_uint_gt(failed, points / 8);          /* else nobody noticed */
    return done;
}

/* ---- (b) the power goes ---- */

enum tale { PLAIN, SEAL_FAILS, REMAINS, SYNC_FAILS, PACKS_ALONE, INDEX_ALONE, TALES };

static enum tale tale;
static struct cycle told;           /* by the cycle that is recorded */
static unsigned syncs;
static bool cannot_remove;

/* Beside the plain cycle: one in which a pack's rename fails, one in which the folder cannot be synced in the first forget, and one in which what that left cannot be removed before the store is
 * opened again; and packs and index each alone, so that neither lives on what the other one syncs. */
static bool forgetting(void)
{
    for (unsigned i = 0; i < CYCLE_SAVES; i++)
        if (told.state[i] == CYCLE_FORGETTING)
            return true;
    return false;
}

static bool is_packs(const char *path)
{
    size_t len = strlen(path);

    return len > 6 && !strcmp(path + len - 6, "/packs");
}

static int note_and_fail(const struct call *call)
{
    if ((tale == SEAL_FAILS || tale == REMAINS) && call->kind == CALL_RENAME && strstr(call->path, ".pack") && ++syncs == 3) {
        cannot_remove = tale == REMAINS;
        return EIO;
    }
    if (tale == SYNC_FAILS && call->kind == CALL_SYNC && forgetting() && is_packs(call->path) && !syncs++)
        return EIO;
    if (cannot_remove && call->kind == CALL_UNLINK)
        return EIO;
    return flash_note(call);
}

static void step_over(struct cycle *c)
{
    (void)c;
    cannot_remove = false;
    flash_mark();
}

/* ---- packs and index alone: `note` counts what was promised ---- */

static const struct flic_secret secret;

static const uint8_t *page_number(unsigned n)
{
    static uint8_t page[PAGE];

    memset(page, (int)n, PAGE);
    page[n] = 0;
    return page;
}

static bool run_packs(struct cycle *c)
{
    struct pk_store *packs;
    struct flic_id id;
    char dir[80];

    (void)snprintf(dir, sizeof(dir), "%s/packs", scene_dir);
    OK(pk_open(dir, &secret, &packs, &err));
    for (unsigned n = 1; n <= 4; n++) {
        struct pk_writer *w;

        OK(pk_writer_new(packs, &w, &err));
        OK(pk_put(w, PK_PAGE, page_number(n), PAGE, &id, NULL, &err));
        OK(pk_seal(w, &err));
        pk_writer_free(w);
        c->note = n;
        flash_mark();
    }
    pk_close(packs);
    return true;
}

static bool packs_hold(const struct cycle *c, char why[SCENE_WHY])
{
    struct pk_store *packs;
    uint8_t page[PAGE];
    char dir[80];
    bool ok = true;
    size_t len;

    (void)snprintf(dir, sizeof(dir), "%s/packs", scene_dir);
    if (pk_open(dir, &secret, &packs, &err)) {
        (void)snprintf(why, SCENE_WHY, "the packs do not open: %.120s", err.text);
        return false;
    }
    for (unsigned n = 1; ok && n <= c->note; n++) {
        struct flic_id id = flic_id_of(&secret, 0, page_number(n), PAGE);

        ok = !pk_read(packs, &id, page, PAGE, &len, &err) && !memcmp(page, page_number(n), PAGE);
        if (!ok)
            (void)snprintf(why, SCENE_WHY, "sealed page %u: %.120s", n, err.text);
    }
    pk_close(packs);
    return ok;
}

static int next_number(uint64_t *ret_seq)
{
    struct flic_uuid guest = scene_uuid(1);
    struct ix_index *ix;
    char path[80];
    int rc;

    (void)snprintf(path, sizeof(path), "%s/index.sqlite", scene_dir);
    rc = ix_open(path, &ix, &err);
    if (rc)
        return rc;
    rc = ix_next_seq(ix, &guest, 1, ret_seq, &err);
    ix_close(ix);
    return rc;
}

static bool run_index(struct cycle *c)
{
    for (unsigned n = 0; n < 4; n++) {
        uint64_t seq;

        OK(next_number(&seq));
        c->note = (unsigned)seq;
        flash_mark();
    }
    return true;
}

static bool index_holds(const struct cycle *c, char why[SCENE_WHY])
{
    uint64_t seq;

    if (next_number(&seq))
        (void)snprintf(why, SCENE_WHY, "the index does not open: %.120s", err.text);
    else if (seq > c->note)
        return true;
    else
        (void)snprintf(why, SCENE_WHY, "number %u is given again", (unsigned)seq);
    return false;
}

static void record(void)
{
    cycle_wipe();
    memset(&told, 0, sizeof(told));
    syncs = 0;
    cannot_remove = false;
    flash_begin(scene_dir, scene_arena, &told, sizeof(told));
    calls_hook = note_and_fail;
    ck_assert(tale == PACKS_ALONE ? run_packs(&told) : tale == INDEX_ALONE ? run_index(&told) : cycle_run(&told, step_over));
    calls_hook = NULL;
}

static bool look(const void *promised, void *arg)
{
    char *why = arg;

    return tale == PACKS_ALONE ? packs_hold(promised, why) : tale == INDEX_ALONE ? index_holds(promised, why)
         : cycle_holds(promised, why, NULL);
}

/* Recorded in one folder, looked at in another beside it. */
static bool power_cuts(struct flash_walk *walk, char why[SCENE_WHY])
{
    char dir[sizeof(scene_dir)], arena[sizeof(scene_arena)];
    bool ok;

    record();
    memcpy(dir, scene_dir, sizeof(dir));
    memcpy(arena, scene_arena, sizeof(arena));
    (void)snprintf(scene_dir, sizeof(scene_dir), "%.58s.cut", dir);
    (void)snprintf(scene_arena, sizeof(scene_arena), "%s/nvram", scene_dir);
    ck_assert_int_eq(mkdir(scene_dir, 0700), 0);
    ck_assert_int_eq(mkdir(scene_arena, 0700), 0);
    (void)snprintf(scene_arena, sizeof(scene_arena), "%s/nvram/arena", scene_dir);
    walk->into = scene_dir;
    walk->wipe = cycle_wipe_flash;
    walk->check = look;
    walk->arg = why;
    why[0] = '\0';
    ok = flash_walk(walk);
    cycle_wipe();
    (void)snprintf(scene_arena, sizeof(scene_arena), "%s/nvram", scene_dir);
    ck_assert_int_eq(rmdir(scene_arena) + rmdir(scene_dir), 0);
    memcpy(scene_dir, dir, sizeof(dir));
    memcpy(scene_arena, arena, sizeof(arena));
    flash_end();
    return ok;
}

static bool is_large(void)
{
    return campaign_size(0) >= 1000;
}

static struct flash_walk walk_of(unsigned seed)
{
    return (struct flash_walk){ .per_point = is_large() ? 16 : 4, .every = is_large() ? 1 : 8, .seed = seed };
}

static uint64_t cut_power(void)
{
    uint64_t images = 0;
    char why[SCENE_WHY];

    for (tale = PLAIN; tale < TALES; tale++) {
        struct flash_walk walk = walk_of(tale);

        if (!power_cuts(&walk, why))
            campaign_lost("the power went in tale %u: %s", tale, why);
        ck_assert_uint_ge(walk.points, tale < PACKS_ALONE ? 40 : 8);
        images += walk.images;
    }
    return images;
}

/* ---- (c) a sync is left out ---- */

static bool anything_is_lost(char why[SCENE_WHY])
{
    for (unsigned seed = 1; seed <= 2; seed++) {
        for (unsigned k = TALES; k--;) {            /* the small ones first */
            struct flash_walk walk = { .per_point = 6, .every = 1, .seed = seed };

            tale = (enum tale)k;
            if (!power_cuts(&walk, why))
                return true;
        }
    }
    return false;
}

static unsigned leave_out_syncs(void)
{
    char why[SCENE_WHY];
    int site;

    for (site = 0; site < flash_sites(); site++) {
        const struct flash_site *s = flash_site(site);
        bool lost;

        flash_mute(site);
        lost = anything_is_lost(why);
        flash_mute(-1);
        if (getenv("FAULTS_REPORT"))
            printf("without %-5s +0x%lx +0x%lx: %s\n", calls_kind_name(s->kind), (unsigned long)s->at[0], (unsigned long)s->at[1],
                   lost ? why : "nothing is lost");
        if (!lost)
            campaign_lost("%s at +0x%lx, called at +0x%lx, can be left out and nobody notices", calls_kind_name(s->kind),
                          (unsigned long)s->at[0], (unsigned long)s->at[1]);
    }
    return (unsigned)site;
}

START_TEST(whatever_write_fails_or_is_lost_in_a_power_cut_nothing_promised_is_lost)
{
    uint64_t failing, cuts, lost;
    unsigned left_out;

    cycle_begin();
    calls_watch(scene_dir);
    failing = fail_calls();
    cuts = cut_power();
    lost = campaign_losses();
    left_out = is_large() ? leave_out_syncs() : 0;
    campaign_figure("write_faults", "faults", failing + cuts);
    campaign_figure("write_faults_failing_calls", "calls", failing);
    campaign_figure("write_faults_power_cuts", "images", cuts);
    campaign_figure("write_faults_lost", "faults", lost);
    if (left_out) {
        campaign_figure("write_faults_syncs", "places", left_out);
        campaign_figure("write_faults_syncs_unnoticed", "places", campaign_losses() - lost);
    }
    cycle_end();
}
END_TEST

int main(void)
{
    return campaign_run("faults", whatever_write_fails_or_is_lost_in_a_power_cut_nothing_promised_is_lost);
}
