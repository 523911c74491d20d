/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* host - a peer's name that goes into a shell's command line. */
#ifndef FLIC_COMMON_HOST_H
#define FLIC_COMMON_HOST_H

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Letters, digits, and @._:-[]; no option. */
static inline bool flic_is_host(const char *host)
{
    for (const char *c = host; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("@._:-[]", *c))
            return false;
    return *host && *host != '-';
}

#endif
