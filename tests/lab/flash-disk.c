/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * A flash device with a volatile write cache, served to QEMU over NBD on a unix socket.
 *
 * A write is answered at once and lands in the image file; what the block held when it was last durable is kept
 * beside it. FLUSH makes everything durable by forgetting those old contents. "lose SEED" is the power cut: a random
 * part of the blocks written since the last FLUSH goes back to its old content, some of them torn at a sector.
 * A cache larger than --cache MIB writes its oldest blocks back by itself, as a real device does.
 *
 * Control socket, one line per connection: "lose SEED", "stats", "fail read|write|flush COUNT", "quit".
 *
 * NBD: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md, "fixed newstyle", simple replies.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"

#define BLOCK 4096u
#define SECTOR 512u
#define MAX_REQUEST (32u << 20)

enum { OP_READ, OP_WRITE, OP_DISCONNECT, OP_FLUSH, OP_KINDS };

struct undo {
    uint64_t block;
    uint8_t old[BLOCK];
};

struct disk {
    int fd;
    uint64_t size;
    uint8_t *unflushed; /* one bit per block that has an undo entry */
    struct undo **ring; /* undo entries in the order of their first write, ring[head % slots] is the oldest */
    uint64_t slots, head, tail;
    uint64_t count[OP_KINDS], bytes[OP_KINDS];
    unsigned fail[OP_KINDS];
    uint8_t *buffer;
};

struct __attribute__((packed)) nbd_request {
    uint32_t magic;
    uint16_t flags, type;
    uint64_t handle, offset;
    uint32_t length;
};

struct __attribute__((packed)) nbd_reply {
    uint32_t magic, error;
    uint64_t handle;
};

/* Returns false at end of stream or on error: the other side is gone. */
static bool get(int fd, void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, (char *)data + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static bool image_io(struct disk *d, bool writing, void *data, size_t size, uint64_t offset)
{
    for (size_t done = 0; done < size;) {
        off_t at = (off_t)(offset + done);
        ssize_t n = writing ? pwrite(d->fd, (char *)data + done, size - done, at)
                            : pread(d->fd, (char *)data + done, size - done, at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static void mark(struct disk *d, uint64_t block, bool on)
{
    if (on)
        d->unflushed[block / 8] |= (uint8_t)(1u << (block % 8));
    else
        d->unflushed[block / 8] &= (uint8_t)~(1u << (block % 8));
}

static void drop_oldest(struct disk *d)
{
    struct undo *u = d->ring[d->head++ % d->slots];

    mark(d, u->block, false);
}

static void make_durable(struct disk *d)
{
    while (d->head != d->tail)
        drop_oldest(d);
}

/* Keeps what the block holds now, unless an older durable content is kept already. */
static bool remember(struct disk *d, uint64_t block)
{
    struct undo *u;

    if (d->unflushed[block / 8] >> (block % 8) & 1)
        return true;
    if (d->tail - d->head == d->slots)
        drop_oldest(d);
    u = d->ring[d->tail % d->slots];
    if (u == NULL)
        u = d->ring[d->tail % d->slots] = malloc(sizeof(*u));
    if (u == NULL || !image_io(d, false, u->old, BLOCK, block * BLOCK))
        return false;
    u->block = block;
    mark(d, block, true);
    d->tail++;
    return true;
}

static bool do_write(struct disk *d, uint64_t offset, uint32_t length)
{
    for (uint64_t b = offset / BLOCK; b * BLOCK < offset + length; b++)
        if (!remember(d, b))
            return false;
    return image_io(d, true, d->buffer, length, offset);
}

/* Per block: keep the new content, go back to the old one, or (one in eight) decide sector by sector. */
static void lose(struct disk *d, uint64_t seed, FILE *out)
{
    uint64_t state = seed * 2 + 1, reverted = 0, torn = 0, total = d->tail - d->head;
    unsigned keep_percent;

    next_random(&state);
    keep_percent = (unsigned)(next_random(&state) % 100);
    for (uint64_t i = d->head; i != d->tail; i++) {
        struct undo *u = d->ring[i % d->slots];
        bool tear = next_random(&state) % 8 == 0, keep = next_random(&state) % 100 < keep_percent;

        for (unsigned s = 0; s < BLOCK; s += SECTOR) {
            if (tear)
                keep = next_random(&state) % 100 < keep_percent;
            if (!keep && !image_io(d, true, u->old + s, SECTOR, u->block * BLOCK + s))
                die("cannot roll back");
        }
        torn += tear;
        reverted += !keep && !tear;
    }
    make_durable(d);
    fprintf(out, "{\"unflushed_blocks\":%" PRIu64 ",\"lost_blocks\":%" PRIu64 ",\"torn_blocks\":%" PRIu64
                 ",\"seed\":%" PRIu64 "}\n", total, reverted, torn, seed);
}

static bool serve_request(struct disk *d, int c)
{
    struct nbd_request r;
    struct nbd_reply reply = { .magic = htobe32(0x67446698) };
    uint64_t offset;
    uint32_t length;
    unsigned type;
    bool ok = true;

    if (!get(c, &r, sizeof(r)) || be32toh(r.magic) != 0x25609513)
        return false;
    type = be16toh(r.type);
    offset = be64toh(r.offset);
    length = be32toh(r.length);
    if (type == OP_DISCONNECT || type >= OP_KINDS || length > MAX_REQUEST)
        return false;
    if (type == OP_WRITE && !get(c, d->buffer, length))
        return false;
    if (d->fail[type] > 0) {
        d->fail[type]--;
        ok = false;
    } else if (type != OP_FLUSH && (offset > d->size || length > d->size - offset)) {
        ok = false;
    } else if (type == OP_FLUSH) {
        make_durable(d);
    } else {
        ok = type == OP_WRITE ? do_write(d, offset, length) : image_io(d, false, d->buffer, length, offset);
    }
    d->count[type]++;
    d->bytes[type] += length;
    reply.error = ok ? 0 : htobe32(5); /* NBD_EIO */
    reply.handle = r.handle;
    return put(c, &reply, sizeof(reply)) && (type != OP_READ || !ok || put(c, d->buffer, length));
}

struct __attribute__((packed)) nbd_option_reply {
    uint64_t magic;
    uint32_t option, type, length;
};

static bool option_reply(int c, uint32_t option, uint32_t type, const void *data, uint32_t length)
{
    struct nbd_option_reply r = { htobe64(UINT64_C(0x3e889045565a9)), htobe32(option), htobe32(type), htobe32(length) };

    return put(c, &r, sizeof(r)) && put(c, data, length);
}

/* Only NBD_OPT_GO (7) gets anywhere: QEMU tries it first. */
static bool handshake(struct disk *d, int c)
{
    struct __attribute__((packed)) { char magic[16]; uint16_t flags; } hello = { "NBDMAGICIHAVEOPT", htobe16(3) };
    struct __attribute__((packed)) { uint64_t magic; uint32_t option, length; } o;
    struct __attribute__((packed)) { uint16_t type; uint64_t size; uint16_t flags; } info = {
        0, htobe64(d->size), htobe16(1 | 4) /* has flags, takes FLUSH */
    };
    uint32_t client_flags;
    char skip[4096];

    if (!put(c, &hello, sizeof(hello)) || !get(c, &client_flags, sizeof(client_flags)))
        return false;
    for (;;) {
        uint32_t option, length;

        if (!get(c, &o, sizeof(o)))
            return false;
        option = be32toh(o.option);
        length = be32toh(o.length);
        if (length > sizeof(skip) || !get(c, skip, length))
            return false;
        if (option == 7)
            return option_reply(c, option, 3, &info, sizeof(info)) && option_reply(c, option, 1, NULL, 0);
        if (option == 2 || !option_reply(c, option, UINT32_C(0x80000001), NULL, 0))
            return false;
    }
}

/* Returns false when asked to quit. */
static bool control(struct disk *d, int c)
{
    char line[128] = "", kind[16];
    uint64_t seed;
    unsigned n;
    bool go_on = true;
    ssize_t got = read(c, line, sizeof(line) - 1);
    FILE *out = fdopen(c, "w");

    if (out == NULL || got <= 0) {
        close(c);
        return true;
    }
    if (sscanf(line, "lose %" SCNu64, &seed) == 1) {
        lose(d, seed, out);
    } else if (sscanf(line, "fail %15s %u", kind, &n) == 2) {
        d->fail[strcmp(kind, "read") == 0 ? OP_READ : strcmp(kind, "write") == 0 ? OP_WRITE : OP_FLUSH] = n;
        fprintf(out, "{}\n");
    } else if (strncmp(line, "stats", 5) == 0) {
        fprintf(out, "{\"reads\":%" PRIu64 ",\"read_bytes\":%" PRIu64 ",\"writes\":%" PRIu64 ",\"written_bytes\":%"
                     PRIu64 ",\"flushes\":%" PRIu64 ",\"unflushed_blocks\":%" PRIu64 "}\n", d->count[OP_READ],
                d->bytes[OP_READ], d->count[OP_WRITE], d->bytes[OP_WRITE], d->count[OP_FLUSH], d->tail - d->head);
    } else {
        go_on = strncmp(line, "quit", 4) != 0;
        fprintf(out, go_on ? "unknown command\n" : "{}\n");
    }
    fclose(out);
    return go_on;
}

static void serve(struct disk *d, int listening, int controlling)
{
    int c = -1;

    for (;;) {
        struct pollfd p[3] = { { .fd = listening, .events = POLLIN }, { .fd = c, .events = POLLIN },
                               { .fd = controlling, .events = POLLIN } };

        if (poll(p, 3, -1) < 0 && errno != EINTR)
            die("poll");
        /* What QEMU sent before it was killed comes before any command. */
        if (p[1].revents) {
            if (!serve_request(d, c)) {
                close(c);
                c = -1;
            }
        } else if (p[0].revents) {
            int n = accept(listening, NULL, NULL);

            if (c < 0 && n >= 0 && handshake(d, n))
                c = n;
            else if (n >= 0)
                close(n);
        } else if (p[2].revents && !control(d, accept(controlling, NULL, NULL))) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    struct disk d = { .fd = -1 };
    struct stat st;
    int listening, controlling;

    if (argc == 4 && strcmp(argv[1], "ask") == 0)
        return ask(argv[2], argv[3]);
    if (argc != 6 || strcmp(argv[1], "serve") != 0) {
        fprintf(stderr, "usage: flash-disk serve IMAGE NBD-SOCKET CONTROL-SOCKET CACHE-MIB\n"
                        "       flash-disk ask CONTROL-SOCKET COMMAND\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    d.fd = open(argv[2], O_RDWR | O_CLOEXEC);
    if (d.fd < 0 || fstat(d.fd, &st) < 0)
        die(argv[2]);
    d.size = (uint64_t)st.st_size;
    d.slots = strtoull(argv[5], NULL, 10) * (1u << 20) / BLOCK;
    d.unflushed = calloc(d.size / BLOCK / 8 + 1, 1);
    d.ring = calloc(d.slots, sizeof(*d.ring));
    d.buffer = malloc(MAX_REQUEST);
    if (d.size % BLOCK || d.slots == 0 || !d.unflushed || !d.ring || !d.buffer) {
        fprintf(stderr, "flash-disk: %s is not a multiple of %u bytes, or the cache size is wrong\n", argv[2], BLOCK);
        return 1;
    }
    listening = unix_socket(argv[3], true);
    controlling = unix_socket(argv[4], true);
    serve(&d, listening, controlling);
    return 0;
}
