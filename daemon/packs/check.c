/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Reading a whole pack from flash, whatever memory holds of it, and setting a bad one aside. */
#include "daemon/packs/writer.h"

#include "common/mem.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct pk_checking {
    struct pk_store *store;
    struct pk_file file;            /* open */
    struct pk_footer footer;        /* entries in the order of their places */
    uint32_t at;
    struct pk_check_stats stats;
};

int pk_check_begin(struct pk_store *store, uint32_t number, struct pk_checking **ret_checking, struct flic_err *err)
{
    struct pk_checking *c = calloc(1, sizeof(*c));
    char name[PK_NAME];
    int rc;

    if (!c)
        return flic_err_set(err, -ENOMEM, "check pack %08x: out of memory", number);
    c->store = store;
    c->file = (struct pk_file){ .fd = -1, .dir_fd = store->dir_fd, .number = number, .sealed = true };
    rc = pk_load_footer(store, number, &c->footer, err);
    if (!rc) {
        c->file.limit = (uint32_t)c->footer.trailer.footer_offset;
        pk_name(name, number, true);
        c->file.fd = openat(store->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        rc = c->file.fd < 0 ? flic_err_errno(err, "open pack %08x", number) : 0;
    }
    if (rc) {
        pk_check_end(c);
        return rc;
    }
    (void)posix_fadvise(c->file.fd, 0, 0, POSIX_FADV_DONTNEED);    /* what is meant is the flash, not the page cache */
    qsort(c->footer.entries, c->footer.trailer.entries, sizeof(*c->footer.entries), pk_place_order);
    *ret_checking = c;
    return 0;
}

void pk_check_end(struct pk_checking *checking)
{
    if (!checking)
        return;
    if (checking->file.fd >= 0) {
        (void)posix_fadvise(checking->file.fd, 0, 0, POSIX_FADV_DONTNEED);     /* read once: leave Dom0's memory to others */
        (void)close(checking->file.fd);
    }
    free(checking->footer.entries);
    free(checking);
}

void pk_check_stats(const struct pk_checking *checking, struct pk_check_stats *ret_stats)
{
    *ret_stats = checking->stats;
}

static bool is_whole(const struct pk_checking *c, const struct pk_frame *frame, const struct pk_disk_entry *e)
{
    struct flic_id id = pk_entry_id(e);
    const uint8_t *data;
    enum pk_kind kind;
    size_t len;

    data = frame ? pk_frame_object(frame, le16toh(e->index), &len, &kind) : NULL;
    return data && kind == e->kind && flic_id_matches(c->store->secret, &id, data, len);
}

/* All entries of one frame. What cannot be read is bad, whatever the reason but a lack of memory. */
static int check_frame(struct pk_checking *c, struct flic_err *err)
{
    uint32_t offset = le32toh(c->footer.entries[c->at].offset);
    struct pk_frame *frame = NULL;
    int rc = pk_frame_read(&c->store->cache, &c->file, offset, &frame, NULL);

    if (rc == -ENOMEM)
        return flic_err_set(err, rc, "check pack %08x: out of memory", c->file.number);
    c->stats.bytes += frame ? frame->end - offset : 0;
    for (; c->at < c->footer.trailer.entries && le32toh(c->footer.entries[c->at].offset) == offset; c->at++) {
        c->stats.objects++;
        c->stats.bad += !is_whole(c, frame, &c->footer.entries[c->at]);
    }
    pk_frame_put(&c->store->cache, frame);
    return 0;
}

int pk_check_some(struct pk_checking *c, uint32_t frames, bool *ret_done, struct flic_err *err)
{
    int rc = 0;

    for (; !rc && frames && c->at < c->footer.trailer.entries; frames--)
        rc = check_frame(c, err);
    *ret_done = c->at == c->footer.trailer.entries;
    return rc;
}

/* ---- setting aside ---- */

/* A writer that is still alive may count on what was moved out of this pack for it. Which of it is not known, so all that the
 * mover needs stays until the store is opened again. */
static void keep_for_others(struct pk_store *store, const struct pk_writer *mover)
{
    for (uint32_t i = 0; i < mover->pinned_room; i++)
        if (mover->pinned[i / 8] & 1u << i % 8 && store->packs[i])
            store->packs[i]->pins++;
}

/* False: a collection removed it meanwhile. */
static bool take_out_anyhow(struct pk_store *store, uint32_t slot, const struct pk_writer *mover, const struct pk_footer *footer)
{
    struct pk_pack *pack;

    pthread_mutex_lock(&store->lock);
    pack = store->packs[slot];
    if (pack && pack->pins)
        keep_for_others(store, mover);
    if (pack)
        pk_drop(store, slot, footer);
    store->stats.quarantined += pack != NULL;
    store->losses += pack != NULL;
    pthread_mutex_unlock(&store->lock);
    return pack;
}

int pk_set_aside(struct pk_store *store, const struct pk_use *use, struct pk_writer *mover, struct flic_err *err)
{
    char from[PK_NAME], to[PK_NAME + 8];
    struct pk_footer footer;
    bool was_there;
    int rc = pk_know_footer(store, use, &footer, err);

    if (rc)
        return rc;
    pk_name(from, use->number, true);
    (void)snprintf(to, sizeof(to), "%s.bad", from);
    was_there = take_out_anyhow(store, use->slot, mover, &footer);
    free(footer.entries);
    if (!was_there)
        return flic_err_set(err, -ENOENT, "pack %08x is gone", use->number);
    pk_cache_forget(&store->cache, use->number);
    if (renameat(store->dir_fd, from, store->dir_fd, to))
        return flic_err_errno(err, "rename '%s/%s' to '%s'", store->dir, from, to);
    return 0;
}

uint64_t pk_losses(struct pk_store *store)
{
    uint64_t losses;

    pthread_mutex_lock(&store->lock);
    losses = store->losses;
    pthread_mutex_unlock(&store->lock);
    return losses;
}
