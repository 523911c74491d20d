/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "cli/plot.h"

#include "cli/human.h"

#define LABEL 9

/* Column c of `columns`: the largest of its share. */
static uint64_t column_of(const uint64_t *values, size_t n, size_t columns, size_t c)
{
    uint64_t most = 0;

    for (size_t i = c * n / columns; i < (c + 1) * n / columns; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

static const char *cell(uint64_t eighths, size_t row, bool blocks)
{
    static const char *const parts[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    uint64_t below = row * 8, part = eighths <= below ? 0 : eighths - below;

    if (part > 8)
        part = 8;
    if (blocks)
        return parts[part];
    return part >= 4 || (row == 0 && part) ? "#" : " ";
}

void plot_bytes(const uint64_t *values, size_t n, bool blocks, FILE *to)
{
    size_t columns = n < PLOT_COLUMNS ? n : PLOT_COLUMNS;
    uint64_t top = 0, eighths[PLOT_COLUMNS];
    char text[HUMAN_ROOM];

    for (size_t i = 0; i < n; i++)
        top = values[i] > top ? values[i] : top;
    for (size_t c = 0; c < columns; c++) {
        uint64_t v = column_of(values, n, columns, c);

        eighths[c] = top ? (v * PLOT_ROWS * 8 + top - 1) / top : 0;     /* what is not zero shows */
    }
    for (size_t row = PLOT_ROWS; row-- > 0;) {
        bool labelled = row == PLOT_ROWS - 1 || row == 0;

        (void)fprintf(to, "%*s |", LABEL, labelled ? human_bytes(row ? top : 0, text) : "");
        for (size_t c = 0; c < columns; c++)
            (void)fputs(cell(eighths[c], row, blocks), to);
        (void)fputc('\n', to);
    }
}
