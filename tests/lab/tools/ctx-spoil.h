/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
/* Ways to spoil a good context, each with the errno that setting it must give. */
#ifndef FLIC_LAB_CTX_SPOIL_H
#define FLIC_LAB_CTX_SPOIL_H

#include "ctx-blob.h"

struct ctx_spoil {
    const char *name;
    int err;                    /* positive errno */
    bool (*apply)(struct ctx_blob *blob);   /* false: this context has nothing to spoil in that way */
};

extern const struct ctx_spoil ctx_spoils[];
extern const unsigned ctx_spoils_count;

#endif
