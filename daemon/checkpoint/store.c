/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/store.h"

#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "daemon/checkpoint/collect.h"
#include "daemon/checkpoint/device.h"
#include "daemon/checkpoint/identity.h"
#include "daemon/checkpoint/root.h"
#include "daemon/checkpoint/spare.h"
#include "daemon/checkpoint/store_priv.h"
#include "daemon/checkpoint/unseen.h"
#include "daemon/checkpoint/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t ck_flash_written(const struct ck_store *store) { return ck_device_written(store->flash_stat); }
struct nv_arena *ck_arena(struct ck_store *store) { return store->arena; }
struct pk_store *ck_packs(struct ck_store *store) { return store->packs; }
struct ix_index *ck_index(struct ck_store *store) { return store->index; }
const struct flic_secret *ck_secret(const struct ck_store *store) { return &store->identity.secret; }
const struct flic_uuid *ck_store_uuid(const struct ck_store *store) { return &store->identity.store; }

void ck_get_recovery(const struct ck_store *store, struct ck_recovery *ret_recovery)
{
    *ret_recovery = store->recovery;
}

/* ---- opening ---- */

/* A bad index costs only its journal, which is set aside with it for whoever wants to read it. */
static int open_index(struct ck_store *store, const char *folder, struct flic_err *err)
{
    char path[PATH_MAX];
    int rc;

    (void)snprintf(path, sizeof(path), "%s/index.sqlite", folder);
    rc = ix_open(path, &store->index, err);
    if (rc != FLIC_E_DAMAGED)
        return rc;
    flic_warn("%s; it is set aside and rebuilt", err ? err->text : "the index is damaged");
    store->recovery.index_rebuilt = true;
    rc = ix_set_aside(path, err);
    return rc ? rc : ix_open(path, &store->index, err);
}

static int make_arena(struct ck_store *store, const struct ck_config *config, struct flic_err *err)
{
    int rc = nv_create(config->arena, config->arena_bytes, &store->identity.store, err);

    if (!rc)
        flic_info("created the NVRAM arena '%s', %llu MiB", config->arena, (unsigned long long)(config->arena_bytes >> 20));
    return rc;
}

/* One that is missing is made; so is one whose making was cut off. Only nv_create() can tell, which touches nothing that holds
 * anything: if it refuses, what nv_open() said is the thing to tell. */
static int open_arena(struct ck_store *store, const struct ck_config *config, struct flic_err *err)
{
    int rc = ck_unseen_check_arena(store, config->arena, err);

    if (rc)
        return rc;
    if (config->arena_bytes && access(config->arena, F_OK))
        rc = make_arena(store, config, err);
    if (!rc)
        rc = nv_open(config->arena, &store->identity.store, &store->arena, err);
    if (!config->arena_bytes || (rc != FLIC_E_NVRAM && rc != FLIC_E_FOREIGN && rc != FLIC_E_DAMAGED) ||
        make_arena(store, config, NULL))
        return rc;
    return nv_open(config->arena, &store->identity.store, &store->arena, err);
}

static int64_t now_ms(void) { return (int64_t)(flic_now_us() / 1000); }

/* The arena last: whether one that is missing may be made is known from what flash and the index say. */
static int open_parts(struct ck_store *store, const struct ck_config *config, struct flic_err *err)
{
    char packs[PATH_MAX];
    int rc = flic_make_folder(config->folder, 0700, err);

    (void)snprintf(packs, sizeof(packs), "%s/packs", config->folder);
    if (!rc)
        store->folder_fd = open(config->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!rc && store->folder_fd < 0)
        rc = flic_err_errno(err, "open the folder '%s'", config->folder);
    if (!rc)
        rc = ck_identity_load(config->folder, &store->identity, err);
    if (!rc)
        rc = pk_open(packs, &store->identity.secret, &store->packs, err);
    if (!rc)
        rc = open_index(store, config->folder, err);
    if (!rc)
        rc = ck_catalog_read_flash(store, err);
    if (!rc)
        rc = ck_unseen_find(store, err);
    return rc ? rc : open_arena(store, config, err);
}

int ck_open(const struct ck_config *config, struct ck_store **ret_store, struct flic_err *err)
{
    struct ck_store *store = calloc(1, sizeof(*store));
    int64_t began = now_ms();
    int rc;

    if (!store)
        return flic_err_set(err, -ENOMEM, "open the store: out of memory");
    (void)pthread_mutex_init(&store->lock, NULL);       /* these cannot fail with default attributes */
    (void)pthread_cond_init(&store->turn, NULL);
    store->flash_stat = store->folder_fd = -1;
    rc = open_parts(store, config, err);
    if (!rc)
        rc = ck_catalog_build(store, err);
    if (!rc && store->recovery.packs_quarantined)       /* then some checkpoint may need what is not there */
        rc = ck_find_damaged(store, err);
    if (rc) {
        ck_close(store);
        return rc;
    }
    store->flash_stat = ck_device_open(config->folder);
    ck_spare_make(store);
    store->recovery.took_ms = now_ms() - began;
    *ret_store = store;
    return 0;
}

void ck_close(struct ck_store *store)
{
    if (!store)
        return;
    if (store->flash_stat >= 0)
        (void)close(store->flash_stat);     /* only read */
    if (store->folder_fd >= 0)
        (void)close(store->folder_fd);      /* as well */
    ix_close(store->index);
    pk_close(store->packs);
    nv_close(store->arena);
    free(store->entries);
    free(store->tombs);
    free(store->users);
    free(store->unseen);
    marks_fini(&store->lost_stones);
    (void)pthread_cond_destroy(&store->turn);
    (void)pthread_mutex_destroy(&store->lock);
    explicit_bzero(&store->identity.secret, sizeof(store->identity.secret));
    free(store);
}

/* ---- who may run when ---- */

void ck_quiet_begin(struct ck_store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    store->quiet++;
    while (store->working)
        (void)pthread_cond_wait(&store->turn, &store->lock);
    (void)pthread_mutex_unlock(&store->lock);
}

void ck_quiet_end(struct ck_store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    store->quiet--;
    (void)pthread_cond_broadcast(&store->turn);
    (void)pthread_mutex_unlock(&store->lock);
}

void ck_work_begin(struct ck_store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    while (store->quiet)
        (void)pthread_cond_wait(&store->turn, &store->lock);
    store->working++;
    (void)pthread_mutex_unlock(&store->lock);
}

void ck_work_end(struct ck_store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    store->working--;
    (void)pthread_cond_broadcast(&store->turn);
    (void)pthread_mutex_unlock(&store->lock);
}

void ck_end_writer(struct ck_store *store, struct pk_writer *writer)
{
    if (!writer)
        return;
    ck_work_begin(store);       /* it removes its unsealed files */
    pk_writer_free(writer);
    ck_work_end(store);
}

bool ck_claim_moving(struct ck_store *store)
{
    bool free_to_move;

    (void)pthread_mutex_lock(&store->lock);
    free_to_move = !store->moving;
    store->moving = true;
    (void)pthread_mutex_unlock(&store->lock);
    return free_to_move;
}

void ck_end_moving(struct ck_store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    store->moving = false;
    (void)pthread_mutex_unlock(&store->lock);
}

static bool same_name(const struct nv_name *a, const struct nv_name *b)
{
    return a->seq == b->seq && flic_uuid_equal(&a->guest, &b->guest);
}

/* With the lock held: whether another use forbids this one. */
static bool is_taken(const struct ck_store *store, const struct ck_user *wanted)
{
    for (size_t i = 0; i < store->n_users; i++)
        if (same_name(&store->users[i].name, &wanted->name) && (wanted->forgets || store->users[i].forgets))
            return true;
    return false;
}

static int add_user(struct ck_store *store, const struct ck_user *wanted)
{
    struct ck_user *grown;

    if (!ck_catalog_has(store, &wanted->name))
        return FLIC_E_NOCHECKPOINT;
    if (is_taken(store, wanted))
        return FLIC_E_BUSY;
    grown = realloc(store->users, (store->n_users + 1) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    store->users = grown;
    store->users[store->n_users++] = *wanted;
    return 0;
}

static int claim(struct ck_store *store, const struct nv_name *name, bool forgets, struct flic_err *err)
{
    struct ck_user wanted = { .name = *name, .forgets = forgets };
    int rc;

    (void)pthread_mutex_lock(&store->lock);
    rc = add_user(store, &wanted);
    (void)pthread_mutex_unlock(&store->lock);
    if (rc == FLIC_E_NOCHECKPOINT)
        return flic_err_set(err, rc, "checkpoint number %llu was forgotten meanwhile: 'flic list' shows what there is",
                            (unsigned long long)name->seq);
    if (rc == FLIC_E_BUSY && forgets)
        return flic_err_set(err, rc, "checkpoint number %llu is in use by a running operation: wait for it or cancel it",
                            (unsigned long long)name->seq);
    if (rc == FLIC_E_BUSY)
        return flic_err_set(err, rc, "checkpoint number %llu is being forgotten: 'flic list' shows what there is", (unsigned long long)name->seq);
    return rc ? flic_err_set(err, rc, "use a checkpoint: out of memory") : 0;
}

int ck_use(struct ck_store *store, const struct nv_name *name, struct flic_err *err)
{
    return claim(store, name, false, err);
}

void ck_unuse(struct ck_store *store, const struct nv_name *name)
{
    (void)pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < store->n_users; i++) {
        if (same_name(&store->users[i].name, name)) {
            store->users[i] = store->users[--store->n_users];
            break;
        }
    }
    (void)pthread_mutex_unlock(&store->lock);
}

/* ---- forgetting ---- */

static int put_tombstone(struct ck_store *store, const struct nv_name *name, struct flic_err *err)
{
    uint8_t stone[CK_TOMBSTONE_SIZE];
    struct pk_writer *writer;
    struct flic_id id;
    int rc = pk_writer_new(store->packs, &writer, err);

    if (rc)
        return rc;
    ck_tombstone_encode(&name->guest, name->seq, stone);
    ck_work_begin(store);
    rc = pk_put(writer, PK_TOMBSTONE, stone, sizeof(stone), &id, NULL, err);
    if (!rc)
        rc = pk_seal(writer, err);
    ck_work_end(store);
    ck_end_writer(store, writer);
    return rc;
}

/* The tombstone lies on flash before anything is freed, so that a new or lost arena cannot bring the checkpoint back. */
int ck_bury(struct ck_store *store, const struct nv_name *name, struct flic_err *err)
{
    struct flic_err why = { 0 };
    int rc = put_tombstone(store, name, &why);

    if (rc == FLIC_E_NOSPACE && ck_spare_give(store))
        rc = put_tombstone(store, name, &why);
    return rc ? flic_err_set(err, rc, "%s", why.text) : 0;
}

static int drop_from_arena(struct ck_store *store, const struct nv_name *name, struct flic_err *err)
{
    int rc = nv_note_add(store->arena, name, NV_NOTE_FORGOTTEN, NULL, 0, err);

    if (!rc)
        rc = nv_note_drop(store->arena, name, NV_NOTE_FORGOTTEN, err);
    return rc ? rc : nv_note_drop(store->arena, name, NV_NOTE_RESTORED, err);
}

/* What a start did not see was told then, and would be told with every checkpoint that protect drops. */
static void free_now(struct ck_store *store, uint64_t *ret_freed_bytes)
{
    struct flic_err why = { 0 };
    int rc = ck_collect(store, NULL, 0, false, ret_freed_bytes, &why);

    if (rc == FLIC_E_REFUSED)
        flic_debug("nothing was freed on flash: %s", why.text);
    else if (rc)
        flic_warn("nothing was freed on flash: %s", why.text);
}

/* It is forgotten once it is buried: what cannot be freed now waits for the next collection. */
static int forget_claimed(struct ck_store *store, const struct nv_name *name, uint64_t *ret_freed_bytes,
                          struct flic_err *err)
{
    struct flic_err why = { 0 };
    int rc = ck_bury(store, name, err);

    if (!rc)
        rc = ck_catalog_remove(store, name, err);
    if (rc)
        return rc;
    ck_mirror_packs(store);     /* should the tombstone's pack be damaged one day, the index knows what it held */
    if (drop_from_arena(store, name, &why))
        flic_warn("a forgotten checkpoint keeps its NVRAM until flicd starts again: %s", why.text);
    if (ret_freed_bytes)
        free_now(store, ret_freed_bytes);
    return 0;
}

int ck_forget(struct ck_store *store, const struct nv_name *name, bool dry_run, uint64_t *ret_freed_bytes,
              struct flic_err *err)
{
    struct ck_entry entry;
    int rc = ck_find_exact(store, &name->guest, name->seq, &entry, err);

    if (rc)
        return rc;
    rc = claim(store, name, true, err);
    if (rc)
        return flic_err_wrap(err, rc, "forget %s@%llu", entry.info.name, (unsigned long long)name->seq);
    if (ret_freed_bytes)
        *ret_freed_bytes = 0;
    rc = dry_run ? ck_collect(store, name, 1, true, ret_freed_bytes, err) : forget_claimed(store, name, ret_freed_bytes, err);
    ck_unuse(store, name);
    return rc;
}
