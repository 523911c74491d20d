/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "libxl-ext/compat.h"

#include "libxl-ext/helper_filter.h"

#include "common/io.h"
#include "libxl-ext/filter_mark.h"
#include "libxl-ext/helper_wire.h"

#include <endian.h>
#include <stdio.h>
#include <xenguest.h>
#include <xentoollog.h>

struct saving {
    struct filter *f;
    uint64_t dirty, rounds;     /* as libxc said last; UINT64_MAX: it cannot say */
};

/* ---- libxc's messages ---- */

static void on_message(struct xentoollog_logger *logger, xentoollog_level level, int errnoval, const char *context,
                       const char *format, va_list args)
{
    char text[1024];
    int n = snprintf(text, sizeof(text), "%s: ", context ? context : "xc");

    (void)logger;
    if (level < XTL_WARN || n < 0 || (size_t)n >= sizeof(text))
        return;
    (void)vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
    (void)wire_log((int)level, errnoval > 0 ? errnoval : 0, text);
}

/* flicd sees how far it is by the stream. */
static void on_progress(struct xentoollog_logger *logger, const char *context, const char *doing_what, int percent,
                        unsigned long done, unsigned long total)
{
    (void)logger, (void)context, (void)doing_what, (void)percent, (void)done, (void)total;
}

static void on_destroy(struct xentoollog_logger *logger)
{
    (void)logger;
}

static struct xentoollog_logger to_libxl = { on_message, on_progress, on_destroy };

/* ---- what libxc asks ---- */

/* What is left grows no smaller by waiting: the rule that flicd's own rounds follow is the configured number, and what is little. */
static int policy(struct precopy_stats stats, void *data)
{
    struct saving *s = data;

    if (s->f->cancelled(s->f->arg))
        return XGS_POLICY_ABORT;
    s->rounds = stats.iteration;
    if (stats.dirty_count >= 0)
        s->dirty = (uint64_t)stats.dirty_count;
    return (stats.dirty_count >= 0 && s->dirty <= s->f->stop_pages) || stats.iteration >= s->f->rounds ? XGS_POLICY_STOP_AND_COPY
                                                                                                       : XGS_POLICY_CONTINUE_PRECOPY;
}

/* libxc has written all that it copied while the guest ran: what it writes does not wait in a buffer of its own. */
static int suspend(void *data)
{
    struct saving *s = data;
    uint32_t head[2] = { htole32(FILTER_MARK), htole32(FILTER_MARK_LEN) };
    uint64_t mark[2] = { htole64(s->dirty), htole64(s->rounds) };

    _Static_assert(sizeof(mark) == FILTER_MARK_LEN, "the mark's length");
    if (flic_write_all(s->f->fd, head, sizeof(head)) || flic_write_all(s->f->fd, mark, sizeof(mark)))
        return 0;
    return s->f->suspend(s->f->arg);
}

static int log_dirty(uint32_t domid, unsigned enable, void *data)
{
    int answer;

    (void)data;
    return wire_log_dirty(domid, enable, &answer) ? -1 : answer;
}

static int static_data_done(unsigned missing, void *data)
{
    int answer;

    (void)data;
    return wire_static_data_done(missing, &answer) ? -1 : answer;
}

/* ---- both ---- */

static int failed(const struct filter *f, const char *what, struct flic_err *err)
{
    return flic_err_set(err, FLIC_E_XEN, "libxc could not %s domain %u: its messages above say why", what, f->domid);
}

/* A Xen that is built without shadow paging, as Debian's is, has no log-dirty for PV guests: then all is copied in the pause. libxc
 * begins log-dirty anew where it is on. */
static uint32_t flags_for(xc_interface *xch, uint32_t domid)
{
    return xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) < 0 && errno == EOPNOTSUPP ? 0 : XCFLAGS_LIVE;
}

int filter_save(struct filter *f, struct flic_err *err)
{
    xc_interface *xch = xc_interface_open(&to_libxl, &to_libxl, 0);
    struct saving saving = { .f = f, .dirty = UINT64_MAX };
    struct save_callbacks callbacks = {
        .suspend = suspend, .precopy_policy = policy, .switch_qemu_logdirty = log_dirty, .data = &saving,
    };
    int rc = xch ? xc_domain_save(xch, f->fd, f->domid, flags_for(xch, f->domid), &callbacks, XC_STREAM_PLAIN, -1) : -1;

    if (xch)
        (void)xc_interface_close(xch);
    return rc ? failed(f, "save", err) : 0;
}

int filter_restore(struct filter *f, struct flic_err *err)
{
    xc_interface *xch = xc_interface_open(&to_libxl, &to_libxl, 0);
    struct restore_callbacks callbacks = {
        .static_data_done = f->cbflags & 1u << WIRE_STATIC_DATA_DONE ? static_data_done : NULL,
    };
    unsigned long store_gfn = 0, console_gfn = 0;
    int rc = xch ? xc_domain_restore(xch, f->fd, f->domid, f->store_port, &store_gfn, f->store_domid, f->console_port, &console_gfn,
                                     f->console_domid, XC_STREAM_PLAIN, &callbacks, -1) : -1;

    if (xch)
        (void)xc_interface_close(xch);
    f->store_gfn = store_gfn;
    f->console_gfn = console_gfn;
    return rc ? failed(f, "restore", err) : 0;
}
