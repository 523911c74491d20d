/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Checks log-dirty against the truth: which pages of a running guest really changed from one CLEAN to the next.
 *
 * An epoch: the guest runs, is paused, backends drain; CLEAN; every page is hashed; PEEK. A page whose hash differs
 * from the epoch before must be in CLEAN's answer. A backend that wrote between CLEAN and the hash is late: its page
 * is in PEEK's answer, that is, in the next epoch. In neither: missed. With --events, each such epoch is
 * followed by one in which the guest stays paused and is sent an event: only Xen and backends write then.
 *
 * On x86 stock Xen reports neither where it delivers events (vcpu_info, the event channels' FIFO) nor what it writes
 * there; docs/decisions/x86-own-path.md says why that is harmless. A page of which no more than an event's few words
 * changed is counted apart there, as "events", and is not missed: unless the guest has granted it for writing, for then a
 * backend may have written those words, or there were more such pages in the run than events can be delivered to. So is a page of
 * the grant table, where Xen notes what backends map; its table is the guest's to set up anew when it wakes up elsewhere.
 *
 * With --omit (a debug build of our hypervisor), one run per mask, each with those mechanisms of log-dirty switched
 * off, to see that the check would notice. Such a run ends with the first epoch that misses something. --only-xen is the
 * same for x86: there what the grant table adds is left out, through all epochs.
 *
 * Exit status: 0 nothing missed (with --only-xen or a mask other than 0: something missed), 1 otherwise, 2 no check could
 * be made.
 */
#include "guestmem.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <xenhypfs.h>
#include <xenstore.h>

#define MAX_RUNS 16

/* What our hypervisor for arm64 has beside Xen's own modes. */
#if defined(__aarch64__)
#include <public/arch-arm/hvm/save.h>
#define SPARE_HOT XEN_ARM_LOGDIRTY_SPARE_HOT
#else
#define SPARE_HOT 0
#endif

/* Most 32-bit words that events change in one page between two looks: a vcpu_info is 16, a FIFO's control block 18. */
#define EVENT_WORDS 18
/* Pages of a guest that events are delivered to: of each vCPU its vcpu_info and its control block, one page of event words, shared_info. */
#define EVENT_PAGES(vcpus) (2 * (vcpus) + 2)

struct options {
    unsigned int epochs, run_ms, drain_ms, listed;
    unsigned int omit[MAX_RUNS], runs;  /* masks of enum logdirty_source; 0 runs: one, and no mask is set */
    bool events, remap, starve, only_xen, spare_hot, json, verbose;
    const char *label;
};

struct tally {
    uint64_t epochs, paused_epochs, changed, dirty, missed, late, events, event_pages, faults;
    uint64_t missed_by_kind[FRAME_KINDS];
    double clean_ms, clean_ms_max;
};

struct oracle {
    struct options opt;
    struct guestmem mem;
    struct xs_handle *xs;
    uint32_t vcpus;
    uint64_t room;              /* gfns that the arrays have room for */
    uint64_t *before, *after;
    uint8_t *clean, *peek, *kind;
    uint64_t kinds_of;          /* the epoch that `kind` is of, plus 1 */
    uint8_t *pinned;            /* always dirty, as far as was known at the start */
    uint8_t *was;               /* x86: every page as it was when it was hashed last; else NULL */
    uint8_t *granted;           /* x86: for writing, in this epoch or one before */
    uint8_t *event_page;        /* those that "events" counts */
    struct tally sum;
};

static volatile sig_atomic_t stop;

static void on_signal(int unused)
{
    (void)unused;
    stop = 1;
}

static const char usage[] =
    "usage: logdirty-oracle [options] DOMID\n"
    "  --epochs N     how many (20)            --run MS      how long the guest runs in each (300)\n"
    "  --drain MS     how long backends have after the pause (100)\n"
    "  --events       after each epoch, one more with the guest paused and an event sent to it\n"
    "  --remap        map the guest's memory anew in each epoch: for guests that balloon\n"
    "  --starve       leave the guest no memory for page tables, so that no block can be split\n"
    "  --only-xen     x86: do not count what is granted for writing; misses are then to be seen\n"
    "  --spare-hot    arm64: five of eight CLEANs in a row let Xen leave hot frames writable\n"
    "  --list N       name at most N missed pages (20)\n"
    "  --omit M,M...  one run of N epochs for each mask of mechanisms that are switched off (debug hypervisor)\n"
    "  --json         a line with the result    --label NAME  goes into it    --verbose  a line per epoch\n";

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void sleep_ms(unsigned int ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

    while (nanosleep(&t, &t) && errno == EINTR && !stop)
        ;
}

/* Grows an array from old to count elements; the new ones are zero. */
static void *resized(void *array, uint64_t old, uint64_t count, size_t size)
{
    array = realloc(array, count * size);
    if (!array)
        die("out of memory");
    if (count > old)
        memset((uint8_t *)array + old * size, 0, (count - old) * size);
    return array;
}

/* Only what is written of it takes memory. */
static void make_copies(struct oracle *o)
{
#if defined(__x86_64__)
    o->was = mmap(NULL, o->mem.nr * GUESTMEM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (o->was == MAP_FAILED)
        die("no room for a copy of the guest");
#else
    (void)o;
#endif
}

/* Keeps what changed; of a run that begins, everything. */
static void copy_changed(struct oracle *o, const uint64_t *before, const uint64_t *after)
{
    for (uint64_t gfn = 0; o->was && gfn < o->mem.nr; gfn++)
        if (o->mem.page[gfn] && (!before || before[gfn] != after[gfn]))
            memcpy(o->was + gfn * GUESTMEM_PAGE, o->mem.page[gfn], GUESTMEM_PAGE);
}

static void set_bit(uint8_t *bits, uint64_t gfn)
{
    bits[gfn / 8] |= (uint8_t)(1u << gfn % 8);
}

/* How many of its 32-bit words, and where the first is. The page may change while it is looked at: then it is counted as missed. */
static unsigned int words_changed(const struct oracle *o, uint64_t gfn, size_t *ret_first)
{
    unsigned int changed = 0;

    for (size_t at = 0; at < GUESTMEM_PAGE; at += 4)
        if (memcmp(o->was + gfn * GUESTMEM_PAGE + at, o->mem.page[gfn] + at, 4)) {
            *ret_first = changed ? *ret_first : at;
            changed++;
        }
    return changed;
}

static bool looks_like_an_event(const struct oracle *o, uint64_t gfn)
{
    size_t first;

    return o->was && o->mem.page[gfn] && !guestmem_bit(o->granted, gfn) && words_changed(o, gfn, &first) <= EVENT_WORDS;
}

/* Where events go does not move while a guest runs, so their pages are few. */
static bool is_an_event(struct oracle *o, uint64_t gfn)
{
    if (!looks_like_an_event(o, gfn))
        return false;
    if (!guestmem_bit(o->event_page, gfn)) {
        if (o->sum.event_pages == EVENT_PAGES(o->vcpus))
            return false;
        o->sum.event_pages++;
        set_bit(o->event_page, gfn);
    }
    return true;
}

/* Room for mem.nr gfns. A gfn that is new counts as one with nothing in it so far. */
static void make_room(struct oracle *o)
{
    uint64_t nr = o->mem.nr, old = o->room;

    o->before = resized(o->before, old, nr, sizeof(*o->before));
    o->after = resized(o->after, old, nr, sizeof(*o->after));
    o->clean = resized(o->clean, old ? old / 8 + 1 : 0, nr / 8 + 1, 1);
    o->peek = resized(o->peek, old ? old / 8 + 1 : 0, nr / 8 + 1, 1);
    o->kind = resized(o->kind, old, nr, 1);
    o->pinned = resized(o->pinned, old ? old / 8 + 1 : 0, nr / 8 + 1, 1);
    o->granted = resized(o->granted, old ? old / 8 + 1 : 0, nr / 8 + 1, 1);
    o->event_page = resized(o->event_page, old ? old / 8 + 1 : 0, nr / 8 + 1, 1);
    o->room = nr;
}

/* A mapping shows the frame that was at a gfn when it was made, not the one that is there now. */
static void map_anew(struct oracle *o)
{
    guestmem_map(&o->mem);
    make_room(o);
}

static void dirty(struct oracle *o, unsigned int sop, uint8_t *bits, xc_shadow_op_stats_t *stats)
{
    bool spare = o->opt.spare_hot && sop == XEN_DOMCTL_SHADOW_OP_CLEAN && o->sum.epochs % 8 >= 3;
    int rc = guestmem_dirty(&o->mem, sop, spare ? SPARE_HOT : 0, bits, o->mem.nr, stats);

    if (rc)
        die("log-dirty %s of domain %u: %s", sop == XEN_DOMCTL_SHADOW_OP_CLEAN ? "CLEAN" : "PEEK", o->mem.domid,
            strerror(-rc));
}

/* Any write to this node makes xenstored put a watch event on the guest's ring and notify it. */
static void send_event(struct oracle *o)
{
    char path[64];

    snprintf(path, sizeof(path), "/local/domain/%u/control/sysrq", o->mem.domid);
    if (!xs_write(o->xs, XBT_NULL, path, "h", 1))
        die("the guest cannot be sent an event: %s", strerror(errno));
}

static enum frame_kind kind_now(struct oracle *o, uint64_t gfn)
{
    if (o->kinds_of != o->sum.epochs + 1)
        guestmem_kinds(&o->mem, o->pinned, o->kind);
    o->kinds_of = o->sum.epochs + 1;
    return o->kind[gfn];
}

static void name_missed(struct oracle *o, uint64_t gfn, bool paused)
{
    struct tally *sum = &o->sum;

    sum->missed_by_kind[o->kind[gfn]]++;
    if (sum->missed++ >= o->opt.listed)
        return;
    fprintf(stderr, "missed: gfn %#llx (%s%s) in epoch %llu%s", (unsigned long long)gfn, frame_kind_names[o->kind[gfn]],
            guestmem_bit(o->granted, gfn) ? ", was granted" : "", (unsigned long long)sum->epochs, paused ? ", paused" : "");
    if (o->was && o->mem.page[gfn]) {
        size_t first = 0;
        unsigned int words = words_changed(o, gfn, &first);

        fprintf(stderr, ": %u words, the first at 0x%03zx", words, first);
    }
    fputc('\n', stderr);
}

static void judge(struct oracle *o, bool paused)
{
    struct tally *sum = &o->sum;
    uint64_t changed = 0, set = 0, late = 0, missed = sum->missed;

    for (uint64_t gfn = 0; gfn < o->mem.nr; gfn++) {
        bool bit = guestmem_bit(o->clean, gfn);

        set += bit;
        if (o->before[gfn] == o->after[gfn])
            continue;
        changed++;
        if (bit)
            continue;
        if (guestmem_bit(o->peek, gfn))
            late++;
        else if (o->was && kind_now(o, gfn) == FRAME_GRANT_TABLE)
            sum->events++;
        else if (is_an_event(o, gfn))
            sum->events++;
        else
            name_missed(o, gfn, paused);
    }
    sum->changed += changed;
    sum->dirty += set;
    sum->late += late;
    if (o->opt.verbose)
        fprintf(stderr, "epoch %llu%s: changed %llu dirty %llu late %llu missed %llu\n",
                (unsigned long long)sum->epochs, paused ? " paused" : "", (unsigned long long)changed,
                (unsigned long long)set, (unsigned long long)late, (unsigned long long)(sum->missed - missed));
}

/* The guest is paused and nothing is left under way: takes the bits, then looks. */
static void measure(struct oracle *o, bool paused)
{
    xc_shadow_op_stats_t stats;
    double start, took;
    uint64_t *swap;

    if (o->opt.remap)
        map_anew(o);
    start = now_ms();
    dirty(o, XEN_DOMCTL_SHADOW_OP_CLEAN, o->clean, &stats);
    took = now_ms() - start;
    o->sum.clean_ms += took;
    if (took > o->sum.clean_ms_max)
        o->sum.clean_ms_max = took;
    o->sum.faults += stats.fault_count;
    guestmem_add_granted(&o->mem, o->granted, o->mem.nr);
    guestmem_hash(&o->mem, o->after);
    dirty(o, XEN_DOMCTL_SHADOW_OP_PEEK, o->peek, NULL);

    judge(o, paused);
    copy_changed(o, o->before, o->after);
    swap = o->before;
    o->before = o->after;
    o->after = swap;
    o->sum.epochs++;
    o->sum.paused_epochs += paused;
}

static void run_and_pause(struct oracle *o)
{
    if (xc_domain_unpause(o->mem.xch, o->mem.domid))
        die("domain %u cannot be unpaused: %s", o->mem.domid, strerror(errno));
    sleep_ms(o->opt.run_ms);
    if (xc_domain_pause(o->mem.xch, o->mem.domid))
        die("domain %u cannot be paused: %s", o->mem.domid, strerror(errno));
    sleep_ms(o->opt.drain_ms);
}

/* mask 0: until the epochs are over; else until something is missed, at the latest then. */
static void watch(struct oracle *o, unsigned int mask)
{
    while (o->sum.epochs - o->sum.paused_epochs < o->opt.epochs && !stop && !(mask && o->sum.missed)) {
        run_and_pause(o);
        measure(o, false);
        if (!o->opt.events)
            continue;
        send_event(o);
        sleep_ms(o->opt.drain_ms);
        measure(o, true);
    }
}

static void begin(struct oracle *o)
{
    if (xc_domain_pause(o->mem.xch, o->mem.domid))
        die("domain %u cannot be paused: %s", o->mem.domid, strerror(errno));
    sleep_ms(o->opt.drain_ms);
    if (o->opt.remap)
        map_anew(o);
    if (xc_shadow_control(o->mem.xch, o->mem.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) < 0) {
        int error = errno;

        xc_domain_unpause(o->mem.xch, o->mem.domid);
        die("log-dirty cannot be turned on for domain %u: %s%s", o->mem.domid, strerror(error),
            error == EINVAL ? " (is it on already?)" : "");
    }
    /* From here on what changes is to be reported. */
    guestmem_hash(&o->mem, o->before);
    copy_changed(o, NULL, NULL);
}

static void end(struct oracle *o)
{
    if (xc_shadow_control(o->mem.xch, o->mem.domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0) < 0)
        fprintf(stderr, "log-dirty cannot be turned off: %s\n", strerror(errno));
    xc_domain_unpause(o->mem.xch, o->mem.domid);
}

/* Takes all that is free of the guest's page-table pool. Returns the size that gives it back. */
static uint64_t starve(struct oracle *o)
{
    uint64_t size;

    if (xc_get_paging_mempool_size(o->mem.xch, o->mem.domid, &size) < 0)
        die("the pool of page tables cannot be read: %s", strerror(errno));
    /* Fails, having freed what it could. */
    if (!xc_set_paging_mempool_size(o->mem.xch, o->mem.domid, 0) || errno != ENOMEM)
        die("the pool of page tables could not be emptied");
    return size;
}

static uint32_t count_vcpus(const struct oracle *o)
{
    xc_domaininfo_t info;

    if (xc_domain_getinfolist(o->mem.xch, o->mem.domid, 1, &info) != 1 || info.domain != o->mem.domid)
        die("domain %u is not there", o->mem.domid);
    return info.max_vcpu_id + 1;
}

static void set_omitted(unsigned int mask)
{
    xenhypfs_handle *hypfs = xenhypfs_open(NULL, 0);
    char text[16];

    snprintf(text, sizeof(text), "%u", mask);
    if (!hypfs || xenhypfs_write(hypfs, "/params/logdirty-omit", text))
        die("nothing can be switched off: %s (needs a debug build of our hypervisor)", strerror(errno));
    xenhypfs_close(hypfs);
}

static void print_result(const struct oracle *o, unsigned int mask)
{
    const struct tally *s = &o->sum;
    double over = s->changed ? 100.0 * ((double)s->dirty - (double)s->changed) / (double)s->changed : 0;
    const char *comma = "";

    if (!o->opt.json) {
        printf("%s, omit %u: %llu epochs (%llu paused), %llu pages changed, %llu dirty (%+.1f %%), %llu faults, "
               "late %llu, events %llu (pages: %llu), missed %llu; CLEAN %.2f ms, at most %.2f\n", o->opt.label, mask, (unsigned long long)s->epochs,
               (unsigned long long)s->paused_epochs, (unsigned long long)s->changed, (unsigned long long)s->dirty,
               over, (unsigned long long)s->faults, (unsigned long long)s->late, (unsigned long long)s->events,
               (unsigned long long)s->event_pages, (unsigned long long)s->missed, s->clean_ms / (s->epochs ? s->epochs : 1), s->clean_ms_max);
        return;
    }
    printf("{\"name\":\"logdirty-oracle\",\"label\":\"%s\",\"omit\":%u,\"epochs\":%llu,\"paused_epochs\":%llu,\"changed\":%llu,"
           "\"dirty\":%llu,\"faults\":%llu,\"late\":%llu,\"events\":%llu,\"event_pages\":%llu,\"missed\":%llu,\"over_report_percent\":%.1f,"
           "\"clean_ms_mean\":%.3f,\"clean_ms_max\":%.3f,\"missed_by_kind\":{", o->opt.label, mask,
           (unsigned long long)s->epochs, (unsigned long long)s->paused_epochs, (unsigned long long)s->changed,
           (unsigned long long)s->dirty, (unsigned long long)s->faults, (unsigned long long)s->late,
           (unsigned long long)s->events, (unsigned long long)s->event_pages, (unsigned long long)s->missed, over, s->clean_ms / (s->epochs ? s->epochs : 1), s->clean_ms_max);
    for (int k = 0; k < FRAME_KINDS; k++)
        if (s->missed_by_kind[k]) {
            printf("%s\"%s\":%llu", comma, frame_kind_names[k], (unsigned long long)s->missed_by_kind[k]);
            comma = ",";
        }
    puts("}}");
    fflush(stdout);
}

static unsigned int number(const char *text)
{
    char *rest;
    unsigned long value = strtoul(text, &rest, 0);

    if (!*text || *rest || value > 1000000)
        die("'%s' is not a number that makes sense here\n%s", text, usage);
    return value;
}

static void parse_omit(struct options *opt, char *list)
{
    for (char *item = strtok(list, ","); item; item = strtok(NULL, ",")) {
        if (opt->runs == MAX_RUNS)
            die("at most %u masks", MAX_RUNS);
        opt->omit[opt->runs++] = number(item);
    }
}

static uint32_t parse(struct options *opt, int argc, char **argv)
{
    static const struct option longs[] = {
        { "epochs", required_argument, NULL, 'n' }, { "run", required_argument, NULL, 'r' },
        { "drain", required_argument, NULL, 'd' },  { "events", no_argument, NULL, 'e' },
        { "remap", no_argument, NULL, 'm' },        { "list", required_argument, NULL, 'l' },
        { "json", no_argument, NULL, 'j' },         { "label", required_argument, NULL, 'b' },
        { "verbose", no_argument, NULL, 'v' },      { "omit", required_argument, NULL, 'o' },
        { "starve", no_argument, NULL, 's' },       { "only-xen", no_argument, NULL, 'x' },
        { "spare-hot", no_argument, NULL, 'h' + 256 },
        { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 }
    };
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
        switch (c) {
        case 'n': opt->epochs = number(optarg); break;
        case 'r': opt->run_ms = number(optarg); break;
        case 'd': opt->drain_ms = number(optarg); break;
        case 'l': opt->listed = number(optarg); break;
        case 'e': opt->events = true; break;
        case 'm': opt->remap = true; break;
        case 's': opt->starve = true; break;
        case 'x': opt->only_xen = true; break;
        case 'h' + 256: opt->spare_hot = true; break;
        case 'j': opt->json = true; break;
        case 'v': opt->verbose = true; break;
        case 'b': opt->label = optarg; break;
        case 'o': parse_omit(opt, optarg); break;
        case 'h': fputs(usage, stdout); exit(0);
        default: die("%s", usage);
        }
    if (optind + 1 != argc)
        die("%s", usage);
    return number(argv[optind]);
}

/* Returns whether the result is as it should be. */
static bool one_run(struct oracle *o, unsigned int mask)
{
    uint64_t pool = o->opt.starve ? starve(o) : 0;

    memset(&o->sum, 0, sizeof(o->sum));
    memset(o->event_page, 0, o->room / 8 + 1);
    o->kinds_of = 0;
    begin(o);
    watch(o, mask);
    end(o);
    if (pool && xc_set_paging_mempool_size(o->mem.xch, o->mem.domid, pool))
        fprintf(stderr, "the pool of page tables could not be filled again: %s\n", strerror(errno));
    print_result(o, mask);
    return mask || o->opt.only_xen ? o->sum.missed > 0 : o->sum.missed == 0;
}

int main(int argc, char **argv)
{
    struct oracle o = { .opt = { .epochs = 20, .run_ms = 300, .drain_ms = 100, .listed = 20, .label = "guest" } };
    uint32_t domid = parse(&o.opt, argc, argv);
    bool good = true;

    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    guestmem_open(&o.mem, domid);
    o.mem.only_xen = o.opt.only_xen;
    o.vcpus = count_vcpus(&o);
    make_room(&o);
    make_copies(&o);
    o.xs = xs_open(0);
    if (!o.xs)
        die("xenstore cannot be opened: %s", strerror(errno));

    /* Before anything is switched off. */
    begin(&o);
    dirty(&o, XEN_DOMCTL_SHADOW_OP_PEEK, o.pinned, NULL);
    end(&o);

    if (!o.opt.runs)
        good = one_run(&o, 0);
    for (unsigned int i = 0; i < o.opt.runs && !stop; i++) {
        set_omitted(o.opt.omit[i]);
        good &= one_run(&o, o.opt.omit[i]);
        set_omitted(0);
    }
    xs_close(o.xs);
    guestmem_close(&o.mem);
    return good && !stop ? 0 : 1;
}
