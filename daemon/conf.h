/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* conf - flicd.conf(5): a typed table of keys with ranges. An unknown key or impossible value is an error with file and line. */
#ifndef FLIC_DAEMON_CONF_H
#define FLIC_DAEMON_CONF_H

#include <limits.h>
#include <stdbool.h>

#include "common/err.h"

#define FD_WORKERS_MAX 16

struct fd_conf {
    char nvram[PATH_MAX];
    char store[PATH_MAX];
    char socket[108];           /* sizeof(sun_path) */
    char socket_group[64];
    char destage[8];            /* "idle" or "held" */
    char log_level[8];
    char disk_snapshot_hook[PATH_MAX];
    char owner_group[256];      /* "": none */
    char disk_folders[2048], shared_disk_folders[2048];     /* "", or "\nPATH\nPATH\n" */
    int nvram_size_mib;
    int workers;
    int migrate_rounds_max, migrate_downtime_ms;
    int live_rounds_max;
    int live_stop_pages;
    int suspend_timeout_s;
    int destage_delay_ms;
    char gc[8];                 /* "idle" or "asked" */
    int keep_last, keep_hourly, keep_daily, guest_quota_mib, total_quota_mib;
    int gc_live_percent, gc_kib_per_s, gc_interval_s, verify_kib_per_s;
    char track[2048];           /* "all", "none", or "\nNAME\nNAME\n" */
    int track_epoch_min_ms, track_epoch_max_ms;
    int track_clean_epochs;
    int track_kib_per_s, track_cpu_percent;
    int journal_entries;        /* 0: all */
};

void fd_conf_defaults(struct fd_conf *conf);
/* Reads `path` over the defaults. A missing file is an error unless `may_be_missing`. */
int fd_conf_load(const char *path, bool may_be_missing, struct fd_conf *conf, struct flic_err *err);

#endif
