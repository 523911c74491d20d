/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Reading objects back, every one verified by its content. */
#include "daemon/packs/store.h"

#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD_BYTES (1u << 20)      /* asked of the kernel at once */
#define MOVES_MAX 16                 /* an object is moved at most so often while one reads it */
#define AHEAD_GAP (128u << 10)      /* a longer stretch that nobody wants is not read */

static int no_such_object(const struct flic_id *id, struct flic_err *err)
{
    char hex[FLIC_ID_HEX];

    flic_id_hex(id, hex);
    return flic_err_set(err, FLIC_E_DAMAGED, "object %s is in no pack", hex);
}

/* The object at a spot when its content is what the id says; borrowed from the frame. */
static const uint8_t *verified(const struct pk_store *store, const struct pk_frame *frame, uint32_t index,
                               const struct flic_id *id, size_t *ret_len)
{
    enum pk_kind kind;
    const uint8_t *data = pk_frame_object(frame, index, ret_len, &kind);

    return data && flic_id_matches(store->secret, id, data, *ret_len) ? data : NULL;
}

static int read_spot(struct pk_store *store, const struct flic_id *id, const struct pk_spot *spot, void *buf,
                     size_t *len, struct flic_err *err)
{
    struct pk_frame *frame;
    const uint8_t *data;
    size_t got;
    int rc = pk_frame_get(&store->cache, &spot->file, spot->offset, &frame, err);

    if (rc)
        return rc;
    data = verified(store, frame, spot->index, id, &got);
    if (!data)
        rc = flic_err_set(err, FLIC_E_DAMAGED, "pack %08x, offset %u: object %u does not match its id",
                          spot->file.number, spot->offset, spot->index);
    else if (got > *len)
        rc = flic_err_set(err, FLIC_E_DAMAGED,
                          "pack %08x, offset %u: object %u has %zu bytes, at most %zu were expected",
                          spot->file.number, spot->offset, spot->index, got, *len);
    else
        memcpy(buf, data, *len = got);
    pk_frame_put(&store->cache, frame);
    return rc;
}

bool pk_spot_verifies(struct pk_store *store, const struct flic_id *id, const struct pk_spot *spot)
{
    struct pk_frame *frame;
    size_t len;
    bool does;

    if (pk_frame_get(&store->cache, &spot->file, spot->offset, &frame, NULL))
        return false;
    does = verified(store, frame, spot->index, id, &len);
    pk_frame_put(&store->cache, frame);
    return does;
}

/* From whichever copy is whole. -ENOENT: there is none, or the pack was removed since it was looked up. */
static int read_copies(struct pk_store *store, const struct flic_id *id, void *buf, size_t *len, struct flic_err *err)
{
    struct pk_spot spots[PK_COPIES];
    size_t n = pk_find(store, id, spots);
    int rc = n ? -EINVAL : no_such_object(id, err);

    for (size_t i = 0; rc && i < n; i++)
        rc = read_spot(store, id, &spots[i], buf, len, err);
    return rc;
}

int pk_read(struct pk_store *store, const struct flic_id *id, void *buf, size_t cap, size_t *ret_len,
            struct flic_err *err)
{
    struct flic_err why = { .code = 0 };
    size_t len = cap;
    int rc = -ENOENT;

    for (int tries = 0; rc == -ENOENT && tries < MOVES_MAX; tries++)    /* it was moved: it is found where it is now */
        rc = read_copies(store, id, buf, &len, &why);
    if (rc)
        return flic_err_set(err, rc, "%s", why.text);
    *ret_len = len;
    return 0;
}

/* ---- many pages ---- */

struct want {
    uint64_t place;
    size_t tag;
};

struct run {
    struct pk_store *store;
    const struct flic_id *ids;
    struct want *wants;         /* by place */
    size_t n;
    int (*got)(size_t tag, const void *page, void *arg);
    void *arg;
    struct pk_file file;        /* of the pack being read; fd < 0 before the first */
    uint32_t pack;              /* its slot */
    size_t ahead;               /* wants before this one were asked of the kernel */
};

static int want_order(const void *a, const void *b)
{
    const struct want *x = a, *y = b;

    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return x->tag < y->tag ? -1 : x->tag > y->tag;
}

static int find_wants(struct run *run, struct flic_err *err)
{
    for (size_t i = 0; i < run->n; i++) {
        uint64_t place = pk_first_place(run->store, &run->ids[i]);

        if (!place)
            return no_such_object(&run->ids[i], err);
        run->wants[i] = (struct want){ .place = place, .tag = i };
    }
    qsort(run->wants, run->n, sizeof(*run->wants), want_order);
    return 0;
}

static void close_pack(struct run *run)
{
    if (run->file.fd < 0)
        return;
    (void)posix_fadvise(run->file.fd, 0, 0, POSIX_FADV_DONTNEED);  /* read once: leave Dom0's memory to others */
    (void)close(run->file.fd);
    run->file.fd = -1;
}

/* Opens the pack of wants[i]. That it cannot be opened is found, and told, by who reads from it. */
static void open_pack(struct run *run, size_t i)
{
    char name[PK_NAME];

    if (run->file.fd >= 0 && pk_place_pack(run->wants[i].place) == run->pack)
        return;
    close_pack(run);
    run->pack = pk_place_pack(run->wants[i].place);
    run->ahead = i;
    if (!pk_file_of(run->store, run->wants[i].place, &run->file))
        return;
    pk_name(name, run->file.number, true);
    run->file.fd = openat(run->file.dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* Asks the kernel for the frames from wants[i] on that lie close together. */
static void read_ahead(struct run *run, size_t i)
{
    uint32_t first = pk_place_offset(run->wants[i].place), last = first;
    size_t j = i;

    if (i < run->ahead || run->file.fd < 0)
        return;
    for (; j < run->n && pk_place_pack(run->wants[j].place) == run->pack; j++) {
        uint32_t at = pk_place_offset(run->wants[j].place);

        if (at - last > AHEAD_GAP || at - first > AHEAD_BYTES)
            break;
        last = at;
    }
    run->ahead = j;
    (void)posix_fadvise(run->file.fd, first, last - first + PK_FRAME_RAW, POSIX_FADV_WILLNEED);
}

/* Hands out one page; when this copy is not what it should be, whichever copy is. */
static int hand_out(struct run *run, const struct want *want, const struct pk_frame *frame, struct flic_err *err)
{
    const struct flic_id *id = &run->ids[want->tag];
    uint8_t other[FLIC_PAGE_SIZE];
    const uint8_t *page = NULL;
    size_t len = 0;
    int rc;

    if (frame)
        page = verified(run->store, frame, pk_place_index(want->place), id, &len);
    if (!page) {
        rc = pk_read(run->store, id, other, sizeof(other), &len, err);
        if (rc)
            return rc;
        page = other;
    }
    if (len != FLIC_PAGE_SIZE)
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x, offset %u: an object of %zu bytes stands for a page",
                            run->file.number, pk_place_offset(want->place), len);
    return run->got(want->tag, page, run->arg);
}

/* Reads the frame of wants[*i] and hands out all pages wanted from it; *i is then the first want after them. */
static int read_group(struct run *run, size_t *i, struct flic_err *err)
{
    uint64_t frame_place = run->wants[*i].place >> 8;
    struct pk_frame *frame = NULL;
    int rc = 0;

    open_pack(run, *i);
    read_ahead(run, *i);
    if (run->file.fd >= 0 && pk_frame_get(&run->store->cache, &run->file, pk_place_offset(run->wants[*i].place),
                                          &frame, NULL))
        frame = NULL;   /* hand_out() looks for other copies and tells what is wrong */
    for (; !rc && *i < run->n && run->wants[*i].place >> 8 == frame_place; ++*i)
        rc = hand_out(run, &run->wants[*i], frame, err);
    if (frame)
        pk_frame_put(&run->store->cache, frame);
    return rc;
}

int pk_read_pages(struct pk_store *store, const struct flic_id *ids, size_t n,
                  int (*got)(size_t tag, const void *page, void *arg), void *arg, struct flic_err *err)
{
    struct run run = { .store = store, .ids = ids, .n = n, .got = got, .arg = arg, .file = { .fd = -1 } };
    int rc;

    if (!n)
        return 0;
    run.wants = calloc(n, sizeof(*run.wants));
    if (!run.wants)
        return flic_err_set(err, -ENOMEM, "read %zu pages: out of memory", n);
    rc = find_wants(&run, err);
    for (size_t i = 0; !rc && i < n;)
        rc = read_group(&run, &i, err);
    close_pack(&run);
    free(run.wants);
    return rc;
}
