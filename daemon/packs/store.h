/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * store - what the files of this folder share: the open store, its packs and the lookup. Private to daemon/packs.
 *
 * Locks, in this order: `seal` (one seal or collection at a time), `lock` (table, packs, counters; held for memory
 * work only, never across I/O), and the frame cache's own.
 */
#ifndef FLIC_DAEMON_PACKS_STORE_H
#define FLIC_DAEMON_PACKS_STORE_H

#include <pthread.h>

#include "daemon/packs/format.h"
#include "daemon/packs/frame.h"
#include "daemon/packs/table.h"

#define PK_COPIES 8     /* places tried for one id */
#define PK_NAME 24      /* "0000002a.pack.new" */

struct pk_pack {
    uint32_t number;
    uint32_t footer_offset;
    uint32_t objects;
    uint32_t roots;
    uint64_t bytes;
    uint32_t pins;              /* live writers that sealed it or hit an object in it */
    bool leaving;               /* being moved: no copy for those who move */
    uint64_t let_go;            /* when it was sealed or its last pin went, by the store's clock */
};

struct pk_store {
    char *dir;
    int dir_fd;                 /* also holds the flock */
    const struct flic_secret *secret;
    struct flic_id mark;
    pthread_mutex_t seal;
    pthread_mutex_t lock;
    struct pk_table table;
    struct pk_pack **packs;     /* by slot, in the order of their numbers; NULL once collected, a slot is never reused */
    uint32_t n_packs, room_packs;
    uint32_t next_number;
    uint64_t clock;             /* counts seals and pins that went */
    uint64_t losses;            /* packs set aside */
    struct pk_stats stats;
    struct pk_cache cache;
};

void pk_name(char out[PK_NAME], uint32_t number, bool sealed);

/* Where a found object lies. */
struct pk_spot {
    struct pk_file file;
    uint64_t place;
    uint32_t offset, index;
};

/* Resolves up to PK_COPIES sealed places for an id. */
size_t pk_find(struct pk_store *store, const struct flic_id *id, struct pk_spot spots[PK_COPIES]);
size_t pk_find_slot(struct pk_store *store, const struct pk_slot *key, struct pk_spot spots[PK_COPIES]);

/* The first place for an id, 0 when unknown; and the file that a place is in (false: collected meanwhile). */
uint64_t pk_first_place(struct pk_store *store, const struct flic_id *id);
bool pk_file_of(struct pk_store *store, uint64_t place, struct pk_file *ret_file);

/* Whether what lies at a spot is what the id says. */
bool pk_spot_verifies(struct pk_store *store, const struct flic_id *id, const struct pk_spot *spot);

/* Room for `packs` more packs and `objects` more slots; call with `lock` held. */
int pk_reserve(struct pk_store *store, uint32_t packs, size_t objects, struct flic_err *err);

/* The packs at this moment from a slot on, as a copy, and the slot after the last; gives an array (free()), NULL without memory. */
struct pk_pack *pk_snapshot(struct pk_store *store, uint32_t from, uint32_t *ret_n, uint32_t *ret_end);

/* How to read a pack's frames; with the lock held, or of a copy. */
static inline struct pk_file pk_sealed_file(const struct pk_store *store, const struct pk_pack *pack)
{
    return (struct pk_file){ .fd = -1, .dir_fd = store->dir_fd, .number = pack->number, .limit = pack->footer_offset,
                             .sealed = true };
}

struct pk_footer {
    struct pk_disk_trailer trailer;     /* host order */
    struct pk_disk_entry *entries;      /* gives (free()) */
    uint64_t size;                      /* of the file */
    bool from_table;                    /* ids have only the bits that pk_slot_of() takes, kinds are 0 */
};

/* Reads and checks header, trailer and entries of a sealed pack. Errors of pk_header_check(), FLIC_E_DAMAGED, -errno. */
int pk_load_footer(struct pk_store *store, uint32_t number, struct pk_footer *ret_footer, struct flic_err *err);

/* The same of a pack in use, whose footer may have become unreadable (FLIC_E_DAMAGED, -EIO): then what the table has. -ENOENT: it is gone. */
int pk_know_footer(struct pk_store *store, const struct pk_use *use, struct pk_footer *ret_footer, struct flic_err *err);

/* Takes a pack, whose footer this is, out of table and list; call with `lock` held. */
void pk_drop(struct pk_store *store, uint32_t slot, const struct pk_footer *footer);

/* -ENOSPC and -EDQUOT become FLIC_E_NOSPACE with advice; else the system error. `what` is the step. */
int pk_io_error(struct flic_err *err, int rc, const struct pk_store *store, const char *what, uint32_t number,
                uint64_t len);

#endif
