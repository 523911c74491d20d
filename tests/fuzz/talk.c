/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* What commands, libflicxl and the helper read from flicd's socket. */
#include "tests/fuzz/fuzz.h"

#include "common/talk.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LEN_MAX 60000u      /* fits the socket's buffer */

static int listener = -1;
static struct sockaddr_un addr = { .sun_family = AF_UNIX };

static void listen_once(void)
{
    if (listener >= 0)
        return;
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/sock", fuzz_folder());
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FUZZ_ASSERT(listener >= 0 && !bind(listener, (struct sockaddr *)&addr, sizeof(addr)) && !listen(listener, 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct flic_err err = { 0 };
    struct flic_talk *talk;
    const char *name;
    json_t *msg;
    int fd, rc;

    if (len > LEN_MAX)
        return 0;
    listen_once();
    FUZZ_ASSERT(!flic_talk_open(addr.sun_path, &talk, &err));
    fd = accept(listener, NULL, NULL);
    FUZZ_ASSERT(fd >= 0 && write(fd, data, len) == (ssize_t)len && !close(fd));
    while (!(rc = flic_talk_next(talk, 1000, &msg, &err))) {
        if (!flic_talk_is_event(msg, &name))
            (void)flic_talk_outcome(msg, &err);
        json_decref(msg);
    }
    FUZZ_ASSERT(rc == FLIC_E_NODAEMON || rc == FLIC_E_PROTOCOL);
    flic_talk_close(talk);
    return 0;
}
