/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* flic status: sections of name and value, then the operations under way. */
#include "cli/cmd.h"
#include "cli/human.h"
#include "cli/member.h"
#include "cli/table.h"

#include <inttypes.h>
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

static const char *age_of(const json_t *guest, char out[HUMAN_ROOM])
{
    return json_object_get(guest, "age_ms") ? human_us(member_u64(guest, "age_ms") * 1000, out) : strcpy(out, "-");
}

int cmd_protection_print(const json_t *protection)
{
    static const char *const heads[] = { "  guest", "every", "keep", "state", "last", "age", "left out", "message" };
    struct table table;
    json_t *guest;
    size_t i;
    int rc;

    if (!json_array_size(protection))
        return 0;
    (void)printf("protected\n");
    table_init(&table, "lrrllrrl");
    for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        table_add(&table, heads[i]);
    json_array_foreach(protection, i, guest) {
        char name[300], last[32] = "-", every[HUMAN_ROOM], age[HUMAN_ROOM], keep[24], left_out[24];

        (void)snprintf(name, sizeof(name), "  %s", member_text(guest, "domain"));
        if (member_u64(guest, "last_seq"))
            (void)snprintf(last, sizeof(last), "@%" PRIu64, member_u64(guest, "last_seq"));
        (void)snprintf(keep, sizeof(keep), "%" PRIu64, member_u64(guest, "keep"));
        (void)snprintf(left_out, sizeof(left_out), "%" PRIu64, member_u64(guest, "beats_left_out"));
        table_add(&table, name);
        table_add(&table, human_us(member_u64(guest, "every_ms") * 1000, every));
        table_add(&table, keep);
        table_add(&table, member_text(guest, "state"));
        table_add(&table, last);
        table_add(&table, age_of(guest, age));
        table_add(&table, left_out);
        table_add(&table, member_text(guest, "message")[0] ? member_text(guest, "message") : NULL);
    }
    rc = table_print(&table, stdout);
    table_fini(&table);
    return rc;
}

/* A guest that waits for its peer's word is suspended: that must be seen. */
static const char *where_words(const char *state)
{
    return !strcmp(state, "gone") ? "is on" : !strcmp(state, "pushed") ? "was pushed to, and may run on," :
           !strcmp(state, "copy") ? "is a copy, the guest being that of" : "waits, suspended, for the word of";
}

static void print_moves(const json_t *moves)
{
    json_t *move;
    size_t i;

    if (json_array_size(moves))
        (void)printf("elsewhere\n");
    json_array_foreach(moves, i, move)
        (void)printf("  %s  %s %s\n", member_text(move, "domain"), where_words(member_text(move, "state")), member_text(move, "peer"));
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
        rc = cmd_protection_print(json_object_get(answer, "protection"));
    if (!rc)
        print_moves(json_object_get(answer, "moves"));
    if (!rc)
        rc = print_operations(json_object_get(answer, "operations"));
    if (rc || !json_array_size(json_object_get(answer, "tracked")))
        return rc;
    (void)printf("\n");
    return cmd_tracked_print(json_object_get(answer, "tracked"));
}
