/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic track, untrack, wss: guests that are copied ahead of their saves, and what they write. */
#include "cli/cancel.h"
#include "cli/cmd.h"
#include "cli/human.h"
#include "cli/member.h"
#include "cli/plot.h"
#include "cli/table.h"

#include <errno.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u

static int ask_about_guest(struct cmd_request *req, const char *op, json_t **ret_answer, struct flic_err *err)
{
    if (req->target.seq || req->target.from_file)
        return flic_err_set(err, FLIC_E_USAGE, "%s takes a DOMAIN, its name or uuid, not a checkpoint", op);
    return cmd_ask(req, cmd_question(req, op), ret_answer, err);
}

int cmd_track(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    return ask_about_guest(req, "track", ret_answer, err);
}

int cmd_untrack(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    return ask_about_guest(req, "untrack", ret_answer, err);
}

int cmd_track_print(const struct cmd_request *req, const json_t *answer)
{
    const json_t *guest = json_object_get(answer, "guest");
    char name[300];

    (void)cmd_checkpoint_name(answer, name);
    if (!json_is_true(json_object_get(answer, "tracked")))
        (void)printf("%s is not tracked; a save of it copies everything\n", name);
    else if (!strcmp(member_text(guest, "state"), "waiting"))
        (void)printf("%s will be tracked when the operation on it is over\n", name);
    else
        (void)printf("%s is tracked: what stays unwritten is copied to flash ahead of its save\n", name);
    (void)req;
    return 0;
}

/* ---- the table in status and list ---- */

static void add_pages(struct table *table, const json_t *of, const char *name)
{
    char text[HUMAN_ROOM];

    table_add(table, human_bytes(member_u64(of, name) * PAGE, text));
}

static void add_guest(struct table *table, const json_t *guest)
{
    char text[HUMAN_ROOM], name[300];
    bool waits = !strcmp(member_text(guest, "state"), "waiting");

    table_add(table, cmd_checkpoint_name(guest, name));
    table_add(table, member_text(guest, "state"));
    if (waits) {
        for (int i = 0; i < 5; i++)
            table_add(table, NULL);
        return;
    }
    add_pages(table, guest, "ram_pages");
    add_pages(table, guest, "unknown_pages");
    add_pages(table, guest, "wss_pages");
    table_add(table, human_us(member_u64(guest, "epoch_ms") * 1000, text));
    table_add(table, human_bytes(member_u64(guest, "flash_bytes"), text));
}

int cmd_tracked_print(const json_t *tracked)
{
    static const char *const heads[] = { "TRACKED", "STATE", "RAM", "NOT ON FLASH", "WRITE SET", "EPOCH", "TO FLASH" };
    struct table table;
    json_t *guest;
    size_t i;
    int rc;

    table_init(&table, "llrrrrr");
    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        table_add(&table, heads[i]);
    json_array_foreach(tracked, i, guest)
        add_guest(&table, guest);
    rc = table_print(&table, stdout);
    table_fini(&table);
    json_array_foreach(tracked, i, guest) {
        char name[300];

        if (*member_text(guest, "why"))
            (void)printf("%s waits: %s\n", cmd_checkpoint_name(guest, name), member_text(guest, "why"));
    }
    return rc;
}

/* ---- wss ---- */

static bool has_blocks(void)
{
    return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

static int plot_samples(const json_t *samples)
{
    size_t n = json_array_size(samples);
    uint64_t *values = calloc(n ? n : 1, sizeof(*values));

    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        values[i] = member_u64(json_array_get(samples, i), "wss_pages") * PAGE;
    plot_bytes(values, n, has_blocks(), stdout);
    free(values);
    return 0;
}

static void print_span(const json_t *samples)
{
    size_t n = json_array_size(samples);
    const json_t *first = json_array_get(samples, 0), *last = json_array_get(samples, n ? n - 1 : 0);
    char from[HUMAN_ROOM], to[HUMAN_ROOM];

    (void)printf("%zu epochs, %s to %s\n", n, human_time(member_u64(first, "at_ns"), from), human_time(member_u64(last, "at_ns"), to));
}

int cmd_wss_print(const struct cmd_request *req, const json_t *answer)
{
    const json_t *samples = json_array_size(json_object_get(answer, "samples")) ? json_object_get(answer, "samples") : NULL;
    const json_t *last = json_array_get(samples, json_array_size(samples) - 1);
    char a[HUMAN_ROOM], b[HUMAN_ROOM], c[HUMAN_ROOM], d[HUMAN_ROOM], name[300];
    int rc;

    if (req->watch)         /* shown already */
        return 0;
    (void)cmd_checkpoint_name(answer, name);
    if (!samples) {
        (void)printf("%s: no epoch has ended yet\n", name);
        return 0;
    }
    (void)printf("write set of %s: %s, of it %s in every epoch; %s in the last %s\n", name,
                 human_bytes(member_u64(last, "wss_pages") * PAGE, a), human_bytes(member_u64(last, "stable_pages") * PAGE, b),
                 human_bytes(member_u64(last, "written_pages") * PAGE, c), human_us(member_u64(last, "epoch_ms") * 1000, d));
    rc = plot_samples(samples);
    print_span(samples);
    return rc;
}

/* Every second anew: on a terminal in its place, elsewhere one answer below the other, with --json one object a line. */
static int watch_once(struct cmd_request *req, const json_t *answer)
{
    int rc;

    if (req->json)
        return member_print_json(answer, stdout) || fflush(stdout) ? -EIO : 0;
    if (isatty(STDOUT_FILENO))
        (void)fputs("\033[H\033[J", stdout);
    req->watch = false;
    rc = cmd_wss_print(req, answer);
    req->watch = true;
    return rc || fflush(stdout) ? -EIO : 0;
}

int cmd_wss(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    const volatile int *cancel = req->watch ? cancel_on_signals() : NULL;
    const struct timespec second = { .tv_sec = 1 };
    int rc;

    for (;;) {
        rc = ask_about_guest(req, "wss", ret_answer, err);
        if (rc || !req->watch)
            return rc;
        rc = watch_once(req, *ret_answer);
        if (rc)
            return flic_err_set(err, rc, "cannot write the answer");
        if (!*cancel)
            (void)nanosleep(&second, NULL);     /* a signal ends it: looked at below */
        if (*cancel)
            return 0;
        json_decref(*ret_answer);
        *ret_answer = NULL;
    }
}
