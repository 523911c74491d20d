/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * disk_wire - what both sides of a migration say and reckon alike about disks. A disk is a row of blocks of 4 KiB, 512 of them a leaf, as
 * memory is one of pages; disks are counted from 0 in the order of the guest's configuration, those that are not copied left out.
 *
 *   MW_DISK_LEAVES    u32 disk, u32 first leaf, u32 n (1 to 64), n digests of leaves
 *   MW_DISK_DIGESTS   u32 disk, u32 leaf, 512 digests
 *   MW_DISK_BLOCKS    u32 disk, then as MW_PAGES
 *   MW_DISK_ZEROS     u32 disk, u32 first block, u32 n
 *   MW_DISK_END       for each disk: u64 blocks that were told, u64 sum over all that was told, in its order
 */
#ifndef FLIC_DAEMON_MIGRATE_DISK_WIRE_H
#define FLIC_DAEMON_MIGRATE_DISK_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/migrate/digest.h"
#include "daemon/migrate/disk_map.h"

#define DW_DISKS_MAX 32u
#define DW_SIZE_MAX (1ull << 43)        /* 8 TiB: numbers of blocks fit 32 bits */
#define DW_LEAVES 64u                   /* in one message */
#define DW_LEAF_BYTES ((uint64_t)MD_LEAF_PAGES * DM_BLOCK)
#define DW_SAME_SIZE (DW_LEAVES / 8)

/* What was told about one disk. */
struct dw_told { uint64_t blocks, sum; };
void dw_told_block(struct dw_told *told, uint64_t block, const void *data);
void dw_told_zeros(struct dw_told *told, uint64_t first, uint64_t n);

static inline uint64_t dw_blocks(uint64_t size) { return (size + DM_BLOCK - 1) / DM_BLOCK; }
static inline uint64_t dw_leaves(uint64_t size) { return (size + DW_LEAF_BYTES - 1) / DW_LEAF_BYTES; }

/* Reads blocks; what lies beyond the disk's end is zeros. `room` holds n blocks. */
int dw_read(int fd, uint64_t size, uint64_t first, uint64_t n, void *room, struct flic_err *err);

/* Digests of a leaf's blocks; those beyond the end are MD_HOLE. `room`: DW_LEAF_BYTES, has the leaf afterwards unless it is all a hole
 * (*ret_hole). */
int dw_digest(int fd, uint64_t size, uint64_t leaf, const struct md_key *key, void *room, struct md_digest digests[MD_LEAF_PAGES],
              bool *ret_hole, struct flic_err *err);

#endif
