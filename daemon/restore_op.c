/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * restore_op - a restore as flicd runs it.
 *
 *   find -> load, verify -> fits this host? guest not alive? disks unchanged? -> ready -> (join) -> fill -> tracked, if it is to be
 *   -> (restored) -> lease noted
 *
 * Everything that can refuse does so before libxl makes a domain. After a failure libxl destroys the half domain; if libflicxl
 * is gone too, the look for orphans does. The checkpoint is never touched.
 */
#include "common/log.h"
#include "common/marks.h"
#include "daemon/arrive.h"
#include "daemon/checkpoint/restore.h"
#include "daemon/disks.h"
#include "daemon/filter/restore.h"
#include "daemon/filter_op.h"
#include "daemon/find.h"
#include "daemon/lease.h"
#include "daemon/op.h"
#include "daemon/peer_config.h"
#include "daemon/swap.h"
#include "daemon/tracking.h"

#include <stdio.h>

#define JOIN_TIMEOUT_S 60

struct run {
    struct fd_op *op;
    struct ck_entry entry;
    struct nv_name name;
    struct ck_loaded loaded;
    bool in_use, is_loaded, clone, ram_only;
    bool by_libxc;              /* its machine state is what was kept of libxc's stream */
    bool swapped;               /* the disks are the snapshots, until it is said that they stay or they are put back */
    struct flx_dom *dom;
    struct ck_restore_figures figures;
};

static json_t *figures_of(const struct run *r)
{
    const struct ck_restore_figures *f = &r->figures;

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "ram_pages", (json_int_t)f->ram_pages,
                     "zero_pages", (json_int_t)f->zero_pages, "nvram_pages", (json_int_t)f->nvram_pages,
                     "flash_pages", (json_int_t)f->flash_pages, "repaired_pages", (json_int_t)f->repaired_pages,
                     "install_us", (json_int_t)f->install_us, "fill_us", (json_int_t)f->fill_us, "map_us", (json_int_t)f->map_us,
                     "populate_us", (json_int_t)f->populate_us, "pages_us", (json_int_t)f->pages_us,
                     "state_us", (json_int_t)f->state_us, "total_us", (json_int_t)f->total_us,
                     "elapsed_ms", (json_int_t)(f->elapsed_ns / 1000000), "clock_went_back", f->clock_went_back);
}

/* ---- before there is a domain ---- */

/* Beside the original a clone may live that has no disk to write to: there is no copy of a disk for it. */
static int check_alive(const struct run *r, struct flic_err *err)
{
    struct flic_err share = { 0 };
    struct flx_info alive;
    int rc = fd_find_living(&r->entry.info.guest, NULL, &alive, err);

    if (rc <= 0)
        return rc;
    rc = fd_disks_can_share(r->loaded.root.config, r->clone ? err : &share);
    if (r->clone)
        return rc == FLIC_E_ALIVE ? flic_err_wrap(err, rc, "guest '%s' is alive as domain %u: destroy it before its clone is made",
                                                  r->entry.info.name, alive.domid) : rc;
    return flic_err_set(err, FLIC_E_ALIVE, "guest '%s' is alive as domain %u: two of one guest would ruin its disks; destroy it first%s",
                        r->entry.info.name, alive.domid, rc ? "" : ", or restore beside it with --clone");
}

/* Before anything is made: the pages would be missed in the middle of it. */
static int refuse_damaged(const struct run *r, struct flic_err *err)
{
    char what[CK_DAMAGE_TEXT];

    ck_damage_text(&r->entry, what);
    return flic_err_set(err, FLIC_E_DAMAGED, "checkpoint %s@%llu is damaged: %s; restore another one ('flic list'), or put back the packs that "
                        "were set aside as '*.bad' in '%s/packs' if they can be mended", r->entry.info.name,
                        (unsigned long long)r->entry.info.seq, what, r->op->daemon->conf.store);
}

static int fits(struct run *r, struct flic_err *err)
{
    const struct ck_root *root = &r->loaded.root;
    struct lf_kept kept;

    r->by_libxc = lf_is_kept(root->state, root->state_len);
    return r->by_libxc ? lf_restore_kept(&r->loaded, &kept, err) : flx_state_fits(root->state, root->state_len, err);
}

static int prepare(struct run *r, struct flic_err *err)
{
    struct fd_daemon *daemon = r->op->daemon;
    int rc = fd_find(daemon, r->op->request, &r->entry, err);

    if (rc)
        return rc;
    fd_op_describe(r->op, 0, r->entry.info.name);
    r->clone = json_is_true(json_object_get(r->op->request, "clone"));
    r->ram_only = json_is_true(json_object_get(r->op->request, "ram_only"));
    r->name = (struct nv_name){ .guest = r->entry.info.guest, .seq = r->entry.info.seq };
    rc = ck_use(daemon->store, &r->name, err);
    if (rc)
        return rc;
    r->in_use = true;
    if (r->entry.damaged)
        return refuse_damaged(r, err);
    rc = ck_load(daemon->store, &r->entry, &r->loaded, err);
    if (rc)
        return rc;
    r->is_loaded = true;
    rc = fits(r, err);
    if (rc)
        return flic_err_wrap(err, rc, "checkpoint %s@%llu", r->entry.info.name, (unsigned long long)r->name.seq);
    if (!r->clone)      /* claimed first: whoever restores it now is seen alive by the next one */
        rc = fd_op_claim_guest(r->op, &r->name.guest, err);
    if (!rc && !r->clone)
        rc = fd_lease_check(daemon, &r->name.guest, r->entry.info.name, err);
    if (!rc)
        rc = check_alive(r, err);
    if (!rc && !r->ram_only)
        rc = fd_disks_check(r->loaded.root.disks, err);
    return rc ? rc : pc_check_copy(daemon, &r->loaded.root, err);
}

/* Nothing else can refuse now. */
static int place_disks(struct run *r, struct flic_err *err)
{
    struct sn_where where = fd_where(r->op->daemon);
    int rc;

    if (r->ram_only || !sw_needed(r->loaded.root.disks))
        return 0;
    rc = r->clone ? fd_op_claim_guest(r->op, &r->entry.info.guest, err) : 0;    /* one at a time moves a guest's disks */
    if (rc)
        return rc;
    ck_work_begin(r->op->daemon->store);        /* it writes flash, and another guest's pause may be on */
    rc = ar_tidy_guest(r->op->daemon, &r->entry.info.guest, err);
    if (!rc)
        rc = sw_begin(&where, &r->entry.info.guest, r->loaded.root.disks, err);
    ck_work_end(r->op->daemon->store);
    r->swapped = !rc;
    return rc;
}

static int end_swap(struct run *r, bool stays, struct flic_err *err)
{
    struct sn_where where = fd_where(r->op->daemon);
    int rc;

    if (!r->swapped)
        return 0;
    ck_work_begin(r->op->daemon->store);
    rc = stays ? sw_commit(&where, &r->entry.info.guest, err) : sw_undo(&where, &r->entry.info.guest, err);
    ck_work_end(r->op->daemon->store);
    if (!rc)
        r->swapped = false;
    return rc;
}

static int say_ready(struct run *r, struct flic_err *err)
{
    const struct ck_root *root = &r->loaded.root;
    char hex[FLIC_HEX_TEXT(CK_REFERENCE_SIZE)];
    struct flx_state_info state = { .gic = 0 };
    struct lf_kept kept = { .emulator_len = 0 };
    json_t *msg;
    int rc = r->by_libxc ? lf_kept_parse(root->state, root->state_len, &kept, err)
                         : flx_state_parse(root->state, root->state_len, &state, err);

    if (rc)
        return rc;
    ck_reference_text(&r->loaded.root.facts, hex);
    msg = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:I}", "event", "ready", "operation", r->op->id, "config",
                    r->loaded.root.config, "reference", hex, "gic", (int)state.gic, "domain", r->entry.info.name,
                    "seq", (json_int_t)r->name.seq);
    if (!msg)
        return flic_err_set(err, FLIC_E_DAMAGED, "checkpoint %s@%llu: its configuration is not text", r->entry.info.name,
                            (unsigned long long)r->name.seq);
    rc = fd_filter_add_records(msg, "records", kept.emulator, kept.emulator_len, err);
    if (rc)
        json_decref(msg);
    else
        fd_op_to_owner(r->op, msg);
    return rc;
}

/* ---- with the fresh domain ---- */

static uint32_t join_u32(const struct run *r, const char *member)
{
    json_int_t v = json_integer_value(json_object_get(r->op->join, member));

    return v < 0 || v > INT32_MAX ? 0 : (uint32_t)v;
}

/* libxc builds the domain, and says itself where its rings are. */
static int fill_by_libxc(struct run *r, struct flic_err *err)
{
    struct lf_restore_params params = { .progress = fd_op_progress, .arg = r->op };
    int rc = fd_filter_open(r->op, &params.to, err);

    if (!rc)
        rc = lf_restore(r->op->daemon->store, &r->loaded, &params, &r->figures, err);
    lf_pipe_free(params.to);
    if (!rc)
        fd_op_to_helper(r->op, json_pack("{s:b}", "ok", 1), true);
    return rc;
}

static int fill_own(struct run *r, struct flic_err *err)
{
    struct ck_restore_params params = {
        .ports = { .store_port = join_u32(r, "store_port"), .store_domid = join_u32(r, "store_domid"),
                   .console_port = join_u32(r, "console_port"), .console_domid = join_u32(r, "console_domid") },
        .threads = fd_cpus(), .cancelled = fd_op_cancelled, .progress = fd_op_progress, .arg = r->op,
    };
    struct flx_built built;
    int rc;

    params.dom = r->dom;
    rc = ck_restore(r->op->daemon->store, &r->loaded, &params, &built, &r->figures, err);
    if (rc)
        return rc;
    fd_tracking_begin_filled(r->op->daemon, r->dom, &r->loaded);    /* before libxl, Xen or the guest write to it */
    fd_op_to_helper(r->op, json_pack("{s:b, s:I, s:I}", "ok", 1, "store_gfn", (json_int_t)built.store_gfn,
                                     "console_gfn", (json_int_t)built.console_gfn), true);
    return 0;
}

static int fill(struct run *r, struct flic_err *err)
{
    uint32_t domid = join_u32(r, "domid");
    int rc = domid ? flx_open(domid, &r->dom, err) : flic_err_set(err, FLIC_E_PROTOCOL, "the helper named no domain to fill");

    if (!rc)
        rc = fd_check_fresh(r->dom, err);
    if (rc)
        return rc;
    fd_op_describe(r->op, domid, r->entry.info.name);
    rc = flx_tell_guest(r->dom, MARK_RESTORING, r->op->id, err);
    if (rc)
        return rc;
    return r->by_libxc ? fill_by_libxc(r, err) : fill_own(r, err);
}

/* The count travels with the checkpoint's name in the arena; the guest reads its own from xenstore. */
static int note_lease(struct run *r, struct flic_err *err)
{
    struct ck_store *store = r->op->daemon->store;
    uint32_t count = r->entry.info.restored + 1;
    char text[16];
    int rc = nv_note_add(ck_arena(store), &r->name, NV_NOTE_RESTORED, &count, sizeof(count), err);

    if (!rc)
        ck_count_restore(store, &r->name);
    (void)snprintf(text, sizeof(text), "%u", count);
    return rc ? rc : flx_tell_guest(r->dom, "flic/restored", text, err);
}

/* The last step: until then the domain is half a guest, which whoever finds it destroys. Where nothing but xl is to let it run, and xl does
 * not live to do it, the next look for orphans does; a guest with a device model needs libxl for that. */
static int give_over(struct run *r, struct flic_err *err)
{
    bool stays_paused = json_is_true(json_object_get(r->op->request, "paused"));

    return flx_tell_guest(r->dom, MARK_RESTORING, stays_paused || r->by_libxc ? "" : MARK_WHOLE, err);
}

static int all_steps(struct run *r, struct flic_err *err)
{
    int rc = prepare(r, err);

    if (!rc)
        rc = place_disks(r, err);
    if (!rc)
        rc = say_ready(r, err);
    if (!rc)
        rc = fd_op_wait(r->op, FD_WAIT_JOIN, JOIN_TIMEOUT_S, err);
    if (!rc)
        rc = fill(r, err);
    if (!rc)
        rc = fd_op_wait(r->op, FD_WAIT_FINISH, 0, err);
    if (!rc)
        rc = note_lease(r, err);
    if (!rc)
        rc = end_swap(r, true, err);
    return rc ? rc : give_over(r, err);
}

static void finish(struct run *r, int rc, const struct flic_err *err)
{
    struct ix_entry entry = { .verb = "restore", .guest = r->entry.info.guest, .seq = r->entry.info.seq };

    fd_op_end(r->op, rc, err, json_pack("{s:b, s:s, s:I}", "ok", 1, "domain", r->entry.info.name, "seq", (json_int_t)r->name.seq), figures_of(r),
              &entry, r->entry.info.name);
}

void fd_run_restore(struct fd_op *op)
{
    struct run r = { .op = op };
    struct flic_err err = { 0 };
    struct flic_err why = { 0 };
    int rc = all_steps(&r, &err);

    if (rc && end_swap(&r, false, &why))
        flic_error("put the disks of '%s' back: %s; the next restore of it or start of flicd does it", r.entry.info.name, why.text);
    finish(&r, rc, &err);
    flx_close(r.dom);
    if (r.is_loaded)
        ck_unload(op->daemon->store, &r.loaded);
    if (r.in_use)
        ck_unuse(op->daemon->store, &r.name);
}
