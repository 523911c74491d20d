/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic status: sections of name and value, then the operations under way. */
#include "cli/cmd.h"
#include "cli/human.h"
#include "cli/member.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

int cmd_status(struct cmd_request *req, json_t **ret_answer, struct flic_err *err)
{
    return cmd_ask(req, cmd_question(req, "status"), ret_answer, err);
}

static int print_section(const char *title, const json_t *section)
{
    if (!json_is_object(section) || !json_object_size(section))
        return 0;
    (void)printf("%s\n", title);
    return member_print_all(section, 2, stdout);
}

/* The one thing that a person must not overlook. */
static void print_warning(const json_t *answer)
{
    if (json_is_false(json_object_get(json_object_get(answer, "host"), "ready")))
        (void)printf("Nothing can be saved or restored on this machine now: see 'missing' and 'advice'.\n");
    if (json_is_false(json_object_get(json_object_get(answer, "nvram"), "ready")))
        (void)printf("Nothing can be saved or restored without the store: see 'error'.\n");
}

static void add_progress(struct table *table, const json_t *op)
{
    uint64_t done = member_u64(op, "done_bytes"), total = member_u64(op, "total_bytes");
    char a[HUMAN_ROOM], b[HUMAN_ROOM], text[2 * HUMAN_ROOM + 8];

    if (total)
        (void)snprintf(text, sizeof(text), "%s of %s", human_bytes(done, a), human_bytes(total, b));
    else
        (void)snprintf(text, sizeof(text), "%s", done ? human_bytes(done, a) : "-");
    table_add(table, text);
}

static int print_operations(const json_t *operations)
{
    struct table table;
    json_t *op;
    size_t i;
    int rc;

    if (!json_array_size(operations)) {
        (void)printf("operations\n  none\n");
        return 0;
    }
    (void)printf("operations\n");
    table_init(&table, "lllll");
    json_array_foreach(operations, i, op) {
        char id[16];

        (void)snprintf(id, sizeof(id), "  %.8s", member_text(op, "operation"));
        table_add(&table, id);
        table_add(&table, member_text(op, "kind"));
        table_add(&table, member_text(op, "domain"));
        table_add(&table, member_text(op, "phase"));
        add_progress(&table, op);
    }
    rc = table_print(&table, stdout);
    table_fini(&table);
    return rc;
}

int cmd_status_print(const struct cmd_request *req, const json_t *answer)
{
    static const char *const sections[] = { "host", "nvram", "packs", "recovery", "config" };
    int rc = 0;

    (void)req;
    (void)printf("flicd %s, move from NVRAM to flash %s\n", member_text(answer, "version"),
                 strcmp(member_text(answer, "destage"), "held") ? "when idle" : "held");
    print_warning(answer);
    for (size_t i = 0; !rc && i < sizeof(sections) / sizeof(sections[0]); i++)
        rc = print_section(sections[i], json_object_get(answer, sections[i]));
    if (!rc)
        rc = print_operations(json_object_get(answer, "operations"));
    if (rc || !json_array_size(json_object_get(answer, "tracked")))
        return rc;
    (void)printf("\n");
    return cmd_tracked_print(json_object_get(answer, "tracked"));
}
