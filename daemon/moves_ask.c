/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* moves_ask - what a peer asks about a migration, and what its owner decides. */
#include "daemon/moves.h"

#include "common/log.h"
#include "daemon/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Asked by the sender, who does not know whether his last word arrived: from now on it did, or never will. */
json_t *fd_settle(struct fd_daemon *daemon, json_t *request)
{
    const char *text = json_string_value(json_object_get(request, "migration"));
    struct mv_move refusal = { .state = MV_REFUSED, .name = "?" };
    struct flic_err err = { 0 };
    enum mv_state state;

    if (!text || !flic_uuid_parse(text, &refusal.migration))
        return fd_answer_error(FLIC_E_PROTOCOL, "name the migration");
    if (mv_decide(daemon, &refusal, &state, &err))
        return fd_answer_error(err.code, err.text);
    return json_pack("{s:b, s:s}", "ok", 1, "state", state == MV_RUNNING ? "running" : "refused");
}

/* The newest migration that took this guest away, by name or uuid. */
static int find(struct fd_daemon *daemon, const char *domain, struct mv_move *ret, struct flic_err *err)
{
    struct mv_move *moves;
    bool found = false;
    size_t n;
    int rc = mv_list(daemon, &moves, &n, NULL, err);

    for (size_t i = 0; !rc && i < n; i++) {
        char uuid[FLIC_UUID_TEXT];

        flic_uuid_text(&moves[i].guest, uuid);
        if (!(MV_ELSEWHERE >> moves[i].state & 1) || (strcmp(domain, uuid) && strcmp(domain, moves[i].name)) ||
            (found && moves[i].at_ns < ret->at_ns))
            continue;
        *ret = moves[i];
        found = true;
    }
    free(moves);
    if (!rc && !found)
        rc = flic_err_set(err, FLIC_E_NODOMAIN, "no guest '%s' went, or may have gone, from here to another phone, or is a copy of another's", domain);
    return rc;
}

/* What is written down of it then is an operation's, which goes by what it wrote. */
static bool is_under_way(struct fd_daemon *daemon, const struct flic_uuid *guest)
{
    struct mv_move handing;

    return fd_op_claims(daemon, guest) ||
           (mv_find(daemon, guest, 1u << MV_HANDING, &handing) > 0 && handing.domid && fd_op_holds(daemon, handing.domid));
}

json_t *fd_claim(struct fd_daemon *daemon, json_t *request)
{
    const char *domain = json_string_value(json_object_get(request, "domain"));
    bool dry_run = json_is_true(json_object_get(request, "dry_run"));
    struct flic_err err = { 0 };
    struct mv_move move;
    char uuid[FLIC_UUID_TEXT];
    int rc;

    if (!domain)
        return fd_answer_error(FLIC_E_PROTOCOL, "name the guest");
    rc = find(daemon, domain, &move, &err);
    if (!rc && is_under_way(daemon, &move.guest))
        rc = flic_err_set(&err, FLIC_E_BUSY, "'%s' is being migrated, copied or restored right now: wait, or cancel that ('flic status')", move.name);
    if (!rc && !dry_run)
        rc = mv_settle(daemon, &move, false, &err);
    if (!rc && !dry_run)
        rc = mv_forget_guest(daemon, &move.guest, &err);
    if (rc)
        return fd_answer_error(rc, err.text);
    if (!dry_run)
        flic_warn("'%s' is claimed back from %s by its owner", move.name, move.peer);
    flic_uuid_text(&move.guest, uuid);
    return json_pack("{s:b, s:s, s:s, s:s, s:s, s:I, s:b}", "ok", 1, "domain", move.name, "uuid", uuid, "peer", move.peer, "was",
                     mv_state_name(move.state), "seq", (json_int_t)move.seq, "dry_run", dry_run);
}

json_t *fd_moves_status(struct fd_daemon *daemon)
{
    json_t *list = json_array();
    struct mv_move *moves;
    size_t n;

    if (!daemon->store || mv_list(daemon, &moves, &n, NULL, NULL))
        return list;
    for (size_t i = 0; i < n; i++) {
        char guest[FLIC_UUID_TEXT], migration[FLIC_UUID_TEXT], at[24];

        if (!(MV_ELSEWHERE >> moves[i].state & 1))
            continue;
        flic_uuid_text(&moves[i].guest, guest);
        flic_uuid_text(&moves[i].migration, migration);
        (void)snprintf(at, sizeof(at), "%llu", (unsigned long long)moves[i].at_ns);
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s}", "domain", moves[i].name, "uuid", guest, "peer",
                                                    moves[i].peer, "state", moves[i].state == MV_HANDING ? "waiting" : mv_state_name(moves[i].state), "migration",
                                                    migration, "seq", (json_int_t)moves[i].seq, "at_ns", at));
    }
    free(moves);
    return list;
}
