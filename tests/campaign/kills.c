/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * kills - invariant 8: the engine is killed before its n-th change of a file or of NVRAM and in the middle of it, for every n of a whole cycle of saves,
 * destages, forgets and reopenings, the store's creation included. What it had promised is there afterwards, whole,
 * without a hand, within a second.
 *
 * CAMPAIGN: how many of these points, evenly spread (all of them when there are fewer).
 */
#include "tests/campaign/calls.h"
#include "tests/campaign/campaign.h"
#include "tests/campaign/cycle.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t calls, die_at;

static int count_and_die(const struct call *call)
{
    bool has_middle = (call->kind == CALL_WRITE || call->kind == CALL_STORE) && call->len > 8;    /* a word is whole */

    if (++calls == die_at)
        (void)raise(SIGKILL);
    if (has_middle && ++calls == die_at) {
        calls_half(call);
        (void)raise(SIGKILL);
    }
    return 0;
}

/* How many calls a cycle makes; the images stay for the comparisons. */
static uint64_t rehearse(void)
{
    struct cycle c;

    die_at = calls = 0;
    calls_hook = count_and_die;
    ck_assert(cycle_run(&c, NULL));
    calls_hook = NULL;
    ck_assert_uint_eq(c.failed, 0);
    ck_assert_uint_eq(c.steps, CYCLE_STEPS);
    return calls;
}

static void run_and_die(struct cycle *told, uint64_t at)
{
    pid_t pid;
    int status;

    cycle_wipe();
    memset(told, 0, sizeof(*told));
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (!pid) {
        calls = 0;
        die_at = at;
        calls_hook = count_and_die;
        (void)cycle_run(told, NULL);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "point %lu: the child was not killed: %x",
                  (unsigned long)at, status);
}

START_TEST(killed_before_any_change_of_file_or_nvram_it_opens_by_itself_with_all_it_promised)
{
    struct cycle *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t all, points, done = 0, promised = 0;
    int64_t slowest = 0;

    ck_assert(told != MAP_FAILED);
    cycle_begin();
    calls_watch(scene_dir);
    all = rehearse();
    points = campaign_size(40);
    if (points > all)
        points = all;
    for (; done < points; done++) {
        uint64_t at = 1 + done * all / points;
        char why[SCENE_WHY];
        int64_t took = 0;

        run_and_die(told, at);
        flx_fake_reset();
        scene_guest(GUEST, "web", 1, CYCLE_PAGES);
        for (unsigned i = 0; i < CYCLE_SAVES; i++)
            promised += told->state[i] == CYCLE_PUBLISHED;
        if (!cycle_holds(told, why, &took))
            campaign_lost("killed at %lu of %lu, after %u steps: %s", (unsigned long)at, (unsigned long)all, told->steps, why);
        slowest = took > slowest ? took : slowest;
    }
    ck_assert_uint_ge(promised, points / 2);        /* else nothing was at stake */
    ck_assert_int_le(slowest, 1000000);
    campaign_figure("kill_points", "points", done);
    campaign_figure("kill_promises", "checkpoints", promised);
    campaign_figure("kill_lost", "points", campaign_losses());
    campaign_figure("reopen_ms", "ms", (uint64_t)(slowest + 999) / 1000);
    cycle_end();
}
END_TEST

int main(void)
{
    return campaign_run("kills", killed_before_any_change_of_file_or_nvram_it_opens_by_itself_with_all_it_promised);
}
