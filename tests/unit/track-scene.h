/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* track-scene - what the tests of daemon/track share: a clock that only they move, a tracked guest, a save that borrows. */
#ifndef FLIC_TESTS_UNIT_TRACK_SCENE_H
#define FLIC_TESTS_UNIT_TRACK_SCENE_H

#include "daemon/track/track.h"
#include "tests/unit/checkpoint-scene.h"

#define SECOND 1000000ull

static uint64_t clock_us, clock_cpu_us;

static inline uint64_t scene_now(void *arg)
{
    (void)arg;
    return clock_us;
}

static inline uint64_t scene_cpu(void *arg)
{
    (void)arg;
    return clock_cpu_us;
}

static inline uint64_t scene_wall(void *arg)
{
    (void)arg;
    return 1700000000000000000ull + clock_us * 1000;
}

static const struct tk_clock scene_clock = { .now_us = scene_now, .cpu_us = scene_cpu, .wall_ns = scene_wall };
static struct tk_pace pace;
static struct tk_guest *tracked;

/* Epochs of one second, copied after two clean ones, without a limit that matters. */
static inline void track_begin(void)
{
    const struct tk_conf conf = { .epoch_min_ms = 1000, .epoch_max_ms = 1000, .clean_epochs = 2 };

    clock_us = clock_cpu_us = SECOND;
    pace = (struct tk_pace){ .clock = &scene_clock, .bytes_per_s = 1 << 30, .cpu_percent = 100 };
    OK(tk_new(store, GUEST, &conf, &pace, &tracked, &err));
}

static inline void track_end(void)
{
    tk_free(tracked);
    tracked = NULL;
}

/* Runs what is due until then; the first error ends it. */
static inline int track_try(uint64_t us)
{
    uint64_t until = clock_us + us;
    int rc = 0;

    while (!rc && tk_due_us(tracked) <= until) {
        if (clock_us < tk_due_us(tracked))
            clock_us = tk_due_us(tracked);
        rc = tk_step(tracked, &err);
    }
    clock_us = until;
    return rc;
}

static inline void track_for(uint64_t us)
{
    OK(track_try(us));
}

static inline struct tk_status track_status(void)
{
    struct tk_status status;

    tk_get_status(tracked, &status);
    return status;
}

/* A save that borrows from the tracker and leaves the guest running, as a checkpoint of a guest that goes on does. */
static inline struct nv_name track_save(struct image *image, struct ck_save_figures *ret_figures, const struct scene_work *work)
{
    struct saving s;

    saving_init(&s, GUEST);
    if (work)
        s.work = *work;
    OK(tk_lend(tracked, &s.base, &err));
    OK(saving_run(&s));
    saving_end(&s);
    tk_give_back(tracked);
    flx_fake_set_run(GUEST, FLX_RUNNING);
    if (ret_figures)
        *ret_figures = s.figures;
    image_free(image);
    *image = s.image;
    return s.name;
}

#endif
