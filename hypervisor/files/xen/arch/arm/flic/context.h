/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside the context code: what its files offer each other.
 *
 * Copyright (C) 2026 The FLIC authors
 *
 * Saving reads a paused domain's state into records. Loading goes in steps over all vCPUs: check everything (no side
 * effect), load state, map vcpu_info, make interrupts pending. Nothing may become pending before every rank is loaded.
 */

#ifndef __FLIC_CONTEXT_H__
#define __FLIC_CONTEXT_H__

#include <xen/lib.h>
#include <xen/sched.h>
#include <xen/types.h>
#include <public/domctl.h>
#include <public/hvm/save.h>

#define FLIC_MAX_SPI_RANKS 31   /* (1020 - 32) / 32, the architecture's bound */

/* One line in Xen's log per refusal, as an errno alone seldom says enough; gives err. */
#define flic_refuse(d, err, fmt, ...) \
    ({ printk(XENLOG_G_WARNING "%pd: context: " fmt "\n", d, ## __VA_ARGS__); (err); })

/* Writes records into a buffer that was sized with flic_context_size(). */
struct flic_writer {
    uint8_t *data;
    uint32_t size, used;        /* bytes */
};

/* A parsed context: every pointer is borrowed from the buffer and non-NULL once flic_index() succeeded. */
struct flic_index {
    const struct xen_arm_save_header *header;
    const struct xen_arm_save_domain *domain;
    const struct xen_arm_save_vgic *vgic;
    const struct xen_arm_save_irqs *spis[FLIC_MAX_SPI_RANKS];
    const struct xen_arm_save_vcpu *vcpu[GUEST_MAX_VCPUS];
    const struct xen_arm_save_vgic_vcpu *vgic_vcpu[GUEST_MAX_VCPUS];
};

/* record.c: framing. Body length of a type, 0 for an unknown one. */
uint32_t flic_record_length(unsigned int type);
/* Bytes that the context of a domain of this shape takes, end included. */
uint32_t flic_context_size(unsigned int nr_vcpus, unsigned int nr_spi_ranks);
/* Appends a record and gives its zeroed body, to be filled in. The buffer must have room. */
void *flic_record(struct flic_writer *w, unsigned int type, unsigned int instance);
void flic_record_end(struct flic_writer *w);
/*
 * Splits data (size bytes, 8-byte aligned) into idx for a domain of this shape. Checks framing and completeness, not
 * one field but the header's magic, version, and shape. -EBADMSG, -ENODATA, -EOVERFLOW, -ENFILE, -EMFILE.
 */
int flic_index(struct domain *d, uint8_t *data, uint32_t size, struct flic_index *idx);

/* vcpu.c: registers, timers, vcpu_info, runstate. -EOPNOTSUPP, -EBUSY, -EADDRNOTAVAIL. */
int flic_vcpu_save(struct vcpu *v, struct xen_arm_save_vcpu *r);
/* -EINVAL, -EACCES */
int flic_vcpu_check(struct vcpu *v, const struct xen_arm_save_vcpu *r);
void flic_vcpu_load(struct vcpu *v, const struct xen_arm_save_vcpu *r);
/* Maps vcpu_info and marks everything pending in it. Is repeated after -ERESTART; -EEXIST: mapped elsewhere since. */
int flic_vcpu_info_load(struct vcpu *v, const struct xen_arm_save_vcpu *r);

/* vgic.c. -EBUSY: an interrupt is active. */
uint32_t flic_gic_version(enum gic_version version);
void flic_vgic_save(struct domain *d, struct xen_arm_save_vgic *r);
int flic_spis_save(struct domain *d, unsigned int rank, struct xen_arm_save_irqs *r);
int flic_vgic_vcpu_save(struct vcpu *v, struct xen_arm_save_vgic_vcpu *r);
/* -EINVAL */
int flic_vgic_check(struct domain *d, const struct flic_index *idx);
void flic_vgic_load(struct domain *d, const struct flic_index *idx);
/* Last of all: what was pending at the save is pending again. */
void flic_vgic_inject(struct domain *d, const struct flic_index *idx);

/* time.c. The counter the guest sees now; moving it; the timers, which hang on it. */
uint64_t flic_guest_counter(const struct domain *d);
void flic_guest_counter_set(struct domain *d, uint64_t cntvct);
void flic_timers_save(const struct vcpu *v, struct xen_arm_save_vcpu *r);
void flic_timers_load(struct vcpu *v, const struct xen_arm_save_vcpu *r);

#endif /* __FLIC_CONTEXT_H__ */
