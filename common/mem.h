/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * mem - scope-bound cleanup for simple locals. Where undo has an order or can fail, use one `out:` label
 * instead; never both for one variable.
 */
#ifndef FLIC_COMMON_MEM_H
#define FLIC_COMMON_MEM_H

#include <stdlib.h>
#include <unistd.h>

static inline void flic_cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void flic_cleanup_close(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);   /* nothing was written through it that its owner did not fsync */
}

#define FLIC_AUTO_FREE __attribute__((cleanup(flic_cleanup_free)))
#define FLIC_AUTO_CLOSE __attribute__((cleanup(flic_cleanup_close)))
#define FLIC_CHECKED __attribute__((warn_unused_result))

#endif
