/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "cli/cancel.h"

#include <signal.h>
#include <stddef.h>

static volatile int asked;

static void ask(int signo)
{
    (void)signo;
    asked = 1;
}

static void catch_unless_ignored(int signo)
{
    struct sigaction old, new = { .sa_handler = ask };

    (void)sigemptyset(&new.sa_mask);
    /* no SA_RESTART: a blocking wait shall return and look at the flag */
    if (!sigaction(signo, NULL, &old) && old.sa_handler != SIG_IGN)
        (void)sigaction(signo, &new, NULL);     /* cannot fail for these signals */
}

const volatile int *cancel_on_signals(void)
{
    catch_unless_ignored(SIGINT);
    catch_unless_ignored(SIGTERM);
    catch_unless_ignored(SIGHUP);
    return &asked;
}
