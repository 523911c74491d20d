/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/disk_take.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/io.h"
#include "daemon/checkpoint/store.h"
#include "daemon/migrate/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dt_taker {
    struct mw_wire *wire;
    struct md_key key;
    struct dt_disk disks[DW_DISKS_MAX];
    struct dw_told told[DW_DISKS_MAX];
    size_t n;
    struct mp_coder *coder;
    uint8_t *batch;             /* MP_BATCH blocks */
    uint8_t *room;              /* a leaf */
    struct md_digest digests[MD_LEAF_PAGES];
    bool whole;
    struct dt_figures figures;
};

int dt_new(struct mw_wire *wire, const struct md_key *key, const struct dt_disk *disks, size_t n, struct dt_taker **ret_taker, struct flic_err *err)
{
    struct dt_taker *t = n <= DW_DISKS_MAX ? calloc(1, sizeof(*t)) : NULL;
    int rc;

    if (!t)
        return flic_err_set(err, -ENOMEM, "take in disks: out of memory");
    t->wire = wire;
    t->key = *key;
    t->n = n;
    memcpy(t->disks, disks, n * sizeof(*disks));
    t->batch = malloc((size_t)MP_BATCH * DM_BLOCK);
    t->room = malloc(DW_LEAF_BYTES);
    rc = t->batch && t->room ? mp_coder_new(&t->coder, err) : flic_err_set(err, -ENOMEM, "take in disks: out of memory");
    if (rc) {
        dt_free(t);
        return rc;
    }
    *ret_taker = t;
    return 0;
}

void dt_free(struct dt_taker *t)
{
    if (!t)
        return;
    mp_coder_free(t->coder);
    free(t->batch);
    free(t->room);
    free(t);
}

/* ---- what is here ---- */

static struct dt_disk *disk_of(struct dt_taker *t, struct flic_reader *r, size_t *ret_i)
{
    uint32_t i = flic_get_u32(r);

    *ret_i = i;
    return r->bad || i >= t->n ? NULL : &t->disks[i];
}

static int on_leaves(struct dt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(m->data, m->len);
    size_t i;
    const struct dt_disk *d = disk_of(t, &r, &i);
    uint32_t first = flic_get_u32(&r), n = flic_get_u32(&r);
    const uint8_t *theirs = n <= DW_LEAVES ? flic_get_bytes(&r, n * sizeof(struct md_digest)) : NULL;
    uint8_t same[DW_SAME_SIZE] = { 0 };
    int rc = 0;

    if (!d || !d->has || !n || !theirs || r.bad || r.left || (uint64_t)first + n > dw_leaves(d->size))
        return mw_broken(err, "a question about a disk is out of bounds");
    for (uint32_t k = 0; !rc && k < n; k++) {
        struct md_digest mine;
        bool hole;

        rc = dw_digest(d->fd, d->size, first + k, &t->key, t->room, t->digests, &hole, err);
        mine = md_of_leaf(&t->key, t->digests);
        if (memcmp(mine.b, theirs + k * sizeof(mine), sizeof(mine)))
            continue;
        mp_set_bit(same, k);
        t->figures.same_blocks += MD_LEAF_PAGES;
    }
    return rc ? rc : mw_send_bytes(t->wire, MW_DISK_SAME, same, sizeof(same), err);
}

static int on_digests(struct dt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(m->data, m->len);
    size_t i;
    const struct dt_disk *d = disk_of(t, &r, &i);
    uint32_t leaf = flic_get_u32(&r);
    const uint8_t *theirs = flic_get_bytes(&r, MD_LEAF_PAGES * sizeof(struct md_digest));
    uint8_t need[MP_BITS] = { 0 };
    bool hole;
    int rc;

    if (!d || !d->has || !theirs || r.bad || r.left || leaf >= dw_leaves(d->size))
        return mw_broken(err, "digests of a disk are out of bounds");
    rc = dw_digest(d->fd, d->size, leaf, &t->key, t->room, t->digests, &hole, err);
    if (rc)
        return rc;
    for (unsigned k = 0; k < MD_LEAF_PAGES; k++) {
        if (memcmp(t->digests[k].b, theirs + k * sizeof(struct md_digest), sizeof(struct md_digest)))
            mp_set_bit(need, k);
        else
            t->figures.same_blocks++;
    }
    return mw_send_bytes(t->wire, MW_DISK_NEED, need, sizeof(need), err);
}

/* ---- what comes ---- */

static int wrote(const struct dt_disk *d, int rc, struct flic_err *err)
{
    if (rc == -ENOSPC || rc == -EDQUOT)
        return flic_err_set(err, FLIC_E_NOSPACE, "no room for disk %s: make some, or forget old checkpoints, whose disks are kept", d->name);
    return rc ? flic_err_set(err, rc, "write disk %s: %s", d->name, strerror(-rc)) : 0;
}

/* n blocks that follow each other; the last may reach beyond the end. */
static int write_run(const struct dt_disk *d, uint64_t first, uint64_t n, const void *data, struct flic_err *err)
{
    uint64_t from = first * DM_BLOCK, len = n * DM_BLOCK;

    if (from + len > d->size)
        len = d->size - from;
    return wrote(d, flic_pwrite_all(d->fd, data, len, from), err);
}

static int on_blocks(struct dt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(m->data, m->len);
    size_t i, n = 0;
    const struct dt_disk *d = disk_of(t, &r, &i);
    uint64_t blocks[MP_BATCH];
    int rc = d ? mp_decode(t->coder, r.at, r.left, dw_blocks(d->size), blocks, &n, t->batch, err) : mw_broken(err, "blocks of no disk");

    for (size_t at = 0, run; !rc && at < n; at += run) {
        for (run = 1; at + run < n && blocks[at + run] == blocks[at] + run; run++)
            continue;
        rc = write_run(d, blocks[at], run, t->batch + at * DM_BLOCK, err);
    }
    for (size_t k = 0; !rc && k < n; k++)
        dw_told_block(&t->told[i], blocks[k], t->batch + k * DM_BLOCK);
    t->figures.received_blocks += rc ? 0 : n;
    return rc;
}

/* A hole where the file system can make one. */
static int write_zeros(struct dt_taker *t, const struct dt_disk *d, uint64_t first, uint64_t n, struct flic_err *err)
{
    int rc = 0;

    if (!fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(first * DM_BLOCK), (off_t)(n * DM_BLOCK)))
        return 0;
    if (errno != EOPNOTSUPP)
        return wrote(d, -errno, err);
    memset(t->batch, 0, (size_t)MP_BATCH * DM_BLOCK);
    for (uint64_t run; !rc && n; first += run, n -= run) {
        run = n < MP_BATCH ? n : MP_BATCH;
        rc = write_run(d, first, run, t->batch, err);
    }
    return rc;
}

static int on_zeros(struct dt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(m->data, m->len);
    size_t i;
    const struct dt_disk *d = disk_of(t, &r, &i);
    uint32_t first = flic_get_u32(&r), n = flic_get_u32(&r);
    int rc;

    if (!d || r.bad || r.left || !n || (uint64_t)first + n > dw_blocks(d->size))
        return mw_broken(err, "zeros on a disk are out of bounds");
    rc = write_zeros(t, d, first, n, err);
    if (!rc)
        dw_told_zeros(&t->told[i], first, n);
    t->figures.zero_blocks += rc ? 0 : n;
    return rc;
}

/* ---- durable ---- */

static int sync_all(struct dt_taker *t, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    int rc = 0;

    for (size_t i = 0; !rc && i < t->n; i++)
        rc = wrote(&t->disks[i], fsync(t->disks[i].fd) ? -errno : 0, err);
    t->figures.sync_us += flic_now_us() - began;
    return rc;
}

static int on_sync(struct dt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    uint8_t round[4];
    int rc;

    if (m->len != sizeof(round))
        return mw_broken(err, "a round of a disk without its number");
    memcpy(round, m->data, sizeof(round));
    rc = sync_all(t, err);
    return rc ? rc : mw_send_bytes(t->wire, MW_DISK_SYNCED, round, sizeof(round), err);
}

static int on_end(struct dt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(m->data, m->len);
    bool same = m->len == t->n * 16;
    int rc;

    for (size_t i = 0; i < t->n; i++) {
        uint64_t blocks = flic_get_u64(&r), sum = flic_get_u64(&r);

        same = same && blocks == t->told[i].blocks && sum == t->told[i].sum;
    }
    if (!same)
        return flic_err_set(err, FLIC_E_DAMAGED, "what arrived of the guest's disks is not what was sent");
    rc = sync_all(t, err);
    t->whole = !rc;
    return rc;
}

int dt_message(struct dt_taker *t, const struct mw_message *m, struct flic_err *err)
{
    if (t->whole)
        return mw_broken(err, "a disk goes on after its end");
    switch (m->type) {
    case MW_DISK_LEAVES: return on_leaves(t, m, err);
    case MW_DISK_DIGESTS: return on_digests(t, m, err);
    case MW_DISK_BLOCKS: return on_blocks(t, m, err);
    case MW_DISK_ZEROS: return on_zeros(t, m, err);
    case MW_DISK_SYNC: return on_sync(t, m, err);
    case MW_DISK_END: return on_end(t, m, err);
    default: return mw_broken(err, "an unexpected message");
    }
}

bool dt_is_whole(const struct dt_taker *t) { return t->whole; }
void dt_get_figures(const struct dt_taker *t, struct dt_figures *ret_figures) { *ret_figures = t->figures; }
