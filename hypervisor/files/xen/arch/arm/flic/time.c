/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A domain's counter and its vCPUs' timers, saved and loaded.
 *
 * Copyright (C) 2026 The FLIC authors
 *
 * The guest's virtual counter is the machine's minus an offset. The machine that loads a context has another counter,
 * perhaps a younger one than the guest's, so the offset is computed modulo 2^64 and may stand for a negative value.
 */

#include <xen/timer.h>

#include <asm/time.h>

#include "context.h"

uint64_t flic_guest_counter(const struct domain *d)
{
    return get_cycles() - d->arch.virt_timer_base.offset;
}

/* ticks_to_ns() takes ticks as unsigned; a guest older than this machine's boot makes them negative. */
static s_time_t signed_ticks_to_ns(int64_t ticks)
{
    return ticks >= 0 ? ticks_to_ns(ticks) : -ticks_to_ns(-ticks);
}

static int64_t floor_seconds(s_time_t ns)
{
    return ns >= 0 ? ns / SECONDS(1) : -((-ns + SECONDS(1) - 1) / SECONDS(1));
}

void flic_guest_counter_set(struct domain *d, uint64_t cntvct)
{
    uint64_t offset = get_cycles() - cntvct;
    s_time_t zero = signed_ticks_to_ns(offset - boot_count);

    d->arch.virt_timer_base.offset = offset;
    d->arch.virt_timer_base.nanoseconds = zero;

    /* The guest adds its counter to the wall clock it is given: that clock has to be the one of counter zero. */
    if ( !d->time_offset.set )
    {
        d->time_offset.seconds = floor_seconds(zero);
        update_domain_wallclock_time(d);
    }
}

void flic_timers_save(const struct vcpu *v, struct xen_arm_save_vcpu *r)
{
    r->cntkctl = v->arch.cntkctl;
    r->cntv_ctl = v->arch.virt_timer.ctl;
    r->cntv_cval = v->arch.virt_timer.cval;
    r->cntp_ctl = v->arch.phys_timer.ctl;
    r->cntp_left = v->arch.phys_timer.cval - get_cycles();
}

/* The physical timer is emulated: Xen's own timer has to run for it from now on. */
static void phys_timer_start(struct vtimer *t)
{
    s_time_t expires = signed_ticks_to_ns(t->cval - boot_count);

    if ( (t->ctl & CNTx_CTL_ENABLE) && !(t->ctl & CNTx_CTL_PENDING) )
        set_timer(&t->timer, max_t(s_time_t, expires, 0));
}

/* The virtual timer needs no start: an online vCPU gets it with its registers when it first runs. */
void flic_timers_load(struct vcpu *v, const struct xen_arm_save_vcpu *r)
{
    v->arch.cntkctl = r->cntkctl;
    v->arch.virt_timer.ctl = r->cntv_ctl;
    v->arch.virt_timer.cval = r->cntv_cval;
    v->arch.phys_timer.ctl = r->cntp_ctl;
    v->arch.phys_timer.cval = get_cycles() + r->cntp_left;
    phys_timer_start(&v->arch.phys_timer);
}
