/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/*
 * hello - how a migration begins: who speaks which version, the connection's key, and what guest is offered.
 */
#ifndef FLIC_DAEMON_MIGRATE_HELLO_H
#define FLIC_DAEMON_MIGRATE_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid.h"
#include "daemon/migrate/digest.h"
#include "daemon/migrate/wire.h"

#define MH_VERSION 3
#define MH_GFN_END_MAX (1u << 27)       /* 512 GiB: the sums of its leaves fit one message */

/* A message that is one JSON object; takes `json`, NULL allowed (out of memory). The other gives *ret_json. */
struct json_t;
int mh_send_json(struct mw_wire *wire, enum mw_type type, struct json_t *json, struct flic_err *err);
int mh_get_json(struct mw_wire *wire, enum mw_type type, unsigned silence_s, struct json_t **ret_json, struct flic_err *err);

/* Both sides at once, each saying its own; both learn the connection's key. FLIC_E_VERSION names the peer's. */
int mh_greet(struct mw_wire *wire, bool is_sender, struct md_key *ret_key, struct flic_err *err);

/* Shows that the owner group is known, without showing it; "" shows nothing. */
void mh_prove_group(const struct md_key *key, const char *group, struct md_digest *ret_proof);
/* Whether that was shown of `group`; of "" it never is. */
bool mh_is_group(const struct md_key *key, const char *group, const struct md_digest *proof);

struct mh_offer {
    struct flic_uuid migration, guest;
    char name[256];
    uint64_t gfn_end, pages;
    struct md_digest group;     /* MD_ZERO: none */
    char *config, *disks;       /* JSON texts; parsed ones are to be freed */
};
void mh_offer_fini(struct mh_offer *offer);
int mh_send_offer(struct mw_wire *wire, const struct mh_offer *offer, struct flic_err *err);
/* Everything within bounds; that it makes sense here is the caller's to see. */
int mh_get_offer(struct mw_wire *wire, struct mh_offer *ret_offer, struct flic_err *err);

/* `has`: the receiver holds pages that may be some of the guest's, and wants to be asked; `has_disks`: bit i, an older state of the i-th
 * disk that is to be copied. From then on the receiver's waiting shows (mw_tell_alive()). */
int mh_send_accept(struct mw_wire *wire, bool has, uint32_t has_disks, struct flic_err *err);
int mh_get_accept(struct mw_wire *wire, unsigned silence_s, bool *ret_has, uint32_t *ret_has_disks, struct flic_err *err);

#endif
