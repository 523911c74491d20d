/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* learn - makes the pages of a stored checkpoint known to one connection's peer (known.h). */
#ifndef FLIC_DAEMON_MIGRATE_LEARN_H
#define FLIC_DAEMON_MIGRATE_LEARN_H

#include "daemon/checkpoint/load.h"
#include "daemon/migrate/known.h"

/* Those that lie in packs. What cannot be read is not known: what is damaged is found and told by whoever restores that guest. */
int mk_learn(struct mk_known *known, const struct md_key *key, struct ck_store *store, const struct ck_loaded *loaded, struct flic_err *err);

#endif
