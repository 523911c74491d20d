/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/fake/flx_fake.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "common/id.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_DOMAINS 16
#define MAX_GFNS (UINT64_C(1) << 20)
#define MAX_MOVES 4096u
#define MAX_TOLD 16
#define MAX_RULES 32
#define PAGE FLIC_PAGE_SIZE
#define STATE_MAGIC UINT64_C(0x31454b4146584c46)    /* "FLXFAKE1" */
#define STATE_LEN (8 + 4 + 4 + 8 + 4 + FLX_FAKE_REGISTERS)

struct told { char key[64], value[128]; };

struct domain {
    bool alive;
    struct flx_info info;
    int memfd;
    uint8_t *memory;            /* gfn_room + MAX_MOVES frames, shared with every mapping */
    uint64_t gfn_room;
    uint32_t *frame;            /* of each gfn: at first its own number, another each time it gets a page anew */
    uint64_t next_frame, layout;
    uint8_t *kind;
    uint8_t *dirty, *pinned;    /* one byte a gfn */
    uint8_t *reported;          /* by how many CLEANs in a row that may spare hot pages, modulo 256 */
    uint64_t short_bits;
    bool tracked, marked, building, built, by_libxc, model;
    unsigned resumes, percent;  /* 0: as fast as ever */
    uint64_t elapsed_ns;
    uint8_t registers[FLX_FAKE_REGISTERS];
    struct told told[MAX_TOLD];
    size_t n_told;
};

struct rule {                   /* what was scripted for one call */
    char call[32];
    unsigned count;
    unsigned fail_at;           /* absolute count; UINT_MAX: each */
    int code;
    flx_fake_fn *before, *after;
    void *before_arg, *after_arg;
};

struct flx_dom { struct domain *d; };
struct flx_map { uint8_t *base; size_t n; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct domain domains[MAX_DOMAINS];
static size_t n_domains;
static struct rule rules[MAX_RULES];
static size_t n_rules;
static struct flx_fake_host host;
static bool knows_holes, tells_layout, spares_hot;
static size_t live_maps;
static uint64_t mapped_pages;

#define NEVER 0u
#define ALWAYS (~0u)

static void die(const char *what)
{
    (void)fprintf(stderr, "flx_fake: %s\n", what);
    abort();
}

/* ---- rules; under the lock unless said ---- */

static struct rule *rule_of(const char *call)
{
    for (size_t i = 0; i < n_rules; i++)
        if (!strcmp(rules[i].call, call))
            return &rules[i];
    if (n_rules == MAX_RULES)
        die("too many rules");
    (void)snprintf(rules[n_rules].call, sizeof(rules[0].call), "%s", call);
    return &rules[n_rules++];
}

/* Takes the lock and leaves it held when 0 is returned. */
static int enter(const char *call, const struct domain *d, struct flic_err *err)
{
    struct rule now;

    (void)pthread_mutex_lock(&lock);
    rule_of(call)->count++;
    now = *rule_of(call);
    if (now.before) {
        (void)pthread_mutex_unlock(&lock);
        now.before(d ? d->info.domid : 0, now.before_arg);
        (void)pthread_mutex_lock(&lock);
    }
    if (now.fail_at == ALWAYS || (now.fail_at != NEVER && now.fail_at == now.count)) {
        (void)pthread_mutex_unlock(&lock);
        return flic_err_set(err, now.code, "flx_%s: scripted failure", call);
    }
    if (d && !d->alive) {
        (void)pthread_mutex_unlock(&lock);
        return flic_err_set(err, FLIC_E_NODOMAIN, "domain %u is gone", d->info.domid);
    }
    return 0;
}

/* Drops the lock. */
static int leave(const char *call, const struct domain *d, int rc)
{
    struct rule now = *rule_of(call);

    (void)pthread_mutex_unlock(&lock);
    if (now.after)
        now.after(d ? d->info.domid : 0, now.after_arg);
    return rc;
}

static struct domain *find(uint32_t domid)
{
    for (size_t i = 0; i < n_domains; i++)
        if (domains[i].alive && domains[i].info.domid == domid)
            return &domains[i];
    return NULL;
}

/* For the tests' side: a domain that must be there, with the lock held. */
static struct domain *need(uint32_t domid)
{
    struct domain *d;

    (void)pthread_mutex_lock(&lock);
    d = find(domid);
    if (!d)
        die("the test names a domain that is not there");
    return d;
}

static void done(void)
{
    (void)pthread_mutex_unlock(&lock);
}

/* ---- scripting ---- */

static void drop(struct domain *d)
{
    if (d->memory)
        (void)munmap(d->memory, (d->gfn_room + MAX_MOVES) * PAGE);
    if (d->memfd > 0)
        (void)close(d->memfd);
    free(d->frame);
    free(d->kind);
    free(d->dirty);
    free(d->pinned);
    free(d->reported);
}

void flx_fake_reset(void)
{
    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n_domains; i++)
        drop(&domains[i]);
    memset(domains, 0, sizeof(domains));
    memset(rules, 0, sizeof(rules));
    n_domains = n_rules = 0;
    live_maps = 0;
    knows_holes = false;
    spares_hot = false;
    tells_layout = true;
    mapped_pages = 0;
    host = (struct flx_fake_host){ FLX_CAP_XEN | FLX_CAP_LOG_DIRTY | FLX_CAP_CONTEXT, 3, 0x414fd0b1, 62500000 };
    done();
}

void flx_fake_set_host(const struct flx_fake_host *wanted)
{
    (void)pthread_mutex_lock(&lock);
    host = *wanted;
    done();
}

static uint8_t *bytes_of(const struct domain *d, uint64_t gfn)
{
    return d->memory + (uint64_t)d->frame[gfn] * PAGE;
}

static void make_page(struct domain *d, uint64_t gfn, uint8_t fill)
{
    if (d->kind[gfn] == FLX_PAGE_HOLE)
        d->info.pages++;
    d->kind[gfn] = FLX_PAGE_RAM;
    memset(bytes_of(d, gfn), fill, PAGE);
    if (gfn >= d->info.gfn_end)
        d->info.gfn_end = gfn + 1;
}

static void allocate(struct domain *d, uint64_t gfns)
{
    d->gfn_room = d->next_frame = gfns;
    d->memfd = memfd_create("flx-fake", MFD_CLOEXEC);
    if (d->memfd < 0 || ftruncate(d->memfd, (off_t)((gfns + MAX_MOVES) * PAGE)))
        die("no memory for a domain");
    d->memory = mmap(NULL, (gfns + MAX_MOVES) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, d->memfd, 0);
    d->frame = malloc(gfns * sizeof(*d->frame));
    d->kind = malloc(gfns);
    d->dirty = calloc(gfns, 1);
    d->pinned = calloc(gfns, 1);
    d->reported = calloc(gfns, 1);
    if (d->memory == MAP_FAILED || !d->frame || !d->kind || !d->dirty || !d->pinned || !d->reported)
        die("no memory for a domain");
    for (uint64_t gfn = 0; gfn < gfns; gfn++)
        d->frame[gfn] = (uint32_t)gfn;
    memset(d->kind, FLX_PAGE_HOLE, gfns);
}

/* A new place, or once there is none the oldest of a domain that is gone: its handles must be closed by then. */
static struct domain *new_place(void)
{
    if (n_domains < MAX_DOMAINS)
        return &domains[n_domains++];
    for (size_t i = 0; i < MAX_DOMAINS; i++) {
        if (domains[i].alive)
            continue;
        drop(&domains[i]);
        memset(&domains[i], 0, sizeof(domains[i]));
        return &domains[i];
    }
    die("too many domains");
    return NULL;
}

void flx_fake_add(uint32_t domid, const char *name, const struct flic_uuid *uuid, uint64_t first_gfn, uint64_t pages)
{
    struct domain *d;

    (void)pthread_mutex_lock(&lock);
    if (find(domid) || first_gfn + pages + 1 > MAX_GFNS)
        die("this domain cannot be added");
    d = new_place();
    d->alive = true;
    d->info = (struct flx_info){ .domid = domid, .uuid = *uuid, .vcpus = 1,
                                 .max_pages = pages ? pages : first_gfn,
                                 .run = pages ? FLX_RUNNING : FLX_PAUSED };
    (void)snprintf(d->info.name, sizeof(d->info.name), "%s", name);
    allocate(d, first_gfn + pages + 1);
    for (uint64_t gfn = first_gfn; gfn < first_gfn + pages; gfn++)
        make_page(d, gfn, 0);
    for (size_t i = 0; i < sizeof(d->registers); i++)
        d->registers[i] = (uint8_t)(pages ? domid + i : 0);
    done();
}

void flx_fake_kill(uint32_t domid)
{
    need(domid)->alive = false;
    done();
}

void flx_fake_set_run(uint32_t domid, enum flx_run run)
{
    need(domid)->info.run = run;
    done();
}

enum flx_run flx_fake_run(uint32_t domid)
{
    enum flx_run run = need(domid)->info.run;

    done();
    return run;
}

void flx_fake_set_way(uint32_t domid, bool by_libxc, bool model)
{
    struct domain *d = need(domid);

    d->by_libxc = by_libxc;
    d->model = model;
    done();
}

void flx_fake_set_name(uint32_t domid, const char *name)
{
    struct domain *d = need(domid);

    (void)snprintf(d->info.name, sizeof(d->info.name), "%s", name);
    done();
}

void flx_fake_set_uuid(uint32_t domid, const struct flic_uuid *uuid)
{
    need(domid)->info.uuid = *uuid;
    done();
}

uint8_t *flx_fake_page(uint32_t domid, uint64_t gfn)
{
    struct domain *d = need(domid);
    uint8_t *page = gfn < d->gfn_room && d->kind[gfn] != FLX_PAGE_HOLE ? bytes_of(d, gfn) : NULL;

    done();
    return page;
}

void flx_fake_write(uint32_t domid, uint64_t gfn, unsigned offset, const void *data, size_t len)
{
    struct domain *d = need(domid);

    if (gfn >= d->gfn_room || d->kind[gfn] == FLX_PAGE_HOLE || offset + len > PAGE)
        die("a guest writes where it has no page");
    memcpy(bytes_of(d, gfn) + offset, data, len);
    if (d->tracked)
        d->dirty[gfn] = 1;
    done();
}

void flx_fake_fill(uint32_t domid, uint64_t gfn, unsigned offset, uint8_t byte)
{
    uint8_t page[PAGE];

    memset(page, byte, sizeof(page));
    flx_fake_write(domid, gfn, offset, page, PAGE - offset);
}

void flx_fake_set_kind(uint32_t domid, uint64_t gfn, enum flx_page kind)
{
    struct domain *d = need(domid);

    if (gfn >= d->gfn_room)
        die("gfn out of the domain's room");
    if (kind == FLX_PAGE_HOLE && d->kind[gfn] != FLX_PAGE_HOLE)
        d->info.pages--;
    if (kind == FLX_PAGE_RAM && d->kind[gfn] == FLX_PAGE_HOLE) {
        if (d->next_frame == d->gfn_room + MAX_MOVES)
            die("too many pages made anew");
        d->frame[gfn] = (uint32_t)d->next_frame++;
        make_page(d, gfn, FLX_FAKE_FRESH);
    }
    d->layout++;
    d->kind[gfn] = (uint8_t)kind;
    if (d->tracked)
        d->dirty[gfn] = 1;
    done();
}

enum flx_page flx_fake_kind(uint32_t domid, uint64_t gfn)
{
    struct domain *d = need(domid);
    enum flx_page kind = gfn < d->gfn_room ? (enum flx_page)d->kind[gfn] : FLX_PAGE_HOLE;

    done();
    return kind;
}

void flx_fake_pin(uint32_t domid, uint64_t gfn)
{
    struct domain *d = need(domid);

    d->pinned[gfn] = d->dirty[gfn] = 1;
    done();
}

void flx_fake_short_bitmap(uint32_t domid, uint64_t bits)
{
    need(domid)->short_bits = bits;
    done();
}

uint8_t *flx_fake_registers(uint32_t domid)
{
    uint8_t *registers = need(domid)->registers;

    done();
    return registers;
}

/* ---- looking ---- */

bool flx_fake_tracked(uint32_t domid)
{
    bool is = need(domid)->tracked;

    done();
    return is;
}

unsigned flx_fake_percent(uint32_t domid)
{
    unsigned percent = need(domid)->percent;

    done();
    return percent ? percent : 100;
}

bool flx_fake_marked_resume(uint32_t domid)
{
    bool is = need(domid)->marked;

    done();
    return is;
}

unsigned flx_fake_resumes(uint32_t domid)
{
    unsigned n = need(domid)->resumes;

    done();
    return n;
}

bool flx_fake_built(uint32_t domid)
{
    bool is = need(domid)->built;

    done();
    return is;
}

uint64_t flx_fake_elapsed_ns(uint32_t domid)
{
    uint64_t ns = need(domid)->elapsed_ns;

    done();
    return ns;
}

const char *flx_fake_told(uint32_t domid, const char *key)
{
    struct domain *d = need(domid);
    const char *value = NULL;

    for (size_t i = 0; i < d->n_told; i++)
        if (!strcmp(d->told[i].key, key))
            value = d->told[i].value;
    done();
    return value;
}

size_t flx_fake_maps(void)
{
    size_t n;

    (void)pthread_mutex_lock(&lock);
    n = live_maps;
    done();
    return n;
}

uint64_t flx_fake_mapped_pages(void)
{
    uint64_t n;

    (void)pthread_mutex_lock(&lock);
    n = mapped_pages;
    done();
    return n;
}

void flx_fake_fail(const char *call, unsigned nth, int code)
{
    struct rule *rule;

    (void)pthread_mutex_lock(&lock);
    rule = rule_of(call);
    rule->fail_at = nth ? rule->count + nth : ALWAYS;
    rule->code = code;
    if (!code)
        rule->fail_at = NEVER;
    done();
}

void flx_fake_before(const char *call, flx_fake_fn *fn, void *arg)
{
    (void)pthread_mutex_lock(&lock);
    rule_of(call)->before = fn;
    rule_of(call)->before_arg = arg;
    done();
}

void flx_fake_after(const char *call, flx_fake_fn *fn, void *arg)
{
    (void)pthread_mutex_lock(&lock);
    rule_of(call)->after = fn;
    rule_of(call)->after_arg = arg;
    done();
}

unsigned flx_fake_calls(const char *call)
{
    unsigned n;

    (void)pthread_mutex_lock(&lock);
    n = rule_of(call)->count;
    done();
    return n;
}

/* ---- flx.h: host and domains ---- */

void flx_host_probe(struct flx_host *ret_host)
{
    memset(ret_host, 0, sizeof(*ret_host));
    (void)pthread_mutex_lock(&lock);
    ret_host->caps = host.caps;
    done();
    (void)snprintf(ret_host->xen_version, sizeof(ret_host->xen_version), "fake");
    (void)snprintf(ret_host->arch, sizeof(ret_host->arch), "fake");
    if (!(ret_host->caps & FLX_CAP_XEN))
        (void)snprintf(ret_host->missing, sizeof(ret_host->missing), "this machine does not run Xen");
}

int flx_open(uint32_t domid, struct flx_dom **ret_dom, struct flic_err *err)
{
    struct flx_dom *dom;
    int rc = enter("open", NULL, err);

    if (rc)
        return rc;
    dom = calloc(1, sizeof(*dom));
    if (!dom)
        die("out of memory");
    dom->d = find(domid);
    if (!dom->d) {
        free(dom);
        return leave("open", NULL, flic_err_set(err, FLIC_E_NODOMAIN, "no domain %u", domid));
    }
    *ret_dom = dom;
    return leave("open", dom->d, 0);
}

void flx_close(struct flx_dom *dom)
{
    free(dom);
}

int flx_info(struct flx_dom *dom, struct flx_info *ret_info, struct flic_err *err)
{
    int rc = enter("info", dom->d, err);

    if (rc)
        return rc;
    *ret_info = dom->d->info;
    ret_info->cpu_ns = flic_now_us() * 500;     /* half of one CPU */
    return leave("info", dom->d, 0);
}

int flx_save_way(struct flx_dom *dom, struct flx_way *ret_way, struct flic_err *err)
{
    ret_way->by_libxc = dom->d->by_libxc;
    ret_way->model = dom->d->model;
    return dom->d->by_libxc ? 0 : flx_can_save(dom, err);
}

int flx_can_save(struct flx_dom *dom, struct flic_err *err)
{
    int rc = enter("can_save", dom->d, err);

    if (rc)
        return rc;
    if (dom->d->info.domid == 0)
        rc = flic_err_set(err, FLIC_E_REFUSED, "domain 0 cannot be saved");
    else if (dom->d->by_libxc)
        rc = flic_err_set(err, FLIC_E_REFUSED, "this domain is libxc's");
    return leave("can_save", dom->d, rc);
}

int flx_each_domain(int (*see)(const struct flx_info *info, void *arg), void *arg, struct flic_err *err)
{
    struct flx_info all[MAX_DOMAINS];
    size_t n = 0;
    int rc = enter("each_domain", NULL, err);

    if (rc)
        return rc;
    for (size_t i = 0; i < n_domains; i++)
        if (domains[i].alive && domains[i].info.domid)
            all[n++] = domains[i].info;
    rc = leave("each_domain", NULL, 0);
    for (size_t i = 0; i < n && !rc; i++)
        rc = see(&all[i], arg);
    return rc;
}

/* ---- flx.h: log-dirty ---- */

static void mark_pinned(struct domain *d)
{
    for (uint64_t gfn = 0; gfn < d->gfn_room; gfn++)
        d->dirty[gfn] = d->pinned[gfn];
}

int flx_track_on(struct flx_dom *dom, struct flic_err *err)
{
    int rc = enter("track_on", dom->d, err);

    if (rc)
        return rc;
    if (!(host.caps & FLX_CAP_LOG_DIRTY))
        return leave("track_on", dom->d, flic_err_set(err, FLIC_E_NOXEN, "no log-dirty here"));
    dom->d->tracked = true;
    mark_pinned(dom->d);
    return leave("track_on", dom->d, 0);
}

int flx_track_off(struct flx_dom *dom, struct flic_err *err)
{
    int rc = enter("track_off", dom->d, err);

    if (rc)
        return rc;
    dom->d->tracked = false;
    return leave("track_off", dom->d, 0);
}

void flx_track_end_leftover(struct flx_dom *dom) { dom->d->tracked = false; }

static int set_percent(const char *call, struct flx_dom *dom, unsigned percent, struct flic_err *err)
{
    int rc = enter(call, dom->d, err);

    if (rc)
        return rc;
    dom->d->percent = percent;
    return leave(call, dom->d, 0);
}

int flx_throttle(struct flx_dom *dom, unsigned percent, struct flic_err *err)
{
    if (!percent)
        die("a throttle of 0");
    return set_percent("throttle", dom, percent, err);
}

int flx_throttle_end(struct flx_dom *dom, struct flic_err *err) { return set_percent("throttle_end", dom, 0, err); }

static int fetch(struct domain *d, uint64_t *bitmap, uint64_t bits, uint64_t *ret_bits, struct flic_err *err)
{
    uint64_t n = d->info.gfn_end;

    if (!d->tracked)
        return flic_err_set(err, FLIC_E_XEN, "log-dirty is not on for domain %u", d->info.domid);
    if (n > bits)
        n = bits;
    if (d->short_bits && n > d->short_bits)
        n = d->short_bits;
    memset(bitmap, 0, (bits + 63) / 64 * 8);
    for (uint64_t gfn = 0; gfn < n; gfn++)
        if (d->dirty[gfn])
            bitmap[gfn / 64] |= UINT64_C(1) << (gfn % 64);
    *ret_bits = n;
    return 0;
}

/* Of the pages just reported, those that were in the answer before too stay dirty in every other epoch. */
static void spare_hot(struct domain *d)
{
    for (uint64_t gfn = 0; gfn < d->gfn_room; gfn++) {
        bool hot = d->dirty[gfn] && d->reported[gfn] % 2;

        d->reported[gfn] = d->dirty[gfn] ? d->reported[gfn] + 1 : 0;
        d->dirty[gfn] = d->pinned[gfn] || hot;
    }
}

int flx_track_clean(struct flx_dom *dom, enum flx_clean how, uint64_t *bitmap, uint64_t bits, uint64_t *ret_bits,
                    struct flic_err *err)
{
    int rc = enter("track_clean", dom->d, err);

    if (rc)
        return rc;
    rc = fetch(dom->d, bitmap, bits, ret_bits, err);
    if (!rc && how == FLX_SPARE_HOT && spares_hot)
        spare_hot(dom->d);
    else if (!rc)
        mark_pinned(dom->d);
    return leave("track_clean", dom->d, rc);
}

int flx_track_peek(struct flx_dom *dom, uint64_t *bitmap, uint64_t bits, uint64_t *ret_bits, struct flic_err *err)
{
    int rc = enter("track_peek", dom->d, err);

    if (rc)
        return rc;
    return leave("track_peek", dom->d, fetch(dom->d, bitmap, bits, ret_bits, err));
}

/* ---- flx.h: memory ---- */

size_t flx_ranges(const struct flx_info *info, struct flx_range ranges[16])
{
    ranges[0] = (struct flx_range){ 0, info->gfn_end };
    return info->gfn_end ? 1 : 0;
}

static uint8_t kind_at(const struct domain *d, uint64_t gfn)
{
    return gfn < d->gfn_room ? d->kind[gfn] : FLX_PAGE_HOLE;
}

void flx_drop_holes(struct flx_dom *dom, uint64_t *bitmap, uint64_t bits)
{
    for (uint64_t gfn = 0; knows_holes && gfn < bits; gfn++)
        if (kind_at(dom->d, gfn) == FLX_PAGE_HOLE)
            bitmap[gfn / 64] &= ~(1ull << (gfn % 64));
}

void flx_fake_know_holes(bool knows)
{
    knows_holes = knows;
}

void flx_fake_spare_hot(bool spares)
{
    spares_hot = spares;
}

void flx_fake_tell_layout(bool tells)
{
    tells_layout = tells;
}

int flx_layout(struct flx_dom *dom, uint64_t *ret_layout, struct flic_err *err)
{
    int rc = enter("layout", dom->d, err);

    if (rc)
        return rc;
    if (!tells_layout || !dom->d->tracked)
        return leave("layout", dom->d, flic_err_set(err, FLIC_E_NOXEN, "the layout is not told"));
    *ret_layout = dom->d->layout;
    return leave("layout", dom->d, 0);
}

static void map_one(struct domain *d, uint64_t gfn, void *at, bool writable)
{
    void *got = mmap(at, PAGE, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_FIXED, d->memfd,
                     (off_t)((uint64_t)d->frame[gfn] * PAGE));

    if (got == MAP_FAILED)
        die("mmap of a page failed");
}

int flx_map_pages(struct flx_dom *dom, const uint64_t *gfns, size_t n, bool writable,
                  struct flx_map **ret_map, uint8_t *kind, struct flic_err *err)
{
    struct flx_map *map;
    int rc = enter("map_pages", dom->d, err);

    if (rc)
        return rc;
    map = calloc(1, sizeof(*map));
    if (!map)
        die("out of memory");
    map->n = n;
    map->base = mmap(NULL, n ? n * PAGE : PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map->base == MAP_FAILED)
        die("out of address space");
    for (size_t i = 0; i < n; i++) {
        kind[i] = kind_at(dom->d, gfns[i]);
        if (kind[i] == FLX_PAGE_RAM || kind[i] == FLX_PAGE_RING)
            map_one(dom->d, gfns[i], map->base + i * PAGE, writable);
    }
    live_maps++;
    mapped_pages += n;
    *ret_map = map;
    return leave("map_pages", dom->d, 0);
}

void *flx_map_base(struct flx_map *map)
{
    return map->base;
}

void flx_unmap(struct flx_map *map)
{
    if (!map)
        return;
    (void)munmap(map->base, map->n ? map->n * PAGE : PAGE);
    free(map);
    (void)pthread_mutex_lock(&lock);
    live_maps--;
    done();
}

/* ---- flx.h: machine state ---- */

struct state { uint32_t gic, midr, vcpus; uint64_t counter_hz; const void *registers; };

static int read_state(const void *data, size_t len, struct state *ret_state, struct flic_err *err)
{
    struct flic_reader r = flic_reader_of(data, len);
    struct state s;

    if (len != STATE_LEN || flic_get_u64(&r) != STATE_MAGIC)
        return flic_err_set(err, FLIC_E_DAMAGED, "machine state: not of the fake");
    s.gic = flic_get_u32(&r);
    s.midr = flic_get_u32(&r);
    s.counter_hz = flic_get_u64(&r);
    s.vcpus = flic_get_u32(&r);
    s.registers = flic_get_bytes(&r, FLX_FAKE_REGISTERS);
    *ret_state = s;
    return 0;
}

static void build_state(const struct domain *d, void **ret_state, size_t *ret_len)
{
    struct flic_builder b;

    flic_builder_init(&b);
    flic_put_u64(&b, STATE_MAGIC);
    flic_put_u32(&b, host.gic);
    flic_put_u32(&b, host.midr);
    flic_put_u64(&b, host.counter_hz);
    flic_put_u32(&b, d->info.vcpus);
    flic_put_bytes(&b, d->registers, FLX_FAKE_REGISTERS);
    *ret_state = flic_builder_take(&b, ret_len);
}

int flx_state_save(struct flx_dom *dom, void **ret_state, size_t *ret_len, struct flic_err *err)
{
    int rc = enter("state_save", dom->d, err);

    if (rc)
        return rc;
    if (dom->d->info.run != FLX_SUSPENDED)
        return leave("state_save", dom->d, flic_err_set(err, FLIC_E_XEN, "domain %u is not suspended",
                                                        dom->d->info.domid));
    build_state(dom->d, ret_state, ret_len);
    return leave("state_save", dom->d, 0);
}

int flx_state_sketch(struct flx_dom *dom, void **ret_sketch, size_t *ret_len, struct flic_err *err)
{
    int rc = enter("state_sketch", dom->d, err);

    if (rc)
        return rc;
    build_state(dom->d, ret_sketch, ret_len);
    return leave("state_sketch", dom->d, 0);
}

int flx_unpause(struct flx_dom *dom, struct flic_err *err)
{
    int rc = enter("unpause", dom->d, err);

    if (rc)
        return rc;
    dom->d->info.run = FLX_RUNNING;
    return leave("unpause", dom->d, 0);
}

int flx_state_parse(const void *state, size_t len, struct flx_state_info *ret_info, struct flic_err *err)
{
    struct state s;
    int rc = read_state(state, len, &s, err);

    if (rc)
        return rc;
    *ret_info = (struct flx_state_info){ .arch = "fake", .gic = s.gic, .midr = s.midr, .counter_hz = s.counter_hz,
                                         .vcpus = s.vcpus };
    return 0;
}

int flx_state_fits(const void *state, size_t len, struct flic_err *err)
{
    struct state s;
    int rc = read_state(state, len, &s, err);

    if (rc)
        return rc;
    (void)pthread_mutex_lock(&lock);
    if (s.gic != host.gic)
        rc = flic_err_set(err, FLIC_E_MISMATCH, "the checkpoint has GICv%u, this host GICv%u", s.gic, host.gic);
    else if (s.midr != host.midr)
        rc = flic_err_set(err, FLIC_E_MISMATCH, "the checkpoint has CPU %08x, this host %08x", s.midr, host.midr);
    done();
    return rc;
}

int flx_mark_resume(struct flx_dom *dom, struct flic_err *err)
{
    int rc = enter("mark_resume", dom->d, err);

    if (rc)
        return rc;
    dom->d->marked = true;
    return leave("mark_resume", dom->d, 0);
}

int flx_resume(struct flx_dom *dom, struct flic_err *err)
{
    int rc = enter("resume", dom->d, err);

    if (rc)
        return rc;
    if (dom->d->info.run == FLX_SUSPENDED) {
        dom->d->marked = true;
        dom->d->resumes++;
        dom->d->info.run = FLX_RUNNING;
    }
    return leave("resume", dom->d, 0);
}

/* ---- flx.h: building ---- */

int flx_build_begin(struct flx_dom *dom, const void *state, size_t len, struct flic_err *err)
{
    struct state s;
    int rc = enter("build_begin", dom->d, err);

    if (rc)
        return rc;
    rc = read_state(state, len, &s, err);
    if (!rc && dom->d->info.pages)
        rc = flic_err_set(err, FLIC_E_XEN, "domain %u has memory already", dom->d->info.domid);
    dom->d->building = rc == 0;
    return leave("build_begin", dom->d, rc);
}

int flx_build_populate(struct flx_dom *dom, const uint64_t *present, uint64_t first, uint64_t end, struct flic_err *err)
{
    int rc = enter("build_populate", dom->d, err);

    if (rc)
        return rc;
    if (!dom->d->building)
        die("build_populate before build_begin");
    if (end > dom->d->gfn_room)
        rc = flic_err_set(err, FLIC_E_XEN, "domain %u has no room for gfn %#lx", dom->d->info.domid, (unsigned long)end);
    for (uint64_t gfn = first; !rc && gfn < end; gfn++)
        if (present[gfn / 64] >> (gfn % 64) & 1)
            make_page(dom->d, gfn, FLX_FAKE_FRESH);
    return leave("build_populate", dom->d, rc);
}

int flx_build_finish(struct flx_dom *dom, const void *state, size_t len, const struct flx_ports *ports,
                     uint64_t elapsed_ns, struct flx_built *ret_built, struct flic_err *err)
{
    struct state s;
    int rc = enter("build_finish", dom->d, err);

    if (rc)
        return rc;
    if (!dom->d->building)
        die("build_finish before build_begin");
    rc = read_state(state, len, &s, err);
    if (!rc) {
        memcpy(dom->d->registers, s.registers, FLX_FAKE_REGISTERS);
        dom->d->elapsed_ns = elapsed_ns;
        dom->d->building = false;
        dom->d->built = true;
        *ret_built = (struct flx_built){ 0x39001, 0x39000 };
    }
    (void)ports;    /* the fake has no rings */
    return leave("build_finish", dom->d, rc);
}

int flx_tell_guest(struct flx_dom *dom, const char *key, const char *value, struct flic_err *err)
{
    struct domain *d = dom->d;
    size_t i;
    int rc = enter("tell_guest", d, err);

    if (rc)
        return rc;
    for (i = 0; i < d->n_told && strcmp(d->told[i].key, key); i++)
        ;
    if (i == MAX_TOLD)
        die("too many keys told");
    if (i == d->n_told)
        d->n_told++;
    (void)snprintf(d->told[i].key, sizeof(d->told[i].key), "%s", key);
    (void)snprintf(d->told[i].value, sizeof(d->told[i].value), "%s", value);
    return leave("tell_guest", d, 0);
}

int flx_told(struct flx_dom *dom, const char *key, char *ret_value, size_t room, struct flic_err *err)
{
    struct domain *d = dom->d;
    int rc = enter("told", d, err);

    if (rc)
        return rc;
    ret_value[0] = '\0';
    for (size_t i = 0; i < d->n_told; i++)
        if (!strcmp(d->told[i].key, key))
            (void)snprintf(ret_value, room, "%s", d->told[i].value);
    return leave("told", d, 0);
}
