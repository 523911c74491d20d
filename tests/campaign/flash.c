/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/campaign/flash.h"

#include "common/id.h"
#include "tests/campaign/campaign.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 512
#define SITES_MAX 64
#define NOTHING (-1)

enum op_kind { NAME, WRITE, LENGTH, SYNC, MARK };

struct op {
    enum op_kind kind;
    int file;               /* NAME: what the name leads to from now on, or NOTHING; SYNC: of a folder too */
    char *name, *gone;      /* NAME: and the name that it had, or NULL */
    bool foreign;           /* done by a shared library: SQLite */
    uint64_t at, len;       /* SYNC: of these bytes */
    void *data;
    void *told;
};

struct file {
    bool folder, nvram;
    char name[256];         /* in force while recording; "" when it has none */
};

static struct {
    char folder[256], arena[256];
    const void *told;
    size_t told_len;
    struct op *ops;
    size_t n, room;
    struct file files[FILES_MAX];
    int n_files;
    struct flash_site sites[SITES_MAX];
    int n_sites, muted;
} rec = { .muted = -1 };

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static void *copy_of(const void *data, size_t len)
{
    return len ? memcpy(must(malloc(len)), data, len) : NULL;
}

/* ---- recording ---- */

static int find_file(const char *name)
{
    for (int i = rec.n_files; i--;)
        if (rec.files[i].name[0] && !strcmp(rec.files[i].name, name))
            return i;
    return NOTHING;
}

static int add_file(const char *name, bool folder)
{
    struct file *f = &rec.files[rec.n_files];

    if (rec.n_files == FILES_MAX)
        abort();
    *f = (struct file){ .folder = folder, .nvram = !strcmp(name, rec.arena) };
    (void)snprintf(f->name, sizeof(f->name), "%s", name);
    return rec.n_files++;
}

static struct op *add_op(enum op_kind kind, int file)
{
    if (rec.n == rec.room) {
        rec.room = rec.room ? 2 * rec.room : 1024;
        rec.ops = must(realloc(rec.ops, rec.room * sizeof(*rec.ops)));
    }
    rec.ops[rec.n] = (struct op){ .kind = kind, .file = file, .told = copy_of(rec.told, rec.told_len) };
    return &rec.ops[rec.n++];
}

void flash_end(void)
{
    for (size_t i = 0; i < rec.n; i++) {
        free(rec.ops[i].name);
        free(rec.ops[i].gone);
        free(rec.ops[i].data);
        free(rec.ops[i].told);
    }
    free(rec.ops);
    rec.ops = NULL;
    rec.n = rec.room = 0;
    rec.n_files = 0;
}

void flash_begin(const char *folder, const char *arena, const void *told, size_t told_len)
{
    char top[256];

    flash_end();
    (void)snprintf(rec.folder, sizeof(rec.folder), "%s", folder);
    (void)snprintf(rec.arena, sizeof(rec.arena), "%s", arena);
    rec.told = told;
    rec.told_len = told_len;
    (void)add_file(folder, true);
    (void)snprintf(top, sizeof(top), "%.*s", (int)(strrchr(arena, '/') - arena), arena);
    (void)add_file(top, true);
}

void flash_mark(void)
{
    (void)add_op(MARK, NOTHING);
}

/* False when the site is muted. Learns the place. */
static bool counts(const struct call *call)
{
    int i;

    if (!call->site[0] || call->kind != CALL_SYNC)
        return true;        /* SQLite's own business; an NVRAM fence is the recorder's of tests/unit */
    for (i = 0; i < rec.n_sites; i++)
        if (!memcmp(rec.sites[i].at, call->site, sizeof(call->site)))
            break;
    if (i == SITES_MAX)
        abort();
    if (i == rec.n_sites) {
        rec.sites[i].kind = call->kind;
        memcpy(rec.sites[rec.n_sites++].at, call->site, sizeof(call->site));
    }
    return i != rec.muted;
}

static void note_name(const struct call *call, int file, const char *name, const char *gone)
{
    struct op *op = add_op(NAME, file);

    op->foreign = !call->site[0];
    op->name = must(strdup(name));
    op->gone = gone ? must(strdup(gone)) : NULL;
}

static void note_bytes(int file, const struct call *call)
{
    struct op *op = add_op(WRITE, file);

    op->at = call->at;
    op->len = call->len;
    op->data = copy_of(call->data, call->len);
}

static int note_sync(int file, const struct call *call)
{
    struct op *op;

    if (!counts(call))
        return CALL_SKIPPED;
    op = add_op(SYNC, file);
    op->foreign = !call->site[0];
    op->at = call->kind == CALL_MSYNC ? call->at : 0;
    op->len = call->kind == CALL_MSYNC ? call->len : UINT64_MAX / 2;
    return 0;
}

static void note_rename(const struct call *call)
{
    int file = find_file(call->path), old = find_file(call->path2);

    if (file == NOTHING)
        return;
    if (old != NOTHING)
        rec.files[old].name[0] = '\0';
    (void)snprintf(rec.files[file].name, sizeof(rec.files[file].name), "%s", call->path2);
    note_name(call, file, call->path2, call->path);
}

int flash_note(const struct call *call)
{
    bool nvram = call->kind >= CALL_STORE;
    int file = find_file(nvram ? rec.arena : call->path);

    if (call->kind == CALL_CREATE || call->kind == CALL_MKDIR) {
        if (file == NOTHING)
            note_name(call, add_file(call->path, call->kind == CALL_MKDIR), call->path, NULL);
        return 0;
    }
    if (file == NOTHING || call->kind == CALL_FLUSH || call->kind == CALL_FENCE)
        return 0;
    if (call->kind == CALL_SYNC || call->kind == CALL_MSYNC)
        return note_sync(file, call);
    if (call->kind == CALL_RENAME) {
        note_rename(call);
    } else if (call->kind == CALL_UNLINK) {
        note_name(call, NOTHING, call->path, NULL);
        rec.files[file].name[0] = '\0';
    } else if (call->kind == CALL_TRUNCATE) {
        add_op(LENGTH, file)->at = call->at;
    } else {
        note_bytes(file, call);
    }
    return 0;
}

int flash_sites(void)
{
    return rec.n_sites;
}

const struct flash_site *flash_site(int site)
{
    return &rec.sites[site];
}

void flash_mute(int site)
{
    rec.muted = site;
}

/* ---- the walk ---- */

struct content {
    uint8_t *bytes;
    uint64_t len, room;
};

struct names {
    struct { char *name; int file; } at[FILES_MAX];
    int n;
};

struct pending {
    const struct op **ops;
    size_t n, room;
};

/* How an image is drawn. */
enum mix { ALL_LOST, ALL_KEPT, PREFIXES, SUBSETS, LENGTHS, MIXES };

struct walking {
    struct flash_walk *walk;
    struct content durable[FILES_MAX];
    struct pending bytes[FILES_MAX];    /* of a file: its writes; of a folder: its names */
    struct names names;                 /* durable ones */
    struct content shown;
    uint64_t random, *seen;
    size_t n_seen;
};

static void put_bytes(struct content *c, uint64_t at, const uint8_t *data, uint64_t len)
{
    if (at + len > c->room) {
        c->room = 2 * (at + len);
        c->bytes = must(realloc(c->bytes, c->room));
    }
    if (at > c->len)
        memset(c->bytes + c->len, 0, at - c->len);
    if (data)
        memcpy(c->bytes + at, data, len);
    else
        memset(c->bytes + at, 0, len);
    if (at + len > c->len)
        c->len = at + len;
}

static void set_length(struct content *c, uint64_t len)
{
    if (len > c->len)
        put_bytes(c, c->len, NULL, len - c->len);
    c->len = len;
}

static void apply_bytes(struct content *c, const struct op *op)
{
    if (op->kind == LENGTH)
        set_length(c, op->at);
    else
        put_bytes(c, op->at, op->data, op->len);
}

static void set_name(struct names *names, const char *name, int file)
{
    int i;

    for (i = 0; i < names->n; i++)
        if (!strcmp(names->at[i].name, name))
            break;
    if (i == names->n) {
        if (i == FILES_MAX)
            abort();
        names->at[names->n++].name = (char *)name;      /* the op's, which outlives us */
    }
    names->at[i].file = file;
}

static void apply_name(struct names *names, const struct op *op)
{
    if (op->gone)
        set_name(names, op->gone, NOTHING);
    set_name(names, op->name, op->file);
}

static void add_pending(struct pending *p, const struct op *op)
{
    if (p->n == p->room) {
        p->room = p->room ? 2 * p->room : 16;
        p->ops = must(realloc(p->ops, p->room * sizeof(*p->ops)));
    }
    p->ops[p->n++] = op;
}

static bool percent(struct walking *w, unsigned n)
{
    return campaign_random(&w->random) % 100 < n;
}

static bool gets_through(struct walking *w, enum mix mix, size_t i, size_t prefix)
{
    return mix == ALL_KEPT || (mix == PREFIXES && i < prefix) || (mix >= SUBSETS && percent(w, 60));
}

/* Some sectors only. */
static void apply_torn(struct walking *w, struct content *c, const struct op *op, uint64_t sector)
{
    for (uint64_t at = op->at, end = op->at + op->len; at < end;) {
        uint64_t next = (at / sector + 1) * sector, len = (next < end ? next : end) - at;

        if (percent(w, 50))
            put_bytes(c, at, (const uint8_t *)op->data + (at - op->at), len);
        at += len;
    }
}

/* The bytes that a file has after the cut, in w->shown. */
static void draw_bytes(struct walking *w, int file, enum mix mix)
{
    const struct pending *p = &w->bytes[file];
    size_t prefix = p->n ? campaign_random(&w->random) % (p->n + 1) : 0;
    struct content *c = &w->shown;

    c->len = 0;
    put_bytes(c, 0, w->durable[file].bytes, w->durable[file].len);
    for (size_t i = 0; i < p->n; i++) {
        const struct op *op = p->ops[i];

        if (mix == LENGTHS && op->kind == WRITE && op->at + op->len > c->len)
            set_length(c, op->at + op->len);
        if (!gets_through(w, mix, i, prefix))
            continue;
        if (mix != ALL_KEPT && op->kind == WRITE && (rec.files[file].nvram || i + 1 == p->n || i + 1 == prefix))
            apply_torn(w, c, op, rec.files[file].nvram ? 64 : 512);
        else
            apply_bytes(c, op);
    }
}

static void draw_names(struct walking *w, struct names *names, enum mix mix)
{
    *names = w->names;
    for (int dir = 0; dir < rec.n_files; dir++) {
        const struct pending *p = &w->bytes[dir];
        size_t prefix = p->n ? campaign_random(&w->random) % (p->n + 1) : 0;

        if (!rec.files[dir].folder)
            continue;
        for (size_t i = 0; i < p->n; i++)
            if (gets_through(w, mix == LENGTHS ? PREFIXES : mix, i, prefix))
                apply_name(names, p->ops[i]);
    }
}

static void place_of(const struct walking *w, const char *name, char path[512])
{
    (void)snprintf(path, 512, "%s%s", w->walk->into, name + strlen(rec.folder));
}

static void write_file(const struct content *c, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return;         /* its folder is lost */
    if (write(fd, c->bytes, c->len) != (ssize_t)c->len || ftruncate(fd, (off_t)c->len))
        abort();
    (void)close(fd);
}

/* Gives a sum of all there is: folders first, so that a name in a lost folder is lost. */
static uint64_t write_image(struct walking *w, const struct names *names, enum mix mix)
{
    bool has_arena = false;
    uint64_t sum = 0;
    char path[512];

    w->walk->wipe();
    for (int folders = 1; folders >= 0; folders--) {
        for (int i = 0; i < names->n; i++) {
            int file = names->at[i].file;

            if (file == NOTHING || rec.files[file].folder != folders)
                continue;
            place_of(w, names->at[i].name, path);
            if (folders) {
                (void)mkdir(path, 0700);
                continue;
            }
            draw_bytes(w, file, mix);
            write_file(&w->shown, path);
            sum = sum * 31 + flic_checksum(w->shown.bytes, w->shown.len) + flic_checksum(path, strlen(path));
            has_arena |= rec.files[file].nvram;
        }
    }
    place_of(w, rec.arena, path);
    if (!has_arena)
        (void)unlink(path);
    return sum;
}

static bool is_new(struct walking *w, uint64_t sum)
{
    for (size_t i = 0; i < w->n_seen; i++)
        if (w->seen[i] == sum)
            return false;
    w->seen = must(realloc(w->seen, (w->n_seen + 1) * sizeof(*w->seen)));
    w->seen[w->n_seen++] = sum;
    return true;
}

static bool power_goes(struct walking *w, const struct op *op)
{
    struct names names;
    bool ok = true;

    if (w->walk->points++ % w->walk->every)
        return true;
    for (unsigned k = 0; ok && k < w->walk->per_point; k++) {
        enum mix mix = k < 2 ? (enum mix)k : PREFIXES + (k - 2) % (MIXES - PREFIXES);

        draw_names(w, &names, mix);
        if (!is_new(w, write_image(w, &names, mix) + flic_checksum(op->told, rec.told_len)))
            continue;
        w->walk->images++;
        ok = w->walk->check(op->told, w->walk->arg);
    }
    return ok;
}

static void becomes_durable(struct walking *w, const struct op *op)
{
    struct pending *p = &w->bytes[op->file];
    size_t left = 0;

    for (size_t i = 0; i < p->n; i++) {
        const struct op *done = p->ops[i];

        bool folder = rec.files[op->file].folder;

        if (folder && (done->foreign || !op->foreign))      /* SQLite's sync of a folder is for its own names: nobody may rely on it */
            apply_name(&w->names, done);
        else if (folder)
            p->ops[left++] = done;
        else if (done->kind == LENGTH || (done->at >= op->at && done->at + done->len <= op->at + op->len))
            apply_bytes(&w->durable[op->file], done);
        else
            p->ops[left++] = done;
    }
    p->n = left;
}

static int folder_of(const struct op *op)
{
    int dir = NOTHING;
    size_t n = (size_t)(strrchr(op->name, '/') - op->name);

    for (int i = 0; i < rec.n_files; i++)       /* folders are neither renamed nor removed */
        if (rec.files[i].folder && strlen(rec.files[i].name) == n && !strncmp(rec.files[i].name, op->name, n))
            dir = i;
    return dir;
}

static bool step(struct walking *w, const struct op *op)
{
    bool ok = true;

    if (op->kind == SYNC || op->kind == MARK)
        ok = power_goes(w, op);
    if (op->kind == SYNC)
        becomes_durable(w, op);
    else if (op->kind == NAME && folder_of(op) != NOTHING)
        add_pending(&w->bytes[folder_of(op)], op);
    else if (op->kind == WRITE || op->kind == LENGTH)
        add_pending(&w->bytes[op->file], op);
    return ok;
}

bool flash_walk(struct flash_walk *walk)
{
    struct walking *w = must(calloc(1, sizeof(*w)));
    bool ok = true;

    w->walk = walk;
    w->random = walk->seed;
    set_name(&w->names, rec.files[1].name, 1);      /* NVRAM is a file system of its own, and mounted */
    walk->images = walk->points = 0;
    for (size_t i = 0; ok && i < rec.n; i++)
        ok = step(w, &rec.ops[i]);
    for (int i = 0; i < rec.n_files; i++) {
        free(w->durable[i].bytes);
        free(w->bytes[i].ops);
    }
    free(w->shown.bytes);
    free(w->seen);
    free(w);
    return ok;
}
