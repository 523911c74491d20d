/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * receive_op - a guest arrives from a peer.
 *
 *   ready -> (tunnel) -> the offer heard; can it be here? -> offered -> libxl makes a domain, (join) -> its pages -> whole, durable
 *         -> libxl done (restored), "copy" durable -> told to the peer; go -> published, "running" durable -> it runs -> confirmed
 *
 * Until "running" is written a failure leaves nothing but pages in the store; the sender's guest goes on there. Should we end between published and
 * "running", what is offered then cannot be restored: it is held as a copy.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/marks.h"
#include "daemon/arrive.h"
#include "daemon/find.h"
#include "daemon/kept.h"
#include "daemon/lease.h"
#include "daemon/lineage.h"
#include "daemon/migrate/receive.h"
#include "daemon/moves.h"
#include "daemon/op.h"
#include "daemon/peer_config.h"
#include "daemon/upkeep.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TUNNEL_TIMEOUT_S 30
#define JOIN_TIMEOUT_S 120
#define GONE_US 20000000u

struct run {
    struct fd_op *op;
    struct mw_wire *wire;
    struct mr_receiver *receiver;
    struct fd_lineage lineage;
    struct flx_dom *dom;
    struct ar_disks *disks;
    char *disk_list;
    struct mv_move move;
    struct flic_uuid hold;      /* fd_lease_hold_arrival() */
    bool held, may_be_offered;
    bool ours;
    uint64_t seq;
    char name[256];
    struct mr_figures figures;
    struct mw_counts counts;
};

static bool is_cancelled(void *arg)
{
    struct run *r = arg;

    return !r->ours && fd_op_cancelled(r->op);
}

static void progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    fd_op_progress(((struct run *)arg)->op, phase, done, total);
}

/* ---- what is offered ---- */

/* *ret_runs: it is one that runs. */
static int check_alive(const struct mh_offer *offer, bool *ret_runs, struct flic_err *err)
{
    struct flx_info alive;
    int rc = fd_find_living(&offer->guest, offer->name, &alive, err);

    *ret_runs = rc > 0 && alive.run == FLX_RUNNING;
    if (rc <= 0)
        return rc;
    if (flic_uuid_equal(&alive.uuid, &offer->guest))
        return flic_err_set(err, FLIC_E_ALIVE, "guest '%s' is alive here already, as domain %u", offer->name, alive.domid);
    return flic_err_set(err, FLIC_E_REFUSED, "the name '%s' is taken here, by domain %u: rename that one first", offer->name, alive.domid);
}

/* Nobody else restores or receives it. What an arrival that was broken off had built is there, paused, until its toolstack or a look for orphans has
 * destroyed it, a little later. */
static int claim(struct run *r, const struct mh_offer *offer, struct flic_err *err)
{
    uint64_t until;
    bool runs;
    int rc = fd_op_displace(r->op, &offer->guest, err);

    if (rc)
        return rc;
    until = flic_now_us() + GONE_US;
    rc = check_alive(offer, &runs, err);
    while (rc == FLIC_E_ALIVE && !runs && flic_now_us() < until && !fd_op_cancelled(r->op)) {
        (void)usleep(100000);
        rc = check_alive(offer, &runs, err);
    }
    return rc;
}

/* From here on it is what we read in it that counts, for us and for libxl. */
static int take_config(struct run *r, struct flic_err *err)
{
    const struct mh_offer *offer = mr_offer(r->receiver);
    char *config = NULL;
    int rc = pc_take(&r->op->daemon->conf, offer->config, &offer->guest, offer->name, &config, err);

    if (!rc)
        mr_set_config(r->receiver, config);
    return rc;
}

static int check_offer(struct run *r, struct flic_err *err)
{
    const struct mh_offer *offer = mr_offer(r->receiver);
    size_t len;
    const void *sketch = mr_sketch(r->receiver, &len);
    int rc = flx_state_fits(sketch, len, err);

    (void)snprintf(r->name, sizeof(r->name), "%s", offer->name);
    r->move = (struct mv_move){ .migration = offer->migration, .guest = offer->guest, .state = MV_RUNNING };
    (void)snprintf(r->move.name, sizeof(r->move.name), "%s", offer->name);
    fd_op_describe(r->op, 0, offer->name);
    if (!rc)
        rc = claim(r, offer, err);
    if (!rc)
        rc = take_config(r, err);
    if (!rc)
        rc = ar_new(r->op->daemon, offer, &r->disks, err);
    return rc;
}

static int know_other(void *arg, const struct ck_loaded *other, struct flic_err *err)
{
    return mr_know(arg, other, err);
}

/* What is here already of it; else, for a peer of the same owner group, of its siblings. */
static int begin(struct run *r, struct flic_err *err)
{
    struct fd_daemon *daemon = r->op->daemon;
    struct fd_lineage *l = &r->lineage;
    int rc = 0;

    fd_lineage_open(daemon, &r->move.guest, true, l);
    if (mr_is_group(r->receiver, daemon->conf.owner_group))
        rc = fd_lineage_others(l, know_other, r->receiver, err);
    if (!rc)
        rc = mr_begin(r->receiver, daemon->host.arch, l->base, l->earlier, err);
    if (!rc)
        fd_lineage_begun(l, mr_arrival(r->receiver));
    return rc;
}

/* ---- steps ---- */

static int on_disk(void *arg, const struct mw_message *m, struct flic_err *err)
{
    struct run *r = arg;
    uint64_t done, total;
    int rc = ar_message(r->disks, m, err);

    ar_progress(r->disks, &done, &total);
    progress(r, "disk", done, total);
    return rc;
}

/* After the checkpoint has its number, and before libxl looks for the files. */
static int place_disks(struct run *r, struct flic_err *err)
{
    int rc;

    ck_work_begin(r->op->daemon->store);        /* it writes flash, and another guest's pause may be on */
    rc = ar_place(r->disks, mr_facts(r->receiver)->seq, r->lineage.earlier_disks, err);
    ck_work_end(r->op->daemon->store);
    ar_kept_free(r->lineage.earlier_disks);
    r->lineage.earlier_disks = NULL;
    return rc ? rc : ar_begin(r->disks, r->wire, mr_key(r->receiver), err);
}

static int hear(struct run *r, struct flic_err *err)
{
    struct fd_op *op = r->op;
    struct mr_params params = { .store = op->daemon->store, .progress = progress, .disk = on_disk, .arg = r };
    int rc = fd_op_wire(op, TUNNEL_TIMEOUT_S, is_cancelled, r, &r->wire, err);

    params.wire = r->wire;
    if (!rc)
        rc = mr_hear(&params, &r->receiver, err);
    if (!rc)
        rc = check_offer(r, err);
    if (!rc)
        rc = begin(r, err);
    return rc ? rc : place_disks(r, err);
}

static int say_offered(struct run *r, struct flic_err *err)
{
    char hex[FLIC_HEX_TEXT(CK_REFERENCE_SIZE)];
    const struct mh_offer *offer = mr_offer(r->receiver);
    struct flx_state_info state;
    size_t len;
    const void *sketch = mr_sketch(r->receiver, &len);
    json_t *msg;
    int rc = flx_state_parse(sketch, len, &state, err);

    if (rc)
        return rc;
    r->seq = r->move.seq = mr_facts(r->receiver)->seq;
    ck_reference_text(mr_facts(r->receiver), hex);
    msg = json_pack("{s:s, s:s, s:s, s:i, s:s, s:I}", "event", "offered", "config", offer->config, "reference", hex, "gic", (int)state.gic,
                    "domain", offer->name, "seq", (json_int_t)r->seq);
    if (!msg)
        return flic_err_set(err, FLIC_E_PROTOCOL, "the peer's configuration is not text");
    fd_op_to_owner(r->op, msg);
    return 0;
}

static uint32_t join_u32(const struct run *r, const char *member)
{
    json_int_t v = json_integer_value(json_object_get(r->op->join, member));

    return v < 0 || v > INT32_MAX ? 0 : (uint32_t)v;
}

static int fill(struct run *r, struct flic_err *err)
{
    struct flx_ports ports = { .store_port = join_u32(r, "store_port"), .store_domid = join_u32(r, "store_domid"),
                               .console_port = join_u32(r, "console_port"), .console_domid = join_u32(r, "console_domid") };
    uint32_t domid = join_u32(r, "domid");
    struct flx_built built;
    int rc;

    if (!domid)
        return flic_err_set(err, FLIC_E_PROTOCOL, "the helper named no domain to fill");
    rc = flx_open(domid, &r->dom, err);
    if (!rc)
        rc = fd_check_fresh(r->dom, err);
    if (rc)
        return rc;
    r->move.domid = domid;
    fd_op_describe(r->op, domid, r->name);
    rc = mv_mark(r->dom, MARK_RESTORING, &r->move.migration, err);
    if (!rc)
        rc = mr_accept(r->receiver, ar_has(r->disks), err);
    if (!rc)
        rc = mr_take(r->receiver, r->dom, err);
    if (!rc)
        rc = mr_finish(r->receiver, &ports, &built, err);
    if (rc)
        return rc;
    fd_op_to_helper(r->op, json_pack("{s:b, s:I, s:I}", "ok", 1, "store_gfn", (json_int_t)built.store_gfn, "console_gfn",
                                     (json_int_t)built.console_gfn), true);
    return 0;
}

/* Before the peer is told that it is whole, and while libxl is at its devices: the peer's guest waits for both. */
static int hold(struct run *r, struct flic_err *err)
{
    r->held = true;
    return fd_lease_hold_arrival(r->op->daemon, &r->move, &r->hold, err);
}

/* A write that failed at its end may have been one: what the sender would be told counts. */
static int decide(struct run *r, enum mv_state *ret_state, struct flic_err *err)
{
    struct mv_move written;
    int rc = mv_decide(r->op->daemon, &r->move, ret_state, err);

    if (!rc || mv_read(r->op->daemon, &r->move.migration, &written, NULL))
        return rc;
    *ret_state = written.state;
    return 0;
}

/* A guest that runs elsewhere is not to be restored here. */
static void forget_arrived(struct run *r)
{
    struct nv_name name = { .guest = r->move.guest, .seq = r->seq };
    struct flic_err why = { 0 };
    uint64_t freed;

    r->may_be_offered = ck_forget(r->op->daemon->store, &name, false, &freed, &why) != 0;
    if (r->may_be_offered)
        flic_error("'%s' went back to its sender, and what arrived of it is still offered here: %s; then say 'flic forget %s@%llu', and do not "
                   "restore it", r->name, why.text, r->name, (unsigned long long)r->seq);
}

/* "running" first, then it runs: should we end in between, the look for orphans lets it run. */
static int take_over(struct run *r, struct flic_err *err)
{
    struct fd_daemon *daemon = r->op->daemon;
    enum mv_state state;
    int rc;

    r->may_be_offered = true;
    rc = mr_publish(r->receiver, r->disk_list, strlen(r->disk_list), err);
    if (rc)
        return rc;
    rc = decide(r, &state, err);
    if (!rc && state != MV_RUNNING)
        rc = flic_err_set(err, FLIC_E_CANCELLED, "its sender asked for '%s' back before it had arrived", r->name);
    if (rc) {
        forget_arrived(r);
        return rc;
    }
    r->ours = true;
    if (ar_commit(r->disks, err))
        flic_error("the disks of '%s', which is here: %s; its next restore or arrival, or start of flicd, sees to it", r->name, err->text);
    fd_kept_drop(daemon, &r->move.guest);
    if (flx_unpause(r->dom, err))       /* the look for orphans tries again */
        flic_error("'%s' is here and could not be let run: %s", r->name, err->text);
    else
        (void)flx_tell_guest(r->dom, MARK_RESTORING, "", NULL);
    if (mr_confirm(r->receiver, err))
        flic_warn("'%s' runs here; its sender does not know yet: %s", r->name, err->text);
    *err = (struct flic_err){ 0 };
    if (mv_forget_guest(daemon, &r->move.guest, err))   /* it may have gone from here once */
        flic_warn("'%s' is here again, but: %s", r->name, err->text);
    *err = (struct flic_err){ 0 };
    return 0;
}

static int all_steps(struct run *r, struct flic_err *err)
{
    int rc;

    fd_op_to_owner(r->op, json_pack("{s:s, s:s}", "event", "ready", "operation", r->op->id));
    rc = hear(r, err);
    if (!rc)
        rc = say_offered(r, err);
    if (!rc)
        rc = fd_op_wait(r->op, FD_WAIT_JOIN, JOIN_TIMEOUT_S, err);
    if (!rc)
        rc = fill(r, err);
    if (!rc)
        rc = ar_settle(r->disks, &r->disk_list, err);
    if (!rc)
        rc = hold(r, err);
    if (!rc)
        rc = fd_op_wait(r->op, FD_WAIT_FINISH, 0, err);
    if (!rc)
        rc = mr_ready(r->receiver, err);
    return rc ? rc : take_over(r, err);
}

/* ---- the end ---- */

static json_t *figures_of(const struct run *r)
{
    const struct lt_figures *f = &r->figures.pages;
    const struct fd_figure rows[] = {
        { "same_pages", f->same_pages }, { "found_pages", f->found_pages }, { "known_pages", f->known_pages },
        { "received_pages", f->received_pages }, { "last_pages", r->figures.last_pages }, { "zero_pages", f->zero_pages },
        { "new_pages", f->store.new_pages }, { "dedup_pages", f->store.dedup_pages }, { "nvram_pages", f->store.nvram_pages },
        { "spilled_pages", f->store.spilled_pages }, { "flash_bytes", f->store.flash_bytes }, { "nvram_bytes", f->store.nvram_bytes },
        { "received_bytes", r->counts.received }, { "sent_bytes", r->counts.sent }, { "take_us", r->figures.take_us }, { "finish_us", r->figures.finish_us },
    };
    json_t *o = json_object();

    fd_add_figures(o, rows, sizeof(rows) / sizeof(rows[0]));
    if (r->disks)
        ar_add_figures(r->disks, o);
    return o;
}

static void end_parts(struct run *r, int rc, const struct flic_err *err)
{
    if (r->receiver)
        mr_get_figures(r->receiver, &r->figures);
    if (rc && !r->ours && r->receiver)  /* on a full disk its files are better gone */
        fd_kept_put(r->op->daemon, &r->move.guest, mr_keep(r->receiver), r->disks && rc != FLIC_E_NOSPACE ? ar_keep(r->disks) : NULL);
    if (rc && r->held && !r->may_be_offered)
        (void)mv_drop(r->op->daemon, &r->hold, NULL);       /* else its next arrival here ends it, or 'flic claim' */
    if (r->disks)
        ar_undo(r->disks);
    mr_free(r->receiver);
    if (r->wire) {
        mw_get_counts(r->wire, &r->counts);
        if (rc)
            mw_abort(r->wire, rc, err->text);
    }
    mw_free(r->wire);
    fd_lineage_close(&r->lineage);
}

static void finish(struct run *r, int rc, const struct flic_err *err)
{
    struct ix_entry entry = { .verb = "receive", .guest = r->move.guest, .seq = rc ? 0 : r->seq };

    fd_op_end(r->op, rc, err, json_pack("{s:b, s:s, s:I}", "ok", 1, "domain", r->name, "seq", (json_int_t)r->seq), figures_of(r), &entry, r->name);
}

void fd_run_receive(struct fd_op *op)
{
    struct run r = { .op = op };
    struct flic_err err = { 0 };
    int rc = fd_op_reason(op, all_steps(&r, &err), &err);

    end_parts(&r, rc, &err);
    flx_close(r.dom);
    finish(&r, rc, &err);
    ar_free(r.disks);
    free(r.disk_list);
    if (!rc) {
        fd_keeper_poke(op->daemon);
        fd_upkeep_published(op->daemon);
    }
}
