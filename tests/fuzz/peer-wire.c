/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/fuzz/peer-wire.h"

#include "daemon/migrate/hello.h"
#include "tests/fuzz/fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

static bool never(void *arg)
{
    (void)arg;
    return false;
}

struct mw_wire *fuzz_connect(int *ret_peer)
{
    struct mw_wire *wire;
    int fds[2], room = 1 << 20;

    FUZZ_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    for (int i = 0; i < 2; i++)
        (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    FUZZ_ASSERT(!mw_new(fds[1], NULL, 0, never, NULL, &wire, NULL));
    *ret_peer = fds[0];
    return wire;
}

struct mw_wire *fuzz_good(int peer)
{
    struct mw_wire *good;

    FUZZ_ASSERT(!mw_new(dup(peer), NULL, 0, never, NULL, &good, NULL));
    return good;
}

void fuzz_greet(struct mw_wire *good)
{
    char greeting[128];

    (void)snprintf(greeting, sizeof(greeting), "{\"version\":%d,\"nonce\":\"%064x\"}", MH_VERSION, 0x11223344);
    FUZZ_ASSERT(!mw_send_bytes(good, MW_HELLO, greeting, strlen(greeting), NULL));
}

void fuzz_say(int peer, const uint8_t *data, size_t len)
{
    FUZZ_ASSERT(!len || send(peer, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len);
    (void)shutdown(peer, SHUT_WR);
}

void fuzz_meet(const uint8_t *data, size_t len, void (*start)(void), void (*begin_well)(int peer, unsigned how_far),
               void (*meet)(struct mw_wire *wire))
{
    struct mw_wire *wire;
    int peer;

    if (!len || len > FUZZ_SAYS_MAX)
        return;
    start();
    wire = fuzz_connect(&peer);
    begin_well(peer, data[0] % 4);
    fuzz_say(peer, data + 1, len - 1);
    meet(wire);
    mw_free(wire);
    (void)close(peer);
}
