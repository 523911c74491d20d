/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * calls - every call by which a program changes files or mapped NVRAM passes one hook before it is made.
 *
 * The program defines the C library's own names (write, fsync, rename, ...), so that what shared libraries call, SQLite
 * among them, comes by here as well; the engine's stores to NVRAM come by the linker (CALLS_WRAP in Makefile.inc). Files
 * outside of the watched folder and below-libc writes (stdio) pass unseen.
 */
#ifndef FLIC_TESTS_CAMPAIGN_CALLS_H
#define FLIC_TESTS_CAMPAIGN_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum call_kind {
    CALL_CREATE,    /* open with O_CREAT of a name that is not there */
    CALL_TRUNCATE,  /* open with O_TRUNC, ftruncate: to `at` bytes */
    CALL_WRITE,
    CALL_SYNC,      /* fsync, fdatasync; of a file or a folder */
    CALL_RENAME,    /* path to path2 */
    CALL_UNLINK,
    CALL_MKDIR,
    CALL_STORE,     /* into NVRAM; fd is -1 */
    CALL_FLUSH,     /* of [at, at + len) of NVRAM */
    CALL_FENCE,
    CALL_MSYNC,     /* of a plain file in NVRAM's place: [at, at + len) */
    CALL_KINDS
};

struct call {
    enum call_kind kind;
    int fd;
    char path[256], path2[256];     /* absolute, of the file or folder; of NVRAM: empty */
    const void *data;
    uint64_t at;
    size_t len;
    uintptr_t site[2];              /* offsets in the program of the caller and its caller; 0: in a shared library */
};

#define CALL_SKIPPED (-1)           /* the call is reported as done and not made */

/* Gives 0 to let the call through, an errno to fail it, CALL_SKIPPED. NULL: all pass. */
extern int (*calls_hook)(const struct call *call);

/* Only names below `folder`, absolute, and NVRAM are seen. */
void calls_watch(const char *folder);
/* Makes the first half of a write or a store, for whoever dies in the middle of it. */
void calls_half(const struct call *call);
const char *calls_kind_name(enum call_kind kind);

#endif
