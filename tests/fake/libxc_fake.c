/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * libxc_fake - a link-time twin of the few calls of libxc that the save helper makes. Its stream is words instead of records; what it asks
 * its caller, and in which order, is as in tools/libs/guest/xg_sr_*.c. $FAKE_LIBXC: words that change what happens:
 *
 *   no-log-dirty   the hypervisor has none for this guest       fail       the stream breaks off, with a message
 *   endless        it writes for ever, as a guest's memory does
 */
#include "libxl-ext/compat.h"

#include "common/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xenguest.h>
#include <xentoollog.h>

struct xc_interface_core { xentoollog_logger *logger; };

static bool told_to(const char *word)
{
    const char *all = getenv("FAKE_LIBXC");

    return all && strstr(all, word);
}

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger, unsigned flags)
{
    xc_interface *xch = malloc(sizeof(*xch));

    (void)dombuild_logger, (void)flags;
    if (xch)
        xch->logger = logger;
    return xch;
}

int xc_interface_close(xc_interface *xch)
{
    free(xch);
    return 0;
}

static void say(xc_interface *xch, xentoollog_level level, const char *text, ...)
{
    va_list args;

    va_start(args, text);
    xch->logger->vmessage(xch->logger, level, 22, "xc", text, args);
    va_end(args);
}

int xc_shadow_control(xc_interface *xch, uint32_t domid, unsigned sop, unsigned *mb, unsigned mode)
{
    (void)xch, (void)domid, (void)sop, (void)mb, (void)mode;
    errno = EOPNOTSUPP;
    return told_to("no-log-dirty") ? -1 : 0;
}

static int word(int fd, const char *text)
{
    return flic_write_all(fd, text, strlen(text));
}

static int precopy(int fd, struct save_callbacks *callbacks)
{
    static const long dirty[] = { 1000, 400, 90, 3, 2 };

    for (unsigned i = 0; i < 5; i++) {
        struct precopy_stats stats = { .iteration = i, .dirty_count = dirty[i] };
        int what = callbacks->precopy_policy(stats, callbacks->data);

        if (what == XGS_POLICY_ABORT || word(fd, "pages "))
            return -1;
        if (what == XGS_POLICY_STOP_AND_COPY)
            return 0;
        stats = (struct precopy_stats){ .iteration = i + 1, .dirty_count = -1 };
        if (callbacks->precopy_policy(stats, callbacks->data) != XGS_POLICY_CONTINUE_PRECOPY)
            return 0;
    }
    return 0;
}

int xc_domain_save(xc_interface *xch, int io_fd, uint32_t dom, uint32_t flags, struct save_callbacks *callbacks,
                   xc_stream_type_t stream_type, int recv_fd)
{
    if (stream_type != XC_STREAM_PLAIN || recv_fd != -1 || dom != 9 || callbacks->switch_qemu_logdirty(dom, 1, callbacks->data))
        return -1;
    say(xch, XTL_INFO, "%s", "of no interest");
    if (word(io_fd, flags & XCFLAGS_LIVE ? "live " : "not live "))
        return -1;
    while (told_to("endless"))
        if (word(io_fd, "pages "))
            return -1;
    if ((flags & XCFLAGS_LIVE && precopy(io_fd, callbacks)) || !callbacks->suspend(callbacks->data))
        return -1;
    if (told_to("fail")) {
        say(xch, XTL_ERROR, "cannot go on with domain %u", dom);
        return -1;
    }
    return word(io_fd, "last end");
}

int xc_domain_restore(xc_interface *xch, int io_fd, uint32_t dom, unsigned store_evtchn, unsigned long *store_mfn,
                      uint32_t store_domid, unsigned console_evtchn, unsigned long *console_mfn, uint32_t console_domid,
                      xc_stream_type_t stream_type, struct restore_callbacks *callbacks, int send_back_fd)
{
    char all[4];

    (void)xch;
    if (stream_type != XC_STREAM_PLAIN || send_back_fd != -1 || dom != 9 || store_evtchn != 1 || store_domid || console_evtchn != 2 ||
        console_domid || callbacks->static_data_done(3, callbacks->data) || flic_read_all(io_fd, all, 4) || memcmp(all, "end!", 4))
        return -1;
    *store_mfn = 0x1111;
    *console_mfn = 0x2222;
    return 0;
}
