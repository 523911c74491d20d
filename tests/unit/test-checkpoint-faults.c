/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Invariant 6: whatever call fails in a save, the guest runs on (or is marked for an in-place resume) and the store is what it was.
 * Every nth call of Xen's face, of the engine's parts and of the allocator is made to fail in turn.
 */
#include "tests/unit/checkpoint-scene.h"

#include <errno.h>
#include <stdatomic.h>

/* ---- the nth call of anything fails ---- */

static unsigned count, fail_at;
static bool armed;

static bool now_fails(void)
{
    return armed && ++count == fail_at;
}

#define FAULT(name, params, args, code) \
    int __real_##name params; \
    int __wrap_##name params; \
    int __wrap_##name params { return now_fails() ? flic_err_set(e, code, #name ": made to fail") : __real_##name args; }

FAULT(nv_txn_begin, (struct nv_arena *a, uint32_t n, struct nv_txn **t, struct flic_err *e), (a, n, t, e), -EIO)
FAULT(nv_txn_commit, (struct nv_txn *t, const struct nv_name *n, uint32_t u, const void *r, size_t l, struct flic_err *e),
      (t, n, u, r, l, e), -EIO)
FAULT(nv_note_add, (struct nv_arena *a, const struct nv_name *n, enum nv_note k, const void *p, size_t l, struct flic_err *e),
      (a, n, k, p, l, e), -EIO)
FAULT(pk_writer_new, (struct pk_store *s, struct pk_writer **w, struct flic_err *e), (s, w, e), -EMFILE)
FAULT(pk_put, (struct pk_writer *w, enum pk_kind k, const void *d, size_t l, struct flic_id *i, bool *b, struct flic_err *e),
      (w, k, d, l, i, b, e), FLIC_E_NOSPACE)
FAULT(pk_seal, (struct pk_writer *w, struct flic_err *e), (w, e), FLIC_E_NOSPACE)
FAULT(ix_next_seq, (struct ix_index *x, const struct flic_uuid *g, uint64_t l, uint64_t *s, struct flic_err *e), (x, g, l, s, e),
      FLIC_E_NOSPACE)

static unsigned nvram_fails_at;     /* the n-th msync from now, and every later one; 0: none */

int __real_msync(void *at, size_t len, int flags);
int __wrap_msync(void *at, size_t len, int flags);
int __wrap_msync(void *at, size_t len, int flags)
{
    if (nvram_fails_at && nvram_fails_at-- == 1) {
        nvram_fails_at = 1;
        errno = EIO;
        return -1;
    }
    return __real_msync(at, len, flags);
}

/* The allocator has its own count: the calls above allocate too. Team threads allocate nothing. */
static unsigned allocations, starve_at;
static _Thread_local bool starving;

static bool is_starved(void)
{
    return starving && ++allocations == starve_at;
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__wrap_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    return is_starved() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t m)
{
    return is_starved() ? NULL : __real_calloc(n, m);
}

void *__wrap_realloc(void *p, size_t n)
{
    return is_starved() ? NULL : __real_realloc(p, n);
}

/* ---- one try ---- */

static struct image before;
static struct nv_name kept;

static void set_up(void)
{
    scene_begin(16 * MIB);
    scene_guest(GUEST, "web", 1, 640);
    kept = scene_save(GUEST, &before, NULL);
    scene_dirty(GUEST, 100 + 50, 40, 5);
}

static void tear_down(void)
{
    armed = false;
    image_free(&before);
    scene_end();
}

/* Neither the harness nor Xen's twin is to be starved. */
static bool starves;

static void feed(uint32_t domid, void *arg)
{
    (void)domid;
    starving = arg && starves;
}

static void feed_the_twin(void)
{
    static const char *const calls[] = { "open", "info", "can_save", "track_on", "track_off", "track_clean", "map_pages",
                                         "state_save", "mark_resume" };

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        flx_fake_before(calls[i], feed, NULL);
        flx_fake_after(calls[i], feed, &starves);
    }
}

static int work_and_suspend(struct saving *s, struct flic_err *why)
{
    bool was = starving;
    int rc;

    starving = false;
    scene_dirty(s->domid, 300, 30, 6);
    rc = saving_suspend(s, why);
    starving = was;
    return rc;
}

static uint32_t frames_free(void)
{
    struct nv_info info;

    nv_get_info(ck_arena(store), &info);
    return info.frames_free;
}

static void expect_untouched(struct saving *s, uint32_t frames, const char *what, unsigned nth)
{
    if (s->suspends && flx_fake_run(GUEST) == FLX_SUSPENDED)
        ck_assert_msg(flx_fake_marked_resume(GUEST), "%s %u: suspended and not marked", what, nth);
    else
        ck_assert_int_eq(flx_fake_run(GUEST), FLX_RUNNING);
    ck_assert_msg(!flx_fake_tracked(GUEST), "%s %u: log-dirty is still on", what, nth);
    ck_assert_uint_eq(flx_fake_maps(), 0);
    ck_assert_msg(scene_count() == 1, "%s %u: %zu checkpoints", what, nth, scene_count());
    ck_assert_msg(frames_free() == frames, "%s %u: %u frames free, were %u", what, nth, frames_free(), frames);
    flx_fake_set_run(GUEST, FLX_RUNNING);
}

static void expect_first_still_whole(void)
{
    scene_restore_and_compare(&kept, &before);
    scene_reopen();
    ck_assert_uint_eq(scene_count(), 1);
    scene_restore_and_compare(&kept, &before);
}

/* A whole save and its end; what went through is undone, so that the next try starts alike. */
static int try_save(struct saving *s)
{
    saving_init(s, GUEST);
    s->at_suspend = work_and_suspend;
    err = (struct flic_err){ 0 };
    return saving_run(s);
}

static void take_back(struct saving *s)
{
    uint64_t freed;

    saving_end(s);
    image_free(&s->image);
    flx_fake_set_run(GUEST, FLX_RUNNING);
    OK(ck_forget(store, &s->name, false, &freed, &err));
}

START_TEST(invariant_6_a_save_in_which_any_call_of_xens_face_fails_changes_nothing)
{
    static const char *const calls[] = { "open", "info", "can_save", "track_on", "track_clean", "track_peek", "map_pages", "state_save",
                                         "mark_resume" };
    uint32_t frames = frames_free();
    unsigned failed = 0;
    struct saving s;
    int rc;

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        for (unsigned nth = 1; ; nth++) {
            saving_init(&s, GUEST);
            s.at_suspend = work_and_suspend;
            flx_fake_fail(calls[i], nth, FLIC_E_XEN);
            rc = saving_run(&s);
            if (!rc)
                break;
            ck_assert_int_eq(rc, FLIC_E_XEN);
            flx_fake_fail(calls[i], 1, 0);
            saving_end(&s);
            expect_untouched(&s, frames, calls[i], nth);
            image_free(&s.image);
            failed++;
            ck_assert_uint_lt(nth, 50);
        }
        flx_fake_fail(calls[i], 1, 0);
        take_back(&s);
    }
    ck_assert_uint_ge(failed, 11);
    expect_first_still_whole();
}
END_TEST

START_TEST(invariant_6_a_save_in_which_any_call_of_the_store_fails_changes_nothing)
{
    uint32_t frames = frames_free();
    struct saving s;
    unsigned last, step;
    int rc;

    armed = true;               /* how many there are */
    count = fail_at = 0;
    OK(try_save(&s));
    armed = false;
    last = count;
    take_back(&s);
    ck_assert_uint_gt(last, 300);
    for (fail_at = 1; fail_at <= last; fail_at += step) {
        step = fail_at < 5 || fail_at + 12 > last ? 1 : last / 16;      /* most are pages: samples of these */
        count = 0;
        armed = true;
        rc = try_save(&s);
        armed = false;
        ck_assert_msg(rc, "call %u of %u failed and the save went through", fail_at, last);
        ck_assert_msg(strstr(err.text, "made to fail"), "call %u: the cause is not told: %s", fail_at, err.text);
        saving_end(&s);
        expect_untouched(&s, frames, "call", fail_at);
        image_free(&s.image);
    }
    expect_first_still_whole();
}
END_TEST

START_TEST(invariant_6_a_save_that_runs_out_of_memory_anywhere_changes_nothing_or_goes_through)
{
    uint32_t frames = frames_free();
    unsigned failed = 0, last = 0;
    struct saving s;
    int rc;

    for (starve_at = 0; starve_at <= last; starve_at++) {
        allocations = 0;
        starves = true;
        feed_the_twin();
        rc = try_save(&s);
        starves = starving = false;
        if (!starve_at)
            last = allocations;
        if (!rc) {              /* not every allocation is needed: a team can be smaller */
            take_back(&s);
            continue;
        }
        failed++;
        ck_assert_int_ne(err.text[0], 0);
        saving_end(&s);
        expect_untouched(&s, frames, "allocation", starve_at);
        image_free(&s.image);
    }
    ck_assert_uint_ge(failed, 15);
    expect_first_still_whole();
}
END_TEST

/* The note may have become durable all the same: then the next start offers the checkpoint, and what it needs has to be there. */
START_TEST(invariant_1_what_nvram_failed_to_take_is_whole_if_the_next_start_offers_it)
{
    unsigned offered = 0, nth = 0;
    struct saving s;
    uint64_t freed;
    int rc;

    do {                                        /* each msync of the publishing in turn, and all after it */
        saving_init(&s, GUEST);
        s.at_suspend = work_and_suspend;
        scene_dirty(GUEST, 400, 60, nth);
        OK(saving_new(&s));
        OK(ck_save_live(s.save, &err));
        OK(ck_save_capture(s.save, &err));
        nvram_fails_at = ++nth;
        rc = ck_save_publish(s.save, "[]", 2, &err);
        saving_end(&s);
        flx_fake_set_run(GUEST, FLX_RUNNING);
        OK(ck_forget(store, &kept, false, &freed, &err));       /* a collection */
        nvram_fails_at = 0;
        scene_reopen();
        if (rc && scene_offers(&s.name)) {
            offered++;
            scene_restore_and_compare(&s.name, &s.image);
        }
        image_free(&s.image);
        kept = scene_save(GUEST, NULL, NULL);
    } while (rc);
    ck_assert_uint_ge(nth, 3);
    ck_assert_uint_ge(offered, 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("checkpoint-faults");
    TCase *t = tcase_create("faults");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, invariant_6_a_save_in_which_any_call_of_xens_face_fails_changes_nothing);
    tcase_add_test(t, invariant_6_a_save_in_which_any_call_of_the_store_fails_changes_nothing);
    tcase_add_test(t, invariant_6_a_save_that_runs_out_of_memory_anywhere_changes_nothing_or_goes_through);
    tcase_add_test(t, invariant_1_what_nvram_failed_to_take_is_whole_if_the_next_start_offers_it);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return scene_run(suite());
}
