/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/protect_file.h"

#include "common/io.h"
#include "common/mem.h"

#include <jansson.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX (256u << 10)
#define FILE_VERSION 1              /* the first files had none and are the same */

static void path_of(const char *folder, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/protected.json", folder);
}

/* ---- reading ---- */

static bool take_made(const json_t *list, struct pt_setting *s)
{
    json_t *seq;
    size_t i;

    if (json_array_size(list) > PT_MADE_MAX)
        return false;
    json_array_foreach(list, i, seq) {
        json_int_t v = json_integer_value(seq);

        if (v <= 0 || (i && (uint64_t)v <= s->made[i - 1]))
            return false;
        s->made[s->n_made++] = (uint64_t)v;
    }
    return true;
}

static bool take(const json_t *o, struct pt_setting *s)
{
    const char *uuid = json_string_value(json_object_get(o, "uuid")), *name = json_string_value(json_object_get(o, "domain"));
    json_int_t every = json_integer_value(json_object_get(o, "every_ms")), keep = json_integer_value(json_object_get(o, "keep"));

    memset(s, 0, sizeof(*s));
    if (!uuid || !name || !flic_uuid_parse(uuid, &s->guest) || strlen(name) >= sizeof(s->name) || every < PT_EVERY_MIN_MS ||
        every > PT_EVERY_MAX_MS || keep < 1 || keep > PT_KEEP_MAX)
        return false;
    memcpy(s->name, name, strlen(name) + 1);
    s->every_ms = (uint64_t)every;
    s->keep = (unsigned)keep;
    s->ram_only = json_is_true(json_object_get(o, "ram_only"));
    return take_made(json_object_get(o, "made"), s);
}

int pt_file_load(const char *folder, struct pt_setting settings[PT_GUESTS_MAX], size_t *ret_n, struct flic_err *err)
{
    FLIC_AUTO_FREE void *text = NULL;
    char path[PATH_MAX];
    json_t *root, *list, *o;
    size_t len, i;
    int rc;

    *ret_n = 0;
    path_of(folder, path);
    if (access(path, F_OK))
        return 0;
    rc = flic_load_file(path, FILE_MAX, &text, &len, err);
    if (rc)
        return rc;
    root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    if (json_object_get(root, "version") && json_integer_value(json_object_get(root, "version")) != FILE_VERSION) {
        rc = flic_err_set(err, FLIC_E_VERSION, "'%s' has version %lld, this build knows %d; use the newer flicd", path,
                          (long long)json_integer_value(json_object_get(root, "version")), FILE_VERSION);
        json_decref(root);
        return rc;
    }
    list = json_object_get(root, "guests");
    if (!json_is_array(list) || json_array_size(list) > PT_GUESTS_MAX)
        rc = FLIC_E_DAMAGED;
    json_array_foreach(list, i, o)
        if (!rc && !take(o, &settings[(*ret_n)++]))
            rc = FLIC_E_DAMAGED;
    json_decref(root);
    if (rc) {
        *ret_n = 0;
        return flic_err_set(err, rc, "'%s' is damaged: no guest is protected until you say so again with 'flic protect'", path);
    }
    return 0;
}

/* ---- writing ---- */

static json_t *describe(const struct pt_setting *s)
{
    char uuid[FLIC_UUID_TEXT];
    json_t *made = json_array();

    flic_uuid_text(&s->guest, uuid);
    for (size_t i = 0; i < s->n_made; i++)
        (void)json_array_append_new(made, json_integer((json_int_t)s->made[i]));
    return json_pack("{s:s, s:s, s:I, s:i, s:b, s:o}", "uuid", uuid, "domain", s->name, "every_ms", (json_int_t)s->every_ms, "keep",
                     (int)s->keep, "ram_only", (int)s->ram_only, "made", made);
}

int pt_file_save(const char *folder, const struct pt_setting *const *settings, size_t n, struct flic_err *err)
{
    json_t *list = json_array(), *root = json_pack("{s:i, s:o}", "version", FILE_VERSION, "guests", list);
    FLIC_AUTO_FREE char *text = NULL;
    char path[PATH_MAX];
    bool whole = root != NULL;

    for (size_t i = 0; i < n; i++)
        whole = whole && !json_array_append_new(list, describe(settings[i]));
    text = whole ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    if (!text)
        return flic_err_set(err, -ENOMEM, "write down what is protected: out of memory");
    path_of(folder, path);
    return flic_publish_file(path, text, strlen(text), 0600, err);
}
