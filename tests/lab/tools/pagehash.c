/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Proves that a guest's memory came back as it was: takes the hashes of all pages of a paused domain into a file,
 * and compares two such files gfn by gfn. Differences are counted by the kind of frame; a frame's kind is what
 * either file knows of it, since a restored guest has not yet granted or registered anything again.
 *
 * Exit status of compare: 0 no difference of kind "other", 1 there is one, 2 the comparison could not be made.
 */
#include "guestmem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The file: one header, then a record per gfn that has a page, ascending. Little-endian, as the machine is. */
struct file_header {
    char magic[8];
    uint32_t version;
    uint32_t pinned_known;      /* 1: kinds include what log-dirty counts as always dirty */
    uint64_t pages;
};

struct file_record {
    uint64_t gfn;
    uint64_t hash;              /* XXH3-64 of the page */
    uint32_t kind;              /* enum frame_kind, by number */
    uint32_t reserved;
};

static_assert(sizeof(struct file_header) == 24, "file format");
static_assert(sizeof(struct file_record) == 24, "file format");

#define MAGIC "FLICPGH1"
#define LISTED 20

struct hashes {
    struct file_header head;
    struct file_record *record;
};

static const char usage[] =
    "usage: pagehash take DOMID FILE       the domain is paused or shut down\n"
    "       pagehash compare [--json] BEFORE AFTER\n";

/*
 * Frames that are always dirty: those that log-dirty reports right after it was turned on. False when somebody else
 * has it on, or this Xen has none.
 */
static bool find_pinned(const struct guestmem *mem, uint8_t *pinned)
{
    int rc;

    if (xc_shadow_control(mem->xch, mem->domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) < 0)
        return false;
    rc = guestmem_dirty(mem, XEN_DOMCTL_SHADOW_OP_PEEK, 0, pinned, mem->nr, NULL);
    if (xc_shadow_control(mem->xch, mem->domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0) < 0)
        die("log-dirty cannot be turned off again: %s", strerror(errno));
    return !rc;
}

static void check_stopped(const struct guestmem *mem)
{
    xc_domaininfo_t info;

    if (xc_domain_getinfo_single(mem->xch, mem->domid, &info) < 0)
        die("no domain %u", mem->domid);
    if (!(info.flags & (XEN_DOMINF_paused | XEN_DOMINF_shutdown)))
        die("domain %u is running; pause it first", mem->domid);
}

static void write_all(FILE *out, const char *path, const void *data, size_t size)
{
    if (fwrite(data, size, 1, out) != 1)
        die("%s cannot be written: %s", path, strerror(errno));
}

static void write_file(const struct guestmem *mem, const uint64_t *hash, const uint8_t *kind, bool pinned_known,
                       const char *path)
{
    struct file_header head = { .magic = MAGIC, .version = 1, .pinned_known = pinned_known,
                                .pages = mem->present };
    FILE *out = fopen(path, "wb");

    if (!out)
        die("%s cannot be made: %s", path, strerror(errno));
    write_all(out, path, &head, sizeof(head));
    for (uint64_t gfn = 0; gfn < mem->nr; gfn++) {
        struct file_record record = { .gfn = gfn, .hash = hash[gfn], .kind = kind[gfn] };

        if (mem->page[gfn])
            write_all(out, path, &record, sizeof(record));
    }
    if (fclose(out))
        die("%s cannot be written: %s", path, strerror(errno));
}

static int take(const char *domid, const char *path)
{
    struct guestmem mem;
    uint8_t *pinned, *kind;
    uint64_t *hash;
    bool pinned_known;

    guestmem_open(&mem, strtoul(domid, NULL, 10));
    check_stopped(&mem);
    hash = calloc(mem.nr, sizeof(*hash));
    kind = calloc(mem.nr, 1);
    pinned = calloc(mem.nr / 8 + 1, 1);
    if (!hash || !kind || !pinned)
        die("out of memory");
    guestmem_hash(&mem, hash);
    pinned_known = find_pinned(&mem, pinned);
    guestmem_kinds(&mem, pinned_known ? pinned : NULL, kind);
    write_file(&mem, hash, kind, pinned_known, path);
    printf("%llu pages of domain %u in %s%s\n", (unsigned long long)mem.present, mem.domid, path,
           pinned_known ? "" : " (log-dirty is on already or missing: what Xen has mapped is not told apart)");
    guestmem_close(&mem);
    return 0;
}

static struct hashes read_file(const char *path)
{
    struct hashes h;
    FILE *in = fopen(path, "rb");

    if (!in)
        die("%s cannot be opened: %s", path, strerror(errno));
    if (fread(&h.head, sizeof(h.head), 1, in) != 1 || memcmp(h.head.magic, MAGIC, 8) || h.head.version != 1 ||
        h.head.pages > UINT64_C(1) << 36)
        die("%s is not a file of pagehash's", path);
    h.record = calloc(h.head.pages + 1, sizeof(*h.record));
    if (!h.record)
        die("out of memory");
    if (fread(h.record, sizeof(*h.record), h.head.pages, in) != h.head.pages || fgetc(in) != EOF)
        die("%s is cut short, or too long", path);
    for (uint64_t i = 0; i < h.head.pages; i++)
        if (h.record[i].kind >= FRAME_KINDS || (i && h.record[i].gfn <= h.record[i - 1].gfn))
            die("%s is damaged", path);
    h.record[h.head.pages].gfn = UINT64_MAX;
    fclose(in);
    return h;
}

struct difference {
    uint64_t same, differ[FRAME_KINDS], only_before[FRAME_KINDS], only_after[FRAME_KINDS];
};

static void name(const char *what, uint64_t gfn, uint64_t seen)
{
    if (seen < LISTED)
        fprintf(stderr, "gfn %#llx: %s\n", (unsigned long long)gfn, what);
}

static void compare_records(struct difference *d, const struct file_record *a, const struct file_record *b)
{
    if (a->gfn < b->gfn) {
        if (!a->kind)
            name("not there any more", a->gfn, d->only_before[0]);
        d->only_before[a->kind]++;
    } else if (b->gfn < a->gfn) {
        if (!b->kind)
            name("was not there", b->gfn, d->only_after[0]);
        d->only_after[b->kind]++;
    } else if (a->hash == b->hash) {
        d->same++;
    } else {
        uint32_t kind = a->kind ? a->kind : b->kind;

        if (!kind)
            name("differs", a->gfn, d->differ[0]);
        d->differ[kind]++;
    }
}

static void print_counts(const char *title, const uint64_t *count, bool json)
{
    uint64_t total = 0;

    for (int k = 0; k < FRAME_KINDS; k++)
        total += count[k];
    printf(json ? ",\"%s\":{\"total\":%llu" : "%s %llu", title, (unsigned long long)total);
    for (int k = 0; k < FRAME_KINDS; k++)
        if (count[k])
            printf(json ? ",\"%s\":%llu" : ", %s %llu", frame_kind_names[k], (unsigned long long)count[k]);
    fputs(json ? "}" : "\n", stdout);
}

static int compare(const char *before, const char *after, bool json)
{
    struct hashes a = read_file(before), b = read_file(after);
    struct difference d = { 0 };
    uint64_t i = 0, j = 0;

    while (i < a.head.pages || j < b.head.pages) {
        compare_records(&d, &a.record[i], &b.record[j]);
        if (a.record[i].gfn < b.record[j].gfn)
            i++;
        else if (b.record[j].gfn < a.record[i].gfn)
            j++;
        else
            i++, j++;
    }
    printf(json ? "{\"name\":\"pagehash\",\"same\":%llu" : "same %llu\n", (unsigned long long)d.same);
    print_counts("differ", d.differ, json);
    print_counts("only_before", d.only_before, json);
    print_counts("only_after", d.only_after, json);
    if (json)
        puts("}");
    free(a.record);
    free(b.record);
    return d.differ[0] || d.only_before[0] || d.only_after[0];
}

int main(int argc, char **argv)
{
    bool json = argc > 2 && !strcmp(argv[2], "--json");

    if (argc == 4 && !strcmp(argv[1], "take"))
        return take(argv[2], argv[3]);
    if (argc == 4 + json && !strcmp(argv[1], "compare"))
        return compare(argv[2 + json], argv[3 + json], json);
    fputs(usage, stderr);
    return 2;
}
