/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Starting flic-watch, the process that stands where xl's own monitor of a domain stood. */
#include "cli/xl.h"

#include "common/spawn.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define WATCH_PROGRAM FLIC_LIBEXECDIR "/flic-watch"
#define WATCH_LOG "/var/log/xen/flic-watch.log"

int xl_watch(uint32_t domid, bool foreground, struct flic_err *err)
{
    char number[16], program[] = WATCH_PROGRAM;
    char *argv[] = { program, number, NULL };

    (void)snprintf(number, sizeof(number), "%u", domid);
    if (foreground) {
        (void)execv(argv[0], argv);
    } else {
        int r = -flic_spawn_detached(argv, WATCH_LOG);

        if (!r)
            return 0;
        errno = r;
    }
    return flic_err_errno(err, "start " WATCH_PROGRAM " for domain %u", domid);
}
