/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic log: the journal as a list, or every entry of one checkpoint with its figures by kind. */
#include "cli/cmd.h"
#include "cli/human.h"
#include "cli/member.h"
#include "cli/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_DEFAULT 20u

/* ---- asking ---- */

/* `limit` 0: all; before 0: from the newest on. */
static int ask_page(struct cmd_request *req, uint64_t limit, uint64_t before, json_t **ret_answer, struct flic_err *err)
{
    json_t *question = cmd_question(req, "log");

    if (question && (json_object_set_new(question, "limit", json_integer((json_int_t)limit)) ||
                     (before && json_object_set_new(question, "before", json_integer((json_int_t)before))))) {
        json_decref(question);
        question = NULL;
    }
    return cmd_ask(req, question, ret_answer, err);
}

/* flicd tells of so many at a time, and whether there are more. */
static int ask_all(struct cmd_request *req, uint64_t limit, json_t *entries, struct flic_err *err)
{
    uint64_t before = 0, last = 0;
    bool more = true;
    int rc = 0;

    while (!rc && more) {
        size_t had = json_array_size(entries), n;
        json_t *page, *some;

        rc = ask_page(req, limit ? limit - had : 0, before, &page, err);
        if (rc)
            return rc;
        some = json_object_get(page, "entries");
        n = json_array_size(some);
        last = n ? member_u64(json_array_get(some, n - 1), "id") : 0;
        more = json_is_true(json_object_get(page, "more")) && last && (!before || last < before) && (!limit || had + n < limit);
        before = last;
        if (n && json_array_extend(entries, some))
            rc = flic_err_set(err, -ENOMEM, "read the journal: out of memory");
        json_decref(page);
    }
    return rc;
}

int cmd_log(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    json_t *entries = json_array(), *answer = json_pack("{s:b, s:O}", "ok", 1, "entries", entries);
    int rc = answer ? ask_all(req, req->has_limit ? req->limit : req->target.seq ? 0 : LIMIT_DEFAULT, entries, err)
                    : flic_err_set(err, -ENOMEM, "read the journal: out of memory");

    json_decref(entries);
    if (rc) {
        json_decref(answer);
        return rc;
    }
    if (req->target.seq && !json_array_size(json_object_get(answer, "entries")))
        rc = flic_err_set(err, FLIC_E_NOCHECKPOINT, "the journal has no entry about %s; 'flic log %s' lists what it has",
                          req->what, req->target.domain);
    if (rc)
        json_decref(answer);
    else
        *ret_answer = answer;
    return rc;
}

/* ---- one entry ---- */

/* The figures by what they count, in this order; what has no known ending comes last. */
static const struct {
    const char *title, *ending;
} groups[] = {
    { "time", "_us" }, { "pages", "pages" }, { "bytes", "_bytes" }, { "other", "" },
};

static bool ends_with(const char *text, const char *ending)
{
    size_t len = strlen(text), n = strlen(ending);

    return len >= n && !strcmp(text + len - n, ending);
}

static size_t group_of(const char *name)
{
    size_t i = 0;

    if (!strcmp(name, "flash_bytes_in_pause"))
        name = "_bytes";
    while (!ends_with(name, groups[i].ending))
        i++;
    return i;
}

static int print_group(const json_t *figures, size_t group)
{
    json_t *part = json_object(), *value;
    const char *name;
    int rc = 0;

    if (!part)
        return -ENOMEM;
    json_object_foreach((json_t *)figures, name, value) {
        /* "flash bytes in pause" is humanised like its fellows, which end in their unit */
        const char *as = strcmp(name, "flash_bytes_in_pause") ? name : "flash_in_pause_bytes";

        if (group_of(name) == group && json_object_set(part, as, value))
            rc = -ENOMEM;
    }
    if (!rc && json_object_size(part)) {
        (void)printf("  %s\n", groups[group].title);
        rc = member_print_all(part, 4, stdout);
    }
    json_decref(part);
    return rc;
}

static uint64_t took_us(const json_t *entry)
{
    uint64_t us = member_u64(entry, "took_us");

    return us ? us : member_u64(entry, "took_ns") / 1000;
}

/* "ok", or the code's name; a code travels by name (docs/protocol.md). */
static const char *result_of(const json_t *entry)
{
    const char *code = member_text(entry, "code");

    return *code ? code : "ok";
}

static int print_entry(const json_t *entry)
{
    const json_t *figures = json_object_get(entry, "figures");
    char name[300], when[HUMAN_ROOM], took[HUMAN_ROOM], line[1024];
    int rc = 0;

    (void)snprintf(line, sizeof(line), "%s %s, %s, took %s: %s", member_text(entry, "verb"), cmd_checkpoint_name(entry, name),
                   human_time(member_u64(entry, "began_ns"), when), human_us(took_us(entry), took), result_of(entry));
    flic_make_printable(line);
    (void)printf("%s\n", line);
    (void)snprintf(line, sizeof(line), "%s", member_text(entry, "message"));
    flic_make_printable(line);
    if (*line)
        (void)printf("  %s\n", line);
    for (size_t i = 0; !rc && i < sizeof(groups) / sizeof(groups[0]); i++)
        rc = print_group(figures, i);
    return rc;
}

/* ---- the list ---- */

static void add_figure(struct table *table, const json_t *figures, const char *name,
                       const char *(*humanise)(uint64_t, char *))
{
    char text[HUMAN_ROOM];
    uint64_t value;

    table_add(table, member_number(figures, name, &value) ? humanise(value, text) : "-");
}

static const char *pages_as_bytes(uint64_t pages, char *out)
{
    return human_bytes(pages * 4096, out);
}

static void add_entry(struct table *table, const json_t *entry)
{
    const json_t *figures = json_object_get(entry, "figures");
    char name[300], text[HUMAN_ROOM];

    table_add(table, human_time(member_u64(entry, "began_ns"), text));
    table_add(table, member_text(entry, "verb"));
    table_add(table, cmd_checkpoint_name(entry, name));
    table_add(table, human_us(took_us(entry), text));
    add_figure(table, figures, "pause_us", human_us);
    add_figure(table, figures, "nvram_bytes", human_bytes);
    add_figure(table, figures, "flash_bytes", human_bytes);
    add_figure(table, figures, "dedup_pages", pages_as_bytes);
    table_add(table, result_of(entry));
}

static int print_list(const json_t *entries)
{
    static const char *const heads[] = { "BEGAN", "VERB", "CHECKPOINT", "TOOK", "PAUSE", "NVRAM", "FLASH", "DEDUP",
                                         "RESULT" };
    struct table table;
    json_t *entry;
    size_t i;
    int rc;

    table_init(&table, "lllrrrrrl");
    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        table_add(&table, heads[i]);
    json_array_foreach(entries, i, entry)
        add_entry(&table, entry);
    rc = table_print(&table, stdout);
    table_fini(&table);
    return rc;
}

int cmd_log_print(const struct cmd_request *req, const json_t *answer)
{
    const json_t *entries = json_object_get(answer, "entries");
    json_t *entry;
    size_t i;
    int rc = 0;

    if (!json_array_size(entries)) {
        (void)printf("the journal has no entries%s%s\n", req->what ? " of " : "", req->what ? req->what : "");
        return 0;
    }
    if (!req->target.seq)
        return print_list(entries);
    json_array_foreach(entries, i, entry)
        if (!rc)
            rc = print_entry(entry);
    return rc;
}
