/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/disk_wire.h"

#include "common/id.h"
#include "common/io.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void tell(struct dw_told *told, uint64_t first, uint64_t what)
{
    const uint64_t row[3] = { told->sum, first, what };

    told->sum = flic_checksum(row, sizeof(row));
}

void dw_told_block(struct dw_told *told, uint64_t block, const void *data)
{
    told->blocks++;
    tell(told, block, flic_checksum(data, DM_BLOCK));
}

void dw_told_zeros(struct dw_told *told, uint64_t first, uint64_t n)
{
    told->blocks += n;
    tell(told, first, n);
}

int dw_read(int fd, uint64_t size, uint64_t first, uint64_t n, void *room, struct flic_err *err)
{
    uint64_t from = first * DM_BLOCK, len = n * DM_BLOCK, there = from < size ? size - from : 0;
    int rc;

    if (there > len)
        there = len;
    memset((uint8_t *)room + there, 0, len - there);
    rc = flic_pread_all(fd, room, there, from);
    return rc ? flic_err_set(err, rc, "read a disk at byte %llu: %s", (unsigned long long)from, strerror(-rc)) : 0;
}

static bool is_hole(int fd, uint64_t leaf)
{
    off_t from = (off_t)(leaf * DW_LEAF_BYTES), data = lseek(fd, from, SEEK_DATA);

    return data < 0 ? errno == ENXIO : (uint64_t)data >= (leaf + 1) * DW_LEAF_BYTES;
}

int dw_digest(int fd, uint64_t size, uint64_t leaf, const struct md_key *key, void *room, struct md_digest digests[MD_LEAF_PAGES],
              bool *ret_hole, struct flic_err *err)
{
    uint64_t first = leaf * MD_LEAF_PAGES, end = dw_blocks(size);
    int rc;

    *ret_hole = is_hole(fd, leaf);
    rc = *ret_hole ? 0 : dw_read(fd, size, first, MD_LEAF_PAGES, room, err);
    for (unsigned i = 0; !rc && i < MD_LEAF_PAGES; i++) {
        const uint8_t *block = (const uint8_t *)room + (size_t)i * DM_BLOCK;

        if (first + i >= end)
            digests[i] = MD_HOLE;
        else
            digests[i] = *ret_hole || flic_is_zero(block, DM_BLOCK) ? MD_ZERO : md_of(key, block, DM_BLOCK);
    }
    return rc;
}
