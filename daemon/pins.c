/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/pins.h"

#include "common/io.h"
#include "common/mem.h"

#include <jansson.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)

static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

static void path_of(const char *folder, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/pinned.json", folder);
}

/* ---- reading ---- */

static bool take(const json_t *o, struct pn_pin *pin)
{
    const char *uuid = json_string_value(json_object_get(o, "uuid"));
    json_int_t seq = json_integer_value(json_object_get(o, "seq"));

    *pin = (struct pn_pin){ .seq = (uint64_t)seq };
    pin->by = (json_is_true(json_object_get(o, "user")) ? PN_USER : 0u) | (json_is_true(json_object_get(o, "file")) ? PN_FILE : 0u);
    return uuid && seq > 0 && pin->by && flic_uuid_parse(uuid, &pin->guest);
}

static int parse(const json_t *root, struct pn_pin *pins, size_t *ret_n)
{
    const json_t *list = json_object_get(root, "pinned");
    json_t *o;
    size_t i;

    if (json_integer_value(json_object_get(root, "version")) != 1)
        return json_is_integer(json_object_get(root, "version")) ? FLIC_E_VERSION : FLIC_E_DAMAGED;
    if (!json_is_array(list) || json_array_size(list) > PN_MAX)
        return FLIC_E_DAMAGED;
    json_array_foreach(list, i, o)
        if (!take(o, &pins[i]))
            return FLIC_E_DAMAGED;
    *ret_n = json_array_size(list);
    return 0;
}

int pn_load(const char *folder, struct pn_pin **ret_pins, size_t *ret_n, struct flic_err *err)
{
    FLIC_AUTO_FREE void *text = NULL;
    struct pn_pin *pins = calloc(PN_MAX + 1, sizeof(*pins));
    char path[PATH_MAX];
    json_t *root;
    size_t len;
    int rc;

    *ret_n = 0;
    path_of(folder, path);
    if (!pins)
        return flic_err_set(err, -ENOMEM, "read '%s': out of memory", path);
    rc = access(path, F_OK) ? 0 : flic_load_file(path, FILE_MAX, &text, &len, err);
    if (!rc && text) {
        root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
        rc = parse(root, pins, ret_n);
        json_decref(root);
        if (rc == FLIC_E_VERSION)
            rc = flic_err_set(err, rc, "'%s' is of a newer version than this build knows, 1; use the newer flicd", path);
        else if (rc)
            rc = flic_err_set(err, rc, "'%s' is damaged, so what is pinned is not known: put it right, or remove it if nothing is", path);
    }
    if (rc)
        free(pins);
    else
        *ret_pins = pins;
    return rc;
}

static struct pn_pin *find(struct pn_pin *pins, size_t n, const struct flic_uuid *guest, uint64_t seq)
{
    for (size_t i = 0; i < n; i++)
        if (pins[i].seq == seq && flic_uuid_equal(&pins[i].guest, guest))
            return &pins[i];
    return NULL;
}

unsigned pn_of(const struct pn_pin *pins, size_t n, const struct flic_uuid *guest, uint64_t seq)
{
    const struct pn_pin *pin = find((struct pn_pin *)(uintptr_t)pins, n, guest, seq);

    return pin ? pin->by : 0;
}

/* ---- writing ---- */

static int save(const char *folder, const struct pn_pin *pins, size_t n, struct flic_err *err)
{
    json_t *list = json_array(), *root = json_pack("{s:i, s:o}", "version", 1, "pinned", list);
    FLIC_AUTO_FREE char *text = NULL;
    char path[PATH_MAX], uuid[FLIC_UUID_TEXT];
    bool whole = root != NULL;

    for (size_t i = 0; i < n; i++) {
        if (!pins[i].by)
            continue;
        flic_uuid_text(&pins[i].guest, uuid);
        whole = whole && !json_array_append_new(list, json_pack("{s:s, s:I, s:b, s:b}", "uuid", uuid, "seq", (json_int_t)pins[i].seq, "user",
                                                                (int)(pins[i].by & PN_USER), "file", (int)(pins[i].by & PN_FILE)));
    }
    text = whole ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    if (!text)
        return flic_err_set(err, -ENOMEM, "write down what is pinned: out of memory");
    path_of(folder, path);
    return flic_publish_file(path, text, strlen(text), 0600, err);
}

static int change(const char *folder, struct pn_pin *pins, size_t n, const struct pn_pin *wanted, bool on, struct flic_err *err)
{
    struct pn_pin *pin = find(pins, n, &wanted->guest, wanted->seq);
    unsigned by;

    if (!pin && !on)
        return 0;
    if (!pin && n == PN_MAX)
        return flic_err_set(err, FLIC_E_FULL_TABLE, "%u checkpoints are pinned, that is all there can be: 'flic unpin' one", PN_MAX);
    if (!pin) {
        pin = &pins[n++];
        *pin = (struct pn_pin){ .guest = wanted->guest, .seq = wanted->seq };
    }
    by = on ? pin->by | wanted->by : pin->by & ~wanted->by;
    if (by == pin->by)
        return 0;
    pin->by = by;
    return save(folder, pins, n, err);
}

int pn_set(const char *folder, const struct flic_uuid *guest, uint64_t seq, unsigned by, bool on, struct flic_err *err)
{
    struct pn_pin wanted = { .guest = *guest, .seq = seq, .by = by }, *pins = NULL;
    size_t n;
    int rc;

    (void)pthread_mutex_lock(&writing);
    rc = pn_load(folder, &pins, &n, err);
    if (!rc)
        rc = change(folder, pins, n, &wanted, on, err);
    (void)pthread_mutex_unlock(&writing);
    free(pins);
    return rc;
}
