/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic list, flic show: checkpoints. */
#include "cli/cmd.h"
#include "cli/human.h"
#include "cli/member.h"
#include "cli/table.h"
#include "common/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char no_guest[] = "00000000-0000-0000-0000-000000000000";      /* of what is about the store as a whole */

const char *cmd_checkpoint_name(const json_t *of, char out[300])
{
    const char *name = member_text(of, "domain");
    uint64_t seq = member_u64(of, "seq");

    if (!*name)
        name = *member_text(of, "uuid") && strcmp(member_text(of, "uuid"), no_guest) ? member_text(of, "uuid") : "-";
    if (seq)
        (void)snprintf(out, 300, "%.255s@%" PRIu64, name, seq);
    else
        (void)snprintf(out, 300, "%.255s", name);
    flic_make_printable(out);
    return out;
}

char *cmd_places(const json_t *checkpoint)
{
    return member_humanised("places", json_object_get(checkpoint, "places"));
}

int cmd_list(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    if (req->target.seq)
        return flic_err_set(err, FLIC_E_USAGE, "list takes a DOMAIN; for one checkpoint: flic show %s", req->what);
    return cmd_ask(req, cmd_question(req, "list"), ret_answer, err);
}

/* What keeps it from being dropped, or from being restored; NULL: nothing does. */
static const char *notes_of(const json_t *ck, char out[300])
{
    static const struct { const char *member, *text; } notes[] = {
        { "damaged", "damaged" }, { "pinned", "pinned" }, { "in_file", "in a file" },
    };

    out[0] = '\0';
    for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
        if (json_is_true(json_object_get(ck, notes[i].member)))
            (void)snprintf(out + strlen(out), 300 - strlen(out), "%s%s", out[0] ? ", " : "", notes[i].text);
    return out[0] ? out : NULL;
}

static void add_checkpoint(struct table *table, const json_t *ck)
{
    FLIC_AUTO_FREE char *places = cmd_places(ck);
    char name[300], text[HUMAN_ROOM];

    table_add(table, cmd_checkpoint_name(ck, name));
    table_add(table, human_time(member_u64(ck, "taken_ns"), text));
    table_add(table, human_bytes(member_u64(ck, "ram_bytes"), text));
    table_add(table, human_bytes(member_u64(ck, "working_set_bytes"), text));
    table_add(table, places);
    table_add(table, human_count(member_u64(ck, "restored"), text));
    table_add(table, notes_of(ck, name));
}

static int print_checkpoints(const json_t *list)
{
    static const char *const heads[] = { "CHECKPOINT", "TAKEN", "RAM", "WORKING SET", "WHERE", "RESTORED", "NOTES" };
    struct table table;
    json_t *ck;
    size_t i;
    int rc;

    table_init(&table, "llrrlrl");
    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        table_add(&table, heads[i]);
    json_array_foreach(list, i, ck)
        add_checkpoint(&table, ck);
    rc = table_print(&table, stdout);
    table_fini(&table);
    return rc;
}

int cmd_list_print(const struct cmd_request *req, const json_t *answer)
{
    const json_t *list = json_object_get(answer, "checkpoints"), *tracked = json_object_get(answer, "tracked");
    int rc = 0;

    if (json_array_size(list))
        rc = print_checkpoints(list);
    else if (req->what)
        (void)printf("no checkpoints of %s\n", req->what);
    else
        (void)printf("no checkpoints yet: take one with 'xl save --flic DOMAIN'\n");
    if (rc || !json_array_size(tracked))
        return rc;
    (void)printf("\n");
    return cmd_tracked_print(tracked);
}

int cmd_show(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    return cmd_ask(req, cmd_question(req, "show"), ret_answer, err);
}

static int print_disks(const json_t *disks)
{
    json_t *disk;
    size_t i;
    int rc = 0;

    json_array_foreach(disks, i, disk) {
        (void)printf("disk %zu\n", i + 1);
        if (!rc)
            rc = member_print_all(disk, 2, stdout);
    }
    return rc;
}

/* libxl's configuration is JSON text: indented for people. Line by line, because within one a control character is none of the layout. */
static void print_config(const char *text)
{
    json_t *config = *text ? json_loads(text, 0, NULL) : NULL;
    FLIC_AUTO_FREE char *shown = config ? json_dumps(config, JSON_INDENT(2)) : NULL;
    char *rest = shown, *line;

    if (shown)
        (void)printf("configuration\n");               /* do_verb() sees a failed stdout */
    while (shown && (line = strsep(&rest, "\n"))) {
        flic_make_printable(line);
        (void)printf("%s\n", line);
    }
    json_decref(config);
}

/* Of one checkpoint: everything but what has its own section below. */
static int print_facts(const json_t *ck)
{
    json_t *facts = json_copy((json_t *)ck);
    int rc;

    if (!facts)
        return -ENOMEM;
    (void)json_object_del(facts, "disks");
    (void)json_object_del(facts, "domain");
    (void)json_object_del(facts, "seq");
    (void)json_object_del(facts, "config");
    (void)json_object_del(facts, "ok");
    rc = member_print_all(facts, 2, stdout);
    json_decref(facts);
    return rc;
}

int cmd_show_print(const struct cmd_request *req, const json_t *answer)
{
    const json_t *ck = json_object_get(answer, "checkpoint");
    const json_t *figures;
    const char *config = member_text(answer, "config");
    char name[300];
    int rc;

    (void)req;
    if (!ck)
        ck = answer;
    figures = json_object_get(ck, "figures");
    (void)printf("%s\n", cmd_checkpoint_name(ck, name));
    rc = print_facts(ck);
    if (!rc && json_object_size(figures)) {
        (void)printf("figures\n");
        rc = member_print_all(figures, 2, stdout);
    }
    if (!rc)
        rc = print_disks(json_object_get(ck, "disks"));
    print_config(*config ? config : member_text(ck, "config"));
    return rc;
}
