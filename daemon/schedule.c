/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/schedule.h"

#define SECOND 1000000u
#define WAIT_MAX (60u * SECOND)

void sc_begin(struct sc_plan *plan, uint64_t every_us, uint64_t now_us)
{
    *plan = (struct sc_plan){ .every_us = every_us, .due_us = now_us };
}

bool sc_is_due(const struct sc_plan *plan, uint64_t now_us)
{
    return now_us >= plan->due_us;
}

static uint64_t wait_after_failures(const struct sc_plan *plan)
{
    unsigned doublings = plan->failures < 10 ? plan->failures : 10;
    uint64_t wait = plan->every_us << doublings;

    if (wait > WAIT_MAX)
        wait = WAIT_MAX;
    return wait > plan->every_us ? wait : plan->every_us;
}

uint64_t sc_end(struct sc_plan *plan, uint64_t now_us, bool ok)
{
    uint64_t passed;

    if (!ok) {
        plan->failures++;
        plan->due_us = now_us + wait_after_failures(plan);
        return 0;
    }
    passed = now_us > plan->due_us ? (now_us - plan->due_us) / plan->every_us : 0;
    plan->failures = 0;
    plan->left_out += passed;
    plan->due_us += (passed + 1) * plan->every_us;
    return passed;
}

void sc_postpone(struct sc_plan *plan, uint64_t now_us)
{
    plan->due_us = now_us + (plan->every_us < SECOND ? plan->every_us : SECOND);
}

size_t sc_surplus(uint64_t *made, size_t n, unsigned keep)
{
    for (size_t i = 1; i < n; i++) {            /* ascending already, but for a file that somebody edited */
        uint64_t v = made[i];
        size_t k = i;

        for (; k && made[k - 1] > v; k--)
            made[k] = made[k - 1];
        made[k] = v;
    }
    return n > keep ? n - keep : 0;
}
