/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/lease.h"

#include "daemon/daemon.h"
#include "daemon/find.h"

#include <stdio.h>

bool fd_lease_is_free(struct fd_daemon *daemon, const struct flic_uuid *guest)
{
    struct flx_info alive;
    struct mv_move move;

    return fd_find_living(guest, NULL, &alive, NULL) == 0 && mv_find(daemon, guest, MV_ELSEWHERE, &move) == 0;
}

/* It lives here, or has checkpoints here: the right is here already, and a copy more changes nothing. */
static int is_ours(struct fd_daemon *daemon, const struct flic_uuid *guest, struct flic_err *err)
{
    char uuid[FLIC_UUID_TEXT];
    struct ck_entry entry;
    struct flx_info alive;
    int found = fd_find_living(guest, NULL, &alive, err);

    flic_uuid_text(guest, uuid);
    return found ? found : !ck_find(daemon->store, uuid, 0, &entry, NULL);
}

static int cannot_read(struct fd_daemon *daemon, const char *name, struct flic_err *err)
{
    return flic_err_set(err, FLIC_E_DAMAGED, "whether guest '%s' was migrated cannot be read in '%s/moves': flicd's log says which file; "
                        "remove it if that guest is on no other phone", name, daemon->conf.store);
}

/* Under a name that no peer chose: it would be that of another migration's file. */
static int hold(struct fd_daemon *daemon, struct mv_move *held, struct flic_err *err)
{
    held->state = MV_COPY;
    return flic_uuid_draw(&held->migration) ? flic_err_errno(err, "draw an id") : mv_write(daemon, held, err);
}

/* Of a guest that lives here nobody else has the right to give: the giver is mistaken. */
static int refuse_living(const struct mv_move *copy, struct flic_err *err)
{
    struct flx_info alive;
    int rc = fd_find_living(&copy->guest, NULL, &alive, err);

    return rc <= 0 ? rc : flic_err_set(err, FLIC_E_ALIVE, "guest '%s' is alive on the phone that takes the copy, as domain %u, and may be brought up nowhere else "
                                       "(--backup copies it all the same)", copy->name, alive.domid);
}

int fd_lease_hold(struct fd_daemon *daemon, const struct mv_move *copy, bool handed, struct flic_err *err)
{
    struct mv_move held = *copy, move;
    int found = mv_find(daemon, &copy->guest, MV_ELSEWHERE, &move), rc;

    if (found < 0)
        return cannot_read(daemon, copy->name, err);
    if (found && move.state == MV_HANDING && handed)
        return flic_err_set(err, FLIC_E_BUSY, "'%s' is being migrated from here, and it is not known yet whether it arrived: wait, or 'flic claim %s'",
                            copy->name, copy->name);
    rc = handed ? refuse_living(copy, err) : 0;
    if (rc)
        return rc;
    found = found ? 1 : is_ours(daemon, &copy->guest, err);
    if (found)
        return found < 0 ? found : 0;
    return hold(daemon, &held, err);
}

int fd_lease_hold_arrival(struct fd_daemon *daemon, const struct mv_move *arrival, struct flic_uuid *ret_id, struct flic_err *err)
{
    struct mv_move held = { .guest = arrival->guest, .peer = "another phone", .seq = arrival->seq };
    int rc;

    (void)snprintf(held.name, sizeof(held.name), "%s", arrival->name);
    rc = hold(daemon, &held, err);
    *ret_id = held.migration;
    return rc;
}

int fd_lease_check(struct fd_daemon *daemon, const struct flic_uuid *guest, const char *name, struct flic_err *err)
{
    struct mv_move move;
    int found = mv_find(daemon, guest, MV_ELSEWHERE, &move);

    if (!found)
        return 0;
    if (found < 0)
        return cannot_read(daemon, name, err);
    if (move.state == MV_COPY)
        return flic_err_set(err, FLIC_E_ALIVE, "guest '%s' is %s's: what is here is a copy; push it from there again when it is not alive there, or, if "
                            "that phone is gone for good, say so with 'flic claim %s'", name, move.peer, name);
    if (move.state == MV_PUSHED)
        return flic_err_set(err, FLIC_E_ALIVE, "guest '%s' was pushed to %s, which may have brought it up: 'flic pull %s %s' takes it back; or, if it "
                            "will never run there, say so with 'flic claim %s'", name, move.peer, move.peer, name, name);
    return flic_err_set(err, FLIC_E_ALIVE, "guest '%s' %s to %s: migrate it back; or, if that phone is gone for good, say so with 'flic claim %s'",
                        name, move.state == MV_GONE ? "was migrated" : "is being migrated", move.peer, name);
}
