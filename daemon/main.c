/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flicd - arguments, start, stop. Everything else stands in its own file. */
#include "common/log.h"
#include "daemon/kept.h"
#include "daemon/moves.h"
#include "daemon/notify.h"
#include "daemon/op.h"
#include "daemon/protect.h"
#include "daemon/socket.h"
#include "daemon/tracking.h"
#include "daemon/upkeep.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *argp_program_version = "flicd " FLIC_VERSION;

struct args {
    const char *config;
    bool given;
};

static const struct argp_option options[] = {
    { "config", 'c', "FILE", 0, "configuration (default " FLIC_SYSCONFDIR "/flic/flicd.conf)", 0 },
    { 0 },
};

static error_t on_arg(int key, char *arg, struct argp_state *state)
{
    struct args *args = state->input;

    if (key == 'c') {
        args->config = arg;
        args->given = true;
        return 0;
    }
    if (key == ARGP_KEY_ARG)
        argp_usage(state);
    return key == ARGP_KEY_ARG ? 0 : ARGP_ERR_UNKNOWN;
}

int fd_check_ready(const struct fd_daemon *daemon, struct flic_err *err)
{
    if (daemon->host.caps != (FLX_CAP_XEN | FLX_CAP_LOG_DIRTY | FLX_CAP_CONTEXT))
        return flic_err_set(err, FLIC_E_NOXEN, "%s", daemon->host.missing);
    if (!daemon->store)
        return flic_err_set(err, daemon->store_err.code, "%s", daemon->store_err.text);
    return 0;
}

static void on_stop(int signo, void *arg)
{
    struct fd_daemon *daemon = arg;

    flic_info("stopping on signal %d; operations under way: %s", signo, daemon->ops ? "cancelled" : "none");
    fd_notify("STOPPING=1");
    daemon->stopping = true;
    fd_op_abort_all(daemon);        /* first: what a guest's pause makes wait holds up the others */
    fd_protect_close(daemon);
    fd_upkeep_close(daemon);
    if (!daemon->ops && !daemon->tasks)
        ev_stop(daemon->loop);
}

static enum flic_log_level level_of(const char *name)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };

    for (int i = 0; i < 4; i++)
        if (!strcmp(names[i], name))
            return (enum flic_log_level)i;
    return FLIC_LOG_INFO;
}

/* Neither a missing hypervisor nor a missing store keeps flicd from coming up: it says so and answers questions. */
static void look_around(struct fd_daemon *daemon)
{
    struct ck_config config = { .folder = daemon->conf.store, .arena = daemon->conf.nvram,
                                .arena_bytes = (uint64_t)daemon->conf.nvram_size_mib << 20 };
    struct flic_err why = { 0 };
    struct ck_recovery r;

    flx_host_probe(&daemon->host);
    if (daemon->host.missing[0])
        flic_warn("%s", daemon->host.missing);
    else
        flic_info("Xen %s, %s: log-dirty and context are there", daemon->host.xen_version, daemon->host.arch);
    if (ck_open(&config, &daemon->store, &daemon->store_err)) {
        flic_error("%s", daemon->store_err.text);
        return;
    }
    ck_get_recovery(daemon->store, &r);
    flic_info("store '%s': %u checkpoints, %u unfinished packs and %u unpublished captures dropped, %u damaged roots, %lld ms",
              daemon->conf.store, r.checkpoints, r.packs_unfinished, r.unpublished_dropped, r.damaged_roots, (long long)r.took_ms);
    if (r.index_rebuilt)
        flic_warn("the index was damaged: it was set aside as index.sqlite.damaged, with its journal, and rebuilt from NVRAM and packs");
    if (r.packs_quarantined)
        flic_warn("%u packs are set aside or cannot be read: 'flic list' shows which checkpoints are damaged", r.packs_quarantined);
    if (ck_check_all_seen(daemon->store, &why))
        flic_warn("%s", why.text);
    fd_tidy_disks(daemon);
    fd_kept_load(daemon);
}

static int serve(struct fd_daemon *daemon, struct flic_err *err)
{
    int fd = fd_listen_fd(), rc = 0;

    if (fd < 0)
        rc = fd_socket_open(&daemon->conf, &fd, err);
    if (!rc)
        rc = ev_listen(daemon->loop, fd, fd_session_handlers(daemon), err);
    if (!rc)
        rc = ev_on_signal(daemon->loop, SIGTERM, on_stop, daemon, err);
    if (!rc)
        rc = ev_on_signal(daemon->loop, SIGINT, on_stop, daemon, err);
    if (!rc)
        rc = fd_protect_start(daemon, err);
    if (!rc)
        rc = fd_orphans_start(daemon, err);
    if (!rc)
        rc = fd_keeper_start(daemon, err);
    if (!rc)
        rc = fd_upkeep_start(daemon, err);
    if (!rc)
        rc = fd_moves_start(daemon, err);
    if (!rc && !fd_check_ready(daemon, NULL))
        rc = fd_tracking_start(daemon, err);
    if (rc)
        return rc;
    fd_notify(daemon->store && !daemon->host.missing[0] ? "READY=1\nSTATUS=ready"
                                                        : "READY=1\nSTATUS=up, but cannot save or restore: see flic status");
    return ev_run(daemon->loop, err);
}

int main(int argc, char **argv)
{
    static const struct argp argp = { options, on_arg, NULL, "Checkpoints Xen guests into NVRAM and a store on flash.", NULL, NULL, NULL };
    struct args args = { .config = FLIC_SYSCONFDIR "/flic/flicd.conf" };
    static struct fd_daemon daemon;
    struct flic_err err = { 0 };
    int rc;

    if (argp_parse(&argp, argc, argv, 0, NULL, &args))
        return flic_code_exit_status(FLIC_E_USAGE);
    (void)signal(SIGPIPE, SIG_IGN);
    fd_conf_defaults(&daemon.conf);
    rc = fd_conf_load(args.config, !args.given, &daemon.conf, &err);
    flic_log_open(level_of(daemon.conf.log_level));
    atomic_store(&daemon.held, !strcmp(daemon.conf.destage, "held"));
    if (!rc)
        rc = ev_new(&daemon.loop, &err);
    if (!rc) {
        look_around(&daemon);
        rc = serve(&daemon, &err);
    }
    if (rc)
        flic_error("%s", err.text);
    fd_tracking_stop(&daemon);
    fd_moves_stop(&daemon);
    fd_upkeep_stop(&daemon);
    fd_keeper_stop(&daemon);
    fd_orphans_stop(&daemon);
    fd_protect_stop(&daemon);
    ev_free(daemon.loop);
    ck_close(daemon.store);
    return flic_code_exit_status(rc);
}
