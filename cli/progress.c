/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "cli/progress.h"

#include "common/clock.h"
#include "cli/human.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_US 100000u
#define LINE_US 5000000u
#define RATE_AFTER_US 500000u   /* a rate over less than this is noise */

void progress_init(struct progress *p, const char *verb, const char *name, const volatile int *cancel, bool quiet)
{
    const char *term = getenv("TERM");

    *p = (struct progress){ .verb = verb, .name = name, .cancel = cancel, .quiet = quiet };
    p->redraw = isatty(STDERR_FILENO) && term && strcmp(term, "dumb");
}

/* "save web: live 312 MiB of 512 MiB, 61 %, 45 MiB/s" */
static void compose(const struct progress *p, uint64_t done, uint64_t total, uint64_t now, char *out, size_t room)
{
    char a[HUMAN_ROOM], b[HUMAN_ROOM];
    uint64_t took = now - p->phase_began_us;
    size_t used;

    if (done > total && total)
        done = total;
    (void)snprintf(out, room, "%s %s: %s", p->verb, p->name, p->phase);
    used = strlen(out);
    if (total)
        (void)snprintf(out + used, room - used, " %s of %s, %u %%", human_bytes(done, a), human_bytes(total, b),
                       (unsigned)((double)done / (double)total * 100));
    else if (done)
        (void)snprintf(out + used, room - used, " %s", human_bytes(done, a));
    used = strlen(out);
    if (took > RATE_AFTER_US && done > p->first_bytes)
        (void)snprintf(out + used, room - used, ", %s/s",
                       human_bytes((uint64_t)((double)(done - p->first_bytes) / ((double)took / 1e6)), a));
    used = strlen(out);
    if (*p->cancel)
        (void)snprintf(out + used, room - used, ", cancelling");
}

/* A line that wraps could not be redrawn. */
static void cut_to_terminal(char *line)
{
    struct winsize size;
    size_t columns = 80;

    if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col)
        columns = size.ws_col;
    if (strlen(line) >= columns)
        line[columns - 1] = '\0';
}

static bool enter_phase(struct progress *p, const char *phase, uint64_t done, uint64_t now)
{
    if (!strcmp(p->phase, phase))
        return false;
    (void)snprintf(p->phase, sizeof(p->phase), "%s", phase);
    p->phase_began_us = now;
    p->first_bytes = done;
    if (!strcmp(phase, "suspend") || !strcmp(phase, "capture") || !strcmp(phase, "publish"))
        p->suspending = true;
    return true;
}

void progress_show(void *user, const char *phase, uint64_t done_bytes, uint64_t total_bytes)
{
    struct progress *p = user;
    uint64_t now = flic_now_us();
    bool is_new = enter_phase(p, phase, done_bytes, now);
    char line[512];

    if (p->quiet || (!is_new && now - p->last_us < (p->redraw ? REDRAW_US : LINE_US)))
        return;
    p->last_us = now;
    compose(p, done_bytes, total_bytes, now, line, sizeof(line));
    if (p->redraw) {
        cut_to_terminal(line);
        (void)fprintf(stderr, "\r%s\033[K", line);
        p->drawn = true;
    } else {
        (void)fprintf(stderr, "%s\n", line);
    }
    (void)fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->drawn)
        (void)fputs("\r\033[K", stderr);
    p->drawn = false;
    (void)fflush(stderr);
}
