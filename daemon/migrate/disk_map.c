/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/migrate/disk_map.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define EXTENTS 256u
/* What has no physical place of its own that could be compared. */
#define UNSURE (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED | FIEMAP_EXTENT_DATA_ENCRYPTED | \
                FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_DATA_TAIL)

/* Ranges in bytes become blocks; neighbours become one. */
struct out {
    dm_range_fn *see;
    void *arg;
    uint64_t first, end;        /* what was not called out yet; first == end: nothing */
};

static int call_out(struct out *o, struct flic_err *err)
{
    int rc = o->end > o->first ? o->see(o->first, o->end - o->first, o->arg, err) : 0;

    o->first = o->end;
    return rc;
}

static int add(struct out *o, uint64_t from, uint64_t to, struct flic_err *err)
{
    uint64_t first = from / DM_BLOCK, end = (to + DM_BLOCK - 1) / DM_BLOCK;
    int rc = 0;

    if (first > o->end) {
        rc = call_out(o, err);
        o->first = first;
    }
    if (end > o->end)
        o->end = end;
    return rc;
}

int dm_data(int fd, uint64_t size, dm_range_fn *see, void *arg, struct flic_err *err)
{
    struct out o = { .see = see, .arg = arg };
    off_t at = 0, end;
    int rc = 0;

    while (!rc && (uint64_t)at < size) {
        at = lseek(fd, at, SEEK_DATA);
        if (at < 0 && errno == ENXIO)
            break;
        end = at < 0 ? -1 : lseek(fd, at, SEEK_HOLE);
        if (end < 0)
            return flic_err_errno(err, "look where a disk has data");
        rc = add(&o, (uint64_t)at, (uint64_t)end < size ? (uint64_t)end : size, err);
        at = end;
    }
    return rc ? rc : call_out(&o, err);
}

/* ---- extents ---- */

struct side {
    int fd;
    struct fiemap *map;         /* some extents; all that begin before known_to and end behind what was asked for last */
    uint64_t known_to;
    unsigned at;
};

struct stretch {                /* what stands at one byte, and how far on it is the same */
    uint64_t end, place;
    bool hole, unsure;
};

static int load(struct side *s, uint64_t from, struct flic_err *err)
{
    const struct fiemap_extent *last;

    memset(s->map, 0, sizeof(*s->map));
    s->map->fm_start = from;
    s->map->fm_length = FIEMAP_MAX_OFFSET - from;
    s->map->fm_flags = FIEMAP_FLAG_SYNC;
    s->map->fm_extent_count = EXTENTS;
    if (ioctl(s->fd, FS_IOC_FIEMAP, s->map))
        return flic_err_errno(err, "look where a disk's blocks lie");
    last = &s->map->fm_extents[EXTENTS - 1];
    s->known_to = s->map->fm_mapped_extents < EXTENTS ? UINT64_MAX : last->fe_logical + last->fe_length;
    s->at = 0;
    return 0;
}

static int look(struct side *s, uint64_t at, struct stretch *ret, struct flic_err *err)
{
    const struct fiemap_extent *e;
    int rc = at >= s->known_to ? load(s, at, err) : 0;

    if (rc)
        return rc;
    while (s->at < s->map->fm_mapped_extents && s->map->fm_extents[s->at].fe_logical + s->map->fm_extents[s->at].fe_length <= at)
        s->at++;
    e = &s->map->fm_extents[s->at];
    if (s->at == s->map->fm_mapped_extents)
        *ret = (struct stretch){ .end = s->known_to, .hole = true };
    else if (at < e->fe_logical)
        *ret = (struct stretch){ .end = e->fe_logical, .hole = true };
    else
        *ret = (struct stretch){ .end = e->fe_logical + e->fe_length, .place = e->fe_physical + (at - e->fe_logical),
                                 .hole = e->fe_flags & FIEMAP_EXTENT_UNWRITTEN, .unsure = e->fe_flags & UNSURE };
    return 0;
}

static bool is_same(const struct stretch *a, const struct stretch *b)
{
    if (a->hole || b->hole)
        return a->hole && b->hole;
    return !a->unsure && !b->unsure && a->place == b->place;
}

static int walk(struct side *before, struct side *now, uint64_t size, struct out *o, struct flic_err *err)
{
    struct stretch a, b;
    uint64_t end;
    int rc = 0;

    for (uint64_t at = 0; !rc && at < size; at = end) {
        rc = look(before, at, &a, err);
        if (!rc)
            rc = look(now, at, &b, err);
        if (rc)
            break;
        end = a.end < b.end ? a.end : b.end;
        if (end > size)
            end = size;
        if (end <= at)
            return flic_err_set(err, FLIC_E_INTERNAL, "a disk's extents, as its file system tells them, do not go on");
        if (!is_same(&a, &b))
            rc = add(o, at, end, err);
    }
    return rc ? rc : call_out(o, err);
}

int dm_differ(int before, int now, uint64_t size, dm_range_fn *see, void *arg, struct flic_err *err)
{
    size_t room = sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent);
    /* Zeros: valgrind does not know what the ioctl fills in. */
    struct side a = { .fd = before, .map = calloc(1, room) }, b = { .fd = now, .map = calloc(1, room) };
    struct out o = { .see = see, .arg = arg };
    int rc = a.map && b.map ? walk(&a, &b, size, &o, err) : flic_err_set(err, -ENOMEM, "compare two states of a disk: out of memory");

    free(a.map);
    free(b.map);
    return rc;
}
