/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "cli/xl_stock.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSFS_VERSION "/sys/hypervisor/version/"

/* Where distributions without one folder a version keep it; *.distrib is what dpkg-divert leaves. */
static const char *const other_places[] = {
    "/usr/sbin/xl.distrib", "/usr/sbin/xl", "/usr/local/sbin/xl", "/usr/bin/xl",
};

/* We may be installed, linked or diverted to in any of the places: being run by ourselves would never end. */
static bool is_stock(const char *path)
{
    struct stat other, self;

    if (access(path, X_OK) || stat(path, &other) || !S_ISREG(other.st_mode))
        return false;
    return stat("/proc/self/exe", &self) || other.st_dev != self.st_dev || other.st_ino != self.st_ino;
}

static bool read_number(const char *name, unsigned *ret_number)
{
    char path[64];
    FILE *from;
    int n;

    (void)snprintf(path, sizeof(path), SYSFS_VERSION "%s", name);
    from = fopen(path, "re");
    if (!from)
        return false;
    n = fscanf(from, "%u", ret_number);
    (void)fclose(from);
    return n == 1;
}

/* The toolstack must be of the hypervisor's own version: the domctl interface changes between them. */
static bool find_running_version(char path[PATH_MAX])
{
    unsigned major, minor;

    if (!read_number("major", &major) || !read_number("minor", &minor))
        return false;
    (void)snprintf(path, PATH_MAX, "/usr/lib/xen-%u.%u/bin/xl", major, minor);
    return is_stock(path);
}

static bool find_newest_version(char path[PATH_MAX])
{
    glob_t found;
    const char *best = NULL;

    if (glob("/usr/lib/xen-*/bin/xl", GLOB_NOSORT, NULL, &found))
        return false;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (is_stock(found.gl_pathv[i]) && (!best || strverscmp(found.gl_pathv[i], best) > 0))
            best = found.gl_pathv[i];
    if (best)
        (void)snprintf(path, PATH_MAX, "%s", best);
    globfree(&found);
    return best != NULL;
}

static bool find_elsewhere(char path[PATH_MAX])
{
    for (size_t i = 0; i < sizeof(other_places) / sizeof(other_places[0]); i++)
        if (is_stock(other_places[i])) {
            (void)snprintf(path, PATH_MAX, "%s", other_places[i]);
            return true;
        }
    return false;
}

int xl_stock_exec(char **argv, struct flic_err *err)
{
    const char *set = getenv("FLIC_STOCK_XL");
    char path[PATH_MAX];

    if (set && *set) {
        if (!is_stock(set))
            return flic_err_set(err, FLIC_E_USAGE, "FLIC_STOCK_XL is '%s', which is no program or this one", set);
        (void)snprintf(path, sizeof(path), "%s", set);
    } else if (!find_running_version(path) && !find_newest_version(path) && !find_elsewhere(path)) {
        return flic_err_set(err, FLIC_E_NOXEN, "the stock xl is not installed: install xen-utils, or set FLIC_STOCK_XL");
    }
    (void)execv(path, argv);
    return flic_err_errno(err, "run %s", path);
}
