/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* known - pages of this store that a peer may ask for by digest: digest -> the store's own id. One thread. */
#ifndef FLIC_DAEMON_MIGRATE_KNOWN_H
#define FLIC_DAEMON_MIGRATE_KNOWN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/id.h"
#include "daemon/migrate/digest.h"

struct mk_known;

#define MK_MAX (4u << 20)       /* pages: 16 GiB of guests, 192 MiB of RAM; more are not remembered */

struct mk_known *mk_new(void);          /* NULL: out of memory */
void mk_free(struct mk_known *known);   /* accepts NULL */
/* One that is there already stays. What finds no memory is not known. */
void mk_add(struct mk_known *known, const struct md_digest *digest, const struct flic_id *id);
bool mk_find(const struct mk_known *known, const struct md_digest *digest, struct flic_id *ret_id);
size_t mk_count(const struct mk_known *known);

#endif
