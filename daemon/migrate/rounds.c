/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* rounds - which pages go while the guest runs, and whether what is left then fits the pause that is allowed. */
#include "common/clock.h"
#include "common/log.h"
#include "daemon/migrate/estimate.h"
#include "daemon/migrate/send_priv.h"

#include <string.h>
#include <time.h>

#define REST_MIN 64u            /* pages: with no more to send the pause is as short as it gets */
#define CATCH_UP 3u             /* rounds after both sides prepared */
#define RACE_STEPS 24u
#define TRY_STEP_US 250000u
#define TRY_US 2000000u         /* of a link that is slower than a MiB a second less is known */
#define USE_US 100000u          /* for so long its use of CPUs is looked at */
#define SLOWEST 1u              /* percent of one CPU */

/* ---- what was written ---- */

void ms_dirtied(struct ms_sender *s, const uint64_t *bitmap, uint64_t gfn_end)
{
    if (gfn_end > s->info.gfn_end)
        gfn_end = s->info.gfn_end;
    for (size_t i = 0; i < ck_words(gfn_end); i++)
        s->unsent[i] |= bitmap[i];
    memcpy(s->newest, bitmap, ck_words(gfn_end) * 8);
    s->cleaned_us = flic_now_us();
    mt_heat_wrote(&s->heat, bitmap, ck_words(gfn_end), s->cleaned_us);
}

/* What has cooled down. */
static int send_cool(struct ms_sender *s, struct flic_err *err)
{
    return ms_send_chosen(s, &(struct ms_choice){ .but = mt_heat_warm(&s->heat) }, err);
}

/* ---- rounds ---- */

/* Until the peer has all that was sent. */
static int sync_peer(struct ms_sender *s, struct flic_err *err)
{
    uint8_t number[4] = { (uint8_t)s->syncs, (uint8_t)(s->syncs >> 8) };
    uint64_t began = flic_now_us(), waited;
    struct mw_message m;
    int rc = mw_send_bytes(s->link.wire, MW_SYNC, number, sizeof(number), err);

    if (!rc)
        rc = mw_expect(s->link.wire, MW_SYNCED, 0, &m, err);
    if (!rc && (m.len != sizeof(number) || memcmp(m.data, number, sizeof(number))))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer acknowledged another round");
    waited = flic_now_us() - began;
    s->link.busy_us += waited;
    if (!s->syncs || waited < s->least_wait_us)
        s->least_wait_us = waited;
    s->syncs++;
    return rc;
}

static int sync_round(struct ms_sender *s, struct flic_err *err)
{
    s->figures.rounds++;
    return sync_peer(s, err);
}

static struct me_seen seen_so_far(const struct ms_sender *s)
{
    const struct ls_figures *sent = &s->link.figures;

    return (struct me_seen){ .pages = sent->sent_pages, .page_bytes = sent->page_bytes, .busy_us = s->link.busy_us, .waits = s->syncs,
                             .least_wait_us = s->least_wait_us };
}

static void expect_downtime(struct ms_sender *s)
{
    const struct me_seen seen = seen_so_far(s);

    s->figures.bytes_per_s = me_bytes_per_s(&seen);
    s->figures.expected_downtime_us = me_time_us(&seen, ms_left(s));
}

static bool knows_link(const struct ms_sender *s)
{
    const struct me_seen seen = seen_so_far(s);

    return me_is_enough(&seen);
}

/* To a peer that has nearly everything too little went to tell how long the pause will be: some of what it is for go now, which tells. */
static int send_to_know(struct ms_sender *s, struct flic_err *err)
{
    uint64_t until = flic_now_us() + TRY_US;
    int rc = 0;

    while (!rc && !knows_link(s) && ms_left(s) && flic_now_us() < until) {
        rc = ms_send_chosen(s, &(struct ms_choice){ .until_us = flic_now_us() + TRY_STEP_US }, err);
        if (!rc)
            rc = sync_peer(s, err);
    }
    return rc;
}

static void sleep_until(uint64_t due_us)
{
    uint64_t now = flic_now_us(), left = now < due_us ? due_us - now : 0;
    struct timespec t = { .tv_sec = (time_t)(left / 1000000), .tv_nsec = (long)(left % 1000000 * 1000) };

    (void)nanosleep(&t, NULL);
}

/* A round that had little to send says nothing of which pages have cooled down: the guest is given the time to show it. */
static void let_cool(const struct ms_sender *s)
{
    sleep_until(s->cleaned_us + s->heat.window_us);
}

/* What it uses from now on tells what it is slowed down to. */
static void look_at_use(struct ms_sender *s)
{
    struct flx_info now;

    if (s->slowed_at_us || flx_info(s->params.dom, &now, NULL))
        return;
    s->used_from_us = flic_now_us();
    s->used_from_ns = now.cpu_ns;
}

/* The first round takes long: of all that was written since log-dirty is on it leaves to the later ones what the peer lacks. */
static int one_round(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    bool first = !s->figures.rounds;
    uint64_t ignored;
    int rc;

    look_at_use(s);
    rc = first ? ms_send_all(s, mt_heat_warm(&s->heat), err) : send_cool(s, err);
    if (first)
        mt_heat_window(&s->heat, s->params.cool_ms * 1000ull, flic_now_us());
    if (!rc && s->figures.rounds == 1)
        rc = send_to_know(s, err);
    if (!rc)
        rc = sync_round(s, err);
    if (rc)
        return rc;
    let_cool(s);
    rc = ck_save_round(save, &ignored, err);
    expect_downtime(s);
    return rc;
}

static bool is_too_long(const struct ms_sender *s)
{
    return s->figures.expected_downtime_us > s->params.max_downtime_ms * 1000ull;
}

/* The next round cannot make it much shorter. */
static int give_up(const struct ms_sender *s, struct flic_err *err)
{
    bool slowed = s->params.auto_converge;

    return flic_err_set(err, FLIC_E_GUEST, "migrate '%s': it writes memory as fast as the link carries it%s: %llu MiB are left after %llu rounds, a "
                        "pause of about %llu ms; it runs on here. Allow that with --max-downtime, %smigrate it when it is calmer",
                        s->info.name, slowed ? ", however slow it was made" : "", (unsigned long long)(ms_left(s) >> 8),
                        (unsigned long long)s->figures.rounds, (unsigned long long)s->figures.expected_downtime_us / 1000,
                        slowed ? "or " : "slow it down with --auto-converge, or ");
}

/* ---- a slower guest ---- */

static unsigned cap_for(const struct ms_sender *s, unsigned percent)
{
    unsigned cap = s->used_percent * percent / 100;

    return cap > SLOWEST ? cap : SLOWEST;
}

static bool can_slow(const struct ms_sender *s)
{
    return s->params.auto_converge && (!s->slowed_to || (s->slowed_to > 1 && cap_for(s, s->slowed_to) > SLOWEST));
}

static int learn_use(struct ms_sender *s, struct flic_err *err)
{
    struct flx_info now;
    uint64_t us;
    int rc;

    sleep_until(s->used_from_us + USE_US);
    rc = flx_info(s->params.dom, &now, err);
    us = flic_now_us() - s->used_from_us;
    if (!rc && us)
        s->used_percent = (unsigned)((now.cpu_ns - s->used_from_ns) / 10 / us);
    return rc;
}

/* To how much of what it used; of next to nothing the least that a cap can be is all. */
static uint64_t percent_left(const struct ms_sender *s, unsigned cap)
{
    return s->used_percent > cap ? cap * 100 / s->used_percent : 100;
}

/* To half of what it uses, and half of that. */
static int slow(struct ms_sender *s, struct flic_err *err)
{
    unsigned percent = s->slowed_to ? s->slowed_to / 2 : 50;
    int rc = s->slowed_to ? 0 : learn_use(s, err);

    if (!rc)
        rc = flx_throttle(s->params.dom, cap_for(s, percent), err);
    if (rc)
        return flic_err_wrap(err, rc, "migrate '%s' --auto-converge", s->info.name);
    s->slowed_to = percent;
    s->figures.slowed_percent = percent_left(s, cap_for(s, percent));
    if (!s->slowed_at_us)
        s->slowed_at_us = flic_now_us();
    return 0;
}

void ms_full_speed(struct ms_sender *s)
{
    struct flic_err err = { 0 };

    if (!s->slowed_at_us)
        return;
    if (flx_throttle_end(s->params.dom, &err))
        flic_warn("'%s', from its migration: %s", s->info.name, err.text);
    s->figures.slowed_us += flic_now_us() - s->slowed_at_us;
    s->slowed_at_us = 0;
}

/* ---- all of it ---- */

/* As long as they help, however long a pause is allowed: a page that has cooled down is sent once, now or in the pause. */
static int rounds_that_help(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    uint64_t before, left = UINT64_MAX;
    int rc;

    do {
        before = left;
        rc = one_round(s, save, err);
        if (rc)
            return rc;
        left = ms_left(s);
    } while (left > REST_MIN && s->figures.rounds < s->params.rounds_max && left < before - before / 8);
    return 0;
}

static int all_rounds(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    int rc = rounds_that_help(s, save, err);

    while (!rc && is_too_long(s) && can_slow(s)) {
        rc = slow(s, err);
        if (!rc)
            rc = rounds_that_help(s, save, err);
    }
    return rc || !is_too_long(s) ? rc : give_up(s, err);
}

static int prepare(struct ms_sender *s, struct flic_err *err)
{
    uint64_t pages = ms_left(s) * 2 + 1024;
    struct mw_message m;
    int rc = mw_send_u64(s->link.wire, MW_PREPARE, pages < s->info.pages ? pages : s->info.pages, NULL, 0, err);

    return rc ? rc : mw_expect(s->link.wire, MW_PREPARED, 0, &m, err);
}

int ms_live(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    int rc = all_rounds(s, save, err);

    if (!rc)
        rc = prepare(s, err);
    s->figures.live_us = flic_now_us() - began;
    return rc;
}

/* ---- right before the pause ---- */

/* Of what was sent, how much the newest bitmap takes back. */
static uint64_t take_back(struct ms_sender *s)
{
    uint64_t n = 0;

    for (size_t i = 0; i < ck_words(s->info.gfn_end); i++) {
        n += (uint64_t)__builtin_popcountll(s->raced[i] & s->newest[i]);
        s->raced[i] &= ~s->newest[i];
    }
    return n;
}

/* The newest go, for as long as a step takes. *ret_until_us: when it is over. */
static int race_step(struct ms_sender *s, struct ck_save *save, uint64_t *ret_until_us, struct flic_err *err)
{
    uint64_t before = s->link.figures.sent_pages;
    int rc = ck_save_clean(save, err);

    *ret_until_us = flic_now_us() + s->params.race_us;
    if (rc)
        return rc;
    s->race_helps = take_back(s) < s->race_sent;
    if (!s->race_helps) {
        expect_downtime(s);     /* with what this bitmap brought */
        return 0;
    }
    rc = ms_send_chosen(s, &(struct ms_choice){ .only = s->newest, .until_us = *ret_until_us }, err);
    if (!rc)
        rc = sync_peer(s, err);     /* what is on its way would be ahead of the pause's own pages, and make the link look fast */
    s->race_sent = s->link.figures.sent_pages - before;
    s->figures.race_pages += s->race_sent;
    s->figures.race_steps++;
    expect_downtime(s);
    return rc;
}

static void begin_race(struct ms_sender *s)
{
    memset(s->raced, 0, ck_words(s->info.gfn_end) * 8);
    s->race_sent = UINT64_MAX;
    s->race_helps = true;
}

/*
 * What is written all the time is mostly written in turn: a page that was written this very moment is the one that is left alone longest.
 * So the newest of each short while are sent, until as many of those sent are written again as go out: the guest has come round, and more would
 * not help. What is written without pause comes back at once, and this ends at once.
 */
static int race(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    uint64_t until;
    int rc = 0;

    begin_race(s);
    for (unsigned i = 0; !rc && s->race_helps && i < RACE_STEPS && s->figures.expected_downtime_us > s->params.race_us; i++) {
        rc = race_step(s, save, &until, err);
        if (!rc && s->race_helps)
            sleep_until(until);
    }
    return rc;
}

int ms_race_on(struct ms_sender *s, struct ck_save *save, bool (*is_suspended)(void *arg, uint64_t until_us), void *arg, struct flic_err *err)
{
    uint64_t until = 0;
    int rc = 0;

    if (s->slowed_at_us) {      /* suspending is its own work, too; what it writes from now on is another matter than before */
        ms_full_speed(s);
        begin_race(s);
    }
    while (!rc && s->race_helps && !is_suspended(arg, until)) {
        mw_deadline(s->link.wire, MW_SILENCE_S);        /* it may be suspended by now, and nothing else writes flash */
        rc = race_step(s, save, &until, err);
    }
    return rc;
}

static int once_more(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    int rc = ck_save_clean(save, err);

    if (!rc)
        rc = send_cool(s, err);
    if (!rc)
        rc = sync_round(s, err);
    expect_downtime(s);
    return rc;
}

/* Preparing took its time, in which much may have been written. */
static int catch_up(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    int rc = once_more(s, save, err);

    for (unsigned i = 1; !rc && is_too_long(s) && (i < CATCH_UP || can_slow(s)); i++) {
        rc = can_slow(s) ? slow(s, err) : 0;
        if (rc)
            return rc;
        let_cool(s);
        rc = once_more(s, save, err);
    }
    return rc;
}

/* What the race finds written can be too much again. */
int ms_once_more(struct ms_sender *s, struct ck_save *save, struct flic_err *err)
{
    int rc = 0;

    look_at_use(s);
    while (!rc) {
        rc = catch_up(s, save, err);
        if (!rc)
            rc = race(s, save, err);
        if (rc || !is_too_long(s))
            return rc;
        rc = can_slow(s) ? slow(s, err) : give_up(s, err);
        if (!rc)
            let_cool(s);
    }
    return rc;
}
