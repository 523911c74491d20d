/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* protect_file - STORE/protected.json: which guests are protected and how, and which checkpoints protect made of them. */
#ifndef FLIC_DAEMON_PROTECT_FILE_H
#define FLIC_DAEMON_PROTECT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid.h"

#define PT_GUESTS_MAX 16
#define PT_MADE_MAX 64
#define PT_KEEP_MAX 32
#define PT_EVERY_MIN_MS 1000
#define PT_EVERY_MAX_MS (24 * 3600 * 1000)

struct pt_setting {
    struct flic_uuid guest;
    char name[256];
    uint64_t every_ms;
    unsigned keep;
    bool ram_only;
    uint64_t made[PT_MADE_MAX]; /* ascending */
    size_t n_made;
};

/* A missing file is no settings. Everything in it is checked. */
int pt_file_load(const char *folder, struct pt_setting settings[PT_GUESTS_MAX], size_t *ret_n, struct flic_err *err);
int pt_file_save(const char *folder, const struct pt_setting *const *settings, size_t n, struct flic_err *err);

#endif
