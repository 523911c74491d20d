/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The domctls that save and load a domain's context: who is refused, and in what order things happen.
 *
 * Copyright (C) 2026 The FLIC authors
 */

#include <xen/errno.h>
#include <xen/guest_access.h>
#include <xen/hypercall.h>
#include <xen/iommu.h>
#include <xen/rangeset.h>
#include <xen/xvmalloc.h>

#include <asm/arm64/sve.h>
#include <asm/cpufeature.h>
#include <asm/flic_context.h>
#include <asm/gic.h>
#include <asm/logdirty.h>
#include <asm/vgic.h>

#include "context.h"

static bool has_lpis(const struct domain *d)
{
#ifdef CONFIG_GICV3
    return d->arch.vgic.has_its || d->arch.vgic.rdists_enabled;
#else
    return false;
#endif
}

static bool has_vuart(const struct domain *d)
{
#ifdef CONFIG_SBSA_VUART_CONSOLE
    return d->arch.vpl011.base_addr;
#else
    return false;
#endif
}

static bool has_tee(const struct domain *d)
{
#ifdef CONFIG_TEE
    return d->arch.tee;
#else
    return false;
#endif
}

static bool has_passthrough(const struct domain *d)
{
    unsigned int i;

    if ( is_iommu_enabled(d) || !rangeset_is_empty(d->iomem_caps) || !rangeset_is_empty(d->irq_caps) )
        return true;
    for ( i = 0; i < d->arch.vgic.nr_spis; i++ )
        if ( d->arch.vgic.pending_irqs[i].desc )
            return true;

    return false;
}

/* State that the records do not hold: such a domain is refused rather than saved in part. */
static int unsupported(struct domain *d)
{
    if ( !is_64bit_domain(d) )
        return flic_refuse(d, -ENOEXEC, "32-bit domains are not supported");
    if ( is_sve_domain(d) )
        return flic_refuse(d, -E2BIG, "SVE is not supported");
    if ( has_lpis(d) )
        return flic_refuse(d, -EMLINK, "ITS and LPIs are not supported");
    if ( has_vuart(d) )
        return flic_refuse(d, -ENODEV, "an emulated UART (vuart) is not supported");
    if ( has_passthrough(d) )
        return flic_refuse(d, -EXDEV, "passthrough is not supported");
    if ( has_tee(d) )
        return flic_refuse(d, -EOPNOTSUPP, "a trusted OS mediator is not supported");

    return 0;
}

static uint64_t shared_info_gfn(const struct domain *d)
{
    gfn_t gfn = page_get_xenheap_gfn(virt_to_page(d->shared_info));

    return gfn_eq(gfn, INVALID_GFN) ? XEN_ARM_SAVE_NONE : gfn_x(gfn);
}

static void header_save(struct domain *d, struct xen_arm_save_header *r)
{
    r->magic = XEN_ARM_SAVE_MAGIC;
    r->version = XEN_ARM_SAVE_VERSION;
    r->midr = system_cpuinfo.midr.bits;
    r->cntfrq = READ_SYSREG(CNTFRQ_EL0);
    r->cntvct = flic_guest_counter(d);
    r->gic_version = flic_gic_version(d->arch.vgic.version);
    r->hw_gic_version = flic_gic_version(gic_hw_version());
    r->nr_spis = d->arch.vgic.nr_spis;
    r->nr_vcpus = d->max_vcpus;
}

/* Fills one record's body. -ENOENT: this domain has none such. */
static int record_save(struct domain *d, unsigned int type, unsigned int instance, void *body)
{
    bool once = instance == 0, rank = instance < DOMAIN_NR_RANKS(d);
    struct vcpu *v = domain_vcpu(d, instance);
    struct xen_arm_save_domain *domain = body;
    struct xen_arm_save_p2m *p2m = body;

    if ( type == XEN_ARM_SAVE_HEADER && once )
        header_save(d, body);
    else if ( type == XEN_ARM_SAVE_DOMAIN && once )
    {
        domain->shared_info_gfn = shared_info_gfn(d);
        domain->vm_assist = d->vm_assist;
    }
    else if ( type == XEN_ARM_SAVE_VGIC && once )
        flic_vgic_save(d, body);
    else if ( type == XEN_ARM_SAVE_SPIS && rank )
        return flic_spis_save(d, instance, body);
    else if ( type == XEN_ARM_SAVE_VCPU && v )
        return flic_vcpu_save(v, body);
    else if ( type == XEN_ARM_SAVE_VGIC_VCPU && v )
        return flic_vgic_vcpu_save(v, body);
    else if ( type == XEN_ARM_SAVE_P2M && once )
        return logdirty_p2m_changes(d, &p2m->changes);
    else
        return -ENOENT;

    return 0;
}

/* All records 0..count-1 of a type. */
static int records_save(struct domain *d, struct flic_writer *w, unsigned int type, unsigned int count)
{
    unsigned int i;
    int rc = 0;

    for ( i = 0; !rc && i < count; i++ )
        rc = record_save(d, type, i, flic_record(w, type, i));

    return rc;
}

static int save_all(struct domain *d, struct flic_writer *w)
{
    const struct { unsigned int type, count; } all[] = {
        { XEN_ARM_SAVE_HEADER, 1 },
        { XEN_ARM_SAVE_DOMAIN, 1 },
        { XEN_ARM_SAVE_VGIC, 1 },
        { XEN_ARM_SAVE_SPIS, DOMAIN_NR_RANKS(d) },
        { XEN_ARM_SAVE_VCPU, d->max_vcpus },
        { XEN_ARM_SAVE_VGIC_VCPU, d->max_vcpus },
    };
    unsigned int i;
    int rc = 0;

    for ( i = 0; !rc && i < ARRAY_SIZE(all); i++ )
        rc = records_save(d, w, all[i].type, all[i].count);
    flic_record_end(w);

    return rc;
}

/* Paused from outside, by whoever asks for the context: what is read then stays true. */
static bool is_held(const struct domain *d)
{
    return d->is_shut_down || d->controller_pause_count > 0;
}

static long get_all(struct domain *d, struct xen_domctl_hvmcontext *op)
{
    struct flic_writer w = { .size = flic_context_size(d->max_vcpus, DOMAIN_NR_RANKS(d)) };
    uint32_t room = op->size;
    int rc;

    op->size = w.size;
    if ( guest_handle_is_null(op->buffer) )
        return 0;
    if ( room < w.size )
        return -ENOSPC;
    if ( !is_held(d) )
        return -EBUSY;
    w.data = xvzalloc_array(uint8_t, w.size);
    if ( !w.data )
        return -ENOMEM;

    domain_pause(d);
    rc = save_all(d, &w);
    domain_unpause(d);

    if ( !rc && copy_to_guest(op->buffer, w.data, w.used) )
        rc = -EFAULT;
    xvfree(w.data);

    return rc;
}

static long get_one(struct domain *d, struct xen_domctl_hvmcontext_partial *op)
{
    uint32_t length = flic_record_length(op->type);
    uint64_t room = op->bufsz;
    void *body;
    int rc;

    if ( !length )
        return -ENOENT;
    op->bufsz = length;
    if ( guest_handle_is_null(op->buffer) )
        return 0;
    if ( room < length )
        return -ENOSPC;
    body = xzalloc_bytes(length);
    if ( !body )
        return -ENOMEM;

    domain_pause(d);
    rc = record_save(d, op->type, op->instance, body);
    domain_unpause(d);

    if ( !rc && copy_to_guest(op->buffer, (uint8_t *)body, length) )
        rc = -EFAULT;
    xfree(body);

    return rc;
}

static int machine_check(struct domain *d, const struct xen_arm_save_header *h)
{
    uint64_t frequency = READ_SYSREG(CNTFRQ_EL0);

    if ( h->midr != system_cpuinfo.midr.bits )
        return flic_refuse(d, -EDOM, "MIDR %#"PRIx64", here %#lx", h->midr, (unsigned long)system_cpuinfo.midr.bits);
    if ( h->cntfrq != frequency )
        return flic_refuse(d, -ERANGE, "counter at %"PRIu64" Hz, here %"PRIu64, h->cntfrq, frequency);

    return 0;
}

static int domain_check(struct domain *d, const struct xen_arm_save_domain *r)
{
    if ( r->vm_assist & ~arch_vm_assist_valid_mask(d) )
        return flic_refuse(d, -EINVAL, "vm_assist %#"PRIx64, r->vm_assist);
    if ( r->shared_info_gfn != shared_info_gfn(d) )
        return flic_refuse(d, -ENOTCONN, "shared_info is at gfn %#"PRIx64", not %#"PRIx64, shared_info_gfn(d),
                           r->shared_info_gfn);

    return 0;
}

/* A domain that has never run and that got nothing of this kind yet. */
static int target_check(struct domain *d)
{
    struct vcpu *v;

    if ( d->creation_finished || d->arch.flic.context == FLIC_CONTEXT_LOADED )
        return flic_refuse(d, -EEXIST, "has run, or was loaded before");
    /* What a load that failed in its middle had set may be set again. */
    if ( d->arch.flic.context == FLIC_CONTEXT_LOADING )
        return 0;
    for_each_vcpu ( d, v )
        if ( v->is_initialised || v->vcpu_info_area.pg )
            return flic_refuse(d, -EEXIST, "vCPU %u is in use", v->vcpu_id);

    return 0;
}

/* Everything that can be wrong with a context is found here, before anything is touched. */
static int check_all(struct domain *d, const struct flic_index *idx)
{
    struct vcpu *v;
    int rc = machine_check(d, idx->header);

    rc = rc ?: flic_vgic_check(d, idx);
    rc = rc ?: domain_check(d, idx->domain);
    for_each_vcpu ( d, v )
        rc = rc ?: flic_vcpu_check(v, idx->vcpu[v->vcpu_id]);

    return rc;
}

static int load_all(struct domain *d, const struct flic_index *idx)
{
    struct vcpu *v;
    int rc;

    d->arch.flic.context = FLIC_CONTEXT_LOADING;
    flic_guest_counter_set(d, idx->header->cntvct);
    d->vm_assist = idx->domain->vm_assist;
    flic_vgic_load(d, idx);
    for_each_vcpu ( d, v )
        flic_vcpu_load(v, idx->vcpu[v->vcpu_id]);

    for_each_vcpu ( d, v )
        if ( (rc = flic_vcpu_info_load(v, idx->vcpu[v->vcpu_id])) )
            return rc;

    flic_vgic_inject(d, idx);
    d->arch.flic.context = FLIC_CONTEXT_LOADED;

    return 0;
}

static int set_all(struct domain *d, uint8_t *data, uint32_t size)
{
    struct flic_index *idx = xvzalloc(struct flic_index);
    int rc;

    if ( !idx )
        return -ENOMEM;

    domain_pause(d);
    rc = target_check(d);
    rc = rc ?: flic_index(d, data, size, idx);
    rc = rc ?: check_all(d, idx);
    rc = rc ?: load_all(d, idx);
    domain_unpause(d);
    xvfree(idx);

    return rc;
}

static long set_from_caller(struct domain *d, const struct xen_domctl_hvmcontext *op)
{
    uint8_t *data;
    long rc;

    if ( op->size > flic_context_size(d->max_vcpus, DOMAIN_NR_RANKS(d)) )
        return flic_refuse(d, -EBADMSG, "%u bytes are too many", op->size);
    data = xvmalloc_array(uint8_t, op->size);
    if ( !data )
        return -ENOMEM;

    rc = -EFAULT;
    if ( !copy_from_guest(data, op->buffer, op->size) )
        rc = set_all(d, data, op->size);
    xvfree(data);

    return rc;
}

long flic_context_domctl(struct xen_domctl *op, struct domain *d, XEN_GUEST_HANDLE_PARAM(xen_domctl_t) u_op)
{
    long rc;

    if ( d == current->domain || is_hardware_domain(d) || !d->max_vcpus || !domain_vcpu(d, 0) )
        return -EINVAL;
    rc = unsupported(d);
    if ( rc )
        return rc;

    switch ( op->cmd )
    {
    case XEN_DOMCTL_gethvmcontext:
        rc = get_all(d, &op->u.hvmcontext);
        break;
    case XEN_DOMCTL_gethvmcontext_partial:
        rc = get_one(d, &op->u.hvmcontext_partial);
        break;
    default:
        rc = set_from_caller(d, &op->u.hvmcontext);
        return rc == -ERESTART ? hypercall_create_continuation(__HYPERVISOR_domctl, "h", u_op) : rc;
    }

    /* The size is part of the answer, also when the buffer is too small. */
    return copy_to_guest(u_op, op, 1) ? -EFAULT : rc;
}
