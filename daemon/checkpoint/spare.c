/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/spare.h"

#include "common/log.h"
#include "daemon/checkpoint/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPARE_BYTES (1u << 20)

static const char spare[] = "spare";

/* A power cut may have left it without its blocks. */
static bool is_whole(int fd)
{
    struct stat st;

    return !fstat(fd, &st) && (uint64_t)st.st_blocks * 512 >= SPARE_BYTES;
}

/* Nothing is synced: one that is lost is made again. */
void ck_spare_make(struct ck_store *store)
{
    int fd, rc = 0;

    ck_work_begin(store);
    fd = openat(store->folder_fd, spare, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || (!is_whole(fd) && fallocate(fd, 0, 0, SPARE_BYTES)))
        rc = errno;
    if (fd >= 0)
        (void)close(fd);        /* nothing was written */
    if (rc) {
        (void)unlinkat(store->folder_fd, spare, 0);     /* half of it is of no use */
        flic_debug("no room is kept for forgetting: %s", strerror(rc));
    }
    ck_work_end(store);
}

bool ck_spare_give(struct ck_store *store)
{
    bool given;

    ck_work_begin(store);
    given = !unlinkat(store->folder_fd, spare, 0);
    ck_work_end(store);
    return given;
}
