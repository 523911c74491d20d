/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copyright (C) 2026 The FLIC authors */
#include "daemon/filter_op.h"

#include "common/hex.h"
#include "daemon/filter/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TUNNEL_TIMEOUT_S 30

static int stop(void *arg, struct flic_err *err)
{
    struct fd_op *op = arg;

    return fd_op_cancelled(op) ? fd_op_why_cancelled(op, err) : 0;
}

int fd_filter_open(struct fd_op *op, struct lf_pipe **ret_pipe, struct flic_err *err)
{
    const struct fd_conf *conf = &op->daemon->conf;
    int fd, rc;

    fd_op_let_tunnel(op);
    fd_op_to_helper(op, json_pack("{s:s, s:I, s:I}", "event", "filter", "rounds", (json_int_t)conf->live_rounds_max, "stop_pages",
                                  (json_int_t)conf->live_stop_pages), false);
    rc = fd_op_wait(op, FD_WAIT_TUNNEL, TUNNEL_TIMEOUT_S, err);
    if (rc)
        return rc;
    fd = op->tunnel;
    op->tunnel = -1;            /* taken, in any case */
    return lf_pipe_new(fd, op->early, op->n_early, stop, op, ret_pipe, err);
}

int fd_filter_records(const json_t *message, const char *member, void **ret_bytes, size_t *ret_len, struct flic_err *err)
{
    const char *hex = json_string_value(json_object_get(message, member));
    size_t len = hex ? strlen(hex) / 2 : 0;
    uint8_t *bytes = NULL;

    *ret_bytes = NULL;
    *ret_len = 0;
    if (!len)
        return 0;
    if (len > LF_EMULATOR_MAX || strlen(hex) % 2)
        return flic_err_set(err, FLIC_E_PROTOCOL, "the device model's records are too long");
    bytes = malloc(len);
    if (!bytes)
        return flic_err_set(err, -ENOMEM, "take the device model's records: out of memory");
    if (!flic_from_hex(hex, bytes, len)) {
        free(bytes);
        return flic_err_set(err, FLIC_E_PROTOCOL, "the device model's records are not in hex");
    }
    *ret_bytes = bytes;
    *ret_len = len;
    return 0;
}

int fd_filter_add_records(json_t *message, const char *member, const void *bytes, size_t len, struct flic_err *err)
{
    char *hex = len ? malloc(FLIC_HEX_TEXT(len)) : NULL;
    int rc = 0;

    if (!len)
        return 0;
    if (hex)
        flic_to_hex(bytes, len, hex);
    if (!hex || json_object_set_new(message, member, json_string(hex)))
        rc = flic_err_set(err, -ENOMEM, "hand the device model's records on: out of memory");
    free(hex);
    return rc;
}
