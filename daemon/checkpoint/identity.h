/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* identity - the store's uuid and hash secret, drawn once and kept in <folder>/identity and once more in identity.copy (mode 0600). */
#ifndef FLIC_DAEMON_CHECKPOINT_IDENTITY_H
#define FLIC_DAEMON_CHECKPOINT_IDENTITY_H

#include "common/err.h"
#include "common/id.h"
#include "common/uuid.h"

struct ck_identity {
    struct flic_uuid store;
    struct flic_secret secret;
};

/* Loads it from whichever file is sound, and writes the other anew; or draws and durably writes one when the folder has none. A folder with
 * packs but without an identity is FLIC_E_DAMAGED: a new secret would orphan every object. Two different ones are FLIC_E_FOREIGN. */
int ck_identity_load(const char *folder, struct ck_identity *ret_identity, struct flic_err *err);

#endif
