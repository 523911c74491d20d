/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "cli/table.h"

#include "common/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

void table_init(struct table *table, const char *align)
{
    *table = (struct table){ .align = align };
}

void table_fini(struct table *table)
{
    for (size_t i = 0; i < table->used; i++)
        free(table->cells[i]);
    free(table->cells);
    table->cells = NULL;
    table->used = table->room = 0;
}

static char *copy_printable(const char *text)
{
    char *copy = strdup(text ? text : "-");

    if (copy)
        flic_make_printable(copy);
    return copy;
}

static int make_room(struct table *table)
{
    size_t room = table->room ? 2 * table->room : 64;
    char **cells;

    if (table->used < table->room)
        return 0;
    cells = reallocarray(table->cells, room, sizeof(*cells));
    if (!cells)
        return -ENOMEM;
    table->cells = cells;
    table->room = room;
    return 0;
}

void table_add(struct table *table, const char *text)
{
    char *copy;

    if (table->bad)
        return;
    copy = copy_printable(text);
    if (!copy || make_room(table)) {
        free(copy);
        table->bad = 1;
        return;
    }
    table->cells[table->used++] = copy;
}

/* Characters, not bytes; bytes where the text is not valid in this locale. */
static size_t width_of(const char *text)
{
    size_t n = mbstowcs(NULL, text, 0);

    return n == (size_t)-1 ? strlen(text) : n;
}

static void print_cell(const char *text, char align, size_t width, FILE *to)
{
    size_t pad = width - width_of(text);

    if (align == 'r')
        (void)fprintf(to, "%*s%s", (int)pad, "", text);
    else
        (void)fprintf(to, "%s%*s", text, (int)pad, "");
}

int table_print(const struct table *table, FILE *to)
{
    size_t columns = strlen(table->align), width[TABLE_COLUMNS_MAX] = { 0 };

    if (table->bad)
        return -ENOMEM;
    for (size_t i = 0; i < table->used; i++)
        if (width_of(table->cells[i]) > width[i % columns])
            width[i % columns] = width_of(table->cells[i]);
    for (size_t i = 0; i < table->used; i++) {
        size_t column = i % columns;
        int last = column + 1 == columns || i + 1 == table->used;

        if (column)
            (void)fputs("  ", to);
        print_cell(table->cells[i], table->align[column], last && table->align[column] == 'l' ?
                   width_of(table->cells[i]) : width[column], to);
        if (last)
            (void)fputc('\n', to);
    }
    return 0;
}
