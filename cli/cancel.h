/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * cancel - Ctrl-C, SIGTERM and a lost terminal ask for a clean end, once.
 *
 * The first signal sets the flag that libflicxl looks at; further ones change nothing, so impatience cannot leave half a
 * domain. Children (libxl's helper) inherit the default action, not the handler: exec resets it.
 */
#ifndef FLIC_CLI_CANCEL_H
#define FLIC_CLI_CANCEL_H

/* Installs the handlers; signals that are ignored (nohup) stay ignored. */
const volatile int *cancel_on_signals(void);

#endif
