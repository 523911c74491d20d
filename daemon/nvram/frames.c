/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/nvram/arena.h"

#include <errno.h>
#include <stdlib.h>

#define BITS 64u

int nv_frames_init(struct nv_frames *f, uint32_t count)
{
    uint32_t words = count / BITS + 1;

    f->used = calloc(words, sizeof(*f->used));
    f->writes = calloc(count ? count : 1, sizeof(*f->writes));
    if (!f->used || !f->writes) {
        nv_frames_fini(f);
        return -ENOMEM;
    }
    f->count = f->free = count;
    f->next = 0;
    return 0;
}

void nv_frames_fini(struct nv_frames *f)
{
    free(f->used);
    free(f->writes);
    *f = (struct nv_frames){ 0 };
}

bool nv_frames_mark(struct nv_frames *f, uint32_t frame)
{
    uint64_t bit = 1ull << frame % BITS;

    if (f->used[frame / BITS] & bit)
        return false;
    f->used[frame / BITS] |= bit;
    f->free--;
    return true;
}

void nv_frames_take(struct nv_frames *f, uint32_t n, uint32_t *ret_list)
{
    uint32_t at = f->next;

    for (uint32_t got = 0; got < n;) {
        if (at >= f->count)
            at = 0;
        if (at % BITS == 0 && f->used[at / BITS] == UINT64_MAX) {
            at += BITS;
            continue;
        }
        if (nv_frames_mark(f, at))
            ret_list[got++] = at;
        at++;
    }
    f->next = at;
}

void nv_frames_wrote(struct nv_frames *f, uint32_t frame)
{
    uint16_t now = __atomic_load_n(&f->writes[frame], __ATOMIC_RELAXED);

    if (now < UINT16_MAX)
        __atomic_store_n(&f->writes[frame], (uint16_t)(now + 1), __ATOMIC_RELAXED);
}

void nv_frames_put(struct nv_frames *f, const uint32_t *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        f->used[list[i] / BITS] &= ~(1ull << list[i] % BITS);
    f->free += n;
}
