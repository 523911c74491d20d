/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "tests/unit/hostile-peer.h"

#include "daemon/migrate/hello.h"
#include "daemon/migrate/pages.h"
#include "tests/unit/checkpoint-scene.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

struct mw_wire *hostile;
struct flic_err victim_err;

static struct {
    int (*run)(int fd, void *arg, struct flic_err *why);
    void *arg;
    int fd, rc;
    pthread_t thread;
} victim;

static void *be_victim(void *arg)
{
    (void)arg;
    victim.rc = victim.run(victim.fd, victim.arg, &victim_err);
    return NULL;
}

void hostile_begin(int (*run)(int fd, void *arg, struct flic_err *why), void *arg)
{
    struct md_key key;
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    victim.run = run;
    victim.arg = arg;
    victim.fd = pair[1];
    ck_assert_int_eq(pthread_create(&victim.thread, NULL, be_victim, NULL), 0);
    OK(mw_new(pair[0], NULL, 0, scene_never, NULL, &hostile, &err));
    OK(mh_greet(hostile, true, &key, &err));
}

void hostile_say_leaf(uint32_t leaf, unsigned first, unsigned n)
{
    struct mp_leaf said = { .leaf = leaf };
    uint8_t out[MP_LEAF_SIZE];

    for (unsigned i = first; i < first + n; i++)
        mp_set_bit(said.present, i);
    mp_put_leaf(&said, out);
    ck_assert_msg(!mw_send_bytes(hostile, MW_LEAF, out, sizeof(out), &err), "%s; the victim says: %s", err.text, victim_err.text);
}

int hostile_drip(int fd)
{
    static const uint8_t head[8] = { 0, 0, 1, 0, MW_READY };

    for (unsigned i = 0; i < 200; i++) {
        if (send(fd, i < sizeof(head) ? head + i : (const uint8_t *)"x", 1, MSG_NOSIGNAL) != 1)
            break;
        (void)usleep(50000);
    }
    return FLIC_E_CANCELLED;
}

void victim_must_refuse(int code)
{
    ck_assert_int_eq(pthread_join(victim.thread, NULL), 0);
    mw_free(hostile);
    ck_assert_msg(victim.rc == code, "%d, %s", victim.rc, victim_err.text);
}
