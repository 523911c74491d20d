/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/campaign/campaign.h"

#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t losses;

uint64_t campaign_size(uint64_t usual)
{
    const char *text = getenv("CAMPAIGN");
    uint64_t size = text ? strtoull(text, NULL, 10) : 0;

    return size ? size : usual;
}

uint64_t campaign_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;   /* Weyl sequence, mixed */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

void campaign_figure(const char *name, const char *unit, uint64_t value)
{
    printf("{\"name\":\"%s\",\"unit\":\"%s\",\"value\":%llu,\"runs\":[%llu]}\n", name, unit, (unsigned long long)value,
           (unsigned long long)value);
}

void campaign_lost(const char *fmt, ...)
{
    va_list ap;

    if (++losses > 10)
        return;
    (void)fputs("LOST: ", stderr);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
}

uint64_t campaign_losses(void)
{
    return losses;
}

int campaign_run(const char *name, const TTest *test)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    SRunner *runner = srunner_create(suite);
    int failed;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);     /* it may run for minutes */
    flic_log_open(FLIC_LOG_ERROR);
    tcase_add_test(tcase, test);
    suite_add_tcase(suite, tcase);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    srunner_print(runner, CK_MINIMAL);
    failed = srunner_ntests_failed(runner);
    if (failed)
        srunner_print(runner, CK_NORMAL);
    srunner_free(runner);
    return failed || losses ? EXIT_FAILURE : EXIT_SUCCESS;
}
