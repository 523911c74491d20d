/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* tracking_ask - track, untrack, wss, and the part of status that tells of tracked guests. */
#include "daemon/index/index.h"
#include "daemon/tracking.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)v);
}

static void add_write_set(json_t *o, const struct tk_sample *s)
{
    (void)json_object_set_new(o, "epoch_ms", number(s->epoch_ms));
    (void)json_object_set_new(o, "written_pages", number(s->written_pages));
    (void)json_object_set_new(o, "wss_pages", number(s->ws_pages));
    (void)json_object_set_new(o, "stable_pages", number(s->stable_pages));
    (void)json_object_set_new(o, "regions", number(s->ws_regions));
}

static json_t *describe(const struct ft_view *v)
{
    static const char *const states[] = { [FT_TRACKING] = "tracking", [FT_LENT] = "being saved", [FT_WAITING] = "waiting" };
    const struct tk_status *s = &v->status;
    char uuid[FLIC_UUID_TEXT];
    json_t *o;

    flic_uuid_text(&v->uuid, uuid);
    o = json_pack("{s:s, s:s, s:I, s:s, s:s}", "domain", v->name, "uuid", uuid, "domid", (json_int_t)v->domid, "state",
                  states[v->state], "why", v->state == FT_WAITING ? v->why.text : "");
    if (!o || v->state == FT_WAITING)
        return o;
    (void)json_object_set_new(o, "ram_pages", number(s->info.pages));
    (void)json_object_set_new(o, "unknown_pages", number(s->unknown_pages));
    (void)json_object_set_new(o, "pending_pages", number(s->pending_pages));
    (void)json_object_set_new(o, "epochs", number(s->epochs));
    (void)json_object_set_new(o, "next_epoch_ms", number(s->epoch_ms));
    (void)json_object_set_new(o, "copied_pages", number(s->copied.pages));
    (void)json_object_set_new(o, "new_pages", number(s->copied.new_pages));
    (void)json_object_set_new(o, "dedup_pages", number(s->copied.dedup_pages));
    (void)json_object_set_new(o, "flash_bytes", number(s->flash_bytes));
    (void)json_object_set_new(o, "started_over", number(s->started_over));
    add_write_set(o, &s->last);
    return o;
}

json_t *fd_tracking_status(struct fd_daemon *daemon)
{
    json_t *list = json_array();
    struct ft_view *views;
    size_t n;

    if (ft_list(daemon, &views, &n, NULL))
        return list;
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(list, describe(&views[i]));
    free(views);
    return list;
}

/* ---- track, untrack ---- */

static int check(struct fd_daemon *daemon, json_t *request, const char **ret_domain, struct flic_err *err)
{
    int rc = fd_check_ready(daemon, err);

    *ret_domain = json_string_value(json_object_get(request, "domain"));
    if (!rc && !daemon->tracking)
        rc = flic_err_set(err, FLIC_E_INTERNAL, "tracking did not start: see flicd's log");
    if (!rc && (!*ret_domain || !**ret_domain))
        rc = flic_err_set(err, FLIC_E_PROTOCOL, "the request needs a \"domain\"");
    return rc;
}

static void write_journal(struct fd_daemon *daemon, const char *verb, const struct ft_view *view, uint64_t began_ns, int rc,
                          const struct flic_err *err)
{
    struct ix_entry entry = { .began_ns = began_ns, .guest = view->uuid, .code = rc, .message = rc ? err->text : "" };

    entry.took_ns = tk_real_clock.wall_ns(NULL) - began_ns;
    (void)snprintf(entry.verb, sizeof(entry.verb), "%s", verb);
    memcpy(entry.guest_name, view->name, sizeof(entry.guest_name));
    fd_journal(daemon, &entry, NULL);
}

static json_t *set(struct fd_daemon *daemon, json_t *request, bool track)
{
    uint64_t began_ns = tk_real_clock.wall_ns(NULL);
    struct ft_view view = { .name = "" };
    struct flic_err err = { 0 };
    const char *domain;
    int rc = check(daemon, request, &domain, &err);

    if (rc)
        return fd_answer_error(rc, err.text);
    rc = ft_set(daemon, domain, track, &view, &err);
    if (view.name[0])
        write_journal(daemon, track ? "track" : "untrack", &view, began_ns, rc, &err);
    if (rc)
        return fd_answer_error(rc, err.text);
    return json_pack("{s:b, s:s, s:b, s:o}", "ok", 1, "domain", view.name, "tracked", track, "guest", describe(&view));
}

json_t *fd_track(struct fd_daemon *daemon, json_t *request)
{
    return set(daemon, request, true);
}

json_t *fd_untrack(struct fd_daemon *daemon, json_t *request)
{
    return set(daemon, request, false);
}

/* ---- wss ---- */

static json_t *samples_of(const struct tk_sample *samples, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        json_t *o = json_object();
        char at[24];

        (void)snprintf(at, sizeof(at), "%" PRIu64, samples[i].at_ns);
        (void)json_object_set_new(o, "at_ns", json_string(at));
        add_write_set(o, &samples[i]);
        (void)json_array_append_new(list, o);
    }
    return list;
}

json_t *fd_wss(struct fd_daemon *daemon, json_t *request)
{
    json_int_t limit = json_integer_value(json_object_get(request, "limit"));
    struct tk_sample *samples = calloc(TK_SERIES, sizeof(*samples));
    struct flic_err err = { 0 };
    struct ft_view view;
    const char *domain;
    size_t n = 0, first;
    json_t *answer;
    int rc = samples ? check(daemon, request, &domain, &err) : flic_err_set(&err, -ENOMEM, "wss: out of memory");

    if (!rc)
        rc = ft_series(daemon, domain, &view, samples, &n, &err);
    first = limit > 0 && (size_t)limit < n ? n - (size_t)limit : 0;
    answer = rc ? fd_answer_error(rc, err.text)
                : json_pack("{s:b, s:s, s:o, s:o}", "ok", 1, "domain", view.name, "guest", describe(&view), "samples",
                            samples_of(samples + first, n - first));
    free(samples);
    return answer;
}
