/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "cli/member.h"

#include "cli/human.h"
#include "cli/table.h"
#include "common/err.h"
#include "common/mem.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool number_of(const json_t *value, uint64_t *ret_value)
{
    char *end;

    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret_value = (uint64_t)json_integer_value(value);
        return true;
    }
    if (json_is_string(value) && isdigit((unsigned char)json_string_value(value)[0])) {
        uint64_t number;

        errno = 0;
        number = strtoull(json_string_value(value), &end, 10);
        if (errno || *end)
            return false;
        *ret_value = number;
        return true;
    }
    return false;
}

bool member_number(const json_t *object, const char *name, uint64_t *ret_value)
{
    return number_of(json_object_get(object, name), ret_value);
}

uint64_t member_u64(const json_t *object, const char *name)
{
    uint64_t value = 0;

    (void)member_number(object, name, &value);
    return value;
}

const char *member_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static bool ends_with(const char *text, const char *ending)
{
    size_t len = strlen(text), n = strlen(ending);

    return len >= n && !strcmp(text + len - n, ending);
}

/* Numbers by the unit in the name; false when the name has none. */
static bool humanise_number(const char *name, uint64_t value, char out[2 * HUMAN_ROOM])
{
    char a[HUMAN_ROOM], b[HUMAN_ROOM];

    if (ends_with(name, "_bytes"))
        strcpy(out, human_bytes(value, a));
    else if (ends_with(name, "_mib"))
        strcpy(out, human_bytes(value << 20, a));
    else if (ends_with(name, "pages"))
        (void)sprintf(out, "%s (%s)", human_count(value, a), human_bytes(value * 4096, b));
    else if (ends_with(name, "taken_ns") || ends_with(name, "began_ns"))
        strcpy(out, human_time(value, a));
    else if (ends_with(name, "_ns"))
        strcpy(out, human_us(value / 1000, a));
    else if (ends_with(name, "_per_s"))     /* the name says of what */
        strcpy(out, human_count(value, a));
    else if (ends_with(name, "_s"))
        strcpy(out, human_us(value * 1000000, a));
    else if (ends_with(name, "_us"))
        strcpy(out, human_us(value, a));
    else if (ends_with(name, "_ms"))
        strcpy(out, human_us(value * 1000, a));
    else
        return false;
    return true;
}

static char *join_list(const char *name, const json_t *list)
{
    char *joined = strdup(json_array_size(list) ? "" : "none");

    for (size_t i = 0; joined && i < json_array_size(list); i++) {
        FLIC_AUTO_FREE char *item = member_humanised(name, json_array_get(list, i));
        char *longer = NULL;

        if (!item || asprintf(&longer, "%s%s%s", joined, i ? ", " : "", item) < 0)
            longer = NULL;
        free(joined);
        joined = longer;
    }
    return joined;
}

char *member_humanised(const char *name, const json_t *value)
{
    char text[2 * HUMAN_ROOM];
    uint64_t number;

    if (json_is_array(value))
        return join_list(name, value);
    if (json_is_object(value))
        return json_dumps(value, JSON_COMPACT);
    if (json_is_true(value) || json_is_false(value))
        return strdup(json_is_true(value) ? "yes" : "no");
    if (number_of(value, &number) && humanise_number(name, number, text))
        return strdup(text);
    if (json_is_string(value))
        return strdup(*json_string_value(value) ? json_string_value(value) : "-");
    return json_is_null(value) ? strdup("-") : json_dumps(value, JSON_ENCODE_ANY);
}

/* "flash_bytes_in_pause" -> "flash bytes in pause": the unit stands in the value where it ends the name. */
static void title_of(const char *name, char *out, size_t room)
{
    static const char *const units[] = { "_bytes", "_us", "_ms", "_ns", "_mib", "_s" };

    (void)snprintf(out, room, "%s", name);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && !ends_with(out, "_per_s"); i++)
        if (ends_with(out, units[i]))
            out[strlen(out) - strlen(units[i])] = '\0';
    for (; *out; out++)
        if (*out == '_')
            *out = ' ';
}

int member_print_all(const json_t *object, int indent, FILE *to)
{
    struct table table;
    const char *name;
    json_t *value;
    int rc;

    table_init(&table, "ll");
    json_object_foreach((json_t *)object, name, value) {
        FLIC_AUTO_FREE char *text = NULL;
        char title[80];

        if (json_is_object(value))
            continue;
        text = member_humanised(name, value);
        (void)snprintf(title, sizeof(title), "%*s", indent, "");
        title_of(name, title + indent, sizeof(title) - (size_t)indent);
        table_add(&table, title);
        table_add(&table, text);
    }
    rc = table_print(&table, to);
    table_fini(&table);
    return rc;
}

/* ---- what reaches a terminal ---- */

static void make_text_printable(json_t *text)
{
    FLIC_AUTO_FREE char *copy = strdup(json_string_value(text));

    if (copy)
        flic_make_printable(copy);
    (void)json_string_set_nocheck(text, copy ? copy : "");
}

void member_make_printable(json_t *value)
{
    const char *name;
    json_t *part;
    size_t i;

    if (json_is_string(value))
        make_text_printable(value);
    json_array_foreach(value, i, part)
        member_make_printable(part);
    json_object_foreach(value, name, part)
        if (!json_is_string(part) || strcmp(name, "config"))
            member_make_printable(part);
}

/* What JSON leaves as it is but a terminal may obey: U+007F to U+009F. */
static int print_escaped(const json_t *object, FILE *to)
{
    FLIC_AUTO_FREE char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);

    if (!text)
        return -ENOMEM;
    for (const char *c = text; *c; c++)
        if ((*c == 0x7f ? fputs("\\u007F", to) : fputc(*c, to)) == EOF)
            return -EIO;
    return 0;
}

int member_print_json(const json_t *object, FILE *to)
{
    int rc = isatty(fileno(to)) ? print_escaped(object, to) : json_dumpf(object, to, JSON_COMPACT);

    return rc || fputc('\n', to) == EOF ? -EIO : 0;
}
