/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "ctx-selftest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctx-spoil.h"
#include "ctx-target.h"

#define VIRTIO_MFN 0xa000ul     /* the emulator's first virtio-mmio page: Dom0's to give away */
#define TRIES 200               /* a merely paused guest may sit in an interrupt handler */

static unsigned failed;

static void check(bool ok, const char *what, const char *detail)
{
    printf("%s %s%s%s\n", ok ? "ok  " : "FAIL", what, *detail ? ": " : "", detail);
    failed += !ok;
}

static void check_errno(int rc, int err, const char *what)
{
    char detail[160];

    snprintf(detail, sizeof(detail), "%s", strerror(-rc));
    if (rc != -err)
        snprintf(detail, sizeof(detail), "got %d (%s), not %d (%s)", -rc, strerror(-rc), err, strerror(err));
    check(rc == -err, what, detail);
}

/* What moves on by itself is set to 0, so that two contexts of one state compare equal. */
static void still(struct ctx_blob *blob)
{
    struct xen_arm_save_header *header = ctx_body(blob, XEN_ARM_SAVE_HEADER, 0);

    for (uint32_t i = 0; i < header->nr_vcpus; i++) {
        struct xen_arm_save_vcpu *vcpu = ctx_body(blob, XEN_ARM_SAVE_VCPU, i);

        vcpu->cntp_left = 0;
    }
    header->cntvct = 0;
}

/* Whether two contexts are the same but for time; names the first record that is not. */
static bool same(const struct ctx_blob *a, const struct ctx_blob *b, char *ret_where, size_t room)
{
    static struct ctx_blob x, y;
    struct hvm_save_descriptor *p, *q;

    x = *a;
    y = *b;
    still(&x);
    still(&y);
    for (unsigned n = 0; (p = ctx_nth(&x, n)) && (q = ctx_nth(&y, n)); n++)
        if (memcmp(p, q, sizeof(*p) + p->length)) {
            snprintf(ret_where, room, "record %u/%u differs", p->typecode, p->instance);
            return false;
        }
    *ret_where = 0;
    return x.size == y.size;
}

/* The guest's context. A guest that is only paused can be inside an interrupt: then it runs on for a moment. */
static void take(xc_interface *xch, uint32_t domid, struct ctx_blob *ret_blob)
{
    int rc = -EBUSY;

    for (unsigned i = 0; rc == -EBUSY && i < TRIES; i++) {
        if (xc_domain_pause(xch, domid))
            ctx_die("pause: %s", strerror(errno));
        rc = ctx_get(xch, domid, ret_blob);
        if (xc_domain_unpause(xch, domid))
            ctx_die("unpause: %s", strerror(errno));
        if (rc == -EBUSY)
            usleep(10000);
    }
    if (rc)
        ctx_die("the guest's context cannot be had: %s", strerror(-rc));
}

static void test_getting(xc_interface *xch, uint32_t domid)
{
    static struct ctx_blob blob;
    uint64_t body[256];
    uint8_t small[16];
    int rc;

    check_errno(ctx_get(xch, domid, &blob), EBUSY, "a running guest's context");
    check_errno(ctx_get(xch, 0, &blob), EINVAL, "Dom0's context");
    check_errno(ctx_get(xch, 0x7000, &blob), ESRCH, "the context of no domain");
    rc = xc_domain_hvm_getcontext(xch, domid, small, sizeof(small)) < 0 ? -errno : 0;
    check_errno(rc, ENOSPC, "a buffer too small for the context");
    check_errno(ctx_get_one(xch, domid, XEN_ARM_SAVE_DOMAIN, 0, small, 8), ENOSPC, "a buffer too small for a record");
    check_errno(ctx_get_one(xch, domid, 99, 0, body, sizeof(body)), ENOENT, "a record of unknown type");
    check_errno(ctx_get_one(xch, domid, 0, 0, body, sizeof(body)), ENOENT, "the end record");
    check_errno(ctx_get_one(xch, domid, XEN_ARM_SAVE_VCPU, 127, body, sizeof(body)), ENOENT, "a vCPU too many");
    check_errno(ctx_get_one(xch, domid, XEN_ARM_SAVE_VCPU, ~0u, body, sizeof(body)), ENOENT, "vCPU 2^32 - 1");
    check_errno(ctx_get_one(xch, domid, XEN_ARM_SAVE_DOMAIN, 1, body, sizeof(body)), ENOENT, "a second domain record");
    check_errno(ctx_get_one(xch, domid, XEN_ARM_SAVE_DOMAIN, 0, body, sizeof(body)), 0, "one record, while it runs");
}

/* Each bad context is refused, and the target is afterwards what it was before. */
static void test_refusals(xc_interface *xch, uint32_t target, const struct ctx_blob *good)
{
    static struct ctx_blob bad, before, after;
    char where[64];

    if (ctx_get(xch, target, &before))
        ctx_die("the target's context cannot be had: %s", strerror(errno));
    for (unsigned i = 0; i < ctx_spoils_count; i++) {
        bad = *good;
        if (!ctx_spoils[i].apply(&bad))
            continue;
        check_errno(ctx_set(xch, target, &bad), ctx_spoils[i].err, ctx_spoils[i].name);
        if (ctx_get(xch, target, &after))
            ctx_die("the target's context cannot be had: %s", strerror(errno));
        if (!same(&before, &after, where, sizeof(where)))
            check(false, ctx_spoils[i].name, where);
    }
}

/* Setting maps vcpu_info, which makes the event interrupt pending; nothing else may differ. */
static void forget_event_interrupt(struct ctx_blob *blob)
{
    const struct xen_arm_save_header *header = ctx_body(blob, XEN_ARM_SAVE_HEADER, 0);

    for (uint32_t i = 0; i < header->nr_vcpus; i++) {
        struct xen_arm_save_vgic_vcpu *vgic = ctx_body(blob, XEN_ARM_SAVE_VGIC_VCPU, i);

        vgic->private.pending &= ~(1u << GUEST_EVTCHN_PPI);
    }
}

static void test_round_trip(xc_interface *xch, uint32_t target, const struct ctx_blob *good)
{
    static struct ctx_blob in, out;
    const struct xen_arm_save_header *then, *now;
    char where[64];

    in = *good;
    check_errno(ctx_set(xch, target, &in), 0, "the good context");
    if (ctx_get(xch, target, &out))
        ctx_die("the target's context cannot be had: %s", strerror(errno));
    then = ctx_body(&in, XEN_ARM_SAVE_HEADER, 0);
    now = ctx_body(&out, XEN_ARM_SAVE_HEADER, 0);
    check(now->cntvct >= then->cntvct && now->cntvct - then->cntvct < 60 * now->cntfrq,
          "the counter goes on where it was", "");
    forget_event_interrupt(&in);
    forget_event_interrupt(&out);
    check(same(&in, &out, where, sizeof(where)), "what comes out is what went in", where);
    check_errno(ctx_set(xch, target, good), EEXIST, "the good context a second time");
}

/* Neither saved nor loaded. Takes the domain over. */
static void refuse_kind(xc_interface *xch, uint32_t domid, const struct ctx_blob *good, int err, const char *kind)
{
    static struct ctx_blob blob;
    char what[80];

    snprintf(what, sizeof(what), "saving %s", kind);
    check_errno(ctx_get(xch, domid, &blob), err, what);
    snprintf(what, sizeof(what), "loading %s", kind);
    check_errno(ctx_set(xch, domid, good), err, what);
    ctx_target_destroy(xch, domid);
}

static uint32_t with_vuart(xc_interface *xch, struct ctx_blob *good)
{
    static struct ctx_blob shape;
    xen_pfn_t gfn = GUEST_RAM0_BASE / XC_PAGE_SIZE;
    evtchn_port_t port;
    uint32_t domid;

    shape = *good;
    ((struct xen_arm_save_header *)ctx_body(&shape, XEN_ARM_SAVE_HEADER, 0))->nr_spis = 32;    /* the vuart has an SPI */
    domid = ctx_target_create(xch, &shape, 64);
    if (xc_domain_populate_physmap_exact(xch, domid, 1, 0, 0, &gfn) ||
        xc_dom_vuart_init(xch, XEN_DOMCTL_VUART_TYPE_VPL011, domid, 0, gfn, &port))
        ctx_die("vuart: %s", strerror(errno));
    return domid;
}

/* Kinds of domain that are not supported, as far as they can be made here (no SVE, ITS or IOMMU in this machine). */
static void test_unsupported(xc_interface *xch, struct ctx_blob *good)
{
    uint32_t owner;

    refuse_kind(xch, ctx_target_create(xch, good, 32), good, ENOEXEC, "a 32-bit domain");
    refuse_kind(xch, with_vuart(xch, good), good, ENODEV, "a domain with an emulated UART");
    owner = ctx_target_create(xch, good, 64);
    if (xc_domain_iomem_permission(xch, owner, VIRTIO_MFN, 1, 1))
        ctx_die("iomem_permission: %s", strerror(errno));
    refuse_kind(xch, owner, good, EXDEV, "a domain that owns a device's memory");
}

unsigned ctx_selftest(xc_interface *xch, uint32_t domid)
{
    static struct ctx_blob good;
    uint32_t target;

    test_getting(xch, domid);
    take(xch, domid, &good);
    check_errno(ctx_set(xch, domid, &good), EEXIST, "loading a domain that has run");
    test_unsupported(xch, &good);

    target = ctx_target_create(xch, &good, 64);
    ctx_target_prepare(xch, target, &good);
    test_refusals(xch, target, &good);
    test_round_trip(xch, target, &good);
    ctx_target_destroy(xch, target);

    printf("%s: %u failed\n", failed ? "FAIL" : "ok", failed);
    return failed;
}
