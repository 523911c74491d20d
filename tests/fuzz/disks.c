/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* libxl's JSON of a domain and the list of its disks: from a client, a peer or a checkpoint. */
#include "tests/fuzz/fuzz.h"

#include "daemon/daemon.h"
#include "daemon/disks.h"
#include "daemon/peer_config.h"
#include "daemon/swap.h"

/* main.c's, which is not in the library. */
int fd_check_ready(const struct fd_daemon *daemon, struct flic_err *why)
{
    (void)daemon;
    (void)why;
    return 0;
}

static int see(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    (void)arg;
    (void)err;
    FUZZ_ASSERT(disk->vdev && disk->path);
    return 0;
}

static int see_raw(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    FUZZ_ASSERT(fd_disks_is_raw(disk));
    return see(disk, arg, err);
}

/* What is taken from a peer is taken again, unchanged, and has nothing but raw disks. */
static void take(const char *text)
{
    static const struct fd_conf conf;
    struct flic_uuid guest;
    char *config, *again;

    memset(guest.b, 9, sizeof(guest.b));
    if (pc_take(&conf, text, &guest, "web", &config, NULL))
        return;
    FUZZ_ASSERT(!fd_disks_each(config, see_raw, NULL, NULL));
    FUZZ_ASSERT(!pc_take(&conf, config, &guest, "web", &again, NULL) && !strcmp(config, again));
    free(config);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);

    FUZZ_ASSERT(text);
    memcpy(text, data, len);
    text[len] = '\0';
    (void)fd_disks_each(text, see, NULL, NULL);
    (void)fd_disks_can(text, false, NULL);
    (void)fd_disks_can_share(text, NULL);
    (void)fd_disks_check(text, NULL);
    (void)sw_needed(text);
    take(text);
    free(text);
    return 0;
}
