/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/checkpoint/ahead.h"

#include "common/id.h"

#include <stdlib.h>

struct page {
    uint64_t gfn;
    const uint8_t *at;
    uint8_t kind;
};

struct ck_ahead {
    uint64_t layout;
    size_t n, room, next;       /* next: the first that was not asked for yet */
    struct page page[];
};

struct ck_ahead *ck_ahead_begin(struct flx_dom *dom, uint64_t pages)
{
    uint64_t layout;
    struct ck_ahead *ahead;

    if (!pages || flx_layout(dom, &layout, NULL))
        return NULL;
    ahead = malloc(sizeof(*ahead) + pages * sizeof(ahead->page[0]));
    if (ahead)
        *ahead = (struct ck_ahead){ .layout = layout, .room = pages };
    return ahead;
}

void ck_ahead_free(struct ck_ahead *ahead)
{
    free(ahead);
}

void ck_ahead_add(struct ck_ahead *ahead, const uint64_t *gfns, size_t n, const uint8_t *base, const uint8_t *kind)
{
    for (size_t i = 0; i < n && ahead->n < ahead->room; i++)
        ahead->page[ahead->n++] = (struct page){ .gfn = gfns[i], .at = base + i * FLIC_PAGE_SIZE, .kind = kind[i] };
}

void ck_ahead_check(struct ck_ahead *ahead, struct flx_dom *dom)
{
    uint64_t layout;

    if (ahead && (flx_layout(dom, &layout, NULL) || layout != ahead->layout))
        ahead->n = 0;
}

bool ck_ahead_find(struct ck_ahead *ahead, uint64_t gfn, const uint8_t **ret_page, uint8_t *ret_kind)
{
    const struct page *page;

    while (ahead && ahead->next < ahead->n && ahead->page[ahead->next].gfn < gfn)
        ahead->next++;
    if (!ahead || ahead->next == ahead->n || ahead->page[ahead->next].gfn != gfn)
        return false;
    page = &ahead->page[ahead->next];
    *ret_page = page->at;
    *ret_kind = page->kind;
    return true;
}
