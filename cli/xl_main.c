/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* xl: save and restore with --flic are ours, everything else is the stock xl's, argv untouched. */
#include "cli/xl.h"
#include "cli/xl_stock.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

/* xl's own options before the verb (v, f, t, T, N) take no values. Index of the verb, or argc. */
static int find_verb(int argc, char **argv)
{
    int i = 1;

    while (i < argc && argv[i][0] == '-' && argv[i][1])
        i++;
    return i;
}

static bool has_flic(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--flic"))
            return true;
    return false;
}

static bool has_reference_file(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (argv[i][0] != '-' && flicxl_is_reference_file(argv[i]))
            return true;
    return false;
}

static struct xl_global read_global(int count, char **argv)
{
    struct xl_global global = { 0 };

    for (int i = 1; i < count; i++)
        for (const char *c = argv[i] + 1; *c; c++) {
            global.verbose += *c == 'v';
            global.dry_run |= *c == 'N';
        }
    return global;
}

/* The stock xl's -N changes nothing; we know no such thing, and doing it in earnest would be the worst reading. */
static int refuse_dry_run(const char *verb)
{
    struct flic_err err = { 0 };

    (void)flic_err_set(&err, FLIC_E_USAGE, "-N (dry run) is not known together with FLIC: leave it out");
    return xl_report(verb, &err);
}

/* The exit status, or -1 when the stock xl is to do it. */
static int run_ours(int argc, char **argv)
{
    int at = find_verb(argc, argv);
    struct xl_global global = read_global(at, argv);
    char **rest = argv + at;
    int count = argc - at;

    if (at == argc)
        return -1;
    if (!strcmp(rest[0], "save") && has_flic(count, rest))
        return global.dry_run ? refuse_dry_run("save") : xl_save(&global, count, rest);
    if (!strcmp(rest[0], "restore") && (has_flic(count, rest) || has_reference_file(count, rest)))
        return global.dry_run ? refuse_dry_run("restore") : xl_restore(&global, count, rest);
    if (!strcmp(rest[0], "migrate") && has_flic(count, rest))
        return global.dry_run ? refuse_dry_run("migrate") : xl_migrate(&global, count, rest);
    if (!strcmp(rest[0], "migrate-receive") && has_flic(count, rest))
        return global.dry_run ? refuse_dry_run("migrate-receive") : xl_receive(&global, count, rest);
    return -1;
}

int main(int argc, char **argv)
{
    struct flic_err err = { 0 };
    int status;

    (void)setlocale(LC_ALL, "");
    status = run_ours(argc, argv);
    if (status >= 0)
        return status;
    (void)xl_stock_exec(argv, &err);
    (void)fprintf(stderr, "xl: %s\n", err.text);
    return flic_code_exit_status(err.code);
}
