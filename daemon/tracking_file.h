/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * tracking_file - which guests are tracked ahead: what the configuration says, and STORE/tracked.json where a command said
 * otherwise. A command's word counts for that guest (uuid) until a command takes it back.
 */
#ifndef FLIC_DAEMON_TRACKING_FILE_H
#define FLIC_DAEMON_TRACKING_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/uuid.h"

#define TF_WORDS_MAX 256

struct tf_word {
    struct flic_uuid guest;
    char name[256];             /* at that time; for people */
    bool track;
};
struct tf_words {
    struct tf_word word[TF_WORDS_MAX];
    size_t n;
};

/* A missing file is no words. Everything in it is checked: FLIC_E_DAMAGED, FLIC_E_VERSION. */
int tf_load(const char *folder, struct tf_words *words, struct flic_err *err);
int tf_save(const char *folder, const struct tf_words *words, struct flic_err *err);

/* Whether the configuration (fd_conf.track) names a guest of that name. */
bool tf_configured(const char *track, const char *name);
bool tf_wanted(const struct tf_words *words, const char *track, const struct flic_uuid *guest, const char *name);
/* Notes a command's word; one that says what the configuration says anyway is taken out. FLIC_E_NOSPACE when there are too many. */
int tf_say(struct tf_words *words, const char *track, const struct tf_word *word, struct flic_err *err);

#endif
