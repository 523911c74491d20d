/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/unit/nvram-story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct flic_uuid STORY_STORE = { { 1, 2, 3 } };

enum { ROOT = 1000, PUBLISHED = 1001, RESTORED = 1002 };    /* content numbers beside the frames */

/* ---- contents ---- */

struct nv_name story_name(unsigned number)
{
    return (struct nv_name){ .guest = { { 7, (uint8_t)(number % 3) } }, .seq = number };
}

static uint64_t word_of(unsigned number, unsigned i, size_t word)
{
    uint64_t z = ((uint64_t)number << 40 | (uint64_t)i << 20 | word) * 0x9e3779b97f4a7c15ull;

    return z ^ z >> 29;
}

void story_bytes(unsigned number, unsigned i, void *to, size_t len)
{
    uint8_t *at = to;

    for (size_t word = 0; len; word++) {
        uint64_t v = word_of(number, i, word);
        size_t part = len < sizeof(v) ? len : sizeof(v);

        memcpy(at, &v, part);
        at += part;
        len -= part;
    }
}

static bool is_content(unsigned number, unsigned i, const void *data, size_t len)
{
    const uint8_t *at = data;

    for (size_t word = 0; len; word++) {
        uint64_t v = word_of(number, i, word);
        size_t part = len < sizeof(v) ? len : sizeof(v);

        if (memcmp(at, &v, part))
            return false;
        at += part;
        len -= part;
    }
    return true;
}

/* ---- operations ---- */

static struct story_state *add_state(struct story *s)
{
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 64;
        s->states = realloc(s->states, s->room * sizeof(*s->states));
        if (!s->states)
            abort();
    }
    if (s->n)
        s->states[s->n] = s->states[s->n - 1];
    else
        memset(&s->states[0], 0, sizeof(s->states[0]));
    return &s->states[s->n++];
}

static void returned(struct story *s)
{
    if (s->returned)
        s->returned();
}

void story_begin(struct story *s)
{
    s->n = 0;
    (void)add_state(s);
}

void story_fini(struct story *s)
{
    free(s->states);
    *s = (struct story){ 0 };
}

const struct story_state *story_now(const struct story *s)
{
    return &s->states[s->n - 1];
}

/* Beginning may give up cached objects: which ones, the arena says. */
int story_txn_begin(struct story *s, struct nv_arena *a, uint32_t frames, struct nv_txn **ret_txn)
{
    int rc = nv_txn_begin(a, frames, ret_txn, NULL);
    struct story_state *now = add_state(s);

    for (unsigned i = 1; i < STORY_OBJECTS; i++) {
        struct nv_name name = story_name(i);
        struct nv_object obj;

        if (!now->o[i].present || !now->o[i].destaged)
            continue;
        if (nv_pin(a, &name, &obj))
            nv_unpin(a, &name);
        else
            now->o[i].present = now->o[i].published = now->o[i].destaged = false;
    }
    returned(s);
    return rc;
}

static void fill(struct nv_txn *txn, unsigned number, uint32_t frames)
{
    static const struct flic_secret secret;
    uint8_t page[FLIC_PAGE_SIZE];

    for (uint32_t i = 0; i < frames; i++) {
        struct nv_room room = { .next = i, .end = i + 1 };
        uint32_t frame;

        story_bytes(number, i, page, sizeof(page));
        if (i % 2)
            (void)nv_txn_put_bytes(txn, i, page, sizeof(page));
        else
            (void)nv_txn_add_page(txn, &room, page, &secret, &frame);
    }
}

int story_txn_commit(struct story *s, struct nv_txn *txn, unsigned number, uint32_t frames, uint32_t root_len)
{
    static uint8_t root[NV_ROOT_MAX];
    struct nv_name name = story_name(number);
    struct story_object *obj;
    int rc;

    fill(txn, number, frames);
    story_bytes(number, ROOT, root, root_len);
    rc = nv_txn_commit(txn, &name, frames, root, root_len, NULL);
    if (rc) {
        nv_txn_abort(txn);
        return rc;
    }
    obj = &add_state(s)->o[number];
    obj->present = true;
    obj->frames = frames;
    obj->root_len = root_len;
    returned(s);
    return 0;
}

int story_commit(struct story *s, struct nv_arena *a, unsigned number, uint32_t frames, uint32_t root_len)
{
    struct nv_txn *txn;
    int rc = story_txn_begin(s, a, frames, &txn);

    return rc ? rc : story_txn_commit(s, txn, number, frames, root_len);
}

int story_abort(struct story *s, struct nv_arena *a, uint32_t frames)
{
    struct nv_txn *txn;
    int rc = story_txn_begin(s, a, frames, &txn);

    if (rc)
        return rc;
    fill(txn, 0, frames);
    nv_txn_abort(txn);
    return 0;
}

int story_note(struct story *s, struct nv_arena *a, unsigned number, enum nv_note note, uint32_t len)
{
    static uint8_t payload[16384];
    struct nv_name name = story_name(number);
    struct story_object *obj;
    int rc;

    story_bytes(number, note == NV_NOTE_PUBLISHED ? PUBLISHED : RESTORED, payload, len);
    rc = nv_note_add(a, &name, note, payload, len, NULL);
    if (rc)
        return rc;
    obj = &add_state(s)->o[number];
    if (note == NV_NOTE_PUBLISHED) {
        obj->published = true;
        obj->published_len = len;
    } else if (note == NV_NOTE_RESTORED) {
        obj->restored = true;
        obj->restored_len = len;
    } else if (note == NV_NOTE_DESTAGED) {
        obj->destaged = true;
    } else {
        obj->forgotten = true;
        obj->present = obj->published = obj->destaged = false;
    }
    returned(s);
    return 0;
}

int story_drop_note(struct story *s, struct nv_arena *a, unsigned number, enum nv_note note)
{
    struct nv_name name = story_name(number);
    int rc = nv_note_drop(a, &name, note, NULL);
    struct story_object *obj;

    if (rc)
        return rc;
    obj = &add_state(s)->o[number];
    if (note == NV_NOTE_RESTORED)
        obj->restored = false;
    else if (note == NV_NOTE_DESTAGED)
        obj->destaged = false;
    else
        obj->forgotten = false;
    returned(s);
    return 0;
}

int story_drop(struct story *s, struct nv_arena *a, unsigned number)
{
    struct nv_name name = story_name(number);
    int rc = nv_drop_unpublished(a, &name, NULL);

    if (rc)
        return rc;
    add_state(s);
    s->states[s->n - 1].o[number].present = s->states[s->n - 1].o[number].destaged = false;
    returned(s);
    return 0;
}

/* ---- comparing ---- */

struct seen {
    struct story_state found;
    bool known[STORY_OBJECTS];
    const char *wrong;      /* what is not whole, or NULL */
    unsigned number;        /* of the object that it is about */
};

static void blame(struct seen *seen, unsigned number, const char *what)
{
    if (!seen->wrong) {
        seen->wrong = what;
        seen->number = number;
    }
}

static int see(const struct nv_object *obj, void *arg)
{
    struct seen *seen = arg;
    unsigned number = (unsigned)obj->name.seq;
    struct nv_name expected = story_name(number);

    if (!number || number >= STORY_OBJECTS || seen->known[number] ||
        !flic_uuid_equal(&expected.guest, &obj->name.guest)) {
        blame(seen, number, "is not known or there twice");
        return 0;
    }
    seen->known[number] = true;
    seen->found.o[number] = (struct story_object){
        .present = obj->present, .published = obj->published, .destaged = obj->destaged,
        .forgotten = obj->forgotten, .restored = obj->restored_note != NULL, .frames = obj->frames,
        .root_len = (uint32_t)obj->root_len, .published_len = (uint32_t)obj->published_len,
        .restored_len = (uint32_t)obj->restored_len,
    };
    if (obj->present && !is_content(number, ROOT, obj->root, obj->root_len))
        blame(seen, number, "has a wrong root");
    if (obj->published && !is_content(number, PUBLISHED, obj->published_note, obj->published_len))
        blame(seen, number, "has a wrong PUBLISHED note");
    if (obj->restored_note && !is_content(number, RESTORED, obj->restored_note, obj->restored_len))
        blame(seen, number, "has a wrong RESTORED note");
    return 0;
}

static void check_frames(struct nv_arena *a, struct seen *seen, unsigned number)
{
    struct nv_name name = story_name(number);
    struct nv_object obj;

    if (!nv_pin(a, &name, &obj))
        return;
    for (uint32_t i = 0; i < obj.frames; i++)
        if (!is_content(number, i, nv_object_frame(a, &name, i), FLIC_PAGE_SIZE))
            blame(seen, number, "is offered with a frame that is not whole");
    nv_unpin(a, &name);
}

/* Lengths and frames count only while the thing that has them is there. */
static bool same(const struct story_object *found, const struct story_object *state)
{
    return found->present == state->present && found->published == state->published &&
           found->destaged == state->destaged && found->forgotten == state->forgotten &&
           found->restored == state->restored &&
           (!state->present || (found->frames == state->frames && found->root_len == state->root_len)) &&
           (!state->published || found->published_len == state->published_len) &&
           (!state->restored || found->restored_len == state->restored_len);
}

bool story_holds(struct nv_arena *a, const struct story_state *before, const struct story_state *after,
                 struct story_state *ret_found, char *why, size_t why_len)
{
    struct seen seen = { .wrong = NULL };
    uint32_t held = 0;
    struct nv_info info;

    (void)nv_each(a, see, &seen);
    for (unsigned i = 1; i < STORY_OBJECTS; i++) {
        const struct story_object *found = &seen.found.o[i];

        if (!same(found, &before->o[i]) && !same(found, &after->o[i]))
            blame(&seen, i, found->present ? "is there and should not be so" : "is not there as it should be");
        if (found->present)
            check_frames(a, &seen, i);
        held += found->present ? found->frames : 0;
    }
    nv_get_info(a, &info);
    if (info.frames_free + held != info.frames)
        blame(&seen, 0, "frames are lost or given twice");
    if (ret_found)
        *ret_found = seen.found;
    if (seen.wrong && why)
        (void)snprintf(why, why_len, "object %u: %s", seen.number, seen.wrong);
    return !seen.wrong;
}
