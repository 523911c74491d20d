/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/identity.h"

#include "common/bytes.h"
#include "common/io.h"
#include "common/mem.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define IDENTITY_MAGIC 0x44494b43u      /* "CKID" */
#define IDENTITY_VERSION 1u
#define IDENTITY_SIZE (4 + 4 + 16 + sizeof(struct flic_secret) + 8)

static int parse(const void *data, size_t len, const char *path, struct ck_identity *ret, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(data, len);
    uint32_t magic = flic_get_u32(&r), version = flic_get_u32(&r);
    const void *store = flic_get_bytes(&r, sizeof(ret->store.b));
    const void *secret = flic_get_bytes(&r, sizeof(ret->secret));

    if (len >= 8 && magic == IDENTITY_MAGIC && version != IDENTITY_VERSION)
        return flic_err_set(err, FLIC_E_VERSION, "'%s' has format version %u, this build knows %u", path, version,
                            IDENTITY_VERSION);
    if (len != IDENTITY_SIZE || magic != IDENTITY_MAGIC || !store || !secret ||
        flic_get_u64(&r) != flic_checksum(data, len - 8))
        return flic_err_set(err, FLIC_E_DAMAGED, "'%s' is damaged: put back a copy of it, without it no page can be verified",
                            path);
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

static int create(const char *path, struct ck_identity *ret, struct flic_err *err)
{
    struct flic_builder b;
    int rc;

    if (flic_uuid_draw(&ret->store) || flic_secret_draw(&ret->secret))
        return flic_err_errno(err, "draw a store identity");
    flic_builder_init(&b);
    flic_put_u32(&b, IDENTITY_MAGIC);
    flic_put_u32(&b, IDENTITY_VERSION);
    flic_put_bytes(&b, ret->store.b, sizeof(ret->store.b));
    flic_put_bytes(&b, &ret->secret, sizeof(ret->secret));
    if (!b.bad)
        flic_put_u64(&b, flic_checksum(b.data, b.len));
    rc = b.bad ? flic_err_set(err, -ENOMEM, "store identity: out of memory")
               : flic_publish_file(path, b.data, b.len, 0600, err);
    flic_builder_fini(&b);
    return rc;
}

int ck_identity_load(const char *folder, struct ck_identity *ret_identity, struct flic_err *err)
{
    FLIC_AUTO_FREE void *data = NULL;
    char path[PATH_MAX];
    size_t len;
    int rc;

    (void)snprintf(path, sizeof(path), "%s/identity", folder);
    rc = flic_load_file(path, 65536, &data, &len, err);
    if (rc == -ENOENT) {
        if (has_packs(folder))
            return flic_err_set(err, FLIC_E_DAMAGED, "'%s' is missing but the store has packs: put back a copy of it", path);
        return create(path, ret_identity, err);
    }
    return rc ? rc : parse(data, len, path, ret_identity, err);
}
