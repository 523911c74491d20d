/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * Everything a sending phone can say to a receiving one: frames, greeting, offer, sketch, leaves, digests, pages, state, sums. The first
 * byte says how much of a good beginning is put in front: 1 the greeting, 2 the offer too, 3 the sketch too.
 */
#include "tests/fuzz/fuzz.h"

#include "daemon/migrate/receive.h"
#include "tests/unit/checkpoint-scene.h"

#include <sys/socket.h>
#include <unistd.h>

#define LEN_MAX 120000u
#define GFNS_MAX 4096u
#define THERE 40u

static struct nv_name base;
static void *sketch;
static size_t sketch_len;

static void start_once(void)
{
    struct flx_dom *dom;

    if (store)
        return;
    scene_threads = 1;
    scene_begin(8 * MIB);
    scene_guest(GUEST, "web", 1, 600);
    FUZZ_ASSERT(!flx_open(GUEST, &dom, NULL) && !flx_state_sketch(dom, &sketch, &sketch_len, NULL));
    flx_close(dom);
    base = scene_save(GUEST, NULL, NULL);
}

static void no_progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    (void)arg, (void)phase, (void)done, (void)total;
}

/* ---- the good beginning ---- */

static void begin_well(int fd, unsigned how_far)
{
    char greeting[128];
    struct mh_offer offer = { .migration = scene_uuid(0x61), .guest = scene_uuid(1), .name = "web", .gfn_end = 600, .pages = 590,
                              .config = (char *)"{}", .disks = (char *)"[]" };
    struct mw_wire *wire;

    (void)snprintf(greeting, sizeof(greeting), "{\"version\":%d,\"nonce\":\"%064x\"}", MH_VERSION, 0x11223344);
    FUZZ_ASSERT(!mw_new(dup(fd), NULL, 0, scene_never, NULL, &wire, NULL));
    if (how_far >= 1)
        FUZZ_ASSERT(!mw_send_bytes(wire, MW_HELLO, greeting, strlen(greeting), NULL));
    if (how_far >= 2)
        FUZZ_ASSERT(!mh_send_offer(wire, &offer, NULL));
    if (how_far >= 3)
        FUZZ_ASSERT(!mw_send_bytes(wire, MW_SKETCH, sketch, sketch_len, NULL));
    mw_free(wire);
}

/* ---- the receiver, as far as it goes ---- */

static void take(struct mr_receiver *r, struct flx_dom *dom)
{
    const struct flx_ports ports = { 1, 0, 2, 0 };
    struct flx_built built;

    if (!mr_accept(r, 0, NULL) && !mr_take(r, dom, NULL) && !mr_finish(r, &ports, &built, NULL))
        (void)mr_ready(r, NULL);
}

/* With a checkpoint of the guest at hand when it is the one that is offered. */
static void receive_offered(struct mr_receiver *r)
{
    struct ck_loaded loaded;
    struct ck_entry entry;
    struct flx_dom *dom;
    bool known = flic_uuid_equal(&mr_offer(r)->guest, &base.guest);

    FUZZ_ASSERT(!ck_find_exact(store, &base.guest, base.seq, &entry, NULL) && !ck_load(store, &entry, &loaded, NULL));
    flx_fake_add(THERE, "web", &mr_offer(r)->guest, mr_offer(r)->gfn_end, 0);
    FUZZ_ASSERT(!flx_open(THERE, &dom, NULL));
    if (!mr_begin(r, "fake", known ? &loaded : NULL, NULL, NULL))
        take(r, dom);
    mr_free(r);
    flx_close(dom);
    flx_fake_kill(THERE);
    ck_unload(store, &loaded);
}

static void receive(struct mw_wire *wire)
{
    const struct mr_params params = { .wire = wire, .store = store, .progress = no_progress };
    struct mr_receiver *r;

    if (mr_hear(&params, &r, NULL))
        return;
    if (mr_offer(r)->gfn_end <= GFNS_MAX)
        receive_offered(r);
    else
        mr_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct mw_wire *wire;
    int fds[2], room = 1 << 20;

    if (!len || len > LEN_MAX)
        return 0;
    start_once();
    FUZZ_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    for (int i = 0; i < 2; i++)
        (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    begin_well(fds[0], data[0] % 4);
    FUZZ_ASSERT(len == 1 || send(fds[0], data + 1, len - 1, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len - 1);
    (void)shutdown(fds[0], SHUT_WR);
    FUZZ_ASSERT(!mw_new(fds[1], NULL, 0, scene_never, NULL, &wire, NULL));
    receive(wire);
    mw_free(wire);
    (void)close(fds[0]);
    return 0;
}
