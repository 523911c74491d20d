/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/conf.h"

#include <libconfig.h>

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum type { INT, PATH, TEXT, NAMES, FOLDERS };

struct key {
    const char *name;
    enum type type;
    size_t offset, size;
    int min, max, fallback;
    const char *text_fallback;
    const char *choices;        /* "|a|b|", NULL: any */
};

#define INT_KEY(k, lo, hi, dflt) { #k, INT, offsetof(struct fd_conf, k), sizeof(int), lo, hi, dflt, NULL, NULL }
#define TEXT_KEY(k, type, dflt, choices) \
    { #k, type, offsetof(struct fd_conf, k), sizeof(((struct fd_conf *)0)->k), 0, 0, 0, dflt, choices }

static const struct key keys[] = {
    TEXT_KEY(nvram, PATH, "/nvram/flic.arena", NULL),
    INT_KEY(nvram_size_mib, 0, 1 << 20, 0),
    TEXT_KEY(store, PATH, "/var/lib/flic", NULL),
    TEXT_KEY(socket, PATH, "/run/flic/flicd.sock", NULL),
    TEXT_KEY(socket_group, TEXT, "", NULL),
    INT_KEY(workers, 1, FD_WORKERS_MAX, 4),
    INT_KEY(live_rounds_max, 1, 30, 5),
    INT_KEY(live_stop_pages, 0, 1 << 20, 256),
    INT_KEY(suspend_timeout_s, 5, 600, 60),
    TEXT_KEY(destage, TEXT, "idle", "|idle|held|"),
    INT_KEY(destage_delay_ms, 0, 3600000, 2000),
    TEXT_KEY(gc, TEXT, "idle", "|idle|asked|"),
    INT_KEY(gc_live_percent, 0, 100, 50),
    INT_KEY(gc_kib_per_s, 16, 1 << 21, 4096),
    INT_KEY(gc_interval_s, 1, 86400, 600),
    INT_KEY(verify_kib_per_s, 16, 1 << 21, 8192),
    INT_KEY(keep_last, 0, 1 << 20, 0),
    INT_KEY(keep_hourly, 0, 1 << 20, 0),
    INT_KEY(keep_daily, 0, 1 << 20, 0),
    INT_KEY(guest_quota_mib, 0, INT_MAX, 0),
    INT_KEY(total_quota_mib, 0, INT_MAX, 0),
    TEXT_KEY(track, NAMES, "none", "|all|none|"),
    INT_KEY(track_epoch_min_ms, 10, 60000, 1000),
    INT_KEY(track_epoch_max_ms, 10, 600000, 8000),
    INT_KEY(track_clean_epochs, 1, 8, 3),
    INT_KEY(track_kib_per_s, 16, 1 << 21, 8192),
    INT_KEY(track_cpu_percent, 1, 100, 25),
    TEXT_KEY(disk_snapshot_hook, PATH, "", NULL),
    TEXT_KEY(disk_folders, FOLDERS, "", NULL),
    TEXT_KEY(shared_disk_folders, FOLDERS, "", NULL),
    INT_KEY(migrate_rounds_max, 1, 1000, 30),
    INT_KEY(migrate_downtime_ms, 10, 3600000, 1000),
    TEXT_KEY(owner_group, TEXT, "", NULL),
    INT_KEY(journal_entries, 0, 1 << 24, 50000),
    TEXT_KEY(log_level, TEXT, "info", "|error|warning|info|debug|"),
};
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

void fd_conf_defaults(struct fd_conf *conf)
{
    memset(conf, 0, sizeof(*conf));
    for (size_t i = 0; i < N_KEYS; i++) {
        char *at = (char *)conf + keys[i].offset;

        if (keys[i].type == INT)
            memcpy(at, &keys[i].fallback, sizeof(int));
        else
            (void)snprintf(at, keys[i].size, "%s", keys[i].text_fallback);
    }
}

static const struct key *key_named(const char *name)
{
    for (size_t i = 0; name && i < N_KEYS; i++)
        if (!strcmp(keys[i].name, name))
            return &keys[i];
    return NULL;
}

static bool is_choice(const struct key *key, const char *value)
{
    char needle[32];

    if (!key->choices)
        return true;
    return snprintf(needle, sizeof(needle), "|%s|", value) < (int)sizeof(needle) && strstr(key->choices, needle);
}

static int set_int(const struct key *key, config_setting_t *s, struct fd_conf *conf, const char *where, struct flic_err *err)
{
    int value;

    if (config_setting_type(s) != CONFIG_TYPE_INT)
        return flic_err_set(err, FLIC_E_CONFIG, "%s: %s takes a whole number", where, key->name);
    value = config_setting_get_int(s);
    if (value < key->min || value > key->max)
        return flic_err_set(err, FLIC_E_CONFIG, "%s: %s = %d is out of range, it may be %d to %d", where, key->name, value,
                            key->min, key->max);
    memcpy((char *)conf + key->offset, &value, sizeof(value));
    return 0;
}

static int set_text(const struct key *key, config_setting_t *s, struct fd_conf *conf, const char *where, struct flic_err *err)
{
    const char *value = config_setting_get_string(s);

    if (!value)
        return flic_err_set(err, FLIC_E_CONFIG, "%s: %s takes a text in quotes", where, key->name);
    if (strlen(value) >= key->size)
        return flic_err_set(err, FLIC_E_CONFIG, "%s: %s is longer than %zu bytes", where, key->name, key->size - 1);
    if (key->type == PATH && value[0] != '/' && (value[0] || *key->text_fallback))      /* what is nothing by default may be */
        return flic_err_set(err, FLIC_E_CONFIG, "%s: %s takes an absolute path, not '%s'", where, key->name, value);
    if (!is_choice(key, value))
        return flic_err_set(err, FLIC_E_CONFIG, "%s: %s cannot be '%s', it may be one of %s", where, key->name, value,
                            key->choices);
    (void)snprintf((char *)conf + key->offset, key->size, "%s", value);
    return 0;
}

/* ["web", "db"] becomes "\nweb\ndb\n": a name has no newline. So does one text where folders are wanted. */
static int set_names(const struct key *key, config_setting_t *s, struct fd_conf *conf, const char *where, struct flic_err *err)
{
    char *at = (char *)conf + key->offset;
    size_t used = (size_t)snprintf(at, key->size, "\n");
    bool one = config_setting_type(s) == CONFIG_TYPE_STRING;

    for (int i = 0; i < (one ? 1 : config_setting_length(s)); i++) {
        const char *name = one ? config_setting_get_string(s) : config_setting_get_string_elem(s, i);

        if (!name || !name[0] || strchr(name, '\n'))
            return flic_err_set(err, FLIC_E_CONFIG, "%s: %s takes a list of names in quotes", where, key->name);
        if (key->type == FOLDERS && name[0] != '/')
            return flic_err_set(err, FLIC_E_CONFIG, "%s: %s takes absolute paths, not '%s'", where, key->name, name);
        if (used + strlen(name) + 1 >= key->size)
            return flic_err_set(err, FLIC_E_CONFIG, "%s: %s has more names than fit: %zu bytes in all", where, key->name, key->size);
        used += (size_t)snprintf(at + used, key->size - used, "%s\n", name);
    }
    return 0;
}

static int set_one(config_setting_t *s, const char *path, struct fd_conf *conf, struct flic_err *err)
{
    const char *name = config_setting_name(s), *file = config_setting_source_file(s);   /* NULL: not an included one */
    const struct key *key = key_named(name);
    const char *text = config_setting_get_string(s);    /* NULL: it is none */
    bool list = config_setting_is_list(s) || config_setting_is_array(s);
    char where[PATH_MAX + 32];

    (void)snprintf(where, sizeof(where), "%s:%u", file ? file : path, config_setting_source_line(s));
    if (!key)
        return flic_err_set(err, FLIC_E_CONFIG, "%s: unknown key '%s' (see flicd.conf(5))", where, name ? name : "");
    if (key->type == INT)
        return set_int(key, s, conf, where, err);
    if ((list && (key->type == NAMES || key->type == FOLDERS)) || (key->type == FOLDERS && text && *text))
        return set_names(key, s, conf, where, err);
    return set_text(key, s, conf, where, err);
}

int fd_conf_load(const char *path, bool may_be_missing, struct fd_conf *conf, struct flic_err *err)
{
    config_setting_t *root;
    config_t file;
    int rc = 0;

    if (access(path, R_OK)) {
        if (may_be_missing && errno == ENOENT)
            return 0;
        return flic_err_errno(err, "configuration file '%s'", path);
    }
    config_init(&file);
    if (!config_read_file(&file, path))
        rc = flic_err_set(err, FLIC_E_CONFIG, "%s:%d: %s", config_error_file(&file) ? config_error_file(&file) : path,
                          config_error_line(&file), config_error_text(&file));
    root = config_root_setting(&file);
    for (int i = 0; !rc && i < config_setting_length(root); i++)
        rc = set_one(config_setting_get_elem(root, (unsigned)i), path, conf, err);
    config_destroy(&file);
    if (!rc && conf->track_epoch_min_ms > conf->track_epoch_max_ms)
        rc = flic_err_set(err, FLIC_E_CONFIG, "%s: track_epoch_min_ms = %d is more than track_epoch_max_ms = %d", path,
                          conf->track_epoch_min_ms, conf->track_epoch_max_ms);
    return rc;
}
