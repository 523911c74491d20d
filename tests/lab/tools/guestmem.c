/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "guestmem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xxhash.h>

#define BATCH 1024

void die(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

uint64_t guestmem_frames(const struct guestmem *mem)
{
    xen_pfn_t highest;

    if (xc_domain_maximum_gpfn(mem->xch, mem->domid, &highest) < 0)
        die("domain %u has no memory: %s", mem->domid, strerror(errno));
    return highest + 1;
}

void guestmem_open(struct guestmem *mem, uint32_t domid)
{
    *mem = (struct guestmem){ .domid = domid };
    mem->xch = xc_interface_open(NULL, NULL, 0);
    mem->fmem = xenforeignmemory_open(NULL, 0);
    if (!mem->xch || !mem->fmem)
        die("Xen's interfaces cannot be opened: %s", strerror(errno));
    guestmem_map(mem);
}

/* Maps the batch from gfn on, and drops the mapping again if nothing is there. */
static void map_batch(struct guestmem *mem, uint64_t gfn, size_t count)
{
    xen_pfn_t gfns[BATCH];
    int err[BATCH];
    uint8_t *at;
    size_t i, found = 0;

    for (i = 0; i < count; i++)
        gfns[i] = gfn + i;
    at = xenforeignmemory_map(mem->fmem, mem->domid, PROT_READ, count, gfns, err);
    if (!at)
        die("frames from %#lx on cannot be mapped: %s", (unsigned long)gfn, strerror(errno));
    for (i = 0; i < count; i++) {
        mem->page[gfn + i] = err[i] ? NULL : at + i * GUESTMEM_PAGE;
        found += !err[i];
    }
    if (!found)
        xenforeignmemory_unmap(mem->fmem, at, count);
    mem->present += found;
}

/* The batches that map_batch() kept; only their first pages' positions are remembered, in mem->page. */
static void unmap_all(struct guestmem *mem)
{
    for (uint64_t gfn = 0; gfn < mem->nr; gfn += BATCH) {
        size_t count = mem->nr - gfn < BATCH ? mem->nr - gfn : BATCH;

        for (size_t i = 0; i < count; i++)
            if (mem->page[gfn + i]) {
                uint8_t *at = (uint8_t *)(uintptr_t)mem->page[gfn + i] - i * GUESTMEM_PAGE;

                xenforeignmemory_unmap(mem->fmem, at, count);
                break;
            }
    }
    free(mem->page);
    mem->page = NULL;
    mem->present = 0;
}

void guestmem_map(struct guestmem *mem)
{
    if (mem->page)
        unmap_all(mem);
    mem->nr = guestmem_frames(mem);
    mem->page = calloc(mem->nr, sizeof(*mem->page));
    if (!mem->page)
        die("out of memory");
    for (uint64_t gfn = 0; gfn < mem->nr; gfn += BATCH)
        map_batch(mem, gfn, mem->nr - gfn < BATCH ? mem->nr - gfn : BATCH);
}

void guestmem_close(struct guestmem *mem)
{
    unmap_all(mem);
    xenforeignmemory_close(mem->fmem);
    xc_interface_close(mem->xch);
}

void guestmem_hash(const struct guestmem *mem, uint64_t *hash)
{
    for (uint64_t gfn = 0; gfn < mem->nr; gfn++)
        hash[gfn] = mem->page[gfn] ? XXH3_64bits(mem->page[gfn], GUESTMEM_PAGE) : 0;
}

int guestmem_dirty(const struct guestmem *mem, unsigned int sop, unsigned int mode, uint8_t *bits, uint64_t nr,
                   xc_shadow_op_stats_t *ret_stats)
{
    size_t bytes = (nr + 7) / 8, pages = (bytes + GUESTMEM_PAGE - 1) / GUESTMEM_PAGE;
    long long rc;
    DECLARE_HYPERCALL_BUFFER(uint8_t, buffer);

    buffer = xc_hypercall_buffer_alloc_pages(mem->xch, buffer, pages);
    if (!buffer)
        die("out of hypercall buffers");
    memset(buffer, 0, bytes);
    rc = xc_logdirty_control(mem->xch, mem->domid, sop, HYPERCALL_BUFFER(buffer), nr, mode, ret_stats);
    if (rc < 0)
        rc = -errno;
    else if ((uint64_t)rc != nr)
        die("log-dirty told of %lld frames, %llu were asked for", rc, (unsigned long long)nr);
    else
        memcpy(bits, buffer, bytes);
    xc_hypercall_buffer_free_pages(mem->xch, buffer, pages);
    if (rc >= 0 && !mem->only_xen)
        guestmem_add_granted(mem, bits, nr);
    return rc < 0 ? (int)rc : 0;
}
