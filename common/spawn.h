/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* spawn - a process that outlives us and has nothing of ours open. */
#ifndef FLIC_COMMON_SPAWN_H
#define FLIC_COMMON_SPAWN_H

/* Starts argv[0] in a session of its own, its errors appended to `log` if that folder can be written. 0 or -errno. */
int flic_spawn_detached(char *const *argv, const char *log);

#endif
