/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * tracking - the guests that are tracked ahead of their saves: one thread that steps them all, looks for new ones, and lends
 * one to its save.
 *
 * A tracked guest is stepped by the thread, or lent to one operation, or neither; never both. A guest that cannot be tracked now
 * is tried again after a while, from nothing known. One that is gone is dropped; when it is back, under whatever domid, it is
 * picked up again if a command (by uuid) or the configuration (by name) wants it: by its restore, with what the checkpoint has of
 * it known, or else once it runs, from nothing.
 */
#ifndef FLIC_DAEMON_TRACKING_H
#define FLIC_DAEMON_TRACKING_H

#include "daemon/daemon.h"
#include "daemon/track/track.h"

int fd_tracking_start(struct fd_daemon *daemon, struct flic_err *err);
/* Log-dirty is off everywhere afterwards. No operation may hold a loan. */
void fd_tracking_stop(struct fd_daemon *daemon);

/* From a save's thread, with the domain held (fd_op_holds): what is known of it, and its state at that moment; NULL when it is not
 * tracked or cannot be lent: then log-dirty is off and the save begins from nothing. Each loan is given back, after the save
 * has let go of it. */
struct ck_base *fd_tracking_lend(struct fd_daemon *daemon, uint32_t domid, struct tk_status *ret_status);
void fd_tracking_give_back(struct fd_daemon *daemon, uint32_t domid);

/* From a restore's thread, with the domain held, filled from that checkpoint and not run yet: begins to track it if it is to be tracked.
 * A failure costs what is known of it, no more: it is picked up from nothing once it runs. */
void fd_tracking_begin_filled(struct fd_daemon *daemon, struct flx_dom *dom, const struct ck_loaded *from);

/* ---- tracking_ask.c: questions ---- */

json_t *fd_track(struct fd_daemon *daemon, json_t *request);
json_t *fd_untrack(struct fd_daemon *daemon, json_t *request);
json_t *fd_wss(struct fd_daemon *daemon, json_t *request);
json_t *fd_tracking_status(struct fd_daemon *daemon);  /* an array */

/* ---- between the two ---- */

enum ft_state { FT_TRACKING, FT_LENT, FT_WAITING /* see why */ };
struct ft_view {                /* one tracked guest, as it was last seen */
    struct flic_uuid uuid;
    char name[256];
    uint32_t domid;
    enum ft_state state;
    struct tk_status status;
    struct flic_err why;        /* FT_WAITING: why it is not tracked now; code 0: an operation holds it */
};
/* Gives *ret_views (free()). */
int ft_list(struct fd_daemon *daemon, struct ft_view **ret_views, size_t *ret_n, struct flic_err *err);
/* The newest samples of a tracked guest into `samples` (room for TK_SERIES); FLIC_E_NODOMAIN when it is not tracked. */
int ft_series(struct fd_daemon *daemon, const char *domain, struct ft_view *ret_view, struct tk_sample *samples, size_t *ret_n,
              struct flic_err *err);
/* Begins or ends tracking and writes that down; waits until it has begun (or says why not), or ended. `domain` is name or uuid. */
int ft_set(struct fd_daemon *daemon, const char *domain, bool track, struct ft_view *ret_view, struct flic_err *err);

#endif
