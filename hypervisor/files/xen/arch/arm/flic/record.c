/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Framing of a context: records written one after another, and taken apart again with every length checked.
 *
 * Copyright (C) 2026 The FLIC authors
 */

#include <xen/errno.h>
#include <xen/string.h>

#include "context.h"

static const uint32_t lengths[] = {
    [XEN_ARM_SAVE_HEADER] = sizeof(struct xen_arm_save_header),
    [XEN_ARM_SAVE_DOMAIN] = sizeof(struct xen_arm_save_domain),
    [XEN_ARM_SAVE_VGIC] = sizeof(struct xen_arm_save_vgic),
    [XEN_ARM_SAVE_SPIS] = sizeof(struct xen_arm_save_irqs),
    [XEN_ARM_SAVE_VCPU] = sizeof(struct xen_arm_save_vcpu),
    [XEN_ARM_SAVE_VGIC_VCPU] = sizeof(struct xen_arm_save_vgic_vcpu),
    [XEN_ARM_SAVE_P2M] = sizeof(struct xen_arm_save_p2m),
};

/* The layout is an interface: a change of size needs another XEN_ARM_SAVE_VERSION. */
static void __init __maybe_unused build_assertions(void)
{
    BUILD_BUG_ON(sizeof(struct hvm_save_descriptor) != 8);
    BUILD_BUG_ON(sizeof(struct xen_arm_save_header) != 48);
    BUILD_BUG_ON(sizeof(struct xen_arm_save_domain) != 16);
    BUILD_BUG_ON(sizeof(struct xen_arm_save_vgic) != 8);
    BUILD_BUG_ON(sizeof(struct xen_arm_save_irqs) != 80);
    BUILD_BUG_ON(sizeof(struct xen_arm_save_vgic_vcpu) != 96);
    BUILD_BUG_ON(sizeof(struct xen_arm_save_vcpu) != 984);
    BUILD_BUG_ON(sizeof(struct xen_arm_save_p2m) != 8);
}

uint32_t flic_record_length(unsigned int type)
{
    return type < ARRAY_SIZE(lengths) ? lengths[type] : 0;
}

static uint32_t framed(unsigned int type)
{
    return sizeof(struct hvm_save_descriptor) + lengths[type];
}

uint32_t flic_context_size(unsigned int nr_vcpus, unsigned int nr_spi_ranks)
{
    return framed(XEN_ARM_SAVE_HEADER) + framed(XEN_ARM_SAVE_DOMAIN) + framed(XEN_ARM_SAVE_VGIC) +
           nr_spi_ranks * framed(XEN_ARM_SAVE_SPIS) +
           nr_vcpus * (framed(XEN_ARM_SAVE_VCPU) + framed(XEN_ARM_SAVE_VGIC_VCPU)) +
           sizeof(struct hvm_save_descriptor);
}

static void descriptor(struct flic_writer *w, unsigned int type, unsigned int instance, uint32_t length)
{
    struct hvm_save_descriptor *desc = (void *)(w->data + w->used);

    BUG_ON(w->size - w->used < sizeof(*desc) + length);
    desc->typecode = type;
    desc->instance = instance;
    desc->length = length;
    w->used += sizeof(*desc);
}

void *flic_record(struct flic_writer *w, unsigned int type, unsigned int instance)
{
    uint32_t length = flic_record_length(type);
    void *body;

    descriptor(w, type, instance, length);
    body = w->data + w->used;
    memset(body, 0, length);
    w->used += length;

    return body;
}

void flic_record_end(struct flic_writer *w)
{
    descriptor(w, 0, 0, 0);
}

/* Where idx keeps this record, NULL when a domain of this shape has none such. */
static const void **slot(const struct domain *d, struct flic_index *idx, const struct hvm_save_descriptor *desc)
{
    bool once = desc->instance == 0, rank = desc->instance < DOMAIN_NR_RANKS(d), vcpu = desc->instance < d->max_vcpus;

    switch ( desc->typecode )
    {
    case XEN_ARM_SAVE_HEADER:
        return once ? (const void **)&idx->header : NULL;
    case XEN_ARM_SAVE_DOMAIN:
        return once ? (const void **)&idx->domain : NULL;
    case XEN_ARM_SAVE_VGIC:
        return once ? (const void **)&idx->vgic : NULL;
    case XEN_ARM_SAVE_SPIS:
        return rank ? (const void **)&idx->spis[desc->instance] : NULL;
    case XEN_ARM_SAVE_VCPU:
        return vcpu ? (const void **)&idx->vcpu[desc->instance] : NULL;
    case XEN_ARM_SAVE_VGIC_VCPU:
        return vcpu ? (const void **)&idx->vgic_vcpu[desc->instance] : NULL;
    default:
        return NULL;
    }
}

/* The header decides whether anything behind it can be understood, so it is looked at as soon as it is found. */
static int header_check(struct domain *d, const struct xen_arm_save_header *h)
{
    if ( h->magic != XEN_ARM_SAVE_MAGIC )
        return flic_refuse(d, -EBADMSG, "not a context of an arm64 domain");
    if ( h->version != XEN_ARM_SAVE_VERSION )
        return flic_refuse(d, -EOVERFLOW, "version %u, not %u", h->version, XEN_ARM_SAVE_VERSION);
    if ( h->nr_spis != d->arch.vgic.nr_spis )
        return flic_refuse(d, -ENFILE, "%u SPIs, the domain has %d", h->nr_spis, d->arch.vgic.nr_spis);
    if ( h->nr_vcpus != d->max_vcpus )
        return flic_refuse(d, -EMFILE, "%u vCPUs, the domain has %u", h->nr_vcpus, d->max_vcpus);

    return 0;
}

/* One record at data + *at. Moves *at behind it. 1: that was the end. */
static int index_one(struct domain *d, uint8_t *data, uint32_t size, uint32_t *at, struct flic_index *idx)
{
    const struct hvm_save_descriptor *desc = (void *)(data + *at);
    const void **place;

    if ( size - *at < sizeof(*desc) )
        return flic_refuse(d, -EBADMSG, "ends inside a record");
    *at += sizeof(*desc);
    if ( !desc->typecode && !desc->instance && !desc->length )
        return 1;
    if ( desc->length != flic_record_length(desc->typecode) || size - *at < desc->length )
        return flic_refuse(d, -EBADMSG, "record %u has length %u", desc->typecode, desc->length);
    if ( !idx->header && desc->typecode != XEN_ARM_SAVE_HEADER )
        return flic_refuse(d, -EBADMSG, "does not begin with its header");

    place = slot(d, idx, desc);
    if ( !place || *place )
        return flic_refuse(d, -EBADMSG, "record %u/%u is %s", desc->typecode, desc->instance,
                           place ? "there twice" : "not one of this domain's");
    *place = data + *at;
    *at += desc->length;

    return desc->typecode == XEN_ARM_SAVE_HEADER ? header_check(d, idx->header) : 0;
}

static bool complete(const struct domain *d, const struct flic_index *idx)
{
    unsigned int i;

    if ( !idx->header || !idx->domain || !idx->vgic )
        return false;
    for ( i = 0; i < DOMAIN_NR_RANKS(d); i++ )
        if ( !idx->spis[i] )
            return false;
    for ( i = 0; i < d->max_vcpus; i++ )
        if ( !idx->vcpu[i] || !idx->vgic_vcpu[i] )
            return false;

    return true;
}

int flic_index(struct domain *d, uint8_t *data, uint32_t size, struct flic_index *idx)
{
    uint32_t at = 0;
    int rc;

    do
        rc = index_one(d, data, size, &at, idx);
    while ( !rc );

    if ( rc < 0 )
        return rc;
    if ( at != size )
        return flic_refuse(d, -EBADMSG, "%u bytes behind the end", size - at);

    return complete(d, idx) ? 0 : flic_refuse(d, -ENODATA, "a record is missing");
}
