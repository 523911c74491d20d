/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/unit/nvram-recorder.h"

#include "daemon/nvram/nv_media.h"

#include <errno.h>
#include <execinfo.h>
#include <stdlib.h>
#include <string.h>

#define LINE 64u
#define SITES_MAX 64

enum kind { STORE, FLUSH, FENCE, MARK };

struct op {
    enum kind kind;
    uint64_t at;
    uint64_t len;
    size_t data;        /* offset in the trace's data */
};

struct trace {
    struct op *ops;
    size_t n, room;
    uint8_t *data;
    size_t data_len, data_room;
};

static struct {
    struct nv_media media;
    uint8_t *initial;
    struct trace trace;
    struct trace stash;
    uint8_t *stash_initial;
    bool recording;
    void *sites[SITES_MAX][2];
    const char *site_kind[SITES_MAX];
    int n_sites, muted;
    unsigned fences_left;       /* until one fails; 0: none will */
    bool failed;
} rec = { .muted = -1 };

static void *grow(void *array, size_t *room, size_t need, size_t size)
{
    void *grown = array;

    if (need <= *room)
        return array;
    while (*room < need)
        *room = *room ? *room * 2 : 1024;
    grown = realloc(array, *room * size);
    if (!grown)
        abort();
    return grown;
}

/* ---- recording ---- */

static void add_op(enum kind kind, uint64_t at, uint64_t len, const void *data)
{
    struct trace *t = &rec.trace;

    if (!rec.recording)
        return;
    t->ops = grow(t->ops, &t->room, t->n + 1, sizeof(*t->ops));
    t->ops[t->n++] = (struct op){ .kind = kind, .at = at, .len = len, .data = t->data_len };
    if (!data)
        return;
    t->data = grow(t->data, &t->data_room, t->data_len + len, 1);
    memcpy(t->data + t->data_len, data, len);
    t->data_len += len;
}

/* Is the caller of our caller muted? Learns its place. */
static __attribute__((noinline)) bool muted(const char *kind)
{
    void *stack[4] = { NULL };
    int at;

    if (!rec.recording)
        return false;
    (void)backtrace(stack, 4);      /* here, the medium's call, its caller, and that one's */
    for (at = 0; at < rec.n_sites; at++)
        if (rec.sites[at][0] == stack[2] && rec.sites[at][1] == stack[3])
            break;
    if (at == rec.n_sites) {
        if (at == SITES_MAX)
            abort();
        rec.sites[at][0] = stack[2];
        rec.sites[at][1] = stack[3];
        rec.site_kind[at] = kind;
        rec.n_sites++;
    }
    return at == rec.muted;
}

void rec_load(const uint8_t *image, size_t size)
{
    uint8_t *view = calloc(1, size), *initial = calloc(1, size);

    if (!view || !initial)
        abort();
    if (image) {
        memcpy(view, image, size);
        memcpy(initial, image, size);
    }
    free(rec.media.base);
    free(rec.initial);
    rec.media = (struct nv_media){ .base = view, .size = size, .kind = NV_FS_DAX };
    rec.initial = initial;
    rec.trace.n = rec.trace.data_len = 0;
    rec.failed = false;
}

uint8_t *rec_view(void)
{
    return rec.media.base;
}

size_t rec_size(void)
{
    return rec.media.size;
}

uint8_t *rec_swap(uint8_t *image)
{
    uint8_t *before = rec.media.base;

    rec.media.base = image;
    return before;
}

void rec_record(bool on)
{
    rec.recording = on;
}

void rec_mark(void)
{
    add_op(MARK, 0, 0, NULL);
}

size_t rec_ops(void)
{
    return rec.trace.n;
}

static void copy_trace(struct trace *to, const struct trace *from)
{
    *to = (struct trace){ 0 };
    to->ops = grow(NULL, &to->room, from->n + 1, sizeof(*to->ops));
    to->data = grow(NULL, &to->data_room, from->data_len + 1, 1);
    memcpy(to->ops, from->ops, from->n * sizeof(*to->ops));
    if (from->data_len)
        memcpy(to->data, from->data, from->data_len);
    to->n = from->n;
    to->data_len = from->data_len;
}

static void free_trace(struct trace *t)
{
    free(t->ops);
    free(t->data);
}

void rec_stash(void)
{
    free_trace(&rec.stash);
    free(rec.stash_initial);
    copy_trace(&rec.stash, &rec.trace);
    rec.stash_initial = malloc(rec.media.size);
    if (!rec.stash_initial)
        abort();
    memcpy(rec.stash_initial, rec.initial, rec.media.size);
}

unsigned rec_kill_after(size_t ops)
{
    unsigned marks = 0;

    rec_load(rec.stash_initial, rec.media.size);
    free_trace(&rec.trace);
    copy_trace(&rec.trace, &rec.stash);
    rec.trace.n = ops;
    for (size_t i = 0; i < ops; i++) {
        const struct op *op = &rec.trace.ops[i];

        if (op->kind == STORE)
            memcpy(rec.media.base + op->at, rec.trace.data + op->data, op->len);
        marks += op->kind == MARK;
    }
    return marks;
}

int rec_sites(void)
{
    return rec.n_sites;
}

void rec_mute(int site)
{
    rec.muted = site;
}

const char *rec_site_kind(int site)
{
    return rec.site_kind[site];
}

extern const char __executable_start;

void rec_site_places(int site, uintptr_t ret_at[2])
{
    for (int i = 0; i < 2; i++)
        ret_at[i] = (uintptr_t)rec.sites[site][i] - (uintptr_t)&__executable_start;
}

void rec_fail_fence(unsigned nth)
{
    rec.fences_left = nth;
    rec.failed = false;
}

/* ---- the medium ---- */

int nv_media_open(const char *path, struct nv_media **ret_media, struct flic_err *err)
{
    (void)path;
    (void)err;
    *ret_media = &rec.media;
    return 0;
}

int nv_media_create(const char *path, uint64_t size, nv_media_check *check, struct nv_media **ret_media,
                    struct flic_err *err)
{
    int rc;

    (void)size;
    rc = check(rec.media.base, rec.media.size, path, err);
    if (!rc)
        *ret_media = &rec.media;
    return rc;
}

void nv_media_close(struct nv_media *media)
{
    (void)media;
}

void nv_store(struct nv_media *media, uint64_t at, const void *data, size_t len)
{
    memcpy(media->base + at, data, len);
    add_op(STORE, at, len, data);
}

void nv_store_word(struct nv_media *media, uint64_t at, uint64_t word)
{
    if (at % sizeof(word))
        abort();
    nv_store(media, at, &word, sizeof(word));
}

void nv_stream(struct nv_media *media, uint64_t at, const void *data, size_t len)
{
    if (at % LINE || len % LINE)
        abort();
    nv_store(media, at, data, len);
    if (!muted("stream"))
        add_op(FLUSH, at, len, NULL);
}

void nv_expect(struct nv_media *media, uint64_t at, uint64_t len)
{
    (void)media;    /* stores nothing */
    (void)at;
    (void)len;
}

void nv_flush(struct nv_media *media, uint64_t at, uint64_t len)
{
    (void)media;
    if (!muted("flush"))
        add_op(FLUSH, at, len, NULL);
}

void nv_drain(struct nv_media *media)
{
    (void)media;    /* one thread */
}

int nv_fence(struct nv_media *media, struct flic_err *err)
{
    (void)media;
    if (rec.fences_left && !--rec.fences_left)
        rec.failed = true;
    if (rec.failed) {
        errno = EIO;
        return flic_err_errno(err, "write to the arena");
    }
    if (!muted("fence"))
        add_op(FENCE, 0, 0, NULL);
    return 0;
}

/* ---- the walk ---- */

struct dirty {
    uint64_t at;                    /* of the line */
    uint8_t (*versions)[LINE];      /* oldest first; what is durable is not among them */
    size_t n, room;
    size_t flushed;                 /* so many of them are covered by a flush that no fence completed yet */
};

struct state {
    struct rec_walk *walk;
    struct trace trace;             /* our own copy */
    uint8_t *durable, *image;
    size_t size;
    struct dirty *dirty;
    size_t n_dirty, room;
    size_t *pick;                   /* per dirty line: how many of its versions got through */
    size_t pick_room;
    unsigned marks;
    uint64_t random;
};

uint64_t rec_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;   /* Weyl sequence, mixed */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static struct dirty *dirty_line(struct state *s, uint64_t at, bool make)
{
    for (size_t i = s->n_dirty; i--;)
        if (s->dirty[i].at == at)
            return &s->dirty[i];
    if (!make)
        return NULL;
    s->dirty = grow(s->dirty, &s->room, s->n_dirty + 1, sizeof(*s->dirty));
    s->dirty[s->n_dirty] = (struct dirty){ .at = at };
    return &s->dirty[s->n_dirty++];
}

static void on_store(struct state *s, const struct op *op)
{
    const uint8_t *from = s->trace.data + op->data;

    for (uint64_t at = op->at, end = op->at + op->len; at < end;) {
        uint64_t line = at - at % LINE;
        size_t len = line + LINE < end ? line + LINE - at : end - at;
        struct dirty *d = dirty_line(s, line, true);

        d->versions = grow(d->versions, &d->room, d->n + 1, LINE);
        memcpy(d->versions[d->n], d->n ? d->versions[d->n - 1] : s->durable + line, LINE);
        memcpy(d->versions[d->n] + at % LINE, from, len);
        d->n++;
        from += len;
        at += len;
    }
}

static void on_flush(struct state *s, const struct op *op)
{
    for (size_t i = 0; i < s->n_dirty; i++) {
        struct dirty *d = &s->dirty[i];

        if (d->at + LINE > op->at && d->at < op->at + op->len)
            d->flushed = d->n;
    }
}

static void on_fence(struct state *s)
{
    for (size_t i = 0; i < s->n_dirty;) {
        struct dirty *d = &s->dirty[i];

        if (d->flushed) {
            memcpy(s->durable + d->at, d->versions[d->flushed - 1], LINE);
            d->n -= d->flushed;
            memmove(d->versions, d->versions + d->flushed, d->n * LINE);
            d->flushed = 0;
        }
        if (d->n) {
            i++;
            continue;
        }
        free(d->versions);
        *d = s->dirty[--s->n_dirty];
    }
}

/* The image of s->pick; with `torn`, that line's next version has got through in some of its words only. */
static bool show(struct state *s, size_t torn)
{
    memcpy(s->image, s->durable, s->size);
    for (size_t i = 0; i < s->n_dirty; i++) {
        const struct dirty *d = &s->dirty[i];

        if (s->pick[i])
            memcpy(s->image + d->at, d->versions[s->pick[i] - 1], LINE);
        if (i == torn && s->pick[i] < d->n)
            for (size_t word = 0; word < LINE; word += 8)
                if (rec_random(&s->random) & 1)
                    memcpy(s->image + d->at + word, d->versions[s->pick[i]] + word, 8);
    }
    s->walk->images++;
    return s->walk->check(s->image, s->size, s->marks, s->walk->arg);
}

static void pick_all(struct state *s, bool newest)
{
    for (size_t i = 0; i < s->n_dirty; i++)
        s->pick[i] = newest ? s->dirty[i].n : 0;
}

static bool show_every(struct state *s)
{
    pick_all(s, false);
    for (;;) {
        size_t i = 0;

        if (!show(s, SIZE_MAX))
            return false;
        while (i < s->n_dirty && s->pick[i] == s->dirty[i].n)
            s->pick[i++] = 0;
        if (i == s->n_dirty)
            return true;
        s->pick[i]++;
    }
}

static void pick_some(struct state *s, unsigned percent)
{
    for (size_t i = 0; i < s->n_dirty; i++)
        s->pick[i] = rec_random(&s->random) % 100 < percent ? rec_random(&s->random) % (s->dirty[i].n + 1)
                                                            : s->dirty[i].n;
}

/* The ends, one line late, one line early, and mixtures. */
static bool show_sample(struct state *s)
{
    static const unsigned percents[] = { 2, 10, 50, 90, 98 };
    unsigned each = s->walk->per_point / 4 + 1;
    bool ok;

    pick_all(s, false);
    ok = show(s, SIZE_MAX);
    pick_all(s, true);
    ok = ok && show(s, SIZE_MAX);
    for (unsigned k = 0; ok && k < each; k++) {
        size_t one = rec_random(&s->random) % s->n_dirty;

        pick_all(s, true);
        s->pick[one] = 0;
        ok = show(s, SIZE_MAX);
        pick_all(s, false);
        s->pick[one] = s->dirty[one].n;
        ok = ok && show(s, SIZE_MAX);
    }
    for (unsigned k = 0; ok && k < 2 * each; k++) {
        pick_some(s, percents[k % 5]);
        ok = show(s, SIZE_MAX);
    }
    return ok;
}

static bool show_torn(struct state *s)
{
    bool ok = true;

    for (unsigned k = 0; ok && k < s->walk->per_point / 8; k++) {
        pick_some(s, k % 2 ? 50 : 5);
        ok = show(s, rec_random(&s->random) % s->n_dirty);
    }
    return ok;
}

static bool power_goes(struct state *s)
{
    uint64_t combinations = 1;

    s->walk->points++;
    s->pick = grow(s->pick, &s->pick_room, s->n_dirty + 1, sizeof(*s->pick));
    for (size_t i = 0; i < s->n_dirty && combinations <= s->walk->per_point; i++)
        combinations *= s->dirty[i].n + 1;
    if (combinations <= s->walk->per_point)
        return show_every(s) && (!s->n_dirty || show_torn(s));
    return show_sample(s) && show_torn(s);
}

/* Between two fences the choice only grows, so the power goes just before each fence, and where a promise was made. */
static bool step(struct state *s, size_t i)
{
    const struct op *op = &s->trace.ops[i];
    bool ok = true;

    switch (op->kind) {
    case STORE:
        on_store(s, op);
        break;
    case FLUSH:
        on_flush(s, op);
        break;
    case FENCE:
        ok = i < s->walk->from || power_goes(s);
        on_fence(s);
        break;
    case MARK:
        if (i < s->walk->from)
            break;
        s->marks++;
        ok = power_goes(s);
        break;
    }
    return ok;
}

bool rec_walk(struct rec_walk *walk)
{
    struct state s = { .walk = walk, .size = rec.media.size, .random = walk->seed };
    bool ok = true;

    copy_trace(&s.trace, &rec.trace);
    s.durable = malloc(s.size);
    s.image = malloc(s.size);
    if (!s.durable || !s.image)
        abort();
    memcpy(s.durable, rec.initial, s.size);
    walk->images = walk->points = 0;
    for (size_t i = 0; ok && i < s.trace.n; i++)
        ok = step(&s, i);
    for (size_t i = 0; i < s.n_dirty; i++)
        free(s.dirty[i].versions);
    free(s.dirty);
    free(s.pick);
    free(s.durable);
    free(s.image);
    free_trace(&s.trace);
    return ok;
}
