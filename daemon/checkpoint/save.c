/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/ending.h"
#include "daemon/checkpoint/save_priv.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct ck_facts *ck_save_facts(const struct ck_save *save) { return &save->facts; }
const uint64_t *ck_save_dirty(const struct ck_save *save) { return save->dirty; }
const struct ck_save_figures *ck_save_get_figures(const struct ck_save *save) { return &save->figures; }

const void *ck_save_state(const struct ck_save *save, size_t *ret_len)
{
    *ret_len = save->state_len;
    return save->state;
}

static int name_it(struct ck_save *save, struct flic_err *err)
{
    struct flx_host host;

    if (flic_uuid_draw(&save->facts.id))
        return flic_err_errno(err, "draw a checkpoint id");
    flx_host_probe(&host);
    memcpy(save->facts.arch, host.arch, sizeof(save->facts.arch));
    memcpy(save->facts.name, save->info.name, sizeof(save->facts.name));
    save->facts.guest = save->info.uuid;
    save->facts.store = *ck_store_uuid(save->store);
    save->facts.gfn_end = save->info.gfn_end;
    return ck_next_seq(save->store, &save->facts.guest, &save->facts.seq, err);
}

/* Everything whose size depends on the guest is allocated here, before anything was done to it. */
static int allocate(struct ck_save *save, struct flic_err *err)
{
    if (save->info.gfn_end > CK_GFN_END_MAX)
        return flic_err_set(err, FLIC_E_REFUSED, "domain '%s' reaches gfn 0x%llx: too large", save->info.name,
                            (unsigned long long)save->info.gfn_end);
    save->window = malloc((size_t)CK_WINDOW * FLIC_PAGE_SIZE);
    save->delta_room = (size_t)save->info.pages + 4096;     /* gone and special pages can be dirty too */
    save->delta = malloc(save->delta_room * CK_DELTA_ENTRY);
    /* Even if every gfn were mapped ahead, in vain, and dirty. */
    save->maps = calloc(2 * (ck_words(save->info.gfn_end) * 64 / CK_WINDOW + 1), sizeof(*save->maps));
    if (!save->window || !save->delta || !save->maps)
        return flic_err_set(err, -ENOMEM, "save '%s': out of memory", save->info.name);
    return 0;
}

/* The one lent to it, or its own. */
static int take_base(struct ck_save *save, struct flic_err *err)
{
    struct pk_put_stats stats;
    int rc = 0;

    save->base = save->params.base;
    if (!save->base)
        rc = ck_base_new(save->store, save->info.gfn_end, &save->base, err);
    else if (save->base->gfn_end != save->info.gfn_end)
        rc = flic_err_set(err, FLIC_E_BUSY, "save '%s': its memory was resized just now: save it again", save->info.name);
    if (rc)
        return rc;
    save->map = save->base->map;
    save->writer = save->base->writer;
    save->dirty = save->base->dirty;
    pk_get_put_stats(save->writer, &stats);
    save->flash_before = stats.flash_bytes;
    return 0;
}

int ck_save_new(struct ck_store *store, const struct ck_save_params *params, struct ck_save **ret_save, struct flic_err *err)
{
    struct ck_save *save = calloc(1, sizeof(*save));
    int rc;

    if (!save)
        return flic_err_set(err, -ENOMEM, "save: out of memory");
    save->store = store;
    save->params = *params;
    rc = flx_info(params->dom, &save->info, err);
    if (!rc)
        rc = flx_can_save(params->dom, err);
    if (!rc)
        rc = name_it(save, err);
    if (!rc)
        rc = allocate(save, err);
    if (!rc)
        rc = take_base(save, err);
    if (!rc) {
        rc = ck_reserve(store, err);
        save->reserved = !rc;
    }
    if (rc) {
        ck_save_free(save);
        return rc;
    }
    *ret_save = save;
    return 0;
}

int ck_save_fetch_dirty(struct ck_save *save, bool last, struct flic_err *err)
{
    int rc = last ? ck_base_fetch_last(save->base, save->params.dom, err)
                  : ck_base_fetch(save->base, save->params.dom, FLX_EXACT, err);

    if (rc)
        return rc;
    for (size_t i = 0; i < ck_words(save->info.gfn_end); i++)
        save->dirty[i] |= save->base->fetched[i];
    if (save->params.dirtied)
        save->params.dirtied(save->params.arg, save->base->fetched, save->info.gfn_end);
    return 0;
}

size_t ck_save_next_window(const struct ck_save *save, const uint64_t *without, uint64_t *gfn, uint64_t gfns[CK_WINDOW])
{
    size_t n = 0;

    while (*gfn < save->info.gfn_end && n < CK_WINDOW) {
        if (!(*gfn % 64) && !save->dirty[*gfn / 64]) {
            *gfn += 64;
            continue;
        }
        if (ck_bit(save->dirty, *gfn) && !(without && ck_bit(without, *gfn)))
            gfns[n++] = *gfn;
        ++*gfn;
    }
    return n;
}

int ck_save_map(struct ck_save *save, const uint64_t *gfns, size_t n, const uint8_t **ret_base, uint8_t *kind, struct flic_err *err)
{
    int rc = flx_map_pages(save->params.dom, gfns, n, false, &save->maps[save->n_maps], kind, err);

    if (!rc)
        *ret_base = flx_map_base(save->maps[save->n_maps++]);
    return rc;
}

void ck_save_unmap(struct ck_save *save)
{
    while (save->n_maps)
        flx_unmap(save->maps[--save->n_maps]);
    ck_ahead_free(save->ahead);
    save->ahead = NULL;
}

/* What was lost since the rounds ended can only be had from the guest: so that one must not be destroyed for this checkpoint. */
static int check_there(struct ck_save *save, struct flic_err *err)
{
    uint64_t lost;
    int rc = ck_base_look_again(save->base, save->store, &lost, err);

    if (rc || !lost)
        return rc;
    return flic_err_set(err, FLIC_E_DAMAGED, "verify has just found a pack damaged that %llu of its pages were in: the guest has them still and runs on; save "
                        "it again", (unsigned long long)lost);
}

int ck_save_publish(struct ck_save *save, const char *disks, size_t len, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    int rc = check_there(save, err);

    if (!rc)
        rc = ck_publish(save->store, &save->facts, save->base->losses, disks, len, err);
    if (rc)
        return flic_err_wrap(err, rc, "save '%s'", save->facts.name);
    save->published = true;
    save->reserved = false;
    save->figures.publish_us = flic_now_us() - began;
    return 0;
}

void ck_save_free(struct ck_save *save)
{
    struct nv_name name;
    struct flic_err err = { 0 };

    if (!save)
        return;
    if (save->tracking && flx_track_off(save->params.dom, &err))
        flic_debug("after a save: %s", err.text);   /* the domain may be gone by now */
    nv_txn_abort(save->txn);
    if (save->committed && !save->published) {
        name = (struct nv_name){ .guest = save->facts.guest, .seq = save->facts.seq };
        if (nv_drop_unpublished(ck_arena(save->store), &name, &err))
            flic_warn("drop an unpublished checkpoint: %s; the next start of flicd does it", err.text);
    }
    if (!save->params.base)
        ck_base_free(save->store, save->base);
    else if (save->writer && pk_writer_failed(save->writer))
        save->base->lost = true;
    if (save->reserved)
        ck_unreserve(save->store);
    if (save->maps)
        ck_save_unmap(save);
    team_free(save->team);
    free(save->state);
    free(save->leaves);
    free(save->delta);
    free(save->maps);
    free(save->window);
    free(save);
}
