/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/nvram/arena.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum super_state { SUPER_GOOD, SUPER_DAMAGED, SUPER_NOT_OURS, SUPER_NEWER };

static uint64_t sum_of(const struct nvl_super *super)
{
    return flic_checksum(super, offsetof(struct nvl_super, sum));
}

static enum super_state load(const struct nv_media *media, unsigned copy, struct nvl_super *ret_super)
{
    struct nvl_geometry geo;

    memcpy(ret_super, media->base + NVL_SUPER_AT(copy), sizeof(*ret_super));
    if (ret_super->sum != sum_of(ret_super))
        return ret_super->magic == NVL_MAGIC ? SUPER_DAMAGED : SUPER_NOT_OURS;
    if (ret_super->magic != NVL_MAGIC)
        return SUPER_NOT_OURS;
    if (ret_super->version != NVL_VERSION)
        return SUPER_NEWER;
    if (ret_super->page_size != FLIC_PAGE_SIZE || !nvl_geometry_of(ret_super->size_bytes, &geo) ||
        geo.size_bytes != ret_super->size_bytes || geo.log_bytes != ret_super->log_bytes ||
        geo.frames != ret_super->frames)
        return SUPER_DAMAGED;
    return SUPER_GOOD;
}

static int write_supers(struct nv_media *media, const struct nvl_super *super, struct flic_err *err)
{
    nv_store(media, NVL_SUPER_AT(0), super, sizeof(*super));
    nv_store(media, NVL_SUPER_AT(1), super, sizeof(*super));
    nv_flush(media, 0, NVL_SUPER_AT(2));
    return nv_fence(media, err);
}

void nv_super_repair(struct nv_media *media, const struct nvl_super *super)
{
    struct nvl_super copy;

    for (unsigned i = 0; i < 2; i++) {
        if (load(media, i, &copy) == SUPER_GOOD)
            continue;
        nv_store(media, NVL_SUPER_AT(i), super, sizeof(*super));
        nv_flush(media, NVL_SUPER_AT(i), sizeof(*super));
    }
}

int nv_super_read(const struct nv_media *media, const char *path, struct nvl_super *ret_super,
                  uint32_t *ret_damaged, struct flic_err *err)
{
    struct nvl_super copies[2];
    enum super_state state[2];
    unsigned use;

    if (media->size < NVL_SIZE_MIN)
        return flic_err_set(err, FLIC_E_NVRAM, "arena '%s' has %llu bytes; the least is %llu: give 'nvram' in flicd.conf another "
                            "path, or remove it and set 'nvram_size_mib'", path,
                            (unsigned long long)media->size, (unsigned long long)NVL_SIZE_MIN);
    for (unsigned i = 0; i < 2; i++)
        state[i] = load(media, i, &copies[i]);
    if (state[0] != SUPER_GOOD && state[1] != SUPER_GOOD) {
        for (unsigned i = 0; i < 2; i++)
            if (state[i] == SUPER_NEWER)
                return flic_err_set(err, FLIC_E_VERSION, "arena '%s' has format version %u; this build knows %u",
                                    path, copies[i].version, NVL_VERSION);
        if (state[0] == SUPER_NOT_OURS && state[1] == SUPER_NOT_OURS)
            return flic_err_set(err, FLIC_E_FOREIGN, "'%s' is not a FLIC arena: give 'nvram' in flicd.conf another path, or remove "
                                "what is there", path);
        return flic_err_set(err, FLIC_E_DAMAGED, "both superblocks of arena '%s' are damaged: " NVL_NEXT_STEP, path);
    }
    use = state[0] == SUPER_GOOD ? 0 : 1;
    if (copies[use].size_bytes > media->size)
        return flic_err_set(err, FLIC_E_NVRAM, "arena '%s' was cut short: %llu bytes of %llu are there", path,
                            (unsigned long long)media->size, (unsigned long long)copies[use].size_bytes);
    *ret_damaged = state[!use] != SUPER_GOOD;
    *ret_super = copies[use];
    return 0;
}

/* ---- creating ---- */

/* A creation that was cut off leaves parts of the superblocks and zeros; it may be done again. Their first word is
 * ours or still zero. */
static bool unfinished(const uint8_t *base, uint64_t size)
{
    uint64_t at = 0;

    for (unsigned copy = 0; copy < 2; copy++) {
        uint64_t super_at = NVL_SUPER_AT(copy);
        struct nvl_super super;

        if (size < super_at + sizeof(super))
            return false;
        memcpy(&super, base + super_at, sizeof(super));
        if (super.magic && super.magic != NVL_MAGIC)
            return false;
        if (super.magic == NVL_MAGIC && super.sum == sum_of(&super))
            return false;
        if (!flic_is_zero(base + at, super_at - at))
            return false;
        at = super_at + sizeof(super);
    }
    return flic_is_zero(base + at, size - at);
}

static int check_blank(const uint8_t *base, uint64_t size, const char *path, struct flic_err *err)
{
    struct nv_media media = { .base = (uint8_t *)(uintptr_t)base, .size = size };   /* read only */
    struct nvl_super super;
    uint32_t damaged;

    if (flic_is_zero(base, size) || unfinished(base, size))
        return 0;
    if (!nv_super_read(&media, path, &super, &damaged, NULL))
        return flic_err_set(err, FLIC_E_FOREIGN, "'%s' is an arena already; remove it first if nothing in it is "
                            "needed", path);
    return flic_err_set(err, FLIC_E_FOREIGN, "'%s' holds something else than zeros; FLIC does not overwrite it", path);
}

static int draw_super(struct nvl_super *super, const struct nvl_geometry *geo, const struct flic_uuid *store)
{
    struct flic_uuid arena;
    int rc = flic_uuid_draw(&arena);

    if (rc)
        return rc;
    *super = (struct nvl_super){
        .magic = NVL_MAGIC, .version = NVL_VERSION, .page_size = FLIC_PAGE_SIZE,
        .size_bytes = geo->size_bytes, .log_bytes = geo->log_bytes, .frames = geo->frames,
    };
    memcpy(super->arena, arena.b, sizeof(super->arena));
    memcpy(super->store, store->b, sizeof(super->store));
    if (getrandom(&super->salt, sizeof(super->salt), 0) != sizeof(super->salt))
        return errno ? -errno : -EIO;
    super->sum = sum_of(super);
    return 0;
}

int nv_create(const char *path, uint64_t size_bytes, const struct flic_uuid *store, struct flic_err *err)
{
    struct nvl_geometry geo;
    struct nvl_super super;
    struct nv_media *media;
    int rc;

    if (size_bytes && !nvl_geometry_of(size_bytes, &geo))
        return flic_err_set(err, FLIC_E_NVRAM, "an arena of %llu bytes is too small; the least is %llu",
                            (unsigned long long)size_bytes, (unsigned long long)NVL_SIZE_MIN);
    rc = nv_media_create(path, size_bytes, check_blank, &media, err);
    if (rc)
        return rc;
    if (!nvl_geometry_of(size_bytes ? size_bytes : media->size, &geo))
        rc = flic_err_set(err, FLIC_E_NVRAM, "'%s' has %llu bytes; the least for an arena is %llu", path,
                          (unsigned long long)media->size, (unsigned long long)NVL_SIZE_MIN);
    if (!rc) {
        rc = draw_super(&super, &geo, store);
        if (rc)
            (void)flic_err_set(err, rc, "create arena '%s': the kernel gives no random bytes", path);
    }
    if (!rc)
        rc = write_supers(media, &super, err);
    nv_media_close(media);
    return rc;
}
