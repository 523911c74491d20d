/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "libxl-ext/flx_blob.h"

#include "common/bytes.h"
#include "common/id.h"
#include "hypervisor/files/xen/include/public/arch-arm/hvm/save.h"
#include "libxl-ext/flx_blob_x86.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC UINT64_C(0x45544154535f584c)      /* low bytes first: "LX_STATE" */
#define FORMAT 1u
#define HEAD 16u                                /* magic, version, length */
#define TAIL 8u                                 /* checksum */
#define MAX_LEN (1u << 20)

enum part { PART_ARCH = 1, PART_DOMAIN, PART_PARAMS, PART_CONTEXT, PART_COMMON_END, PART_TSC = PART_COMMON_END, PART_CPUID,
            PART_MSRS, PART_END };

static_assert(sizeof(struct xen_arm_save_header) == 48, "the hypervisor's header record");
static_assert(sizeof(struct xen_arm_save_domain) == 16, "the hypervisor's domain record");

/* ---- the hypervisor's context on arm64: descriptor { u16 type, u16 instance, u32 length }, body ---- */

#define DESCRIPTOR 8u

static int context_error(struct flic_err *err, const char *what)
{
    return flic_err_set(err, FLIC_E_DAMAGED, "machine state: the hypervisor's context %s", what);
}

static int take_header(const void *body, size_t len, struct flx_blob *blob, struct flic_err *err)
{
    struct xen_arm_save_header h;

    if (len != sizeof(h))
        return context_error(err, "has a header of the wrong length");
    memcpy(&h, body, sizeof(h));
    if (h.magic != XEN_ARM_SAVE_MAGIC)
        return context_error(err, "is not one of an arm64 domain");
    if (h.version != XEN_ARM_SAVE_VERSION)
        return flic_err_set(err, FLIC_E_VERSION, "machine state: context version %u, this build knows %u", h.version,
                            XEN_ARM_SAVE_VERSION);
    if (h.nr_vcpus != blob->vcpus)
        return context_error(err, "is of another number of vCPUs");
    if (!h.cntfrq || (h.gic_version != 1 && h.gic_version != 2) || (h.hw_gic_version != 1 && h.hw_gic_version != 2))
        return context_error(err, "names an impossible machine");
    blob->machine = (struct flx_blob_machine){
        .gic = h.gic_version + 1, .hw_gic = h.hw_gic_version + 1,      /* XEN_DOMCTL_CONFIG_GIC_V2 is 1 */
        .midr = (uint32_t)h.midr, .counter_hz = h.cntfrq, .counter = h.cntvct };
    return 0;
}

/* Framing only, and what we use: what the records say is the hypervisor's to check, and it does. */
static int check_arm_context(struct flx_blob *blob, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(blob->context, blob->context_len);
    bool first = true;

    for (;;) {
        uint16_t type = flic_get_u16(&r), instance = flic_get_u16(&r);
        uint32_t len = flic_get_u32(&r);
        const void *body = flic_get_bytes(&r, len);
        int rc = 0;

        if (r.bad)
            return context_error(err, "ends inside a record");
        if (first != (type == XEN_ARM_SAVE_HEADER))
            return context_error(err, first ? "does not begin with its header" : "has two headers");
        if (!type && (instance || len))
            return context_error(err, "has a record without a type");
        if (!type)
            break;
        if (type == XEN_ARM_SAVE_HEADER)
            rc = take_header(body, len, blob, err);
        if (type == XEN_ARM_SAVE_DOMAIN && (instance || len != sizeof(struct xen_arm_save_domain)))
            rc = context_error(err, "has a domain record of the wrong length");
        if (rc)
            return rc;
        first = false;
    }
    return r.left ? context_error(err, "has bytes behind its end") : 0;
}

static bool is_x86(const struct flx_blob *blob)
{
    return !strcmp(blob->arch, "x86_64");
}

static int check_context(struct flx_blob *blob, struct flic_err *err)
{
    if (is_x86(blob))
        return flx_blob_x86_check(blob, err);
    if (!strcmp(blob->arch, "arm64"))
        return check_arm_context(blob, err);
    return flic_err_set(err, FLIC_E_VERSION, "machine state of %s: this build reads arm64 and x86_64", blob->arch);
}

/* ---- writing ---- */

static void put_part(struct flic_builder *b, enum part part, const void *data, size_t len)
{
    flic_put_u32(b, part);
    flic_put_blob(b, data, (uint32_t)len);
}

static void put_domain(struct flic_builder *b, const struct flx_blob *blob)
{
    flic_put_u32(b, PART_DOMAIN);
    flic_put_u32(b, 24);
    flic_put_u64(b, blob->gfn_end);
    flic_put_u64(b, blob->shared_info_gfn);
    flic_put_u32(b, blob->vcpus);
    flic_put_u32(b, blob->width);
}

static void put_params(struct flic_builder *b, const struct flx_blob *blob)
{
    flic_put_u32(b, PART_PARAMS);
    flic_put_u32(b, (uint32_t)(16 * blob->n_params));
    for (size_t i = 0; i < blob->n_params; i++) {
        flic_put_u32(b, blob->params[i].index);
        flic_put_u32(b, 0);
        flic_put_u64(b, blob->params[i].value);
    }
}

static void put_x86(struct flic_builder *b, const struct flx_blob_x86 *x86)
{
    flic_put_u32(b, PART_TSC);
    flic_put_u32(b, 24);
    flx_blob_x86_put_tsc(b, x86);
    put_part(b, PART_CPUID, x86->cpuid, x86->n_cpuid * FLX_X86_CPUID_LEN);
    put_part(b, PART_MSRS, x86->msrs, x86->n_msrs * FLX_X86_MSR_LEN);
}

static size_t whole_length(const struct flx_blob *blob)
{
    size_t common = HEAD + 4 * DESCRIPTOR + strlen(blob->arch) + 24 + 16 * blob->n_params + blob->context_len + TAIL;

    if (!is_x86(blob))
        return common;
    return common + 3 * DESCRIPTOR + 24 + blob->x86.n_cpuid * FLX_X86_CPUID_LEN + blob->x86.n_msrs * FLX_X86_MSR_LEN;
}

int flx_blob_build(const struct flx_blob *blob, void **ret_bytes, size_t *ret_len, struct flic_err *err)
{
    struct flic_builder b;
    struct flx_blob back;
    size_t len = whole_length(blob);
    void *bytes;
    int rc;

    if (len > MAX_LEN)
        return flic_err_set(err, FLIC_E_XEN, "machine state of %zu bytes: more than FLIC stores", len);
    flic_builder_init(&b);
    flic_put_u64(&b, MAGIC);
    flic_put_u32(&b, FORMAT);
    flic_put_u32(&b, (uint32_t)len);
    put_part(&b, PART_ARCH, blob->arch, strlen(blob->arch));
    put_domain(&b, blob);
    put_params(&b, blob);
    put_part(&b, PART_CONTEXT, blob->context, blob->context_len);
    if (is_x86(blob))
        put_x86(&b, &blob->x86);
    flic_put_u64(&b, b.bad ? 0 : flic_checksum(b.data, b.len));
    bytes = flic_builder_take(&b, &len);
    if (!bytes)
        return flic_err_set(err, -ENOMEM, "machine state: out of memory");
    rc = flx_blob_parse(bytes, len, &back, err);        /* what cannot be read back is not a checkpoint */
    if (rc) {
        free(bytes);
        return flic_err_wrap(err, rc, "the hypervisor gave what this FLIC does not know");
    }
    *ret_bytes = bytes;
    *ret_len = len;
    return 0;
}

/* ---- reading ---- */

static int part_error(struct flic_err *err, const char *what)
{
    return flic_err_set(err, FLIC_E_DAMAGED, "machine state: %s", what);
}

static bool take_arch(const void *body, size_t len, struct flx_blob *blob)
{
    if (len == 0 || len >= sizeof(blob->arch) || memchr(body, '\0', len))
        return false;
    memcpy(blob->arch, body, len);
    blob->arch[len] = '\0';
    return true;
}

static bool take_domain(const void *body, size_t len, struct flx_blob *blob)
{
    struct flic_reader r = flic_reader_of(body, len);

    blob->gfn_end = flic_get_u64(&r);
    blob->shared_info_gfn = flic_get_u64(&r);
    blob->vcpus = flic_get_u32(&r);
    blob->width = flic_get_u32(&r);
    return !r.bad && !r.left && blob->vcpus && blob->gfn_end;
}

static bool take_params(const void *body, size_t len, struct flx_blob *blob)
{
    struct flic_reader r = flic_reader_of(body, len);

    if (len % 16 || len / 16 > FLX_BLOB_PARAMS)
        return false;
    for (size_t i = 0; i < len / 16; i++) {
        struct flx_blob_param *p = &blob->params[i];

        p->index = flic_get_u32(&r);
        if (flic_get_u32(&r) || (i && p->index <= p[-1].index))
            return false;
        p->value = flic_get_u64(&r);
    }
    blob->n_params = len / 16;
    return true;
}

static bool take_part(enum part part, const void *body, size_t len, struct flx_blob *blob)
{
    switch (part) {
    case PART_ARCH:
        return take_arch(body, len, blob);
    case PART_DOMAIN:
        return take_domain(body, len, blob);
    case PART_PARAMS:
        return take_params(body, len, blob);
    case PART_CONTEXT:
        blob->context = body;
        blob->context_len = len;
        return len > 0;
    case PART_TSC:
        return flx_blob_x86_take_tsc(body, len, &blob->x86);
    case PART_CPUID:
        return flx_blob_x86_take_cpuid(body, len, &blob->x86);
    case PART_MSRS:
        return flx_blob_x86_take_msrs(body, len, &blob->x86);
    default:
        return false;
    }
}

static int read_parts(struct flic_reader *r, struct flx_blob *blob, struct flic_err *err)
{
    unsigned seen = 0;

    while (r->left) {
        uint32_t part = flic_get_u32(r), len = flic_get_u32(r);
        const void *body = flic_get_bytes(r, len);

        if (r->bad)
            return part_error(err, "ends inside a part");
        if (part == 0 || part >= PART_END)
            return flic_err_set(err, FLIC_E_VERSION, "machine state: part %u is not known to this build", part);
        if (seen & (1u << part))
            return part_error(err, "a part is there twice");
        if (!take_part(part, body, len, blob))
            return part_error(err, "a part does not make sense");
        seen |= 1u << part;
    }
    if (seen == (1u << (is_x86(blob) ? PART_END : PART_COMMON_END)) - 2)
        return 0;
    return part_error(err, "a part is missing, or one that its architecture does not have is there");
}

int flx_blob_parse(const void *bytes, size_t len, struct flx_blob *ret_blob, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(bytes, len);
    struct flic_reader tail;
    struct flx_blob blob = { .n_params = 0 };
    uint32_t version, whole;
    int rc;

    if (flic_get_u64(&r) != MAGIC || len < HEAD + TAIL || len > MAX_LEN)
        return part_error(err, "not one, or cut short");
    version = flic_get_u32(&r);
    if (version != FORMAT)
        return flic_err_set(err, FLIC_E_VERSION, "machine state: version %u, this build knows %u", version, FORMAT);
    whole = flic_get_u32(&r);
    tail = flic_reader_of((const char *)bytes + len - TAIL, TAIL);
    if (whole != len || flic_get_u64(&tail) != flic_checksum(bytes, len - TAIL))
        return part_error(err, "length or checksum is wrong");
    r.left -= TAIL;
    rc = read_parts(&r, &blob, err);
    if (!rc)
        rc = check_context(&blob, err);
    if (!rc)
        *ret_blob = blob;
    return rc;
}

int flx_blob_fits(const struct flx_blob *blob, const char *arch, const struct flx_blob_machine *here, struct flic_err *err)
{
    const struct flx_blob_machine *then = &blob->machine;

    if (strcmp(blob->arch, arch))
        return flic_err_set(err, FLIC_E_MISMATCH, "the checkpoint is of a guest on %s, this host is %s", blob->arch, arch);
    if (here->hw_gic && here->hw_gic != then->hw_gic)
        return flic_err_set(err, FLIC_E_MISMATCH, "the checkpoint is of a machine with GICv%u, this host has GICv%u",
                            then->hw_gic, here->hw_gic);
    if (here->midr && here->midr != then->midr)
        return flic_err_set(err, FLIC_E_MISMATCH, "the checkpoint is of a CPU with MIDR %#010x, this host has %#010x",
                            then->midr, here->midr);
    if (here->counter_hz && here->counter_hz != then->counter_hz)
        return flic_err_set(err, FLIC_E_MISMATCH, "the checkpoint is of a machine whose counter runs at %llu Hz, this "
                            "host's at %llu Hz", (unsigned long long)then->counter_hz,
                            (unsigned long long)here->counter_hz);
    return 0;
}

uint64_t flx_blob_param(const struct flx_blob *blob, uint32_t index)
{
    for (size_t i = 0; i < blob->n_params; i++)
        if (blob->params[i].index == index)
            return blob->params[i].value;
    return FLX_NO_PARAM;
}

/* On arm64 the header is the first record, so its counter stands at a fixed place. */
static void arm_later(const struct flx_blob *blob, uint8_t *context, uint64_t ticks)
{
    uint64_t now = blob->machine.counter, later = now + ticks < now ? now : now + ticks;

    memcpy(context + DESCRIPTOR + offsetof(struct xen_arm_save_header, cntvct), &later, sizeof(later));
}

void *flx_blob_context_later(const struct flx_blob *blob, uint64_t elapsed_ns)
{
    unsigned __int128 passed = (unsigned __int128)elapsed_ns * blob->machine.counter_hz / 1000000000u;
    uint64_t ticks = passed > UINT64_MAX ? 0 : (uint64_t)passed;
    uint8_t *copy = malloc(blob->context_len);

    if (!copy)
        return NULL;
    memcpy(copy, blob->context, blob->context_len);
    if (is_x86(blob))
        flx_blob_x86_later(blob, copy, ticks);
    else
        arm_later(blob, copy, ticks);
    return copy;
}
