/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/identity.h"

#include "common/bytes.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define IDENTITY_MAGIC 0x44494b43u      /* "CKID" */
#define IDENTITY_VERSION 1u
#define IDENTITY_SIZE (4 + 4 + 16 + sizeof(struct flic_secret) + 8)

/* Without the secret every pack is lost, so it stands twice: either file will do, and makes the other anew. */
enum { COPIES = 2 };
static const char *const files[COPIES] = { "identity", "identity.copy" };

/* In every version: a flipped bit must not pass for another version. */
static bool ends_in_its_sum(const void *data, size_t len)
{
    struct flic_reader r = flic_reader_of((const uint8_t *)data + len - 8, 8);

    return flic_get_u64(&r) == flic_checksum(data, len - 8);
}

static int parse(const void *data, size_t len, const char *path, struct ck_identity *ret, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(data, len);
    uint32_t magic = flic_get_u32(&r), version = flic_get_u32(&r);
    const void *store = flic_get_bytes(&r, sizeof(ret->store.b));
    const void *secret = flic_get_bytes(&r, sizeof(ret->secret));

    if (len < 16 || magic != IDENTITY_MAGIC || !ends_in_its_sum(data, len))
        return flic_err_set(err, FLIC_E_DAMAGED, "'%s' is damaged", path);
    if (version != IDENTITY_VERSION)
        return flic_err_set(err, FLIC_E_VERSION, "'%s' has format version %u, this build knows %u", path, version,
                            IDENTITY_VERSION);
    if (len != IDENTITY_SIZE || !store || !secret)
        return flic_err_set(err, FLIC_E_DAMAGED, "'%s' is damaged", path);
    memcpy(ret->store.b, store, sizeof(ret->store.b));
    memcpy(&ret->secret, secret, sizeof(ret->secret));
    return 0;
}

static bool has_packs(const char *folder)
{
    char path[PATH_MAX];
    struct dirent *entry;
    bool found = false;
    DIR *dir;

    (void)snprintf(path, sizeof(path), "%s/packs", folder);
    dir = opendir(path);
    while (dir && !found && (entry = readdir(dir)))
        found = strstr(entry->d_name, ".pack") != NULL;
    if (dir)
        (void)closedir(dir);    /* only read */
    return found;
}

/* ---- the two files ---- */

struct place {
    char path[PATH_MAX];
    struct ck_identity identity;
    struct flic_err why;
    int rc;                     /* of reading it; what could not be read may be written anew, but for a version that we do not know */
};

static void load(const char *folder, const char *name, struct place *ret)
{
    FLIC_AUTO_FREE void *data = NULL;
    size_t len;

    (void)snprintf(ret->path, sizeof(ret->path), "%s/%s", folder, name);
    ret->rc = flic_load_file(ret->path, 65536, &data, &len, &ret->why);
    if (!ret->rc)
        ret->rc = parse(data, len, ret->path, &ret->identity, &ret->why);
}

static int write_to(const struct place *place, const struct ck_identity *identity, struct flic_err *err)
{
    struct flic_builder b;
    int rc;

    flic_builder_init(&b);
    flic_put_u32(&b, IDENTITY_MAGIC);
    flic_put_u32(&b, IDENTITY_VERSION);
    flic_put_bytes(&b, identity->store.b, sizeof(identity->store.b));
    flic_put_bytes(&b, &identity->secret, sizeof(identity->secret));
    if (!b.bad)
        flic_put_u64(&b, flic_checksum(b.data, b.len));
    rc = b.bad ? flic_err_set(err, -ENOMEM, "store identity: out of memory")
               : flic_publish_file(place->path, b.data, b.len, 0600, err);
    flic_builder_fini(&b);
    return rc;
}

/* Nothing uses the secret before one file has it; the other is the next start's to write if this one is cut off. */
static int create(struct place places[COPIES], struct ck_identity *ret, struct flic_err *err)
{
    int rc = 0;

    if (flic_uuid_draw(&ret->store) || flic_secret_draw(&ret->secret))
        return flic_err_errno(err, "draw a store identity");
    for (int i = 0; !rc && i < COPIES; i++)
        rc = write_to(&places[i], ret, err);
    return rc;
}

/* None could be read: only a store that holds nothing gets one drawn. */
static int create_or_refuse(const char *folder, struct place places[COPIES], struct ck_identity *ret, struct flic_err *err)
{
    const struct place *worse = places[0].rc == -ENOENT ? &places[1] : &places[0];

    if (worse->rc != -ENOENT)
        return flic_err_set(err, worse->rc, "%s: put back a copy of '%s' or '%s', without it no page can be verified", worse->why.text,
                            places[0].path, files[1]);
    if (has_packs(folder))
        return flic_err_set(err, FLIC_E_DAMAGED, "'%s' and '%s' are missing but the store has packs: put back a copy of either", places[0].path,
                            files[1]);
    return create(places, ret, err);
}

static bool is_same(const struct ck_identity *a, const struct ck_identity *b)
{
    return flic_uuid_equal(&a->store, &b->store) && !memcmp(&a->secret, &b->secret, sizeof(a->secret));
}

/* The store works with one of them: that the other cannot be written is told, and tried again at the next start. */
static void mend(const struct place *sound, const struct place *other)
{
    struct flic_err err = { 0 };

    if (write_to(other, &sound->identity, &err))
        flic_warn("the store's identity stands only once, in '%s': %s", sound->path, err.text);
    else if (other->rc != -ENOENT)
        flic_warn("%s: it was written anew from '%s'", other->why.text, sound->path);
}

int ck_identity_load(const char *folder, struct ck_identity *ret_identity, struct flic_err *err)
{
    struct place places[COPIES] = { 0 };
    const struct place *sound;

    for (int i = 0; i < COPIES; i++) {
        load(folder, files[i], &places[i]);
        if (places[i].rc == FLIC_E_VERSION || places[i].rc == -ENOMEM)
            return flic_err_set(err, places[i].rc, "%s", places[i].why.text);
    }
    if (places[0].rc && places[1].rc)
        return create_or_refuse(folder, places, ret_identity, err);
    sound = places[0].rc ? &places[1] : &places[0];
    if (!places[0].rc && !places[1].rc && !is_same(&places[0].identity, &places[1].identity))
        return flic_err_set(err, FLIC_E_FOREIGN, "'%s' and '%s' are of two stores: remove the one that is not of this store's packs",
                            places[0].path, files[1]);
    if (places[0].rc || places[1].rc)
        mend(sound, places[0].rc ? &places[0] : &places[1]);
    *ret_identity = sound->identity;
    return 0;
}
