/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * flx - the face of Xen that flicd's engine sees: domains, guest memory, log-dirty, how much a guest runs, machine state.
 *
 * Implemented over libxc, libxenforeignmemory, libxencall and libxenstore in libxl-ext/flx_*.c, never over libxl. The unit
 * tests link tests/fake/flx_fake.c in its place; nothing that ships knows that. No Xen type appears here.
 * A handle is used by one thread at a time; different handles by different threads freely.
 * Errors: FLIC_E_XEN with the failing call and errno's text, FLIC_E_NODOMAIN when the domain is gone,
 * FLIC_E_NOXEN when the hypervisor is absent or lacks a capability, FLIC_E_REFUSED / FLIC_E_MISMATCH with the reason.
 */
#ifndef FLIC_LIBXL_EXT_FLX_H
#define FLIC_LIBXL_EXT_FLX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid.h"

/* ---- the host ---- */

enum flx_cap {                  /* what the hypervisor can do; probed without touching any guest */
    FLX_CAP_XEN = 1,            /* running in Dom0 of a Xen host */
    FLX_CAP_LOG_DIRTY = 2,
    FLX_CAP_CONTEXT = 4,        /* get/set of the full domain context */
};
struct flx_host {
    unsigned caps;              /* enum flx_cap bits */
    char xen_version[64];       /* "4.20.3", "" without Xen */
    char arch[16];              /* "arm64", "x86_64" */
    char missing[256];          /* one sentence: what is missing and what to boot; "" when all is there */
};
/* Never fails: a machine without Xen has caps 0. (log-dirty and context are probed with harmless requests on Dom0's own
 * domid, whose error code tells ENOSYS/EOPNOTSUPP from EINVAL.) */
void flx_host_probe(struct flx_host *ret_host);

/* ---- domains ---- */

enum flx_run { FLX_RUNNING, FLX_PAUSED, FLX_SUSPENDED /* SHUTDOWN_suspend */, FLX_SHUT /* any other shutdown */, FLX_DYING };
struct flx_info {
    uint32_t domid;
    struct flic_uuid uuid;
    char name[256];             /* from xenstore; "" while it has none */
    enum flx_run run;
    uint32_t vcpus;             /* max vcpu id + 1 */
    uint64_t cpu_ns;            /* that its vCPUs have run */
    uint64_t pages;             /* owned now */
    uint64_t max_pages;
    uint64_t gfn_end;           /* highest gfn + 1: the length of log-dirty bitmaps in bits */
};

struct flx_dom;
int flx_open(uint32_t domid, struct flx_dom **ret_dom, struct flic_err *err);
void flx_close(struct flx_dom *dom);        /* accepts NULL; drops mappings */
int flx_info(struct flx_dom *dom, struct flx_info *ret_info, struct flic_err *err);
/* Who reads and builds a guest's state: FLIC itself, by what is below here; or libxc, in the save helper, whose stream FLIC takes apart
 * (stock x86: PV guests, and HVM guests with a device model). `model`: it has a device model, which only libxl can stop and let go on. */
struct flx_way { bool by_libxc, model; };
/* Refuses, saying why, a domain that cannot be saved: Dom0, 32-bit, passthrough, vuart, SVE, ITS ... */
int flx_save_way(struct flx_dom *dom, struct flx_way *ret_way, struct flic_err *err);
/* Refuses also one that is libxc's: it cannot be tracked or migrated. */
int flx_can_save(struct flx_dom *dom, struct flic_err *err);
/* Calls back for every domain but Dom0. A non-zero value ends the walk and is returned. */
int flx_each_domain(int (*see)(const struct flx_info *info, void *arg), void *arg, struct flic_err *err);

/* ---- log-dirty ---- */

/* What a process of ours left on is begun anew. FLIC_E_BUSY when another program uses it. */
int flx_track_on(struct flx_dom *dom, struct flic_err *err);
int flx_track_off(struct flx_dom *dom, struct flic_err *err);    /* fine when it is off; left alone when another program has taken it over */
/* Switches off what a process of ours that is gone left on, of this domain; nothing else. */
void flx_track_end_leftover(struct flx_dom *dom);
/* For FLX_SPARE_HOT, pages that were in two bitmaps in a row may be in the next few whether they were written or not: each time a
 * page is looked for costs the guest a fault. Where Xen cannot do that it does as for FLX_EXACT. */
enum flx_clean { FLX_EXACT, FLX_SPARE_HOT };
/* Atomically fetches and clears (clean) or only fetches (peek) the bitmap: bit n of word n/64 is gfn n. `bits` is the room in
 * `bitmap`; *ret_bits what Xen filled: gfns beyond it count as dirty. */
int flx_track_clean(struct flx_dom *dom, enum flx_clean how, uint64_t *bitmap, uint64_t bits, uint64_t *ret_bits, struct flic_err *err);
int flx_track_peek(struct flx_dom *dom, uint64_t *bitmap, uint64_t bits, uint64_t *ret_bits, struct flic_err *err);

/* ---- how much it runs ---- */

/* Lets it run `percent` (1 or more) of the time of one CPU, until flx_throttle_end(), and not longer than it may otherwise. FLIC_E_REFUSED where
 * its scheduler cannot do that. It outlives this process, whose next life ends it. */
int flx_throttle(struct flx_dom *dom, unsigned percent, struct flic_err *err);
/* Also what a process of ours that is gone left so; fine when it is not slowed. The error says which command does it, or that it is done but for
 * the note of it. */
int flx_throttle_end(struct flx_dom *dom, struct flic_err *err);

/* ---- memory ---- */

struct flx_range { uint64_t first_gfn, pages; };
/* A number that stays as it is only while every gfn leads to the page it led to, log-dirty being on; also looks anew where the
 * special pages are. FLIC_E_NOXEN where Xen does not tell (stock x86): a mapping from before a pause is then not to be relied on. */
int flx_layout(struct flx_dom *dom, uint64_t *ret_layout, struct flic_err *err);
/* Where guest pages can be, in gfn order (the architecture's RAM banks and special regions up to gfn_end); at most 16. */
size_t flx_ranges(const struct flx_info *info, struct flx_range ranges[16]);
/* Clears, of a bitmap over `bits` gfns, those where there is certainly no page now; may leave any of them. */
void flx_drop_holes(struct flx_dom *dom, uint64_t *bitmap, uint64_t bits);

enum flx_page { FLX_PAGE_RAM, FLX_PAGE_HOLE, FLX_PAGE_SKIP /* shared_info, grant frames: rebuilt, not copied */,
                FLX_PAGE_RING /* console/xenstore ring: present, restored as zero */ };
struct flx_map;
/* Maps `n` gfns (any order) read-only or writable. *ret_map gives base address: page i at base + i * 4096, readable only where
 * kind[i] == FLX_PAGE_RAM or FLX_PAGE_RING. `kind` has room for n. Holes are not errors. */
int flx_map_pages(struct flx_dom *dom, const uint64_t *gfns, size_t n, bool writable,
                  struct flx_map **ret_map, uint8_t *kind, struct flic_err *err);
void *flx_map_base(struct flx_map *map);
void flx_unmap(struct flx_map *map);        /* accepts NULL */

/* ---- machine state: everything that is not a page; one opaque, self-describing, versioned blob ---- */

#define FLX_STATE_MAX (1u << 20)
/* Of a suspended domain. gives *ret_state (free()). The blob holds arch, GIC version, CPU, counter frequency, address width, number
 * of vcpus, HVM params, shared_info gfn, the hypervisor's context. Nothing is changed in the domain. */
int flx_state_save(struct flx_dom *dom, void **ret_state, size_t *ret_len, struct flic_err *err);

/* Of a domain that runs: what flx_state_parse(), flx_state_fits() and flx_build_begin() need to know, before there is a state. gives
 * *ret_sketch (free()). */
int flx_state_sketch(struct flx_dom *dom, void **ret_sketch, size_t *ret_len, struct flic_err *err);

struct flx_state_info {
    char arch[16];
    uint32_t gic;               /* 2 or 3; 0 on x86 */
    uint32_t midr;
    uint64_t counter_hz;
    uint32_t vcpus;
};
/* Parses a blob without a domain: bounds, version, exactly the parts. FLIC_E_DAMAGED / FLIC_E_VERSION. */
int flx_state_parse(const void *state, size_t len, struct flx_state_info *ret_info, struct flic_err *err);
/* Whether this host can run it; FLIC_E_MISMATCH says which of arch, GIC, CPU, counter frequency differs, both values named. */
int flx_state_fits(const void *state, size_t len, struct flic_err *err);

/* Makes the *next* resume of a suspended domain an in-place one: the guest sees its suspend call return 1 ("cancelled"), so its
 * frontends stay connected. Harmless twice. On x86 PVH: rax = 1. */
int flx_mark_resume(struct flx_dom *dom, struct flic_err *err);
/* Lets a paused domain run. */
int flx_unpause(struct flx_dom *dom, struct flic_err *err);
/* flx_mark_resume() + unblock + xenstored told: for a domain whose toolstack is gone (design invariant 12). A domain that is not
 * suspended is left alone and 0 returned. */
int flx_resume(struct flx_dom *dom, struct flic_err *err);

/* ---- building a restored domain (fresh, paused, made by libxl, no memory yet) ---- */

/* The steps in this order, all in one handle. Restored pages: flx_map_pages(writable) after populate. */
int flx_build_begin(struct flx_dom *dom, const void *state, size_t len, struct flic_err *err);    /* address width ... */
/* Those of [first, end) that `present`, a bitmap by gfn, has a bit for; `first` a multiple of 512. With 2 MiB extents where a whole
 * aligned block is present. May be called again for another range. */
int flx_build_populate(struct flx_dom *dom, const uint64_t *present, uint64_t first, uint64_t end, struct flic_err *err);

struct flx_ports { uint32_t store_port, store_domid, console_port, console_domid; };
struct flx_built { uint64_t store_gfn, console_gfn; };
/* Params, rings cleared, grant table seeded, shared_info placed, caches cleaned, context set with the guest's counter advanced by
 * `elapsed_ns` (>= 0). The domain stays paused. */
int flx_build_finish(struct flx_dom *dom, const void *state, size_t len, const struct flx_ports *ports,
                     uint64_t elapsed_ns, struct flx_built *ret_built, struct flic_err *err);

/* Writes /local/domain/N/<key> (readable by the guest) = value. */
int flx_tell_guest(struct flx_dom *dom, const char *key, const char *value, struct flic_err *err);
/* Reads it back, "" when it is not there; at most `room` - 1 bytes. */
int flx_told(struct flx_dom *dom, const char *key, char *ret_value, size_t room, struct flic_err *err);

#endif
