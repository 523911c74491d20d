/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Everything a sending phone can say about a guest's disks: one that is known here and ends within a block, and one that is new. */
#include "tests/fuzz/fuzz.h"

#include "daemon/migrate/disk_take.h"
#include "tests/fuzz/peer-wire.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define KNOWN_SIZE (DW_LEAF_BYTES + 3 * DM_BLOCK + 700)
#define NEW_SIZE (5 * DM_BLOCK)
#define SEALS (F_SEAL_GROW | F_SEAL_SHRINK)     /* nothing lands beyond the end */

/* Nobody's to make larger or smaller from here on. */
static int make_disk(uint64_t size)
{
    int fd = memfd_create("disk", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    FUZZ_ASSERT(fd >= 0 && !ftruncate(fd, (off_t)size) && !fcntl(fd, F_ADD_SEALS, SEALS));
    return fd;
}

static void take(struct mw_wire *wire, const struct dt_disk *disks, size_t n)
{
    const struct md_key key = { .b = { 7 } };
    struct dt_taker *taker;
    struct mw_message m;

    FUZZ_ASSERT(!dt_new(wire, &key, disks, n, &taker, NULL));
    while (!mw_receive(wire, 0, &m, NULL) && !dt_message(taker, &m, NULL))
        continue;
    dt_free(taker);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct dt_disk disks[] = {
        { .name = "xvda", .fd = make_disk(KNOWN_SIZE), .size = KNOWN_SIZE, .has = true },
        { .name = "xvdb", .fd = make_disk(NEW_SIZE), .size = NEW_SIZE },
    };
    struct mw_wire *wire;
    int peer;

    if (len && len <= FUZZ_SAYS_MAX) {
        FUZZ_ASSERT(!md_init());
        wire = fuzz_connect(&peer);
        fuzz_say(peer, data, len);
        take(wire, disks, 2);
        mw_free(wire);
        (void)close(peer);
    }
    (void)close(disks[0].fd);
    (void)close(disks[1].fd);
    return 0;
}
