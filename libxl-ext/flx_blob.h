/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * flx_blob - the machine state as bytes: our header around the hypervisor's context. Pure: no Xen library, no domain, so that
 * it can be fuzzed and read on any machine.
 *
 * Little endian.  u64 magic "LX_STATE", u32 version 1, u32 length of the whole, then parts, each { u32 type, u32 length,
 * bytes } and each of its
 * architecture's exactly once, then u64 XXH3-64 of all before.
 *
 *   1 arch      text without NUL, "arm64" or "x86_64", at most 15 bytes
 *   2 domain    u64 gfn_end, u64 shared_info gfn (all ones: none), u32 vCPUs, u32 address width in bits
 *   3 params    { u32 index, u32 zero, u64 value } ... HVM parameters, at most 64, indices ascending
 *   4 context   the hypervisor's, as XEN_DOMCTL_gethvmcontext gave it; on arm64 the records of
 *               hypervisor/files/xen/include/public/arch-arm/hvm/save.h, whose header has the machine's facts; on x86 those
 *               of Xen's public/arch-x86/hvm/save.h
 *
 * and on x86 only:
 *   5 tsc       u32 mode, u32 kHz, u64 ns, u32 incarnation, u32 zero: as XEN_DOMCTL_gettscinfo gave them
 *   6 cpuid     the CPU policy's leaves, 24 bytes each, as Xen serialises them
 *   7 msrs      its MSRs, 16 bytes each; may be none
 */
#ifndef FLIC_LIBXL_EXT_FLX_BLOB_H
#define FLIC_LIBXL_EXT_FLX_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define FLX_BLOB_PARAMS 64

struct flx_blob_param { uint32_t index; uint64_t value; };

struct flx_blob_machine {       /* of the machine that saved */
    uint32_t gic, hw_gic;       /* the guest's and the machine's: 2, 3; 0 on x86, or not known */
    uint32_t midr;
    uint64_t counter_hz;
    uint64_t counter;           /* the guest's, at the save */
};

/* Sizes and places in Xen's x86 ABI (flx_x86.c compares them with Xen's headers). */
#define FLX_X86_MAGIC 0x54381286u
#define FLX_X86_VERSION 1u
#define FLX_X86_HEADER_LEN 24u
#define FLX_X86_CPU_TSC 1008u   /* of the time stamp counter in a CPU record */
#define FLX_X86_CPUID_LEN 24u
#define FLX_X86_MSR_LEN 16u

struct flx_blob_x86 {           /* zero on arm64 */
    uint32_t tsc_mode, tsc_khz, tsc_incarnation;
    uint64_t tsc_ns;
    const void *cpuid, *msrs;   /* borrowed from the bytes */
    size_t n_cpuid, n_msrs;
};

struct flx_blob {
    char arch[16];
    uint64_t gfn_end, shared_info_gfn;
    uint32_t vcpus, width;
    struct flx_blob_param params[FLX_BLOB_PARAMS];
    size_t n_params;
    const void *context;        /* borrowed from the bytes */
    size_t context_len;
    struct flx_blob_x86 x86;
    struct flx_blob_machine machine;    /* out of the context; not written by flx_blob_build() */
};

/* gives *ret_bytes. -ENOMEM; FLIC_E_DAMAGED or FLIC_E_VERSION for a context that this build does not understand. */
int flx_blob_build(const struct flx_blob *blob, void **ret_bytes, size_t *ret_len, struct flic_err *err);
/* FLIC_E_DAMAGED, FLIC_E_VERSION. The strings and context in ret_blob live as long as `bytes`. */
int flx_blob_parse(const void *bytes, size_t len, struct flx_blob *ret_blob, struct flic_err *err);
/* FLIC_E_MISMATCH: a guest saved there cannot go on on a machine with these facts. Those that are 0 here are not known and not compared. */
int flx_blob_fits(const struct flx_blob *blob, const char *arch, const struct flx_blob_machine *here, struct flic_err *err);
/* FLX_NO_PARAM when it is not there. */
#define FLX_NO_PARAM (~UINT64_C(0))
uint64_t flx_blob_param(const struct flx_blob *blob, uint32_t index);

/* A copy of the context with the guest's counter moved on by elapsed_ns: gives. NULL without memory. Time never goes back: a
 * sum that would wrap stays where it was. */
void *flx_blob_context_later(const struct flx_blob *blob, uint64_t elapsed_ns);

#endif
