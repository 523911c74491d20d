/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Checks the calls of log-dirty on a guest that it pauses for the time: what is refused, and that no bit is lost by
 * a call that fails or asks for a part. Exit status: 0 all hold, 1 one does not, 2 no check could be made.
 */
#include "guestmem.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __aarch64__
#include <public/arch-arm/hvm/save.h>
#endif

static struct guestmem mem;
static unsigned int failed;

#define CLEAN XEN_DOMCTL_SHADOW_OP_CLEAN
#define PEEK  XEN_DOMCTL_SHADOW_OP_PEEK

static void check(bool holds, const char *sentence)
{
    printf("%s: %s\n", holds ? "ok" : "FAILED", sentence);
    failed += !holds;
}

/* What a call returns: 0, or the errno it failed with. */
static int control(uint32_t domid, unsigned int op, unsigned int mode)
{
    return xc_shadow_control(mem.xch, domid, op, NULL, mode) < 0 ? errno : 0;
}

static int bits(unsigned int op, uint8_t *into)
{
    return -guestmem_dirty(&mem, op, 0, into, mem.nr, NULL);
}

/* A call with any bitmap pointer, count and mode. Returns the count or -errno. */
static long long raw(unsigned int op, void *bitmap, uint64_t pages, unsigned int mode)
{
    xc_hypercall_buffer_t buffer = { .hbuf = bitmap };
    long long rc = xc_logdirty_control(mem.xch, mem.domid, op, bitmap ? &buffer : NULL, pages, mode, NULL);

    return rc < 0 ? -errno : rc;
}

static uint64_t count(const uint8_t *map, uint64_t from)
{
    uint64_t n = 0;

    for (uint64_t gfn = from; gfn < mem.nr; gfn++)
        n += guestmem_bit(map, gfn);
    return n;
}

/* Every bit of part from gfn on is in whole too. */
static bool within(const uint8_t *part, const uint8_t *whole, uint64_t from)
{
    for (uint64_t gfn = from; gfn < mem.nr; gfn++)
        if (guestmem_bit(part, gfn) && !guestmem_bit(whole, gfn))
            return false;
    return true;
}

static void let_run(void)
{
    xc_domain_unpause(mem.xch, mem.domid);
    usleep(500 * 1000);
    xc_domain_pause(mem.xch, mem.domid);
    usleep(200 * 1000);
}

#ifdef __aarch64__
/* The number that changes with the guest's layout, or -errno. */
static int64_t layout(void)
{
    struct xen_arm_save_p2m record;

    if (xc_domain_hvm_getcontext_partial(mem.xch, mem.domid, XEN_ARM_SAVE_P2M, 0, &record, sizeof(record)))
        return -errno;
    return (int64_t)record.changes;
}
#endif

static void while_off(uint8_t *a)
{
    check(bits(CLEAN, a) == EINVAL, "CLEAN is refused while log-dirty is off");
    check(bits(PEEK, a) == EINVAL, "PEEK is refused while log-dirty is off");
    check(!control(mem.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0), "OFF is no error while it is off");
    check(control(0, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0) == EINVAL, "Dom0 cannot be tracked");
    check(control(32000, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0) == ESRCH, "a domain that is not there is said to be so");
    check(control(mem.domid, XEN_DOMCTL_SHADOW_OP_ENABLE, 0) == EINVAL, "ENABLE without a mode is refused");
    check(control(mem.domid, 99, 0) == EINVAL, "an unknown operation is refused");
#ifdef __aarch64__
    check(layout() == -ENOENT, "nothing is told of the layout");
#endif
}

static void while_on(uint8_t *a, uint8_t *b)
{
    check(!control(mem.domid, XEN_DOMCTL_SHADOW_OP_ENABLE, XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY),
          "ENABLE with LOG_DIRTY turns it on");
    check(control(mem.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0) == EINVAL, "turning it on twice is refused");
    check(raw(CLEAN, a, mem.nr, 2) == -EINVAL, "an unknown mode of CLEAN is refused");
    check(raw(PEEK, NULL, mem.nr, XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL) == (long long)mem.nr, "FINAL is taken");
    check(raw(PEEK, NULL, mem.nr + 100000, 0) == (long long)mem.nr, "the count comes back cut to the guest's gfns");
    let_run();
    check(!bits(PEEK, a) && !bits(PEEK, b) && within(a, b, 0), "PEEK takes nothing away");
    check(count(a, 0) > 10, "a guest that ran has dirty frames");
    check(!bits(CLEAN, b) && within(a, b, 0), "CLEAN reports what PEEK did");
    check(!bits(PEEK, a) && count(a, 0) < count(b, 0), "CLEAN takes the bits away");
    check(count(a, 0) > 0, "frames that can be written at any time stay dirty");
}

static void parts(uint8_t *a, uint8_t *b)
{
    uint64_t half = 0, dirty, left;

    let_run();
    bits(PEEK, a);
    dirty = count(a, 0);
    for (left = dirty; left > dirty / 2; half++)
        left -= guestmem_bit(a, half);
    check(raw(CLEAN, NULL, half, 0) == (long long)half, "a part can be cleaned");
    check(!bits(PEEK, b) && within(a, b, half), "cleaning a part keeps the bits of the rest");
    check(count(b, 0) - count(b, half) < dirty - left, "cleaning without a bitmap cleans");
}

static void bad_pointer(uint8_t *a, uint8_t *b)
{
    let_run();
    bits(PEEK, a);
    check(raw(CLEAN, (void *)8, mem.nr, 0) == -EFAULT, "a bitmap that cannot be written is said to be so");
    check(!bits(PEEK, b) && within(a, b, 0), "no bit is lost by it");
    check(raw(PEEK, (void *)8, mem.nr, 0) == -EFAULT, "the same of PEEK");
    check(!bits(CLEAN, b) && within(a, b, 0), "and the next CLEAN has them");
}

#ifdef __aarch64__
static int spare_hot(uint8_t *into)
{
    return -guestmem_dirty(&mem, CLEAN, XEN_ARM_LOGDIRTY_SPARE_HOT, into, mem.nr, NULL);
}

static void hot_frames(uint8_t *a, uint8_t *b)
{
    uint64_t always, spared;

    bits(CLEAN, a);
    bits(PEEK, a);
    always = count(a, 0);
    for (int i = 0; i < 2; i++) {
        let_run();
        check(!spare_hot(b), "CLEAN can be told to spare hot frames");
    }
    check(!bits(PEEK, a) && within(a, b, 0), "a frame is spared only if it was reported");
    spared = count(a, 0);
    check(spared > always, "and then it is dirty, written or not");
    check(!bits(CLEAN, b) && count(b, 0) == spared, "CLEAN that is not told to spares none");
    check(!bits(PEEK, a) && count(a, 0) == always, "and takes the spared ones too");

    for (int i = 0; i < 3; i++) {
        let_run();
        spare_hot(b);
    }
    for (int i = 0; i < 4; i++)
        spare_hot(b);
    check(!bits(PEEK, a) && count(a, 0) == always, "a frame that is written no more is not spared for long");
}

static void layouts(void)
{
    xen_pfn_t unused = GUEST_MAGIC_BASE / GUESTMEM_PAGE + 8;    /* libxl puts four pages there */
    int64_t before = layout(), with;

    check(before > 0, "Xen tells of the layout of a guest");
    let_run();
    check(layout() == before, "it is the same after the guest ran and wrote");
    check(!xc_domain_populate_physmap_exact(mem.xch, mem.domid, 1, 0, 0, &unused), "a page can be added");
    with = layout();
    check(with > 0 && with != before, "another one with a page more");
    check(!xc_domain_decrease_reservation_exact(mem.xch, mem.domid, 1, 0, &unused), "and taken away");
    check(layout() != with && layout() != before, "and a third one without it again");
    before = layout();
    check(!control(mem.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0) &&
          !control(mem.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0), "log-dirty can be switched off and on");
    check(layout() > 0 && layout() != before, "after which the layout is another one in any case");
}
#endif

struct caller {
    pthread_t thread;
    unsigned int done, busy, other;
};

static void *call_often(void *arg)
{
    struct caller *c = arg;
    uint8_t *into = calloc(mem.nr / 8 + 1, 1);

    for (int i = 0; i < 60; i++) {
        int rc = bits(CLEAN, into);

        c->done += !rc;
        c->busy += rc == EBUSY;
        c->other += rc && rc != EBUSY;
    }
    free(into);
    return NULL;
}

static void two_callers(void)
{
    struct caller c[2] = { 0 };

    for (int i = 0; i < 2; i++)
        pthread_create(&c[i].thread, NULL, call_often, &c[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(c[i].thread, NULL);
    printf("two callers: %u and %u done, %u and %u told that it is busy\n", c[0].done, c[1].done, c[0].busy, c[1].busy);
    check(!c[0].other && !c[1].other, "of two callers at once each succeeds or is told that it is busy");
    check(c[0].done && c[1].done, "neither of them is locked out");
}

int main(int argc, char **argv)
{
    uint8_t *a, *b;

    if (argc != 2 || argv[1][0] == '-') {
        fputs("usage: logdirty-calls DOMID\n", stderr);
        return 2;
    }
    guestmem_open(&mem, strtoul(argv[1], NULL, 10));
    a = calloc(mem.nr / 8 + 1, 1);
    b = calloc(mem.nr / 8 + 1, 1);
    if (!a || !b)
        die("out of memory");
    if (xc_domain_pause(mem.xch, mem.domid))
        die("domain %u cannot be paused: %s", mem.domid, strerror(errno));
    usleep(200 * 1000);

    while_off(a);
    while_on(a, b);
    parts(a, b);
    bad_pointer(a, b);
    two_callers();
#ifdef __aarch64__
    hot_frames(a, b);
    layouts();
#endif
    check(!control(mem.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0), "OFF turns it off");
    while_off(a);

    xc_domain_unpause(mem.xch, mem.domid);
    guestmem_close(&mem);
    return failed ? 1 : 0;
}
