/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The parts of a machine state that only x86 has, and Xen's own context there: framing, and what we use of it. */
#include "libxl-ext/flx_blob_x86.h"

#include "common/bytes.h"

#include <stdlib.h>
#include <string.h>

#define DESCRIPTOR 8u           /* u16 type, u16 instance, u32 length: as on arm64, whose series took it from here */

enum { RECORD_END = 0, RECORD_HEADER = 1, RECORD_CPU = 2 };

static int context_error(struct flic_err *err, const char *what)
{
    return flic_err_set(err, FLIC_E_DAMAGED, "machine state: the hypervisor's context %s", what);
}

/* u32 magic, version; u64 changeset; u32 cpuid, TSC frequency in kHz */
static int take_header(const void *body, size_t len, struct flx_blob *blob, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(body, len);
    uint32_t version;

    if (flic_get_u32(&r) != FLX_X86_MAGIC || len != FLX_X86_HEADER_LEN)
        return context_error(err, "is not one of an x86 domain");
    version = flic_get_u32(&r);
    if (version != FLX_X86_VERSION)
        return flic_err_set(err, FLIC_E_VERSION, "machine state: context version %u, this build knows %u", version,
                            FLX_X86_VERSION);
    (void)flic_get_u64(&r);
    (void)flic_get_u32(&r);
    blob->machine.counter_hz = flic_get_u32(&r) * UINT64_C(1000);
    return blob->machine.counter_hz ? 0 : context_error(err, "does not say how fast the time stamp counter runs");
}

static int take_cpu(uint16_t instance, const uint8_t *body, size_t len, struct flx_blob *blob, struct flic_err *err)
{
    struct flic_reader r;

    if (len < FLX_X86_CPU_TSC + 8)
        return context_error(err, "has a CPU record of the wrong length");
    if (instance >= blob->vcpus)
        return context_error(err, "has a vCPU more than the guest");
    r = flic_reader_of(body + FLX_X86_CPU_TSC, 8);
    if (instance == 0)
        blob->machine.counter = flic_get_u64(&r);
    return 0;
}

int flx_blob_x86_check(struct flx_blob *blob, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(blob->context, blob->context_len);
    bool first = true, has_cpu = false;

    for (;;) {
        uint16_t type = flic_get_u16(&r), instance = flic_get_u16(&r);
        uint32_t len = flic_get_u32(&r);
        const void *body = flic_get_bytes(&r, len);
        int rc = 0;

        if (r.bad)
            return context_error(err, "ends inside a record");
        if (first != (type == RECORD_HEADER))
            return context_error(err, first ? "does not begin with its header" : "has two headers");
        if (type == RECORD_END)
            break;
        if (type == RECORD_HEADER)
            rc = take_header(body, len, blob, err);
        if (type == RECORD_CPU)
            rc = take_cpu(instance, body, len, blob, err);
        if (rc)
            return rc;
        has_cpu = has_cpu || (type == RECORD_CPU && instance == 0);
        first = false;
    }
    if (r.left)
        return context_error(err, "has bytes behind its end");
    return has_cpu ? 0 : context_error(err, "has no vCPU 0");
}

/* Every vCPU has its own counter. The bytes were checked when the blob was parsed. */
void flx_blob_x86_later(const struct flx_blob *blob, uint8_t *context, uint64_t ticks)
{
    for (size_t at = 0; at + DESCRIPTOR <= blob->context_len;) {
        uint16_t type;
        uint32_t len;
        uint64_t tsc;

        memcpy(&type, context + at, sizeof(type));
        memcpy(&len, context + at + 4, sizeof(len));
        at += DESCRIPTOR;
        if (type == RECORD_CPU) {
            memcpy(&tsc, context + at + FLX_X86_CPU_TSC, sizeof(tsc));
            tsc = tsc + ticks < tsc ? tsc : tsc + ticks;
            memcpy(context + at + FLX_X86_CPU_TSC, &tsc, sizeof(tsc));
        }
        at += len;
    }
}

/* ---- parts ---- */

void flx_blob_x86_put_tsc(struct flic_builder *b, const struct flx_blob_x86 *x86)
{
    flic_put_u32(b, x86->tsc_mode);
    flic_put_u32(b, x86->tsc_khz);
    flic_put_u64(b, x86->tsc_ns);
    flic_put_u32(b, x86->tsc_incarnation);
    flic_put_u32(b, 0);
}

bool flx_blob_x86_take_tsc(const void *body, size_t len, struct flx_blob_x86 *x86)
{
    struct flic_reader r = flic_reader_of(body, len);

    x86->tsc_mode = flic_get_u32(&r);
    x86->tsc_khz = flic_get_u32(&r);
    x86->tsc_ns = flic_get_u64(&r);
    x86->tsc_incarnation = flic_get_u32(&r);
    return flic_get_u32(&r) == 0 && !r.bad && !r.left;
}

bool flx_blob_x86_take_cpuid(const void *body, size_t len, struct flx_blob_x86 *x86)
{
    x86->cpuid = body;
    x86->n_cpuid = len / FLX_X86_CPUID_LEN;
    return len && len % FLX_X86_CPUID_LEN == 0;
}

bool flx_blob_x86_take_msrs(const void *body, size_t len, struct flx_blob_x86 *x86)
{
    x86->msrs = body;
    x86->n_msrs = len / FLX_X86_MSR_LEN;
    return len % FLX_X86_MSR_LEN == 0;
}
