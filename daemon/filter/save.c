/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/filter/save.h"

#include "common/bytes.h"
#include "common/clock.h"
#include "daemon/checkpoint/arrival.h"
#include "daemon/filter/format.h"
#include "daemon/filter/kept.h"
#include "libxl-ext/filter_mark.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_BITS 0x0fu         /* of lf_save.page[]; */
#define CAPTURED 0x10u          /* and that it came in the pause, */
#define ZERO 0x20u              /* and that it is all zeros */

struct lf_save {
    struct ck_store *store;
    struct lf_save_params params;
    struct flx_info info;
    struct ck_arrival *arrival;
    struct ck_save_figures figures;
    uint8_t *page;              /* by pfn: its type now */
    uint64_t entries[LF_PAGES_MAX];
    uint8_t *pages;             /* room for one window of them */
    struct flic_builder head, tail;     /* all that is kept; what came since the last pages is in the tail */
    bool paused, ended;
    uint64_t taken_ns, began_us, asked_us, suspended_us, written;
};

const struct ck_facts *lf_save_facts(const struct lf_save *save) { return ck_arrival_facts(save->arrival); }
const struct ck_save_figures *lf_save_get_figures(const struct lf_save *save) { return &save->figures; }

#define WINDOW 64u              /* pages read at a time */

int lf_save_new(struct ck_store *store, const struct lf_save_params *params, struct lf_save **ret_save, struct flic_err *err)
{
    struct lf_save *s = calloc(1, sizeof(*s));
    struct ck_facts facts = { 0 };
    struct flx_host host;
    int rc;

    if (!s)
        return flic_err_set(err, -ENOMEM, "save: out of memory");
    s->store = store;
    s->params = *params;
    flic_builder_init(&s->head);
    flic_builder_init(&s->tail);
    rc = flx_info(params->dom, &s->info, err);
    flx_host_probe(&host);
    memcpy(facts.arch, host.arch, sizeof(facts.arch));
    memcpy(facts.name, s->info.name, sizeof(facts.name));
    facts.guest = s->info.uuid;
    facts.gfn_end = s->info.gfn_end;
    if (!rc)
        rc = ck_arrival_new(store, &facts, params->config, params->config_len, NULL, NULL, &s->arrival, err);
    if (!rc) {
        s->page = malloc(s->info.gfn_end + 1);
        s->pages = malloc((size_t)WINDOW * FLIC_PAGE_SIZE);
        if (!s->page || !s->pages)
            rc = flic_err_set(err, -ENOMEM, "save '%s': out of memory", s->info.name);
    }
    if (rc) {
        lf_save_free(s);
        return rc;
    }
    memset(s->page, LF_NONE, s->info.gfn_end + 1);
    *ret_save = s;
    return 0;
}

void lf_save_free(struct lf_save *s)
{
    if (!s)
        return;
    ck_arrival_free(s->arrival);
    flic_builder_fini(&s->head);
    flic_builder_fini(&s->tail);
    free(s->pages);
    free(s->page);
    free(s);
}

/* ---- pages ---- */

static int wrong(const struct lf_save *s, struct flic_err *err, const char *what)
{
    return flic_err_set(err, FLIC_E_DAMAGED, "save '%s': libxc's stream: %s", s->info.name, what);
}

static int put_bytes(struct lf_save *s, uint64_t pfn, const void *page, struct flic_err *err)
{
    if (!s->paused) {
        s->figures.live_pages++;
        return ck_arrival_page(s->arrival, pfn, page, err);
    }
    return ck_arrival_last(s->arrival, pfn, page, err);
}

/* No page at all, or one whose content does not count: that one is zero. */
static int put_none(struct lf_save *s, uint64_t pfn, bool zero, struct flic_err *err)
{
    struct flic_id before = ck_arrival_id(s->arrival, pfn);

    if (!s->paused)
        return ck_arrival_set(s->arrival, pfn, zero ? &FLIC_ID_ZERO : &FLIC_ID_HOLE, err);
    if (zero)
        return ck_arrival_last(s->arrival, pfn, NULL, err);
    /* Of a guest with a balloon libxc says of each of its pages, in the pause as well, that it is not there. */
    return flic_id_equal(&before, &FLIC_ID_HOLE) && !(s->page[pfn] & CAPTURED) ? 0 : ck_arrival_gone(s->arrival, pfn, err);
}

/* One of a PAGE_DATA record; `bytes` NULL: it has none. */
static int put_page(struct lf_save *s, uint64_t entry, const void *bytes, struct flic_err *err)
{
    uint64_t pfn = lf_entry_pfn(entry);
    unsigned type = lf_entry_type(entry);
    bool zero;
    int rc;

    if (pfn >= s->info.gfn_end)
        return !bytes && type != LF_ALLOC ? 0
               : flic_err_set(err, FLIC_E_REFUSED, "save '%s': its memory grew meanwhile, up to pfn 0x%llx: save it again", s->info.name,
                              (unsigned long long)pfn);
    rc = bytes ? put_bytes(s, pfn, bytes, err) : put_none(s, pfn, type == LF_ALLOC, err);
    zero = type == LF_ALLOC || (bytes && flic_is_zero(bytes, FLIC_PAGE_SIZE));
    s->page[pfn] = (uint8_t)((type == LF_ALLOC ? LF_PLAIN : bytes ? type : LF_NONE) | (s->paused ? CAPTURED : 0) |
                             (s->page[pfn] & CAPTURED) | (zero ? ZERO : 0));
    return rc;
}

static int read_entries(struct lf_save *s, struct lf_pipe *from, uint32_t length, uint32_t *ret_n, struct flic_err *err)
{
    uint32_t head[2], n;
    uint64_t with_bytes = 0;
    int rc = length < LF_PAGE_HEAD ? wrong(s, err, "pages without a count") : lf_pipe_read(from, head, sizeof(head), err);

    if (rc)
        return rc;
    n = le32toh(head[0]);
    if (n > LF_PAGES_MAX || length < LF_PAGE_HEAD + (uint64_t)n * 8)
        return wrong(s, err, "more pages in a record than it can hold");
    rc = lf_pipe_read(from, s->entries, (size_t)n * 8, err);
    for (uint32_t i = 0; !rc && i < n; i++) {
        s->entries[i] = le64toh(s->entries[i]);
        if (!lf_type_is_known(lf_entry_type(s->entries[i])))
            rc = wrong(s, err, "a page of a type that is not known");
        with_bytes += lf_type_has_bytes(lf_entry_type(s->entries[i]));
    }
    if (!rc && length != LF_PAGE_HEAD + (uint64_t)n * 8 + with_bytes * FLIC_PAGE_SIZE)
        rc = wrong(s, err, "a record of pages is not as long as its pages");
    *ret_n = n;
    return rc;
}

/* Those of entries[*at ...] whose bytes fit into a window. */
static int take_window(struct lf_save *s, struct lf_pipe *from, uint32_t *at, uint32_t n, struct flic_err *err)
{
    uint32_t end = *at, with_bytes = 0;
    const uint8_t *bytes = s->pages;
    int rc;

    while (end < n && with_bytes < WINDOW)
        with_bytes += lf_type_has_bytes(lf_entry_type(s->entries[end++]));
    rc = lf_pipe_read(from, s->pages, (size_t)with_bytes * FLIC_PAGE_SIZE, err);
    for (; !rc && *at < end; ++*at) {
        bool has = lf_type_has_bytes(lf_entry_type(s->entries[*at]));

        rc = put_page(s, s->entries[*at], has ? bytes : NULL, err);
        bytes += has ? FLIC_PAGE_SIZE : 0;
    }
    return rc;
}

/* What was kept since the pages before stood before these: it belongs to the head. */
static int take_pages(struct lf_save *s, struct lf_pipe *from, uint32_t length, struct flic_err *err)
{
    uint32_t n = 0, at = 0;
    int rc = read_entries(s, from, length, &n, err);

    if (s->tail.len)
        flic_put_bytes(&s->head, s->tail.data, s->tail.len);
    s->tail.len = 0;
    while (!rc && at < n)
        rc = take_window(s, from, &at, n, err);
    s->params.progress(s->params.arg, s->paused ? "pause" : "live", s->figures.live_pages * FLIC_PAGE_SIZE, s->info.pages * FLIC_PAGE_SIZE);
    return rc;
}

/* ---- the pause ---- */

/* As much again as was dirty last, and some; no more than there is. */
static uint64_t expected(const struct lf_save *s)
{
    uint64_t pages = s->figures.dirty_live_last * 2 + 4096;

    return pages < s->info.pages ? pages : s->info.pages;
}

static int begin_pause(struct lf_save *s, struct flic_err *err)
{
    struct ck_arrival_figures arrived;
    int rc = ck_arrival_settle(s->arrival, expected(s), err);

    if (rc)
        return rc;
    ck_arrival_get_figures(s->arrival, &arrived);
    s->figures.flash_bytes = arrived.flash_bytes;
    s->asked_us = flic_now_us();
    s->figures.live_us = s->asked_us - s->began_us;
    ck_arrival_quiet(s->arrival, true);
    s->written = ck_flash_written(s->store);
    rc = s->params.suspend(s->params.arg, err);
    s->suspended_us = flic_now_us();
    s->figures.suspend_us = s->suspended_us - s->asked_us;
    s->taken_ns = flic_wall_ns();
    s->paused = true;
    return rc;
}

static int take_mark(struct lf_save *s, struct lf_pipe *from, uint32_t length, struct flic_err *err)
{
    uint64_t mark[2];
    int rc = length != FILTER_MARK_LEN || s->paused ? wrong(s, err, "the helper's mark is not where it should be")
                                                    : lf_pipe_read(from, mark, sizeof(mark), err);

    if (rc)
        return rc;
    s->figures.dirty_live_last = le64toh(mark[0]) < s->info.pages ? le64toh(mark[0]) : s->info.pages;
    s->figures.rounds = (uint32_t)le64toh(mark[1]);
    return begin_pause(s, err);
}

/* ---- the rest ---- */

static int keep(struct lf_save *s, struct lf_pipe *from, const uint8_t head[LF_RECORD], uint32_t length, struct flic_err *err)
{
    size_t padded = lf_padded(length), kept = s->head.len + s->tail.len;
    uint8_t bytes[4096];
    int rc = 0;

    if (length > FLX_STATE_MAX || kept + padded > FLX_STATE_MAX)
        return flic_err_set(err, FLIC_E_REFUSED, "save '%s': libxc has more to say of it beside its memory than the %u bytes that a "
                            "checkpoint has for that: use 'xl save' without --flic", s->info.name, FLX_STATE_MAX);
    flic_put_bytes(&s->tail, head, LF_RECORD);
    while (!rc && padded) {
        size_t n = padded < sizeof(bytes) ? padded : sizeof(bytes);

        rc = lf_pipe_read(from, bytes, n, err);
        flic_put_bytes(&s->tail, bytes, n);
        padded -= n;
    }
    return rc;
}

static int take_record(struct lf_save *s, struct lf_pipe *from, struct flic_err *err)
{
    uint8_t bytes[LF_RECORD];
    struct lf_head head;
    int rc = lf_pipe_read(from, bytes, sizeof(bytes), err);

    if (rc)
        return rc;
    head = lf_parse_head(bytes);
    switch (head.type) {
    case LF_PAGE_DATA:
        return take_pages(s, from, head.length, err);
    case FILTER_MARK:
        return take_mark(s, from, head.length, err);
    case LF_VERIFY:
    case LF_CHECKPOINT:
    case LF_CHECKPOINT_DIRTY_PFN_LIST:
        return wrong(s, err, "a record of another kind of save");
    default:
        s->ended = head.type == LF_END;
        if (s->ended && (head.length || !s->paused))
            return wrong(s, err, "it ends before the guest was suspended");
        return keep(s, from, bytes, head.length, err);
    }
}

int lf_save_take(struct lf_save *s, struct lf_pipe *from, struct flic_err *err)
{
    uint8_t headers[LF_HEADERS];
    int rc = lf_pipe_read(from, headers, sizeof(headers), err);

    s->began_us = flic_now_us();
    if (!rc)
        rc = lf_check_headers(headers, err);
    flic_put_bytes(&s->head, headers, sizeof(headers));
    while (!rc && !s->ended) {
        rc = take_record(s, from, err);
        if (!rc && (s->head.bad || s->tail.bad))
            rc = flic_err_set(err, -ENOMEM, "save '%s': out of memory", s->info.name);
    }
    return rc;
}

/* ---- the end ---- */

/* gives: what lf_kept.tables is. */
static uint8_t *tables_of(const struct lf_save *s, size_t *ret_n)
{
    struct flic_builder b;
    size_t len = 0;
    uint8_t *bytes;

    flic_builder_init(&b);
    for (uint64_t pfn = 0; pfn < s->info.gfn_end; pfn++) {
        unsigned type = s->page[pfn] & TYPE_BITS;

        if (type != LF_PLAIN && type != LF_NONE)
            flic_put_u32(&b, (uint32_t)pfn | type << 28);
    }
    flic_put_u32(&b, 0);        /* never empty: nothing and no memory are told apart */
    bytes = flic_builder_take(&b, &len);
    *ret_n = len / 4 - 1;
    return bytes;
}

static void sum_up(struct lf_save *s)
{
    const struct ck_facts *facts = ck_arrival_facts(s->arrival);
    struct ck_save_figures *f = &s->figures;
    struct ck_arrival_figures a;

    ck_arrival_get_figures(s->arrival, &a);
    for (uint64_t pfn = 0; pfn < s->info.gfn_end; pfn++) {
        f->zero_pages += !!(s->page[pfn] & ZERO);
        f->ws_zero_pages += (s->page[pfn] & (ZERO | CAPTURED)) == (ZERO | CAPTURED);
    }
    f->ram_pages = facts->pages;
    f->hole_pages = facts->gfn_end - facts->pages;
    f->ws_pages = facts->ws_pages;
    f->spilled_pages = a.spilled_pages;
    f->new_pages = a.new_pages;
    f->dedup_pages = a.dedup_pages;
    f->nvram_bytes = a.nvram_bytes;
    f->flash_bytes_in_pause = a.flash_bytes - f->flash_bytes;
}

int lf_save_commit(struct lf_save *s, const void *emulator, size_t len, struct flic_err *err)
{
    struct lf_kept kept = { .head = s->head.data, .head_len = s->head.len, .tail = s->tail.data, .tail_len = s->tail.len,
                            .emulator = emulator, .emulator_len = len };
    uint8_t *tables;
    uint64_t captured;
    void *state = NULL;
    size_t state_len;
    int rc;

    if (!s->ended || !lf_is_emulator(emulator, len))
        return flic_err_set(err, FLIC_E_PROTOCOL, "save '%s': what libxl wrote behind libxc's stream cannot be kept", s->info.name);
    kept.tables = tables = tables_of(s, &kept.n_tables);
    rc = tables ? lf_kept_build(&kept, &state, &state_len, err)
                : flic_err_set(err, -ENOMEM, "save '%s': out of memory", s->info.name);
    if (!rc)
        rc = ck_arrival_commit(s->arrival, state, state_len, s->taken_ns, err);
    free(state);
    free(tables);
    captured = flic_now_us();
    if (!rc && s->params.captured)
        rc = s->params.captured(s->params.arg, err);
    s->figures.captured_us = captured - s->suspended_us;
    s->figures.end_us = s->params.captured ? flic_now_us() - captured : 0;
    s->figures.pause_us = flic_now_us() - s->asked_us;
    s->figures.device_bytes_in_pause = ck_flash_written(s->store) - s->written;
    ck_arrival_quiet(s->arrival, false);
    if (!rc)
        sum_up(s);
    return rc;
}

int lf_save_publish(struct lf_save *s, const char *disks, size_t len, struct flic_err *err)
{
    uint64_t began = flic_now_us();
    int rc = ck_arrival_publish(s->arrival, disks, len, err);

    s->figures.publish_us = flic_now_us() - began;
    return rc;
}
