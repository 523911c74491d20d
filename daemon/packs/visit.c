/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Walking the sealed packs. */
#include "daemon/packs/store.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct root_walk {
    struct pk_store *store;
    int (*see)(enum pk_kind kind, const struct flic_id *id, const void *data, size_t len, void *arg);
    void *arg;
};

/* Shows one root; what cannot be read or does not match is shown as damaged. */
static int show_root(const struct root_walk *walk, const struct pk_file *file, const struct pk_disk_entry *e)
{
    struct pk_frame *frame = NULL;
    const uint8_t *data = NULL;
    enum pk_kind kind;
    struct flic_id id;
    size_t len = 0;
    int rc;

    memcpy(id.b, e->id, sizeof(id.b));
    rc = pk_frame_get(&walk->store->cache, file, le32toh(e->offset), &frame, NULL);
    if (rc == -ENOMEM)
        return rc;
    if (!rc)
        data = pk_frame_object(frame, le16toh(e->index), &len, &kind);
    if (data && (kind != e->kind || !flic_id_matches(walk->store->secret, &id, data, len)))
        data = NULL;
    rc = walk->see(e->kind, &id, data, data ? len : 0, walk->arg);
    if (frame)
        pk_frame_put(&walk->store->cache, frame);
    return rc;
}

static int roots_of_pack(const struct root_walk *walk, const struct pk_footer *footer)
{
    struct pk_file file = { .fd = -1, .dir_fd = walk->store->dir_fd, .number = footer->trailer.number,
                            .limit = (uint32_t)footer->trailer.footer_offset, .sealed = true };
    uint32_t n = 0;
    int rc = 0;

    for (uint32_t i = 0; i < footer->trailer.entries; i++)
        if (footer->entries[i].kind == PK_ROOT || footer->entries[i].kind == PK_TOMBSTONE)
            footer->entries[n++] = footer->entries[i];
    qsort(footer->entries, n, sizeof(*footer->entries), pk_place_order);
    for (uint32_t i = 0; !rc && i < n; i++)
        rc = show_root(walk, &file, &footer->entries[i]);
    return rc;
}

int pk_each_root(struct pk_store *store,
                 int (*see)(enum pk_kind kind, const struct flic_id *id, const void *data, size_t len, void *arg),
                 void *arg, struct flic_err *err)
{
    struct root_walk walk = { .store = store, .see = see, .arg = arg };
    struct pk_footer footer;
    uint32_t n, end;
    struct pk_pack *packs = pk_snapshot(store, 0, &n, &end);
    int rc = 0;

    if (!packs)
        return flic_err_set(err, -ENOMEM, "list the roots: out of memory");
    for (uint32_t i = 0; !rc && i < n; i++) {
        if (!packs[i].roots)
            continue;
        rc = pk_load_footer(store, packs[i].number, &footer, err);
        if (rc == -ENOENT) {
            rc = 0;         /* collected since the list was taken */
            continue;
        }
        if (rc)
            break;
        rc = roots_of_pack(&walk, &footer);
        free(footer.entries);
    }
    free(packs);
    return rc;
}

/* Turns the entries into their ids, in place. */
static const uint8_t *make_run(struct pk_footer *footer)
{
    uint8_t *run = (uint8_t *)footer->entries;

    for (uint32_t i = 0; i < footer->trailer.entries; i++)
        memmove(run + 16 * (size_t)i, footer->entries[i].id, 16);
    return run;
}

int pk_each_pack(struct pk_store *store, uint32_t *from, int (*see)(const struct pk_pack_info *pack, void *arg), void *arg)
{
    struct pk_footer footer;
    uint32_t n, end;
    struct pk_pack *packs = pk_snapshot(store, from ? *from : 0, &n, &end);
    int rc = packs ? 0 : -ENOMEM;

    for (uint32_t i = 0; !rc && i < n; i++) {
        struct pk_pack_info info = { .number = packs[i].number, .bytes = packs[i].bytes,
                                     .objects = packs[i].objects };

        rc = pk_load_footer(store, packs[i].number, &footer, NULL);
        if (rc == -ENOENT) {
            rc = 0;         /* collected since the list was taken */
            continue;
        }
        if (rc)
            break;
        info.run = make_run(&footer);
        info.run_len = 16 * (size_t)footer.trailer.entries;
        rc = see(&info, arg);
        free(footer.entries);
    }
    if (from && !rc)
        *from = end;
    free(packs);
    return rc;
}
