/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * migrate_op - a guest leaves: a save whose pages also go to a peer, and in the end the guest itself.
 *
 *   open -> ready -> (tunnel) -> offer -> (join) -> live -> suspend -> captured, the rest sent -> (publish) -> there whole
 *        -> "handing" durable, published -> go -> running there -> "gone" durable
 *
 * Up to "handing" a failure leaves the guest running here. After it only the peer knows: if its answer does not come, the guest stays
 * suspended, and moves.h sees to it.
 */
#include "common/clock.h"
#include "common/host.h"
#include "common/log.h"
#include "common/marks.h"
#include "daemon/checkpoint/save.h"
#include "daemon/leave.h"
#include "daemon/migrate/send.h"
#include "daemon/moves.h"
#include "daemon/op.h"
#include "daemon/tracking.h"
#include "daemon/upkeep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TUNNEL_TIMEOUT_S 300    /* somebody may be typing a password */
#define JOIN_TIMEOUT_S 60
#define COOL_MS 1000
#define RACE_US 125000

struct run {
    struct fd_op *op;
    struct flx_dom *dom;
    struct flx_info info;
    const char *config, *peer, *command;
    struct mv_move move;
    struct mw_wire *wire;
    struct ms_sender *sender;
    struct ck_save *save;
    struct lv_disks *disks;
    char *disk_list;            /* of the checkpoint */
    struct ck_base *base;       /* of a guest tracked ahead: to be given back */
    struct tk_status tracked;
    uint64_t suspended_us, began_pause_us, pause_us;
    bool asked_suspend, handing, gone;
    struct ms_figures sent;
    struct ck_save_figures saved;
    struct ck_facts facts;
};

/* Past the hand-over nothing that is said here counts any more, only what the peer says. */
static bool is_cancelled(void *arg)
{
    struct run *r = arg;

    return !r->handing && fd_op_cancelled(r->op);
}

static bool cancelled(void *arg)
{
    return fd_op_cancelled(((struct run *)arg)->op);
}

static void progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    fd_op_progress(((struct run *)arg)->op, phase, done, total);
}

static void dirtied(void *arg, const uint64_t *bitmap, uint64_t gfn_end)
{
    ms_dirtied(((struct run *)arg)->sender, bitmap, gfn_end);
}

/* ---- the pause ---- */

static bool is_suspended(void *arg, uint64_t until_us)
{
    return fd_op_is_suspended(((struct run *)arg)->op, until_us);
}

/* Suspending takes its time, in which the guest writes as fast as ever. Whatever fails, the answer is waited for: nothing is undone under it. */
static int suspend(void *arg, struct flic_err *err)
{
    struct run *r = arg;
    struct flic_err why = { 0 };
    int rc, raced;

    r->began_pause_us = flic_now_us();
    fd_op_ask_suspend(r->op);
    raced = ms_race_on(r->sender, r->save, is_suspended, r, &why);
    rc = fd_op_await_suspend(r->op, err);
    if (!rc && raced) {
        *err = why;
        rc = raced;
    }
    r->suspended_us = flic_now_us();
    return rc;
}

/* The checkpoint is captured here: what the peer lacks goes out before anything is unmapped. */
static int send_last(void *arg, struct flic_err *err)
{
    struct run *r = arg;
    size_t len;
    const void *state = ck_save_state(r->save, &len);
    int rc;

    ms_limit_pause(r->sender);
    rc = lv_last(r->disks, err);
    return rc ? rc : ms_last(r->sender, state, len, r->suspended_us, err);
}

/* ---- steps ---- */

static const char *text_of(const struct run *r, const char *member)
{
    const char *text = json_string_value(json_object_get(r->op->request, member));

    return text ? text : "";
}

static int open_domain(struct run *r, struct flic_err *err)
{
    json_t *domid = json_object_get(r->op->request, "domid");
    int rc;

    r->config = text_of(r, "config");
    r->peer = text_of(r, "peer");
    r->command = text_of(r, "command");
    if (!json_is_integer(domid) || json_integer_value(domid) <= 0 || json_integer_value(domid) > 0x7fef || !*r->config ||
        strlen(r->config) >= CK_CONFIG_MAX || !*r->peer || strlen(r->peer) >= sizeof(r->move.peer) ||
        strlen(r->command) >= sizeof(r->move.command))
        return flic_err_set(err, FLIC_E_PROTOCOL, "a migration needs a domid, the domain's libxl JSON and the peer's name");
    if (!flic_is_host(r->peer))
        return flic_err_set(err, FLIC_E_REFUSED, "'%s' is no name of a host: were the answer to the hand-over lost, flicd could not ask there", r->peer);
    rc = flx_open((uint32_t)json_integer_value(domid), &r->dom, err);
    if (!rc)
        rc = flx_info(r->dom, &r->info, err);
    if (rc)
        return rc;
    fd_op_describe(r->op, r->info.domid, r->info.name);
    r->move = (struct mv_move){ .guest = r->info.uuid, .domid = r->info.domid };
    (void)snprintf(r->move.name, sizeof(r->move.name), "%s", r->info.name);
    (void)snprintf(r->move.peer, sizeof(r->move.peer), "%s", r->peer);
    (void)snprintf(r->move.command, sizeof(r->move.command), "%s", r->command);
    return flic_uuid_draw(&r->move.migration) ? flic_err_errno(err, "draw an id") : 0;
}

static int begin_save(struct run *r, struct flic_err *err)
{
    const struct fd_conf *conf = &r->op->daemon->conf;
    struct ck_save_params params = {
        .dom = r->dom, .config = r->config, .config_len = strlen(r->config), .live_rounds_max = (unsigned)conf->live_rounds_max,
        .live_stop_pages = (uint64_t)conf->live_stop_pages, .threads = fd_cpus(), .suspend = suspend, .captured = send_last,
        .captured_waits = true, .dirtied = dirtied, .cancelled = cancelled, .progress = progress, .arg = r,
    };
    int rc = lv_new(text_of(r, "disks"), r->config, &r->disks, err);

    if (rc)
        return flic_err_wrap(err, rc, "migrate '%s'", r->info.name);
    params.base = r->base = fd_tracking_lend(r->op->daemon, r->info.domid, &r->tracked);
    return ck_save_new(r->op->daemon->store, &params, &r->save, err);
}

static struct sn_name checkpoint_of(const struct run *r)
{
    return (struct sn_name){ .guest = r->info.uuid, .seq = ck_save_facts(r->save)->seq };
}

/* After the checkpoint has its number, which the snapshots are named after. */
static int prepare_disks(struct run *r, struct flic_err *err)
{
    struct sn_where where = fd_where(r->op->daemon);
    struct sn_name name = checkpoint_of(r);
    int rc;

    ck_work_begin(r->op->daemon->store);        /* it writes flash, and another guest's pause may be on */
    rc = lv_prepare(r->disks, &where, &name, err);
    ck_work_end(r->op->daemon->store);
    return rc ? flic_err_wrap(err, rc, "migrate '%s'", r->info.name) : 0;
}

static unsigned max_downtime_ms(const struct run *r)
{
    json_int_t downtime = json_integer_value(json_object_get(r->op->request, "max_downtime_ms"));

    return downtime > 0 && downtime < 86400000 ? (unsigned)downtime : (unsigned)r->op->daemon->conf.migrate_downtime_ms;
}

static int offer(struct run *r, struct flic_err *err)
{
    const struct fd_conf *conf = &r->op->daemon->conf;
    struct ms_params params = {
        .dom = r->dom, .migration = &r->move.migration, .config = r->config, .disks = lv_offer(r->disks), .owner_group = conf->owner_group,
        .max_downtime_ms = max_downtime_ms(r), .rounds_max = (unsigned)conf->migrate_rounds_max, .cool_ms = COOL_MS, .race_us = RACE_US,
        .auto_converge = json_is_true(json_object_get(r->op->request, "auto_converge")),
        .progress = progress, .arg = r,
    };
    int rc = fd_op_wire(r->op, TUNNEL_TIMEOUT_S, is_cancelled, r, &r->wire, err);

    params.wire = r->wire;
    return rc ? rc : ms_new(&params, &r->sender, err);
}

static int live(struct run *r, struct flic_err *err)
{
    struct lv_link link = { .wire = r->wire, .max_downtime_ms = max_downtime_ms(r), .progress = progress, .arg = r };
    int rc;

    link.key = ms_key(r->sender, &link.peer_has);
    rc = lv_send(r->disks, &link, err);     /* its memory is tracked after that */
    if (!rc)
        rc = ck_save_rounds(r->save, err);
    if (!rc)
        rc = ms_live(r->sender, r->save, err);
    if (!rc)
        rc = lv_again(r->disks, err);
    if (!rc)
        rc = ck_save_settle(r->save, err);
    return rc ? rc : ms_once_more(r->sender, r->save, err);
}

/* The helper's answer: libxl completes while the peer's builds. */
static void answer_helper(struct run *r)
{
    char hex[FLIC_HEX_TEXT(CK_REFERENCE_SIZE)];

    ck_reference_text(ck_save_facts(r->save), hex);
    fd_op_to_helper(r->op, json_pack("{s:b, s:s}", "ok", 1, "reference", hex), true);
}

static int hand_over(struct run *r, struct flic_err *err)
{
    bool sent = false;
    int rc;

    r->move.state = MV_HANDING;
    r->move.seq = ck_save_facts(r->save)->seq;
    rc = mv_write(r->op->daemon, &r->move, err);
    if (rc)
        return rc;
    /* From here on the memory of a suspended domain may be all there is of it: a power cut must not take it. */
    rc = ck_save_publish(r->save, r->disk_list, strlen(r->disk_list), err);
    if (!rc) {
        lv_keep(r->disks);
        r->handing = true;
        rc = ms_hand_over(r->sender, &sent, err);
        if (!rc || sent)
            return rc;
        r->handing = false;
    }
    (void)mv_drop(r->op->daemon, &r->move.migration, NULL);     /* else it is settled: the peer never had it */
    return rc;
}

/* The guest is the peer's. */
static void note_gone(struct run *r)
{
    struct sn_name name = checkpoint_of(r);
    struct flic_err err = { 0 };

    r->gone = true;
    lv_remove(r->op->daemon, &name);    /* first: who finds "gone" does not do it again */
    r->move.state = MV_GONE;
    if (mv_write(r->op->daemon, &r->move, &err))
        flic_warn("'%s' went to %s, which could not be noted: %s; it is asked again", r->info.name, r->peer, err.text);
}

static int all_steps(struct run *r, struct flic_err *err)
{
    char mark[FLIC_UUID_TEXT];
    int rc = open_domain(r, err);

    if (!rc)
        rc = begin_save(r, err);
    if (!rc)
        rc = prepare_disks(r, err);
    if (!rc)
        rc = mv_mark(r->dom, MARK_OPERATION, &r->move.migration, err);
    if (rc)
        return rc;
    flic_uuid_text(&r->move.migration, mark);
    fd_op_to_owner(r->op, json_pack("{s:s, s:s, s:s}", "event", "ready", "operation", r->op->id, "mark", mark));
    rc = offer(r, err);
    if (!rc)
        rc = fd_op_wait(r->op, FD_WAIT_JOIN, JOIN_TIMEOUT_S, err);
    if (!rc)
        rc = live(r, err);
    if (rc)
        return rc;
    r->asked_suspend = true;
    rc = ck_save_capture(r->save, err);
    if (rc)
        return rc;
    answer_helper(r);
    rc = lv_settle(r->disks, &r->disk_list, err);
    if (!rc)
        rc = ms_await(r->sender, err);
    if (!rc)
        rc = fd_op_wait(r->op, FD_WAIT_FINISH, 0, err);
    if (!rc)
        rc = hand_over(r, err);
    r->pause_us = flic_now_us() - r->began_pause_us;
    if (!rc)
        note_gone(r);
    return rc;
}

/* ---- the end ---- */

static json_t *figures_of(const struct run *r)
{
    const struct ms_figures *f = &r->sent;
    const struct ls_figures *p = &f->pages;
    const struct fd_figure rows[] = {
        { "ram_pages", p->ram_pages }, { "zero_pages", p->zero_pages }, { "there_pages", p->there_pages }, { "sent_pages", p->sent_pages },
        { "resent_pages", f->resent_pages }, { "slowed_percent", f->slowed_percent },
        { "slowed_us", f->slowed_us }, { "race_steps", f->race_steps }, { "race_pages", f->race_pages },
        { "last_pages", f->last_pages }, { "last_zero_pages", f->last_zero_pages },
        { "page_bytes", p->page_bytes }, { "sent_bytes", p->sent_bytes }, { "received_bytes", p->received_bytes }, { "rounds", f->rounds },
        { "bytes_per_s", f->bytes_per_s }, { "expected_downtime_us", f->expected_downtime_us }, { "live_us", f->live_us },
        { "last_us", f->last_us }, { "last_link_us", f->last_link_us }, { "await_us", f->await_us }, { "downtime_us", r->gone ? r->pause_us : 0 },
        { "suspend_us", r->saved.suspend_us }, { "captured_us", r->saved.captured_us }, { "copy_us", r->saved.copy_us },
        { "ws_pages", r->saved.ws_pages }, { "flash_bytes", r->saved.flash_bytes }, { "nvram_bytes", r->saved.nvram_bytes },
    };
    json_t *o = json_object();

    fd_add_figures(o, rows, sizeof(rows) / sizeof(rows[0]));
    if (r->disks)
        lv_add_figures(r->disks, o);
    (void)json_object_set_new(o, "peer", json_string(r->peer));
    return o;
}

static void end_parts(struct run *r, int rc, const struct flic_err *err)
{
    if (r->save) {
        r->saved = *ck_save_get_figures(r->save);
        r->facts = *ck_save_facts(r->save);
    }
    ck_save_free(r->save);
    if (r->base)
        fd_tracking_give_back(r->op->daemon, r->info.domid);
    if (r->sender)
        ms_get_figures(r->sender, &r->sent);
    ms_free(r->sender);
    if (r->wire && rc)
        mw_abort(r->wire, rc, err->text);
    mw_free(r->wire);
}

static void finish(struct run *r, int rc, const struct flic_err *err)
{
    struct ix_entry entry = { .verb = "migrate", .guest = r->info.uuid, .seq = rc ? 0 : r->facts.seq };

    fd_op_end(r->op, rc, err, json_pack("{s:b, s:s, s:I}", "ok", 1, "domain", r->info.name, "seq", (json_int_t)r->facts.seq), figures_of(r), &entry,
              r->info.name);
}

void fd_run_migrate(struct fd_op *op)
{
    struct run r = { .op = op, .config = "", .peer = "", .command = "" };
    struct flic_err err = { 0 };
    int rc = all_steps(&r, &err);

    if (rc && r.handing) {
        struct flic_err why = err;

        rc = flic_err_set(&err, FLIC_E_UNSURE, "'%s' was handed over to %s, which did not confirm it (%s): it stays suspended here until that phone says "
                          "whether it has it, which flicd asks every few seconds; 'flic claim %s' ends the waiting if that phone is gone for good",
                          r.info.name, r.peer, why.text, r.info.name);
        fd_op_hand_over(op);
    } else if (rc) {
        fd_op_undo(op, r.dom, !r.asked_suspend, false);
    } else {
        fd_op_hand_over(op);
    }
    end_parts(&r, rc, &err);
    flx_close(r.dom);
    finish(&r, rc, &err);
    lv_free(r.disks);
    free(r.disk_list);
    if (!rc) {
        fd_keeper_poke(op->daemon);
        fd_upkeep_published(op->daemon);
    }
}
