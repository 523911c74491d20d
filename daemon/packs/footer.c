/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Reading what a sealed pack says of itself. */
#include "daemon/packs/store.h"

#include "common/io.h"
#include "common/mem.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int read_at(int fd, void *data, size_t len, uint64_t offset, uint32_t number, struct flic_err *err)
{
    int rc = flic_pread_all(fd, data, len, offset);

    if (!rc)
        return 0;
    errno = -rc;
    return flic_err_errno(err, "read pack %08x, offset %llu", number, (unsigned long long)offset);
}

static int open_sized(struct pk_store *store, uint32_t number, uint64_t *ret_size, struct flic_err *err)
{
    char name[PK_NAME];
    struct stat st;
    int fd;

    pk_name(name, number, true);
    fd = openat(store->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return flic_err_errno(err, "open pack %08x", number);
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > (off_t)PK_MAX_BYTES ||
        st.st_size < (off_t)(sizeof(struct pk_disk_header) + sizeof(struct pk_disk_trailer))) {
        (void)close(fd);
        return flic_err_set(err, FLIC_E_DAMAGED, "pack %08x is cut off, too long or not a plain file", number);
    }
    *ret_size = (uint64_t)st.st_size;
    return fd;
}

static int read_entries(int fd, const struct pk_disk_trailer *t, struct pk_disk_entry **ret_entries,
                        struct flic_err *err)
{
    size_t len = (size_t)t->entries * sizeof(struct pk_disk_entry);
    struct pk_disk_entry *entries = malloc(len);
    int rc;

    if (!entries)
        return flic_err_set(err, -ENOMEM, "read the footer of pack %08x: out of memory", t->number);
    rc = read_at(fd, entries, len, t->footer_offset, t->number, err);
    if (!rc)
        rc = pk_entries_check(t, entries, err);
    if (rc)
        free(entries);
    else
        *ret_entries = entries;
    return rc;
}

int pk_load_footer(struct pk_store *store, uint32_t number, struct pk_footer *ret_footer, struct flic_err *err)
{
    FLIC_AUTO_CLOSE int fd = -1;
    struct pk_footer footer = { .entries = NULL };
    struct pk_disk_header header;
    int rc;

    rc = fd = open_sized(store, number, &footer.size, err);
    if (rc < 0)
        return rc;
    rc = read_at(fd, &header, sizeof(header), 0, number, err);
    if (!rc)
        rc = pk_header_check(&header, number, &store->mark, err);
    if (!rc)
        rc = read_at(fd, &footer.trailer, sizeof(footer.trailer), footer.size - sizeof(footer.trailer), number, err);
    if (!rc)
        rc = pk_trailer_check(&footer.trailer, number, footer.size, err);
    if (!rc)
        rc = read_entries(fd, &footer.trailer, &footer.entries, err);
    if (!rc)
        *ret_footer = footer;
    return rc;
}

/* ---- when it cannot be read ---- */

static struct pk_disk_entry entry_of(const struct pk_slot *slot)
{
    uint64_t place = pk_slot_place(slot), more = slot->where >> PK_PLACE_BITS, tag = htobe64(slot->tag);
    struct pk_disk_entry e = { .offset = htole32(pk_place_offset(place)), .index = htole16((uint16_t)pk_place_index(place)) };

    memcpy(e.id, &tag, sizeof(tag));
    e.id[14] = (uint8_t)(more >> 4);
    e.id[15] = (uint8_t)(more & 0x0f);
    return e;
}

/* With the lock held. */
static int footer_of_table(struct pk_store *store, uint32_t slot, struct pk_footer *footer)
{
    const struct pk_pack *pack = store->packs[slot];
    uint32_t n = 0;

    if (!pack)
        return -ENOENT;
    *footer = (struct pk_footer){ .size = pack->bytes, .from_table = true, .entries = calloc(pack->objects + 1, sizeof(*footer->entries)) };
    if (!footer->entries)
        return -ENOMEM;
    for (size_t i = 0; i < store->table.room && n < pack->objects; i++)
        if (store->table.slots[i].where && pk_place_pack(pk_slot_place(&store->table.slots[i])) == slot)
            footer->entries[n++] = entry_of(&store->table.slots[i]);
    footer->trailer = (struct pk_disk_trailer){ .number = pack->number, .entries = n, .roots = pack->roots, .footer_offset = pack->footer_offset };
    return 0;
}

int pk_know_footer(struct pk_store *store, const struct pk_use *use, struct pk_footer *ret_footer, struct flic_err *err)
{
    struct flic_err why = { 0 };
    int rc = pk_load_footer(store, use->number, ret_footer, &why);

    if (rc == FLIC_E_DAMAGED || rc == -EIO) {
        pthread_mutex_lock(&store->lock);
        rc = footer_of_table(store, use->slot, ret_footer);
        pthread_mutex_unlock(&store->lock);
        if (rc)
            return flic_err_set(err, rc, "look up what pack %08x holds: %s", use->number, rc == -ENOENT ? "it is gone" : "out of memory");
    }
    return rc ? flic_err_set(err, rc, "%s", why.text) : 0;
}
