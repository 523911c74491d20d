/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Reads, shows, writes and tries out the context of an arm64 domain, with stock libxenctrl. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctx-blob.h"
#include "ctx-selftest.h"

static const char usage[] =
    "usage: ctx-tool get DOMID FILE           save the context of a paused or suspended domain\n"
    "       ctx-tool set DOMID FILE           load it into a domain that has never run\n"
    "       ctx-tool print FILE               show it\n"
    "       ctx-tool part DOMID TYPE [N]      show one record of a domain, by type number and instance\n"
    "       ctx-tool selftest DOMID           on a running guest's context: every refusal, and a round trip\n"
    "exit status: 0, 1 Xen refused or a test failed, 2 wrong arguments or a broken lab\n";

/* XEN_DOMCTL_CONFIG_GIC_V2 is 1, _V3 is 2. */
static void print_header(const void *body)
{
    const struct xen_arm_save_header *h = body;

    printf("header: version %u, MIDR %#" PRIx64 ", counter %" PRIu64 " at %" PRIu64 " Hz, GICv%u on GICv%u, %u SPIs, "
           "%u vCPUs\n", h->version, h->midr, h->cntvct, h->cntfrq, h->gic_version + 1, h->hw_gic_version + 1, h->nr_spis,
           h->nr_vcpus);
}

static void print_irqs(const char *what, unsigned instance, const struct xen_arm_save_irqs *r)
{
    printf("%s %u: enabled %08x, pending %08x, config %08x %08x\n", what, instance, r->enabled, r->pending,
           r->config[0], r->config[1]);
}

static void print_vcpu(unsigned instance, const void *body)
{
    const struct xen_arm_save_vcpu *r = body;

    printf("vcpu %u:%s%s%s, pc %#" PRIx64 ", pstate %#x, sctlr %#" PRIx64 ", ttbr1 %#" PRIx64 ", vbar %#" PRIx64 "\n",
           instance, r->flags & XEN_ARM_SAVE_VCPU_INITIALISED ? " initialised" : " never started",
           r->flags & XEN_ARM_SAVE_VCPU_ONLINE ? ", online" : ", offline",
           r->flags & XEN_ARM_SAVE_VCPU_SSBD ? ", ssbd" : "", r->pc, r->cpsr, r->sctlr, r->ttbr1, r->vbar);
    printf("  cntv ctl %u cval %" PRIu64 ", cntp ctl %u left %" PRId64 ", vcpu_info %#" PRIx64 ", runstate %#" PRIx64
           "\n", r->cntv_ctl, r->cntv_cval, r->cntp_ctl, r->cntp_left, r->vcpu_info_gpa, r->runstate_gva);
}

static void print_record(unsigned type, unsigned instance, const void *body)
{
    const struct xen_arm_save_domain *domain = body;
    const struct xen_arm_save_vgic *vgic = body;
    const struct xen_arm_save_vgic_vcpu *vgic_vcpu = body;

    switch (type) {
    case XEN_ARM_SAVE_HEADER:
        print_header(body);
        break;
    case XEN_ARM_SAVE_DOMAIN:
        printf("domain: shared_info at gfn %#" PRIx64 ", vm_assist %#" PRIx64 "\n", domain->shared_info_gfn,
               domain->vm_assist);
        break;
    case XEN_ARM_SAVE_VGIC:
        printf("vgic: GICD_CTLR %#x\n", vgic->gicd_ctlr);
        break;
    case XEN_ARM_SAVE_SPIS:
        print_irqs("SPIs", instance, body);
        break;
    case XEN_ARM_SAVE_VCPU:
        print_vcpu(instance, body);
        break;
    case XEN_ARM_SAVE_VGIC_VCPU:
        print_irqs("private interrupts of vCPU", instance, &vgic_vcpu->private);
        printf("  vmcr %#" PRIx64 ", sre %#" PRIx64 "\n", vgic_vcpu->vmcr, vgic_vcpu->sre);
        break;
    default:
        printf("record of unknown type %u\n", type);
    }
}

static void print_blob(struct ctx_blob *blob)
{
    struct hvm_save_descriptor *desc;

    for (unsigned n = 0; (desc = ctx_nth(blob, n)) && desc->length; n++)
        print_record(desc->typecode, desc->instance, desc + 1);
    printf("%u bytes%s\n", blob->size, desc ? "" : ", without an end");
}

static int refused(int rc)
{
    fprintf(stderr, "ctx-tool: Xen refused: %s (see xl dmesg)\n", strerror(-rc));
    return 1;
}

static int part(xc_interface *xch, uint32_t domid, unsigned type, unsigned instance)
{
    uint64_t body[256];
    int rc = ctx_get_one(xch, domid, type, instance, body, sizeof(body));

    if (rc)
        return refused(rc);
    print_record(type, instance, body);
    return 0;
}

int main(int argc, char **argv)
{
    static struct ctx_blob blob;
    const char *command = argc > 1 ? argv[1] : "";
    uint32_t domid = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    xc_interface *xch;
    int rc = 0;

    if (!strcmp(command, "print") && argc == 3) {
        ctx_read_file(argv[2], &blob);
        print_blob(&blob);
        return 0;
    }
    xch = xc_interface_open(NULL, NULL, 0);
    if (!xch)
        ctx_die("no Xen here: %s", strerror(errno));
    if (!strcmp(command, "get") && argc == 4) {
        rc = ctx_get(xch, domid, &blob);
        if (!rc)
            ctx_write_file(argv[3], &blob);
    } else if (!strcmp(command, "set") && argc == 4) {
        ctx_read_file(argv[3], &blob);
        rc = ctx_set(xch, domid, &blob);
    } else if (!strcmp(command, "part") && (argc == 4 || argc == 5)) {
        return part(xch, domid, strtoul(argv[3], NULL, 10), argc == 5 ? strtoul(argv[4], NULL, 10) : 0);
    } else if (!strcmp(command, "selftest") && argc == 3) {
        return ctx_selftest(xch, domid) ? 1 : 0;
    } else {
        fputs(usage, stderr);
        return 2;
    }
    return rc ? refused(rc) : 0;
}
