/* SPDX-License-Identifier: MIT */
/*
 * A domain's context on arm64: the records of XEN_DOMCTL_gethvmcontext, _sethvmcontext and _gethvmcontext_partial.
 *
 * Copyright (C) 2026 The FLIC authors
 *
 * A context is a row of records, each behind a struct hvm_save_descriptor (public/hvm/save.h: typecode, instance,
 * length in bytes of the body that follows), closed by a descriptor of type and length 0:
 *
 *   HEADER            once, first
 *   DOMAIN            once
 *   VGIC              once
 *   SPIS              one per 32 SPIs, instance = rank, from 0 (interrupt numbers 32 + 32 * instance and up)
 *   VCPU, VGIC_VCPU   one each per vCPU, instance = vcpu_id
 *
 *   P2M               no part of a context: only for _gethvmcontext_partial, instance 0
 *
 * Every record exactly once, in any order after the header, every length exact, nothing behind the last descriptor.
 * All integers little-endian, all structs without holes, all lengths multiples of eight. "Architectural" below
 * means the value as the Arm Architecture Reference Manual for A-profile (DDI 0487) lays it out in that register.
 *
 * The context holds what Xen keeps for a domain, and nothing that lies in guest memory. What the caller of
 * _sethvmcontext does before, in this order: set the address size (64), populate and write the guest's memory,
 * map shared_info at DOMAIN.shared_info_gfn, clean the caches. Then it sets the context once, and unpauses.
 *
 * Time. While a domain is away its clock stands still: it continues from HEADER.cntvct. Who wants the guest to see
 * the time that passed adds it, in ticks of HEADER.cntfrq, to HEADER.cntvct, and to nothing else. Never subtract:
 * guest time would run backwards, which this interface has no means to notice.
 *
 * Errors, besides what every domctl gives (ESRCH, EPERM, EFAULT, ENOMEM). ENOSYS means a Xen without this interface.
 *   all three      EINVAL     the caller itself, the hardware domain, or a domain without vCPUs
 *                  ENOEXEC    32-bit domain
 *                  E2BIG      domain with SVE
 *                  EMLINK     domain with an ITS or LPIs
 *                  ENODEV     domain with an emulated UART (vuart)
 *                  EXDEV      passthrough: an IOMMU context, or physical memory or interrupts given to the domain
 *                  EOPNOTSUPP domain with a trusted-OS mediator (TEE), or a vCPU in AArch32 state
 *   getting        EBUSY      (not partial) neither paused nor shut down; (all) an interrupt is active, or a vCPU
 *                             runs with its caches off
 *                  ENOSPC     buffer too small; size holds what is needed
 *                  ENOENT     (partial) no such record; P2M while log-dirty is off
 *                  EADDRNOTAVAIL  the address of a vCPU's vcpu_info is not known, or its frame was moved
 *   setting        EEXIST     the domain has run, or already got a context or a vcpu_info
 *                  EBADMSG    framing, length, order, magic; a record unknown or twice; bytes behind the end
 *                  ENODATA    a record is missing
 *                  EOVERFLOW  HEADER.version is not this one
 *                  ENXIO      GIC version of the domain or of the machine differs
 *                  EDOM       MIDR differs
 *                  ERANGE     counter frequency differs
 *                  ENFILE     number of SPIs differs
 *                  EMFILE     number of vCPUs differs
 *                  EINVAL     a field out of its bounds (PSTATE, flags, vCPU numbers, reserved bits, alignment)
 *                  EACCES     a vcpu_info is not in writable RAM of the domain
 *                  ENOTCONN   shared_info is not mapped where the record says
 * After an error of setting, ENOMEM apart, the domain is as it was before.
 */

#ifndef __XEN_PUBLIC_ARCH_ARM_HVM_SAVE_FLIC_H__
#define __XEN_PUBLIC_ARCH_ARM_HVM_SAVE_FLIC_H__

/* Type codes. */
#define XEN_ARM_SAVE_HEADER     1
#define XEN_ARM_SAVE_DOMAIN     2
#define XEN_ARM_SAVE_VGIC       3
#define XEN_ARM_SAVE_SPIS       4
#define XEN_ARM_SAVE_VCPU       5
#define XEN_ARM_SAVE_VGIC_VCPU  6
#define XEN_ARM_SAVE_P2M        7

#define XEN_ARM_SAVE_MAGIC      0x58434c46u /* "FLCX" */
#define XEN_ARM_SAVE_VERSION    1

/* Stands for "none" in gfn and address fields. */
#define XEN_ARM_SAVE_NONE       (~(uint64_t)0)

struct xen_arm_save_header {
    uint32_t magic;             /* XEN_ARM_SAVE_MAGIC */
    uint32_t version;           /* XEN_ARM_SAVE_VERSION */
    uint64_t midr;              /* MIDR_EL1 of the boot CPU, architectural; the guest sees a machine's MIDR */
    uint64_t cntfrq;            /* CNTFRQ_EL0, Hz */
    uint64_t cntvct;            /* the guest's CNTVCT_EL0 at the save, ticks of cntfrq; see "Time" above */
    uint32_t gic_version;       /* the domain's GIC: XEN_DOMCTL_CONFIG_GIC_V2 or _V3 */
    uint32_t hw_gic_version;    /* the machine's GIC, same values; decides the format of VGIC_VCPU.vmcr */
    uint32_t nr_spis;           /* the domain's SPIs, a multiple of 32 */
    uint32_t nr_vcpus;          /* vCPUs the domain may have (max_vcpus), online or not */
};

struct xen_arm_save_domain {
    uint64_t shared_info_gfn;   /* where the guest mapped shared_info; XEN_ARM_SAVE_NONE: nowhere */
    uint64_t vm_assist;         /* mask of 1 << VMASST_TYPE_* that the guest enabled */
};

struct xen_arm_save_vgic {
    uint32_t gicd_ctlr;         /* GICD_CTLR, architectural for the domain's GIC version */
    uint32_t reserved;          /* 0 */
};

/* 32 interrupts, bit or index = number within the group. Architectural for the domain's GIC version. */
struct xen_arm_save_irqs {
    uint32_t enabled;           /* GICD_ISENABLER */
    uint32_t pending;           /* delivered to the guest or queued for it, not yet acknowledged */
    uint32_t config[2];         /* GICD_ICFGR, 2 bits each */
    uint8_t priority[32];       /* GICD_IPRIORITYR */
    uint8_t vcpu[32];           /* SPIs: vcpu_id of the target (GICD_ITARGETSR, GICD_IROUTER). Private: 0 */
};

struct xen_arm_save_vgic_vcpu {
    struct xen_arm_save_irqs private; /* SGIs and PPIs of this vCPU (GICv3: its redistributor) */
    uint64_t vmcr;              /* CPU interface: ICH_VMCR_EL2 (machine has GICv3) or GICH_VMCR (GICv2) */
    uint64_t sre;               /* ICC_SRE_EL1; 0 on a GICv2 machine */
};

/* xen_arm_save_vcpu.flags */
#define XEN_ARM_SAVE_VCPU_INITIALISED (1u << 0) /* was started once; otherwise registers and timers are all 0 */
#define XEN_ARM_SAVE_VCPU_ONLINE      (1u << 1) /* runs, as opposed to off by PSCI CPU_OFF or never started */
#define XEN_ARM_SAVE_VCPU_SSBD        (1u << 2) /* the guest wants ARCH_WORKAROUND_2 (SSB mitigation) on */

/* All registers architectural (name_EL1 unless another level is in the name), as the guest last saw them. */
struct xen_arm_save_vcpu {
    uint32_t flags;             /* XEN_ARM_SAVE_VCPU_* */
    uint32_t cpsr;              /* PSTATE in the layout of SPSR_EL2: EL0t, EL1t or EL1h, AArch64 */
    uint64_t x[31];
    uint64_t pc;
    uint64_t sp_el0, sp_el1, elr_el1, spsr_el1;
    uint64_t sctlr, tcr, ttbr0, ttbr1, mair, amair;
    uint64_t vbar, par, far;
    uint64_t tpidr_el0, tpidrro_el0, tpidr_el1;
    uint32_t esr, afsr0, afsr1, cpacr, contextidr, csselr;
    uint32_t cntkctl;
    uint32_t cntv_ctl;          /* CNTV_CTL_EL0 (ENABLE, IMASK, ISTATUS); Xen sets IMASK when it delivers */
    uint64_t cntv_cval;         /* CNTV_CVAL_EL0, ticks on the scale of HEADER.cntvct */
    int64_t cntp_left;          /* ticks until the physical timer expires, negative: since it did. Kept relative
                                 * because the guest sees the machine's own CNTPCT_EL0, which cannot be carried over */
    uint32_t cntp_ctl;          /* CNTP_CTL_EL0 */
    uint32_t fpcr;              /* FPCR */
    uint32_t fpsr;              /* FPSR */
    uint32_t reserved;          /* 0 */
    uint64_t v[64];             /* V0..V31, low half first */
    uint64_t vcpu_info_gpa;     /* guest physical address the guest registered; XEN_ARM_SAVE_NONE: never did */
    uint64_t runstate_gva;      /* guest virtual address of the runstate area, 0: none. Only used through the guest's
                                 * own translation tables, so any value is harmless to others */
};

/* Whoever maps a domain's pages ahead of time asks before it maps them, and again once the domain is paused for good. */
struct xen_arm_save_p2m {
    uint64_t changes;           /* another number after each change of the p2m since log-dirty was switched on, and after each
                                 * switching on; while it is the same, every gfn leads to the frame it led to */
};

/*
 * A mode bit of XEN_DOMCTL_SHADOW_OP_CLEAN: hot frames may be spared. A frame that was in this answer and in the one
 * before stays writable for a few epochs and is in their answers whether it was written or not; then it is looked at
 * again. Who tracks a guest for long asks for this, since each frame costs the guest a fault each time it is protected.
 */
#define XEN_ARM_LOGDIRTY_SPARE_HOT (1u << 31)

#endif /* __XEN_PUBLIC_ARCH_ARM_HVM_SAVE_FLIC_H__ */
