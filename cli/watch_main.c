/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * flic-watch DOMID - acts on a restored guest's shutdown as its configuration says (on_poweroff, on_reboot, on_crash, …).
 *
 * The stock xl keeps such a process for every domain it creates; it cannot be given one that exists already, and it ends
 * when its domain suspends. Ours sleeps through suspends, so it outlives any number of saves. One a domain: a lock file in
 * /run, held by the living. Where the stock monitor is still there, that one acts: ours waits a little and finds the domain
 * gone. It never suspends, resumes or saves anything.
 *
 *   WATCHING -> (suspended -> polling -> WATCHING)* -> shut down -> destroyed | restarted -> WATCHING
 */
#include <fcntl.h>
#include <libxl.h>
#include <libxl_utils.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

#define LOCK_FOLDER "/run"
#define DUMP_FOLDER "/var/lib/xen/dump"
#define POLL_S 1u
#define GRACE_S 2u      /* for another monitor to act; also slows down a guest that crashes at once */

struct watch {
    libxl_ctx *ctx;
    uint32_t domid;
    libxl_domain_config config;
    char lock_path[64];
    int lock_fd;
};

enum next { NEXT_EVENT, NEXT_SUSPENDED, NEXT_END };

/* ---- one watcher a domain ---- */

static bool take_lock(struct watch *w)
{
    (void)snprintf(w->lock_path, sizeof(w->lock_path), LOCK_FOLDER "/flic-watch.%u.lock", w->domid);
    w->lock_fd = open(w->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w->lock_fd < 0)
        flic_warn("domain %u: %s: %m, watching without a lock", w->domid, w->lock_path);
    return w->lock_fd < 0 || !flock(w->lock_fd, LOCK_EX | LOCK_NB);
}

static void drop_lock(struct watch *w)
{
    if (w->lock_fd < 0)
        return;
    (void)unlink(w->lock_path);     /* a leftover would be locked again, not believed */
    (void)close(w->lock_fd);
    w->lock_fd = -1;
}

/* ---- what the configuration says ---- */

static void load_config(struct watch *w)
{
    libxl_domain_config now;

    libxl_domain_config_init(&now);
    if (libxl_retrieve_domain_configuration(w->ctx, w->domid, &now, NULL)) {
        flic_warn("domain %u: its configuration cannot be read, going by the last one known", w->domid);
        libxl_domain_config_dispose(&now);
        return;
    }
    libxl_domain_config_dispose(&w->config);
    w->config = now;
}

static libxl_action_on_shutdown action_for(const struct watch *w, int reason)
{
    switch (reason) {
    case LIBXL_SHUTDOWN_REASON_POWEROFF: return w->config.on_poweroff;
    case LIBXL_SHUTDOWN_REASON_REBOOT: return w->config.on_reboot;
    case LIBXL_SHUTDOWN_REASON_CRASH: return w->config.on_crash;
    case LIBXL_SHUTDOWN_REASON_WATCHDOG: return w->config.on_watchdog;
    default: return LIBXL_ACTION_ON_SHUTDOWN_DESTROY;
    }
}

/* ---- acting ---- */

static void dump_core(struct watch *w)
{
    char path[sizeof(DUMP_FOLDER) + 272];

    (void)snprintf(path, sizeof(path), DUMP_FOLDER "/%.255s", w->config.c_info.name ? w->config.c_info.name : "domain");
    if (libxl_domain_core_dump(w->ctx, w->domid, path, NULL))
        flic_warn("domain %u: core dump to %s failed, ignoring", w->domid, path);
}

static void destroy(struct watch *w)
{
    if (libxl_domain_destroy(w->ctx, w->domid, NULL))
        flic_error("domain %u: cannot be destroyed", w->domid);
}

static void preserve_renamed(struct watch *w)
{
    char suffix[32] = "";
    time_t now = time(NULL);
    libxl_uuid uuid;
    struct tm tm;

    if (gmtime_r(&now, &tm))
        (void)strftime(suffix, sizeof(suffix), "-%Y%m%dT%H%M%SZ", &tm);
    libxl_uuid_generate(&uuid);
    if (libxl_domain_preserve(w->ctx, w->domid, &w->config.c_info, suffix, uuid))
        flic_error("domain %u: cannot be kept under another name", w->domid);
}

static enum next restart(struct watch *w)
{
    uint32_t old = w->domid;
    int rc;

    drop_lock(w);
    w->domid = 0;
    rc = libxl_domain_create_new(w->ctx, &w->config, &w->domid, NULL, NULL);
    if (!rc)
        rc = libxl_domain_unpause(w->ctx, w->domid, NULL);
    if (rc) {
        flic_error("domain %u: restart failed (libxl error %d)", old, rc);
        return NEXT_END;
    }
    flic_info("domain %u: restarted as domain %u", old, w->domid);
    return take_lock(w) ? NEXT_EVENT : NEXT_END;
}

static enum next act(struct watch *w, libxl_action_on_shutdown action)
{
    bool dump = action == LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_DESTROY ||
                action == LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_RESTART;

    if (dump)
        dump_core(w);
    switch (action) {
    case LIBXL_ACTION_ON_SHUTDOWN_PRESERVE:
    case LIBXL_ACTION_ON_SHUTDOWN_SOFT_RESET:       /* needs an HVM guest, which only stock xl restores */
        return NEXT_END;
    case LIBXL_ACTION_ON_SHUTDOWN_RESTART_RENAME:
        preserve_renamed(w);
        return restart(w);
    case LIBXL_ACTION_ON_SHUTDOWN_RESTART:
    case LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_RESTART:
        destroy(w);
        return restart(w);
    default:
        destroy(w);
        return NEXT_END;
    }
}

/* ---- watching ---- */

static bool is_gone(const struct watch *w)
{
    libxl_dominfo info;
    int rc;

    libxl_dominfo_init(&info);
    rc = libxl_domain_info(w->ctx, &info, w->domid);
    libxl_dominfo_dispose(&info);
    return rc != 0;
}

static enum next handle(struct watch *w, const libxl_event *event)
{
    int reason;

    if (event->type == LIBXL_EVENT_TYPE_DOMAIN_DEATH)
        return NEXT_END;
    if (event->type != LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN)
        return NEXT_EVENT;
    reason = event->u.domain_shutdown.shutdown_reason;
    if (reason == LIBXL_SHUTDOWN_REASON_SUSPEND)
        return NEXT_SUSPENDED;
    (void)sleep(GRACE_S);
    if (is_gone(w))
        return NEXT_END;
    load_config(w);
    flic_info("domain %u: shut down (%s): %s", w->domid, libxl_shutdown_reason_to_string(reason),
              libxl_action_on_shutdown_to_string(action_for(w, reason)));
    return act(w, action_for(w, reason));
}

/* libxl reports one shutdown a registration, and a suspended domain counts as shut down: wait until it is neither. */
static enum next sleep_through_suspend(struct watch *w)
{
    for (;;) {
        libxl_dominfo info;
        bool gone, suspended;

        libxl_dominfo_init(&info);
        gone = libxl_domain_info(w->ctx, &info, w->domid);
        suspended = !gone && info.shutdown && info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND;
        libxl_dominfo_dispose(&info);
        if (gone)
            return NEXT_END;
        if (!suspended)
            return NEXT_EVENT;
        (void)sleep(POLL_S);
    }
}

static enum next watch_once(struct watch *w)
{
    libxl_evgen_domain_death *death;
    enum next next = NEXT_EVENT;
    uint32_t domid = w->domid;

    if (libxl_evenable_domain_death(w->ctx, domid, 0, &death)) {
        flic_error("domain %u: cannot be watched", domid);
        return NEXT_END;
    }
    while (next == NEXT_EVENT && w->domid == domid) {
        libxl_event *event;

        if (libxl_event_wait(w->ctx, &event, LIBXL_EVENTMASK_ALL, NULL, NULL)) {
            flic_error("domain %u: waiting for events failed", domid);
            next = NEXT_END;
            break;
        }
        if (event->domid == domid)
            next = handle(w, event);
        libxl_event_free(w->ctx, event);
    }
    libxl_evdisable_domain_death(w->ctx, death);
    return next;
}

static void watch(struct watch *w)
{
    enum next next = NEXT_EVENT;

    flic_info("domain %u: watching", w->domid);
    while (next == NEXT_EVENT) {
        next = watch_once(w);
        if (next == NEXT_SUSPENDED)
            next = sleep_through_suspend(w);
    }
    flic_info("domain %u: done", w->domid);
}

int main(int argc, char **argv)
{
    xentoollog_logger_stdiostream *logger;
    struct watch w = { .lock_fd = -1 };
    char *end = NULL;

    if (argc == 2)
        w.domid = (uint32_t)strtoul(argv[1], &end, 10);
    if (argc != 2 || *end || !w.domid) {
        (void)fprintf(stderr, "usage: flic-watch DOMID (started by xl restore --flic)\n");
        return 2;
    }
    (void)signal(SIGHUP, SIG_IGN);
    if (!take_lock(&w))
        return 0;
    logger = xtl_createlogger_stdiostream(stderr, XTL_WARN, XTL_STDIOSTREAM_HIDE_PROGRESS);
    if (!logger || libxl_ctx_alloc(&w.ctx, LIBXL_VERSION, 0, (xentoollog_logger *)logger)) {
        flic_error("domain %u: libxl cannot be used here", w.domid);
        drop_lock(&w);
        return 1;
    }
    libxl_domain_config_init(&w.config);
    load_config(&w);
    watch(&w);
    drop_lock(&w);
    libxl_domain_config_dispose(&w.config);
    (void)libxl_ctx_free(w.ctx);
    xtl_logger_destroy((xentoollog_logger *)logger);
    return 0;
}
