/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * table - rows of text in aligned columns.
 *
 * Cells are copied; control characters in them become '?', because names come from guests' owners and files.
 * Out of memory drops the table and table_print() says so once: a listing is never half printed.
 */
#ifndef FLIC_CLI_TABLE_H
#define FLIC_CLI_TABLE_H

#include <stdio.h>

#define TABLE_COLUMNS_MAX 12

struct table {
    /* in: one character a column, 'l' or 'r'; at most TABLE_COLUMNS_MAX; borrowed */
    const char *align;
    /* private */
    char **cells;
    size_t used, room;
    int bad;
};

void table_init(struct table *table, const char *align);
void table_fini(struct table *table);
/* One cell; a row is full after strlen(align) of them. NULL prints as "-". */
void table_add(struct table *table, const char *text);
/* Columns two blanks apart, no blanks at line ends. Returns 0 or -ENOMEM. */
int table_print(const struct table *table, FILE *to);

#endif
