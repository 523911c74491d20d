/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * flx_fake - a link-time twin of libxl-ext/flx.h for the engine's tests: domains that are arrays of pages.
 *
 * It keeps flx.h's promises and is deliberately unkind where Xen may be: fresh frames hold 0xc2, not zero; a page that is
 * not RAM faults when touched; a read-only mapping faults when written; a gfn that gets a page again gets another one, while old
 * mappings keep the one before; gfns beyond a short bitmap are not reported. Mapped
 * pages are the domain's own (a shared memfd), so a writer scripted by a hook races with the engine as a guest would.
 * Thread-safe; hooks run without the lock and may call everything here.
 */
#ifndef FLIC_TESTS_FLX_FAKE_H
#define FLIC_TESTS_FLX_FAKE_H

#include "libxl-ext/flx.h"

#define FLX_FAKE_FRESH 0xc2     /* every byte of a populated page before someone writes it */
#define FLX_FAKE_REGISTERS 64   /* bytes of "CPU state" in the fake machine state */

/* Forgets all domains, hooks, failures, and counts. The host then has every capability. */
void flx_fake_reset(void);

struct flx_fake_host { unsigned caps; uint32_t gic, midr; uint64_t counter_hz; };
void flx_fake_set_host(const struct flx_fake_host *host);

/* A running domain of one vCPU with zeroed RAM at gfns [first_gfn, first_gfn + pages); pages 0: a fresh, paused domain without
 * memory, to be restored into, where first_gfn is the highest gfn it may have. At most 16 domains alive, 2^20 gfns each. */
void flx_fake_add(uint32_t domid, const char *name, const struct flic_uuid *uuid, uint64_t first_gfn, uint64_t pages);
void flx_fake_kill(uint32_t domid);     /* gone: every later call says FLIC_E_NODOMAIN */
void flx_fake_set_run(uint32_t domid, enum flx_run run);
enum flx_run flx_fake_run(uint32_t domid);
void flx_fake_set_name(uint32_t domid, const char *name);
void flx_fake_set_way(uint32_t domid, bool by_libxc, bool model);      /* at first it is FLIC's own */
void flx_fake_set_uuid(uint32_t domid, const struct flic_uuid *uuid);   /* another guest took over the domid */

/* ---- what the guest does ---- */

/* The page's bytes, without marking it dirty (borrowed till the domain goes). NULL for a hole. */
uint8_t *flx_fake_page(uint32_t domid, uint64_t gfn);
/* A guest's store: fills the page with `byte` from `offset` on and marks it dirty when log-dirty is on. */
void flx_fake_fill(uint32_t domid, uint64_t gfn, unsigned offset, uint8_t byte);
void flx_fake_write(uint32_t domid, uint64_t gfn, unsigned offset, const void *data, size_t len);
void flx_fake_know_holes(bool knows);  /* flx_drop_holes() drops all there are; at first none */
/* HOLE drops the page; RAM makes a fresh one where there was none, at most 4096 times a domain. */
void flx_fake_set_kind(uint32_t domid, uint64_t gfn, enum flx_page kind);
void flx_fake_tell_layout(bool tells);  /* flx_layout() says something; at first it does */
enum flx_page flx_fake_kind(uint32_t domid, uint64_t gfn);
/* Dirty after every CLEAN, as grant-writable and Xen-mapped pages are. */
void flx_fake_pin(uint32_t domid, uint64_t gfn);
/* CLEAN with FLX_SPARE_HOT does: a page in two answers in a row is in the third. At first it does as for FLX_EXACT. */
void flx_fake_spare_hot(bool spares);
/* CLEAN and PEEK report only the first `bits` gfns; 0: all. */
void flx_fake_short_bitmap(uint32_t domid, uint64_t bits);
uint8_t *flx_fake_registers(uint32_t domid);    /* FLX_FAKE_REGISTERS bytes, part of the machine state */

/* ---- what the engine did ---- */

bool flx_fake_tracked(uint32_t domid);
unsigned flx_fake_percent(uint32_t domid);      /* of one CPU, of which it uses half; 100: it is not slowed down */
bool flx_fake_marked_resume(uint32_t domid);    /* the next resume is an in-place one */
unsigned flx_fake_resumes(uint32_t domid);      /* flx_resume() of a suspended domain */
bool flx_fake_built(uint32_t domid);            /* flx_build_finish() went through */
uint64_t flx_fake_elapsed_ns(uint32_t domid);   /* what it was given */
const char *flx_fake_told(uint32_t domid, const char *key);     /* last value, NULL: never */
size_t flx_fake_maps(void);                     /* mappings not yet unmapped: 0 at the end of a test */
uint64_t flx_fake_mapped_pages(void);           /* pages ever mapped: shows that clean ones were not touched */

/* ---- faults and races ---- */

/* `call` is the function's name without "flx_" ("track_clean", "map_pages", ...). */
/* The nth call from now (1 is the next; 0: each) fails with `code` and does nothing. */
void flx_fake_fail(const char *call, unsigned nth, int code);
/* Runs before, or after, every such call, in the caller's thread. fn NULL removes. */
typedef void flx_fake_fn(uint32_t domid, void *arg);
void flx_fake_before(const char *call, flx_fake_fn *fn, void *arg);
void flx_fake_after(const char *call, flx_fake_fn *fn, void *arg);
unsigned flx_fake_calls(const char *call);

#endif
