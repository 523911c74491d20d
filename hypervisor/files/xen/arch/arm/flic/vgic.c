/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The virtual GIC (v2 and v3 alike), saved and loaded.
 *
 * Copyright (C) 2026 The FLIC authors
 *
 * What is pending is folded into one bit per interrupt, wherever Xen holds it: queued, or already in a list register.
 * Loading injects it anew, so list registers, their mask and the active priorities need not be carried over; that is
 * sound only while no interrupt is active, which is refused.
 */

#include <xen/errno.h>

#include <asm/hsr.h>
#include <asm/gic.h>
#include <asm/gic_v3_defs.h>
#include <asm/vgic.h>

#include "context.h"

#ifdef CONFIG_NEW_VGIC
#error "FLIC's series is written for Xen's default vGIC"
#endif

/* GICH_LR on GICv2 (IHI 0048B, 5.3.7): state. */
#define LR2_PENDING (1u << 28)
#define LR2_ACTIVE  (1u << 29)

uint32_t flic_gic_version(enum gic_version version)
{
    return version == GIC_V2 ? XEN_DOMCTL_CONFIG_GIC_V2 : XEN_DOMCTL_CONFIG_GIC_V3;
}

/* State in the list register that the interrupt sits in. */
static void lr_state(const struct vcpu *v, unsigned int lr, bool *ret_pending, bool *ret_active)
{
#ifdef CONFIG_GICV3
    if ( gic_hw_version() == GIC_V3 )
    {
        *ret_pending = v->arch.gic.v3.lr[lr] & ICH_LR_STATE_PENDING;
        *ret_active = v->arch.gic.v3.lr[lr] & ICH_LR_STATE_ACTIVE;
        return;
    }
#endif
    *ret_pending = v->arch.gic.v2.lr[lr] & LR2_PENDING;
    *ret_active = v->arch.gic.v2.lr[lr] & LR2_ACTIVE;
}

/* Priorities of active interrupts that are not deactivated yet. */
static bool priorities_active(const struct vcpu *v)
{
#ifdef CONFIG_GICV3
    unsigned int i;

    if ( gic_hw_version() == GIC_V3 )
    {
        for ( i = 0; i < ARRAY_SIZE(v->arch.gic.v3.apr0); i++ )
            if ( v->arch.gic.v3.apr0[i] || v->arch.gic.v3.apr1[i] )
                return true;
        return false;
    }
#endif
    return v->arch.gic.v2.apr;
}

/* Whether this interrupt in flight is pending. -EBUSY: it is active. */
static int pending_one(const struct vcpu *v, const struct pending_irq *p)
{
    bool pending = false, active = false;

    if ( test_bit(GIC_IRQ_GUEST_VISIBLE, &p->status) && p->lr < gic_get_nr_lrs() )
        lr_state(v, p->lr, &pending, &active);
    if ( active )
        return flic_refuse(v->domain, -EBUSY, "interrupt %u is active on vCPU %u", p->irq, v->vcpu_id);

    return pending || test_bit(GIC_IRQ_GUEST_QUEUED, &p->status);
}

/* Adds the interrupts pending on v: its private ones to *private, the rank's SPIs to *spis. */
static int pending_on(struct vcpu *v, uint32_t *private, unsigned int rank, uint32_t *spis)
{
    const struct pending_irq *p;
    unsigned long flags;
    int rc = 0;

    if ( priorities_active(v) )
        return flic_refuse(v->domain, -EBUSY, "an interrupt is active on vCPU %u", v->vcpu_id);

    spin_lock_irqsave(&v->arch.vgic.lock, flags);
    list_for_each_entry ( p, &v->arch.vgic.inflight_irqs, inflight )
    {
        rc = pending_one(v, p);
        if ( rc < 0 )
            break;
        if ( rc && p->irq < NR_LOCAL_IRQS )
            *private |= 1u << p->irq;
        else if ( rc && p->irq / 32 == rank + 1 )
            *spis |= 1u << (p->irq % 32);
    }
    spin_unlock_irqrestore(&v->arch.vgic.lock, flags);

    return min(rc, 0);
}

static void rank_save(const struct vgic_irq_rank *rank, struct xen_arm_save_irqs *r)
{
    r->enabled = rank->ienable;
    r->config[0] = rank->icfg[0];
    r->config[1] = rank->icfg[1];
    memcpy(r->priority, rank->priority, sizeof(r->priority));
}

void flic_vgic_save(struct domain *d, struct xen_arm_save_vgic *r)
{
    r->gicd_ctlr = d->arch.vgic.ctlr;
}

int flic_spis_save(struct domain *d, unsigned int rank, struct xen_arm_save_irqs *r)
{
    const struct vgic_irq_rank *from = &d->arch.vgic.shared_irqs[rank];
    uint32_t private = 0;
    struct vcpu *v;
    int rc;

    rank_save(from, r);
    memcpy(r->vcpu, from->vcpu, sizeof(r->vcpu));
    for_each_vcpu ( d, v )
        if ( (rc = pending_on(v, &private, rank, &r->pending)) )
            return rc;

    return 0;
}

int flic_vgic_vcpu_save(struct vcpu *v, struct xen_arm_save_vgic_vcpu *r)
{
    uint32_t spis = 0;

    rank_save(v->arch.vgic.private_irqs, &r->private);
#ifdef CONFIG_GICV3
    if ( gic_hw_version() == GIC_V3 )
    {
        r->vmcr = v->arch.gic.v3.vmcr;
        r->sre = v->arch.gic.v3.sre_el1;
    }
    else
#endif
        r->vmcr = v->arch.gic.v2.vmcr;

    return pending_on(v, &r->private.pending, 0, &spis);
}

static bool ctlr_valid(const struct domain *d, uint32_t ctlr)
{
    /* A GICv2 distributor has the enable bit alone; a GICv3 one also shows what Xen fixed when it made the domain. */
    uint32_t enable = d->arch.vgic.version == GIC_V2 ? GICD_CTL_ENABLE : GICD_CTLR_ENABLE_G1A;

    return ((ctlr ^ d->arch.vgic.ctlr) & ~enable) == 0;
}

static int spis_check(struct domain *d, unsigned int rank, const struct xen_arm_save_irqs *r)
{
    unsigned int i;

    for ( i = 0; i < ARRAY_SIZE(r->vcpu); i++ )
        if ( r->vcpu[i] >= d->max_vcpus || !d->vcpu[r->vcpu[i]] )
            return flic_refuse(d, -EINVAL, "SPI %u goes to vCPU %u", 32 + 32 * rank + i, r->vcpu[i]);

    return 0;
}

static int vgic_vcpu_check(struct domain *d, unsigned int vcpu, const struct xen_arm_save_vgic_vcpu *r)
{
    /* ICC_SRE_EL1 has three bits: SRE, DFB, DIB. */
    bool sre_valid = gic_hw_version() == GIC_V3 ? !(r->sre >> 3) : !r->sre;
    unsigned int i;

    for ( i = 0; i < ARRAY_SIZE(r->private.vcpu); i++ )
        if ( r->private.vcpu[i] )
            return flic_refuse(d, -EINVAL, "vCPU %u: a private interrupt has a target", vcpu);
    if ( (r->vmcr >> 32) || !sre_valid )
        return flic_refuse(d, -EINVAL, "vCPU %u: GIC CPU interface", vcpu);

    return 0;
}

int flic_vgic_check(struct domain *d, const struct flic_index *idx)
{
    unsigned int i;
    int rc = 0;

    if ( idx->header->gic_version != flic_gic_version(d->arch.vgic.version) ||
         idx->header->hw_gic_version != flic_gic_version(gic_hw_version()) )
        return flic_refuse(d, -ENXIO, "GIC type %u on type %u, here %u on %u", idx->header->gic_version,
                           idx->header->hw_gic_version, flic_gic_version(d->arch.vgic.version),
                           flic_gic_version(gic_hw_version()));
    if ( idx->vgic->reserved || !ctlr_valid(d, idx->vgic->gicd_ctlr) )
        return flic_refuse(d, -EINVAL, "GICD_CTLR %#x", idx->vgic->gicd_ctlr);

    for ( i = 0; !rc && i < DOMAIN_NR_RANKS(d); i++ )
        rc = spis_check(d, i, idx->spis[i]);
    for ( i = 0; !rc && i < d->max_vcpus; i++ )
        rc = vgic_vcpu_check(d, i, idx->vgic_vcpu[i]);

    return rc;
}

static void rank_load(struct vcpu *v, struct vgic_irq_rank *rank, const struct xen_arm_save_irqs *r)
{
    rank->icfg[0] = r->config[0];
    rank->icfg[1] = r->config[1];
    memcpy(rank->priority, r->priority, sizeof(rank->priority));
    rank->ienable = r->enabled;
    vgic_enable_irqs(v, r->enabled, rank->index);
}

static void vgic_vcpu_load(struct vcpu *v, const struct xen_arm_save_vgic_vcpu *r)
{
    rank_load(v, v->arch.vgic.private_irqs, &r->private);
#ifdef CONFIG_GICV3
    if ( gic_hw_version() == GIC_V3 )
    {
        v->arch.gic.v3.vmcr = r->vmcr;
        v->arch.gic.v3.sre_el1 = r->sre;
        return;
    }
#endif
    v->arch.gic.v2.vmcr = r->vmcr;
}

/* The domain never ran and is paused: nothing else looks at its ranks. */
void flic_vgic_load(struct domain *d, const struct flic_index *idx)
{
    struct vcpu *v;
    unsigned int i;

    d->arch.vgic.ctlr = idx->vgic->gicd_ctlr;
    for ( i = 0; i < DOMAIN_NR_RANKS(d); i++ )
    {
        memcpy(d->arch.vgic.shared_irqs[i].vcpu, idx->spis[i]->vcpu, sizeof(idx->spis[i]->vcpu));
        rank_load(d->vcpu[0], &d->arch.vgic.shared_irqs[i], idx->spis[i]);
    }
    for_each_vcpu ( d, v )
        vgic_vcpu_load(v, idx->vgic_vcpu[v->vcpu_id]);
}

/* v: the vCPU of a private rank, NULL for SPIs, which find their own. */
static void inject(struct domain *d, struct vcpu *v, unsigned int first, uint32_t pending)
{
    for_each_set_bit ( i, pending )
        vgic_inject_irq(d, v, first + i, true);
}

void flic_vgic_inject(struct domain *d, const struct flic_index *idx)
{
    struct vcpu *v;
    unsigned int i;

    for ( i = 0; i < DOMAIN_NR_RANKS(d); i++ )
        inject(d, NULL, 32 + 32 * i, idx->spis[i]->pending);
    for_each_vcpu ( d, v )
        inject(d, v, 0, idx->vgic_vcpu[v->vcpu_id]->private.pending);
}
