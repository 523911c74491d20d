/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/tracking_file.h"

#include "common/io.h"
#include "common/mem.h"
#include "daemon/daemon.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define FILE_VERSION 1
#define FILE_MAX (256u << 10)

static void path_of(const char *folder, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%s/tracked.json", folder);
}

static bool read_word(json_t *from, struct tf_word *word)
{
    const char *uuid = json_string_value(json_object_get(from, "uuid")), *name = json_string_value(json_object_get(from, "name"));
    json_t *track = json_object_get(from, "track");

    if (!uuid || !name || strlen(name) >= sizeof(word->name) || !json_is_boolean(track) || !flic_uuid_parse(uuid, &word->guest))
        return false;
    (void)snprintf(word->name, sizeof(word->name), "%s", name);
    word->track = json_is_true(track);
    return true;
}

static int read_words(json_t *root, const char *path, struct tf_words *words, struct flic_err *err)
{
    json_t *guests = json_object_get(root, "guests"), *version = json_object_get(root, "version");
    bool good = json_is_integer(version) && json_is_array(guests) && json_array_size(guests) <= TF_WORDS_MAX;

    if (json_is_integer(version) && json_integer_value(version) != FILE_VERSION)
        return flic_err_set(err, FLIC_E_VERSION, "'%s' has version %lld, this build knows %d", path,
                            (long long)json_integer_value(version), FILE_VERSION);
    for (size_t i = 0; good && i < json_array_size(guests); i++)
        good = read_word(json_array_get(guests, i), &words->word[words->n++]);
    if (good)
        return 0;
    words->n = 0;
    return flic_err_set(err, FLIC_E_DAMAGED, "'%s' is not what flicd wrote there: remove it and use 'flic track' again", path);
}

int tf_load(const char *folder, struct tf_words *words, struct flic_err *err)
{
    FLIC_AUTO_FREE void *data = NULL;
    char path[PATH_MAX];
    json_t *root;
    size_t len;
    int rc;

    words->n = 0;
    path_of(folder, path);
    rc = flic_load_file(path, FILE_MAX, &data, &len, err);
    if (rc == -ENOENT && err)
        *err = (struct flic_err){ 0 };
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    root = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    rc = read_words(root, path, words, err);
    json_decref(root);
    return rc;
}

int tf_save(const char *folder, const struct tf_words *words, struct flic_err *err)
{
    json_t *guests = json_array(), *root = json_pack("{s:i, s:o}", "version", FILE_VERSION, "guests", guests);
    FLIC_AUTO_FREE char *text = NULL;
    char path[PATH_MAX], uuid[FLIC_UUID_TEXT];

    for (size_t i = 0; i < words->n; i++) {
        flic_uuid_text(&words->word[i].guest, uuid);
        (void)json_array_append_new(guests, json_pack("{s:s, s:s, s:b}", "uuid", uuid, "name", words->word[i].name, "track",
                                                      words->word[i].track));
    }
    if (root && json_array_size(guests) == words->n)
        text = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    if (!text)      /* a name that is not UTF-8 is no JSON either */
        return flic_err_set(err, -ENOMEM, "note which guests are tracked: out of memory, or a guest's name is no text");
    path_of(folder, path);
    return flic_publish_file(path, text, strlen(text), 0600, err);
}

/* "all", "none", or "\nname\nname\n" (conf.c). */
bool tf_configured(const char *track, const char *name)
{
    size_t len = strlen(name);

    if (!strcmp(track, "all"))
        return true;
    for (const char *at = track; len && (at = strstr(at, name)); at++)
        if (at > track && at[-1] == '\n' && at[len] == '\n')
            return true;
    return false;
}

bool tf_wanted(const struct tf_words *words, const char *track, const struct flic_uuid *guest, const char *name)
{
    for (size_t i = 0; i < words->n; i++)
        if (flic_uuid_equal(&words->word[i].guest, guest))
            return words->word[i].track;
    return tf_configured(track, name);
}

int tf_say(struct tf_words *words, const char *track, const struct tf_word *word, struct flic_err *err)
{
    for (size_t i = 0; i < words->n; i++)
        if (flic_uuid_equal(&words->word[i].guest, &word->guest))
            words->word[i--] = words->word[--words->n];
    if (tf_configured(track, word->name) == word->track)
        return 0;
    if (words->n == TF_WORDS_MAX)
        return flic_err_set(err, FLIC_E_NOSPACE, "%d guests have a word of their own already: 'flic untrack' some, or use 'track' in "
                            "flicd.conf(5)", TF_WORDS_MAX);
    words->word[words->n++] = *word;
    return 0;
}
