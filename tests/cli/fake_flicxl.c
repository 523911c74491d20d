/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * A twin of libflicxl and of cli/xl_session.c for tests/cli/xl.sh. What it does goes by the domain's name:
 *   web      saves and restores, with progress      stuck    does not suspend in time
 *   slow     works until it is cancelled (slow-but-brief: or 0.6 s)    gone     is no domain
 *   evil     has a name that drives terminals
 *   deaf     works on after a cancel, then is done  bare     fails without words      unsure   may have gone to the peer
 * Parameters it got are printed as one line on the descriptor that FAKE_LOG names.
 */
#include "cli/xl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIGURES "{\"pause_us\":41250,\"downtime_us\":41250,\"ws_pages\":6144,\"nvram_bytes\":26214400,\"flash_bytes\":1048576,\"dedup_pages\":256," \
                "\"total_us\":1200000,\"nvram_pages\":6144,\"flash_pages\":1000}"
#define STEP_US 20000
#define STEPS_MAX 500

static char current[300];

/* ---- xl_session.c ---- */

int xl_session_open(const struct xl_global *global, struct xl_session *ret_session, struct flic_err *err)
{
    (void)global;
    (void)ret_session;
    return getenv("FAKE_NO_XEN") ? flic_err_set(err, FLIC_E_NOXEN, "no Xen here") : 0;
}

void xl_session_close(struct xl_session *session)
{
    (void)session;
}

int xl_find_domain(libxl_ctx *ctx, const char *what, uint32_t *ret_domid, struct flic_err *err)
{
    (void)ctx;
    if (!strcmp(what, "gone"))
        return flic_err_set(err, FLIC_E_NODOMAIN, "no domain 'gone' is running");
    (void)snprintf(current, sizeof(current), "%s", what);
    *ret_domid = 5;
    return 0;
}

char *xl_name_of(libxl_ctx *ctx, uint32_t domid)
{
    (void)ctx;
    (void)domid;
    return strdup(strcmp(current, "evil") ? "web" : "e\033[2Jv\302\233il");
}

/* ---- libflicxl ---- */

static void note(const char *text)
{
    FILE *log = getenv("FAKE_LOG") ? fopen(getenv("FAKE_LOG"), "a") : NULL;

    if (log) {
        (void)fprintf(log, "%s\n", text);
        (void)fclose(log);
    }
}

static int fail(struct flicxl_info *info, int code, const char *text)
{
    info->code = code;
    (void)snprintf(info->text, sizeof(info->text), "%s", text);
    return ERROR_FAIL;
}

static int run(struct flicxl_info *info, const volatile int *cancel, flicxl_progress *progress, void *user)
{
    bool slow = !strncmp(current, "slow", 4), deaf = !strcmp(current, "deaf");
    uint64_t steps = !strcmp(current, "slow-but-brief") ? 30 : slow || deaf ? STEPS_MAX : 3;

    if (!strcmp(current, "bare"))
        return ERROR_FAIL;
    for (uint64_t i = 0; i <= steps; i++) {
        progress(user, "live", i << 20, 500u << 20);
        if (*cancel && slow)
            return fail(info, FLIC_E_CANCELLED, "cancelled: the guest runs on");
        if (*cancel && deaf && i > 50)
            break;
        (void)usleep(STEP_US);
    }
    progress(user, "suspend", 0, 0);
    if (!strcmp(current, "stuck"))
        return fail(info, FLIC_E_GUEST, "the guest did not suspend within 60 s");
    if (!strcmp(current, "unsure"))
        return fail(info, FLIC_E_UNSURE, "it stays suspended here");
    progress(user, "publish", 0, 0);
    info->seq = 7;
    info->figures = strdup(FIGURES);
    return 0;
}

void flicxl_save_params_init(struct flicxl_save_params *params)
{
    memset(params, 0, sizeof(*params));
}

int flicxl_domain_save(libxl_ctx *ctx, uint32_t domid, const struct flicxl_save_params *params, struct flicxl_info *info,
                       const libxl_asyncop_how *ao_how)
{
    char line[600];

    (void)ctx;
    (void)ao_how;
    (void)snprintf(line, sizeof(line), "save domid=%u file=%s after=%d timeout=%u ram_only=%d", domid,
                   params->file ? params->file : "-", (int)params->after, params->timeout_s, params->ram_only);
    note(line);
    memset(info, 0, sizeof(*info));
    return run(info, params->cancel, params->progress, params->user);
}

void flicxl_restore_params_init(struct flicxl_restore_params *params)
{
    memset(params, 0, sizeof(*params));
}

int flicxl_domain_restore(libxl_ctx *ctx, const struct flicxl_restore_params *params, struct flicxl_info *info,
                          const libxl_asyncop_how *ao_how)
{
    char line[600];
    int rc;

    (void)ctx;
    (void)ao_how;
    (void)snprintf(line, sizeof(line), "restore what=%s clone=%d ram_only=%d paused=%d timeout=%u", params->what,
                   params->clone, params->ram_only, params->paused, params->timeout_s);
    note(line);
    memset(info, 0, sizeof(*info));
    (void)snprintf(current, sizeof(current), "%s", params->what);
    rc = run(info, params->cancel, params->progress, params->user);
    info->domid = rc ? 0 : 9;
    return rc;
}

void flicxl_migrate_params_init(struct flicxl_migrate_params *params)
{
    memset(params, 0, sizeof(*params));
}

int flicxl_domain_migrate(libxl_ctx *ctx, uint32_t domid, const struct flicxl_migrate_params *params, struct flicxl_info *info,
                          const libxl_asyncop_how *ao_how)
{
    char line[600];
    int ends[2];

    (void)ctx;
    (void)ao_how;
    (void)snprintf(line, sizeof(line), "migrate domid=%u peer=%s command=%s downtime=%u timeout=%u%s", domid, params->peer,
                   params->command ? params->command : "-", params->max_downtime_ms, params->timeout_s, params->auto_converge ? " converge" : "");
    note(line);
    memset(info, 0, sizeof(*info));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) || params->attach(params->user, ends[0]))
        return ERROR_FAIL;
    return run(info, params->cancel, params->progress, params->user);
}

void flicxl_receive_params_init(struct flicxl_receive_params *params)
{
    memset(params, 0, sizeof(*params));
}

/* Says back what it hears. */
int flicxl_domain_receive(libxl_ctx *ctx, const struct flicxl_receive_params *params, struct flicxl_info *info,
                          const libxl_asyncop_how *ao_how)
{
    char heard[200] = "heard: ";
    ssize_t n;
    int ends[2];

    (void)ctx;
    (void)ao_how;
    memset(info, 0, sizeof(*info));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) || params->attach(params->user, ends[0]))
        return ERROR_FAIL;
    n = read(ends[1], heard + 7, sizeof(heard) - 7);
    if (n > 0)
        n = write(ends[1], heard, (size_t)n + 7);
    (void)shutdown(ends[1], SHUT_RDWR);     /* the processes that carry have it open too */
    info->domid = 9;
    return n > 0 ? 0 : ERROR_FAIL;
}

bool flicxl_is_reference_file(const char *path)
{
    char magic[8] = "";
    FILE *from = fopen(path, "re");
    bool is = from && fread(magic, 1, 8, from) == 8 && !memcmp(magic, "FLICREF1", 8);

    if (from)
        (void)fclose(from);
    return is;
}
