/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

static enum flic_log_level max_level = FLIC_LOG_INFO;
static bool journal;

static const struct {
    int priority;
    const char *word;
} levels[] = {
    [FLIC_LOG_ERROR] = { LOG_ERR, "error" },
    [FLIC_LOG_WARNING] = { LOG_WARNING, "warning" },
    [FLIC_LOG_INFO] = { LOG_INFO, "info" },
    [FLIC_LOG_DEBUG] = { LOG_DEBUG, "debug" },
};

void flic_log_open(enum flic_log_level max)
{
    max_level = max;
    journal = getenv("JOURNAL_STREAM") != NULL;
}

void flic_log(enum flic_log_level level, const char *fmt, ...)
{
    int saved = errno;
    char line[1024];
    va_list ap;

    if (level > max_level)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);   /* a cut line is still a line */
    va_end(ap);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    if (journal)
        fprintf(stderr, "<%d>%s\n", levels[level].priority, line);
    else
        fprintf(stderr, "flic: %s: %s\n", levels[level].word, line);
    errno = saved;
}
