/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* notify - readiness and state to systemd ($NOTIFY_SOCKET), and sockets from it ($LISTEN_FDS). */
#ifndef FLIC_DAEMON_NOTIFY_H
#define FLIC_DAEMON_NOTIFY_H

/* Sends "READY=1", "STOPPING=1", "STATUS=..."; does nothing without systemd. */
void fd_notify(const char *state);

/* The one listening socket that systemd passed (close-on-exec set), or -1. Protocol: sd_listen_fds(3). */
int fd_listen_fd(void);

#endif
