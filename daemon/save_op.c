/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * save_op - a save as flicd runs it: the engine's steps, and the talk with libflicxl and the helper between them.
 *
 *   open -> ready -> (join) -> live -> suspend -> captured -> (publish) -> disks settled -> published
 *
 * A guest that is libxc's is saved by libxc in the helper, whose stream is taken apart here:
 *
 *   open -> ready -> (join) -> (tunnel) -> pages -> suspend -> last pages -> (publish, with the device model) -> captured -> ...
 *
 * A failure before *published* leaves the guest running: it is marked for an in-place resume if it is suspended, and if
 * libflicxl is gone flicd resumes it itself.
 */
#include "common/log.h"
#include "common/marks.h"
#include "daemon/checkpoint/save.h"
#include "daemon/disks.h"
#include "daemon/filter/save.h"
#include "daemon/filter_op.h"
#include "daemon/op.h"
#include "daemon/pins.h"
#include "daemon/protect.h"
#include "daemon/tracking.h"
#include "daemon/upkeep.h"

#include <stdlib.h>
#include <string.h>

#define JOIN_TIMEOUT_S 60
#define SUSPEND_GRACE_S 5       /* libxl's own limit is the same 60 s: let its answer come first */

struct run {
    struct fd_op *op;
    struct flx_dom *dom;
    struct flx_info info;
    struct ck_save *save;
    struct lf_save *filter;             /* of a guest that is libxc's: then there is no `save` */
    struct ck_facts facts;              /* these two outlive the save */
    struct ck_save_figures figures;
    bool had_save;
    char *disks;
    struct sn_set *shots;               /* of a guest that runs on; NULL with --ram-only */
    struct sn_figures shot_figures;
    bool ram_only, asked_suspend;
    struct ck_base *base;               /* of a guest tracked ahead: to be given back */
    struct tk_status tracked;           /* when it was lent */
    bool goes_on, resumed;              /* xl save -c */
    bool by_protect;
};

static json_t *figures_of(const struct run *r)
{
    const struct ck_save_figures *f = &r->figures;
    const struct sn_figures *s = &r->shot_figures;
    json_t *o = json_object();
    const struct fd_figure snapshot[] = {
        { "end_us", f->end_us }, { "snapshot_us", s->take_us }, { "snapshot_bytes", s->take_bytes },
        { "snapshot_flush_us", s->flush_us }, { "snapshot_sync_us", s->settle_us }, { "snapshot_sync_bytes", s->settle_bytes },
    };
    const struct fd_figure rows[] = {
        { "ram_pages", f->ram_pages }, { "zero_pages", f->zero_pages }, { "live_pages", f->live_pages },
        { "rounds", f->rounds }, { "dirty_live_last", f->dirty_live_last }, { "ws_pages", f->ws_pages },
        { "ahead_pages", f->ahead_pages }, { "ws_zero_pages", f->ws_zero_pages }, { "spilled_pages", f->spilled_pages }, { "dedup_pages", f->dedup_pages },
        { "new_pages", f->new_pages }, { "nvram_bytes", f->nvram_bytes }, { "flash_bytes", f->flash_bytes },
        { "flash_bytes_in_pause", f->flash_bytes_in_pause }, { "device_bytes_in_pause", f->device_bytes_in_pause }, { "live_us", f->live_us }, { "pause_us", f->pause_us },
        { "captured_us", f->captured_us }, { "suspend_us", f->suspend_us }, { "bitmap_us", f->bitmap_us },
        { "state_us", f->state_us }, { "map_us", f->map_us }, { "copy_us", f->copy_us }, { "spill_us", f->spill_us },
        { "parts_us", f->parts_us }, { "switch_us", f->switch_us }, { "publish_us", f->publish_us },
    };

    fd_add_figures(o, rows, sizeof(rows) / sizeof(rows[0]));
    if (r->goes_on)
        fd_add_figures(o, snapshot, sizeof(snapshot) / sizeof(snapshot[0]));
    return o;
}

/* ---- steps ---- */

void fd_op_ask_suspend(struct fd_op *op)
{
    fd_op_to_helper(op, json_pack("{s:s}", "event", "suspend"), false);
    fd_op_progress(op, "suspend", 0, 0);        /* whoever sees it may count on the wish's being on its way */
}

int fd_op_await_suspend(struct fd_op *op, struct flic_err *err)
{
    unsigned limit = (unsigned)op->daemon->conf.suspend_timeout_s;
    int rc = fd_op_wait(op, FD_WAIT_SUSPEND, limit + SUSPEND_GRACE_S, err);
    if (rc == FLIC_E_TIMEOUT || (!rc && op->suspend_answer < 0))
        return flic_err_set(err, FLIC_E_GUEST, "'%s' did not suspend within %u s and runs on: a guest cannot be frozen while it waits for "
                            "a device or boots; look at its console and try again", op->name, limit);
    return rc;
}

int fd_op_suspend(void *op, struct flic_err *err)
{
    fd_op_ask_suspend(op);
    return fd_op_await_suspend(op, err);
}

static const struct ck_facts *facts_of(const struct run *r)
{
    return r->filter ? lf_save_facts(r->filter) : ck_save_facts(r->save);
}

/* The guest runs on: its disks as they are now are part of the checkpoint, and it is suspended no longer than that takes. From here
 * on a failure costs the checkpoint, nothing else. */
static int end_pause(void *arg, struct flic_err *err)
{
    struct fd_op *op = arg;
    struct run *r = op->run;
    int rc = r->shots ? sn_take(r->shots, err) : 0;

    if (!rc)
        rc = fd_resume(r->dom, err);
    if (rc)
        return rc;
    r->resumed = true;
    fd_op_to_owner(op, json_pack("{s:s}", "event", "resumed"));
    return 0;
}

/* After the number is known: snapshots are named after it, and protect writes down which checkpoints are its own. */
static int prepare_to_go_on(struct run *r, const char *config, struct flic_err *err)
{
    struct sn_where where = fd_where(r->op->daemon);
    struct sn_name name = { .guest = r->info.uuid, .seq = facts_of(r)->seq };
    int rc = 0;

    if (r->by_protect)
        rc = fd_protect_note(r->op->daemon, &name.guest, name.seq, err);
    if (rc || r->ram_only)
        return rc;
    ck_work_begin(r->op->daemon->store);        /* it writes flash, and another guest's pause may be on */
    rc = sn_prepare(&where, &name, config, &r->shots, err);
    ck_work_end(r->op->daemon->store);
    return rc;
}

static int begin_own(struct run *r, const char *config, struct flic_err *err)
{
    const struct fd_conf *conf = &r->op->daemon->conf;
    struct ck_save_params params = {
        .dom = r->dom, .config = config, .config_len = strlen(config), .live_rounds_max = (unsigned)conf->live_rounds_max,
        .live_stop_pages = (uint64_t)conf->live_stop_pages, .threads = fd_cpus(), .suspend = fd_op_suspend,
        .captured = r->goes_on ? end_pause : NULL, .cancelled = fd_op_cancelled, .progress = fd_op_progress, .arg = r->op,
    };

    params.base = r->base = fd_tracking_lend(r->op->daemon, r->info.domid, &r->tracked);
    return ck_save_new(r->op->daemon->store, &params, &r->save, err);
}

/* The live part is over: from here on the guest may be suspended because of us. */
static int suspend_filtered(void *arg, struct flic_err *err)
{
    struct fd_op *op = arg;
    struct run *r = op->run;

    r->asked_suspend = true;
    return fd_op_suspend(op, err);
}

static int begin_filter(struct run *r, const char *config, struct flic_err *err)
{
    struct lf_save_params params = {
        .dom = r->dom, .config = config, .config_len = strlen(config), .suspend = suspend_filtered,
        .captured = r->goes_on ? end_pause : NULL, .progress = fd_op_progress, .arg = r->op,
    };

    if (r->by_protect)
        return flic_err_set(err, FLIC_E_REFUSED, "domain %u is saved through libxc's stream, which copies all of its memory each time: it cannot be "
                            "protected; 'xl save --flic -c' takes single checkpoints of it", r->info.domid);
    return lf_save_new(r->op->daemon->store, &params, &r->filter, err);
}

static int begin_save(struct run *r, const char *config, struct flic_err *err)
{
    struct flx_way way;
    int rc = r->ram_only ? 0 : fd_disks_can(config, r->goes_on, err);

    if (!rc)
        rc = flx_save_way(r->dom, &way, err);
    if (!rc)
        rc = way.by_libxc ? begin_filter(r, config, err) : begin_own(r, config, err);
    return rc || !r->goes_on ? rc : prepare_to_go_on(r, config, err);
}

static int open_domain(struct run *r, struct flic_err *err)
{
    const char *after = json_string_value(json_object_get(r->op->request, "after"));
    json_t *domid = json_object_get(r->op->request, "domid");
    const char *config = json_string_value(json_object_get(r->op->request, "config"));
    int rc;

    if (!json_is_integer(domid) || json_integer_value(domid) <= 0 || json_integer_value(domid) > 0x7fef || !config ||
        strlen(config) >= CK_CONFIG_MAX)
        return flic_err_set(err, FLIC_E_PROTOCOL, "a save needs a domid and the domain's libxl JSON, shorter than %u bytes",
                            CK_CONFIG_MAX);
    rc = flx_open((uint32_t)json_integer_value(domid), &r->dom, err);
    if (!rc)
        rc = flx_info(r->dom, &r->info, err);
    if (rc)
        return rc;
    fd_op_describe(r->op, r->info.domid, r->info.name);
    r->ram_only = json_is_true(json_object_get(r->op->request, "ram_only"));
    r->goes_on = after && !strcmp(after, "run");
    r->by_protect = r->goes_on && json_is_true(json_object_get(r->op->request, "protect"));
    return begin_save(r, config, err);
}

/* The helper's answer: what it writes into libxl's stream. */
static void answer_helper(struct run *r)
{
    char hex[FLIC_HEX_TEXT(CK_REFERENCE_SIZE)];

    ck_reference_text(facts_of(r), hex);
    fd_op_to_helper(r->op, json_pack("{s:b, s:s}", "ok", 1, "reference", hex), true);
}

/* A FILE that refers to it keeps the rules from dropping it; written down before there is such a checkpoint. */
static int pin_file(struct run *r, struct flic_err *err)
{
    const struct ck_facts *facts = facts_of(r);
    int rc;

    if (!json_is_string(json_object_get(r->op->request, "file")))
        return 0;
    ck_work_begin(r->op->daemon->store);
    rc = pn_set(r->op->daemon->conf.store, &facts->guest, facts->seq, PN_FILE, true, err);
    ck_work_end(r->op->daemon->store);
    return rc;
}

static int settle_and_publish(struct run *r, struct flic_err *err)
{
    const char *config = json_string_value(json_object_get(r->op->request, "config"));
    int rc = 0;

    fd_op_progress(r->op, "publish", 0, 0);
    if (r->ram_only)
        r->disks = strdup("[]");
    else
        rc = r->shots ? sn_settle(r->shots, &r->disks, err) : fd_disks_settle(config, &r->disks, err);
    if (!rc && !r->disks)
        rc = flic_err_set(err, FLIC_E_INTERNAL, "save '%s': out of memory", r->info.name);
    if (!rc)
        rc = pin_file(r, err);
    if (!rc)
        rc = r->filter ? lf_save_publish(r->filter, r->disks, strlen(r->disks), err)
                       : ck_save_publish(r->save, r->disks, strlen(r->disks), err);
    if (!rc && r->shots)
        sn_keep(r->shots);
    return rc;
}

/* Until it is captured and libxl is done. */
static int take_own(struct run *r, struct flic_err *err)
{
    int rc = ck_save_live(r->save, err);

    if (!rc && r->shots)
        rc = sn_flush(r->shots, err);
    if (rc)
        return rc;
    r->asked_suspend = true;
    rc = ck_save_capture(r->save, err);
    if (rc)
        return rc;
    answer_helper(r);
    return fd_op_wait(r->op, FD_WAIT_FINISH, 0, err);
}

/* libxl takes the device model after libxc is done, and only then all is there. */
static int commit_filtered(struct run *r, struct flic_err *err)
{
    void *records;
    size_t len;
    int rc = fd_filter_records(r->op->said, "records", &records, &len, err);

    if (rc)
        return rc;
    rc = lf_save_commit(r->filter, records, len, err);
    free(records);
    return rc;
}

static int take_filtered(struct run *r, struct flic_err *err)
{
    struct lf_pipe *pipe = NULL;
    int rc = r->shots ? sn_flush(r->shots, err) : 0;

    if (!rc)
        rc = fd_filter_open(r->op, &pipe, err);
    if (!rc)
        rc = lf_save_take(r->filter, pipe, err);
    lf_pipe_free(pipe);
    if (rc)
        return rc;
    answer_helper(r);
    rc = fd_op_wait(r->op, FD_WAIT_FINISH, 0, err);
    return rc ? rc : commit_filtered(r, err);
}

static int all_steps(struct run *r, struct flic_err *err)
{
    int rc = open_domain(r, err);

    if (rc)
        return rc;
    /* From here on the look for orphans knows this guest is ours, should we not live to resume it. */
    rc = flx_tell_guest(r->dom, MARK_OPERATION, r->op->id, err);
    if (rc)
        return rc;
    fd_op_to_owner(r->op, json_pack("{s:s, s:s}", "event", "ready", "operation", r->op->id));
    rc = fd_op_wait(r->op, FD_WAIT_JOIN, JOIN_TIMEOUT_S, err);
    if (!rc)
        rc = r->filter ? take_filtered(r, err) : take_own(r, err);
    return rc ? rc : settle_and_publish(r, err);
}

/* ---- the end ---- */

/* Before anybody is answered: then log-dirty is off, or tracking goes on, and the domain may go or be saved again. */
static void end_save(struct run *r)
{
    r->had_save = r->save || r->filter;
    if (r->filter) {
        r->facts = *lf_save_facts(r->filter);
        r->figures = *lf_save_get_figures(r->filter);
        lf_save_free(r->filter);
        r->filter = NULL;
    }
    if (r->save) {
        r->facts = *ck_save_facts(r->save);
        r->figures = *ck_save_get_figures(r->save);
        ck_save_free(r->save);
        r->save = NULL;
    }
    if (r->base)
        fd_tracking_give_back(r->op->daemon, r->info.domid);
}

/* What was known of the guest when its save began; the write set goes into the journal with the checkpoint. */
static void add_tracked(json_t *figures, const struct run *r)
{
    const struct tk_status *t = &r->tracked;
    const struct fd_figure rows[] = {
        { "tracked_epochs", t->epochs }, { "tracked_unknown_pages", t->unknown_pages }, { "tracked_copied_pages", t->copied.pages },
        { "tracked_flash_bytes", t->flash_bytes }, { "wss_pages", t->last.ws_pages }, { "wss_stable_pages", t->last.stable_pages },
        { "wss_written_pages", t->last.written_pages }, { "wss_regions", t->last.ws_regions }, { "wss_epoch_ms", t->last.epoch_ms },
    };

    if (r->base)
        fd_add_figures(figures, rows, sizeof(rows) / sizeof(rows[0]));
}

static void end_snapshots(struct run *r)
{
    if (r->shots)
        r->shot_figures = *sn_get_figures(r->shots);
    sn_free(r->shots);
    r->shots = NULL;
}

static void finish(struct run *r, int rc, const struct flic_err *err)
{
    struct ix_entry entry = { .verb = "save", .guest = r->info.uuid, .seq = rc ? 0 : r->facts.seq };
    json_t *figures = r->had_save ? figures_of(r) : json_object();
    char uuid[FLIC_UUID_TEXT];

    add_tracked(figures, r);
    flic_uuid_text(&r->info.uuid, uuid);
    fd_op_end(r->op, rc, err, json_pack("{s:b, s:s, s:s, s:I}", "ok", 1, "domain", r->info.name, "uuid", uuid, "seq", (json_int_t)r->facts.seq),
              figures, &entry, r->info.name);
}

/* What looks after disks knows them by the configuration alone: "disk xvda: ..." becomes "'web', disk xvda: ...". */
static void name_guest(const struct run *r, struct flic_err *err)
{
    const struct flic_err said = *err;

    (void)flic_err_set(err, said.code, "'%s', %s", r->info.name, said.text);
}

void fd_run_save(struct fd_op *op)
{
    struct run r = { .op = op };
    struct flic_err err = { 0 };
    int rc;

    op->run = &r;
    rc = all_steps(&r, &err);
    if (rc == FLIC_E_DISK)
        name_guest(&r, &err);
    /* On success the mark stays: should xl be killed before it destroys the guest, it is let go on as an orphan; while xl is there,
     * however slow, it is xl's. */
    if (rc)     /* a guest that was to run on is resumed by us in any case: nobody shall wait for libxl */
        fd_op_undo(op, r.dom, !r.asked_suspend || r.resumed, r.goes_on);
    else if (r.resumed)
        (void)flx_tell_guest(r.dom, MARK_OPERATION, "", NULL);
    else
        fd_op_hand_over(op);
    end_save(&r);
    end_snapshots(&r);
    flx_close(r.dom);
    if (r.by_protect)
        fd_protect_result(op->daemon, &r.info.uuid, rc, &r.figures, &err);
    finish(&r, rc, &err);
    free(r.disks);
    if (!rc) {
        fd_keeper_poke(op->daemon);
        fd_upkeep_published(op->daemon);
    }
}
