/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* The small files that flicd keeps in its store: migrations, swaps of disks, who is protected and tracked. The first byte says which. */
#include "tests/fuzz/fuzz.h"

#include "daemon/daemon.h"
#include "daemon/moves.h"
#include "daemon/protect_file.h"
#include "daemon/swap.h"
#include "daemon/tracking_file.h"

#include <unistd.h>

#define UUID "61616161-6161-6161-6161-616161616161"

int fd_check_ready(const struct fd_daemon *daemon, struct flic_err *err)        /* main.c has it */
{
    (void)daemon;
    (void)err;
    return 0;
}

static void look_at_moves(const uint8_t *data, size_t len)
{
    static struct fd_daemon flicd;
    struct mv_move *all;
    bool whole;
    size_t n;

    (void)snprintf(flicd.conf.store, sizeof(flicd.conf.store), "%s", fuzz_folder());
    fuzz_file("moves/" UUID ".json", data, len);
    if (mv_list(&flicd, &all, &n, &whole, NULL))
        return;
    FUZZ_ASSERT(n == 0 ? !whole : all[0].state >= MV_HANDING && all[0].state <= MV_REFUSED);
    free(all);
}

/* It names files that are exchanged and removed: here they can only be names in our own folder. */
static void look_at_swaps(const uint8_t *data, size_t len)
{
    const struct sn_where where = { .folder = fuzz_folder() };

    if (memchr(data, '/', len) || memchr(data, '\\', len) || chdir(where.folder))
        return;
    fuzz_file("swaps/" UUID, data, len);
    (void)sw_settle(&where, NULL);
}

static void look_at_settings(const uint8_t *data, size_t len)
{
    static struct pt_setting settings[PT_GUESTS_MAX];
    size_t n;

    fuzz_file("protected.json", data, len);
    if (pt_file_load(fuzz_folder(), settings, &n, NULL))
        return;
    FUZZ_ASSERT(n <= PT_GUESTS_MAX);
    for (size_t i = 0; i < n; i++)
        FUZZ_ASSERT(settings[i].n_made <= PT_MADE_MAX && settings[i].keep <= PT_KEEP_MAX && settings[i].every_ms >= PT_EVERY_MIN_MS);
}

static void look_at_words(const uint8_t *data, size_t len)
{
    static struct tf_words words;

    fuzz_file("tracked.json", data, len);
    if (!tf_load(fuzz_folder(), &words, NULL))
        FUZZ_ASSERT(words.n <= TF_WORDS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const look[])(const uint8_t *, size_t) = { look_at_moves, look_at_swaps, look_at_settings, look_at_words };

    if (len)
        look[data[0] % 4](data + 1, len - 1);
    return 0;
}
