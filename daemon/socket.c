/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/socket.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A socket file that nobody listens on is left from a flicd that was killed. */
static int clear_the_way(int fd, const struct sockaddr_un *addr, struct flic_err *err)
{
    if (!connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
        return flic_err_set(err, FLIC_E_BUSY, "another flicd listens on '%s'", addr->sun_path);
    if (errno == ECONNREFUSED && unlink(addr->sun_path))
        return flic_err_errno(err, "remove the old socket '%s'", addr->sun_path);
    return 0;
}

static int give_to_group(const struct fd_conf *conf, struct flic_err *err)
{
    struct group *group;

    if (!conf->socket_group[0])
        return 0;
    group = getgrnam(conf->socket_group);
    if (!group)
        return flic_err_set(err, FLIC_E_CONFIG, "socket_group: there is no group '%s'", conf->socket_group);
    if (chown(conf->socket, (uid_t)-1, group->gr_gid) || chmod(conf->socket, 0660))
        return flic_err_errno(err, "give the socket '%s' to group '%s'", conf->socket, conf->socket_group);
    return 0;
}

static int bind_and_listen(int fd, const struct sockaddr_un *addr)
{
    mode_t old = umask(0177);
    int r = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));

    (void)umask(old);
    return r ? r : listen(fd, 64);
}

int fd_socket_open(const struct fd_conf *conf, int *ret_fd, struct flic_err *err)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    char folder[PATH_MAX];
    int probe, fd, rc;

    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", conf->socket);
    (void)snprintf(folder, sizeof(folder), "%s", conf->socket);
    if (mkdir(dirname(folder), 0755) && errno != EEXIST)
        return flic_err_errno(err, "create the folder of '%s'", conf->socket);
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    rc = probe < 0 || fd < 0 ? flic_err_errno(err, "socket") : clear_the_way(probe, &addr, err);
    if (!rc && bind_and_listen(fd, &addr))
        rc = flic_err_errno(err, "listen on '%s'", conf->socket);
    if (!rc)
        rc = give_to_group(conf, err);
    if (probe >= 0)
        (void)close(probe);
    if (rc && fd >= 0)
        (void)close(fd);
    if (!rc)
        *ret_fd = fd;
    return rc;
}
