/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "ctx-spoil.h"

#include <errno.h>
#include <string.h>

#define SPOIL(name) static bool name(struct ctx_blob *blob)

static struct xen_arm_save_header *header(struct ctx_blob *blob)
{
    return ctx_body(blob, XEN_ARM_SAVE_HEADER, 0);
}

static struct xen_arm_save_vcpu *vcpu0(struct ctx_blob *blob)
{
    return ctx_body(blob, XEN_ARM_SAVE_VCPU, 0);
}

static struct xen_arm_save_vgic_vcpu *gic0(struct ctx_blob *blob)
{
    return ctx_body(blob, XEN_ARM_SAVE_VGIC_VCPU, 0);
}

static struct hvm_save_descriptor *desc0(struct ctx_blob *blob)
{
    return ctx_find(blob, XEN_ARM_SAVE_VCPU, 0);
}

/* ---- framing ---- */

SPOIL(nothing_at_all) { blob->size = 0; return true; }
SPOIL(half_a_descriptor) { blob->size = 4; return true; }
SPOIL(no_end) { blob->size -= sizeof(struct hvm_save_descriptor); return true; }
SPOIL(cut_in_a_record) { blob->size -= 100; return true; }
SPOIL(bytes_behind_the_end) { memset(blob->data + blob->size, 0, 8); blob->size += 8; return true; }
SPOIL(record_too_long) { desc0(blob)->length += 8; return true; }
SPOIL(record_too_short) { desc0(blob)->length -= 8; return true; }
SPOIL(record_of_4_gib) { desc0(blob)->length = ~0u; return true; }
SPOIL(unknown_type) { desc0(blob)->typecode = 99; return true; }
SPOIL(vcpu_number_beyond) { desc0(blob)->instance = header(blob)->nr_vcpus; return true; }
SPOIL(vcpu_number_huge) { desc0(blob)->instance = 0xffff; return true; }
SPOIL(domain_record_second_instance) { ctx_find(blob, XEN_ARM_SAVE_DOMAIN, 0)->instance = 1; return true; }
SPOIL(rank_beyond)
{
    struct hvm_save_descriptor *desc = ctx_find(blob, XEN_ARM_SAVE_SPIS, 0);

    if (desc)
        desc->instance = header(blob)->nr_spis / 32;
    return desc;
}

/* Takes a record out; gives its copy in at. */
static uint32_t take_out(struct ctx_blob *blob, unsigned type, uint8_t *ret_record)
{
    struct hvm_save_descriptor *desc = ctx_find(blob, type, 0);
    uint32_t at = (uint8_t *)desc - blob->data, length = sizeof(*desc) + desc->length;

    memcpy(ret_record, desc, length);
    memmove(desc, blob->data + at + length, blob->size - at - length);
    blob->size -= length;
    return length;
}

SPOIL(record_missing)
{
    uint8_t record[2048];

    take_out(blob, XEN_ARM_SAVE_VGIC, record);
    return true;
}

SPOIL(header_not_first)
{
    uint8_t record[2048];
    uint32_t length = take_out(blob, XEN_ARM_SAVE_HEADER, record);
    uint32_t end = blob->size - sizeof(struct hvm_save_descriptor);

    memmove(blob->data + end + length, blob->data + end, sizeof(struct hvm_save_descriptor));
    memcpy(blob->data + end, record, length);
    blob->size += length;
    return true;
}

/* Room for the copy comes from another record, so that the size stays what it may be at most. */
SPOIL(record_twice)
{
    uint8_t record[2048];
    struct hvm_save_descriptor *desc = ctx_find(blob, XEN_ARM_SAVE_VCPU, 1);

    if (!desc)
        return false;
    memcpy(record, desc0(blob), sizeof(*desc) + desc->length);
    memcpy(desc, record, sizeof(*desc) + desc->length);
    return true;
}

/* ---- this machine, this domain ---- */

SPOIL(other_magic) { header(blob)->magic ^= 1; return true; }
SPOIL(other_version) { header(blob)->version++; return true; }
SPOIL(other_cpu) { header(blob)->midr ^= 1 << 4; return true; }
SPOIL(other_frequency) { header(blob)->cntfrq++; return true; }
SPOIL(other_gic) { header(blob)->gic_version ^= 1; return true; }
SPOIL(other_machine_gic) { header(blob)->hw_gic_version ^= 1; return true; }
SPOIL(more_spis) { header(blob)->nr_spis += 32; return true; }
SPOIL(more_vcpus) { header(blob)->nr_vcpus++; return true; }
SPOIL(vm_assist_unknown)
{
    ((struct xen_arm_save_domain *)ctx_body(blob, XEN_ARM_SAVE_DOMAIN, 0))->vm_assist |= 1ull << 40;
    return true;
}
SPOIL(shared_info_elsewhere)
{
    ((struct xen_arm_save_domain *)ctx_body(blob, XEN_ARM_SAVE_DOMAIN, 0))->shared_info_gfn++;
    return true;
}

/* ---- registers ---- */

SPOIL(pstate_el2) { vcpu0(blob)->cpsr = (vcpu0(blob)->cpsr & ~0x1fu) | 0x9; return true; }
SPOIL(pstate_el2t) { vcpu0(blob)->cpsr = (vcpu0(blob)->cpsr & ~0x1fu) | 0x8; return true; }
SPOIL(pstate_el3) { vcpu0(blob)->cpsr = (vcpu0(blob)->cpsr & ~0x1fu) | 0xd; return true; }
SPOIL(pstate_aarch32_user) { vcpu0(blob)->cpsr = (vcpu0(blob)->cpsr & ~0x1fu) | 0x10; return true; }
SPOIL(pstate_aarch32_hyp) { vcpu0(blob)->cpsr = (vcpu0(blob)->cpsr & ~0x1fu) | 0x1a; return true; }
SPOIL(pstate_reserved_mode) { vcpu0(blob)->cpsr = (vcpu0(blob)->cpsr & ~0x1fu) | 0x2; return true; }
SPOIL(flags_unknown) { vcpu0(blob)->flags |= 1u << 31; return true; }
SPOIL(online_but_never_started) { vcpu0(blob)->flags &= ~XEN_ARM_SAVE_VCPU_INITIALISED; return true; }
SPOIL(vcpu_reserved) { vcpu0(blob)->reserved = 1; return true; }
SPOIL(cntv_ctl_reserved) { vcpu0(blob)->cntv_ctl |= 8; return true; }
SPOIL(cntp_ctl_reserved) { vcpu0(blob)->cntp_ctl |= 1u << 31; return true; }
SPOIL(vcpu_info_unaligned) { vcpu0(blob)->vcpu_info_gpa += 4; return true; }
SPOIL(vcpu_info_over_a_page_end)
{
    vcpu0(blob)->vcpu_info_gpa = (vcpu0(blob)->vcpu_info_gpa & ~0xfffull) + 0xff8;
    return true;
}
SPOIL(vcpu_info_beyond_any_address) { vcpu0(blob)->vcpu_info_gpa |= 1ull << 60; return true; }
SPOIL(vcpu_info_in_no_ram) { vcpu0(blob)->vcpu_info_gpa = 0x1000; return true; }
SPOIL(vcpu_info_in_shared_info)
{
    vcpu0(blob)->vcpu_info_gpa = ((struct xen_arm_save_domain *)ctx_body(blob, XEN_ARM_SAVE_DOMAIN, 0))->shared_info_gfn << 12;
    return true;
}

/* ---- GIC ---- */

SPOIL(gicd_ctlr_reserved)
{
    ((struct xen_arm_save_vgic *)ctx_body(blob, XEN_ARM_SAVE_VGIC, 0))->gicd_ctlr |= 1u << 30;
    return true;
}
SPOIL(vgic_reserved)
{
    ((struct xen_arm_save_vgic *)ctx_body(blob, XEN_ARM_SAVE_VGIC, 0))->reserved = 1;
    return true;
}
SPOIL(private_with_a_target) { gic0(blob)->private.vcpu[31] = 1; return true; }
SPOIL(vmcr_too_wide) { gic0(blob)->vmcr |= 1ull << 32; return true; }
SPOIL(sre_reserved) { gic0(blob)->sre |= 8; return true; }
SPOIL(spi_to_no_vcpu)
{
    struct hvm_save_descriptor *desc = ctx_find(blob, XEN_ARM_SAVE_SPIS, 0);

    if (desc)
        ((struct xen_arm_save_irqs *)(desc + 1))->vcpu[31] = header(blob)->nr_vcpus;
    return desc;
}

#define CASE(name, err) { #name, err, name }

const struct ctx_spoil ctx_spoils[] = {
    CASE(nothing_at_all, EBADMSG), CASE(half_a_descriptor, EBADMSG), CASE(no_end, EBADMSG),
    CASE(cut_in_a_record, EBADMSG), CASE(bytes_behind_the_end, EBADMSG), CASE(record_too_long, EBADMSG),
    CASE(record_too_short, EBADMSG), CASE(record_of_4_gib, EBADMSG), CASE(unknown_type, EBADMSG),
    CASE(vcpu_number_beyond, EBADMSG), CASE(vcpu_number_huge, EBADMSG),
    CASE(domain_record_second_instance, EBADMSG), CASE(rank_beyond, EBADMSG), CASE(record_missing, ENODATA),
    CASE(header_not_first, EBADMSG), CASE(record_twice, EBADMSG), CASE(other_magic, EBADMSG),
    CASE(other_version, EOVERFLOW), CASE(other_cpu, EDOM), CASE(other_frequency, ERANGE), CASE(other_gic, ENXIO),
    CASE(other_machine_gic, ENXIO), CASE(more_spis, ENFILE), CASE(more_vcpus, EMFILE),
    CASE(vm_assist_unknown, EINVAL), CASE(shared_info_elsewhere, ENOTCONN), CASE(pstate_el2, EINVAL),
    CASE(pstate_el2t, EINVAL), CASE(pstate_el3, EINVAL), CASE(pstate_aarch32_user, EINVAL),
    CASE(pstate_aarch32_hyp, EINVAL), CASE(pstate_reserved_mode, EINVAL), CASE(flags_unknown, EINVAL),
    CASE(online_but_never_started, EINVAL), CASE(vcpu_reserved, EINVAL), CASE(cntv_ctl_reserved, EINVAL),
    CASE(cntp_ctl_reserved, EINVAL), CASE(vcpu_info_unaligned, EINVAL), CASE(vcpu_info_over_a_page_end, EINVAL),
    CASE(vcpu_info_beyond_any_address, EINVAL), CASE(vcpu_info_in_no_ram, EACCES),
    CASE(vcpu_info_in_shared_info, EACCES), CASE(gicd_ctlr_reserved, EINVAL), CASE(vgic_reserved, EINVAL),
    CASE(private_with_a_target, EINVAL), CASE(vmcr_too_wide, EINVAL), CASE(sre_reserved, EINVAL),
    CASE(spi_to_no_vcpu, EINVAL),
};

const unsigned ctx_spoils_count = sizeof(ctx_spoils) / sizeof(ctx_spoils[0]);
