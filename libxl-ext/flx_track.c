/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Log-dirty: which pages a guest wrote. */
#include "libxl-ext/flx_priv.h"

static int enable(struct flx_dom *dom)
{
    return xc_shadow_control(dom->xch, dom->domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0);
}

static int track_fail(struct flic_err *err, const struct flx_dom *dom, const char *call)
{
    switch (errno) {
    case ENOSYS:
        return flic_err_set(err, FLIC_E_NOXEN, "this Xen has no log-dirty tracking for %s guests: boot the Xen that "
                            "hypervisor/build makes", flx_arch);
    case EOPNOTSUPP:
        return flic_err_set(err, FLIC_E_REFUSED, "domain %u cannot be tracked: its memory is written in ways that nobody "
                            "reports (passthrough, TEE, emulated UART, or memory access events)", dom->domid);
    case EBUSY:
        return flic_err_set(err, FLIC_E_BUSY, "domain %u: another program uses its log-dirty tracking", dom->domid);
    default:
        return flx_fail(err, dom->domid, call);
    }
}

/* The bitmap lives in memory that Xen may be given; it stays for the next epoch. */
static int need_room(struct flx_dom *dom, uint64_t bits, struct flic_err *err)
{
    int pages = (int)((bits / 8 + XC_PAGE_SIZE) / XC_PAGE_SIZE);

    if (dom->bitmap.hbuf && dom->bitmap_pages < pages) {
        DECLARE_HYPERCALL_BUFFER_SHADOW(uint64_t, old, &dom->bitmap);

        xc_hypercall_buffer_free_pages(dom->xch, old, dom->bitmap_pages);
        dom->bitmap.hbuf = NULL;
    }
    if (!dom->bitmap.hbuf) {
        DECLARE_HYPERCALL_BUFFER(uint64_t, words);

        words = xc_hypercall_buffer_alloc_pages(dom->xch, words, pages);
        if (!words)
            return flic_err_set(err, -ENOMEM, "domain %u: no memory for a bitmap of %d pages", dom->domid, pages);
        dom->bitmap = *HYPERCALL_BUFFER(words);
        dom->bitmap_pages = pages;
    }
    return 0;
}

int flx_first_word(struct flx_dom *dom, uint64_t *ret_word)
{
    struct flic_err err = { 0 };

    if (need_room(dom, 64, &err))
        return -1;
    memset(dom->bitmap.hbuf, 0, sizeof(*ret_word));
    if (xc_logdirty_control(dom->xch, dom->domid, XEN_DOMCTL_SHADOW_OP_PEEK, &dom->bitmap, 64, 0, NULL) < 0)
        return -1;
    memcpy(ret_word, dom->bitmap.hbuf, sizeof(*ret_word));
    return 0;
}

/* ---- on and off ---- */

/* In xenstore, from before it is switched on until it is off: whose it is should that process die. */
static const char owner_key[] = "flic/log-dirty";

static bool is_ours(struct flx_dom *dom)
{
    char value[8] = "";

    return !flx_told(dom, owner_key, value, sizeof(value), NULL) && value[0] && flx_arch_mark_is_there(dom) == 1;
}

/* EINVAL also means "on already": a flicd that died left it so, and what it had collected says nothing to us; or another program
 * uses it, whom to disturb would cost pages. */
int flx_track_on(struct flx_dom *dom, struct flic_err *err)
{
    bool ours = is_ours(dom);
    int rc = flx_tell_guest(dom, owner_key, "on", err);

    if (rc)
        return rc;
    rc = enable(dom);
    if (rc && errno == EINVAL && ours) {
        (void)xc_shadow_control(dom->xch, dom->domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0);   /* enable() tells */
        rc = enable(dom);
    }
    if (!rc) {
        rc = flx_arch_arm_mark(dom, err);
        if (rc)
            (void)flx_track_off(dom, NULL);
        return rc;
    }
    if (errno == EINVAL)
        errno = EBUSY;
    rc = track_fail(err, dom, "switch on log-dirty");
    (void)flx_tell_guest(dom, owner_key, "", NULL);
    return rc;
}

int flx_track_off(struct flx_dom *dom, struct flic_err *err)
{
    int rc = 0;

    if (flx_arch_mark_is_there(dom) != 0 &&
        xc_shadow_control(dom->xch, dom->domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0) && errno != EINVAL)
        rc = track_fail(err, dom, "switch off log-dirty");
    (void)flx_tell_guest(dom, owner_key, "", NULL);     /* a domain that is gone has no keys */
    return rc;
}

void flx_track_end_leftover(struct flx_dom *dom)
{
    if (is_ours(dom))
        (void)flx_track_off(dom, NULL);
}

/* ---- fetching ---- */

/* Bits that Xen did not fill stay 0: the caller learns from *ret_bits that nothing is known there. */
static int fetch(struct flx_dom *dom, unsigned op, unsigned mode, uint64_t *bitmap, uint64_t bits, uint64_t *ret_bits,
                 struct flic_err *err)
{
    uint64_t got, words = (bits + 63) / 64;
    long long n;
    int rc = need_room(dom, bits, err);

    if (rc)
        return rc;
    memset(dom->bitmap.hbuf, 0, words * 8);
    n = xc_logdirty_control(dom->xch, dom->domid, op, &dom->bitmap, bits, mode, NULL);
    if (n < 0)
        return track_fail(err, dom, "read the log-dirty bitmap");
    got = (uint64_t)n < bits ? (uint64_t)n : bits;
    memcpy(bitmap, dom->bitmap.hbuf, words * 8);
    if (got % 64)
        bitmap[got / 64] &= (UINT64_C(1) << (got % 64)) - 1;
    for (uint64_t w = (got + 63) / 64; w < words; w++)
        bitmap[w] = 0;
    *ret_bits = got;
    return flx_arch_add_dirty(dom, bitmap, got, err);
}

/* Where shared_info is can change between epochs (a guest's kexec): look again with every bitmap. */
int flx_track_clean(struct flx_dom *dom, enum flx_clean how, uint64_t *bitmap, uint64_t bits, uint64_t *ret_bits,
                    struct flic_err *err)
{
    unsigned mode = flx_arch_bitmap_mode | (how == FLX_SPARE_HOT ? flx_arch_spare_hot_mode : 0);
    int rc = fetch(dom, XEN_DOMCTL_SHADOW_OP_CLEAN, mode, bitmap, bits, ret_bits, err);

    if (!rc)
        rc = flx_arch_arm_mark(dom, err);
    if (!rc)
        flx_learn_places(dom);
    return rc;
}

int flx_track_peek(struct flx_dom *dom, uint64_t *bitmap, uint64_t bits, uint64_t *ret_bits, struct flic_err *err)
{
    int rc = fetch(dom, XEN_DOMCTL_SHADOW_OP_PEEK, flx_arch_bitmap_mode, bitmap, bits, ret_bits, err);

    if (!rc)
        flx_learn_places(dom);
    return rc;
}
