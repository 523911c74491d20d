/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * diffs - invariants 2, 3 and 10: random sequences of writes to a tracked guest, before, between and during background copies, while it
 * is being saved and up to its suspend. Each sequence ends in an incremental checkpoint that is restored and compared, byte by
 * byte, with what the test itself wrote down; and no more pages are stored than were written.
 *
 * CAMPAIGN: how many sequences.
 */
#include "tests/campaign/campaign.h"
#include "tests/unit/track-scene.h"

#define PAGES 128u
#define PER_STORE 100u              /* sequences; then everything begins anew */
#define IS_RAM(gfn) ((gfn) != RING_GFN && (gfn) != HOLE_GFN && (gfn) != SKIP_GFN)

static uint64_t seed = 1;
static uint8_t shadow[PAGES][PAGE];         /* what the guest's memory must be */
static bool written[PAGES];                 /* since the last checkpoint */
static uint64_t moved, stored, writes;      /* pages copied, stored anew; pages written, each once a sequence */

static unsigned dice(unsigned n)
{
    return (unsigned)(campaign_random(&seed) % n);
}

/* ---- the guest ---- */

/* A few bytes, a page of noise, zeros, another page's bytes, or its own once more. */
static void write_something(void)
{
    unsigned gfn = dice(4) ? dice(PAGES) : dice(24), at = dice(PAGE), len = 1 + dice(PAGE - at);
    static uint8_t data[PAGE];

    if (!IS_RAM(gfn))
        return;
    memcpy(data, shadow[gfn], PAGE);
    switch (dice(6)) {
    case 0: case 1:
        for (unsigned i = at; i < at + len; i++)
            data[i] = (uint8_t)campaign_random(&seed);
        break;
    case 2:
        memset(data, 0, PAGE);
        at = 0;
        len = PAGE;
        break;
    case 3:
        memcpy(data, shadow[dice(PAGES)], PAGE);
        at = 0;
        len = PAGE;
        break;
    case 4:
        memset(data + at, (int)dice(256), len);
        break;
    default:
        break;      /* a store that changes nothing */
    }
    flx_fake_write(GUEST, gfn, at, data + at, len);
    memcpy(shadow[gfn], data, PAGE);
    written[gfn] = true;
}

static void write_some(unsigned most)
{
    for (unsigned n = dice(most + 1); n; n--)
        write_something();
}

static int write_and_suspend(struct saving *s, struct flic_err *why)
{
    (void)why;
    write_some(6);
    flx_fake_set_run(s->domid, FLX_SUSPENDED);
    return 0;
}

/* The guest goes on writing while its pages are read. */
static void write_meanwhile(uint32_t domid, void *arg)
{
    (void)arg;
    if (domid == GUEST && flx_fake_run(GUEST) == FLX_RUNNING && !dice(3))
        write_something();
}

/* ---- one store ---- */

static void begin(void)
{
    scene_begin(4 * MIB);
    scene_guest(GUEST, "web", 1, PAGES);
    for (unsigned gfn = 0; gfn < PAGES; gfn++)
        if (IS_RAM(gfn))
            memcpy(shadow[gfn], flx_fake_page(GUEST, gfn), PAGE);
    track_begin();
    flx_fake_before("map_pages", write_meanwhile, NULL);
    flx_fake_after("map_pages", write_meanwhile, NULL);
    memset(written, 1, sizeof(written));
}

static void end(void)
{
    track_end();
    scene_end();
}

/* flicd is started again: the tracker learns anew. */
static void reopen(void)
{
    track_end();
    scene_reopen();
    track_begin();
}

static struct nv_name save(void)
{
    struct saving s;

    saving_init(&s, GUEST);
    s.at_suspend = write_and_suspend;
    OK(tk_lend(tracked, &s.base, &err));
    OK(saving_run(&s));
    saving_end(&s);
    tk_give_back(tracked);
    flx_fake_set_run(GUEST, FLX_RUNNING);
    image_free(&s.image);
    moved += s.figures.live_pages + s.figures.ws_pages;
    stored += s.figures.new_pages;
    return s.name;
}

static bool comes_back(const struct nv_name *name, char why[SCENE_WHY])
{
    uint32_t domid = 0;
    bool same = true;

    if (scene_restore(name, &domid, NULL)) {
        (void)snprintf(why, SCENE_WHY, "%.150s", err.text);
        return false;
    }
    for (unsigned gfn = 0; same && gfn < PAGES; gfn++) {
        const uint8_t *page = flx_fake_page(domid, gfn);

        same = !IS_RAM(gfn) || (page && !memcmp(page, shadow[gfn], PAGE));
        if (!same)
            (void)snprintf(why, SCENE_WHY, "gfn %u is not what was written", gfn);
    }
    flx_fake_kill(domid);
    return same;
}

static void sequence(unsigned k)
{
    static struct nv_name before;
    struct tk_status status = track_status(), now;
    struct nv_name name;
    char why[SCENE_WHY];
    uint64_t freed;

    for (unsigned n = dice(4); n; n--) {
        write_some(4);
        track_for(dice(3) * SECOND / 2);
    }
    now = track_status();
    moved += now.copied.pages - status.copied.pages;
    stored += now.copied.new_pages - status.copied.new_pages;
    name = save();
    for (unsigned gfn = 0; gfn < PAGES; gfn++)
        writes += written[gfn];
    memset(written, 0, sizeof(written));
    if (!dice(8))
        OK(scene_destage(&name, NULL));
    if (!dice(32))
        reopen();
    if (!comes_back(&name, why))
        campaign_lost("sequence %u: %s", k, why);
    if (k % PER_STORE)
        OK(ck_forget(store, &before, false, &freed, &err));
    before = name;
}

START_TEST(whatever_is_written_an_incremental_checkpoint_is_what_the_guest_was_and_costs_what_changed)
{
    unsigned wanted = (unsigned)campaign_size(60), k;

    scene_threads = 1;
    for (k = 0; k < wanted; k++) {
        if (k % PER_STORE == 0)
            begin();
        sequence(k);
        if (k % PER_STORE == PER_STORE - 1 || k + 1 == wanted)
            end();
    }
    campaign_figure("diff_sequences", "sequences", k);
    campaign_figure("diff_mismatches", "sequences", campaign_losses());
    campaign_figure("diff_pages_written", "pages", writes);
    campaign_figure("diff_pages_copied", "pages", moved);
    campaign_figure("diff_pages_stored", "pages", stored);
    campaign_figure("diff_pages_if_full", "pages", (uint64_t)k * PAGES);
    ck_assert_uint_le(stored, writes);
}
END_TEST

int main(void)
{
    return campaign_run("diffs", whatever_is_written_an_incremental_checkpoint_is_what_the_guest_was_and_costs_what_changed);
}
