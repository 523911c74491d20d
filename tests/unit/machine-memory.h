/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* How much memory the machine says that it has: for programs that are linked with --wrap=sysinfo. */
#ifndef FLIC_TESTS_MACHINE_MEMORY_H
#define FLIC_TESTS_MACHINE_MEMORY_H

#include <sys/sysinfo.h>

static unsigned long machine_bytes;     /* 0: what it has */

int __real_sysinfo(struct sysinfo *machine);
int __wrap_sysinfo(struct sysinfo *machine);

int __wrap_sysinfo(struct sysinfo *machine)
{
    int rc = __real_sysinfo(machine);

    if (!rc && machine_bytes) {
        machine->totalram = machine_bytes;
        machine->mem_unit = 1;
    }
    return rc;
}

#endif
