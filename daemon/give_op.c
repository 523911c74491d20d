/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * give_op - a stored checkpoint goes to a peer: flic push, and the other end of flic pull.
 *
 *   open -> ready -> (tunnel) -> [what is wanted] -> offered -> what is lacking sent -> there, durable -> ["pushed" durable] -> the last word -> done
 */
#include "common/log.h"
#include "daemon/disks.h"
#include "daemon/find.h"
#include "daemon/lease.h"
#include "daemon/migrate/copy.h"
#include "daemon/migrate/give.h"
#include "daemon/migrate/hello.h"
#include "daemon/op.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TUNNEL_TIMEOUT_S 300    /* somebody may be typing a password */

struct run {
    struct fd_op *op;
    bool asked;                 /* by our user; else by a peer */
    bool backup, ram_only;
    char peer[256];
    struct ck_entry entry;
    struct nv_name name;
    struct ck_loaded loaded;
    bool in_use, is_loaded;
    struct mv_move move;
    struct mw_wire *wire;
    struct md_key key;
    struct mg_giver *giver;
    bool handed;                /* the right to bring it up goes along */
    bool last_word;
    uint64_t peer_seq;
    struct ls_figures figures;
};

static bool is_cancelled(void *arg)
{
    struct run *r = arg;

    return !r->last_word && fd_op_cancelled(r->op);
}

static void progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    fd_op_progress(((struct run *)arg)->op, phase, done, total);
}

/* ---- which one ---- */

static int see_disk(const struct fd_disk *disk, void *arg, struct flic_err *err)
{
    const struct run *r = arg;

    return flic_err_set(err, FLIC_E_DISK, "%s@%llu has the disk %s ('%s'), which would stay on this phone: with --ram-only its memory goes alone, for an 'xl "
                        "restore --ram-only' there", r->entry.info.name, (unsigned long long)r->name.seq, disk->vdev, disk->path);
}

/* Nobody can be bringing it up while we may give that right away; who is, has it. */
static void see_lease(struct run *r)
{
    r->handed = !r->backup && !fd_op_claim_guest(r->op, &r->name.guest, NULL) && fd_lease_is_free(r->op->daemon, &r->name.guest);
}

static int prepare(struct run *r, json_t *which, struct flic_err *err)
{
    struct fd_daemon *daemon = r->op->daemon;
    int rc = fd_find(daemon, which, &r->entry, err);

    if (rc)
        return rc;
    fd_op_describe(r->op, 0, r->entry.info.name);
    r->name = (struct nv_name){ .guest = r->entry.info.guest, .seq = r->entry.info.seq };
    rc = ck_use(daemon->store, &r->name, err);
    if (rc)
        return rc;
    r->in_use = true;
    rc = ck_load(daemon->store, &r->entry, &r->loaded, err);
    if (rc)
        return rc;
    r->is_loaded = true;
    if (!r->ram_only)
        rc = fd_disks_each(r->loaded.root.config, see_disk, r, err);
    r->move = (struct mv_move){ .guest = r->name.guest, .state = MV_PUSHED, .seq = r->name.seq };
    (void)snprintf(r->move.name, sizeof(r->move.name), "%s", r->entry.info.name);
    (void)snprintf(r->move.peer, sizeof(r->move.peer), "%s", r->peer);
    if (!rc && flic_uuid_draw(&r->move.migration))
        rc = flic_err_errno(err, "draw an id");
    if (!rc)
        see_lease(r);
    return rc;
}

static int prepare_asked(struct run *r, struct flic_err *err)
{
    const char *peer = json_string_value(json_object_get(r->op->request, "peer"));

    if (!peer || !*peer || strlen(peer) >= sizeof(r->peer))
        return flic_err_set(err, FLIC_E_PROTOCOL, "a push needs the peer's name");
    (void)snprintf(r->peer, sizeof(r->peer), "%s", peer);
    r->backup = json_is_true(json_object_get(r->op->request, "backup"));
    r->ram_only = json_is_true(json_object_get(r->op->request, "ram_only"));
    return prepare(r, r->op->request, err);
}

static int prepare_wanted(struct run *r, struct flic_err *err)
{
    struct mc_want want;
    json_t *which;
    int rc = mc_get_want(r->wire, &want, err);

    if (rc)
        return rc;
    (void)snprintf(r->peer, sizeof(r->peer), "%s", want.from);
    r->backup = want.backup;
    r->ram_only = want.ram_only;
    which = json_pack("{s:s, s:I}", "domain", want.domain, "seq", (json_int_t)want.seq);
    rc = which ? prepare(r, which, err) : flic_err_set(err, -ENOMEM, "find a checkpoint: out of memory");
    json_decref(which);
    return rc;
}

/* ---- steps ---- */

static int reach(struct run *r, struct flic_err *err)
{
    int rc = fd_op_wire(r->op, TUNNEL_TIMEOUT_S, is_cancelled, r, &r->wire, err);

    if (!rc)
        rc = mh_greet(r->wire, true, &r->key, err);
    return rc || r->asked ? rc : prepare_wanted(r, err);
}

static int send(struct run *r, struct flic_err *err)
{
    char from[MC_NAME];
    struct mg_params params = {
        .wire = r->wire, .key = &r->key, .store = r->op->daemon->store, .loaded = &r->loaded, .push = &r->move.migration, .from = from,
        .owner_group = r->op->daemon->conf.owner_group, .handed = r->handed, .progress = progress, .arg = r,
    };
    int rc;

    mc_own_name(from);
    rc = mg_new(&params, &r->giver, err);
    return rc ? rc : mg_send(r->giver, &r->peer_seq, err);
}

static int unsure(const struct run *r, struct flic_err *err)
{
    struct flic_err why = *err;

    return flic_err_set(err, FLIC_E_UNSURE, "%s@%llu is on %s, as its @%llu, which did not confirm that it may be brought up there (%s): 'flic claim %s' on the "
                        "phone where it shall be", r->entry.info.name, (unsigned long long)r->name.seq, r->peer, (unsigned long long)r->peer_seq,
                        why.text, r->entry.info.name);
}

/* It is there. With the last word it may be brought up there, and only there: that is durable here before it is said. */
static int hand_over(struct run *r, struct flic_err *err)
{
    struct fd_daemon *daemon = r->op->daemon;
    bool sent = false;
    int rc;

    r->handed = r->handed && fd_lease_is_free(daemon, &r->name.guest);
    rc = r->handed ? mv_write(daemon, &r->move, err) : 0;
    if (rc)
        return rc;
    r->last_word = true;
    rc = mg_hand_over(r->giver, r->handed, &sent, err);
    if (rc && !r->handed) {
        flic_warn("%s did not say goodbye: %s", r->peer, err->text);
        *err = (struct flic_err){ 0 };
        return 0;
    }
    if (rc && (!sent || mw_peer_aborted(r->wire)))
        (void)mv_drop(daemon, &r->move.migration, NULL);        /* it does not have it; else claim says so */
    else if (rc)
        rc = unsure(r, err);
    return rc;
}

static int all_steps(struct run *r, struct flic_err *err)
{
    int rc = r->asked ? prepare_asked(r, err) : 0;

    if (rc)
        return rc;
    fd_op_to_owner(r->op, json_pack("{s:s, s:s}", "event", "ready", "operation", r->op->id));
    rc = reach(r, err);
    if (!rc)
        rc = send(r, err);
    return rc ? rc : hand_over(r, err);
}

/* ---- the end ---- */

static json_t *figures_of(const struct run *r)
{
    const struct ls_figures *f = &r->figures;
    const struct fd_figure rows[] = {
        { "ram_pages", f->ram_pages }, { "zero_pages", f->zero_pages }, { "there_pages", f->there_pages }, { "sent_pages", f->sent_pages },
        { "page_bytes", f->page_bytes }, { "sent_bytes", f->sent_bytes }, { "received_bytes", f->received_bytes }, { "peer_seq", r->peer_seq },
    };
    json_t *o = json_object();

    fd_add_figures(o, rows, sizeof(rows) / sizeof(rows[0]));
    (void)json_object_set_new(o, "peer", json_string(r->peer));
    return o;
}

static void end_parts(struct run *r, int rc, const struct flic_err *err)
{
    struct ck_store *store = r->op->daemon->store;

    if (r->giver)
        mg_get_figures(r->giver, &r->figures);
    mg_free(r->giver);
    if (r->wire && rc)
        mw_abort(r->wire, rc, err->text);
    mw_free(r->wire);
    if (r->is_loaded)
        ck_unload(store, &r->loaded);
    if (r->in_use)
        ck_unuse(store, &r->name);
}

void fd_run_give(struct fd_op *op)
{
    struct run r = { .op = op, .asked = json_object_get(op->request, "peer") != NULL };
    struct ix_entry entry = { .code = 0 };
    char uuid[FLIC_UUID_TEXT];
    struct flic_err err = { 0 };
    int rc = fd_op_reason(op, all_steps(&r, &err), &err);

    end_parts(&r, rc, &err);
    (void)snprintf(entry.verb, sizeof(entry.verb), "%s", fd_op_kind_name(op));
    entry.guest = r.name.guest;
    entry.seq = r.name.seq;
    flic_uuid_text(&r.name.guest, uuid);
    fd_op_end(op, rc, &err, json_pack("{s:b, s:s, s:s, s:I, s:s, s:I, s:b}", "ok", 1, "domain", r.entry.info.name, "uuid", uuid, "seq",
                                      (json_int_t)r.name.seq, "peer", r.peer, "peer_seq", (json_int_t)r.peer_seq, "handed", (int)r.handed),
              figures_of(&r), &entry, r.entry.info.name);
}
