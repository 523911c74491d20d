/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "cli/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Three significant figures, without a fraction that is all zeros. */
static void three_figures(double value, const char *unit, char out[HUMAN_ROOM])
{
    int digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    char number[HUMAN_ROOM / 2];

    (void)snprintf(number, sizeof(number), "%.*f", digits, value);
    if (strchr(number, '.')) {
        char *end = number + strlen(number);

        while (end[-1] == '0')
            *--end = '\0';
        if (end[-1] == '.')
            end[-1] = '\0';
    }
    (void)snprintf(out, HUMAN_ROOM, "%s %s", number, unit);
}

const char *human_bytes(uint64_t bytes, char out[HUMAN_ROOM])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    unsigned unit = 0;

    /* 1023.95 would print as "1024 KiB" */
    while (value >= 1023.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    three_figures(value, units[unit], out);
    return out;
}

const char *human_us(uint64_t us, char out[HUMAN_ROOM])
{
    uint64_t s = us / 1000000 + (us % 1000000 >= 500000);

    if (us < 1000)
        (void)snprintf(out, HUMAN_ROOM, "%" PRIu64 " us", us);
    else if (us < 999500)
        three_figures((double)us / 1e3, "ms", out);
    else if (s < 120)
        three_figures((double)us / 1e6, "s", out);
    else if (s < 7200)
        (void)snprintf(out, HUMAN_ROOM, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else
        (void)snprintf(out, HUMAN_ROOM, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s % 3600 / 60);
    return out;
}

const char *human_time(uint64_t ns, char out[HUMAN_ROOM])
{
    time_t seconds = (time_t)(ns / 1000000000u);
    struct tm tm;

    if (!ns || !localtime_r(&seconds, &tm) || !strftime(out, HUMAN_ROOM, "%Y-%m-%d %H:%M:%S", &tm))
        memcpy(out, "-", 2);
    return out;
}

const char *human_count(uint64_t count, char out[HUMAN_ROOM])
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, count);
    char *to = out;

    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return out;
}
