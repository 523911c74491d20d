/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* libxl's JSON of a domain and the list of its disks: from a client, a peer or a checkpoint. */
#include "tests/fuzz/fuzz.h"

#include "daemon/disks.h"
#include "daemon/swap.h"

static int see(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    (void)arg;
    (void)err;
    FUZZ_ASSERT(disk->vdev && disk->path);
    return 0;
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
    free(text);
    return 0;
}
