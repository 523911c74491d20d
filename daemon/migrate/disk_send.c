/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/disk_send.h"

#include "common/bytes.h"
#include "common/id.h"
#include "daemon/migrate/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SYNC_BYTES (64u << 20)  /* so much at most is on its way to the peer's medium */
#define READ_BLOCKS MD_LEAF_PAGES

struct ds_sender {
    struct ds_params params;
    uint64_t sizes[DW_DISKS_MAX], total, done;
    struct dw_told told[DW_DISKS_MAX];
    struct mp_coder *coder;
    bool in_pause;
    uint32_t round;
    uint64_t unsynced;

    /* what is in the making, of one disk */
    uint32_t disk;
    uint64_t numbers[MP_BATCH], zero_first;
    size_t n;
    uint64_t n_zeros;
    uint8_t *batch;             /* MP_BATCH blocks */
    uint8_t *room;              /* READ_BLOCKS */
    struct md_digest (*digests)[MD_LEAF_PAGES];         /* DW_LEAVES leaves' */
    struct ds_figures figures;
};

static int no_memory(struct flic_err *err)
{
    return flic_err_set(err, -ENOMEM, "send disks: out of memory");
}

int ds_new(const struct ds_params *params, struct ds_sender **ret_sender, struct flic_err *err)
{
    struct ds_sender *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return no_memory(err);
    s->params = *params;
    for (size_t i = 0; i < params->n; i++)
        s->total += s->sizes[i] = params->sizes[i];
    s->batch = malloc((size_t)MP_BATCH * DM_BLOCK);
    s->room = malloc((size_t)READ_BLOCKS * DM_BLOCK);
    s->digests = calloc(DW_LEAVES, sizeof(*s->digests));
    rc = s->batch && s->room && s->digests ? mp_coder_new(&s->coder, err) : no_memory(err);
    if (rc) {
        ds_free(s);
        return rc;
    }
    *ret_sender = s;
    return 0;
}

void ds_free(struct ds_sender *s)
{
    if (!s)
        return;
    mp_coder_free(s->coder);
    free(s->batch);
    free(s->room);
    free(s->digests);
    free(s);
}

static void put_u32(uint8_t *out, uint32_t v)
{
    for (size_t i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> 8 * i);
}

static void show(struct ds_sender *s, uint64_t done)
{
    s->params.progress(s->params.arg, s->in_pause ? "last" : "disk", done, s->total);
}

/* ---- blocks out ---- */

int ds_sync(struct ds_sender *s, struct flic_err *err)
{
    struct mw_message m;
    uint8_t round[4];
    int rc;

    put_u32(round, s->round++);
    rc = mw_send_bytes(s->params.wire, MW_DISK_SYNC, round, sizeof(round), err);
    if (!rc)
        rc = mw_expect(s->params.wire, MW_DISK_SYNCED, 0, &m, err);
    if (!rc && (m.len != sizeof(round) || memcmp(m.data, round, sizeof(round))))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer acknowledged another round of a disk");
    s->unsynced = 0;
    return rc;
}

static int flush_blocks(struct ds_sender *s, struct flic_err *err)
{
    const void *head, *body;
    size_t head_len, body_len;
    uint8_t disk[4];
    int rc;

    if (!s->n)
        return 0;
    put_u32(disk, s->disk);
    rc = mp_encode(s->coder, s->numbers, s->n, s->batch, &head, &head_len, &body, &body_len, err);
    if (!rc) {
        struct mw_piece pieces[3] = { { disk, sizeof(disk) }, { head, head_len }, { body, body_len } };

        rc = mw_send(s->params.wire, MW_DISK_BLOCKS, pieces, 3, err);
    }
    for (size_t i = 0; !rc && i < s->n; i++)
        dw_told_block(&s->told[s->disk], s->numbers[i], s->batch + i * DM_BLOCK);
    s->figures.sent_blocks += s->n;
    s->figures.last_blocks += s->in_pause ? s->n : 0;
    s->figures.block_bytes += rc ? 0 : body_len;
    s->unsynced += s->n * DM_BLOCK;
    s->n = 0;
    return rc;
}

static int flush_zeros(struct ds_sender *s, struct flic_err *err)
{
    uint8_t row[12];
    int rc;

    if (!s->n_zeros)
        return 0;
    put_u32(row, s->disk);
    put_u32(row + 4, (uint32_t)s->zero_first);
    put_u32(row + 8, (uint32_t)s->n_zeros);
    rc = mw_send_bytes(s->params.wire, MW_DISK_ZEROS, row, sizeof(row), err);
    if (!rc)
        dw_told_zeros(&s->told[s->disk], s->zero_first, s->n_zeros);
    s->figures.zero_blocks += s->n_zeros;
    s->figures.last_blocks += s->in_pause ? s->n_zeros : 0;
    s->n_zeros = 0;
    return rc;
}

static int flush(struct ds_sender *s, struct flic_err *err)
{
    int rc = flush_blocks(s, err);

    return rc ? rc : flush_zeros(s, err);
}

static int put_zero(struct ds_sender *s, uint64_t block, struct flic_err *err)
{
    int rc = s->n_zeros && block != s->zero_first + s->n_zeros ? flush_zeros(s, err) : 0;

    if (!s->n_zeros)
        s->zero_first = block;
    s->n_zeros++;
    return rc;
}

static int put(struct ds_sender *s, uint64_t block, const void *data, struct flic_err *err)
{
    if (flic_is_zero(data, DM_BLOCK))
        return put_zero(s, block, err);
    memcpy(s->batch + s->n * DM_BLOCK, data, DM_BLOCK);
    s->numbers[s->n++] = block;
    return s->n == MP_BATCH ? flush_blocks(s, err) : 0;
}

/* In the pause nobody waits for the peer's medium but once, in the end. */
static int breathe(struct ds_sender *s, struct flic_err *err)
{
    int rc = flush(s, err);

    return rc || s->in_pause || s->unsynced < SYNC_BYTES ? rc : ds_sync(s, err);
}

/* ---- ranges ---- */

struct ranges {
    struct ds_sender *s;
    int fd;
    bool skip_zeros;            /* the peer's are zeros already */
    bool shows;                 /* how far along the disk it is */
    uint64_t blocks;
};

static int send_piece(const struct ranges *r, uint64_t first, uint64_t n, struct flic_err *err)
{
    struct ds_sender *s = r->s;
    uint64_t end = dw_blocks(s->sizes[s->disk]);
    int rc = dw_read(r->fd, s->sizes[s->disk], first, n, s->room, err);

    for (uint64_t i = 0; !rc && i < n && first + i < end; i++) {
        const uint8_t *data = s->room + i * DM_BLOCK;

        if (!r->skip_zeros || !flic_is_zero(data, DM_BLOCK))
            rc = put(s, first + i, data, err);
    }
    return rc ? rc : breathe(s, err);
}

static int send_range(uint64_t first, uint64_t n, void *arg, struct flic_err *err)
{
    struct ranges *r = arg;
    int rc = 0;

    r->blocks += n;
    for (uint64_t piece; !rc && n; first += piece, n -= piece) {
        piece = n < READ_BLOCKS ? n : READ_BLOCKS;
        rc = send_piece(r, first, piece, err);
        if (r->shows)
            show(r->s, r->s->done + first * DM_BLOCK);
    }
    return rc;
}

int ds_changed(struct ds_sender *s, size_t i, int before, int now, int from, uint64_t *ret_blocks, struct flic_err *err)
{
    struct ranges r = { .s = s, .fd = from };
    int rc;

    s->disk = (uint32_t)i;
    rc = dm_differ(before, now, s->sizes[i], send_range, &r, err);
    *ret_blocks = r.blocks;
    return rc ? rc : flush(s, err);
}

/* ---- where the peer has an older state ---- */

static int send_needed(struct ds_sender *s, int fd, uint64_t leaf, const struct md_digest *digests, const uint8_t need[MP_BITS],
                       struct flic_err *err)
{
    uint64_t first = leaf * MD_LEAF_PAGES, end = dw_blocks(s->sizes[s->disk]);
    int rc = dw_read(fd, s->sizes[s->disk], first, MD_LEAF_PAGES, s->room, err);

    for (unsigned i = 0; !rc && i < MD_LEAF_PAGES && first + i < end; i++) {
        if (mp_bit(need, i))
            rc = put(s, first + i, s->room + (size_t)i * DM_BLOCK, err);
        else
            s->figures.there_blocks += !md_equal(&digests[i], &MD_ZERO);
    }
    return rc ? rc : breathe(s, err);
}

static int ask_about(struct ds_sender *s, int fd, uint64_t leaf, const struct md_digest digests[MD_LEAF_PAGES], struct flic_err *err)
{
    uint8_t head[8], need[MP_BITS];
    struct mw_piece pieces[2] = { { head, sizeof(head) }, { digests, MD_LEAF_PAGES * sizeof(*digests) } };
    struct mw_message m;
    int rc;

    put_u32(head, s->disk);
    put_u32(head + 4, (uint32_t)leaf);
    rc = mw_send(s->params.wire, MW_DISK_DIGESTS, pieces, 2, err);
    if (!rc)
        rc = mw_expect(s->params.wire, MW_DISK_NEED, 0, &m, err);
    if (!rc && m.len != sizeof(need))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer's answer about a disk's blocks is none");
    if (rc)
        return rc;
    memcpy(need, m.data, sizeof(need));
    return send_needed(s, fd, leaf, digests, need, err);
}

static uint64_t count_data(const struct md_digest digests[MD_LEAF_PAGES])
{
    uint64_t n = 0;

    for (unsigned i = 0; i < MD_LEAF_PAGES; i++)
        n += !md_equal(&digests[i], &MD_ZERO) && !md_equal(&digests[i], &MD_HOLE);
    return n;
}

/* n leaves: which the peer has, as they are now. */
static int offer_leaves(struct ds_sender *s, int fd, uint64_t first, uint32_t n, uint8_t same[DW_SAME_SIZE], struct flic_err *err)
{
    uint8_t head[12];
    struct md_digest leaves[DW_LEAVES];
    struct mw_piece pieces[2] = { { head, sizeof(head) }, { leaves, n * sizeof(*leaves) } };
    struct mw_message m;
    bool hole;
    int rc = 0;

    for (uint32_t i = 0; !rc && i < n; i++) {
        rc = dw_digest(fd, s->sizes[s->disk], first + i, s->params.key, s->room, s->digests[i], &hole, err);
        leaves[i] = md_of_leaf(s->params.key, s->digests[i]);
    }
    put_u32(head, s->disk);
    put_u32(head + 4, (uint32_t)first);
    put_u32(head + 8, n);
    if (!rc)
        rc = mw_send(s->params.wire, MW_DISK_LEAVES, pieces, 2, err);
    if (!rc)
        rc = mw_expect(s->params.wire, MW_DISK_SAME, 0, &m, err);
    if (!rc && m.len != DW_SAME_SIZE)
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the peer's answer about a disk is none");
    if (!rc)
        memcpy(same, m.data, DW_SAME_SIZE);
    return rc;
}

static int send_compared(struct ds_sender *s, int fd, struct flic_err *err)
{
    uint64_t leaves = dw_leaves(s->sizes[s->disk]);
    uint8_t same[DW_SAME_SIZE];
    int rc = 0;

    for (uint64_t first = 0; !rc && first < leaves; first += DW_LEAVES) {
        uint32_t n = leaves - first < DW_LEAVES ? (uint32_t)(leaves - first) : DW_LEAVES;

        rc = offer_leaves(s, fd, first, n, same, err);
        for (uint32_t i = 0; !rc && i < n; i++) {
            if (mp_bit(same, i))
                s->figures.there_blocks += count_data(s->digests[i]);
            else
                rc = ask_about(s, fd, first + i, s->digests[i], err);
            show(s, s->done + (first + i) * DW_LEAF_BYTES);
        }
    }
    return rc;
}

int ds_whole(struct ds_sender *s, size_t i, int fd, struct flic_err *err)
{
    struct ranges r = { .s = s, .fd = fd, .skip_zeros = true, .shows = true };
    int rc;

    s->disk = (uint32_t)i;
    rc = s->params.peer_has >> i & 1 ? send_compared(s, fd, err) : dm_data(fd, s->sizes[i], send_range, &r, err);
    if (!rc)
        rc = flush(s, err);
    s->done += s->sizes[i];
    return rc;
}

/* ---- the end ---- */

void ds_pause(struct ds_sender *s)
{
    s->in_pause = true;
}

int ds_end(struct ds_sender *s, struct flic_err *err)
{
    struct flic_builder b;
    int rc;

    flic_builder_init(&b);
    for (size_t i = 0; i < s->params.n; i++) {
        flic_put_u64(&b, s->told[i].blocks);
        flic_put_u64(&b, s->told[i].sum);
    }
    rc = b.bad ? no_memory(err) : mw_send_bytes(s->params.wire, MW_DISK_END, b.data, b.len, err);
    flic_builder_fini(&b);
    return rc;
}

void ds_get_figures(const struct ds_sender *s, struct ds_figures *ret_figures)
{
    *ret_figures = s->figures;
}
