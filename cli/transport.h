/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * transport - what carries a migration or a copy: where it was asked for a program that reaches the peer, on the other side the stdin and stdout
 * that its program was started with. Both take the tunnel's socket.
 */
#ifndef FLIC_CLI_TRANSPORT_H
#define FLIC_CLI_TRANSPORT_H

#include <sys/types.h>

/* ssh notices within 15 s that the link is gone. */
#define TRANSPORT_SSH "ssh -o ServerAliveInterval=5 -o ServerAliveCountMax=3"

struct transport {
    pid_t child[2];             /* 0: none */
};

/* Starts `command` (NULL: TRANSPORT_SSH) with the host (flic_is_host()) and behind it `there`, the command of the other side, the socket as its
 * stdin and stdout. It does not see Ctrl-C: the operation ends it. Takes the socket. 0 or -errno. */
int transport_start(struct transport *t, const char *command, const char *host, const char *there, int socket);
/* Copies stdin to the socket and the socket to stdout, in processes that end with this one. Takes the socket. */
int transport_serve(struct transport *t, int socket);
/* Until the last byte is through, at most so many seconds; then it is ended. */
void transport_end(struct transport *t, unsigned seconds);

#endif
