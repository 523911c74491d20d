/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * wire - the connection of a migration: framed messages over any stream. docs/peer-protocol.md has the words and their order.
 *
 * A frame is u32 length of the payload, u16 type, u16 zero, payload; little endian. The peer is hostile: a frame that is longer
 * than MW_PAYLOAD_MAX, or of a type that is not asked for, ends the connection. Reads and writes give up when `cancelled` says so,
 * when nothing moved for MW_SILENCE_S, or so little of one message that it makes no difference, and at a deadline where there is one. A peer that gives up says why in an MW_ABORT; its reason is then the error of
 * whatever call meets it. For one thread at a time.
 */
#ifndef FLIC_DAEMON_MIGRATE_WIRE_H
#define FLIC_DAEMON_MIGRATE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define MW_PAYLOAD_MAX (2u << 20)
#define MW_SILENCE_S 120u

enum mw_type {
    MW_HELLO = 1,       /* both: JSON */
    MW_OFFER,           /* sender: JSON, the guest */
    MW_SKETCH,          /* sender: machine state of the running guest, for what must be known early */
    MW_ACCEPT,          /* receiver: JSON */
    MW_LEAF,            /* sender: 2 MiB of the guest: what is there */
    MW_SAME,            /* receiver: u8, 1: it has that leaf */
    MW_DIGESTS,         /* sender: of that leaf's pages */
    MW_NEED,            /* receiver: bitmap of those that are to be sent */
    MW_PAGES,           /* sender */
    MW_ZEROS,           /* sender */
    MW_SYNC,            /* sender: u32 number; everything up to here is to be kept, in the pause's part to have arrived */
    MW_SYNCED,          /* receiver: that number */
    MW_PREPARE,         /* sender: u64 pages expected in the pause */
    MW_PREPARED,        /* receiver */
    MW_STATE,           /* sender: u64 ns since the suspend, then the machine state */
    MW_CHECK,           /* sender: u64 sums of all leaves */
    MW_READY,           /* receiver: the guest is whole, paused and durable here */
    MW_GO,              /* sender: it is yours */
    MW_RUNNING,         /* receiver: it is mine */
    MW_ABORT,           /* both: JSON code and reason */
    MW_ALIVE,           /* receiver, at any time: empty; mw_tell_alive() */
    MW_DISK_LEAVES = 60,        /* sender: digests of pieces of a disk of which the receiver has an older state */
    MW_DISK_SAME,       /* receiver: u64, bits of those that it has */
    MW_DISK_DIGESTS,    /* sender: of one piece's blocks */
    MW_DISK_NEED,       /* receiver: bitmap of those that are to be sent */
    MW_DISK_BLOCKS,     /* sender */
    MW_DISK_ZEROS,      /* sender */
    MW_DISK_SYNC,       /* sender: u32 round; everything up to here is to be durable */
    MW_DISK_SYNCED,     /* receiver: u32 round */
    MW_DISK_END,        /* sender: in the pause; the disks are whole now */

    /* of a copy (copy.h) */
    MW_WANT = 40,       /* receiver: JSON, which checkpoint it wants */
    MW_COPY,            /* sender: JSON, the checkpoint */
    MW_DONE,            /* receiver: it is on its own from here on */
};

static inline bool mw_is_disk(enum mw_type type) { return type >= MW_DISK_LEAVES && type <= MW_DISK_END; }

struct mw_wire;

struct mw_counts { uint64_t sent, received; };      /* all bytes, frames' heads included */

/* Takes `fd`; `early` are bytes that were read from it already. */
int mw_new(int fd, const void *early, size_t n_early, bool (*cancelled)(void *arg), void *arg, struct mw_wire **ret_wire,
           struct flic_err *err);
void mw_free(struct mw_wire *wire);     /* accepts NULL; closes */

/* A piece of a payload; pieces are sent one behind the other. */
struct mw_piece { const void *data; size_t len; };
int mw_send(struct mw_wire *wire, enum mw_type type, const struct mw_piece *pieces, size_t n, struct flic_err *err);
int mw_send_bytes(struct mw_wire *wire, enum mw_type type, const void *data, size_t len, struct flic_err *err);

/* A u64, and what follows it in the payload: `len` bytes, perhaps 0. */
int mw_send_u64(struct mw_wire *wire, enum mw_type type, uint64_t v, const void *rest, size_t len, struct flic_err *err);

/* The next message; its payload is borrowed until the next call. `silence_s`: how long nothing may come, 0: MW_SILENCE_S. */
struct mw_message { enum mw_type type; const uint8_t *data; size_t len; };
int mw_receive(struct mw_wire *wire, unsigned silence_s, struct mw_message *ret_message, struct flic_err *err);
/* The same, and any other type than this is FLIC_E_PROTOCOL. */
int mw_expect(struct mw_wire *wire, enum mw_type type, unsigned silence_s, struct mw_message *ret_message, struct flic_err *err);

/*
 * From now on a mw_receive() that waits says MW_ALIVE every MW_ALIVE_S. A peer whose power was cut never ends the connection: once it is back, its
 * kernel refuses what is said into it. The peer's mw_receive() passes it over; it ends no silence.
 */
#define MW_ALIVE_S 5u
void mw_tell_alive(struct mw_wire *wire);

/* All that is sent and received from now on has to be over so many seconds from now, whatever moves until then: FLIC_E_TIMEOUT. 0: it may take its time
 * again. For whoever stands still meanwhile. */
void mw_deadline(struct mw_wire *wire, unsigned seconds);

/* FLIC_E_PROTOCOL: `what` the peer did that it must not. */
int mw_broken(struct flic_err *err, const char *what);

/* Tells the peer why, as well as it can be told; never fails, waits for at most a second. */
void mw_abort(struct mw_wire *wire, int code, const char *reason);
/* Whether it was the peer who gave up. */
bool mw_peer_aborted(const struct mw_wire *wire);

void mw_get_counts(const struct mw_wire *wire, struct mw_counts *ret_counts);

#endif
