/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU's registers and the guest addresses it gave to Xen, saved and loaded.
 *
 * Copyright (C) 2026 The FLIC authors
 *
 * The domain is paused, so every register lies in struct vcpu: a vCPU that does not run has been switched out.
 */

#include <xen/domain.h>
#include <xen/errno.h>
#include <xen/flic.h>
#include <xen/guest_access.h>
#include <xen/mm.h>

#include <asm/event.h>

#include "context.h"

/* What a guest may run in, as opposed to Xen or firmware. */
static bool psr_is_guest64(uint32_t psr)
{
    uint32_t mode = psr & PSR_MODE_MASK;

    return !(psr & PSR_MODE_BIT) && (mode == PSR_MODE_EL1h || mode == PSR_MODE_EL1t || mode == PSR_MODE_EL0t);
}

static uint32_t flags_of(const struct vcpu *v)
{
    return (v->is_initialised ? XEN_ARM_SAVE_VCPU_INITIALISED : 0) |
           (test_bit(_VPF_down, &v->pause_flags) ? 0 : XEN_ARM_SAVE_VCPU_ONLINE) |
           (v->arch.cpu_info->flags & CPUINFO_WORKAROUND_2_FLAG ? XEN_ARM_SAVE_VCPU_SSBD : 0);
}

static void core_save(const struct cpu_user_regs *regs, struct xen_arm_save_vcpu *r)
{
    memcpy(r->x, &regs->x0, sizeof(r->x));
    r->pc = regs->pc;
    r->cpsr = regs->cpsr;
    r->sp_el0 = regs->sp_el0;
    r->sp_el1 = regs->sp_el1;
    r->elr_el1 = regs->elr_el1;
    r->spsr_el1 = regs->spsr_el1;
}

static void core_load(struct cpu_user_regs *regs, const struct xen_arm_save_vcpu *r)
{
    memcpy(&regs->x0, r->x, sizeof(r->x));
    regs->pc = r->pc;
    regs->cpsr = r->cpsr;
    regs->sp_el0 = r->sp_el0;
    regs->sp_el1 = r->sp_el1;
    regs->elr_el1 = r->elr_el1;
    regs->spsr_el1 = r->spsr_el1;
}

/* Each of these has one name here and there; MOVE(field) is a copy into the record or out of it. */
#define EACH_SYSTEM_REGISTER(MOVE)                                                                   \
    MOVE(sctlr) MOVE(ttbr0) MOVE(ttbr1) MOVE(mair) MOVE(amair) MOVE(vbar) MOVE(par) MOVE(far)       \
    MOVE(tpidr_el0) MOVE(tpidrro_el0) MOVE(tpidr_el1) MOVE(esr) MOVE(afsr0) MOVE(afsr1) MOVE(cpacr) \
    MOVE(contextidr) MOVE(csselr)

static void system_save(const struct arch_vcpu *a, struct xen_arm_save_vcpu *r)
{
#define TO_RECORD(name) r->name = a->name;
    EACH_SYSTEM_REGISTER(TO_RECORD)
#undef TO_RECORD
    r->tcr = a->ttbcr;
    r->fpcr = a->vfp.fpcr;
    r->fpsr = a->vfp.fpsr;
    memcpy(r->v, a->vfp.fpregs, sizeof(r->v));
}

static void system_load(struct arch_vcpu *a, const struct xen_arm_save_vcpu *r)
{
#define FROM_RECORD(name) a->name = r->name;
    EACH_SYSTEM_REGISTER(FROM_RECORD)
#undef FROM_RECORD
    a->ttbcr = r->tcr;
    a->vfp.fpcr = r->fpcr;
    a->vfp.fpsr = r->fpsr;
    memcpy(a->vfp.fpregs, r->v, sizeof(r->v));
}

static int vcpu_info_save(struct vcpu *v, struct xen_arm_save_vcpu *r)
{
    paddr_t gpa;

    r->vcpu_info_gpa = XEN_ARM_SAVE_NONE;
    if ( !v->vcpu_info_area.pg )
        return 0;
    if ( flic_frame_address(v->domain, v->vcpu_info_area.map, &gpa) )
        return flic_refuse(v->domain, -EADDRNOTAVAIL, "vCPU %u's vcpu_info is at no known address", v->vcpu_id);
    r->vcpu_info_gpa = gpa;

    return 0;
}

int flic_vcpu_save(struct vcpu *v, struct xen_arm_save_vcpu *r)
{
    const struct cpu_user_regs *regs = &v->arch.cpu_info->guest_cpu_user_regs;
    int rc = vcpu_info_save(v, r);

    r->flags = flags_of(v);
    r->runstate_gva = (unsigned long)runstate_guest(v).p;
    if ( rc || !v->is_initialised )
        return rc;

    if ( !psr_is_guest64(regs->cpsr) )
        return flic_refuse(v->domain, -EOPNOTSUPP, "vCPU %u is in AArch32 state", v->vcpu_id);
    /* Trapping of the MMU registers is on between a set/way flush and the caches' return; it is not in the record. */
    if ( v->arch.need_flush_to_ram || (v->arch.hcr_el2 & HCR_TVM) )
        return flic_refuse(v->domain, -EBUSY, "vCPU %u runs with caches off", v->vcpu_id);

    core_save(regs, r);
    system_save(&v->arch, r);
    flic_timers_save(v, r);

    return 0;
}

/* Only reads; whether the frame can be mapped is known for sure only when it is. */
static int vcpu_info_check(struct vcpu *v, uint64_t gpa)
{
    struct page_info *page;
    p2m_type_t type;
    bool ram;

    if ( gpa == XEN_ARM_SAVE_NONE )
        return 0;
    if ( !IS_ALIGNED(gpa, alignof(xen_ulong_t)) || PAGE_OFFSET(gpa) > PAGE_SIZE - sizeof(vcpu_info_t) ||
         gpa >> p2m_ipa_bits )
        return flic_refuse(v->domain, -EINVAL, "vCPU %u: vcpu_info at %#"PRIx64, v->vcpu_id, gpa);

    page = get_page_from_gfn(v->domain, PFN_DOWN(gpa), &type, P2M_ALLOC);
    ram = page && p2m_is_ram(type) && type != p2m_ram_ro && !is_xen_heap_page(page);
    if ( page )
        put_page(page);

    return ram ? 0 : flic_refuse(v->domain, -EACCES, "vCPU %u: no RAM for vcpu_info", v->vcpu_id);
}

int flic_vcpu_check(struct vcpu *v, const struct xen_arm_save_vcpu *r)
{
    const uint32_t known = XEN_ARM_SAVE_VCPU_INITIALISED | XEN_ARM_SAVE_VCPU_ONLINE | XEN_ARM_SAVE_VCPU_SSBD;
    const uint32_t timer = CNTx_CTL_ENABLE | CNTx_CTL_MASK | CNTx_CTL_PENDING;
    bool initialised = r->flags & XEN_ARM_SAVE_VCPU_INITIALISED;

    if ( (r->flags & ~known) || (!initialised && (r->flags & XEN_ARM_SAVE_VCPU_ONLINE)) )
        return flic_refuse(v->domain, -EINVAL, "vCPU %u: flags %#x", v->vcpu_id, r->flags);
    if ( r->reserved || ((r->cntv_ctl | r->cntp_ctl) & ~timer) )
        return flic_refuse(v->domain, -EINVAL, "vCPU %u: reserved bits", v->vcpu_id);
    if ( initialised && !psr_is_guest64(r->cpsr) )
        return flic_refuse(v->domain, -EINVAL, "vCPU %u: PSTATE %#x", v->vcpu_id, r->cpsr);

    return vcpu_info_check(v, r->vcpu_info_gpa);
}

void flic_vcpu_load(struct vcpu *v, const struct xen_arm_save_vcpu *r)
{
    set_xen_guest_handle(runstate_guest(v), (void *)(unsigned long)r->runstate_gva);
    if ( !(r->flags & XEN_ARM_SAVE_VCPU_INITIALISED) )
        return;

    core_load(&v->arch.cpu_info->guest_cpu_user_regs, r);
    system_load(&v->arch, r);
    flic_timers_load(v, r);

    if ( r->flags & XEN_ARM_SAVE_VCPU_SSBD )
        v->arch.cpu_info->flags |= CPUINFO_WORKAROUND_2_FLAG;
    else
        v->arch.cpu_info->flags &= ~CPUINFO_WORKAROUND_2_FLAG;

    v->is_initialised = true;
    /* Interrupts for a vCPU that is down are dropped, hence before anything is injected. */
    if ( r->flags & XEN_ARM_SAVE_VCPU_ONLINE )
        clear_bit(_VPF_down, &v->pause_flags);
}

/* Mapping marks all events pending. An offline vCPU never sees the interrupt for that, and a later one would not
 * be raised, because pending it already is. */
static void vcpu_info_quiet(struct vcpu *v)
{
    write_atomic(&vcpu_info(v, evtchn_pending_sel), 0);
    write_atomic(&vcpu_info(v, evtchn_upcall_pending), 0);
}

int flic_vcpu_info_load(struct vcpu *v, const struct xen_arm_save_vcpu *r)
{
    paddr_t mapped;
    int rc;

    if ( v->vcpu_info_area.pg )
        return !flic_frame_address(v->domain, v->vcpu_info_area.map, &mapped) && mapped == r->vcpu_info_gpa ? 0
               : flic_refuse(v->domain, -EEXIST, "vCPU %u has a vcpu_info already", v->vcpu_id);
    if ( r->vcpu_info_gpa == XEN_ARM_SAVE_NONE )
        return 0;

    rc = map_guest_area(v, r->vcpu_info_gpa, sizeof(vcpu_info_t), &v->vcpu_info_area, NULL);
    if ( !rc && test_bit(_VPF_down, &v->pause_flags) )
        vcpu_info_quiet(v);

    return rc;
}
