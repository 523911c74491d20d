/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * get_op - a checkpoint comes from a peer: flic pull, and the other end of flic push.
 *
 *   open -> ready -> (tunnel) -> [said what is wanted] -> offered -> what is lacking stored -> durable -> ["copy" durable] -> published
 *        -> told to the peer; his last word -> [it is ours] -> done
 */
#include "common/log.h"
#include "daemon/disks.h"
#include "daemon/filter/kept.h"
#include "daemon/kept.h"
#include "daemon/lease.h"
#include "daemon/lineage.h"
#include "daemon/migrate/hello.h"
#include "daemon/migrate/take.h"
#include "daemon/op.h"
#include "daemon/peer_config.h"
#include "daemon/upkeep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TUNNEL_TIMEOUT_S 300    /* somebody may be typing a password */

struct run {
    struct fd_op *op;
    bool asked;                 /* by our user; else by a peer */
    char peer[256];
    struct mw_wire *wire;
    struct md_key key;
    struct mt_taker *taker;
    struct fd_lineage lineage;
    struct mv_move move;
    char name[256];
    uint64_t seq, peer_seq;
    bool was_there, published, handed;
    bool is_silent;             /* the peer would take our reason for a no, and the right may be here */
    struct lt_figures figures;
    struct mw_counts counts;
};

static bool is_cancelled(void *arg)
{
    struct run *r = arg;

    return !r->published && fd_op_cancelled(r->op);
}

static void progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    fd_op_progress(((struct run *)arg)->op, phase, done, total);
}

/* ---- what is offered ---- */

static int say_wish(struct run *r, struct flic_err *err)
{
    const json_t *request = r->op->request;
    const char *domain = json_string_value(json_object_get(request, "domain")), *peer = json_string_value(json_object_get(request, "peer"));
    json_int_t seq = json_integer_value(json_object_get(request, "seq"));
    struct mc_want want = { .seq = (uint64_t)seq, .backup = json_is_true(json_object_get(request, "backup")),
                            .ram_only = json_is_true(json_object_get(request, "ram_only")) };

    if (!peer || !*peer || strlen(peer) >= sizeof(r->peer) || !domain || !*domain || strlen(domain) >= sizeof(want.domain) || seq < 0)
        return flic_err_set(err, FLIC_E_PROTOCOL, "a pull needs the peer's name and which checkpoint");
    (void)snprintf(r->peer, sizeof(r->peer), "%s", peer);
    (void)snprintf(want.domain, sizeof(want.domain), "%s", domain);
    mc_own_name(want.from);
    return mc_send_want(r->wire, &want, err);
}

static int check_offer(struct run *r, struct flic_err *err)
{
    const struct mc_offer *offer = mt_offer(r->taker);
    char *config = NULL;
    int rc;

    (void)snprintf(r->name, sizeof(r->name), "%s", offer->name);
    if (!r->asked)
        (void)snprintf(r->peer, sizeof(r->peer), "%s", offer->from);
    r->peer_seq = offer->seq;
    r->move = (struct mv_move){ .guest = offer->guest };
    (void)snprintf(r->move.name, sizeof(r->move.name), "%s", offer->name);
    (void)snprintf(r->move.peer, sizeof(r->move.peer), "%s", r->peer);
    fd_op_describe(r->op, 0, offer->name);
    rc = pc_take(&r->op->daemon->conf, offer->config, &offer->guest, offer->name, &config, err);
    if (rc)
        return rc;
    mt_set_config(r->taker, config);        /* from here on it is what we read in it that counts */
    return fd_op_claim_guest(r->op, &offer->guest, err);
}

static int know_other(void *arg, const struct ck_loaded *other, struct flic_err *err)
{
    return mt_know(arg, other, err);
}

/* What is here already of it; else, for a peer of the same owner group, of its siblings. */
static int begin(struct run *r, struct flic_err *err)
{
    struct fd_lineage *l = &r->lineage;
    int rc = 0;

    fd_lineage_open(r->op->daemon, &r->move.guest, false, l);
    if (mt_is_group(r->taker, r->op->daemon->conf.owner_group))
        rc = fd_lineage_others(l, know_other, r->taker, err);
    if (!rc)
        rc = mt_begin(r->taker, l->base, l->earlier, err);
    if (!rc)
        fd_lineage_begun(l, mt_arrival(r->taker));
    return rc;
}

/* ---- steps ---- */

static int hear(struct run *r, struct flic_err *err)
{
    struct mt_params params = { .store = r->op->daemon->store, .key = &r->key, .progress = progress, .arg = r };
    int rc = fd_op_wire(r->op, TUNNEL_TIMEOUT_S, is_cancelled, r, &r->wire, err);

    params.wire = r->wire;
    if (!rc)
        rc = mh_greet(r->wire, false, &r->key, err);
    if (!rc && r->asked)
        rc = say_wish(r, err);
    if (!rc)
        rc = mt_hear(&params, &r->taker, err);
    return rc ? rc : check_offer(r, err);
}

/* Any state that is one is stored; the right to bring the guest up is taken only where it can be. */
static int check_state(struct run *r, struct flic_err *err)
{
    const struct mc_offer *offer = mt_offer(r->taker);
    struct flx_state_info info;
    struct lf_kept kept;
    size_t len;
    const void *state = mt_state(r->taker, &len);
    bool by_libxc = lf_is_kept(state, len);
    int rc = by_libxc ? lf_kept_parse(state, len, &kept, err) : flx_state_parse(state, len, &info, err);

    if (!rc && offer->handed && (by_libxc ? lf_kept_fits(offer->arch, err) : flx_state_fits(state, len, err)))
        rc = flic_err_wrap(err, err->code, "'%s' could not be brought up here (--backup copies it all the same)", r->name);
    return rc;
}

static int publish(struct run *r, struct flic_err *err)
{
    const struct mc_offer *offer = mt_offer(r->taker);
    char *disks = NULL;
    int rc = mt_commit(r->taker, &r->seq, &r->was_there, err);

    r->move.seq = r->seq;
    if (!rc)
        rc = fd_disks_leave(offer->config, r->peer, &disks, err);
    if (!rc && strlen(disks) > CK_DISKS_MAX)
        rc = flic_err_set(err, FLIC_E_REFUSED, "'%s' has more disks than can be listed", r->name);
    if (!rc)
        rc = fd_lease_hold(r->op->daemon, &r->move, offer->handed, err);
    if (!rc && !r->was_there)
        rc = mt_publish(r->taker, disks, strlen(disks), err);
    free(disks);
    r->published = !rc;
    if (!rc)
        fd_kept_drop(r->op->daemon, &r->move.guest);
    return rc;
}

/* It would be on both sides, were the peer told of a failure that came after the first step. */
static int take_right(struct run *r, struct flic_err *err)
{
    int rc = mv_take_right(r->op->daemon, &r->move.guest, &r->is_silent, err);
    struct flic_err why = *err;

    if (!rc || !r->is_silent)
        return rc;
    return flic_err_set(err, FLIC_E_UNSURE, "%s@%llu is here, but that it may be brought up here could not be noted (%s): 'flic claim %s' on the phone where it "
                        "shall be", r->name, (unsigned long long)r->seq, why.text, r->name);
}

/* The copy is here in any case. That the right to bring it up is here too, is only known if the peer said so. */
static int hear_last_word(struct run *r, struct flic_err *err)
{
    int rc = mt_ready(r->taker, r->seq, &r->handed, err);

    if (rc && mt_offer(r->taker)->handed) {
        struct flic_err why = *err;

        return flic_err_set(err, FLIC_E_UNSURE, "%s@%llu is here, but %s did not say that it may be brought up here (%s): 'flic claim %s' on the phone where "
                            "it shall be", r->name, (unsigned long long)r->seq, r->peer, why.text, r->name);
    }
    if (rc) {
        flic_warn("%s did not say goodbye: %s", r->peer, err->text);
        *err = (struct flic_err){ 0 };
        return 0;
    }
    if (r->handed)
        rc = take_right(r, err);
    if (!rc)
        (void)mt_done(r->taker, NULL);          /* who does not hear it asks his user */
    return rc;
}

static int all_steps(struct run *r, struct flic_err *err)
{
    int rc;

    fd_op_to_owner(r->op, json_pack("{s:s, s:s}", "event", "ready", "operation", r->op->id));
    rc = hear(r, err);
    if (!rc)
        rc = begin(r, err);
    if (!rc)
        rc = mt_take(r->taker, err);
    if (!rc)
        rc = check_state(r, err);
    if (!rc)
        rc = publish(r, err);
    return rc ? rc : hear_last_word(r, err);
}

/* ---- the end ---- */

static json_t *figures_of(const struct run *r)
{
    const struct lt_figures *f = &r->figures;
    const struct fd_figure rows[] = {
        { "ram_pages", f->ram_pages }, { "zero_pages", f->zero_pages }, { "same_pages", f->same_pages }, { "found_pages", f->found_pages },
        { "known_pages", f->known_pages }, { "received_pages", f->received_pages }, { "new_pages", f->store.new_pages },
        { "dedup_pages", f->store.dedup_pages }, { "flash_bytes", f->store.flash_bytes }, { "nvram_bytes", f->store.nvram_bytes },
        { "received_bytes", r->counts.received }, { "sent_bytes", r->counts.sent }, { "peer_seq", r->peer_seq },
    };
    json_t *o = json_object();

    fd_add_figures(o, rows, sizeof(rows) / sizeof(rows[0]));
    (void)json_object_set_new(o, "peer", json_string(r->peer));
    return o;
}

static void end_parts(struct run *r, int rc, const struct flic_err *err)
{
    if (r->taker)
        mt_get_figures(r->taker, &r->figures);
    if (rc && !r->published && r->taker)
        fd_kept_put(r->op->daemon, &r->move.guest, mt_keep(r->taker), NULL);
    mt_free(r->taker);
    if (r->wire) {
        mw_get_counts(r->wire, &r->counts);
        if (rc && !r->is_silent)
            mw_abort(r->wire, rc, err->text);
    }
    mw_free(r->wire);
    fd_lineage_close(&r->lineage);
}

void fd_run_get(struct fd_op *op)
{
    struct run r = { .op = op, .asked = json_object_get(op->request, "peer") != NULL };
    struct ix_entry entry = { .code = 0 };
    char uuid[FLIC_UUID_TEXT];
    struct flic_err err = { 0 };
    int rc = fd_op_reason(op, all_steps(&r, &err), &err);

    end_parts(&r, rc, &err);
    (void)snprintf(entry.verb, sizeof(entry.verb), "%s", fd_op_kind_name(op));
    entry.guest = r.move.guest;
    entry.seq = r.seq;
    flic_uuid_text(&r.move.guest, uuid);
    fd_op_end(op, rc, &err, json_pack("{s:b, s:s, s:s, s:I, s:s, s:I, s:b, s:b}", "ok", 1, "domain", r.name, "uuid", uuid, "seq", (json_int_t)r.seq,
                                      "peer", r.peer, "peer_seq", (json_int_t)r.peer_seq, "handed", (int)r.handed, "was_there", (int)r.was_there),
              figures_of(&r), &entry, r.name);
    if (r.published) {
        fd_keeper_poke(op->daemon);
        fd_upkeep_published(op->daemon);
    }
}
